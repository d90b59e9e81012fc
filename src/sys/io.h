/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io - the bytes of an open regular file, and files that come to be whole or not at all.
 *
 *	io_create(dir_fd, "x.tmp", &fd, err);
 *	io_write_at(fd, offset, bytes, err);
 *	io_publish(dir_fd, fd, "x.tmp", "x.img", err);
 *
 * Names are one component in dir_fd, never followed if they are links. Calls that a signal
 * interrupts are repeated. Each function returns 0 or the system call's negative errno, with a
 * message.
 */
#ifndef SYS_IO_H
#define SYS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/err.h"

int io_stat(int fd, struct stat *ret_stat, struct err *err);

/* Fills at with len bytes, or with what there is before the end: *ret_len says how many. */
int io_read_at(int fd, uint64_t offset, void *at, size_t len, size_t *ret_len, struct err *err);

/* Writes all of it. */
int io_write_at(int fd, uint64_t offset, struct bytes bytes, struct err *err);

/*
 * The next stretch of file from offset on that may hold other than zeros, cut at size; an empty
 * one at size if only a hole is left. Where the file system keeps no record of holes, it is all
 * that is left.
 */
int io_next_data(int fd, uint64_t offset, uint64_t size, uint64_t *ret_start, uint64_t *ret_end,
		 struct err *err);

/* A new empty file of mode 0600, open for reading and writing; an old one of that name goes. */
int io_create(int dir_fd, const char *name, int *ret_fd, struct err *err);

/* Opens any path for reading, links followed; of a FIFO or a terminal it waits for nothing. */
int io_open(int dir_fd, const char *path, int *ret_fd, struct err *err);

/*
 * Opens what is there and is a regular file of this user that nobody else may write (-EPERM if
 * not), for reading. -ENOENT without a message to speak of is common: err may be NULL.
 */
int io_open_own(int dir_fd, const char *name, int *ret_fd, struct err *err);

/* Syncs fd's file, gives it its name in the place of whatever had it, syncs the directory. */
int io_publish(int dir_fd, int fd, const char *tmp, const char *name, struct err *err);

/* Removes a file; 0 if there is none. */
int io_remove(int dir_fd, const char *name, struct err *err);

/*
 * Opens or makes a file to be locked, mode 0600. io_is_named says whether name is still that
 * file: whoever takes a lock asks, since the last holder may have removed it.
 */
int io_open_lock(int dir_fd, const char *name, int *ret_fd, struct err *err);
bool io_is_named(int dir_fd, const char *name, int fd);

#endif
