// SPDX-License-Identifier: Apache-2.0
#include "sys/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/macro.h"
#include "base/text.h"
#include "sys/uevent.h"

enum { ENTROPY_MAX = 512, VPD_HEADER = 4 };

int guest_clock_set(int64_t realtime_ns, struct err *err)
{
	const struct timespec now = {
		.tv_sec = realtime_ns / 1000000000,
		.tv_nsec = realtime_ns % 1000000000,
	};

	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		return err_sys(err, "set the clock");
	return 0;
}

int guest_entropy_add(struct bytes entropy, struct err *err)
{
	union {
		struct rand_pool_info info;
		uint8_t room[sizeof(struct rand_pool_info) + ENTROPY_MAX];
	} pool = { .room = { 0 } };
	cleanup_close int fd = -1;
	int r = 0;

	if (entropy.len > ENTROPY_MAX)
		return err_set(err, -EINVAL, "add entropy: more than %d bytes", ENTROPY_MAX);
	if (entropy.len == 0)
		return 0;
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open '/dev/urandom'");
	pool.info.entropy_count = (int)entropy.len * 8;
	pool.info.buf_size = (int)entropy.len;
	memcpy(pool.room + sizeof(pool.info), entropy.at, entropy.len);
	if (ioctl(fd, RNDADDENTROPY, &pool) < 0)
		r = err_sys(err, "add entropy");
	explicit_bzero(&pool, sizeof(pool));
	return r;
}

int guest_loopback_up(struct err *err)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_sys(err, "bring up 'lo'");
	return 0;
}

/* Reads a small file whole into a string, without its last newline; -errno. */
static ssize_t read_small(int dir_fd, const char *path, char *at, size_t size)
{
	cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, at, size - 1);
	if (len < 0)
		return -errno;
	if (len > 0 && at[len - 1] == '\n')
		len--;
	at[len] = '\0';
	return len;
}

/* SPC's page 0x80: four bytes of header, then the number, padded with blanks by some. */
static bool read_serial(int block_fd, const char *disk, char *ret, size_t size)
{
	char path[300], page[VPD_HEADER + 256];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/device/vpd_pg80", disk);
	len = read_small(block_fd, path, page, sizeof(page));
	while (len > VPD_HEADER && page[len - 1] == ' ')
		len--;
	if (len <= VPD_HEADER || (size_t)(len - VPD_HEADER) >= size)
		return false;
	memcpy(ret, page + VPD_HEADER, (size_t)(len - VPD_HEADER));
	ret[len - VPD_HEADER] = '\0';
	return true;
}

static int read_device(int block_fd, const char *disk, dev_t *ret_device)
{
	uint64_t device_major, device_minor;
	char path[300], text[32], *colon;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/dev", disk);
	len = read_small(block_fd, path, text, sizeof(text));
	if (len < 0)
		return (int)len;
	colon = strchr(text, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (text_parse_uint(text, UINT32_MAX, &device_major) < 0 ||
	    text_parse_uint(colon + 1, UINT32_MAX, &device_minor) < 0)
		return -EINVAL;
	*ret_device = makedev((unsigned)device_major, (unsigned)device_minor);
	return 0;
}

/* Fills in one disk wherever it is asked for. */
static int match_disk(int block_fd, const char *disk, char *const *serials, size_t count,
		      dev_t *devices)
{
	char serial[GUEST_SERIAL_MAX + 1];
	int r = 0;

	if (!read_serial(block_fd, disk, serial, sizeof(serial)))
		return 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		if (strcmp(serial, serials[i]) != 0)
			continue;
		if (devices[i] != 0)
			return -EEXIST;
		r = read_device(block_fd, disk, &devices[i]);
	}
	return r;
}

static int scan_disks(int sysfs_fd, char *const *serials, size_t count, dev_t *devices)
{
	cleanup_close int block_fd = -1;
	const struct dirent *entry;
	int r = 0;
	DIR *dir;

	block_fd = openat(sysfs_fd, "block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = block_fd < 0 ? NULL : fdopendir(fcntl(block_fd, F_DUPFD_CLOEXEC, 0));
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "sd", 2) == 0)
			r = match_disk(block_fd, entry->d_name, serials, count, devices);
	(void)closedir(dir);
	return r;
}

