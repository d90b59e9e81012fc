// SPDX-License-Identifier: Apache-2.0
/*
 * device: a PCI device of the host, taken from its driver and given to vfio-pci.
 *
 * How this works. The argument is the device as it was found:
 *
 *	ADDRESS VENDOR:DEVICE DRIVER [OVERRIDE]
 *
 * with "-" for no driver, and the former driver_override if there was one. The claim is made
 * first and given up last; so a step whose claim is not this pod's was not taken, or has been
 * undone. Between the two a device is in one of these states, and undoing goes on from whichever
 * it finds:
 *
 *	former driver			override set or not: it goes back to what it was
 *	no driver			reset; the former driver is asked to take it
 *	vfio-pci			when nobody has its group open any more: unbound, and then
 *					as above
 *	another driver			somebody has interfered: told, and left alone
 *
 * What already had vfio-pci stays with it. A device that is no longer there, or is another one,
 * needs nothing: what we changed went with it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/device_priv.h"
#include "lease/kind_priv.h"
#include "lease/lease.h"
#include "sys/host.h"
#include "sys/pcidev.h"

enum { FREE_POLL_MS = 20 };

/* The next of the words that blanks end; false if there is none, or it is too long. */
static bool take_word(const char **at, char *ret, size_t size)
{
	size_t len = strcspn(*at, " ");

	if (len == 0 || len >= size)
		return false;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at += len;
	*at += **at == ' ';
	return true;
}

static int parse_arg(const char *arg, struct device *ret, struct err *err)
{
	char ids[12], *end = ids;

	*ret = (struct device){ 0 };
	if (!take_word(&arg, ret->address, sizeof(ret->address)) ||
	    !take_word(&arg, ids, sizeof(ids)) ||
	    !take_word(&arg, ret->driver, sizeof(ret->driver)) ||
	    strlen(arg) >= sizeof(ret->override) || !lease_device_address_valid(ret->address))
		return err_set(err, -EBADMSG, "the journal names no device there");
	ret->vendor = (unsigned int)strtoul(ids, &end, 16);
	if (*end == ':')
		ret->device = (unsigned int)strtoul(end + 1, &end, 16);
	if (*end || end == ids)
		return err_set(err, -EBADMSG, "the journal names no device there");
	if (strcmp(ret->driver, "-") == 0)
		ret->driver[0] = '\0';
	(void)snprintf(ret->override, sizeof(ret->override), "%s", arg);
	return 0;
}

static bool is_same_kind(const struct device *a, const struct device *b)
{
	return a->vendor == b->vendor && a->device == b->device;
}

/* --- taking ------------------------------------------------------------------------------- */

static int write_driver(const struct lease_site *site, const char *driver, const char *file,
			const char *address, struct err *err)
{
	char path[DEVICE_PATH];

	(void)snprintf(path, sizeof(path), "bus/pci/drivers/%s/%s", driver, file);
	return pcidev_write(site->sysfs_fd, path, address, err);
}

static int bind_vfio(const struct lease_site *site, const struct device *device, struct err *err)
{
	char driver[DRIVER_MAX + 1];
	int r = lease_device_write(site, device->address, "driver_override", DEVICE_VFIO, err);

	if (r < 0)
		return r;
	lease_site_step(site, "driver chosen");
	if (device->driver[0]) {
		r = write_driver(site, device->driver, "unbind", device->address, err);
		if (r < 0)
			return err_wrap(err, r, "take it from '%s'", device->driver);
		lease_site_step(site, "unbound");
	}
	r = pcidev_write(site->sysfs_fd, "bus/pci/drivers_probe", device->address, err);
	if (r < 0)
		return err_wrap(err, r, "give it to '" DEVICE_VFIO "'");
	lease_site_step(site, "bound");
	r = lease_device_driver(site, device->address, driver, err);
	if (r < 0)
		return r;
	if (strcmp(driver, DEVICE_VFIO) != 0)
		return err_coded(err, ERR_HOST, -EIO,
				 "'" DEVICE_VFIO "' did not take it: the kernel's log says why");
	return 0;
}

static int device_apply(const struct lease_site *site, const char *arg, int *ret_fd,
			struct err *err)
{
	struct device want, now = { 0 };
	int r = parse_arg(arg, &want, err);

	(void)ret_fd;
	if (r == 0)
		r = lease_claim_take(site, LEASE_DEVICES, want.address, err);
	if (r == 0)
		r = lease_device_look(site, want.address, &now, err);
	if (r < 0)
		return r;
	/* From here on it is ours, and what is written down must be true. */
	if (!is_same_kind(&want, &now) || strcmp(want.driver, now.driver) != 0 ||
	    strcmp(want.override, now.override) != 0)
		return err_coded(err, ERR_DEVICE_HELD, -EAGAIN,
				 "somebody else has just changed it: try again");
	return strcmp(now.driver, DEVICE_VFIO) == 0 ? 0 : bind_vfio(site, &now, err);
}

/* --- giving back -------------------------------------------------------------------------- */

