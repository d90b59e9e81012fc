// SPDX-License-Identifier: Apache-2.0
#include "sys/pcidev.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/file.h"

static int open_again(int dir_fd, const char *path, int flags)
{
	int fd;

	do {
		fd = openat(dir_fd, path, flags | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int pcidev_read(int sysfs_fd, const char *path, char *ret, size_t size, struct err *err)
{
	cleanup_close int fd = open_again(sysfs_fd, path, O_RDONLY);
	size_t len = 0;

	if (fd < 0)
		return err_num(err, fd, "open '%s'", path);
	for (;;) {
		ssize_t n = read(fd, ret + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read '%s'", path);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == size)
			return err_num(err, -EFBIG, "read '%s'", path);
	}
	if (memchr(ret, '\0', len))
		return err_num(err, -EBADMSG, "read '%s'", path);
	if (len > 0 && ret[len - 1] == '\n')
		len--;
	ret[len] = '\0';
	return 0;
}

int pcidev_write(int sysfs_fd, const char *path, const char *text, struct err *err)
{
	cleanup_close int fd = open_again(sysfs_fd, path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return err_num(err, fd, "open '%s'", path);
	do {
		n = write(fd, text, strlen(text));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(err, "write '%s' to '%s'", text, path) : 0;
}

int pcidev_link(int sysfs_fd, const char *path, char *ret, size_t size)
{
	ssize_t n = readlinkat(sysfs_fd, path, ret, size);

	if (n < 0)
		return -errno;
	if ((size_t)n == size)
		return -ENAMETOOLONG;
	ret[n] = '\0';
	return 0;
}

int pcidev_link_name(int sysfs_fd, const char *path, char *ret, size_t size)
{
	char target[PATH_MAX];
	int r = pcidev_link(sysfs_fd, path, target, sizeof(target));
	const char *slash, *name;

	if (r < 0)
		return r;
	slash = strrchr(target, '/');
	name = slash ? slash + 1 : target;
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	(void)snprintf(ret, size, "%s", name);
	return 0;
}

static int open_config(int sysfs_fd, const char *device, int flags, struct err *err)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/config", device);
	fd = open_again(sysfs_fd, path, flags);
	return fd < 0 ? err_num(err, fd, "open '%s'", path) : fd;
}

ssize_t pcidev_config_read(int sysfs_fd, const char *device, void *ret, size_t size,
			   struct err *err)
{
	cleanup_close int fd = open_config(sysfs_fd, device, O_RDONLY, err);
	size_t len = 0;

	if (fd < 0)
		return fd;
	while (len < size) {
		ssize_t n = pread(fd, (uint8_t *)ret + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read the configuration space of '%s'", device);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int pcidev_config_write(int sysfs_fd, const char *device, off_t at, uint32_t value, size_t size,
			struct err *err)
{
	cleanup_close int fd = open_config(sysfs_fd, device, O_WRONLY, err);
	const uint32_t bytes = htole32(value);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = pwrite(fd, &bytes, size, at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "write the configuration space of '%s'", device);
	return (size_t)n == size
		       ? 0
		       : err_num(err, -EIO, "write the configuration space of '%s'", device);
}

static void name_group(int group, char ret[static 24])
{
	(void)snprintf(ret, 24, "vfio/%d", group);
}

static int try_open(int dev_fd, const char *path, int flags)
{
	cleanup_close int fd = open_again(dev_fd, path, flags);

	return fd < 0 ? fd : 0;
}

/*
 * Opens what only one may have open at a time. Each look keeps the others out: so they take turns.
 * Who never lets go is not waited for: he could be anybody.
 */
static int try_in_turn(int dev_fd, const char *turn, const char *path, int flags)
{
	int turn_fd = open_again(dev_fd, turn, O_RDONLY | O_NONBLOCK);
	int r;

	if (turn_fd >= 0)
		(void)file_lock(turn_fd, true, PCIDEV_TURN_MS);
	r = try_open(dev_fd, path, flags);
	if (turn_fd >= 0)
		(void)close(turn_fd);
	return r;
}

int pcidev_group_try(int dev_fd, int group)
{
	char path[24];
	int r;

	name_group(group, path);
	r = try_in_turn(dev_fd, "vfio", path, O_RDWR);
	return r == -ENOENT ? 0 : r;
}

int pcidev_group_owner(int dev_fd, int group, struct pcidev_owner *ret)
{
	struct stat st;
	char path[24];

	name_group(group, path);
	if (fstatat(dev_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (struct pcidev_owner){ st.st_uid, st.st_gid, st.st_mode & 07777 };
	return 0;
}

/* First nobody's, then the new owner's, then open to him. */
int pcidev_group_give(int dev_fd, int group, const struct pcidev_owner *to)
{
	char path[24];

	name_group(group, path);
	if (fchmodat(dev_fd, path, 0, 0) < 0 ||
	    fchownat(dev_fd, path, to->uid, to->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dev_fd, path, to->mode, 0) < 0)
		return -errno;
	return 0;
}

int pcidev_disk_try(int dev_fd, const char *name)
{
	char path[NAME_MAX + 1];

	(void)snprintf(path, sizeof(path), "%s", name);
	for (char *c = path; *c; c++)
		*c = *c == '!' ? '/' : *c;
	/* a drive without a medium is in nobody's use */
	return try_in_turn(dev_fd, path, path, O_RDONLY | O_EXCL | O_NONBLOCK) == -EBUSY ? -EBUSY
											 : 0;
}

int pcidev_interface_try(const char *name)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	if (fd < 0 || strlen(name) >= sizeof(request.ifr_name))
		return 0;
	memcpy(request.ifr_name, name, strlen(name));
	return ioctl(fd, SIOCGIFADDR, &request) < 0 ? 0 : -EBUSY;
}
