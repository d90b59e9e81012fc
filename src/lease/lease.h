/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease - what a pod holds of the host that outlives a process, and how it is given back.
 *
 *	struct lease_opts opts = { .run_fd = run_fd, .proc_fd = proc_fd,
 *				   .sysfs_fd = sysfs_fd, .dev_fd = dev_fd };
 *	struct lease *lease = NULL;
 *
 *	r = lease_recover(&opts, tell, NULL, NULL);	what dead pods left, first
 *	r = lease_open(&opts, "web", &lease, &err);	the name is ours, RUN/pods/web is there
 *	r = lease_uid(lease, first, count, &uid, &err);
 *	r = lease_process(lease, "qemu", &lock_fd, &err);
 *	...	the spawn request hands lock_fd to QEMU; the pod lives; QEMU has ended
 *	r = lease_undo(lease, &err);	all of it, in reverse; the name is free
 *	lease = lease_free(lease);
 *
 * How it works. In the run directory RUN there are
 *
 *	leases/NAME.journal	what pod NAME holds; the owner is who holds this file's lock
 *	pods/NAME/		its run directory, mode 0700
 *	uids/N			a claim (sys/file.h) of user id N by a pod
 *	devices/ADDRESS		of a PCI device; vfs/ADDRESS and ports/ADDRESS of what of a
 *				function was changed, but not taken
 *
 * Each step is written to the journal and synced before it is taken, and marked after it was
 * undone. The lock goes with its owner's last breath, so a journal whose lock can be had is a dead
 * pod's: lease_recover() undoes it, and lease_open() does for the name that it wants. Nobody else's
 * journal is touched, so live pods are safe, and so are two recoveries at once.
 *
 * A journal names its boot. After a restart of the host, steps whose effect ended with the kernel
 * (processes) are dropped; the others are undone.
 *
 * Every step is of a kind, a row of the table in kind.c: its name, how it is applied and undone,
 * whether it outlives a boot, and whether what was leased before it has to wait for its undoing (a
 * process: its user id and its directory are not given away while it runs). A new kind of thing to
 * lease is a new row there and a function here that words its argument for lease_step(); nothing
 * else changes. Rules for a row: undo must do for a step that was never taken, or half taken, or
 * undone before (a crash comes anywhere); it must look at the thing first, and touch only what is
 * still as the step left it; what it cannot undo it names in err, and is asked again by the next
 * recovery.
 *
 * Signals may interrupt, the calls go on. Calls block: for the disk, and lease_undo() and
 * lease_recover() also for a process that has not ended yet (LEASE_GRACE_MS, then it is killed,
 * then LEASE_KILL_MS). Not for two threads at once.
 */
#ifndef LEASE_LEASE_H
#define LEASE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

enum {
	LEASE_GRACE_MS = 2000,	   /* for a process whose parent has died to end by itself */
	LEASE_KILL_MS = 20000,	   /* for a killed one to let go of memory and devices */
	LEASE_CHOICE_MS = 60000,   /* while others choose devices and bind them */
	LEASE_RECOVERY_MS = 60000, /* lease_open() waits so long for a recovery that runs */
	LEASE_MAX_PROCESSES = 8,
	LEASE_MAX_DEVICES = 192,
};

struct lease_opts {
	int run_fd;	       /* the run directory; borrowed as long as the lease lives */
	int proc_fd;	       /* /proc, likewise */
	int sysfs_fd, dev_fd;  /* /sys and /dev, likewise; -1: devices are refused, by name */
	int grace_ms, kill_ms; /* 0: LEASE_GRACE_MS, LEASE_KILL_MS */
	/*
	 * NULL, or called after each write to the disk and after each step taken or undone, with a
	 * word for where that is. Tests end the process in it.
	 */
	void (*after_step)(void *data, const char *where);
	void *data;
};

struct lease;

/*
 * Takes a name (text_name_valid(), else -EINVAL) and makes its run directory. If a dead pod had
 * it, what that left is undone before.
 *
 *	-EEXIST  (ERR_NAME_TAKEN) a live pod has it
 *	-EBUSY   what a dead pod of that name left cannot be undone; the message says what
 */
int lease_open(const struct lease_opts *opts, const char *name, struct lease **ret,
	       struct err *err);

/* The pod's run directory; the lease's, and gone with it. */
int lease_dir(const struct lease *lease);

/*
 * Takes a user id that no other pod has, from count of them, the first free one. -ENOSPC (ERR_HOST)
 * if there is none. It stays taken until everything leased after it is undone, so also while a
 * process that runs under it has not ended.
 */
int lease_uid(struct lease *lease, uid_t first, uint32_t count, uid_t *ret, struct err *err);

/*
 * Says that a file of that name is going to be made in RUN: it is removed when the lease is undone,
 * if it is there. path is relative, without "..", -EINVAL if not. (What is in the run directory of
 * the pod goes with it, and needs no saying.)
 */
int lease_file(struct lease *lease, const char *path, struct err *err);

/*
 * Says that a process is going to be started. *ret_fd is a locked file, the lease's own, which the
 * process must inherit under any number and never close: as long as anyone holds it, the process
 * counts as there. Undoing waits for that, and kills who holds it if it lasts. name is one
 * valid name (-EINVAL) and new in this lease (-EEXIST). -E2BIG beyond LEASE_MAX_PROCESSES.
 */
int lease_process(struct lease *lease, const char *name, int *ret_fd, struct err *err);

