// SPDX-License-Identifier: Apache-2.0
/*
 * vfs: the number of a physical function's VFs. The argument is
 *
 *	ADDRESS VENDOR:DEVICE COUNT AUTOPROBE
 *
 * the last being whether the kernel gave new VFs to drivers; before there were none. The claim
 * vfs/ADDRESS is made first and given up last. An NVMe controller's VFs have no queues, and are
 * offline, until they are provisioned (sys/nvme.h); they are freed of them before they go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lease/device_priv.h"
#include "lease/kind_priv.h"
#include "lease/lease.h"
#include "sys/file.h"
#include "sys/nvme.h"
#include "sys/pcidev.h"

struct vfs {
	char address[PCI_ADDRESS_TEXT];
	unsigned int vendor, device, count, autoprobe;
};

static int vfs_parse(const char *arg, struct vfs *ret, struct err *err)
{
	size_t len = strcspn(arg, " ");
	char *at;

	*ret = (struct vfs){ 0 };
	if (len >= sizeof(ret->address) || !arg[len])
		return err_set(err, -EBADMSG, "the journal names no function there");
	memcpy(ret->address, arg, len);
	ret->vendor = (unsigned int)strtoul(arg + len, &at, 16);
	if (*at == ':')
		ret->device = (unsigned int)strtoul(at + 1, &at, 16);
	ret->count = (unsigned int)strtoul(at, &at, 10);
	ret->autoprobe = (unsigned int)strtoul(at, &at, 10);
	if (*at || !lease_device_address_valid(ret->address))
		return err_set(err, -EBADMSG, "the journal names no function there");
	return 0;
}

static int write_number(const struct lease_site *site, const char *address, const char *file,
			unsigned int value, struct err *err)
{
	char text[16];
	int r;

	(void)snprintf(text, sizeof(text), "%u", value);
	r = lease_device_write(site, address, file, text, err);
	if (r == 0)
		lease_site_step(site, file);
	return r;
}

/* The controller's node in /dev, "" if the function is no NVMe controller of the host's driver. */
static int find_nvme(const struct lease_site *site, const char *address, size_t size, char *ret)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	char path[DEVICE_PATH];
	int r = file_list(site->sysfs_fd, lease_device_path(address, "nvme", path), &names, NULL);

	ret[0] = '\0';
	if (r == 0 && names.len > 0)
		(void)snprintf(ret, size, "%s", names.at[0]);
	return r == -ENOMEM ? r : 0;
}

static int provision(const struct lease_site *site, const struct vfs *vfs, struct err *err)
{
	char name[64];
	int r = find_nvme(site, vfs->address, sizeof(name), name);

	if (r < 0)
		return err_num(err, r, "find the controller of %s", vfs->address);
	return name[0] ? nvme_vfs_provision(site->dev_fd, name, vfs->count, err) : 0;
}

static void unprovision(const struct lease_site *site, const struct vfs *vfs)
{
	char name[64];

	if (find_nvme(site, vfs->address, sizeof(name), name) == 0 && name[0])
		(void)nvme_vfs_release(site->dev_fd, name, vfs->count, NULL);
}

static int vfs_apply(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	unsigned int number = 0;
	struct device now = { 0 };
	struct vfs vfs;
	int r = vfs_parse(arg, &vfs, err);

	(void)ret_fd;
	if (r == 0)
		r = lease_claim_take(site, LEASE_VFS, vfs.address, err);
	if (r == 0)
		r = lease_device_look(site, vfs.address, &now, err);
	if (r == 0)
		r = lease_device_number(site, vfs.address, "sriov_numvfs", &number, err);
	if (r < 0)
		return r;
	if (now.vendor != vfs.vendor || now.device != vfs.device || number != 0)
		return err_coded(err, ERR_DEVICE_HELD, -EAGAIN,
				 "somebody else has just changed it: try again");
	r = write_number(site, vfs.address, "sriov_drivers_autoprobe", 0, err);
	if (r == 0)
		r = write_number(site, vfs.address, "sriov_numvfs", vfs.count, err);
	return r < 0 ? r : provision(site, &vfs, err);
}

/* A VF that another pod has keeps all of them. */
static int check_owners(const struct lease_site *site, const struct vfs *vfs, struct err *err)
{
	for (unsigned int i = 0; i < vfs->count; i++) {
		char file[24], path[DEVICE_PATH], vf[PCI_ADDRESS_TEXT],
			owner[TEXT_NAME_MAX + 1] = "";
		int r;

		(void)snprintf(file, sizeof(file), "virtfn%u", i);
		r = pcidev_link_name(site->sysfs_fd, lease_device_path(vfs->address, file, path),
				     vf, sizeof(vf));
		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = lease_claim_owner(site, LEASE_DEVICES, vf, sizeof(owner), owner, err);
		if (r < 0)
			return err_wrap(err, r, "see who has '%s'", file);
		if (owner[0] && strcmp(owner, site->pod) != 0)
			return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "pod '%s' has its VF %s",
					 owner, vf);
	}
	return 0;
}

