/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsmount - file systems made, placed and taken away, by the descriptor-based mount calls.
 *
 *	r = fsmount_make("erofs", (struct fsmount_option[]){ { "source", "/dev/dm-1" }, { "ro" } }, 2,
 *		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, &mount_fd, err);
 *	r = fsmount_place(mount_fd, dir_fd, "layer", err);
 *
 * There is no page of options to overflow: an overlay of 128 layers is 128 options of the same
 * key. What the kernel says about a refused option is part of the message.
 */
#ifndef SYS_FSMOUNT_H
#define SYS_FSMOUNT_H

#include <stddef.h>

#include "base/err.h"

struct fsmount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/*
 * A file system of that type that is mounted nowhere yet; attrs are MOUNT_ATTR_*. The caller owns
 * *ret_fd, and the file system goes with it if it was not placed. Any errno of the file system.
 */
int fsmount_make(const char *type, const struct fsmount_option *options, size_t count,
		 unsigned attrs, int *ret_fd, struct err *err);

/* Puts what fsmount_make() made on a directory; path is relative to dir_fd, its end not followed. */
int fsmount_place(int mount_fd, int dir_fd, const char *path, struct err *err);

/*
 * Takes away what is on path, now if it is idle, else as soon as its last user has gone.
 * -EINVAL: nothing is mounted there.
 */
int fsmount_remove(int dir_fd, const char *path, struct err *err);

#endif
