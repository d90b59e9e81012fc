// SPDX-License-Identifier: Apache-2.0
/*
 * acs: bits of a port's ACS control register. The argument is
 *
 *	ADDRESS VENDOR:DEVICE MASK FORMER
 *
 * in hexadecimal: the bits that were changed, and what they were. Undone, they are that again, and
 * others as they then are. The claim ports/ADDRESS is made first and given up last: what one pod
 * has changed, another does not.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "lease/device_priv.h"
#include "lease/kind_priv.h"
#include "lease/lease.h"
#include "pci/cap.h"
#include "pci/config.h"
#include "sys/host.h"
#include "sys/pcidev.h"

enum { ACS_CAP_ID = 0x0d, ACS_TRIES = 20, ACS_TRY_MS = 10 };

struct acs {
	char address[PCI_ADDRESS_TEXT];
	unsigned int vendor, device, mask, former;
};

/* The register as it is, and where. */
struct acs_register {
	off_t at;
	size_t size;
	uint32_t cap, ctrl;
};

static int acs_parse(const char *arg, struct acs *ret, struct err *err)
{
	size_t len = strcspn(arg, " ");
	char *at;

	*ret = (struct acs){ 0 };
	if (len >= sizeof(ret->address) || !arg[len])
		return err_set(err, -EBADMSG, "the journal names no port there");
	memcpy(ret->address, arg, len);
	ret->vendor = (unsigned int)strtoul(arg + len, &at, 16);
	if (*at == ':')
		ret->device = (unsigned int)strtoul(at + 1, &at, 16);
	ret->mask = (unsigned int)strtoul(at, &at, 16);
	ret->former = (unsigned int)strtoul(at, &at, 16);
	if (*at || !lease_device_address_valid(ret->address))
		return err_set(err, -EBADMSG, "the journal names no port there");
	return 0;
}

static off_t find_cap(struct bytes space)
{
	struct pci_cap cap = { 0 };

	while (pci_cap_ext_next(space, &cap) > 0)
		if (cap.id == ACS_CAP_ID)
			return cap.at;
	return -1;
}

static int acs_read(const struct lease_site *site, const char *address, struct acs_register *ret,
		    struct err *err)
{
	static const off_t ctrl_offset[2] = { 6, 8 };
	uint8_t space[PCI_CONFIG_SIZE];
	char path[DEVICE_PATH];
	struct pci_config config;
	ssize_t n = pcidev_config_read(site->sysfs_fd, lease_device_path(address, "", path), space,
				       sizeof(space), err);
	off_t cap;

	if (n < 0)
		return (int)n;
	cap = find_cap((struct bytes){ space, (size_t)n });
	pci_config_decode((struct bytes){ space, (size_t)n }, &config);
	if (cap < 0 || config.acs.present != PCI_YES || config.acs.ctrl < 0)
		return err_coded(err, ERR_HOST, -EOPNOTSUPP, "it has no ACS");
	*ret = (struct acs_register){ .at = cap + ctrl_offset[config.acs.is_dwords],
				      .size = config.acs.is_dwords ? 4 : 2,
				      .cap = (uint32_t)config.acs.cap,
				      .ctrl = (uint32_t)config.acs.ctrl };
	return 0;
}

static int acs_change(const struct lease_site *site, const char *address, uint32_t mask,
		      uint32_t value, struct err *err)
{
	struct acs_register acs;
	char path[DEVICE_PATH];
	uint32_t ctrl;
	int r = acs_read(site, address, &acs, err);

	if (r < 0)
		return r;
	ctrl = (acs.ctrl & ~mask) | (value & mask);
	if (ctrl == acs.ctrl)
		return 0;
	r = pcidev_config_write(site->sysfs_fd, lease_device_path(address, "", path), acs.at, ctrl,
				acs.size, err);
	if (r == 0)
		lease_site_step(site, "bits written");
	return r;
}

static int acs_apply(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	struct acs_register now = { 0 };
	struct acs acs;
	int r = acs_parse(arg, &acs, err);

	(void)ret_fd;
	if (r == 0)
		r = lease_claim_take(site, LEASE_PORTS, acs.address, err);
	if (r == 0)
		r = acs_read(site, acs.address, &now, err);
	if (r < 0)
		return r;
	if ((now.ctrl & acs.mask) != acs.former)
		return err_coded(err, ERR_DEVICE_HELD, -EAGAIN,
				 "somebody else has just changed it: try again");
	return acs_change(site, acs.address, acs.mask, ~acs.former, err);
}

static int acs_undo(const struct lease_site *site, const char *arg, struct err *err)
{
	struct device now;
	struct acs acs;
	int r = acs_parse(arg, &acs, err), result;

	if (r < 0)
		return r;
	if (!lease_claim_is_ours(site, LEASE_PORTS, acs.address))
		return 0;
	result = site->is_stale ? 1 : lease_device_sites(site, err);
	if (result == 0)
		result = lease_device_return(site, acs.address, acs.vendor, acs.device, &now, err);
	if (result == 0)
		result = acs_change(site, acs.address, acs.mask, acs.former, err);
	if (result < 0)
		return result;
	r = lease_claim_drop(site, LEASE_PORTS, acs.address, err);
	return r < 0 ? r : result;
}

const struct lease_kind lease_kind_acs = { "acs", true, false, acs_apply, acs_undo };

/* The bits of a port that are not yet as wanted. */
static uint32_t differing(const struct acs_register *acs, uint32_t set, uint32_t clear)
{
	return ((acs->ctrl | set) & ~clear) ^ acs->ctrl;
}

/* Whoever was first may have wanted the same: then it is there as soon as it has been written. */
static bool is_so_by_now(const struct lease_site *site, const char *address, uint32_t set,
			 uint32_t clear)
{
	struct acs_register now;

	for (int i = 0; i < ACS_TRIES; i++) {
		if (acs_read(site, address, &now, NULL) == 0 && differing(&now, set, clear) == 0)
			return true;
		host_sleep_ms(ACS_TRY_MS);
	}
	return false;
}

int lease_acs(struct lease *lease, const char *address, uint16_t set, uint16_t clear,
	      struct err *err)
{
	const struct lease_site site = lease_site(lease);
	struct acs_register now = { 0 };
	struct device port = { 0 };
	int unused_fd = -1, r;
	uint32_t mask;
	char arg[96];

	if (!lease_device_address_valid(address))
		return err_set(err, -EINVAL, "lease ACS of '%.32s': not an address", address);
	r = lease_device_sites(&site, err);
	if (r == 0)
		r = lease_device_look(&site, address, &port, err);
	if (r == 0)
		r = acs_read(&site, address, &now, err);
	if (r == 0 && set & ~now.cap)
		r = err_coded(err, ERR_HOST, -EOPNOTSUPP,
			      "its ACS has the bits %#x, and %#x are asked for", now.cap, set);
	if (r < 0)
		return err_wrap(err, r, "lease ACS of %s", address);
	mask = differing(&now, set, clear);
	if (mask == 0)
		return 0;
	(void)snprintf(arg, sizeof(arg), "%s %04x:%04x %x %x", address, port.vendor, port.device,
		       mask, now.ctrl & mask);
	r = lease_step(lease, "acs", arg, &unused_fd, err);
	return (r == -EBUSY || r == -EAGAIN) && is_so_by_now(&site, address, set, clear) ? 0 : r;
}
