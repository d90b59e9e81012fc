/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns - network namespaces by descriptor, and interfaces moved between them (rtnetlink(7)).
 *
 * A namespace lives as long as a descriptor of it is open or a process is in it; physical
 * interfaces that are in it then go back to the first namespace, in the kernel's own time.
 */
#ifndef SYS_NETNS_H
#define SYS_NETNS_H

#include "base/err.h"

/* The caller's. */
int netns_own(int *ret_fd, struct err *err);

/* An empty one, with its loopback up. The caller stays where it is. */
int netns_new(int *ret_fd, struct err *err);

/*
 * Moves an interface; it is down afterwards. -ENODEV: from_fd has none of that name; -EEXIST: to_fd
 * has one; -EINVAL: it can't be moved, or that is no name.
 */
int netns_move(int from_fd, int to_fd, const char *name, struct err *err);

#endif
