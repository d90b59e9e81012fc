// SPDX-License-Identifier: Apache-2.0
#include "agent/device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/text.h"
#include "pci/address.h"
#include "pci/resource.h"
#include "sys/file.h"
#include "sys/io.h"

#define BUS "bus/pci/devices"

enum {
	SMALL_FILE_MAX = 4096,
	CONFIG_COMMAND = 0x04, /* PCI 3.0, 6.1 and 6.2.2 */
	CONFIG_HEADER_TYPE = 0x0e,
	COMMAND_BUS_MASTER = 0x04,
	HEADER_TYPE_MASK = 0x7f,
};

bool device_address_is_valid(const char *address)
{
	char again[PCI_ADDRESS_TEXT];
	struct pci_address parsed;

	return strlen(address) == DEVICE_ADDRESS_LEN &&
	       pci_address_parse_string(address, &parsed) == 0 &&
	       strcmp(pci_address_format(parsed, again), address) == 0;
}

struct small_text {
	char at[SMALL_FILE_MAX]; /* ends with a NUL */
	size_t len;
};

/* A file or, with is_link, what a link of that name leads to; -errno. */
static int read_text(int dir_fd, const char *name, bool is_link, struct small_text *ret)
{
	cleanup_close int fd = -1;
	ssize_t len;

	if (is_link) {
		len = readlinkat(dir_fd, name, ret->at, sizeof(ret->at) - 1);
	} else {
		fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		len = fd < 0 ? -1 : read(fd, ret->at, sizeof(ret->at) - 1);
	}
	ret->len = len < 0 ? 0 : (size_t)len;
	ret->at[ret->len] = '\0';
	return len < 0 ? -errno : 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "0x1af4\n". */
static int read_hex(int dir_fd, const char *name, uint32_t *ret, struct err *err)
{
	struct small_text text;
	char *end;
	int r;

	r = read_text(dir_fd, name, false, &text);
	if (r < 0)
		return err_num(err, r, "read '%s'", name);
	*ret = (uint32_t)strtoul(text.at, &end, 16);
	if (strncmp(text.at, "0x", 2) != 0 || end == text.at + 2 || *end != '\n')
		return err_set(err, -EBADMSG, "read '%s': not a number", name);
	return 0;
}

/* Where the bus's link leads to: "../../../devices/pci0000:00/0000:00:02.0". */
static int find_path(int sysfs_fd, struct device *device, struct err *err)
{
	static const char up[] = "../../../";
	struct small_text text;
	char link[sizeof(BUS) + DEVICE_ADDRESS_LEN + 1];
	int r;

	(void)snprintf(link, sizeof(link), BUS "/%s", device->address);
	r = read_text(sysfs_fd, link, true, &text);
	if (r == -ENOENT)
		return err_set(err, -EINVAL, "there is no such function in this guest");
	if (r < 0)
		return err_num(err, r, "read the link '%s'", link);
	if (strncmp(text.at, up, strlen(up)) != 0 || text.len - strlen(up) > DEVICE_PATH_MAX)
		return err_set(err, -EBADMSG, "the link '%s' leads elsewhere", link);
	memcpy(device->path, text.at + strlen(up), text.len - strlen(up) + 1);
	return 0;
}

static int check_model(int dir_fd, const Agent__Device *model, struct err *err)
{
	uint32_t vendor = 0, id = 0, class_code = 0;
	uint8_t header;
	size_t got;
	int fd, r;

	r = read_hex(dir_fd, "vendor", &vendor, err);
	if (r == 0)
		r = read_hex(dir_fd, "device", &id, err);
	if (r == 0)
		r = read_hex(dir_fd, "class", &class_code, err);
	if (r < 0)
		return r;
	if (vendor != model->vendor || id != model->device || class_code != model->class_code)
		return err_set(err, -EINVAL,
			       "it is %04x:%04x of class %06x, and not %04x:%04x of class %06x",
			       vendor, id, class_code, model->vendor, model->device,
			       model->class_code);
	r = io_open(dir_fd, "config", &fd, err);
	if (r < 0)
		return r;
	r = io_read_at(fd, CONFIG_HEADER_TYPE, &header, 1, &got, err);
	(void)close(fd);
	if (r == 0 && (got != 1 || (header & HEADER_TYPE_MASK) != 0))
		return err_set(err, -EINVAL, "it is a bridge: others are below it");
	return r;
}

/* The value of KEY in "KEY=value" lines that were cut to strings, "" if there is none. */
static const char *find_value(const struct small_text *lines, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = lines->at; line < lines->at + lines->len; line += strlen(line) + 1)
		if (strncmp(line, key, len) == 0 && line[len] == '=')
			return line + len + 1;
	return "";
}

