// SPDX-License-Identifier: Apache-2.0
#include "sys/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/macro.h"
#include "sys/file.h"

int tree_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int tree_read(int root_fd, const char *path, size_t max, struct buf *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_close int fd = -1;
	uint8_t chunk[16384];
	ssize_t got;
	int r;

	r = tree_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);
	if (r < 0)
		return err_num(err, r, "read '%s'", path);
	if (!is_regular(fd))
		return err_set(err, -EBADF, "read '%s': not a regular file", path);
	while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
		if ((size_t)got > max - text.len)
			return err_set(err, -EFBIG, "read '%s': longer than %zu bytes", path, max);
		r = buf_add(&text, chunk, (size_t)got);
		if (r < 0)
			return err_num(err, r, "read '%s'", path);
	}
	if (got < 0)
		return err_sys(err, "read '%s'", path);
	r = buf_add(ret, text.at, text.len);
	return r < 0 ? err_num(err, r, "read '%s'", path) : 0;
}

int tree_read_link(int root_fd, const char *path, struct buf *ret, struct err *err)
{
	cleanup_close int fd = -1;
	char target[PATH_MAX];
	ssize_t len;
	int r;

	r = tree_open(root_fd, path, O_PATH | O_NOFOLLOW, 0, &fd);
	if (r < 0)
		return err_num(err, r, "read the link '%s'", path);
	len = readlinkat(fd, "", target, sizeof(target));
	/* of what is no link, by a descriptor: ENOENT */
	if (len < 0)
		return err_num(err, errno == ENOENT ? -EINVAL : -errno, "read the link '%s'", path);
	if ((size_t)len == sizeof(target))
		return err_num(err, -ENAMETOOLONG, "read the link '%s'", path);
	r = buf_add(ret, target, (size_t)len);
	return r < 0 ? err_num(err, r, "read the link '%s'", path) : 0;
}

int tree_list(int root_fd, const char *path, struct strv *ret, struct err *err)
{
	cleanup_close int fd = -1;
	int r;

	r = tree_open(root_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return err_num(err, r, "read the directory '%s'", path);
	r = file_list(fd, ".", ret, err);
	return r < 0 ? err_wrap(err, r, "read the directory '%s'", path) : 0;
}

/* Makes the last component of path, whose parents are there. */
static int make_dir(int root_fd, char *path, mode_t mode)
{
	cleanup_close int parent_fd = -1;
	char *slash = strrchr(path, '/');
	int r;

	if (slash)
		*slash = '\0';
	r = tree_open(root_fd, slash && path[0] ? path : "/", O_RDONLY | O_DIRECTORY, 0,
		      &parent_fd);
	if (slash)
		*slash = '/';
	if (r < 0)
		return r;
	return mkdirat(parent_fd, slash ? slash + 1 : path, mode) < 0 ? -errno : 0;
}

int tree_make_dirs(int root_fd, const char *path, mode_t mode, struct err *err)
{
	size_t len = strlen(path), end = 0;
	char prefix[PATH_MAX];
	int r = 0;

	if (len >= sizeof(prefix))
		return err_set(err, -ENAMETOOLONG, "make directory '%s': too long", path);
	while (end < len && r == 0) {
		cleanup_close int fd = -1;

		end += strspn(path + end, "/");
		end += strcspn(path + end, "/");
		memcpy(prefix, path, end);
		prefix[end] = '\0';
		r = tree_open(root_fd, end > 0 ? prefix : "/", O_PATH | O_DIRECTORY, 0, &fd);
		if (r == -ENOENT && prefix[end - 1] != '/')
			r = make_dir(root_fd, prefix, mode);
	}
	return r < 0 ? err_num(err, r, "make directory '%s'", path) : 0;
}

int tree_write(int root_fd, const char *path, const char *text, mode_t mode, struct err *err)
{
	cleanup_close int fd = -1;
	size_t len = strlen(text);
	ssize_t put;
	int r;

	r = tree_open(root_fd, path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, mode, &fd);
	if (r < 0)
		return err_num(err, r, "write '%s'", path);
	if (!is_regular(fd))
		return err_set(err, -EBADF, "write '%s': not a regular file", path);
	if (ftruncate(fd, 0) < 0)
		return err_sys(err, "write '%s'", path);
	for (size_t off = 0; off < len; off += (size_t)put) {
		put = write(fd, text + off, len - off);
		if (put < 0)
			return err_sys(err, "write '%s'", path);
	}
	return 0;
}
