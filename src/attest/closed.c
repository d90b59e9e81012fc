// SPDX-License-Identifier: Apache-2.0
#include "attest/closed_priv.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

int attest_closed(const struct oci_json *at, const char *const *known, size_t count,
		  struct err *err)
{
	const char *key;
	json_t *value;
	int r = oci_json_object(at, err);

	if (r < 0)
		return r;
	json_object_foreach(at->value, key, value) {
		struct oci_json field = { .file = at->file, .up = at, .key = key, .value = value };
		const char *near;
		size_t i = 0;

		while (i < count && strcmp(key, known[i]) != 0)
			i++;
		if (i < count)
			continue;
		near = text_nearest(key, known, count);
		return oci_json_fail(&field, ERR_USAGE, -EINVAL, err, "is not known%s%s%s",
				     near ? ": did you mean '" : "", near ? near : "",
				     near ? "'?" : "");
	}
	return 0;
}

int attest_closed_hexes(const struct oci_json *at, size_t len, size_t max, uint8_t *ret,
			size_t *ret_count, struct err *err)
{
	size_t count = 0;
	int r = oci_json_list(at, max, &count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		if (!json_is_string(item.value) ||
		    text_unhex(json_string_value(item.value), len, ret + i * len) < 0)
			return oci_json_fail(&item, ERR_USAGE, -EINVAL, err,
					     "is not a string of %zu hex digits", 2 * len);
	}
	*ret_count = count;
	return 0;
}

int attest_closed_word(const struct oci_json *at, const char *const *words, size_t count,
		       size_t *ret, struct err *err)
{
	const char *text = json_is_string(at->value) ? json_string_value(at->value) : NULL, *near;

	for (size_t i = 0; text && i < count; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	if (!text)
		return oci_json_fail(at, ERR_USAGE, -EINVAL, err, "is not a word");
	near = text_nearest(text, words, count);
	return oci_json_fail(at, ERR_USAGE, -EINVAL, err, "'%.40s' is not known%s%s%s", text,
			     near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}
