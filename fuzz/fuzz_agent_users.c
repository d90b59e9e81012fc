// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The user's text, a NUL, then one text as both files: what comes out is in bounds, or refused. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
	struct err err = { 0 };
	struct bytes file;
	struct user user;
	int r;

	if (!end)
		return 0;
	file = (struct bytes){ end + 1, size - (size_t)(end - data) - 1 };
	r = users_resolve(&arena, file, file, (const char *)data, &user, &err);
	if (r > 0 || (r < 0 && !err.msg[0]))
		abort();
	if (r == 0 && (user.uid > USERS_ID_MAX || user.gid > USERS_ID_MAX || !user.home[0] ||
		       strpbrk(user.home, ":\n") || user.group_count > USERS_GROUPS_MAX))
		abort();
	return 0;
}
