// SPDX-License-Identifier: Apache-2.0
#include "lease/device_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lease/kind_priv.h"
#include "lease/lease.h"
#include "sys/file.h"
#include "sys/lockfile.h"
#include "sys/pcidev.h"

const char *lease_device_path(const char *address, const char *file, char ret[static DEVICE_PATH])
{
	(void)snprintf(ret, DEVICE_PATH, "bus/pci/devices/%s%s%s", address, file[0] ? "/" : "",
		       file);
	return ret;
}

static int device_path_read(const struct lease_site *site, const char *address, const char *file,
			    char *ret, size_t size, struct err *err)
{
	char path[DEVICE_PATH];

	return pcidev_read(site->sysfs_fd, lease_device_path(address, file, path), ret, size, err);
}

int lease_device_number(const struct lease_site *site, const char *address, const char *file,
			unsigned int *ret, struct err *err)
{
	unsigned long value;
	char text[32], *end;
	int r = device_path_read(site, address, file, text, sizeof(text), err);

	if (r < 0)
		return r;
	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || end == text || *end || value > UINT_MAX)
		return err_set(err, -EBADMSG, "read '%s' of %s: '%s' is no number", file, address,
			       text);
	*ret = (unsigned int)value;
	return 0;
}

int lease_device_write(const struct lease_site *site, const char *address, const char *file,
		       const char *text, struct err *err)
{
	char path[DEVICE_PATH];

	return pcidev_write(site->sysfs_fd, lease_device_path(address, file, path), text, err);
}

bool lease_device_is_there(const struct lease_site *site, const char *address)
{
	char target[PATH_MAX], path[DEVICE_PATH];

	return pcidev_link(site->sysfs_fd, lease_device_path(address, "", path), target,
			   sizeof(target)) == 0;
}

int lease_device_driver(const struct lease_site *site, const char *address,
			char ret[static DRIVER_MAX + 1], struct err *err)
{
	char path[DEVICE_PATH];
	int r = pcidev_link_name(site->sysfs_fd, lease_device_path(address, "driver", path), ret,
				 DRIVER_MAX + 1);

	if (r == -ENOENT)
		ret[0] = '\0';
	else if (r < 0)
		return err_num(err, r, "see which driver has %s", address);
	return 0;
}

int lease_device_look(const struct lease_site *site, const char *address, struct device *ret,
		      struct err *err)
{
	int r;

	*ret = (struct device){ 0 };
	(void)snprintf(ret->address, sizeof(ret->address), "%s", address);
	if (!lease_device_is_there(site, address))
		return err_coded(err, ERR_DEVICE_NONE, -ENODEV, "there is no such device");
	r = lease_device_number(site, address, "vendor", &ret->vendor, err);
	if (r == 0)
		r = lease_device_number(site, address, "device", &ret->device, err);
	if (r == 0)
		r = lease_device_driver(site, address, ret->driver, err);
	if (r == 0)
		r = device_path_read(site, address, "driver_override", ret->override,
				     sizeof(ret->override), err);
	if (r == 0 && strcmp(ret->override, "(null)") == 0)
		ret->override[0] = '\0';
	if (r == -ENOENT || r == -ENODEV) /* gone while we looked */
		return err_coded(err, ERR_DEVICE_NONE, -ENODEV, "there is no such device");
	return r;
}

int lease_device_group(const struct lease_site *site, const char *address, int *ret,
		       struct err *err)
{
	char path[DEVICE_PATH], name[16];
	uint64_t number;
	int r = pcidev_link_name(site->sysfs_fd, lease_device_path(address, "iommu_group", path),
				 name, sizeof(name));

	if (r == -ENOENT)
		return err_coded(err, ERR_HOST, -EOPNOTSUPP,
				 "it is in no IOMMU group: is the IOMMU switched on?");
	if (r < 0 || text_parse_uint(name, INT_MAX, &number) < 0)
		return err_num(err, r < 0 ? r : -EBADMSG, "see which IOMMU group %s is in",
			       address);
	*ret = (int)number;
	return 0;
}

int lease_device_return(const struct lease_site *site, const char *address, unsigned int vendor,
			unsigned int device, struct device *ret, struct err *err)
{
	int r = lease_device_look(site, address, ret, err);

	if (r == -ENODEV) {
		err_set(site->remark, -ENODEV, "it has gone");
		return 1;
	}
	if (r < 0)
		return r;
	if (ret->vendor == vendor && ret->device == device)
		return 0;
	err_set(site->remark, -ESTALE, "another device (%04x:%04x) is there now: left alone",
		ret->vendor, ret->device);
	return 1;
}

/* --- asking ------------------------------------------------------------------------------- */