static int wait_until_free(const struct lease_site *site, const char *address, struct err *err)
{
	int left = site->grace_ms + site->kill_ms, group, r;

	r = lease_device_group(site, address, &group, err);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	while ((r = pcidev_group_try(site->dev_fd, group)) == -EBUSY && left > 0) {
		host_sleep_ms(FREE_POLL_MS);
		left -= FREE_POLL_MS;
	}
	if (r < 0)
		return err_num(err, r, "wait until '/dev/vfio/%d' is closed", group);
	return 0;
}

static void reset(const struct lease_site *site, const char *address)
{
	struct err err = { 0 };
	int r = lease_device_write(site, address, "reset", "1", &err);

	if (r < 0 && r != -ENOENT) /* not every device can be */
		(void)err_wrap(site->remark, err_set(site->remark, r, "%.300s", err.msg),
			       "it could not be reset");
}

/* By name; a driver that has no such file has gone, and may come back for being asked for. */
static int rebind(const struct lease_site *site, const struct device *was, struct err *err)
{
	char driver[DRIVER_MAX + 1];
	struct err why = { 0 };
	int r;

	if (!was->driver[0])
		return 0;
	r = write_driver(site, was->driver, "bind", was->address, &why);
	if (r == -ENOENT)
		(void)pcidev_write(site->sysfs_fd, "bus/pci/drivers_probe", was->address, NULL);
	r = lease_device_driver(site, was->address, driver, err);
	if (r < 0)
		return r;
	if (strcmp(driver, was->driver) == 0)
		return 0;
	if (driver[0])
		return err_set(err, -EBUSY, "driver '%s' has it now, and not '%s'", driver,
			       was->driver);
	return err_set(err, -EIO, "driver '%s' does not take it back: %.300s", was->driver,
		       why.msg[0] ? why.msg : "it does not say why");
}

static int write_override(const struct lease_site *site, const char *address, const char *text,
			  const char *where, struct err *err)
{
	int r = lease_device_write(site, address, "driver_override", text, err);

	if (r == 0)
		lease_site_step(site, where);
	return r;
}

/* Without a driver now: reset, and given to the one it had. */
static int return_to_driver(const struct lease_site *site, const struct device *was,
			    struct err *err)
{
	int r;

	reset(site, was->address);
	lease_site_step(site, "reset");
	r = rebind(site, was, err);
	if (r == 0)
		lease_site_step(site, "bound");
	return r;
}

static int unbind_vfio(const struct lease_site *site, struct device *now, struct err *err)
{
	int r = write_driver(site, DEVICE_VFIO, "unbind", now->address, err);

	if (r < 0)
		return err_wrap(err, r, "take it from '" DEVICE_VFIO "'");
	now->driver[0] = '\0';
	lease_site_step(site, "unbound");
	return 0;
}

/*
 * now is neither gone nor another one. A former override comes last: it may have been set after
 * the driver was, and would keep that from coming back.
 */
static int give_back(const struct lease_site *site, const struct device *was, struct device *now,
		     struct err *err)
{
	bool is_vfio = strcmp(now->driver, DEVICE_VFIO) == 0;
	int r = is_vfio ? wait_until_free(site, was->address, err) : 0;

	if (r < 0 || strcmp(was->driver, DEVICE_VFIO) == 0)
		return r;
	if (is_vfio)
		r = unbind_vfio(site, now, err);
	if (r < 0)
		return r;
	if (strcmp(now->override, DEVICE_VFIO) == 0) {
		r = write_override(site, was->address, "\n", "choice undone", err);
		now->override[0] = '\0';
	}
	if (r == 0 && now->driver[0] && strcmp(now->driver, was->driver) != 0) {
		err_set(site->remark, -EBUSY, "driver '%s' has it now, and not '%s': left alone",
			now->driver, was->driver);
		return 1;
	}
	if (r == 0 && !now->driver[0])
		r = return_to_driver(site, was, err);
	if (r == 0 && was->override[0] && !now->override[0])
		r = write_override(site, was->address, was->override, "choice restored", err);
	return r;
}

static int device_undo(const struct lease_site *site, const char *arg, struct err *err)
{
	struct device was, now;
	int r = parse_arg(arg, &was, err), result;

	if (r < 0)
		return r;
	if (!lease_claim_is_ours(site, LEASE_DEVICES, was.address))
		return 0;
	if (site->is_stale)
		result = 1;
	else
		result = lease_device_sites(site, err);
	if (result == 0)
		result = lease_device_return(site, was.address, was.vendor, was.device, &now, err);
	if (result == 0)
		result = give_back(site, &was, &now, err);
	/* One that went away in the midst of it has gone all the same. */
	if (result < 0 && site->sysfs_fd >= 0 && !lease_device_is_there(site, was.address)) {
		err_set(site->remark, -ENODEV, "it has gone");
		result = 1;
	}
	if (result < 0)
		return result;
	r = lease_claim_drop(site, LEASE_DEVICES, was.address, err);
	return r < 0 ? r : result;
}

const struct lease_kind lease_kind_device = { "device", true, false, device_apply, device_undo };
