/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn - starts a program that gets exactly what one request names, and nothing else.
 *
 * The child has the descriptors of the table at their targets, standard streams on /dev/null
 * unless the table has them, the environment given, default signals, an empty mask, umask 077, a
 * session of its own, "/" as its folder, and can never gain privileges (no_new_privs). It holds no
 * capability unless keep_caps is set.
 *
 *	const struct spawn_fd fds[] = { { kernel_fd, 3 }, { stderr_fd, 2 } };
 *	const struct spawn_request request = {
 *		.argv = argv.at, .fds = fds, .fd_count = ARRAY_SIZE(fds),
 *		.uid = 65534, .gid = 65534, .set_ids = true, .isolate = true, .die_with_parent = true,
 *	};
 *	r = spawn_start(&request, &pid, &pidfd, err);
 *	...
 *	(void)spawn_kill(pidfd, SIGKILL);
 *	r = spawn_wait(pidfd, 1000, &status, err);
 */
#ifndef SYS_SPAWN_H
#define SYS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Room for what a VM needs, with devices; and a target is a number any limit of files allows. */
enum { SPAWN_FDS_MAX = 128, SPAWN_TARGET_MAX = 255 };

/* fd stays the caller's. Two entries may have one fd; target numbers must differ. */
struct spawn_fd {
	int fd;
	int target;
};

/* How far the child is kept from the host; each step includes those before it. */
enum spawn_isolation {
	SPAWN_SHARED,	  /* the caller's own namespaces */
	SPAWN_NAMESPACES, /* PID, network, IPC and host name of its own: an empty network */
	SPAWN_ROOT,	  /* and a root of its own: /usr and its libraries read-only, /proc
				 * with its own processes where that can be had, /dev/null,
				 * /dev/urandom, what nodes says, nothing else of the host's files */
};

struct spawn_request {
	char *const *argv; /* argv[0] is the program's path, taken as it is */
	char *const *envp; /* NULL: an empty environment */
	const struct spawn_fd *fds;
	size_t fd_count;
	uid_t uid; /* with set_ids: all three of each kind, no other groups */
	gid_t gid;
	bool set_ids;
	bool isolate;		  /* as far as this host lets us; never a reason to fail */
	bool die_with_parent;	  /* SIGKILL when the caller's thread ends, without a race */
	const char *const *nodes; /* NULL, or what its own root shows besides: jail_enter_root() */
	bool keep_caps;		  /* for a program of our own that works with our rights */
	struct {
		uint64_t memlock_bytes; /* of these three 0 is: as it is with the caller */
		uint64_t nofile;
		uint64_t fsize_bytes;
		uint64_t core_bytes; /* 0 is none: a core would be the guest's memory */
	} limits;
	enum spawn_isolation *ret_isolation; /* NULL: not wanted */
};

/*
 * Returns 0 when the child has exec'd; *ret_pid is its ID here, *ret_pidfd (O_CLOEXEC) the
 * caller's to close. An error names the step, with that step's errno:
 *
 * -EINVAL: a request that cannot be (no argv, a bad or doubled target, too many descriptors)
 * -EBADF: a descriptor of the table is not open
 * -ENOENT, -EACCES, ...: what exec said
 * -EPERM: the IDs or a limit may not be set
 * -EPIPE: the caller's process died meanwhile (seen by nobody)
 */
int spawn_start(const struct spawn_request *request, pid_t *ret_pid, int *ret_pidfd,
		struct err *err);

/*
 * Waits until the child has ended, timeout_ms at most (-1: for ever), and reaps it. *ret_status
 * is its exit status, or 128 and the signal. -ETIMEDOUT: it lives; -ECHILD: it was reaped before.
 */
int spawn_wait(int pidfd, int timeout_ms, int *ret_status, struct err *err);

/* -ESRCH: it has ended. */
int spawn_kill(int pidfd, int signal);

#endif