/* A path below /dev, or an interface: it becomes part of a path, and nothing but a part. */
static bool is_name(const char *name, size_t max)
{
	size_t len = strlen(name);

	return len > 0 && len <= max && name[0] != '/' && !strstr(name, "..") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "_.:+-/") == len;
}

static int add_node(const struct small_text *event, bool is_block, struct device *device,
		    struct err *err)
{
	struct device_node *node = &device->nodes[device->node_count];
	const char *name = find_value(event, "DEVNAME");
	uint64_t device_major, device_minor;

	if (device->node_count == DEVICE_NODES_MAX)
		return err_set(err, -E2BIG, "it has more than %d device nodes", DEVICE_NODES_MAX);
	if (!is_name(name, DEVICE_NODE_NAME_MAX) ||
	    text_parse_uint(find_value(event, "MAJOR"), UINT32_MAX, &device_major) < 0 ||
	    text_parse_uint(find_value(event, "MINOR"), UINT32_MAX, &device_minor) < 0)
		return err_set(err, -EBADMSG, "the device node '%.40s' makes no sense", name);
	(void)snprintf(node->name, sizeof(node->name), "%s", name);
	node->is_block = is_block;
	node->is_disk = is_block && strcmp(find_value(event, "DEVTYPE"), "disk") == 0;
	node->major = (unsigned)device_major;
	node->minor = (unsigned)device_minor;
	device->node_count++;
	return 0;
}

static int add_interface(const char *name, struct device *device, struct err *err)
{
	char *at = device->interfaces[device->interface_count];

	if (device->interface_count == DEVICE_INTERFACES_MAX)
		return err_set(err, -E2BIG, "it has more than %d network interfaces",
			       DEVICE_INTERFACES_MAX);
	if (!is_name(name, DEVICE_INTERFACE_NAME_MAX) || strchr(name, '/'))
		return err_set(err, -EBADMSG, "the network interface '%.40s' makes no sense", name);
	(void)snprintf(at, DEVICE_INTERFACE_NAME_MAX + 1, "%s", name);
	device->interface_count++;
	return 0;
}

/* What this directory says about itself; most say nothing of interest. */
static int look_at(int dir_fd, struct device *device, struct err *err)
{
	struct small_text event, link;
	const char *subsystem;

	/* a directory of attributes, or a device that went meanwhile */
	if (read_text(dir_fd, "uevent", false, &event) < 0 ||
	    read_text(dir_fd, "subsystem", true, &link) < 0)
		return 0;
	for (size_t i = 0; i < event.len; i++)
		if (event.at[i] == '\n')
			event.at[i] = '\0';
	subsystem = last_part(link.at);
	if (strcmp(subsystem, "net") == 0)
		return add_interface(find_value(&event, "INTERFACE"), device, err);
	if (find_value(&event, "MAJOR")[0])
		return add_node(&event, strcmp(subsystem, "block") == 0, device, err);
	return 0;
}

/* Closes take_fd. Links are left alone: they lead out of the function, or round in it. */
static int walk(int take_fd, unsigned depth, struct device *device, struct err *err)
{
	DIR *dir = fdopendir(take_fd);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		(void)close(take_fd);
		return err_num(err, -ENOMEM, "look through the device");
	}
	while (r == 0 && (entry = readdir(dir))) {
		int fd;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (depth > DEVICE_DEPTH_MAX)
			r = err_set(err, -E2BIG, "it is more than %d directories deep",
				    DEVICE_DEPTH_MAX);
		else
			r = look_at(fd, device, err);
		if (r == 0)
			r = walk(fd, depth + 1, device, err);
		else
			(void)close(fd);
	}
	(void)closedir(dir);
	return r;
}

