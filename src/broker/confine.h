/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine - a process gives up, for good, what it has no use for any more.
 *
 * What a kernel or a container does not allow to give up is told by a negative errno, and whoever
 * calls decides whether that matters: -ENOSYS, -EPERM, -EINVAL, -ECANCELED.
 */
#ifndef BROKER_CONFINE_H
#define BROKER_CONFINE_H

#include <sys/types.h>

/*
 * A network namespace of its own, with nothing in it; for who is not root inside of a user
 * namespace. Call it while there is one thread, and before confine_privileges().
 */
int confine_network(uid_t uid, gid_t gid);

/* Another user and group, no others. -EPERM: not root. */
int confine_user(uid_t uid, gid_t gid);

/*
 * No capability, and none to be had by executing anything; no other process of the user may look
 * into this one, and no core is written.
 */
int confine_privileges(void);

enum confine_deny {
	CONFINE_CONNECT = 1 << 0, /* no new socket: it can accept on those it has, not connect */
	CONFINE_SOCKETS = 1 << 1, /* that, and nothing accepted either */
	CONFINE_FILES = 1 << 2,	  /* no file opened, made, renamed or removed */
};

/*
 * From now on those system calls fail with EPERM, and in any case those that execute, trace other
 * processes, make namespaces and mounts, or reach for the kernel's rarer parts.
 */
int confine_calls(unsigned deny);

#endif
