/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file - files and directories below a directory that the caller holds open.
 *
 * Every path is relative to dir_fd (AT_FDCWD is the working directory; an absolute path ignores
 * it, except for file_open_beneath()). All descriptors are close-on-exec. Calls that a signal
 * interrupts are repeated. Besides the errors named here, each function passes on the errno of
 * the system call that ended it, negative, with a message that names the path.
 */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	FILE_TREE_MAX_DEPTH = 256, /* directories file_remove_tree() goes down */
};

/*
 * Reads a whole file, adding to *ret: also one whose size is not known before (proc, sysfs, a
 * pipe). -EFBIG if it has more than max bytes. On failure *ret holds what it held.
 */
int file_read(int dir_fd, const char *path, size_t max, struct buf *ret, struct err *err);

/*
 * Puts data in the place of name, whole or not at all, also across a power cut: written beside
 * it, synced, renamed, the directory synced. name is one component (-EINVAL). mode is exact,
 * whatever the umask. On failure what was there stays, and nothing new does.
 */
int file_write_atomic(int dir_fd, const char *name, struct bytes data, mode_t mode,
		      struct err *err);

/* Writes all of it, however many calls it takes; waits on a descriptor that does not block. */
int file_write_all(int fd, struct bytes data, struct err *err);

/*
 * Makes a directory and what it lacks above it, each with mode less the umask. What is there
 * already is left as it is and may be reached through links; -ENOTDIR if it is no directory.
 */
int file_mkdir_p(int dir_fd, const char *path, mode_t mode, struct err *err);

/* Opens a directory for reading; *ret is the caller's. */
int file_open_dir(int dir_fd, const char *path, int *ret, struct err *err);

/*
 * Opens a directory that is the user's own and nobody else's, making it (mode 0700) if nothing is
 * there. For a place where others may have been first: path may not end in a link (-ELOOP), and
 * must be owned by uid and closed to group and others (-EPERM).
 */
int file_open_private_dir(int dir_fd, const char *path, uid_t uid, int *ret, struct err *err);

/* Gives a file of a directory another name there, in the place of what has it. */
int file_rename(int dir_fd, const char *from, const char *to, struct err *err);

/* Waits until the names in a directory are on disk; 0 too if a file system has no such thing. */
int file_sync_dir(int dir_fd, struct err *err);

/* Adds the names in a directory to *ret, in byte order, without "." and "..". */
int file_list(int dir_fd, const char *path, struct strv *ret, struct err *err);

/*
 * Claims: a name in a directory that is given to an owner, by a link whose target is the owner's
 * name. To make one and to say whose it is are one step, so a crash leaves no claim of nobody's.
 * file_claim() is 0, -EEXIST if it is somebody's already (the same owner's too), or another errno;
 * file_unclaim() is 0 also if the claim is not there or not this owner's: then it stays.
 */
int file_claim(int dir_fd, const char *name, const char *owner);
int file_unclaim(int dir_fd, const char *name, const char *owner);

/*
 * Removes a file, or a directory with all that is in it. Links are removed, never followed; a
 * mount point below is an error (-EXDEV or -EBUSY), and so are more than FILE_TREE_MAX_DEPTH
 * levels (-ELOOP). On an error the rest is removed all the same, and the first error returned.
 * name is one component (-EINVAL). 0 if there is nothing of that name.
 */
int file_remove_tree(int dir_fd, const char *name, struct err *err);

/*
 * Opens a file of a tree that others may have made: no link, "..", absolute path or entry of
 * /proc leads out of dir_fd (-EXDEV, -ELOOP). O_CLOEXEC is added to flags; a file that O_CREAT
 * makes has mode 0600.
 */
int file_open_beneath(int dir_fd, const char *path, int flags, int *ret, struct err *err);

/*
 * Copies what a regular file holds, from its start, into anonymous memory that nobody can
 * change from then on (sealed against writing, growing, shrinking, and more seals). name is what
 * /proc shows. from_fd stays the caller's, its position where it was.
 */
int file_memfd_sealed(int from_fd, const char *name, int *ret, struct err *err);

/*
 * Takes flock() on fd: at once or not at all (timeout_ms 0), within timeout_ms, or whenever it
 * can be had (-1). -EWOULDBLOCK if another open file holds it that long. The lock goes with the
 * last descriptor of this open file, so a child that inherits fd holds it too. Who fails to make
 * a shared lock exclusive has lost the shared one: flock() lets go first.
 */
int file_lock(int fd, bool exclusive, int timeout_ms);

#endif
