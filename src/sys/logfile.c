// SPDX-License-Identifier: Apache-2.0
#include "sys/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/file.h"

/*
 * How this works: NAME grows to half of the bound, then becomes NAME.1 and a new NAME is begun,
 * so that the last half of the bound is always there, and never more than all of it. A write that
 * fails (a full disk) loses that output and nothing else: a log must not stop a container.
 */

struct logfile {
	int dir_fd;
	int fd;
	uint64_t half;
	uint64_t len;
	char name[LOGFILE_NAME_MAX + 8];
	char old[LOGFILE_NAME_MAX + 12];
};

static int begin(struct logfile *log, struct err *err)
{
	log->fd = openat(log->dir_fd, log->name,
			 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	log->len = 0;
	return log->fd < 0 ? err_sys(err, "make '%s'", log->name) : 0;
}

int logfile_open(int dir_fd, const char *name, uint64_t max_bytes, struct logfile **ret,
		 struct err *err)
{
	struct logfile *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return err_num(err, -ENOMEM, "make the log of '%s'", name);
	log->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	log->fd = -1;
	log->half = max_bytes / 2 ? max_bytes / 2 : 1;
	(void)snprintf(log->name, sizeof(log->name), "%s.log", name);
	(void)snprintf(log->old, sizeof(log->old), "%s.log.1", name);
	r = begin(log, err);
	if (r < 0) {
		(void)logfile_free(log);
		return r;
	}
	*ret = log;
	return 0;
}

void logfile_add(struct logfile *log, struct bytes data)
{
	while (data.len) {
		size_t n = data.len;

		if (log->len >= log->half) {
			(void)close(log->fd);
			(void)renameat(log->dir_fd, log->name, log->dir_fd, log->old);
			if (begin(log, NULL) < 0)
				return;
		}
		if (n > log->half - log->len)
			n = (size_t)(log->half - log->len);
		if (file_write_all(log->fd, (struct bytes){ data.at, n }, NULL) < 0)
			return;
		log->len += n;
		data.at += n;
		data.len -= n;
	}
}

struct logfile *logfile_free(struct logfile *log)
{
	if (!log)
		return NULL;
	if (log->fd >= 0)
		(void)close(log->fd);
	if (log->dir_fd >= 0)
		(void)close(log->dir_fd);
	free(log);
	return NULL;
}
