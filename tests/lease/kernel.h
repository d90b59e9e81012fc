/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel - a stand-in for the part of the kernel that owns PCI devices: a tree like sysfs in a
 * directory, and what the kernel does when its files are written. The programs are linked so that
 * writes of sys/pcidev.h, and looking at a VFIO group, come here; all else reads real files. What is
 * in the tree outlives a killed process, as it does in the kernel.
 *
 *	0000:20:00.0	a port, with ACS, of group 8		pcieport
 *	0000:21:00.0	can be reset; group 7			nvme
 *	0000:22:00.0	was given its driver by name; group 8	virtio-pci
 *	0000:22:00.1	group 8					(none)
 *	0000:23:00.0	group 9					vfio-pci, always had
 *	0000:24:00.0	can have 4 VFs, of group 10		igb
 *	0000:25:00.0	group 11				nvme
 */
#ifndef TESTS_LEASE_KERNEL_H
#define TESTS_LEASE_KERNEL_H

#include "life.h"

#include <errno.h>
#include <limits.h>

#include "sys/pcidev.h"

#define NVME "0000:21:00.0"
#define GPU "0000:22:00.0"
#define EDU "0000:22:00.1"
#define KEPT "0000:23:00.0"
#define PF "0000:24:00.0"
#define SPARE "0000:25:00.0"
#define PORT "0000:20:00.0"

enum { VFS = 4, GROUPS = 32, ACS_AT = 0x146 };

struct kernel_device {
	const char *address;
	unsigned int vendor, device, class;
	const char *driver;   /* at the start */
	const char *native;   /* which takes it when nothing is said */
	const char *override; /* at the start */
	int group;
	bool can_reset;
};

static const struct kernel_device kernel_devices[] = {
	{ PORT, 0x1b36, 0x000c, 0x060400, "pcieport", "pcieport", "", 8, false },
	{ NVME, 0x1b36, 0x0010, 0x010802, "nvme", "nvme", "", 7, true },
	{ GPU, 0x1af4, 0x1050, 0x038000, "virtio-pci", "virtio-pci", "virtio-pci", 8, false },
	{ EDU, 0x1234, 0x11e8, 0x00ff00, "", "", "", 8, false },
	{ KEPT, 0x10de, 0x2330, 0x030200, "vfio-pci", "", "vfio-pci", 9, true },
	{ PF, 0x8086, 0x10c9, 0x020000, "igb", "igb", "", 10, false },
	{ SPARE, 0x1b36, 0x0010, 0x010802, "nvme", "nvme", "", 11, true },
};

/* What goes wrong, and what was seen: all processes of a test share it. */
static struct kernel {
	char refuses[32]; /* a driver that takes no device */
	int vanish_at;	  /* before so many writes more, NVME goes; -1: it stays */
	bool reset_fails;
	char held[16];	    /* a disk that is mounted where nobody sees it */
	char addressed[16]; /* an interface with an address */
	int busy[GROUPS];   /* so often the group is still open; -1: for ever */
	int resets;
	int broken;	 /* things the kernel would not have survived, or hung at */
	int provisioned; /* VFs of NVMe controllers */
} * kernel;

static int sysfs_fd = -1, dev_fd = -1;

static inline void put_text(const char *path, const char *text)
{
	int fd = openat(run_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static inline void kernel_put(const char *address, const char *file, const char *text)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s/%s", address, file);
	put_text(path, text);
}

static inline void kernel_get(const char *address, const char *file, char *ret, size_t size)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", address, file);
	if (pcidev_read(sysfs_fd, path, ret, size, NULL) < 0)
		ret[0] = '\0';
}

static inline void kernel_driver(const char *address, char ret[static 64])
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", address);
	if (pcidev_link_name(sysfs_fd, path, ret, 64) < 0)
		ret[0] = '\0';
}

static inline int kernel_group(const char *address)
{
	char path[PATH_MAX], name[16] = "-1";

	(void)snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", address);
	(void)pcidev_link_name(sysfs_fd, path, name, sizeof(name));
	return (int)strtol(name, NULL, 10);
}

