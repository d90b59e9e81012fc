/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile - output kept in a file that cannot fill a disk.
 *
 * NAME.log holds the newest, NAME.log.1, if it is there, what came before; together they never
 * exceed the bound, and hold at least its last half. One process writes, any number read:
 * NAME.log is there from logfile_open() on, also while what is in it becomes NAME.log.1.
 */
#ifndef SYS_LOGFILE_H
#define SYS_LOGFILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum { LOGFILE_NAME_MAX = 64 };

struct logfile;
struct logfile_reader;

/* Makes NAME.log in dir_fd (kept as a duplicate), empty, mode 0600; one of that name goes. */
int logfile_open(int dir_fd, const char *name, uint64_t max_bytes, struct logfile **ret,
		 struct err *err);

/* What cannot be written is lost, and nothing else. */
void logfile_add(struct logfile *log, struct bytes data);

struct logfile *logfile_free(struct logfile *log);

/* From the oldest byte that is kept; dir_fd is kept as a duplicate. -ENOENT: there is no NAME.log. */
int logfile_reader_open(int dir_fd, const char *name, struct logfile_reader **ret, struct err *err);

/*
 * The next bytes, at most size; 0: there are no more by now. None comes twice; what the writer
 * dropped before it was read is left out.
 */
ssize_t logfile_reader_read(struct logfile_reader *reader, void *at, size_t size);

struct logfile_reader *logfile_reader_free(struct logfile_reader *reader);
CLEANUP_PTR(struct logfile_reader, logfile_reader_free)

#endif