bool lease_device_address_valid(const char *address)
{
	struct pci_address parsed;
	char text[PCI_ADDRESS_TEXT];

	return pci_address_parse_string(address, &parsed) == 0 &&
	       strcmp(pci_address_format(parsed, text), address) == 0;
}

int lease_device_sites(const struct lease_site *site, struct err *err)
{
	if (site->sysfs_fd >= 0 && site->dev_fd >= 0)
		return 0;
	return err_coded(err, ERR_HOST, -EOPNOTSUPP,
			 "devices cannot be changed without /sys and /dev");
}

static bool is_wanted(const struct lease_device *wants, size_t count, const char *address)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(wants[i].address, address) == 0)
			return true;
	return false;
}

static int check_same(const struct lease_device *want, const struct device *now, struct err *err)
{
	const char *driver = want->driver ? want->driver : "";

	if (now->vendor != want->vendor || now->device != want->device)
		return err_coded(err, ERR_DEVICE_NONE, -ESTALE,
				 "it is %04x:%04x now, and was %04x:%04x when it was chosen",
				 now->vendor, now->device, want->vendor, want->device);
	if (strcmp(driver, now->driver) != 0)
		return err_coded(err, ERR_DEVICE_HELD, -ESTALE,
				 "driver '%s' has it now, and '%s' had it when it was chosen",
				 now->driver, driver);
	return 0;
}

/* What goes with its driver, and would be missed. */
static int check_vfs(const struct lease_site *site, const char *address, struct err *err)
{
	unsigned int vfs = 0;

	if (lease_device_number(site, address, "sriov_numvfs", &vfs, NULL) < 0 || vfs == 0)
		return 0;
	return err_coded(err, ERR_DEVICE_HELD, -EBUSY,
			 "it has %u virtual functions, which would go with its driver", vfs);
}

static int check_holder(const struct lease_site *site, const struct device *now, int group,
			struct err *err)
{
	int r;

	if (strcmp(now->driver, DEVICE_VFIO) != 0)
		return now->driver[0] ? lease_use_check(site, now->address, err) : 0;
	r = pcidev_group_try(site->dev_fd, group);
	if (r == -EBUSY)
		return err_coded(err, ERR_DEVICE_HELD, r,
				 "another program has it: '/dev/vfio/%d' is open", group);
	return r < 0 ? err_num(err, r, "open '/dev/vfio/%d'", group) : 0;
}

static int check_member(const struct lease_device *wants, size_t count,
			const struct lease_site *site, const char *member, struct err *err)
{
	return is_wanted(wants, count, member) ? 0 : lease_group_member(site, member, err);
}

static int check_group(const struct lease_site *site, const struct lease_device *wants,
		       size_t count, int group, struct err *err)
{
	CLEANUP(strv_done) struct strv members = { 0 };
	int r = lease_group_members(site, group, &members, err);

	for (size_t i = 0; r == 0 && i < members.len; i++)
		r = check_member(wants, count, site, members.at[i], err);
	return r;
}

static int check_claim(const struct lease_site *site, const struct lease_device *wants, size_t i,
		       struct err *err)
{
	char owner[TEXT_NAME_MAX + 1];
	int r = lease_claim_owner(site, LEASE_DEVICES, wants[i].address, sizeof(owner), owner, err);

	if (r < 0)
		return r;
	if (is_wanted(wants, i, wants[i].address) || strcmp(owner, site->pod) == 0)
		return err_set(err, -EEXIST, "it is asked for twice");
	if (owner[0])
		return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "pod '%s' has it", owner);
	return 0;
}

/* Everything that can be known before anything is changed. */
static int check(const struct lease_site *site, const struct lease_device *wants, size_t count,
		 size_t i, struct device *ret, struct err *err)
{
	const struct lease_device *want = &wants[i];
	unsigned int class = 0;
	int group = -1, r = check_claim(site, wants, i, err);

	if (r == 0)
		r = lease_device_look(site, want->address, ret, err);
	if (r == 0)
		r = check_same(want, ret, err);
	if (r == 0)
		r = lease_device_number(site, want->address, "class", &class, err);
	if (r == 0 && class >> 16 == PCI_CLASS_BRIDGE)
		return err_coded(err, ERR_DEVICE_HELD, -EINVAL, "it is a bridge");
	if (r == 0)
		r = lease_device_group(site, want->address, &group, err);
	if (r == 0 && group != want->group)
		return err_coded(err, ERR_DEVICE_HELD, -ESTALE,
				 "its IOMMU group is %d now, and was %d when it was chosen", group,
				 want->group);
	if (r == 0)
		r = check_vfs(site, want->address, err);
	if (r == 0)
		r = check_holder(site, ret, group, err);
	return r < 0 ? r : check_group(site, wants, count, group, err);
}