/* The group's node is there while vfio-pci has a device of it. */
static inline void kernel_nodes(void)
{
	bool has[GROUPS] = { false };
	CLEANUP(strv_done) struct strv names = { 0 };

	assert_int_equal(file_list(sysfs_fd, "bus/pci/devices", &names, NULL), 0);
	for (size_t i = 0; i < names.len; i++) {
		char driver[64];

		kernel_driver(names.at[i], driver);
		if (strcmp(driver, "vfio-pci") == 0)
			has[kernel_group(names.at[i])] = true;
	}
	for (int i = 0; i < GROUPS; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "host/dev/vfio/%d", i);
		if (has[i] && !exists(path))
			put_text(path, "");
		else if (!has[i])
			(void)unlinkat(run_fd, path, 0);
	}
}

static inline void kernel_unbind(const char *address)
{
	char path[PATH_MAX], driver[64];

	kernel_driver(address, driver);
	if (strcmp(driver, "vfio-pci") == 0 && kernel->busy[kernel_group(address)])
		kernel->broken++; /* it would wait */
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s/driver", address);
	(void)unlinkat(run_fd, path, 0);
	kernel_nodes();
}

static inline const struct kernel_device *kernel_find(const char *address)
{
	static const struct kernel_device vf = { .native = "igbvf" };

	for (size_t i = 0; i < ARRAY_SIZE(kernel_devices); i++)
		if (strcmp(kernel_devices[i].address, address) == 0)
			return &kernel_devices[i];
	return &vf;
}

/* As driver_match_device() and really_probe(). */
static inline int kernel_bind(const char *address, const char *driver)
{
	char path[PATH_MAX], target[PATH_MAX], override[64], now[64];

	kernel_driver(address, now);
	kernel_get(address, "driver_override", override, sizeof(override));
	if (now[0])
		return -EBUSY;
	if (strcmp(override, "(null)") == 0)
		(void)snprintf(override, sizeof(override), "%s", kernel_find(address)->native);
	if (strcmp(override, driver) != 0)
		return -ENODEV;
	if (strcmp(kernel->refuses, driver) == 0)
		return -EIO;
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s/driver", address);
	(void)snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
	assert_int_equal(symlinkat(target, run_fd, path), 0);
	kernel_nodes();
	return 0;
}

static inline int kernel_probe(const char *address)
{
	char override[64], path[PATH_MAX];
	const char *driver;

	kernel_get(address, "driver_override", override, sizeof(override));
	driver = strcmp(override, "(null)") != 0 ? override : kernel_find(address)->native;
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/drivers/%s", driver);
	if (driver[0] && exists(path))
		(void)kernel_bind(address, driver); /* the kernel does not tell */
	return 0;
}

static inline void kernel_remove(const char *address)
{
	char path[PATH_MAX];
	int fd;

	kernel_unbind(address);
	(void)snprintf(path, sizeof(path), "host/sys/kernel/iommu_groups/%d/devices/%s",
		       kernel_group(address), address);
	(void)unlinkat(run_fd, path, 0);
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s", address);
	(void)unlinkat(run_fd, path, 0);
	assert_int_equal(file_open_dir(sysfs_fd, "devices/pci0000:20", &fd, NULL), 0);
	(void)file_remove_tree(fd, address, NULL);
	(void)close(fd);
	kernel_nodes();
}

