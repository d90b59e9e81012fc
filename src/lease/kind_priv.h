/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind - the table of what can be leased; lease.h has the rules for a row.
 */
#ifndef LEASE_KIND_PRIV_H
#define LEASE_KIND_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct lease;

/* What apply and undo work on: the pod's name, and the places a step may change. */
struct lease_site {
	const char *pod;
	int run_fd;
	int proc_fd;
	int sysfs_fd, dev_fd;  /* -1: no devices here */
	int grace_ms, kill_ms; /* as in lease.h, never 0 */
	bool is_stale;	       /* in undo: the step was taken in another boot */
	struct err *remark;    /* in undo: to be told, though the step is done with */
	void (*after_step)(void *data, const char *where); /* as in lease.h */
	void *data;
};

struct lease_kind {
	const char *name;
	bool outlives_boot;  /* else it is dropped, not undone, after a restart of the host */
	bool holds_the_rest; /* while it cannot be undone, no step before it is: they serve it */
	/* Takes the step. A descriptor that has to stay open is *ret_fd, which is -1 before. */
	int (*apply)(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err);
	/* 0 undone; 1 there was nothing to undo it on any more, site->remark says why. */
	int (*undo)(const struct lease_site *site, const char *arg, struct err *err);
};

/* The row of that name, or NULL. */
const struct lease_kind *lease_kind_find(const char *name);

/*
 * lease.c, for those who word steps. The site is good for looking, not for undoing. A step is
 * written down, then taken; if it cannot be taken, what there is of it is undone.
 */
struct lease_site lease_site(const struct lease *lease);
int lease_step(struct lease *lease, const char *kind_name, const char *arg, int *ret_fd,
	       struct err *err);

/* A directory of the run directory. */
int lease_open_dir(const struct lease_site *site, const char *path, int *ret, struct err *err);

/* Within a step of several changes: one of them has been made. */
void lease_site_step(const struct lease_site *site, const char *where);

/*
 * claim.c: DIR/NAME in RUN, a link whose target is the pod that has the thing of that name. To
 * take one that is another's is -EBUSY (ERR_DEVICE_HELD) and names him, one's own -EEXIST. The
 * owner is "" if nobody has it; one that does not fit is -ENAMETOOLONG.
 */
#define LEASE_DEVICES "devices" /* PCI addresses */
#define LEASE_VFS "vfs"		/* of physical functions: their number of VFs */
#define LEASE_PORTS "ports"	/* of ports: their ACS register */

int lease_claim_owner(const struct lease_site *site, const char *dir, const char *name, size_t size,
		      char *ret, struct err *err);
int lease_claim_take(const struct lease_site *site, const char *dir, const char *name,
		     struct err *err);
int lease_claim_drop(const struct lease_site *site, const char *dir, const char *name,
		     struct err *err);
bool lease_claim_is_ours(const struct lease_site *site, const char *dir, const char *name);

/* use.c: 0, or -EBUSY (ERR_DEVICE_HELD) and what the host does with a device. */
int lease_use_check(const struct lease_site *site, const char *address, struct err *err);

/* The rows of vfio.c, group.c, vfs.c and acs.c. */
extern const struct lease_kind lease_kind_device;
extern const struct lease_kind lease_kind_group;
extern const struct lease_kind lease_kind_vfs;
extern const struct lease_kind lease_kind_acs;

#endif
