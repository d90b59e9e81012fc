/* SPDX-License-Identifier: Apache-2.0 */
/* sysfs - a made-up /sys in a test's folder, with PCI functions on bus 1 of a root port. */
#ifndef TESTS_AGENT_SYSFS_H
#define TESTS_AGENT_SYSFS_H

#include "../folder.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/device.h"
#include "sys/tree.h"

#define PORT "devices/pci0000:00/0000:00:02.0"

/* Makes the directories above, too. */
static inline void sysfs_put(const char *path, const void *at, size_t len)
{
	char parent[320];
	int fd;

	(void)snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdir_p(folder_fd, parent, 0755, NULL), 0);
	fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, at, len), len);
	(void)close(fd);
}

static inline void sysfs_text(const char *path, const char *text)
{
	sysfs_put(path, text, strlen(text));
}

static inline void sysfs_link(const char *to, const char *path)
{
	char parent[320];

	(void)snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdir_p(folder_fd, parent, 0755, NULL), 0);
	(void)unlinkat(folder_fd, path, 0);
	assert_int_equal(symlinkat(to, folder_fd, path), 0);
}

/* 1af4:1050 of class 038000, no driver, BARs 1 (32 bits) and 4 (64 bits), I/O at BAR 0. */
static inline void sysfs_function(const char *address)
{
	static const char resource[] = "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n"
				       "0x00000000fea00000 0x00000000fea00fff 0x0000000000040200\n"
				       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				       "0x0000004000000000 0x00000040000fffff 0x000000000014220c\n"
				       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
	uint8_t config[64] = { 0xf4, 0x1a, 0x50, 0x10, 0x02, 0x05 };
	char dir[64], path[128], to[128];

	(void)snprintf(dir, sizeof(dir), PORT "/%s", address);
	(void)snprintf(path, sizeof(path), "bus/pci/devices/%s", address);
	(void)snprintf(to, sizeof(to), "../../../%s", dir);
	sysfs_link(to, path);
	(void)snprintf(path, sizeof(path), "%s/vendor", dir);
	sysfs_text(path, "0x1af4\n");
	(void)snprintf(path, sizeof(path), "%s/device", dir);
	sysfs_text(path, "0x1050\n");
	(void)snprintf(path, sizeof(path), "%s/class", dir);
	sysfs_text(path, "0x038000\n");
	(void)snprintf(path, sizeof(path), "%s/config", dir);
	sysfs_put(path, config, sizeof(config));
	(void)snprintf(path, sizeof(path), "%s/enable", dir);
	sysfs_text(path, "0\n");
	(void)snprintf(path, sizeof(path), "%s/resource", dir);
	sysfs_text(path, resource);
	for (int bar = 0; bar < 5; bar++) {
		(void)snprintf(path, sizeof(path), "%s/resource%d", dir, bar);
		if (bar == 0 || bar == 1 || bar == 4)
			sysfs_text(path, "");
	}
	/* its own uevent is no node, and the link back would make a circle */
	(void)snprintf(path, sizeof(path), "%s/uevent", dir);
	sysfs_text(path, "PCI_ID=1AF4:1050\n");
	(void)snprintf(path, sizeof(path), "%s/subsystem", dir);
	sysfs_link("../../../../bus/pci", path);
}

static inline void sysfs_driver(const char *address, const char *name)
{
	char path[128], to[128];

	(void)snprintf(path, sizeof(path), PORT "/%s/driver", address);
	(void)snprintf(to, sizeof(to), "../../../../bus/pci/drivers/%s", name);
	sysfs_link(to, path);
}

/* What a driver made at PORT/ADDRESS/where: its event, its subsystem, a link back. */
static inline void sysfs_child(const char *address, const char *where, const char *subsystem,
			       const char *event)
{
	char path[320], to[64];

	(void)snprintf(path, sizeof(path), PORT "/%s/%s/uevent", address, where);
	sysfs_text(path, event);
	(void)snprintf(path, sizeof(path), PORT "/%s/%s/subsystem", address, where);
	(void)snprintf(to, sizeof(to), "../../class/%s", subsystem);
	sysfs_link(to, path);
	(void)snprintf(path, sizeof(path), PORT "/%s/%s/device", address, where);
	sysfs_link("..", path);
}

#endif