static inline void kernel_add(const struct kernel_device *device)
{
	char path[PATH_MAX], target[PATH_MAX], text[32];

	(void)snprintf(path, sizeof(path), "host/sys/devices/pci0000:20/%s", device->address);
	assert_int_equal(file_mkdir_p(run_fd, path, 0700, NULL), 0);
	(void)snprintf(target, sizeof(target), "../../../devices/pci0000:20/%s", device->address);
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s", device->address);
	assert_int_equal(symlinkat(target, run_fd, path), 0);
	(void)snprintf(path, sizeof(path), "host/sys/kernel/iommu_groups/%d/devices",
		       device->group);
	assert_int_equal(file_mkdir_p(run_fd, path, 0700, NULL), 0);
	(void)snprintf(path, sizeof(path), "host/sys/kernel/iommu_groups/%d/devices/%s",
		       device->group, device->address);
	(void)snprintf(target, sizeof(target), "../../../../devices/pci0000:20/%s",
		       device->address);
	assert_int_equal(symlinkat(target, run_fd, path), 0);
	(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s/iommu_group",
		       device->address);
	(void)snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", device->group);
	assert_int_equal(symlinkat(target, run_fd, path), 0);
	(void)snprintf(text, sizeof(text), "0x%04x\n", device->vendor);
	kernel_put(device->address, "vendor", text);
	(void)snprintf(text, sizeof(text), "0x%04x\n", device->device);
	kernel_put(device->address, "device", text);
	(void)snprintf(text, sizeof(text), "0x%06x\n", device->class);
	kernel_put(device->address, "class", text);
	kernel_put(device->address, "driver_override", "(null)\n");
	if (device->can_reset)
		kernel_put(device->address, "reset", "");
}

static inline int kernel_set_vfs(const char *address, unsigned int count)
{
	char path[PATH_MAX], text[32];
	unsigned long now;

	kernel_get(address, "sriov_numvfs", text, sizeof(text));
	now = strtoul(text, NULL, 10);
	if (now && count)
		return -EBUSY;
	for (unsigned int i = 0; i < (count ? count : now); i++) {
		char vf[32], target[64];

		(void)snprintf(vf, sizeof(vf), "0000:24:10.%u", i);
		(void)snprintf(path, sizeof(path), "host/sys/bus/pci/devices/%s/virtfn%u", address,
			       i);
		(void)snprintf(target, sizeof(target), "../%s", vf);
		if (!count) {
			kernel_remove(vf);
			(void)unlinkat(run_fd, path, 0);
			continue;
		}
		kernel_add(&(struct kernel_device){ .address = vf,
						    .vendor = 0x8086,
						    .device = 0x10ca,
						    .class = 0x020000,
						    .group = (int)(20 + i) });
		assert_int_equal(symlinkat(target, run_fd, path), 0);
		kernel_get(address, "sriov_drivers_autoprobe", text, sizeof(text));
		if (strcmp(text, "1") == 0)
			(void)kernel_probe(vf);
	}
	(void)snprintf(text, sizeof(text), "%u\n", count);
	kernel_put(address, "sriov_numvfs", text);
	return 0;
}

static inline int kernel_write_device(const char *address, const char *file, const char *text)
{
	char driver[64], line[80];

	if (strcmp(file, "driver_override") == 0) {
		(void)snprintf(line, sizeof(line), "%s\n", text[0] == '\n' ? "(null)" : text);
		kernel_put(address, file, line);
	} else if (strcmp(file, "reset") == 0) {
		kernel_driver(address, driver);
		kernel->broken += driver[0] != '\0';
		kernel->resets++;
		return kernel->reset_fails ? -ENOTTY : 0;
	} else if (strcmp(file, "sriov_numvfs") == 0) {
		return kernel_set_vfs(address, (unsigned int)strtoul(text, NULL, 10));
	} else if (strcmp(file, "sriov_drivers_autoprobe") == 0) {
		kernel_put(address, file, text);
	} else {
		return -EACCES;
	}
	return 0;
}

static inline int kernel_write(const char *path, const char *text)
{
	char copy[PATH_MAX], *rest = copy, *parts[6], driver[64];
	size_t count = 0;

	if (kernel->vanish_at >= 0 && kernel->vanish_at-- == 0)
		kernel_remove(NVME);
	if (faccessat(sysfs_fd, path, F_OK, 0) < 0)
		return -ENOENT;
	(void)snprintf(copy, sizeof(copy), "%s", path);
	while (count < ARRAY_SIZE(parts) && (parts[count] = strsep(&rest, "/")))
		count++;
	if (count == 3)
		return kernel_probe(text);
	if (strcmp(parts[2], "devices") == 0)
		return kernel_write_device(parts[3], parts[4], text);
	kernel_driver(text, driver);
	if (strcmp(parts[4], "bind") == 0)
		return kernel_bind(text, parts[3]);
	if (strcmp(driver, parts[3]) != 0)
		return -ENODEV;
	kernel_unbind(text);
	return 0;
}

