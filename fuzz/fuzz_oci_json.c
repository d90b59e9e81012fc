// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/json.h"

enum { ITEMS = 8, LENGTH = 64, FOLLOWED = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, const struct err *err)
{
	if (r < 0 && r != -ENOMEM && (err->num != r || strncmp(err->msg, "read 'f': ", 10) != 0))
		abort();
}

/* Whatever is asked of a place, the answer is within what was asked for, or names the place. */
static void ask(struct arena *arena, const struct oci_json *at, int depth)
{
	struct oci_json name = oci_json_get(at, "a"), item;
	struct oci_strings strings = { 0 };
	struct err err = { 0 };
	const char *text = "";
	uint64_t number = 5;
	size_t count = 0;

	check(oci_json_string(arena, at, LENGTH, &text, &err), &err);
	check(oci_json_u64(at, 5, 9, &number, &err), &err);
	check(oci_json_strings(arena, at, ITEMS, LENGTH, &strings, &err), &err);
	check(oci_json_list(at, ITEMS, &count, &err), &err);
	if (strlen(text) > LENGTH || number < 5 || number > 9 || strings.count > ITEMS ||
	    count > ITEMS)
		abort();
	if (depth == FOLLOWED)
		return;
	if (oci_json_is_there(&name))
		ask(arena, &name, depth + 1);
	for (size_t i = 0; i < count; i++) {
		item = oci_json_item(at, i);
		ask(arena, &item, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct err err = { 0 };
	struct oci_json doc;
	int r;

	r = oci_json_load((struct bytes){ data, size }, "f", &root, &err);
	check(r, &err);
	if (r < 0)
		return 0;
	doc = oci_json_root(root, "f");
	ask(&arena, &doc, 0);
	return 0;
}
