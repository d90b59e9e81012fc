// SPDX-License-Identifier: Apache-2.0
#include "sys/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/macro.h"

#ifndef MQUEUE_MAGIC /* in ipc/mqueue.c only */
#define MQUEUE_MAGIC 0x19800202
#endif

static inline void close_dir(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
CLEANUP_PTR(DIR, close_dir)

struct walk {
	walk_fn *fn;
	void *data;
	char path[WALK_PATH_MAX + 1];
	size_t len;
	size_t depth;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int walk_names(int dir_fd, struct strv *ret_names, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	CLEANUP(close_dir) DIR *dir = NULL;
	struct dirent *entry;
	int fd, r;

	/* anew: a DIR has a position, and dir_fd may have been read before */
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open a directory");
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return err_num(err, -ENOMEM, "read a directory");
	}
	while ((errno = 0, entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = strv_add(&names, entry->d_name);
		if (r < 0)
			return err_num(err, r, "read a directory");
	}
	if (errno != 0)
		return err_sys(err, "read a directory");
	if (names.len > 0)
		qsort(names.at, names.len, sizeof(*names.at), compare);
	*ret_names = names;
	names = (struct strv){ 0 };
	return 0;
}

static bool is_kernels(int fd)
{
	static const uint32_t magics[] = {
		PROC_SUPER_MAGIC,
		SYSFS_MAGIC,
		DEVPTS_SUPER_MAGIC,
		CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC,
		DEBUGFS_MAGIC,
		TRACEFS_MAGIC,
		SECURITYFS_MAGIC,
		SELINUX_MAGIC,
		SMACK_MAGIC,
		BPF_FS_MAGIC,
		PSTOREFS_MAGIC,
		EFIVARFS_MAGIC,
		BINFMTFS_MAGIC,
		MQUEUE_MAGIC,
		HUGETLBFS_MAGIC,
		NSFS_MAGIC,
		AUTOFS_SUPER_MAGIC,
		0x62656570 /* configfs */,
		0x65735543 /* fusectl */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		if ((uint32_t)fs.f_type == magics[i])
			return true;
	}
	return false;
}

/* Why an open did not work, for the person whose file it is. */
static int fail_open(const char *path, struct err *err)
{
	int num = -errno;

	if (num == -EACCES || num == -EPERM)
		return err_coded(err, ERR_UNREADABLE, -EACCES,
				 "read '%s': this user may not read it", path);
	if (num == -ENOENT || num == -ELOOP || num == -ENOTDIR || num == -ENXIO)
		return err_set(err, -ESTALE, "read '%s': it has changed meanwhile", path);
	return err_num(err, num, "read '%s'", path);
}

/* Both are of one open file, or of a name and what was opened by it. */
static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       (a->st_mode & S_IFMT) == (b->st_mode & S_IFMT);
}

static int visit(struct walk *walk, struct walk_entry *entry, dev_t dev, struct err *err);

static int push_name(struct walk *walk, const char *name, struct err *err)
{
	size_t room = sizeof(walk->path) - walk->len;
	int n = snprintf(walk->path + walk->len, room, "%s%s", walk->len ? "/" : "", name);

	if (n < 0 || (size_t)n >= room) {
		walk->path[walk->len] = '\0';
		return err_coded(err, ERR_IMAGE_LIMIT, -ENAMETOOLONG,
				 "read '%s': paths below it have more than %d bytes", walk->path,
				 WALK_PATH_MAX);
	}
	walk->len += (size_t)n;
	return 0;
}

static int visit_names(struct walk *walk, const struct walk_entry *dir, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	size_t len = walk->len;
	int r;

	if (walk->depth >= WALK_DEPTH_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -ELOOP,
				 "read '%s': more than %d directories deep", walk->path,
				 WALK_DEPTH_MAX);
	r = walk_names(dir->fd, &names, err);
	if (r < 0)
		return err_wrap(err, r, "read '%s'", dir->path);
	walk->depth++;
	for (size_t i = 0; i < names.len; i++) {
		struct walk_entry entry = { .dir_fd = dir->fd, .name = names.at[i], .fd = -1 };

		r = push_name(walk, entry.name, err);
		if (r < 0)
			return r;
		entry.path = walk->path;
		r = visit(walk, &entry, dir->st.st_dev, err);
		walk->len = len;
		walk->path[len] = '\0';
		if (r < 0)
			return r;
	}
	walk->depth--;
	return 0;
}

static int visit_dir(struct walk *walk, struct walk_entry *entry, dev_t dev, struct err *err)
{
	cleanup_close int fd =
		openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return fail_open(entry->path, err);
	if (fstat(fd, &st) < 0 || !is_same(&st, &entry->st))
		return err_set(err, -ESTALE, "read '%s': it has changed meanwhile", entry->path);
	entry->st = st;
	entry->fd = fd;
	entry->is_kernels = st.st_dev != dev && is_kernels(fd);
	r = walk->fn(walk->data, entry, err);
	if (r < 0 || entry->is_kernels)
		return r < 0 ? r : 0;
	return visit_names(walk, entry, err);
}

static int visit(struct walk *walk, struct walk_entry *entry, dev_t dev, struct err *err)
{
	int r;

	/* AT_NO_AUTOMOUNT is what a walk of somebody's files owes to the mounts that sleep there */
	if (fstatat(entry->dir_fd, entry->name, &entry->st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) <
	    0)
		return fail_open(entry->path, err);
	if (S_ISDIR(entry->st.st_mode))
		return visit_dir(walk, entry, dev, err);
	r = walk->fn(walk->data, entry, err);
	return r < 0 ? r : 0;
}

int walk_tree(int root_fd, walk_fn *fn, void *data, struct err *err)
{
	cleanup_free struct walk *walk = calloc(1, sizeof(*walk));
	struct walk_entry root = { .path = ".", .dir_fd = root_fd, .name = ".", .fd = root_fd };
	int r;

	if (!walk)
		return err_num(err, -ENOMEM, "walk a directory");
	walk->fn = fn;
	walk->data = data;
	if (fstat(root_fd, &root.st) < 0)
		return err_sys(err, "stat the root");
	r = fn(data, &root, err);
	return r < 0 ? r : visit_names(walk, &root, err);
}

int walk_open(const struct walk_entry *entry, int *ret_fd, struct err *err)
{
	/* O_NONBLOCK: should it have become a FIFO, this does not wait for its writer */
	cleanup_close int fd = openat(entry->dir_fd, entry->name,
				      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return fail_open(entry->path, err);
	if (fstat(fd, &st) < 0 || !is_same(&st, &entry->st))
		return err_set(err, -ESTALE, "read '%s': it has changed meanwhile", entry->path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int walk_read_link(const struct walk_entry *entry, struct buf *ret, struct err *err)
{
	char target[WALK_PATH_MAX + 1];
	ssize_t n = readlinkat(entry->dir_fd, entry->name, target, sizeof(target));
	int r;

	if (n < 0 && errno == EINVAL) /* no link any more */
		return err_set(err, -ESTALE, "read '%s': it has changed meanwhile", entry->path);
	if (n < 0)
		return fail_open(entry->path, err);
	if ((size_t)n >= sizeof(target))
		return err_coded(err, ERR_IMAGE_LIMIT, -ENAMETOOLONG,
				 "read '%s': its target has more than %d bytes", entry->path,
				 WALK_PATH_MAX);
	target[n] = '\0';
	r = buf_add(ret, target, (size_t)n + 1);
	return r < 0 ? err_num(err, r, "read '%s'", entry->path) : 0;
}

int walk_xattr_names(int fd, struct buf *ret, struct err *err)
{
	ssize_t n;
	int r = buf_reserve(ret, WALK_XATTR_LIST_MAX);

	if (r < 0)
		return err_num(err, r, "list attributes");
	n = flistxattr(fd, (char *)ret->at + ret->len, WALK_XATTR_LIST_MAX);
	if (n < 0 && errno == EOPNOTSUPP)
		return 0;
	if (n < 0)
		return err_sys(err, "list attributes");
	ret->len += (size_t)n;
	return 0;
}

int walk_xattr_value(int fd, const char *name, struct buf *ret, struct err *err)
{
	ssize_t n;
	int r = buf_reserve(ret, WALK_XATTR_VALUE_MAX);

	if (r < 0)
		return err_num(err, r, "read attribute '%s'", name);
	n = fgetxattr(fd, name, ret->at + ret->len, WALK_XATTR_VALUE_MAX);
	if (n < 0)
		return err_sys(err, "read attribute '%s'", name);
	ret->len += (size_t)n;
	return 0;
}
