// SPDX-License-Identifier: Apache-2.0
#include "plan/manifest.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

enum { MANIFEST_SCHEMA = 1 };

static bool manifest_is_hex(const char *text, size_t len)
{
	return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

/* A name below the manifest's own folder, or a version: no path, no space, no control character. */
static bool manifest_is_name(const char *text)
{
	if (text[0] == '\0' || text[0] == '.' || text[0] == '-')
		return false;
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "._+~:-") == strlen(text);
}

/* ret has room for max bytes and the NUL. */
static int manifest_text(const json_t *object, const char *key, const char *where, char *ret,
			 size_t max, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return err_set(err, -EINVAL, "read the guest's manifest: '%s%s' is not a string",
			       where, key);
	if (json_string_length(value) > max || strlen(json_string_value(value)) > max)
		return err_set(err, -EINVAL,
			       "read the guest's manifest: '%s%s' is longer than %zu bytes", where,
			       key, max);
	memcpy(ret, json_string_value(value), strlen(json_string_value(value)) + 1);
	return 0;
}

static int manifest_name(const json_t *object, const char *key, const char *where, char *ret,
			 size_t max, struct err *err)
{
	int r = manifest_text(object, key, where, ret, max, err);

	if (r == 0 && !manifest_is_name(ret))
		return err_set(err, -EINVAL,
			       "read the guest's manifest: '%s%s' is not a plain name", where, key);
	return r;
}

static int manifest_digest(const json_t *object, const char *key, const char *where, char *ret,
			   struct err *err)
{
	int r = manifest_text(object, key, where, ret, 64, err);

	if (r == 0 && !manifest_is_hex(ret, 64))
		return err_set(err, -EINVAL,
			       "read the guest's manifest: '%s%s' is not 64 lower-case hex digits",
			       where, key);
	return r;
}

static int manifest_blocks(const json_t *object, const char *key, uint64_t least, uint64_t *ret,
			   struct err *err)
{
	const json_t *value = json_object_get(object, key);
	const json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < (json_int_t)least || number > MANIFEST_BLOCKS_MAX)
		return err_set(
			err, -EINVAL,
			"read the guest's manifest: 'base.%s' is not a number from %llu to %d", key,
			(unsigned long long)least, MANIFEST_BLOCKS_MAX);
	*ret = (uint64_t)number;
	return 0;
}

static int manifest_base(const json_t *base, struct manifest *ret, struct err *err)
{
	int r;

	r = manifest_name(base, "file", "base.", ret->base_file, MANIFEST_NAME_MAX, err);
	if (r == 0)
		r = manifest_digest(base, "root", "base.", ret->base_root, err);
	if (r == 0)
		r = manifest_blocks(base, "data_blocks", 1, &ret->base_data_blocks, err);
	if (r == 0) /* the tree lies behind the data */
		r = manifest_blocks(base, "hash_start", ret->base_data_blocks,
				    &ret->base_hash_start, err);
	if (r < 0 || !json_object_get(base, "salt"))
		return r;
	r = manifest_text(base, "salt", "base.", ret->base_salt, MANIFEST_SALT_MAX, err);
	if (r == 0 && (strlen(ret->base_salt) % 2 != 0 ||
		       !manifest_is_hex(ret->base_salt, strlen(ret->base_salt))))
		return err_set(err, -EINVAL,
			       "read the guest's manifest: 'base.salt' is not lower-case hex");
	return r;
}

static int manifest_root(const json_t *root, struct manifest *ret, struct err *err)
{
	const json_t *schema = json_object_get(root, "schema");
	const json_t *kernel = json_object_get(root, "kernel");
	int r;

	if (!json_is_integer(schema) || json_integer_value(schema) != MANIFEST_SCHEMA)
		return err_set(err, -EINVAL, "read the guest's manifest: 'schema' is not %d",
			       MANIFEST_SCHEMA);
	r = manifest_name(root, "version", "", ret->version, MANIFEST_VERSION_MAX, err);
	if (r == 0)
		r = manifest_name(kernel, "file", "kernel.", ret->kernel_file, MANIFEST_NAME_MAX,
				  err);
	if (r == 0)
		r = manifest_digest(kernel, "sha256", "kernel.", ret->kernel_sha256, err);
	return r < 0 ? r : manifest_base(json_object_get(root, "base"), ret, err);
}

int manifest_parse(struct bytes text, struct manifest *ret, struct err *err)
{
	struct manifest manifest = { 0 };
	json_error_t at;
	json_t *root;
	int r;

	if (text.len > MANIFEST_MAX)
		return err_set(err, -EFBIG, "read the guest's manifest: more than %d bytes",
			       MANIFEST_MAX);
	root = json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, &at);
	if (!root && json_error_code(&at) == json_error_out_of_memory)
		return err_num(err, -ENOMEM, "read the guest's manifest");
	if (!root)
		return err_set(err, -EINVAL, "read the guest's manifest: line %d: %s", at.line,
			       at.text);
	r = manifest_root(root, &manifest, err);
	json_decref(root);
	if (r == 0)
		*ret = manifest;
	return r;
}
