// SPDX-License-Identifier: Apache-2.0
#include "oci/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* jansson's own limit is 2048; what recurses here and in its free is bounded lower. */
static bool is_too_deep(struct bytes text)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > OCI_JSON_DEPTH)
				return true;
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return false;
}

/* Names and values of a hostile document end up on somebody's terminal. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

int oci_json_load(struct bytes text, const char *file, json_t **ret_root, struct err *err)
{
	json_error_t why;
	json_t *root;

	if (text.len > OCI_JSON_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG,
				 "read '%s': it has more than %d bytes", file, OCI_JSON_MAX);
	if (text.len == 0)
		return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': it is empty", file);
	if (is_too_deep(text))
		return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG,
				 "read '%s': brackets go more than %d deep", file, OCI_JSON_DEPTH);
	root = json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!root) {
		make_printable(why.text);
		return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': line %d, column %d: %s", file,
				 why.line, why.column, why.text);
	}
	*ret_root = root;
	return 0;
}

struct oci_json oci_json_root(json_t *root, const char *file)
{
	return (struct oci_json){ .file = file, .value = root };
}

static json_t *not_null(json_t *value)
{
	return value && !json_is_null(value) ? value : NULL;
}

struct oci_json oci_json_get(const struct oci_json *at, const char *key)
{
	return (struct oci_json){
		.file = at->file,
		.up = at,
		.key = key,
		.value = at->value ? not_null(json_object_get(at->value, key)) : NULL,
	};
}

struct oci_json oci_json_item(const struct oci_json *at, size_t index)
{
	return (struct oci_json){
		.file = at->file,
		.up = at,
		.index = index,
		.value = at->value ? not_null(json_array_get(at->value, index)) : NULL,
	};
}

bool oci_json_is_there(const struct oci_json *at)
{
	return at->value != NULL;
}

bool oci_json_is_empty(const struct oci_json *at)
{
	const json_t *value = at->value;

	if (!value)
		return true;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return json_object_size(value) == 0;
	case JSON_ARRAY:
		return json_array_size(value) == 0;
	case JSON_STRING:
		return json_string_length(value) == 0;
	case JSON_INTEGER:
		return json_integer_value(value) == 0;
	case JSON_REAL:
	case JSON_TRUE:
		return false;
	case JSON_FALSE:
	case JSON_NULL:
		return true;
	}
	return false;
}

/* Writes the pointer to at into out, which has size bytes; what does not fit is cut. */
static void write_pointer(const struct oci_json *at, char *out, size_t size)
{
	const struct oci_json *chain[OCI_JSON_DEPTH];
	size_t depth = 0, len = 0;

	for (; at->up && depth < OCI_JSON_DEPTH; at = at->up)
		chain[depth++] = at;
	out[0] = '\0';
	while (depth-- > 0) {
		int n;

		if (chain[depth]->key)
			n = snprintf(out + len, size - len, "/%s", chain[depth]->key);
		else
			n = snprintf(out + len, size - len, "/%zu", chain[depth]->index);
		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
}

int oci_json_fail(const struct oci_json *at, enum err_code code, int num, struct err *err,
		  const char *fmt, ...)
{
	char place[160], words[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	write_pointer(at, place, sizeof(place));
	make_printable(place);
	make_printable(words);
	return err_coded(err, code, num, "read '%s': %s%s%s", at->file, place, place[0] ? ": " : "",
			 words);
}

static const char *type_name(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",	 [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "'true'",
		[JSON_FALSE] = "'false'",    [JSON_NULL] = "null",
	};

	return names[json_typeof(value)];
}

static int fail_type(const struct oci_json *at, const char *wanted, struct err *err)
{
	if (!at->value)
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, err, "is missing, %s is wanted",
				     wanted);
	return oci_json_fail(at, ERR_IMAGE, -EINVAL, err, "is %s, not %s", type_name(at->value),
			     wanted);
}

int oci_json_object(const struct oci_json *at, struct err *err)
{
	return json_is_object(at->value) ? 0 : fail_type(at, "an object", err);
}

int oci_json_string(struct arena *arena, const struct oci_json *at, size_t max,
		    const char **ret_text, struct err *err)
{
	const char *text;

	if (!json_is_string(at->value))
		return fail_type(at, "a string", err);
	if (json_string_length(at->value) > max)
		return oci_json_fail(at, ERR_IMAGE_LIMIT, -E2BIG, err, "has more than %zu bytes",
				     max);
	text = arena_strdup(arena, json_string_value(at->value));
	if (!text)
		return err_num(err, -ENOMEM, "read '%s'", at->file);
	*ret_text = text;
	return 0;
}

int oci_json_u64(const struct oci_json *at, uint64_t least, uint64_t most, uint64_t *ret,
		 struct err *err)
{
	json_int_t value;

	if (!at->value)
		return 0;
	if (!json_is_integer(at->value))
		return fail_type(at, "a whole number", err);
	value = json_integer_value(at->value);
	if (value < 0 || (uint64_t)value < least || (uint64_t)value > most)
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, err, "is %lld, not from %llu to %llu",
				     (long long)value, (unsigned long long)least,
				     (unsigned long long)most);
	*ret = (uint64_t)value;
	return 0;
}

int oci_json_bool(const struct oci_json *at, bool *ret, struct err *err)
{
	if (!at->value)
		return 0;
	if (!json_is_boolean(at->value))
		return fail_type(at, "true or false", err);
	*ret = json_is_true(at->value);
	return 0;
}

int oci_json_list(const struct oci_json *at, size_t max, size_t *ret_count, struct err *err)
{
	size_t count = 0;

	if (at->value && !json_is_array(at->value))
		return fail_type(at, "a list", err);
	if (at->value)
		count = json_array_size(at->value);
	if (count > max)
		return oci_json_fail(at, ERR_IMAGE_LIMIT, -E2BIG, err,
				     "has %zu entries, more than %zu", count, max);
	*ret_count = count;
	return 0;
}

int oci_json_strings(struct arena *arena, const struct oci_json *at, size_t max, size_t max_len,
		     struct oci_strings *ret, struct err *err)
{
	const char **list;
	size_t count = 0;
	int r;

	r = oci_json_list(at, max, &count, err);
	if (r < 0)
		return r;
	list = arena_array(arena, count + 1, sizeof(*list));
	if (!list)
		return err_num(err, -ENOMEM, "read '%s'", at->file);
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = oci_json_string(arena, &item, max_len, &list[i], err);
		if (r < 0)
			return r;
	}
	*ret = (struct oci_strings){ list, count };
	return 0;
}
