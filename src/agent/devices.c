// SPDX-License-Identifier: Apache-2.0
#include "agent/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "sys/file.h"
#include "sys/module.h"
#include "sys/netns.h"
#include "sys/nvmelist.h"

int devices_init(struct devices *devices, const Agent__CreateContainerRequest *request,
		 const Agent__ContainerSpec *spec, struct err *err)
{
	cleanup_free struct device *at = NULL;

	if (request->n_addresses != spec->n_devices)
		return err_set(err, -EINVAL, "create '%s': %zu addresses for %zu devices",
			       request->id, request->n_addresses, spec->n_devices);
	if (spec->n_devices == 0) {
		*devices = DEVICES_NONE;
		return 0;
	}
	at = calloc(spec->n_devices, sizeof(*at));
	if (!at)
		return err_num(err, -ENOMEM, "create '%s'", request->id);
	for (size_t i = 0; i < spec->n_devices; i++) {
		const char *address = request->addresses[i];
		const struct devices before = { .at = at, .count = i };

		if (!device_address_is_valid(address))
			return err_set(err, -EINVAL,
				       "create '%s': '%.40s' is not an address as 0000:03:00.0",
				       request->id, address);
		if (devices_has(&before, address))
			return err_set(err, -EINVAL, "create '%s': device '%s' is given twice",
				       request->id, address);
		memcpy(at[i].address, address, sizeof(at[i].address));
	}
	*devices =
		(struct devices){ .at = steal_ptr(&at), .count = spec->n_devices, .netns_fd = -1 };
	return 0;
}

bool devices_has(const struct devices *devices, const char *address)
{
	for (size_t i = 0; i < devices->count; i++)
		if (strcmp(devices->at[i].address, address) == 0)
			return true;
	return false;
}

/* The kernel finds a controller's disks in its own time; the controller knows their number. */
static int check_disks(const struct device *device, int dev_fd, struct err *err)
{
	size_t disks = 0, namespaces = 0;
	const char *controller = NULL;
	int r;

	for (size_t i = 0; i < device->node_count; i++) {
		const struct device_node *node = &device->nodes[i];

		disks += node->is_disk;
		/* "nvme0"; its namespaces' are "ng0n1" */
		if (!node->is_block && strncmp(node->name, "nvme", 4) == 0)
			controller = node->name;
	}
	if (!controller)
		return err_set(err, -EAGAIN, "its driver has not brought it up");
	r = nvmelist_count(dev_fd, controller, &namespaces, err);
	if (r == 0 && disks < namespaces)
		r = err_set(err, -EAGAIN, "%zu of its %zu namespaces are there", disks, namespaces);
	return r;
}

static int check(const struct device *device, int dev_fd, struct err *err)
{
	if (!device->driver[0] && !device->bars)
		return err_set(err, -EINVAL,
			       "it has neither a driver in this guest nor memory to be mapped");
	if (!device->driver[0])
		return 0;
	if (strcmp(device->driver, "nvme") == 0)
		return check_disks(device, dev_fd, err);
	if (device->node_count + device->interface_count == 0)
		return err_set(err, -EAGAIN,
			       "driver '%s' has made neither a device node nor a network interface",
			       device->driver);
	return 0;
}

int devices_find(struct devices *devices, const Agent__ContainerSpec *spec, int sysfs_fd,
		 int dev_fd, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < devices->count && r == 0; i++) {
		r = device_find(sysfs_fd, spec->devices[i], &devices->at[i], err);
		if (r < 0)
			return r;
		r = check(&devices->at[i], dev_fd, err);
		if (r < 0)
			err_wrap(err, r, "device '%s'", devices->at[i].address);
	}
	return r;
}

static int give_interfaces(struct devices *devices, const struct device *device, struct err *err)
{
	cleanup_close int own_fd = -1;
	int r;

	r = netns_own(&own_fd, err);
	if (r == 0 && devices->netns_fd < 0)
		r = netns_new(&devices->netns_fd, err);
	(void)snprintf(devices->netns, sizeof(devices->netns), "/proc/%d/fd/%d", (int)getpid(),
		       devices->netns_fd);
	for (size_t i = 0; i < device->interface_count && r == 0; i++)
		r = netns_move(own_fd, devices->netns_fd, device->interfaces[i], err);
	return r < 0 ? err_wrap(err, r, "give device '%s'", device->address) : 0;
}

int devices_give(struct devices *devices, int sysfs_fd, uid_t uid, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < devices->count && r == 0; i++) {
		struct device *device = &devices->at[i];

		if (!device->driver[0])
			r = device_enable(sysfs_fd, device, uid, err);
		else if (device->interface_count > 0)
			r = give_interfaces(devices, device, err);
	}
	return r;
}

/*
 * At once, since the next container may want them. What has another name by now comes back when
 * the kernel takes the namespace apart.
 */
static void take_interfaces_back(const struct devices *devices)
{
	cleanup_close int own_fd = -1;

	if (devices->netns_fd < 0 || netns_own(&own_fd, NULL) < 0)
		return;
	for (size_t i = 0; i < devices->count; i++)
		for (size_t n = 0; n < devices->at[i].interface_count; n++)
			(void)netns_move(devices->netns_fd, own_fd, devices->at[i].interfaces[n],
					 NULL);
}

void devices_take_back(struct devices *devices, int sysfs_fd)
{
	take_interfaces_back(devices);
	for (size_t i = 0; i < devices->count; i++)
		device_disable(sysfs_fd, &devices->at[i]);
	if (devices->netns_fd >= 0)
		(void)close(devices->netns_fd);
	free(devices->at);
	*devices = DEVICES_NONE;
}

/* One name of the list; names are of files in the directory. */
static int load_module(int dir_fd, const char *name, struct err *err)
{
	if (strlen(name) > DEVICES_MODULE_NAME_MAX || strchr(name, '/'))
		return err_set(err, -EBADMSG, "load modules: '%.70s' is not a name", name);
	return module_load(dir_fd, name, err);
}

int devices_load_modules(const char *dir, struct err *err)
{
	CLEANUP(buf_done) struct buf list = { 0 };
	cleanup_close int dir_fd = -1;
	char *next;
	int r;

	r = file_open_dir(AT_FDCWD, dir, &dir_fd, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = file_read(dir_fd, "list", DEVICES_LIST_MAX, &list, err);
	if (r < 0)
		return r;
	r = buf_add(&list, "", 1);
	if (r < 0)
		return err_num(err, r, "load modules");
	next = (char *)list.at;
	for (const char *name; r == 0 && (name = strsep(&next, "\n"));)
		if (name[0])
			r = load_module(dir_fd, name, err);
	return r;
}
