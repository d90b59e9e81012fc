/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcidev - what changes the host's PCI devices: files of sysfs, and the nodes of VFIO.
 *
 * sysfs_fd is an open /sys, dev_fd an open /dev; paths are relative to them, and may go through
 * the links that sysfs is made of. Descriptors are close-on-exec, calls that a signal interrupts
 * are repeated. Besides the errors named here each function passes on the kernel's, negative.
 *
 * What the files mean: Linux, Documentation/ABI/testing/sysfs-bus-pci and
 * Documentation/driver-api/vfio.rst.
 */
#ifndef SYS_PCIDEV_H
#define SYS_PCIDEV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { PCIDEV_TURN_MS = 2000 }; /* that a look waits for others at most */

/*
 * Reads a file of sysfs to its end, without the newline there; *ret is a string. -EFBIG if it does
 * not fit size bytes with its NUL, -EBADMSG for one that has a NUL in it.
 */
int pcidev_read(int sysfs_fd, const char *path, char *ret, size_t size, struct err *err);

/*
 * Writes a text to a file of sysfs, which is there: in one call, as the kernel wants it. It
 * returns when the kernel has done what was asked, which may take as long as a driver likes.
 */
int pcidev_write(int sysfs_fd, const char *path, const char *text, struct err *err);

/* The last part of where a link leads: a driver's name, a group's number. -ENAMETOOLONG. */
int pcidev_link_name(int sysfs_fd, const char *path, char *ret, size_t size);

/* All of where a link leads, likewise. */
int pcidev_link(int sysfs_fd, const char *path, char *ret, size_t size);

/*
 * Up to size bytes of a configuration space from its start; how many were read. The file is
 * named by the directory of the device.
 */
ssize_t pcidev_config_read(int sysfs_fd, const char *device, void *ret, size_t size,
			   struct err *err);

/* Writes a register of 16 or 32 bits, little-endian, at a multiple of its size. */
int pcidev_config_write(int sysfs_fd, const char *device, off_t at, uint32_t value, size_t size,
			struct err *err);

/*
 * Whether a VFIO group is free: 0, or -EBUSY while anybody has it, or a device of it, open. Only
 * one at a time can open a group, and its devices keep it open; so it is opened, and closed. A
 * group without a node (no driver of VFIO has a device of it) is free.
 *
 * Who looks at the same time is waited for, by flock() on /dev/vfio, up to PCIDEV_TURN_MS: a look
 * is no use.
 */
int pcidev_group_try(int dev_fd, int group);

/* An owner of a file and its permissions. */
struct pcidev_owner {
	uid_t uid;
	gid_t gid;
	mode_t mode; /* the nine bits and those above them */
};

/* A group's node: whose it is, and to give it to somebody. -ENOENT if there is none. */
int pcidev_group_owner(int dev_fd, int group, struct pcidev_owner *ret);
int pcidev_group_give(int dev_fd, int group, const struct pcidev_owner *to);

/*
 * Whether the kernel uses a disk or a partition, mounted in any namespace, as swap or below another
 * device: 0 or -EBUSY. name is that of sysfs ("cciss!c0d0" is /dev/cciss/c0d0). Others that look wait
 * as above, by flock() on its node, which udev holds while it looks at what is on the disk.
 */
int pcidev_disk_try(int dev_fd, const char *name);

/* Whether an interface of the caller's network namespace has an IPv4 address: 0 or -EBUSY. */
int pcidev_interface_try(const char *name);

#endif
