// SPDX-License-Identifier: Apache-2.0
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sys/host.h"

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3, younger than Debian 12's headers */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum {
	READ_CHUNK = 16 << 10,
	COPY_CHUNK = 1 << 30,
	LOCK_POLL_MS = 10,
	OPEN_TRIES = 100, /* openat2() says EAGAIN while somebody renames in the tree */
	NAME_TRIES = 16,
};

static bool is_component(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Adds fd's bytes to buf; -EFBIG once there are more than max. */
static int read_all(int fd, size_t max, struct buf *buf)
{
	size_t start = buf->len;

	for (;;) {
		size_t room = max - (buf->len - start);
		ssize_t n;
		int r;

		/* One byte more than is allowed, to see whether the file ends there. */
		if (room >= READ_CHUNK)
			room = READ_CHUNK - 1;
		r = buf_reserve(buf, room + 1);
		if (r < 0)
			return r;
		n = read(fd, buf->at + buf->len, room + 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf->len += (size_t)n;
		if (buf->len - start > max)
			return -EFBIG;
	}
}

int file_read(int dir_fd, const char *path, size_t max, struct buf *ret, struct err *err)
{
	cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t start = ret->len;
	int r;

	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	r = read_all(fd, max, ret);
	if (r == 0)
		return 0;
	ret->len = start;
	if (r == -EFBIG)
		return err_set(err, r, "read '%s': more than %zu bytes", path, max);
	return err_num(err, r, "read '%s'", path);
}

static int write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.at, data.len);

		if (n > 0) {
			data.at += n;
			data.len -= (size_t)n;
		} else if (n == 0) {
			return -EIO;
		} else if (errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int file_write_all(int fd, struct bytes data, struct err *err)
{
	int r = write_all(fd, data);

	return r < 0 ? err_num(err, r, "write %zu bytes", data.len) : 0;
}

/* Makes an empty file of a name nobody has; its name goes to tmp. */
static int create_beside(int dir_fd, char *tmp, size_t size)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		uint64_t random;
		int fd;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		(void)snprintf(tmp, size, ".tmp-%016llx", (unsigned long long)random);
		fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			    0600);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

static int fill_synced(int fd, struct bytes data, mode_t mode)
{
	int r = write_all(fd, data);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Opened anew, so that AT_FDCWD and O_PATH descriptors do as well. */
static int sync_dir(int dir_fd)
{
	cleanup_close int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Some file systems have no such thing for directories, and say EINVAL. */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int file_write_atomic(int dir_fd, const char *name, struct bytes data, mode_t mode, struct err *err)
{
	cleanup_close int fd = -1;
	char tmp[32];
	int r;

	if (!is_component(name))
		return err_set(err, -EINVAL, "write '%s': not a plain name", name);
	fd = create_beside(dir_fd, tmp, sizeof(tmp));
	if (fd < 0)
		return err_num(err, fd, "create a file beside '%s'", name);
	r = fill_synced(fd, data, mode);
	if (r == 0 && renameat(dir_fd, tmp, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir_fd, tmp, 0);
		return err_num(err, r, "write '%s'", name);
	}
	r = sync_dir(dir_fd);
	return r < 0 ? err_num(err, r, "sync the directory of '%s'", name) : 0;
}

/* One directory, which may be there; errno of what it is not told by mkdirat(). */
static int mkdir_one(int dir_fd, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dir_fd, path, mode) == 0)
		return 0;
	/* mkdir() on what exists may say EROFS or EACCES before it says EEXIST. */
	if (errno != EEXIST && errno != EROFS && errno != EACCES && errno != EPERM)
		return -errno;
	if (fstatat(dir_fd, path, &st, 0) < 0)
		return errno == ENOENT && mkdirat(dir_fd, path, mode) == 0 ? 0 : -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdir_p(int dir_fd, const char *path, mode_t mode, struct err *err)
{
	cleanup_free char *copy = strdup(path);
	char *end;
	int r;

	if (!copy)
		return err_num(err, -ENOMEM, "make directory '%s'", path);
	if (!copy[0])
		return err_num(err, -ENOENT, "make directory ''");
	end = copy + strspn(copy, "/");
	while (*end) {
		char kept;

		end += strcspn(end, "/");
		kept = *end;
		*end = '\0';
		r = mkdir_one(dir_fd, copy, mode);
		if (r < 0)
			return err_num(err, r, "make directory '%s'", copy);
		*end = kept;
		end += strspn(end, "/");
	}
	return 0;
}

int file_open_dir(int dir_fd, const char *path, int *ret, struct err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open directory '%s'", path);
	*ret = fd;
	return 0;
}

int file_open_private_dir(int dir_fd, const char *path, uid_t uid, int *ret, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (mkdirat(dir_fd, path, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
		return err_sys(err, "make directory '%s'", path);
	fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR && fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
	if (fd < 0 && errno == ELOOP)
		return err_set(err, -ELOOP, "open directory '%s': it is a link", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open directory '%s'", path);
	if (st.st_uid != uid)
		return err_set(err, -EPERM, "open directory '%s': it is owned by user %u, not %u",
			       path, (unsigned int)st.st_uid, (unsigned int)uid);
	if (st.st_mode & 077)
		return err_set(err, -EPERM,
			       "open directory '%s': its mode is %04o; it must be 0700", path,
			       st.st_mode & 07777);
	*ret = steal_fd(&fd);
	return 0;
}

int file_rename(int dir_fd, const char *from, const char *to, struct err *err)
{
	if (renameat(dir_fd, from, dir_fd, to) < 0)
		return err_sys(err, "rename '%s' to '%s'", from, to);
	return 0;
}

int file_sync_dir(int dir_fd, struct err *err)
{
	int r = sync_dir(dir_fd);

	return r < 0 ? err_num(err, r, "sync a directory") : 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int file_list(int dir_fd, const char *path, struct strv *ret, struct err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t start = ret->len;
	struct dirent *entry;

	if (!dir) {
		r = err_sys(err, "open directory '%s'", path);
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = strv_add(ret, entry->d_name);
	}
	if (r == 0)
		r = -errno;
	(void)closedir(dir);
	if (r < 0)
		return err_num(err, r, "list directory '%s'", path);
	if (ret->len > start)
		qsort(ret->at + start, ret->len - start, sizeof(*ret->at), compare_names);
	return 0;
}

int file_claim(int dir_fd, const char *name, const char *owner)
{
	return symlinkat(owner, dir_fd, name) < 0 ? -errno : 0;
}

int file_unclaim(int dir_fd, const char *name, const char *owner)
{
	char found[256];
	ssize_t n = readlinkat(dir_fd, name, found, sizeof(found));

	if (n < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : -errno;
	if ((size_t)n != strlen(owner) || memcmp(found, owner, (size_t)n) != 0)
		return 0;
	return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_how(int dir_fd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = resolve,
	};
	long fd;

	if (flags & O_CREAT)
		how.mode = 0600;
	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int file_open_beneath(int dir_fd, const char *path, int flags, int *ret, struct err *err)
{
	int fd = open_how(dir_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

	if (fd < 0)
		return err_num(err, fd, "open '%s'", path);
	*ret = fd;
	return 0;
}

/* What is kept on the way down, so that the whole tree goes as far as it can. */
struct removal {
	int num;       /* the first error */
	char name[64]; /* and where: the end of its name */
};

static void removal_note(struct removal *rm, const char *name, int num)
{
	if (rm->num == 0) {
		rm->num = num;
		(void)snprintf(rm->name, sizeof(rm->name), "%s", name);
	}
}

static bool remove_entry(struct removal *rm, int dir_fd, const char *name, int depth);

/* One pass over a directory; true if something went. */
static bool remove_entries(struct removal *rm, DIR *dir, int depth)
{
	struct dirent *entry;
	bool removed = false;

	rewinddir(dir);
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (remove_entry(rm, dirfd(dir), entry->d_name, depth))
			removed = true;
	}
	return removed;
}

static bool remove_dir(struct removal *rm, int dir_fd, const char *name, int depth)
{
	int fd = open_how(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
			  RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool gone = false;

	if (!dir) {
		int num = fd < 0 ? fd : -errno;

		/* One that cannot be opened may yet be empty. */
		if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || num == -ENOENT)
			gone = true;
		else
			removal_note(rm, name, num);
		if (fd >= 0)
			(void)close(fd);
		return gone;
	}
	/* Entries may be missed by readdir() while others go: again, as long as it helps. */
	while (!gone) {
		bool removed = remove_entries(rm, dir, depth + 1);

		gone = unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
		if (!gone && (!removed || errno != ENOTEMPTY)) {
			removal_note(rm, name, -errno);
			break;
		}
	}
	(void)closedir(dir);
	return gone;
}

static bool remove_entry(struct removal *rm, int dir_fd, const char *name, int depth)
{
	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return true;
	/* EISDIR is Linux's word, EPERM POSIX's and that of an immutable file. */
	if (errno != EISDIR && errno != EPERM) {
		removal_note(rm, name, -errno);
		return false;
	}
	if (depth >= FILE_TREE_MAX_DEPTH) {
		removal_note(rm, name, -ELOOP);
		return false;
	}
	return remove_dir(rm, dir_fd, name, depth);
}

int file_remove_tree(int dir_fd, const char *name, struct err *err)
{
	struct removal rm = { 0 };

	if (!is_component(name))
		return err_set(err, -EINVAL, "remove '%s': not a plain name", name);
	if (remove_entry(&rm, dir_fd, name, 0))
		return 0;
	if (strcmp(rm.name, name) != 0)
		return err_num(err, rm.num, "remove '%s': remove '%s' in it", name, rm.name);
	return err_num(err, rm.num, "remove '%s'", name);
}

static int copy_to_memfd(int from_fd, int memfd)
{
	off_t at = 0;
	ssize_t n;

	do {
		n = sendfile(memfd, from_fd, &at, COPY_CHUNK);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

int file_memfd_sealed(int from_fd, const char *name, int *ret, struct err *err)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	cleanup_close int fd =
		memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int r;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, "make memory file '%s'", name);
	r = copy_to_memfd(from_fd, fd);
	if (r < 0)
		return err_num(err, r, "copy into memory file '%s'", name);
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return err_sys(err, "seal memory file '%s'", name);
	/* Whoever reads it through this descriptor begins at the start. */
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "rewind memory file '%s'", name);
	*ret = steal_fd(&fd);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int file_lock(int fd, bool exclusive, int timeout_ms)
{
	const int op = exclusive ? LOCK_EX : LOCK_SH;
	int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;

	/*
	 * flock() knows no time limit, and alarm() would take a signal from the whole process. Its
	 * prototype is in the C library's header of this header's name, hence syscall().
	 */
	for (;;) {
		if (syscall(SYS_flock, fd, timeout_ms < 0 ? op : op | LOCK_NB) == 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK || timeout_ms == 0 || now_ms() >= deadline)
			return -errno;
		host_sleep_ms(LOCK_POLL_MS);
	}
}
