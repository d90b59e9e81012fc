/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfile - output kept in a file that cannot fill a disk.
 *
 * NAME.log holds the newest, NAME.log.1, if it is there, what came before; together they never
 * exceed the bound, and hold at least its last half.
 */
#ifndef SYS_LOGFILE_H
#define SYS_LOGFILE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { LOGFILE_NAME_MAX = 64 };

struct logfile;

/* Makes NAME.log in dir_fd (kept as a duplicate), empty, mode 0600. */
int logfile_open(int dir_fd, const char *name, uint64_t max_bytes, struct logfile **ret,
		 struct err *err);

/* What cannot be written is lost, and nothing else. */
void logfile_add(struct logfile *log, struct bytes data);

struct logfile *logfile_free(struct logfile *log);

#endif
