/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk - every file of a directory tree, in an order that depends on the names alone.
 *
 * A directory comes before what is in it, names in one directory in the order of their bytes. No
 * link is followed. What is mounted in the tree is walked too, but for the kernel's own file
 * systems (proc, sysfs, devpts, cgroup, mqueue, debugfs and their like): such a mount point is
 * shown as a directory, and nothing below it.
 */
#ifndef SYS_WALK_H
#define SYS_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	WALK_DEPTH_MAX = 256, /* directories in directories; each keeps one open */
	WALK_PATH_MAX = 4095,
	WALK_XATTR_LIST_MAX = 64 << 10, /* the kernel's limits */
	WALK_XATTR_VALUE_MAX = 64 << 10,
};

struct walk_entry {
	const char *path; /* from the root; "." is the root itself */
	int dir_fd;	  /* of the directory it is in, and its name there */
	const char *name;
	int fd; /* of a directory: open; else -1 */
	struct stat st;
	bool is_kernels; /* a mount point of a file system of the kernel's own */
};

/* What is below 0 ends the walk, and walk_tree returns it. Nothing of entry lives on. */
typedef int walk_fn(void *data, const struct walk_entry *entry, struct err *err);

/*
 * Shows the root first. Besides the kernel's errors: -EACCES with ERR_UNREADABLE for a directory
 * that can't be read, -ELOOP and -ENAMETOOLONG with ERR_IMAGE_LIMIT for too deep and too long a
 * path, -ENOMEM. What is renamed or removed meanwhile is -ESTALE.
 */
int walk_tree(int root_fd, walk_fn *fn, void *data, struct err *err);

/*
 * Opens a regular file for reading, if it is still the one that was shown (-ESTALE).
 * -EACCES with ERR_UNREADABLE.
 */
int walk_open(const struct walk_entry *entry, int *ret_fd, struct err *err);

/* The target of a symbolic link, added to ret with a NUL behind it. */
int walk_read_link(const struct walk_entry *entry, struct buf *ret, struct err *err);

/*
 * Extended attributes of an open file or directory. Names, each with its NUL, are added to ret;
 * none where the file system has no such thing. A value is added to ret; -ENODATA if it is gone.
 */
int walk_xattr_names(int fd, struct buf *ret, struct err *err);
int walk_xattr_value(int fd, const char *name, struct buf *ret, struct err *err);

/* The names in a directory, sorted, without "." and "..". */
int walk_names(int dir_fd, struct strv *ret_names, struct err *err);

#endif
