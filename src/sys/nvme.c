// SPDX-License-Identifier: Apache-2.0
#include "sys/nvme.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macro.h"

enum {
	OP_IDENTIFY = 0x06,
	OP_VIRTUALIZATION = 0x1c,
	CNS_PRIMARY = 0x14,
	CNS_SECONDARY = 0x15,
	PAGE = 4096,
	TIMEOUT_MS = 10000,
};

enum nvme_action {
	ACT_PRIMARY_ALLOCATE = 1,
	ACT_OFFLINE = 7,
	ACT_ASSIGN = 8,
	ACT_ONLINE = 9,
};

enum nvme_resource {
	RESOURCE_QUEUES = 0,
	RESOURCE_INTERRUPTS = 1,
};

/* Of either resource: what there is to lend, what the primary keeps of it, what one may have. */
struct pool {
	uint32_t total;
	uint16_t primary, most;
};

struct secondary {
	uint16_t id;
	uint16_t vf; /* 1 for the first; 0: none */
};

static uint16_t le16_at(const uint8_t *page, size_t at)
{
	return (uint16_t)(page[at] | page[at + 1] << 8);
}

static uint32_t le32_at(const uint8_t *page, size_t at)
{
	return le16_at(page, at) | (uint32_t)le16_at(page, at + 2) << 16;
}

