/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users - who a container's process is, from the image's own passwd and group files.
 *
 * What people know from podman and docker:
 *
 *	""		user 0
 *	NAME		that line of passwd: its IDs and home, and every group that lists NAME
 *	NUMBER		the same for the first line with that user ID; without one: group 0, home "/"
 *	USER:GROUP	the group given, a name or a number, and no other
 *
 * Lines that are not well-formed are as good as absent: no half of one is ever used.
 */
#ifndef AGENT_USERS_H
#define AGENT_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	USERS_FILE_MAX = 1 << 20, /* of passwd and of group */
	USERS_GROUPS_MAX = 1024,  /* supplementary ones of one user */
	USERS_TEXT_MAX = 256,	  /* "USER:GROUP" */
};
#define USERS_ID_MAX UINT32_C(0x7fffffff)

struct user {
	uint32_t uid;
	uint32_t gid;
	const uint32_t *groups;
	size_t group_count;
	const char *home;
};

/*
 * passwd and group are the files as they are, empty if there is none. The result lives in arena.
 * -ESRCH: no such user or group; -EINVAL: text is no user; -E2BIG: more than USERS_GROUPS_MAX
 * groups; -ENOMEM.
 */
int users_resolve(struct arena *arena, struct bytes passwd, struct bytes group, const char *text,
		  struct user *ret_user, struct err *err);

#endif
