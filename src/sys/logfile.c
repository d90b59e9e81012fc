// SPDX-License-Identifier: Apache-2.0
#include "sys/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/sock.h"

/*
 * How this works: NAME.log grows to half of the bound, then gets the name NAME.log.1 too and an
 * empty file takes its first name, so that the last half of the bound is always there, and never
 * more than all of it. A write that fails (a full disk) loses that output and nothing else: a log
 * must not stop a container.
 *
 * A reader knows files, not names: it reads one to its end, and goes on once NAME.log is another.
 * A file that has lost its first name is not written any more.
 */

enum { LOOK_TRIES = 100 };

struct names {
	char log[LOGFILE_NAME_MAX + 8];
	char old[LOGFILE_NAME_MAX + 12];
	char next[LOGFILE_NAME_MAX + 12];
};

struct logfile {
	int dir_fd;
	int fd;
	uint64_t half;
	uint64_t len;
	struct names names;
};

struct logfile_reader {
	int dir_fd;
	int fd;	      /* read now */
	int later[2]; /* and then; -1: none */
	struct names names;
};

static struct names names_of(const char *name)
{
	struct names names;

	(void)snprintf(names.log, sizeof(names.log), "%s.log", name);
	(void)snprintf(names.old, sizeof(names.old), "%s.log.1", name);
	(void)snprintf(names.next, sizeof(names.next), "%s.log.new", name);
	return names;
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		(void)close(steal_fd(fd));
}

static int make(const struct logfile *log, const char *name, struct err *err)
{
	int fd = openat(log->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);

	return fd < 0 ? err_sys(err, "make '%s'", name) : fd;
}

int logfile_open(int dir_fd, const char *name, uint64_t max_bytes, struct logfile **ret,
		 struct err *err)
{
	struct logfile *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return err_num(err, -ENOMEM, "make the log of '%s'", name);
	log->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	log->half = max_bytes / 2 ? max_bytes / 2 : 1;
	log->names = names_of(name);
	(void)unlinkat(log->dir_fd, log->names.old, 0);
	(void)unlinkat(log->dir_fd, log->names.log, 0);
	log->fd = r = make(log, log->names.log, err);
	if (r < 0) {
		(void)logfile_free(log);
		return r;
	}
	*ret = log;
	return 0;
}

static int begin_anew(struct logfile *log)
{
	const struct names *names = &log->names;
	cleanup_close int fd = make(log, names->next, NULL);

	if (fd < 0)
		return fd;
	(void)unlinkat(log->dir_fd, names->old, 0);
	if (linkat(log->dir_fd, names->log, log->dir_fd, names->old, 0) < 0 ||
	    renameat(log->dir_fd, names->next, log->dir_fd, names->log) < 0)
		return -errno;
	(void)close(log->fd);
	log->fd = steal_fd(&fd);
	log->len = 0;
	return 0;
}

void logfile_add(struct logfile *log, struct bytes data)
{
	while (data.len) {
		size_t n = data.len;

		if (log->len >= log->half && begin_anew(log) < 0)
			return;
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
	close_if(&log->fd);
	close_if(&log->dir_fd);
	free(log);
	return NULL;
}

static bool is_same(int fd, int other_fd)
{
	struct stat st, other;

	return fd >= 0 && other_fd >= 0 && fstat(fd, &st) == 0 && fstat(other_fd, &other) == 0 &&
	       st.st_dev == other.st_dev && st.st_ino == other.st_ino;
}

static bool has_name(const struct logfile_reader *reader, int fd, const char *name)
{
	cleanup_close int named_fd = -1;

	return file_open_beneath(reader->dir_fd, name, O_RDONLY, &named_fd, NULL) == 0 &&
	       is_same(fd, named_fd);
}

/* What is to be read after the file that is read now; later[1] is -1 while that is the newest. */
static int look(struct logfile_reader *reader, struct err *err)
{
	cleanup_close int old_fd = -1, log_fd = -1;
	bool settled = false;
	int r;

	for (int try = 0; try < LOOK_TRIES && !settled; try++) {
		close_if(&log_fd);
		close_if(&old_fd);
		r = file_open_beneath(reader->dir_fd, reader->names.log, O_RDONLY, &log_fd, err);
		if (r < 0)
			return r;
		(void)file_open_beneath(reader->dir_fd, reader->names.old, O_RDONLY, &old_fd, NULL);
		settled = has_name(reader, log_fd, reader->names.log);
	}
	if (is_same(reader->fd, log_fd))
		return 0;
	/* not settled, the old one may be newer than the other */
	if (settled && !is_same(old_fd, reader->fd) && !is_same(old_fd, log_fd))
		reader->later[0] = steal_fd(&old_fd);
	reader->later[1] = steal_fd(&log_fd);
	return 0;
}

static void go_on(struct logfile_reader *reader)
{
	size_t next = reader->later[0] < 0;

	close_if(&reader->fd);
	reader->fd = steal_fd(&reader->later[next]);
}

int logfile_reader_open(int dir_fd, const char *name, struct logfile_reader **ret, struct err *err)
{
	CLEANUP(logfile_reader_free) struct logfile_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return err_num(err, -ENOMEM, "read the log of '%s'", name);
	reader->fd = reader->later[0] = reader->later[1] = -1;
	reader->names = names_of(name);
	reader->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	if (reader->dir_fd < 0)
		return err_sys(err, "read the log of '%s'", name);
	r = look(reader, err);
	if (r < 0)
		return r;
	go_on(reader);
	*ret = steal_ptr(&reader);
	return 0;
}

ssize_t logfile_reader_read(struct logfile_reader *reader, void *at, size_t size)
{
	for (;;) {
		ssize_t n = sock_read(reader->fd, at, size);
		int r;

		if (n != 0)
			return n;
		if (reader->later[1] >= 0) {
			go_on(reader);
			continue;
		}
		r = look(reader, NULL);
		if (r < 0 || reader->later[1] < 0)
			return r == -ENOENT ? 0 : r;
		/* what was written before it lost its name is read first */
	}
}

struct logfile_reader *logfile_reader_free(struct logfile_reader *reader)
{
	if (!reader)
		return NULL;
	close_if(&reader->fd);
	close_if(&reader->later[0]);
	close_if(&reader->later[1]);
	close_if(&reader->dir_fd);
	free(reader);
	return NULL;
}
