// SPDX-License-Identifier: Apache-2.0
#include "image/xattr_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/format_priv.h"

struct attr {
	uint8_t index;
	uint8_t len; /* of name, the escape included */
	bool is_escaped;
	const char *name; /* without prefix and escape */
	struct bytes value;
};

static const struct prefix {
	const char *text;
	uint8_t index;
	bool is_whole; /* nothing comes after it */
} prefixes[] = {
	{ "user.", EROFS_XATTR_USER, false },
	{ "system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true },
	{ "system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true },
	{ "trusted.", EROFS_XATTR_TRUSTED, false },
	{ "security.", EROFS_XATTR_SECURITY, false },
};

static const char overlay[] = "overlay.";
static const char opaque[] = "overlay.opaque";
enum { OVERLAY_LEN = sizeof(overlay) - 1, OPAQUE_LEN = sizeof(opaque) - 1 };

static const struct prefix *prefix_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i].text);

		if (strncmp(name, prefixes[i].text, len) == 0 &&
		    (name[len] == '\0') == prefixes[i].is_whole)
			return &prefixes[i];
	}
	return NULL;
}

/* 1: ret_attr is it, 0: not one to be stored. */
static int attr_make(const struct image_xattr *xattr, struct attr *ret_attr, struct err *err)
{
	const struct prefix *prefix = prefix_find(xattr->name);
	struct attr attr;
	size_t len;

	if (!prefix)
		return 0;
	attr = (struct attr){ .index = prefix->index,
			      .value = xattr->value,
			      .name = xattr->name + strlen(prefix->text) };
	attr.is_escaped = attr.index == EROFS_XATTR_TRUSTED &&
			  strncmp(attr.name, overlay, OVERLAY_LEN) == 0;
	len = strlen(attr.name) + (attr.is_escaped ? OVERLAY_LEN : 0);
	if (len > IMAGE_NAME_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "attribute of a name of %zu bytes, at most %d can be stored", len,
				 IMAGE_NAME_MAX);
	if (attr.value.len > IMAGE_XATTR_VALUE_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "attribute '%s' of %zu bytes, at most %d can be stored",
				 xattr->name, attr.value.len, IMAGE_XATTR_VALUE_MAX);
	attr.len = (uint8_t)len;
	*ret_attr = attr;
	return 1;
}

static int attr_compare(const void *a, const void *b)
{
	const struct attr *left = a, *right = b;

	if (left->index != right->index)
		return left->index - right->index;
	return strcmp(left->name, right->name);
}

static bool attr_same_value(const struct attr *a, const struct attr *b)
{
	return a->value.len == b->value.len &&
	       (a->value.len == 0 || memcmp(a->value.at, b->value.at, a->value.len) == 0);
}

static int entry_add(struct buf *buf, const struct attr *attr)
{
	uint8_t header[EROFS_XATTR_ENTRY] = { attr->len, attr->index };
	static const uint8_t zeros[EROFS_XATTR_ENTRY];
	size_t escape = attr->is_escaped ? OVERLAY_LEN : 0;
	size_t size = sizeof(header) + attr->len + attr->value.len;
	int r;

	put_le16(header + 2, (uint16_t)attr->value.len);
	r = buf_add(buf, header, sizeof(header));
	if (r == 0)
		r = buf_add(buf, overlay, escape);
	if (r == 0)
		r = buf_add(buf, attr->name, attr->len - escape);
	if (r == 0)
		r = buf_add(buf, attr->value.at, attr->value.len);
	return r < 0 ? r : buf_add(buf, zeros, (EROFS_XATTR_ENTRY - size % 4) % 4);
}

static int attrs_add(struct buf *buf, struct attr *attrs, size_t count, struct err *err)
{
	int r;

	qsort(attrs, count, sizeof(*attrs), attr_compare);
	for (size_t i = 0; i < count; i++) {
		/* A tar may carry an attribute in two dialects; the same words twice are one. */
		if (i > 0 && attr_compare(&attrs[i - 1], &attrs[i]) == 0) {
			if (attr_same_value(&attrs[i - 1], &attrs[i]))
				continue;
			return err_coded(err, ERR_IMAGE, -EINVAL,
					 "two values for the attribute '%s'", attrs[i].name);
		}
		r = entry_add(buf, &attrs[i]);
		if (r < 0)
			return err_num(err, r, "keep an attribute");
		if (buf->len > IMAGE_XATTR_TOTAL_MAX)
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "attributes of %zu bytes, at most %d can be stored",
					 buf->len, IMAGE_XATTR_TOTAL_MAX);
	}
	return 0;
}

int image_xattr_encode(const struct image_xattr *xattrs, size_t count, struct buf *ret_buf,
		       struct err *err)
{
	struct attr attrs[IMAGE_XATTR_COUNT_MAX];
	size_t kept = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		struct attr attr;

		r = attr_make(&xattrs[i], &attr, err);
		if (r < 0)
			return r;
		if (r > 0 && kept == ARRAY_SIZE(attrs))
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "more than %d attributes of one entry",
					 IMAGE_XATTR_COUNT_MAX);
		if (r > 0)
			attrs[kept++] = attr;
	}
	return attrs_add(ret_buf, attrs, kept, err);
}

int image_xattr_add_opaque(struct buf *buf)
{
	static const uint8_t yes[] = { 'y' };
	const struct attr attr = { .index = EROFS_XATTR_TRUSTED,
				   .len = OPAQUE_LEN,
				   .name = opaque,
				   .value = { yes, sizeof(yes) } };

	return entry_add(buf, &attr);
}

static const char *prefix_text(uint8_t index)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (prefixes[i].index == index)
			return prefixes[i].text;
	}
	return NULL;
}

int image_xattr_next(struct bytes entries, size_t *off, char name[IMAGE_NAME_MAX + 32],
		     struct bytes *ret_value, bool *ret_is_opaque)
{
	size_t len, value_len, at = *off;
	const char *prefix, *text;

	if (at == entries.len)
		return 0;
	if (!bytes_has(entries, at, EROFS_XATTR_ENTRY))
		return -EINVAL;
	len = entries.at[at];
	prefix = prefix_text(entries.at[at + 1]);
	value_len = get_le16(entries.at + at + 2);
	at += EROFS_XATTR_ENTRY;
	if (!prefix || !bytes_has(entries, at, (len + value_len + 3) & ~(size_t)3))
		return -EINVAL;
	text = (const char *)entries.at + at;
	*ret_is_opaque = false;
	if (entries.at[at - 3] == EROFS_XATTR_TRUSTED && len >= OVERLAY_LEN &&
	    memcmp(text, overlay, OVERLAY_LEN) == 0) {
		*ret_is_opaque = len == OPAQUE_LEN && memcmp(text, opaque, OPAQUE_LEN) == 0;
		text += OVERLAY_LEN;
		len -= OVERLAY_LEN;
	}
	(void)snprintf(name, IMAGE_NAME_MAX + 32, "%s%.*s", prefix, (int)len, text);
	*off = at + ((entries.at[at - 4] + value_len + 3) & ~(size_t)3);
	*ret_value = (struct bytes){ entries.at + at + entries.at[at - 4], value_len };
	return 1;
}
