// SPDX-License-Identifier: Apache-2.0
#include "oci/privilege_priv.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "oci/bundle.h"

static const char unlimited[] = "18446744073709551615";
static const char fraction[] = "18446744073709552e03"; /* 2^64, as near as doubles come */

static bool is_in_number(uint8_t c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The next number of that many bytes at or after from, outside of strings; text.len: none. */
static size_t find_number(struct bytes text, size_t from, const char *digits, size_t len)
{
	bool in_string = false;

	for (size_t i = from; i < text.len; i++) {
		uint8_t c = text.at[i];
		size_t start = i;

		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (is_in_number(c)) {
			while (i + 1 < text.len && is_in_number(text.at[i + 1]))
				i++;
			if (i + 1 - start == len && memcmp(text.at + start, digits, len) == 0)
				return start;
		}
	}
	return text.len;
}

int oci_privilege_load_unlimited(struct arena *arena, struct bytes text, struct bytes *ret,
				 struct err *err)
{
	enum { LEN = sizeof(unlimited) - 1 };
	_Static_assert(sizeof(fraction) == sizeof(unlimited), "places stay");
	size_t at = 0;
	uint8_t *copy;

	*ret = text;
	if (text.len <= OCI_JSON_MAX)
		at = find_number(text, 0, unlimited, LEN);
	if (text.len > OCI_JSON_MAX || at == text.len)
		return 0;
	copy = arena_memdup(arena, text.at, text.len);
	if (!copy)
		return err_num(err, -ENOMEM, "read a bundle");
	for (; at < text.len; at = find_number(text, at + LEN, unlimited, LEN))
		memcpy(copy + at, fraction, LEN);
	*ret = (struct bytes){ copy, text.len };
	return 0;
}

/* Of what the runtime-spec has no name for, only what asks for nothing. */
static int check_keys(const struct oci_json *at, const char *const *known, size_t count,
		      struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(at->value, key, value) {
		struct oci_json item = oci_json_get(at, key);
		size_t i = 0;

		while (i < count && strcmp(known[i], key) != 0)
			i++;
		if (i == count && !oci_json_is_empty(&item))
			return oci_json_fail(&item, ERR_UNSUPPORTED, -EOPNOTSUPP, err,
					     "is not supported");
	}
	return 0;
}

static int read_set(const struct oci_json *at, uint64_t allowed, uint64_t *ret, struct err *err)
{
	uint64_t mask = 0;
	size_t count;
	int r;

	r = oci_json_list(at, OCI_BUNDLE_LIST_MAX, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);
		const char *name = json_string_value(item.value);
		int number = name ? privilege_capability_number(name) : -ENOENT;

		if (number < 0)
			return oci_json_fail(&item, ERR_UNSUPPORTED, -EOPNOTSUPP, err,
					     "'%.100s' is not a capability that is known",
					     name ? name : "?");
		if (!(allowed >> number & 1))
			return oci_json_fail(&item, ERR_IMAGE, -EINVAL, err,
					     "'%s' is not in the set it has to be in", name);
		mask |= UINT64_C(1) << number;
	}
	if (r == 0)
		*ret = mask;
	return r;
}

int oci_privilege_read_capabilities(const struct oci_json *at, struct privilege_sets *ret,
				    struct err *err)
{
	/* each after the one it has to be within */
	static const enum privilege_set order[] = { PRIVILEGE_BOUNDING, PRIVILEGE_PERMITTED,
						    PRIVILEGE_EFFECTIVE, PRIVILEGE_INHERITABLE,
						    PRIVILEGE_AMBIENT };
	const char *names[PRIVILEGE_SETS];
	uint64_t *mask = ret->mask;
	int r;

	if (!oci_json_is_there(at))
		return 0;
	r = oci_json_object(at, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(order); i++) {
		enum privilege_set set = order[i], within = privilege_set_within(set);
		bool is_free = set == PRIVILEGE_BOUNDING || set == PRIVILEGE_AMBIENT;
		struct oci_json list;

		names[i] = privilege_set_name(set);
		list = oci_json_get(at, names[i]);
		r = read_set(&list, is_free ? PRIVILEGE_ALL : mask[within], &mask[set], err);
	}
	if (r < 0)
		return r;
	mask[PRIVILEGE_AMBIENT] &= mask[PRIVILEGE_PERMITTED] & mask[PRIVILEGE_INHERITABLE];
	return check_keys(at, names, ARRAY_SIZE(order), err);
}

static int read_value(const struct oci_json *at, uint64_t *ret, struct err *err)
{
	if (json_is_real(at->value) && json_real_value(at->value) >= 0x1p64 &&
	    json_real_value(at->value) <= 0x1p64) {
		*ret = PRIVILEGE_UNLIMITED;
		return 0;
	}
	if (!oci_json_is_there(at))
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, err,
				     "is missing, a whole number is wanted");
	return oci_json_u64(at, 0, INT64_MAX, ret, err);
}

int oci_privilege_read_limit(const struct oci_json *at, struct privilege_limit *limits,
			     struct err *err)
{
	static const char *const known[] = { "type", "soft", "hard" };
	struct oci_json type = oci_json_get(at, "type"), soft = oci_json_get(at, "soft");
	struct oci_json hard = oci_json_get(at, "hard");
	struct privilege_limit limit = { .is_set = true };
	const char *name = json_string_value(type.value);
	int number = name ? privilege_limit_number(name) : -ENOENT;
	int r;

	r = oci_json_object(at, err);
	if (r == 0)
		r = check_keys(at, known, ARRAY_SIZE(known), err);
	if (r < 0)
		return r;
	if (number < 0)
		return oci_json_fail(&type, ERR_UNSUPPORTED, -EOPNOTSUPP, err,
				     "'%.100s' is not a limit that is known", name ? name : "?");
	if (limits[number].is_set)
		return oci_json_fail(&type, ERR_IMAGE, -EINVAL, err, "'%s' is there twice", name);
	r = read_value(&soft, &limit.soft, err);
	if (r == 0)
		r = read_value(&hard, &limit.hard, err);
	if (r < 0)
		return r;
	if (limit.soft > limit.hard)
		return oci_json_fail(&soft, ERR_IMAGE, -EINVAL, err, "is above 'hard'");
	if (number == PRIVILEGE_NOFILE && limit.hard > PRIVILEGE_NOFILE_MAX)
		return oci_json_fail(&hard, ERR_IMAGE_LIMIT, -E2BIG, err,
				     "is above %d, the most Linux allows", PRIVILEGE_NOFILE_MAX);
	limits[number] = limit;
	return 0;
}