int guest_disks_rescan(int sysfs_fd, struct err *err)
{
	cleanup_close int class_fd = -1;
	const struct dirent *entry;
	char path[300];
	int r = 0;
	DIR *dir;

	class_fd = openat(sysfs_fd, "class/scsi_host", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = class_fd < 0 ? NULL : fdopendir(fcntl(class_fd, F_DUPFD_CLOEXEC, 0));
	if (!dir)
		return err_sys(err, "find the disks' controller");
	while (r == 0 && (entry = readdir(dir))) {
		cleanup_close int fd = -1;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/scan", entry->d_name);
		fd = openat(class_fd, path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0 0 -", 5) < 0)
			r = err_sys(err, "look for disks: write '%s'", path);
	}
	(void)closedir(dir);
	return r;
}

int guest_disks_find(int sysfs_fd, char *const *serials, size_t count, dev_t *ret_devices,
		     struct err *err)
{
	cleanup_free dev_t *devices = calloc(count, sizeof(*devices));
	int r;

	if (!devices)
		return err_num(err, -ENOMEM, "find disks");
	for (size_t i = 0; i < count; i++)
		if (!serials[i][0] || strlen(serials[i]) > GUEST_SERIAL_MAX)
			return err_set(err, -EINVAL,
				       "find disk '%.40s': a serial number has 1 to "
				       "%d bytes",
				       serials[i], GUEST_SERIAL_MAX);
	r = scan_disks(sysfs_fd, serials, count, devices);
	if (r < 0)
		return err_num(err, r, "find disks");
	for (size_t i = 0; i < count; i++)
		if (devices[i] == 0)
			return err_set(err, -ENOENT, "find disk '%s': there is none", serials[i]);
	memcpy(ret_devices, devices, count * sizeof(*devices));
	return 0;
}

/* -ENOENT: no port of that name yet. */
static int find_port(int sysfs_fd, const char *name, char *ret_node, size_t size)
{
	cleanup_close int class_fd = -1;
	const struct dirent *entry;
	char path[300], text[64];
	int r = -ENOENT;
	DIR *dir;

	class_fd = openat(sysfs_fd, "class/virtio-ports", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = class_fd < 0 ? NULL : fdopendir(fcntl(class_fd, F_DUPFD_CLOEXEC, 0));
	if (!dir)
		return -ENOENT;
	while (r < 0 && (entry = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "%s/name", entry->d_name);
		if (entry->d_name[0] == '.' ||
		    read_small(class_fd, path, text, sizeof(text)) <= 0 || strcmp(text, name) != 0)
			continue;
		(void)snprintf(ret_node, size, "%s", entry->d_name);
		r = 0;
	}
	(void)closedir(dir);
	return r;
}

/*
 * A port says EPOLLHUP until the host's end is open, and wakes its waiters when that changes;
 * only edge-triggered waiting sees the change instead of the state.
 */
static int wait_for_host(int port_fd)
{
	cleanup_close int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int n;

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port_fd, &event) < 0)
		return -errno;
	do
		n = epoll_wait(epoll_fd, &event, 1, -1);
	while ((n < 0 && errno == EINTR) || (n > 0 && event.events & EPOLLHUP));
	return n < 0 ? -errno : 0;
}

int guest_port_open(int sysfs_fd, int dev_fd, const char *name, int *ret_fd, struct err *err)
{
	cleanup_close int event_fd = -1, fd = -1;
	struct pollfd wait;
	char node[256];
	int r;

	/* listening is set up only if needed: usually the port is there before its reader */
	r = find_port(sysfs_fd, name, node, sizeof(node));
	if (r < 0) {
		r = uevent_open(&event_fd, err);
		if (r < 0)
			return err_wrap(err, r, "find port '%s'", name);
		while (find_port(sysfs_fd, name, node, sizeof(node)) < 0) {
			wait = (struct pollfd){ .fd = event_fd, .events = POLLIN };
			(void)poll(&wait, 1, -1);
			(void)uevent_drain(event_fd, "virtio-ports");
		}
	}
	fd = openat(dev_fd, node, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "open '/dev/%s'", node);
	r = wait_for_host(fd);
	if (r < 0)
		return err_num(err, r, "wait for the host at '/dev/%s'", node);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int guest_power_off(void)
{
	sync();
	return reboot(RB_POWER_OFF) < 0 ? -errno : 0;
}
