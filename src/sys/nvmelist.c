// SPDX-License-Identifier: Apache-2.0
#include "sys/nvmelist.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/macro.h"

enum { IDENTIFY = 0x06, ACTIVE_NAMESPACES = 0x02 };

int nvmelist_count(int dev_fd, const char *name, size_t *ret_count, struct err *err)
{
	uint32_t list[NVMELIST_MAX] = { 0 };
	struct nvme_admin_cmd command = {
		.opcode = IDENTIFY,
		.addr = (uint64_t)(uintptr_t)list,
		.data_len = sizeof(list),
		.cdw10 = ACTIVE_NAMESPACES,
	};
	cleanup_close int fd = openat(dev_fd, name, O_RDONLY | O_CLOEXEC);
	size_t count = 0;
	int r;

	r = fd < 0 ? -1 : ioctl(fd, NVME_IOCTL_ADMIN_CMD, &command);
	if (r < 0)
		return err_sys(err, "ask '/dev/%s' for its namespaces", name);
	/* the list ends with a zero, unless it is full; a zero is one in any byte order */
	while (r == 0 && count < NVMELIST_MAX && list[count])
		count++;
	*ret_count = r > 0 ? 1 : count;
	return 0;
}
