/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockfile - files whose lock says that their owner lives.
 *
 * The lock is flock()'s: it goes when the last descriptor of that open file is closed, however
 * the process ended, and a child that inherits the descriptor keeps it. So it needs no process id
 * that may be somebody else's by now. A lock file may be removed by who holds its lock; who waited
 * for it then holds a file without a name, which lockfile_open() finds out.
 */
#ifndef SYS_LOCKFILE_H
#define SYS_LOCKFILE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * Opens name (one component, no link) for reading and writing, makes it (mode 0600, empty) if
 * may_create, and locks it, waiting timeout_ms (0: not at all, -1: as long as it takes). On
 * success *ret is the caller's and name is that very file's.
 *
 *	-EWOULDBLOCK  another holds the lock
 *	-ENOENT       there is no such file, and it may not be made
 */
int lockfile_open(int dir_fd, const char *name, bool may_create, int timeout_ms, int *ret,
		  struct err *err);

/*
 * Adds data at the end, *len bytes from the start, and waits until it is on disk; *len grows. On
 * failure (a full disk, say) what was written is cut off again. If even that is impossible, the
 * rest stays behind *len, to be overwritten by the next call.
 */
int lockfile_append(int fd, struct bytes data, size_t *len, struct err *err);

/*
 * Kills (SIGKILL) every process but this one that holds the lock of the file behind fd, and
 * returns how many were found. A process is known by the lock it holds, and kept by a pidfd before
 * it is looked at, so nobody else is hit. Those that this user may not look into are passed over.
 * Does not wait for their end: file_lock() does.
 */
int lockfile_kill_holders(int proc_fd, int fd, struct err *err);

#endif
