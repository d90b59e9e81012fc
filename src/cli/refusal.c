// SPDX-License-Identifier: Apache-2.0
#include "cli/refusal.h"

#include <stdio.h>
#include <string.h>

#include "attest/reason.h"
#include "base/err.h"

enum { NAME_MAX_LEN = 63 };

/* Where the first name of a reason begins, and the text behind it; NULL: there is none. */
static char *find(char *text, const char **ret_name, char **ret_rest)
{
	char *end, *at = text;

	for (; (end = strstr(at, ": ")); at = end + 2) {
		char name[NAME_MAX_LEN + 1];
		enum attest_reason reason;

		if ((size_t)(end - at) > NAME_MAX_LEN)
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(end - at), at);
		reason = attest_reason_find(name);
		if (reason == ATTEST_REASON_COUNT)
			continue;
		*ret_name = attest_reason_name(reason);
		*ret_rest = end + 2;
		return at;
	}
	return NULL;
}

/* Less the general code at its end, if it has one. */
static size_t bare_length(const char *text)
{
	const size_t len = strlen(text);

	for (size_t i = 0; err_code_info(i); i++) {
		char tail[NAME_MAX_LEN + sizeof(" ()")];
		size_t tail_len =
			(size_t)snprintf(tail, sizeof(tail), " (%s)", err_code_info(i)->name);

		if (len >= tail_len && strcmp(text + len - tail_len, tail) == 0)
			return len - tail_len;
	}
	return len;
}

void refusal_rewrite(char *text, size_t size)
{
	const char *name;
	char *at, *rest;
	size_t len, room;

	at = find(text, &name, &rest);
	room = at ? strlen(name) + strlen(" ()") + 1 : 0;
	if (!at || room >= size)
		return;
	memmove(at, rest, strlen(rest) + 1);
	len = bare_length(text);
	if (len > size - room)
		len = size - room;
	(void)snprintf(text + len, size - len, " (%s)", name);
}
