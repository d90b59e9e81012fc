/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device - the host's devices as sysfs shows them, for the rows that change them.
 */
#ifndef LEASE_DEVICE_PRIV_H
#define LEASE_DEVICE_PRIV_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "lease/journal.h"
#include "lease/kind_priv.h"
#include "pci/address.h"

enum {
	DEVICE_PATH = 256, /* of a file of a device or a driver, below /sys */
	DRIVER_MAX = 63,
	OVERRIDE_MAX = 127,
	PCI_CLASS_BRIDGE = 0x06,
};

#define DEVICE_VFIO "vfio-pci"

/* A device as it was found. */
struct device {
	char address[PCI_ADDRESS_TEXT];
	unsigned int vendor, device;
	char driver[DRIVER_MAX + 1]; /* "": none */
	char override[OVERRIDE_MAX + 1];
};

/* As sysfs writes it, and no other way. */
bool lease_device_address_valid(const char *address);

/* -EOPNOTSUPP (ERR_HOST) where a site has no /sys or no /dev. */
int lease_device_sites(const struct lease_site *site, struct err *err);

/* The path of a file ("": of the device itself). Returns ret. */
const char *lease_device_path(const char *address, const char *file, char ret[static DEVICE_PATH]);

bool lease_device_is_there(const struct lease_site *site, const char *address);

/* "" if no driver has it. */
int lease_device_driver(const struct lease_site *site, const char *address,
			char ret[static DRIVER_MAX + 1], struct err *err);

/* -ENODEV (ERR_DEVICE_NONE) if it is not there. */
int lease_device_look(const struct lease_site *site, const char *address, struct device *ret,
		      struct err *err);

/*
 * The same when something is to be undone on it: 1 if it has gone, or another is in its place
 * (site->remark says so), and nothing is to be done.
 */
int lease_device_return(const struct lease_site *site, const char *address, unsigned int vendor,
			unsigned int device, struct device *ret, struct err *err);

/* A file that holds a number, decimal or 0x...; -EBADMSG if it does not. */
int lease_device_number(const struct lease_site *site, const char *address, const char *file,
			unsigned int *ret, struct err *err);
int lease_device_write(const struct lease_site *site, const char *address, const char *file,
		       const char *text, struct err *err);

/* -EOPNOTSUPP (ERR_HOST) if it is in none. */
int lease_device_group(const struct lease_site *site, const char *address, int *ret,
		       struct err *err);

/* group.c: the names in a group, and whether one that is not ours lets it be used. */
int lease_group_members(const struct lease_site *site, int group, struct strv *ret,
			struct err *err);
int lease_group_member(const struct lease_site *site, const char *member, struct err *err);

#endif
