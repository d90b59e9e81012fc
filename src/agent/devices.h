/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices - all that one container has of passed-through devices, from the request to the end.
 *
 *	devices_init(&devices, request, spec, err);
 *	while (devices_find(&devices, spec, sysfs_fd, dev_fd, err) == -EAGAIN)
 *		... wait for an event, and give up some time
 *	devices_give(&devices, sysfs_fd, uid, err);
 *	... what config.h makes of them is the container's
 *	devices_take_back(&devices, sysfs_fd);
 *
 * A device with a driver that made network interfaces is those interfaces in the container's
 * network namespace, which is made here then, and not by crun: crun joins it.
 *
 * That a function is of the model that was asked for is what it says of itself. It keeps the host
 * from mistakes; with a TEE it is no evidence, since the host may have made the device.
 */
#ifndef AGENT_DEVICES_H
#define AGENT_DEVICES_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/device.h"
#include "base/err.h"
#include "wire/proto/agent.pb-c.h"

enum {
	DEVICES_LIST_MAX = 4096, /* bytes of a profile's list of modules */
	DEVICES_MODULE_NAME_MAX = 63,
};

struct devices {
	struct device *at;
	size_t count;
	int netns_fd;	/* -1: none of them is a network interface */
	char netns[32]; /* its path, as long as this process lives */
};

/* An empty one, as a container without devices has it. */
#define DEVICES_NONE ((struct devices){ .netns_fd = -1 })

/*
 * Takes down where the devices are; nothing is looked at yet. -EINVAL: not an address for each
 * device of the specification, or two the same; -ENOMEM.
 */
int devices_init(struct devices *devices, const Agent__CreateContainerRequest *request,
		 const Agent__ContainerSpec *spec, struct err *err);

bool devices_has(const struct devices *devices, const char *address);

/*
 * Finds what each is here. -EAGAIN: a driver has not made anything yet, or not all of it; -EINVAL
 * also for one with neither a driver nor memory; else as device_find().
 */
int devices_find(struct devices *devices, const Agent__ContainerSpec *spec, int sysfs_fd,
		 int dev_fd, struct err *err);

/* What has no driver is enabled for uid, interfaces are moved. Undone by devices_take_back(). */
int devices_give(struct devices *devices, int sysfs_fd, uid_t uid, struct err *err);

/* When no process of the container is left, or none ever was. *devices is DEVICES_NONE then. */
void devices_take_back(struct devices *devices, int sysfs_fd);

/*
 * Loads the kernel modules of the guest's profile: dir has them, and "list" their names in the
 * order of loading. 0 too if there is no such directory, or if a module is loaded already.
 */
int devices_load_modules(const char *dir, struct err *err);

#endif