/* A PCI device of the host, as it was when it was chosen: what is there now must be the same. */
struct lease_device {
	const char *address; /* "0000:21:00.0" */
	unsigned int vendor, device;
	const char *driver; /* NULL or "": none */
	int group;	    /* its IOMMU group */
};

/*
 * Takes devices from their drivers for vfio-pci. All of them are looked at before the first is
 * touched, so a refusal leaves nothing half done, and names the device and the reason:
 *
 *	-EBUSY       (ERR_DEVICE_HELD) another pod has it; the host uses it (a disk that is mounted,
 *	             swapped to or held; an interface with an address, or below a bridge or bond);
 *	             another program has it open; it has VFs; in its group is what may not be taken
 *	-ESTALE      (ERR_DEVICE_NONE, ERR_DEVICE_HELD) it is not what it was when it was chosen
 *	-ENODEV      (ERR_DEVICE_NONE) it is not there
 *	-ENOENT, -EOPNOTSUPP  (ERR_HOST) no vfio-pci, no IOMMU, no /sys
 *	-EINVAL      a bridge, or not an address
 *	-EEXIST      asked for twice
 *	-E2BIG       more than LEASE_MAX_DEVICES
 *	-EIO         (ERR_HOST) vfio-pci would not have it
 *
 * Undone, when what was leased later is: once nobody has the device open, it goes from vfio-pci
 * back to the driver it had (or to none, or stays, if that was vfio-pci), reset if it can be. One
 * that has gone, or was replaced, is told and let go of; one whose driver refuses it stays.
 */
int lease_devices(struct lease *lease, const struct lease_device *wants, size_t count,
		  struct err *err);

/*
 * Why a device that is there could not be leased now: -EBUSY (ERR_DEVICE_HELD) and who has it, a
 * pod that lives or the host; 0 if nobody. What a dead pod has left counts as free, since who
 * starts a pod recovers first. Waits for a recovery that runs. Other errors are of the looking.
 */
int lease_device_busy(const struct lease_opts *opts, const char *address, struct err *err);

/*
 * Waits until nobody else is between lease_device_busy() and lease_devices(), LEASE_CHOICE_MS at
 * most, and keeps others so until *ret_fd, and all its duplicates, are closed: two pods that are
 * each given what is free do not choose the same. -EWOULDBLOCK, or what making a file says.
 */
int lease_choice_begin(int run_fd, int *ret_fd);

/*
 * Gives the node of an IOMMU group to a user, until the lease is undone. Its devices have been
 * leased before. -EBUSY if somebody else has one of them; -ENOENT if there is no such node.
 */
int lease_group(struct lease *lease, int group, uid_t uid, gid_t gid, struct err *err);

/*
 * Sees to it that a physical function has so many VFs, which no driver of the host takes by itself.
 * Nothing is leased if it has just as many; else they go when the lease is undone, once no other
 * pod has one of them. Those of an NVMe controller are given queues and interrupts.
 *
 *	-EBUSY  (ERR_DEVICE_HELD) it has another number of them; a pod has it, or is making them
 *	-ERANGE (ERR_DEVICE_COUNT) it cannot have so many
 *	-ENODEV, -EOPNOTSUPP, -EINVAL as above; -EOPNOTSUPP also if it can have none
 */
int lease_vfs(struct lease *lease, const char *address, unsigned int count, struct err *err);

/*
 * Sets and clears bits of a port's ACS control register (PCI_ACS_ bits of pci/config.h), which
 * have their former value again when the lease is undone. Nothing is leased if they are so already,
 * and so they go back when whoever has set them ends.
 *
 *	-EOPNOTSUPP (ERR_HOST) the port has no ACS, or not those bits
 *	-EBUSY      (ERR_DEVICE_HELD) another pod has changed it, and not to that
 */
int lease_acs(struct lease *lease, const char *address, uint16_t set, uint16_t clear,
	      struct err *err);

/*
 * Undoes all steps, the last first, then frees the name. What cannot be undone is passed over (or,
 * if it is a process, ends the undoing), and stays in the journal for lease_recover(); the first
 * such is returned.
 */
int lease_undo(struct lease *lease, struct err *err);

/*
 * Lets go without undoing anything (after lease_undo() there is nothing left): to others the pod
 * is dead then. NULL is fine; returns NULL.
 */
struct lease *lease_free(struct lease *lease);
CLEANUP_PTR(struct lease, lease_free)

/*
 * A descriptor that stands for what the pod of that name holds now, live or dead, and for no later
 * pod's; or -ENOENT, ...
 */
int lease_look(int run_fd, const char *name);

/* Whether all of that, or some of it, is still held. False for -1. */
bool lease_is_held(int look_fd);

/* One step of a dead pod. */
struct lease_report {
	const char *pod;
	const char *kind; /* of the table, or "journal" */
	const char *arg;
	int num; /* 0: undone, 1: dropped (see msg; NULL: its boot is over); negative: it stays */
	const char *msg; /* why it stays, or what else is to be known; or NULL */
};
typedef void lease_report_fn(void *data, const struct lease_report *report);

/*
 * Undoes what dead pods left, and tells each step. 0 if nothing stays; else the first error, the
 * rest done all the same. A journal that is damaged is undone as far as it can be read and kept
 * as NAME.damaged, and one of a later version left alone; both are told as "journal".
 */
int lease_recover(const struct lease_opts *opts, lease_report_fn *tell, void *data,
		  struct err *err);

#endif
