// SPDX-License-Identifier: Apache-2.0
/*
 * group: the node of an IOMMU group, given to the user id of a pod. The argument is
 *
 *	GROUP UID GID FORMER-UID FORMER-GID FORMER-MODE
 *
 * The node comes and goes with the devices that vfio-pci has of the group; with them gone there
 * is nothing to take back.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lease/device_priv.h"
#include "lease/kind_priv.h"
#include "lease/lease.h"
#include "sys/file.h"
#include "sys/pcidev.h"

enum { OWNED = 0600 };

struct group {
	int group;
	struct pcidev_owner to, was;
};

static int parse_arg(const char *arg, struct group *ret, struct err *err)
{
	unsigned long values[6];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char *end;

		errno = 0;
		values[i] = strtoul(arg, &end, i == 5 ? 8 : 10);
		if (errno || end == arg || *end != (i == 5 ? '\0' : ' ') || values[i] > UINT_MAX)
			return err_set(err, -EBADMSG, "the journal names no group there");
		arg = end;
	}
	*ret = (struct group){ .group = (int)values[0],
			       .to = { (uid_t)values[1], (gid_t)values[2], OWNED },
			       .was = { (uid_t)values[3], (gid_t)values[4],
					(mode_t)values[5] & 07777 } };
	return 0;
}

int lease_group_members(const struct lease_site *site, int group, struct strv *ret, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "kernel/iommu_groups/%d/devices", group);
	return file_list(site->sysfs_fd, path, ret, err);
}

/*
 * The kernel lets nobody use a group while a driver does DMA for a member on its own; bridges and
 * the placeholder drivers do none (drivers/iommu/iommu.c, iommu_device_use_default_domain()).
 */
int lease_group_member(const struct lease_site *site, const char *member, struct err *err)
{
	static const char *const harmless[] = { "", "vfio-pci", "pci-stub", "pcieport" };
	char owner[TEXT_NAME_MAX + 1], path[DEVICE_PATH], driver[DRIVER_MAX + 1] = "";
	unsigned int class;
	int r = lease_claim_owner(site, LEASE_DEVICES, member, sizeof(owner), owner, err);

	if (r < 0)
		return r;
	if (owner[0] && strcmp(owner, site->pod) != 0)
		return err_coded(err, ERR_DEVICE_HELD, -EBUSY,
				 "%s is in its IOMMU group, and pod '%s' has that", member, owner);
	r = pcidev_link_name(site->sysfs_fd, lease_device_path(member, "driver", path), driver,
			     sizeof(driver));
	if (r < 0 && r != -ENOENT)
		return err_num(err, r, "see which driver has %s", member);
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strcmp(driver, harmless[i]) == 0)
			return 0;
	if (lease_device_number(site, member, "class", &class, NULL) == 0 &&
	    class >> 16 == PCI_CLASS_BRIDGE)
		return 0;
	return err_coded(err, ERR_DEVICE_HELD, -EBUSY,
			 "%s is in its IOMMU group, and the host's driver '%s' has that", member,
			 driver);
}

static int group_apply(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	CLEANUP(strv_done) struct strv members = { 0 };
	struct group group;
	int r = parse_arg(arg, &group, err);

	(void)ret_fd;
	if (r == 0)
		r = lease_group_members(site, group.group, &members, err);
	for (size_t i = 0; r == 0 && i < members.len; i++)
		r = lease_group_member(site, members.at[i], err);
	if (r < 0)
		return r;
	r = pcidev_group_give(site->dev_fd, group.group, &group.to);
	return r < 0 ? err_num(err, r, "give '/dev/vfio/%d' to user id %u", group.group,
			       group.to.uid)
		     : 0;
}

static int group_undo(const struct lease_site *site, const char *arg, struct err *err)
{
	struct pcidev_owner now;
	struct group group;
	int r = parse_arg(arg, &group, err);

	if (r == 0 && site->is_stale)
		return 1;
	if (r == 0)
		r = lease_device_sites(site, err);
	if (r < 0)
		return r;
	r = pcidev_group_owner(site->dev_fd, group.group, &now);
	/* Neither ours, nor on its way from or to us: a later one. */
	if (r == 0 && now.uid != group.to.uid && now.mode != 0)
		return 0;
	if (r == 0)
		r = pcidev_group_give(site->dev_fd, group.group, &group.was);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? err_num(err, r, "take back '/dev/vfio/%d'", group.group) : 0;
}

const struct lease_kind lease_kind_group = { "group", false, false, group_apply, group_undo };

int lease_group(struct lease *lease, int group, uid_t uid, gid_t gid, struct err *err)
{
	const struct lease_site site = lease_site(lease);
	struct pcidev_owner was;
	int unused_fd = -1, r = lease_device_sites(&site, err);
	char arg[96];

	if (r < 0)
		return err_wrap(err, r, "lease group %d", group);
	r = pcidev_group_owner(site.dev_fd, group, &was);
	if (r < 0)
		return err_num(err, r, "lease group %d: find '/dev/vfio/%d'", group, group);
	(void)snprintf(arg, sizeof(arg), "%d %u %u %u %u %o", group, uid, gid, was.uid, was.gid,
		       was.mode);
	return lease_step(lease, "group", arg, &unused_fd, err);
}
