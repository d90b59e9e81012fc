/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundir - where pods that run are kept: the directory that leases work in.
 *
 * In this order: what is configured; for root /run/casemate; for a user casemate in
 * $XDG_RUNTIME_DIR, if that is the user's own and private; /tmp/casemate-UID. It is made with
 * mode 0700 if it is not there. Since /tmp is everybody's, a directory that is a link, or is
 * owned by somebody else, or lets anybody else in, is refused, wherever it is.
 */
#ifndef LEASE_RUNDIR_H
#define LEASE_RUNDIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* *ret_fd and *ret_path (from malloc()) are the caller's. configured may be "". ERR_HOST. */
int lease_run_dir_open(const char *configured, int *ret_fd, char **ret_path, struct err *err);

/* For who only looks: -ENOENT if there is none, and nothing is made. */
int lease_run_dir_look(const char *configured, int *ret_fd, struct err *err);

/* The same, with all that it depends on. */
struct lease_run_dir_opts {
	const char *configured; /* "" if nothing is */
	const char *user;	/* $XDG_RUNTIME_DIR, or NULL */
	const char *system;	/* "/run" */
	const char *tmp;	/* "/tmp" */
	uid_t uid;
	bool must_exist; /* -ENOENT, and nothing is made */
};

int lease_run_dir_find(const struct lease_run_dir_opts *opts, int *ret_fd, char **ret_path,
		       struct err *err);

#endif
