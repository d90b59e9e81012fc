/* SPDX-License-Identifier: Apache-2.0 */
/* vectors - bytes of what lies beside the repository: $CASEMATE_VECTORS, else ../shared/vectors. */
#ifndef TESTS_ATTEST_VECTORS_H
#define TESTS_ATTEST_VECTORS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/macro.h"

/* "FOLDER/NAME": a string of its own. */
static inline char *vectors_path(const char *name)
{
	const char *set = getenv("CASEMATE_VECTORS"), *data = getenv("TEST_DATA");
	char *path = NULL;
	int n;

	if (set && *set)
		n = asprintf(&path, "%s/%s", set, name);
	else
		n = asprintf(&path, "%s/../../../shared/vectors/%s", data ? data : "tests/data",
			     name);
	return n < 0 ? NULL : path;
}

static inline bool vectors_are_there(void)
{
	cleanup_free char *path = vectors_path("");

	return path && access(path, R_OK) == 0;
}

/* Adds a file's bytes; false if it is not there. */
static inline bool vectors_read(const char *name, struct buf *ret)
{
	cleanup_free char *path = vectors_path(name);
	FILE *file = path ? fopen(path, "re") : NULL;
	uint8_t part[4096];
	size_t n;

	if (!file)
		return false;
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		if (buf_add(ret, part, n) < 0)
			abort();
	(void)fclose(file);
	return true;
}

/* Makes of name_on_vectors() the test name(), skipped where there are none. */
#define ON_VECTORS(name)                  \
	static void name(void **state)    \
	{                                 \
		if (!vectors_are_there()) \
			skip();           \
		name##_on_vectors(state); \
	}

#endif