static int nvme_admin(int fd, struct nvme_admin_cmd *command, const char *what, struct err *err)
{
	int r;

	command->timeout_ms = TIMEOUT_MS;
	do {
		r = ioctl(fd, NVME_IOCTL_ADMIN_CMD, command);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(err, "%s", what);
	return r > 0 ? err_set(err, -EIO, "%s: the controller's status is %#x", what,
			       (unsigned int)r)
		     : 0;
}

static int nvme_identify(int fd, uint32_t cns, uint8_t page[static PAGE], const char *what,
			 struct err *err)
{
	struct nvme_admin_cmd command = { .opcode = OP_IDENTIFY,
					  .addr = (uint64_t)(uintptr_t)page,
					  .data_len = PAGE,
					  .cdw10 = cns };

	return nvme_admin(fd, &command, what, err);
}

static int nvme_manage(int fd, enum nvme_action action, enum nvme_resource resource, uint16_t id,
		       uint32_t number, struct err *err)
{
	static const char *const names[] = {
		[ACT_PRIMARY_ALLOCATE] = "free what is to be lent",
		[ACT_OFFLINE] = "switch a VF off",
		[ACT_ASSIGN] = "give a VF its share",
		[ACT_ONLINE] = "switch a VF on",
	};
	struct nvme_admin_cmd command = { .opcode = OP_VIRTUALIZATION,
					  .cdw10 = (uint32_t)id << 16 | (uint32_t)resource << 8 |
						   (uint32_t)action,
					  .cdw11 = number };

	return nvme_admin(fd, &command, names[action], err);
}

static int nvme_open(int dev_fd, const char *name, struct err *err)
{
	int fd = openat(dev_fd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open '%s'", name) : fd;
}

/* The secondaries of the first count VFs, in the order of the list. */
static int read_secondaries(int fd, unsigned int count, struct secondary ret[static NVME_VFS_MAX],
			    size_t *ret_count, struct err *err)
{
	uint8_t page[PAGE] = { 0 };
	size_t found = 0;
	int r = nvme_identify(fd, CNS_SECONDARY, page, "list the VFs' controllers", err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < page[0] && i < NVME_VFS_MAX; i++) {
		const uint8_t *entry = page + 32 + i * 32;
		struct secondary one = { le16_at(entry, 0), le16_at(entry, 8) };

		if (one.vf >= 1 && one.vf <= count)
			ret[found++] = one;
	}
	if (found != count)
		return err_set(err, -ENOTSUP, "list the VFs' controllers: %zu for %u VFs", found,
			       count);
	*ret_count = found;
	return 0;
}

static uint32_t share(const struct pool *pool, unsigned int count)
{
	uint32_t each = pool->total / count;

	return each < pool->most ? each : pool->most;
}

/* What the primary has of it cannot be lent, and is the VFs' after a reset of the controller. */
static int free_pools(int fd, uint16_t id, const struct pool *queues, const struct pool *interrupts,
		      struct err *err)
{
	int r = 0;

	if (!queues->primary && !interrupts->primary)
		return 0;
	if (queues->primary)
		r = nvme_manage(fd, ACT_PRIMARY_ALLOCATE, RESOURCE_QUEUES, id, 0, err);
	if (r == 0 && interrupts->primary)
		r = nvme_manage(fd, ACT_PRIMARY_ALLOCATE, RESOURCE_INTERRUPTS, id, 0, err);
	if (r == 0 && ioctl(fd, NVME_IOCTL_RESET) < 0)
		r = err_sys(err, "reset the controller");
	return r;
}

static int read_pools(int fd, unsigned int count, struct pool *queues, struct pool *interrupts,
		      uint16_t *ret_id, struct err *err)
{
	uint8_t page[PAGE] = { 0 };
	int r = nvme_identify(fd, CNS_PRIMARY, page, "read what can be lent", err);

	if (r < 0)
		return r;
	*ret_id = le16_at(page, 0);
	*queues = (struct pool){ le32_at(page, 32), le16_at(page, 40), le16_at(page, 44) };
	*interrupts = (struct pool){ le32_at(page, 64), le16_at(page, 72), le16_at(page, 76) };
	if (queues->total == 0 || interrupts->total == 0)
		return err_set(err, -ENOTSUP, "the controller has nothing to lend");
	if (share(queues, count) < NVME_QUEUES_MIN || share(interrupts, count) < 1)
		return err_set(err, -ENOSPC,
			       "%u queues and %u interrupts are not enough for %u VFs",
			       queues->total, interrupts->total, count);
	return 0;
}

static int give_share(int fd, uint16_t id, uint32_t queues, uint32_t interrupts, struct err *err)
{
	int r = nvme_manage(fd, ACT_OFFLINE, RESOURCE_QUEUES, id, 0, err);

	if (r == 0)
		r = nvme_manage(fd, ACT_ASSIGN, RESOURCE_INTERRUPTS, id, interrupts, err);
	if (r == 0)
		r = nvme_manage(fd, ACT_ASSIGN, RESOURCE_QUEUES, id, queues, err);
	if (r == 0 && queues)
		r = nvme_manage(fd, ACT_ONLINE, RESOURCE_QUEUES, id, 0, err);
	return r;
}

int nvme_vfs_provision(int dev_fd, const char *name, unsigned int count, struct err *err)
{
	struct secondary list[NVME_VFS_MAX];
	cleanup_close int fd = nvme_open(dev_fd, name, err);
	struct pool queues, interrupts;
	size_t found = 0;
	uint16_t id;
	int r = fd;

	if (fd < 0)
		return r;
	r = read_pools(fd, count, &queues, &interrupts, &id, err);
	if (r == 0)
		r = free_pools(fd, id, &queues, &interrupts, err);
	if (r == 0)
		r = read_secondaries(fd, count, list, &found, err);
	for (size_t i = 0; r == 0 && i < found; i++)
		r = give_share(fd, list[i].id, share(&queues, count), share(&interrupts, count),
			       err);
	return r < 0 ? err_wrap(err, r, "provision the VFs of '%s'", name) : 0;
}

int nvme_vfs_release(int dev_fd, const char *name, unsigned int count, struct err *err)
{
	struct secondary list[NVME_VFS_MAX];
	cleanup_close int fd = nvme_open(dev_fd, name, err);
	size_t found = 0;
	int r = fd, first = 0;

	if (fd < 0)
		return r;
	first = read_secondaries(fd, count, list, &found, err);
	for (size_t i = 0; i < found; i++) {
		r = give_share(fd, list[i].id, 0, 0, first == 0 ? err : NULL);
		first = first == 0 ? r : first;
	}
	return first < 0 ? err_wrap(err, first, "release the VFs of '%s'", name) : 0;
}
