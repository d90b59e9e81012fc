// SPDX-License-Identifier: Apache-2.0
#include "sys/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "sys/file.h"

enum {
	DANCE_TRIES = 100,
	FDINFO_MAX = 64 << 10,
};

/* 1 if the locked file still has that name, 0 if not. */
static int has_name(int dir_fd, const char *name, int fd)
{
	struct stat ours, named;

	if (fstat(fd, &ours) < 0)
		return -errno;
	if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

int lockfile_open(int dir_fd, const char *name, bool may_create, int timeout_ms, int *ret,
		  struct err *err)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | (may_create ? O_CREAT : 0);
	int r = 0;

	for (int i = 0; i < DANCE_TRIES; i++) {
		cleanup_close int fd = openat(dir_fd, name, flags, 0600);

		if (fd < 0)
			return err_sys(err, "open '%s'", name);
		r = file_lock(fd, true, timeout_ms);
		if (r < 0)
			return err_num(err, r, "lock '%s'", name);
		r = has_name(dir_fd, name, fd);
		if (r < 0)
			return err_num(err, r, "look at '%s'", name);
		if (r > 0) {
			*ret = steal_fd(&fd);
			return 0;
		}
	}
	return err_num(err, -EWOULDBLOCK, "lock '%s'", name);
}

int lockfile_append(int fd, struct bytes data, size_t *len, struct err *err)
{
	int r = lseek(fd, (off_t)*len, SEEK_SET) < 0 ? -errno : file_write_all(fd, data, NULL);

	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r < 0) {
		(void)!ftruncate(fd, (off_t)*len);
		return err_num(err, r, "write %zu bytes", data.len);
	}
	*len += data.len;
	return 0;
}

/* Its fdinfo has a line for each lock of this open file, whoever took it. */
static bool has_lock(int proc_fd, const char *pid, const char *number)
{
	CLEANUP(buf_done) struct buf info = { 0 };
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/fdinfo/%s", pid, number);
	return file_read(proc_fd, path, FDINFO_MAX, &info, NULL) == 0 &&
	       memmem(info.at, info.len, " FLOCK ", 7);
}

/* True if one of the process's descriptors holds the lock of this file. */
static bool holds(int proc_fd, const char *pid, const struct stat *file)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	cleanup_close int fds_fd = -1;
	struct stat st;
	char path[32];

	(void)snprintf(path, sizeof(path), "%s/fd", pid);
	if (file_open_dir(proc_fd, path, &fds_fd, NULL) < 0 ||
	    file_list(fds_fd, ".", &names, NULL) < 0)
		return false;
	for (size_t i = 0; i < names.len; i++) {
		if (fstatat(fds_fd, names.at[i], &st, 0) == 0 && st.st_dev == file->st_dev &&
		    st.st_ino == file->st_ino && has_lock(proc_fd, pid, names.at[i]))
			return true;
	}
	return false;
}

int lockfile_kill_holders(int proc_fd, int fd, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	struct stat file;
	int r, found = 0;

	if (fstat(fd, &file) < 0)
		return err_sys(err, "look at a lock file");
	r = file_list(proc_fd, ".", &names, err);
	if (r < 0)
		return err_wrap(err, r, "look for the holders of a lock");
	for (size_t i = 0; i < names.len; i++) {
		cleanup_close int pid_fd = -1;
		uint64_t pid;

		if (text_parse_uint(names.at[i], INT32_MAX, &pid) < 0 || (pid_t)pid == getpid())
			continue;
		pid_fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		if (pid_fd < 0 || !holds(proc_fd, names.at[i], &file))
			continue;
		if (syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0) == 0 || errno == ESRCH)
			found++;
	}
	return found;
}
