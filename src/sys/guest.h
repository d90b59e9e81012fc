/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest - what only the guest's own programs ask of their kernel: clock, chance, network, disks
 * by serial number, the port to the host, the end.
 */
#ifndef SYS_GUEST_H
#define SYS_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

enum { GUEST_SERIAL_MAX = 36 }; /* of a disk: the longest that QEMU's SCSI disks have */

int guest_clock_set(int64_t realtime_ns, struct err *err);

/* Mixes bytes into the kernel's pool and counts all their bits; at most 512 bytes. */
int guest_entropy_add(struct bytes entropy, struct err *err);

/* The network device "lo" of the caller's namespace. */
int guest_loopback_up(struct err *err);

/*
 * Makes the kernel ask target 0 of each SCSI controller for its LUNs: nothing is looked for at
 * boot (scsi_mod.scan=manual), and the event of an added LUN may be lost. Their block devices
 * follow, in their own time.
 */
int guest_disks_rescan(int sysfs_fd, struct err *err);

/*
 * The disks of these serial numbers, one device for each. sysfs_fd is /sys. -ENOENT: one of them
 * is not there (yet); -EEXIST: two have the same; -EINVAL: no serial number could look like this.
 */
int guest_disks_find(int sysfs_fd, char *const *serials, size_t count, dev_t *ret_devices,
		     struct err *err);

/*
 * The virtio-serial port of that name, opened when its other end is open (waits until then),
 * not blocking. Nobody else can open it meanwhile.
 */
int guest_port_open(int sysfs_fd, int dev_fd, const char *name, int *ret_fd, struct err *err);

/* Everything to disk, then off. Returns only if the kernel refuses: -errno. */
int guest_power_off(void);

#endif