static int check_driver(const struct lease_site *site, struct err *err)
{
	CLEANUP(strv_done) struct strv files = { 0 };
	int r = lease_device_sites(site, err);

	if (r < 0)
		return r;
	r = file_list(site->sysfs_fd, "bus/pci/drivers/" DEVICE_VFIO, &files, err);
	if (r != -ENOENT)
		return r;
	return err_coded(err, ERR_HOST, -ENOENT,
			 "the kernel has no driver '" DEVICE_VFIO "': modprobe " DEVICE_VFIO);
}

static int format_arg(const struct device *device, char ret[static LEASE_ARG_MAX + 1])
{
	int n;

	if (strchr(device->driver, ' '))
		return -EINVAL;
	n = snprintf(ret, LEASE_ARG_MAX + 1, "%s %04x:%04x %s%s%s", device->address, device->vendor,
		     device->device, device->driver[0] ? device->driver : "-",
		     device->override[0] ? " " : "", device->override);

	return n > LEASE_ARG_MAX ? -EINVAL : 0;
}

/* Nobody takes our look at the lock for a life: whoever tries it too has the directory's first. */
static int pod_lives(const struct lease_site *site, const char *pod, bool *ret)
{
	cleanup_close int leases_fd = -1, journal_fd = -1;
	char file[TEXT_NAME_MAX + sizeof(".journal")];
	int r = lease_open_dir(site, "leases", &leases_fd, NULL);

	*ret = false;
	if (r == 0)
		r = file_lock(leases_fd, true, LEASE_RECOVERY_MS);
	(void)snprintf(file, sizeof(file), "%s.journal", pod);
	if (r == 0)
		r = lockfile_open(leases_fd, file, false, 0, &journal_fd, NULL);
	*ret = r == -EWOULDBLOCK;
	return r == -EWOULDBLOCK || r == -ENOENT ? 0 : r;
}

int lease_device_busy(const struct lease_opts *opts, const char *address, struct err *err)
{
	const struct lease_site site = { .pod = "",
					 .run_fd = opts->run_fd,
					 .proc_fd = opts->proc_fd,
					 .sysfs_fd = opts->sysfs_fd,
					 .dev_fd = opts->dev_fd };
	char owner[TEXT_NAME_MAX + 1] = "", driver[DRIVER_MAX + 1];
	bool lives = false;
	int r = 0;

	if (site.run_fd >= 0)
		r = lease_claim_owner(&site, LEASE_DEVICES, address, sizeof(owner), owner, err);
	if (r == 0 && owner[0])
		r = pod_lives(&site, owner, &lives);
	if (r < 0)
		return err_num(err, r, "see who has %s", address);
	if (lives)
		return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "pod '%s' has it", owner);
	r = lease_device_driver(&site, address, driver, err);
	if (r < 0 || !driver[0] || strcmp(driver, DEVICE_VFIO) == 0)
		return r;
	return lease_use_check(&site, address, err);
}

int lease_choice_begin(int run_fd, int *ret_fd)
{
	cleanup_close int fd = -1;
	int r = file_mkdir_p(run_fd, LEASE_DEVICES, 0700, NULL);

	if (r >= 0)
		r = file_open_beneath(run_fd, LEASE_DEVICES, O_RDONLY | O_DIRECTORY, &fd, NULL);
	if (r >= 0)
		r = file_lock(fd, true, LEASE_CHOICE_MS);
	if (r < 0)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int lease_devices(struct lease *lease, const struct lease_device *wants, size_t count,
		  struct err *err)
{
	const struct lease_site site = lease_site(lease);
	struct device found[LEASE_MAX_DEVICES];
	char arg[LEASE_ARG_MAX + 1];
	int unused_fd = -1, r;

	if (count == 0)
		return 0;
	if (count > LEASE_MAX_DEVICES)
		return err_set(err, -E2BIG, "lease %zu devices: more than %d", count,
			       LEASE_MAX_DEVICES);
	r = check_driver(&site, err);
	if (r < 0)
		return err_wrap(err, r, "lease devices");
	for (size_t i = 0; i < count; i++) {
		if (!lease_device_address_valid(wants[i].address))
			return err_set(err, -EINVAL, "lease device '%.32s': not an address",
				       wants[i].address);
		r = check(&site, wants, count, i, &found[i], err);
		if (r < 0)
			return err_wrap(err, r, "lease device %s", wants[i].address);
	}
	for (size_t i = 0; i < count; i++) {
		r = format_arg(&found[i], arg);
		if (r < 0)
			return err_num(err, r, "lease device %s", wants[i].address);
		r = lease_step(lease, "device", arg, &unused_fd, err);
		if (r < 0)
			return r;
	}
	return 0;
}