int __wrap_pcidev_write(int at_fd, const char *path, const char *text, struct err *err);
int __wrap_pcidev_group_try(int at_fd, int group);
int __wrap_pcidev_interface_try(const char *name);
int __wrap_pcidev_disk_try(int at_fd, const char *name);
int __wrap_nvme_vfs_provision(int at_fd, const char *name, unsigned int count, struct err *err);
int __wrap_nvme_vfs_release(int at_fd, const char *name, unsigned int count, struct err *err);

int __wrap_pcidev_write(int at_fd, const char *path, const char *text, struct err *err)
{
	int r = kernel_write(path, text);

	(void)at_fd;
	return r < 0 ? err_num(err, r, "write '%s' to '%s'", text, path) : 0;
}

int __wrap_pcidev_group_try(int at_fd, int group)
{
	(void)at_fd;
	if (kernel->busy[group] == 0)
		return 0;
	if (kernel->busy[group] > 0)
		kernel->busy[group]--;
	return -EBUSY;
}

int __wrap_pcidev_interface_try(const char *name)
{
	return strcmp(kernel->addressed, name) == 0 ? -EBUSY : 0;
}

int __wrap_pcidev_disk_try(int at_fd, const char *name)
{
	(void)at_fd;
	return strcmp(kernel->held, name) == 0 ? -EBUSY : 0;
}

int __wrap_nvme_vfs_provision(int at_fd, const char *name, unsigned int count, struct err *err)
{
	(void)at_fd;
	if (strcmp(name, "nvme0") != 0)
		return err_set(err, -ENOENT, "no '%s'", name);
	kernel->provisioned = (int)count;
	return 0;
}

int __wrap_nvme_vfs_release(int at_fd, const char *name, unsigned int count, struct err *err)
{
	(void)at_fd;
	(void)name;
	(void)count;
	(void)err;
	kernel->provisioned = 0;
	return 0;
}

/* A root port with ACS behind another extended capability. */
static inline void put_acs(unsigned int ctrl)
{
	static const struct {
		uint16_t at;
		uint8_t value;
	} bytes[] = {
		{ 0x00, 0x36 },	 { 0x01, 0x1b },  { 0x02, 0x0c },  { 0x06, 0x10 },  { 0x0e, 0x01 },
		{ 0x34, 0x40 },	 { 0x40, 0x10 },  { 0x42, 0x42 },  { 0x100, 0x01 }, { 0x102, 0x01 },
		{ 0x103, 0x14 }, { 0x140, 0x0d }, { 0x142, 0x01 }, { 0x144, 0x5f },
	};
	uint8_t space[4096] = { 0 };
	int fd = openat(sysfs_fd, "bus/pci/devices/" PORT "/config", O_WRONLY | O_CREAT | O_CLOEXEC,
			0600);

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		space[bytes[i].at] = bytes[i].value;
	space[ACS_AT] = (uint8_t)ctrl;
	assert_int_equal(pwrite(fd, space, sizeof(space), 0), sizeof(space));
	(void)close(fd);
}

static inline unsigned int get_acs(void)
{
	uint8_t bytes[2] = { 0 };
	int fd = openat(sysfs_fd, "bus/pci/devices/" PORT "/config", O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, bytes, 2, ACS_AT), 2);
	(void)close(fd);
	return (unsigned int)(bytes[0] | bytes[1] << 8);
}

