/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets - the files of one container that have its secrets: in a tmpfs of their own, which its
 * mount namespace has read-only under SECRETS_TARGET, and no other.
 *
 * There is no swap in the guest, so what is in the tmpfs is in its memory and nowhere else, and is
 * overwritten before that is given back.
 */
#ifndef AGENT_SECRETS_H
#define AGENT_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

#define SECRETS_DIR "secrets" /* in the container's directory */
#define SECRETS_TARGET "/run/secrets"

enum {
	SECRETS_MAX = 64,	     /* as in a policy */
	SECRETS_BYTES_MAX = 1 << 20, /* of each */
};

struct secrets_file {
	const char *name; /* a valid id (spec.h) */
	struct bytes data;
};

/*
 * Makes and fills it in dir_fd, the container's directory, all files readable by uid alone. -E2BIG:
 * more than a limit; on failure nothing is left.
 */
int secrets_mount(int dir_fd, const struct secrets_file *files, size_t count, uid_t uid, gid_t gid,
		  struct err *err);

/* 0 too if there is none. */
void secrets_wipe(int dir_fd);

/* Overwrites every regular file in a directory, all of its bytes, where it is. */
int secrets_overwrite(int dir_fd, struct err *err);

/* One file for uid alone; -EEXIST, and what the kernel says. */
int secrets_write(int dir_fd, const struct secrets_file *file, uid_t uid, gid_t gid,
		  struct err *err);

#endif
