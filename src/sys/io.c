// SPDX-License-Identifier: Apache-2.0
#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/macro.h"

int io_stat(int fd, struct stat *ret_stat, struct err *err)
{
	return fstat(fd, ret_stat) < 0 ? err_sys(err, "stat an open file") : 0;
}

int io_read_at(int fd, uint64_t offset, void *at, size_t len, size_t *ret_len, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)at + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read %zu bytes at %llu", len,
				       (unsigned long long)offset);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

int io_write_at(int fd, uint64_t offset, struct bytes bytes, struct err *err)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.at, bytes.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write %zu bytes at %llu", bytes.len,
				       (unsigned long long)offset);
		if (n == 0)
			return err_set(err, -EIO, "write at %llu: nothing was written",
				       (unsigned long long)offset);
		bytes.at += n;
		bytes.len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int io_next_data(int fd, uint64_t offset, uint64_t size, uint64_t *ret_start, uint64_t *ret_end,
		 struct err *err)
{
	off_t start, end;

	if (offset >= size) {
		*ret_start = *ret_end = size;
		return 0;
	}
	start = lseek(fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO) {
		*ret_start = *ret_end = size;
		return 0;
	}
	if (start < 0 && errno == EINVAL) {
		*ret_start = offset;
		*ret_end = size;
		return 0;
	}
	if (start < 0)
		return err_sys(err, "find data from %llu on", (unsigned long long)offset);
	end = lseek(fd, start, SEEK_HOLE);
	if (end < 0)
		return err_sys(err, "find a hole from %lld on", (long long)start);
	*ret_start = (uint64_t)start < size ? (uint64_t)start : size;
	*ret_end = (uint64_t)end < size ? (uint64_t)end : size;
	return 0;
}

int io_create(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	int fd;

	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove '%s'", name);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "make '%s'", name);
	*ret_fd = fd;
	return 0;
}

int io_open(int dir_fd, const char *path, int *ret_fd, struct err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	*ret_fd = fd;
	return 0;
}

int io_open_own(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	cleanup_close int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open '%s'", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(err, -EPERM,
			       "open '%s': it is not a file of this user's that "
			       "nobody else may write",
			       name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int io_publish(int dir_fd, int fd, const char *tmp, const char *name, struct err *err)
{
	if (fsync(fd) < 0)
		return err_sys(err, "sync '%s'", tmp);
	if (renameat(dir_fd, tmp, dir_fd, name) < 0)
		return err_sys(err, "rename '%s' to '%s'", tmp, name);
	if (fsync(dir_fd) < 0)
		return err_sys(err, "sync the directory of '%s'", name);
	return 0;
}

int io_remove(int dir_fd, const char *name, struct err *err)
{
	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove '%s'", name);
	return 0;
}

int io_open_lock(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "open lock '%s'", name);
	*ret_fd = fd;
	return 0;
}

bool io_is_named(int dir_fd, const char *name, int fd)
{
	struct stat open_st, named_st;

	return fstat(fd, &open_st) == 0 &&
	       fstatat(dir_fd, name, &named_st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       open_st.st_dev == named_st.st_dev && open_st.st_ino == named_st.st_ino;
}