static inline int kernel_setup(void **state)
{
	static const char *const drivers[] = { "nvme", "virtio-pci", "vfio-pci",
					       "igb",  "igbvf",	     "pcieport" };
	char path[PATH_MAX];

	(void)setup(state);
	*kernel = (struct kernel){ .vanish_at = -1 };
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		(void)snprintf(path, sizeof(path), "host/sys/bus/pci/drivers/%s", drivers[i]);
		assert_int_equal(file_mkdir_p(run_fd, path, 0700, NULL), 0);
		(void)snprintf(path, sizeof(path), "host/sys/bus/pci/drivers/%s/bind", drivers[i]);
		put_text(path, "");
		(void)snprintf(path, sizeof(path), "host/sys/bus/pci/drivers/%s/unbind",
			       drivers[i]);
		put_text(path, "");
	}
	put_text("host/sys/bus/pci/drivers_probe", "");
	assert_int_equal(file_mkdir_p(run_fd, "host/sys/bus/pci/devices", 0700, NULL), 0);
	assert_int_equal(file_mkdir_p(run_fd, "host/dev/vfio", 0700, NULL), 0);
	assert_int_equal(file_open_dir(run_fd, "host/sys", &sysfs_fd, NULL), 0);
	assert_int_equal(file_open_dir(run_fd, "host/dev", &dev_fd, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kernel_devices); i++) {
		const struct kernel_device *device = &kernel_devices[i];

		kernel_add(device);
		if (device->driver[0]) {
			kernel_put(device->address, "driver_override", device->driver);
			assert_int_equal(kernel_bind(device->address, device->driver), 0);
		}
		(void)snprintf(path, sizeof(path), "%s\n",
			       device->override[0] ? device->override : "(null)");
		kernel_put(device->address, "driver_override", path);
	}
	kernel_put(PF, "sriov_totalvfs", "4\n");
	kernel_put(PF, "sriov_numvfs", "0\n");
	kernel_put(PF, "sriov_drivers_autoprobe", "1");
	put_acs(0x1d);
	opts.sysfs_fd = sysfs_fd;
	opts.dev_fd = dev_fd;
	return 0;
}

static inline int kernel_teardown(void **state)
{
	assert_int_equal(kernel->broken, 0);
	(void)close(sysfs_fd);
	(void)close(dev_fd);
	return teardown(state);
}

/* All there is to be known of the devices, to be compared with what was before. */
static inline void kernel_picture(struct buf *ret)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	CLEANUP(strv_done) struct strv nodes = { 0 };

	assert_int_equal(file_list(sysfs_fd, "bus/pci/devices", &names, NULL), 0);
	assert_int_equal(file_list(dev_fd, "vfio", &nodes, NULL), 0);
	for (size_t i = 0; i < names.len; i++) {
		char driver[64], override[64], vfs[16], probe[16];

		kernel_driver(names.at[i], driver);
		kernel_get(names.at[i], "driver_override", override, sizeof(override));
		kernel_get(names.at[i], "sriov_numvfs", vfs, sizeof(vfs));
		kernel_get(names.at[i], "sriov_drivers_autoprobe", probe, sizeof(probe));
		assert_int_equal(buf_addf(ret, "%s '%s' '%s' %s %s\n", names.at[i], driver,
					  override, vfs, probe),
				 0);
	}
	for (size_t i = 0; i < nodes.len; i++) {
		struct pcidev_owner owner = { 0 };

		assert_int_equal(
			pcidev_group_owner(dev_fd, (int)strtol(nodes.at[i], NULL, 10), &owner), 0);
		assert_int_equal(buf_addf(ret, "node %s %u %u %o\n", nodes.at[i], owner.uid,
					  owner.gid, owner.mode),
				 0);
	}
	assert_int_equal(buf_addf(ret, "acs %#x\n", get_acs()), 0);
	assert_int_equal(buf_add(ret, "", 1), 0);
}

static inline void assert_no_claims(void)
{
	assert_int_equal(count_in("devices"), 0);
	assert_int_equal(count_in("vfs"), 0);
	assert_int_equal(count_in("ports"), 0);
}

/* What a planner that looked at the start would ask for. */
static inline struct lease_device wanted(const char *address)
{
	const struct kernel_device *device = kernel_find(address);

	return (struct lease_device){ address, device->vendor, device->device, device->driver,
				      device->group };
}

static inline const char *driver_of(const char *address)
{
	static char driver[64];

	kernel_driver(address, driver);
	return driver;
}

#define WITH_DEVICES(test) cmocka_unit_test_setup_teardown(test, kernel_setup, kernel_teardown)

#define run_devices(name, tests) \
	(prepare_devices() < 0 ? 1 : cmocka_run_group_tests_name(name, tests, NULL, NULL))

static inline int prepare_devices(void)
{
	kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return kernel == MAP_FAILED ? -1 : prepare_lives();
}

#endif
