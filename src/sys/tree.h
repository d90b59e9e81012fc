/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - files of a root file system that somebody else made.
 *
 * Every path is resolved as a process chrooted to root_fd would: absolute links and ".." stay
 * inside, and no link of /proc leads out (openat2, RESOLVE_IN_ROOT). Leading slashes are fine.
 */
#ifndef SYS_TREE_H
#define SYS_TREE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* As openat(), O_CLOEXEC added; -errno of the kernel, in a number only. */
int tree_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd);

/*
 * Adds a whole file to *ret. -ENOENT, -EISDIR and so on of the kernel; -EBADF: not a regular file
 * (no FIFO can make it wait); -EFBIG: longer than max.
 */
int tree_read(int root_fd, const char *path, size_t max, struct buf *ret, struct err *err);

/* Adds a link's target to *ret; -EINVAL for what is no link. */
int tree_read_link(int root_fd, const char *path, struct buf *ret, struct err *err);

/* Adds the names in a directory to *ret, in byte order, without "." and "..". */
int tree_list(int root_fd, const char *path, struct strv *ret, struct err *err);

/* Makes a directory and those above it that are missing, owned by the caller. */
int tree_make_dirs(int root_fd, const char *path, mode_t mode, struct err *err);

/* Makes or replaces a regular file; -EBADF if something else of that name is there. */
int tree_write(int root_fd, const char *path, const char *text, mode_t mode, struct err *err);

#endif
