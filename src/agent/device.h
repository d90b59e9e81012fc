/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device - one PCI function that was passed through to the guest, for one container.
 *
 * With a driver here it is what the driver made of it: device nodes and network interfaces, found
 * by walking sysfs below the function. Without one it is its memory: the files of its memory BARs
 * ("resource2"), which can be mapped into a process (Linux, Documentation/PCI/sysfs-pci.rst). Then
 * nobody but us enables the function and lets it be a bus master (PCI 3.0, 6.2.2).
 *
 * sysfs_fd is always /sys.
 */
#ifndef AGENT_DEVICE_H
#define AGENT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "pci/config.h"
#include "wire/proto/agent.pb-c.h"

enum {
	DEVICE_ADDRESS_LEN = 12, /* "0000:03:00.0" */
	DEVICE_PATH_MAX = 511,	 /* of its directory: a bridge is 13 bytes */
	DEVICE_DRIVER_MAX = 31,
	DEVICE_NODES_MAX = 64, /* of one function: namespaces of a disk controller, mostly */
	DEVICE_NODE_NAME_MAX = 39,
	DEVICE_INTERFACES_MAX = 4,
	DEVICE_INTERFACE_NAME_MAX = 15, /* IFNAMSIZ and its NUL */
	DEVICE_DEPTH_MAX = 16,		/* directories below the function's */
	DEVICE_BARS = PCI_BAR_COUNT,
};

struct device_node {
	char name[DEVICE_NODE_NAME_MAX + 1]; /* below /dev: "dri/card0" */
	bool is_block;
	bool is_disk; /* a block device that is no partition */
	unsigned major, minor;
};

struct device {
	char address[DEVICE_ADDRESS_LEN + 1];
	char path[DEVICE_PATH_MAX + 1];	    /* below /sys: "devices/pci0000:00/0000:00:02.0" */
	char driver[DEVICE_DRIVER_MAX + 1]; /* "": there is none */
	struct device_node nodes[DEVICE_NODES_MAX];
	size_t node_count;
	char interfaces[DEVICE_INTERFACES_MAX][DEVICE_INTERFACE_NAME_MAX + 1];
	size_t interface_count;
	unsigned bars; /* without a driver: bit N is a memory BAR N */
	bool is_enabled;
};

/* As sysfs writes it: lower-case, a domain of four digits. */
bool device_address_is_valid(const char *address);

/*
 * Fills in all of *device but is_enabled, from sysfs. device->address is the caller's, and
 * valid. -EINVAL: there is no such function, it is not of that model, or it is a bridge; -E2BIG:
 * more than a limit above; -EBADMSG: what sysfs says makes no sense; -ENOMEM.
 */
int device_find(int sysfs_fd, const Agent__Device *model, struct device *device, struct err *err);

/*
 * For one without driver: memory decoding and bus mastering on, and the files of its BARs become
 * uid's. What was begun is undone by device_disable(), which is fine with one that never was
 * enabled: bus mastering off first, so that nothing is written while memory goes.
 */
int device_enable(int sysfs_fd, struct device *device, uid_t uid, struct err *err);
void device_disable(int sysfs_fd, struct device *device);

#endif
