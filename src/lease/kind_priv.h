/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind - the table of what can be leased; lease.h has the rules for a row.
 */
#ifndef LEASE_KIND_PRIV_H
#define LEASE_KIND_PRIV_H

#include <stdbool.h>

#include "base/err.h"

/* What apply and undo work on: the pod's name, and the places a step may change. */
struct lease_site {
	const char *pod;
	int run_fd;
	int proc_fd;
	int grace_ms, kill_ms; /* as in lease.h, never 0 */
};

struct lease_kind {
	const char *name;
	bool outlives_boot;  /* else it is dropped, not undone, after a restart of the host */
	bool holds_the_rest; /* while it cannot be undone, no step before it is: they serve it */
	/* Takes the step. A descriptor that has to stay open is *ret_fd, which is -1 before. */
	int (*apply)(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err);
	int (*undo)(const struct lease_site *site, const char *arg, struct err *err);
};

/* The row of that name, or NULL. */
const struct lease_kind *lease_kind_find(const char *name);

#endif
