/* SPDX-License-Identifier: Apache-2.0 */
/* shared - text of what lies beside the repository: $CASEMATE_CAPTURES, else ../shared/captures. */
#ifndef TESTS_ROUTE_SHARED_H
#define TESTS_ROUTE_SHARED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"

/* The folder of captures: a string of its own. */
static inline char *shared_folder(void)
{
	const char *set = getenv("CASEMATE_CAPTURES"), *data = getenv("TEST_DATA");
	char *folder = NULL;

	if (set && *set)
		return strdup(set);
	return asprintf(&folder, "%s/../../../shared/captures", data ? data : "tests/data") < 0
		       ? NULL
		       : folder;
}

static inline bool shared_is_there(void)
{
	cleanup_free char *folder = shared_folder();

	return folder && access(folder, R_OK) == 0;
}

/*
 * Makes of name_on_captures() the test name(), skipped where there are none: before anything is
 * allocated, since a test that is skipped returns from nowhere.
 */
#define ON_CAPTURES(name)                  \
	static void name(void **state)     \
	{                                  \
		if (!shared_is_there())    \
			skip();            \
		name##_on_captures(state); \
	}

/* "captures/NAME/FILE", all of it; NULL if it is not there. The caller's: free(). */
static inline char *shared_text(const char *name)
{
	enum { MAX = 4 << 20 };
	cleanup_free char *folder = shared_folder(), *path = NULL;
	char *text;
	size_t len;
	FILE *file;

	if (!folder || asprintf(&path, "%s/%s", folder, name + strlen("captures/")) < 0)
		return NULL;
	file = fopen(path, "re");
	if (!file)
		return NULL;
	text = malloc(MAX + 1);
	len = text ? fread(text, 1, MAX, file) : 0;
	(void)fclose(file);
	if (text)
		text[len] = '\0';
	return text;
}

#endif