static int remove_vfs(const struct lease_site *site, const struct vfs *vfs, struct err *err)
{
	unsigned int number = 0;
	int r = lease_device_number(site, vfs->address, "sriov_numvfs", &number, err);

	if (r == 0 && number != 0 && number != vfs->count) {
		err_set(site->remark, -EBUSY, "it has %u VFs now, and not %u: left alone", number,
			vfs->count);
		return 1;
	}
	if (r == 0 && number != 0) {
		r = check_owners(site, vfs, err);
		if (r < 0)
			return r;
		unprovision(site, vfs);
		r = write_number(site, vfs->address, "sriov_numvfs", 0, err);
	}
	return r < 0 ? r
		     : write_number(site, vfs->address, "sriov_drivers_autoprobe", vfs->autoprobe,
				    err);
}

static int vfs_undo(const struct lease_site *site, const char *arg, struct err *err)
{
	struct device now;
	struct vfs vfs;
	int r = vfs_parse(arg, &vfs, err), result;

	if (r < 0)
		return r;
	if (!lease_claim_is_ours(site, LEASE_VFS, vfs.address))
		return 0;
	result = site->is_stale ? 1 : lease_device_sites(site, err);
	if (result == 0)
		result = lease_device_return(site, vfs.address, vfs.vendor, vfs.device, &now, err);
	if (result == 0)
		result = remove_vfs(site, &vfs, err);
	if (result < 0)
		return result;
	r = lease_claim_drop(site, LEASE_VFS, vfs.address, err);
	return r < 0 ? r : result;
}

const struct lease_kind lease_kind_vfs = { "vfs", true, false, vfs_apply, vfs_undo };

/* What there is, and may be; 1 if nothing is to be done. */
static int vfs_check(const struct lease_site *site, unsigned int count, struct vfs *vfs,
		     struct err *err)
{
	unsigned int total = 0, number = 0;
	char owner[TEXT_NAME_MAX + 1] = "";
	struct device now = { 0 };
	int r = lease_device_sites(site, err);

	if (r == 0)
		r = lease_device_look(site, vfs->address, &now, err);
	if (r == 0)
		r = lease_claim_owner(site, LEASE_DEVICES, vfs->address, sizeof(owner), owner, err);
	if (r < 0)
		return r;
	if (owner[0]) /* its driver, which serves the VFs, is not the host's */
		return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "pod '%s' has it", owner);
	r = lease_device_number(site, vfs->address, "sriov_totalvfs", &total, err);
	if (r == -ENOENT)
		return err_coded(err, ERR_DEVICE_NONE, -EOPNOTSUPP, "it can have no VFs");
	if (r == 0 && (count == 0 || count > total))
		return err_coded(err, ERR_DEVICE_COUNT, -ERANGE,
				 "%u VFs are asked for, and it can have %u", count, total);
	if (r == 0)
		r = lease_device_number(site, vfs->address, "sriov_numvfs", &number, err);
	if (r == 0 && number != 0 && number != count)
		return err_coded(err, ERR_DEVICE_HELD, -EBUSY,
				 "it has %u VFs, and %u are asked for", number, count);
	if (r == 0)
		r = lease_device_number(site, vfs->address, "sriov_drivers_autoprobe",
					&vfs->autoprobe, err);
	vfs->vendor = now.vendor;
	vfs->device = now.device;
	return r < 0 ? r : number == count;
}

int lease_vfs(struct lease *lease, const char *address, unsigned int count, struct err *err)
{
	const struct lease_site site = lease_site(lease);
	struct vfs vfs = { .count = count };
	int unused_fd = -1, r;
	char arg[96];

	if (!lease_device_address_valid(address))
		return err_set(err, -EINVAL, "lease VFs of '%.32s': not an address", address);
	(void)snprintf(vfs.address, sizeof(vfs.address), "%s", address);
	r = vfs_check(&site, count, &vfs, err);
	if (r < 0)
		return err_wrap(err, r, "lease VFs of %s", address);
	if (r > 0)
		return 0;
	(void)snprintf(arg, sizeof(arg), "%s %04x:%04x %u %u", address, vfs.vendor, vfs.device,
		       count, vfs.autoprobe);
	return lease_step(lease, "vfs", arg, &unused_fd, err);
}
