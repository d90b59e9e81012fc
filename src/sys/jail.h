/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail - the inside of new namespaces, for the process that was just made in them.
 *
 * Both functions return 0, or a negative errno and in *ret_step what could not be done. After an
 * error the process is of no use any more: how far it came is not undone.
 */
#ifndef SYS_JAIL_H
#define SYS_JAIL_H

#include <sys/types.h>

/* First thing in a user namespace: the IDs that the process had outside, and no others. */
int jail_map_ids(uid_t uid, gid_t gid, const char **ret_step);

/*
 * In a mount namespace of its own: makes a root of /usr and the /lib folders (read-only), the
 * linker's cache, /proc, /dev/null and /dev/urandom, and makes it the only thing to be seen. /proc
 * is a new one (of the caller's PID namespace) where the kernel allows that, the host's otherwise.
 * With nodes, which NULL ends: these of /dev too ("vfio/vfio", at most one folder deep), those that
 * are there, and /sys, read-only, where a program learns which of them is which device's.
 * -EINVAL in a chroot: its root is no mount, so nothing can be put in its place.
 */
int jail_enter_root(const char *const *nodes, const char **ret_step);

#endif
