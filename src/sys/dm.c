// SPDX-License-Identifier: Apache-2.0
#include "sys/dm.h"

#include <errno.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/macro.h"

enum { SECTORS_IN_BLOCK = DM_BLOCK / 512 };

/* What every ioctl takes, with room for one target and its parameters behind it. */
struct dm_message {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char params[512];
};

static int dm_call(int control_fd, unsigned long request, const char *name, uint32_t flags,
		   struct dm_message *msg)
{
	msg->head.version[0] = DM_VERSION_MAJOR;
	msg->head.data_size = sizeof(*msg);
	msg->head.data_start = sizeof(msg->head);
	msg->head.flags = flags;
	if (strlen(name) >= sizeof(msg->head.name))
		return -ENAMETOOLONG;
	memcpy(msg->head.name, name, strlen(name) + 1);
	return ioctl(control_fd, request, msg) < 0 ? -errno : 0;
}

uint64_t dm_verity_hash_blocks(uint64_t data_blocks)
{
	uint64_t total = 0;

	for (uint64_t n = data_blocks; n > 1; total += n)
		n = n / DM_HASHES_IN_BLOCK + (n % DM_HASHES_IN_BLOCK != 0);
	return total;
}

static int load_table(int control_fd, const char *name, const struct dm_verity *v)
{
	struct dm_message msg = { .head.target_count = 1 };
	char root[2 * DM_ROOT_SIZE + 1];
	int len;

	for (size_t i = 0; i < DM_ROOT_SIZE; i++)
		(void)snprintf(root + 2 * i, 3, "%02x", v->root[i]);
	msg.target.length = v->data_blocks * SECTORS_IN_BLOCK;
	(void)snprintf(msg.target.target_type, sizeof(msg.target.target_type), "verity");
	len = snprintf(msg.params, sizeof(msg.params), "1 %u:%u %u:%u %d %d %llu %llu sha256 %s -",
		       major(v->device), minor(v->device), major(v->device), minor(v->device),
		       DM_BLOCK, DM_BLOCK, (unsigned long long)v->data_blocks,
		       (unsigned long long)v->hash_start, root);
	if (len < 0 || (size_t)len >= sizeof(msg.params))
		return -ENAMETOOLONG;
	msg.target.next = (uint32_t)sizeof(msg.target) + (uint32_t)sizeof(msg.params);
	return dm_call(control_fd, DM_TABLE_LOAD, name, DM_READONLY_FLAG, &msg);
}

int dm_verity_open(int control_fd, const char *name, const struct dm_verity *verity,
		   dev_t *ret_device, struct err *err)
{
	struct dm_message msg = { 0 };
	const char *step = "load its table";
	int r;

	r = dm_call(control_fd, DM_DEV_CREATE, name, 0, &msg);
	if (r < 0)
		return err_num(err, r, "make device '%s'", name);
	r = load_table(control_fd, name, verity);
	if (r == 0) {
		msg = (struct dm_message){ 0 };
		step = "start it";
		r = dm_call(control_fd, DM_DEV_SUSPEND, name, DM_READONLY_FLAG, &msg);
	}
	if (r < 0) {
		(void)dm_remove(control_fd, name, NULL);
		return err_num(err, r, "make device '%s': %s", name, step);
	}
	/* the kernel's encoding: the minor number in two parts around the major */
	*ret_device = makedev(msg.head.dev >> 8 & 0xfff,
			      (msg.head.dev & 0xff) | (msg.head.dev >> 12 & 0xfff00));
	return 0;
}

int dm_remove(int control_fd, const char *name, struct err *err)
{
	struct dm_message msg = { 0 };
	int r = dm_call(control_fd, DM_DEV_REMOVE, name, DM_DEFERRED_REMOVE, &msg);

	return r < 0 ? err_num(err, r, "remove device '%s'", name) : 0;
}