static int find_bars(int dir_fd, struct device *device, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct pci_resources resources;
	int r;

	r = file_read(dir_fd, "resource", SMALL_FILE_MAX, &text, err);
	if (r < 0)
		return r;
	if (pci_resource_decode(buf_bytes(&text), &resources) < 0)
		return err_set(err, -EBADMSG, "read 'resource': not lines of three numbers");
	for (unsigned i = 0; i < DEVICE_BARS; i++) {
		const struct pci_bar *bar = &resources.bars[i];

		if (bar->index < 0 || bar->is_io != PCI_NO)
			continue;
		if (bar->start == PCI_UNKNOWN)
			return err_set(err, -EINVAL, "its BAR %u has no address in this guest", i);
		device->bars |= 1u << i;
	}
	return 0;
}

static int find_all(int sysfs_fd, const Agent__Device *model, struct device *device,
		    struct err *err)
{
	cleanup_close int dir_fd = -1;
	struct small_text driver;
	int r;

	r = find_path(sysfs_fd, device, err);
	if (r == 0)
		r = file_open_dir(sysfs_fd, device->path, &dir_fd, err);
	if (r == 0)
		r = check_model(dir_fd, model, err);
	if (r < 0)
		return r;
	r = read_text(dir_fd, "driver", true, &driver);
	if (r == -ENOENT)
		return find_bars(dir_fd, device, err);
	if (r < 0)
		return err_num(err, r, "read the link 'driver'");
	(void)snprintf(device->driver, sizeof(device->driver), "%.*s", DEVICE_DRIVER_MAX,
		       last_part(driver.at));
	return walk(steal_fd(&dir_fd), 1, device, err);
}

int device_find(int sysfs_fd, const Agent__Device *model, struct device *device, struct err *err)
{
	int r;

	device->path[0] = device->driver[0] = '\0';
	device->node_count = device->interface_count = 0;
	device->bars = 0;
	r = find_all(sysfs_fd, model, device, err);
	return r < 0 ? err_wrap(err, r, "device '%s'", device->address) : 0;
}

static int write_text(int dir_fd, const char *name, const char *text, struct err *err)
{
	cleanup_close int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(err, "write '%s'", name);
	return 0;
}

static int set_bus_master(int dir_fd, bool is_on, struct err *err)
{
	cleanup_close int fd = openat(dir_fd, "config", O_RDWR | O_CLOEXEC);
	uint8_t bytes[2];
	size_t got;
	int r;

	if (fd < 0)
		return err_sys(err, "open 'config'");
	r = io_read_at(fd, CONFIG_COMMAND, bytes, sizeof(bytes), &got, err);
	if (r < 0)
		return r;
	if (got != sizeof(bytes))
		return err_set(err, -EBADMSG, "read 'config': it ends before the command register");
	bytes[0] &= (uint8_t)~COMMAND_BUS_MASTER;
	bytes[0] |= is_on ? COMMAND_BUS_MASTER : 0;
	return io_write_at(fd, CONFIG_COMMAND, (struct bytes){ bytes, sizeof(bytes) }, err);
}

static int set_owner(int dir_fd, const struct device *device, uid_t uid, struct err *err)
{
	char name[16];

	for (unsigned bar = 0; bar < DEVICE_BARS; bar++) {
		if (!(device->bars >> bar & 1))
			continue;
		(void)snprintf(name, sizeof(name), "resource%u", bar);
		if (fchownat(dir_fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(err, "give '%s' to its user", name);
	}
	return 0;
}

int device_enable(int sysfs_fd, struct device *device, uid_t uid, struct err *err)
{
	cleanup_close int dir_fd = -1;
	int r;

	r = file_open_dir(sysfs_fd, device->path, &dir_fd, err);
	/* the kernel wakes it and lets the bridges above forward what it does */
	if (r == 0)
		r = write_text(dir_fd, "enable", "1", err);
	if (r == 0) {
		device->is_enabled = true;
		r = set_bus_master(dir_fd, true, err);
	}
	if (r == 0)
		r = set_owner(dir_fd, device, uid, err);
	return r < 0 ? err_wrap(err, r, "enable device '%s'", device->address) : 0;
}

void device_disable(int sysfs_fd, struct device *device)
{
	cleanup_close int dir_fd = -1;

	if (!device->is_enabled || file_open_dir(sysfs_fd, device->path, &dir_fd, NULL) < 0)
		return;
	device->is_enabled = false;
	(void)set_bus_master(dir_fd, false, NULL);
	(void)write_text(dir_fd, "enable", "0", NULL);
	(void)set_owner(dir_fd, device, 0, NULL);
}
