/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dm - read-only block devices whose every block is checked against a root hash, by the ioctls
 * of device-mapper. control_fd is /dev/mapper/control, opened by the caller.
 */
#ifndef SYS_DM_H
#define SYS_DM_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
	DM_BLOCK = 4096,   /* of data and of hashes alike */
	DM_ROOT_SIZE = 32, /* SHA-256 */
	DM_HASHES_IN_BLOCK = DM_BLOCK / DM_ROOT_SIZE,
};

/* Data and hash tree are on one device; the format is version 1 without a salt. */
struct dm_verity {
	dev_t device;
	uint64_t data_blocks;
	uint64_t hash_start; /* in blocks, from the start of the device */
	uint8_t root[DM_ROOT_SIZE];
};

/* How many blocks the tree over that many blocks of data has; 0 for one block or none. */
uint64_t dm_verity_hash_blocks(uint64_t data_blocks);

/*
 * Makes and starts the device; it is /dev/dm-MINOR in a devtmpfs. Nothing stays when it fails.
 * -EBUSY: the name is taken; -EINVAL: the kernel refuses the table (a device that is too small).
 */
int dm_verity_open(int control_fd, const char *name, const struct dm_verity *verity,
		   dev_t *ret_device, struct err *err);

/* Now, or when its last user has gone. -ENXIO: there is none of that name. */
int dm_remove(int control_fd, const char *name, struct err *err);

#endif
