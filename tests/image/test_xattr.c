// SPDX-License-Identifier: Apache-2.0
#include "image/xattr_priv.h"

#include "memory.h"

#define VALUE(text)                                       \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static uint8_t large[IMAGE_XATTR_VALUE_MAX + 1];

static int encode(const struct image_xattr *xattrs, size_t count, struct buf *buf, struct err *err)
{
	buf->len = 0;
	return image_xattr_encode(xattrs, count, buf, err);
}

static void entries_are_as_erofs_has_them(void **state)
{
	static const uint8_t want[] = "\x03\x01\x02\x00"
				      "onev1"
				      "\0\0\0"
				      "\x00\x02\x03\x00"
				      "acl"
				      "\0"
				      "\x0a\x06\x00\x00"
				      "capability"
				      "\0\0";
	const struct image_xattr xattrs[] = {
		{ "security.capability", VALUE("") },
		{ "system.posix_acl_access", VALUE("acl") },
		{ "user.one", VALUE("v1") },
	};
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(encode(xattrs, 3, &buf, NULL), 0);
	assert_int_equal(buf.len, sizeof(want) - 1);
	assert_memory_equal(buf.at, want, buf.len);
}

static void order_does_not_matter(void **state)
{
	const struct image_xattr one[] = { { "user.b", VALUE("2") },
					   { "user.a", VALUE("1") },
					   { "trusted.z", VALUE("3") } };
	const struct image_xattr two[] = { one[2], one[1], one[0] };
	CLEANUP(buf_done) struct buf a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(encode(one, 3, &a, NULL), 0);
	assert_int_equal(encode(two, 3, &b, NULL), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.at, b.at, a.len);
}

static void what_no_kernel_stores_is_dropped(void **state)
{
	const struct image_xattr xattrs[] = {
		{ "com.apple.provenance", VALUE("x") },
		{ "user.", VALUE("x") },
		{ "system.posix_acl_accessory", VALUE("x") },
		{ "lustre.lov", VALUE("x") },
	};
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(encode(xattrs, ARRAY_SIZE(xattrs), &buf, NULL), 0);
	assert_int_equal(buf.len, 0);
}

static void the_same_twice_is_once_and_two_values_are_refused(void **state)
{
	struct image_xattr xattrs[] = { { "user.a", VALUE("1") }, { "user.a", VALUE("1") } };
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct err err = no_err;

	(void)state;
	assert_int_equal(encode(xattrs, 2, &buf, NULL), 0);
	assert_int_equal(buf.len, 8);
	xattrs[1].value.at = (const uint8_t *)"2";
	assert_int_equal(encode(xattrs, 2, &buf, &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
}

static void overlay_attributes_of_a_layer_are_escaped_and_come_back(void **state)
{
	const struct image_xattr xattrs[] = { { "trusted.overlay.opaque", VALUE("y") } };
	CLEANUP(buf_done) struct buf buf = { 0 };
	char name[IMAGE_NAME_MAX + 32];
	struct bytes value;
	size_t off = 0;
	bool is_mark;

	(void)state;
	assert_int_equal(encode(xattrs, 1, &buf, NULL), 0);
	assert_memory_equal(buf.at + 4, "overlay.overlay.opaquey", 23);
	assert_int_equal(image_xattr_add_opaque(&buf), 0);
	assert_int_equal(buf.len, 28 + 20);
	assert_int_equal(image_xattr_next(buf_bytes(&buf), &off, name, &value, &is_mark), 1);
	assert_string_equal(name, "trusted.overlay.opaque");
	assert_false(is_mark);
	assert_int_equal(value.len, 1);
	assert_int_equal(value.at[0], 'y');
	assert_int_equal(image_xattr_next(buf_bytes(&buf), &off, name, &value, &is_mark), 1);
	assert_true(is_mark);
	assert_int_equal(image_xattr_next(buf_bytes(&buf), &off, name, &value, &is_mark), 0);
}

static void limits_hold_at_the_limit_and_beyond(void **state)
{
	struct image_xattr xattrs[IMAGE_XATTR_COUNT_MAX + 1];
	char names[IMAGE_XATTR_COUNT_MAX + 1][16], name[IMAGE_NAME_MAX + 32] = "user.";
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct err err = no_err;

	(void)state;
	xattrs[0] = (struct image_xattr){ "user.a", { large, IMAGE_XATTR_VALUE_MAX } };
	assert_int_equal(encode(xattrs, 1, &buf, NULL), 0);
	xattrs[0].value.len++;
	assert_int_equal(encode(xattrs, 1, &buf, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);

	memset(name + 5, 'n', IMAGE_NAME_MAX);
	xattrs[0] = (struct image_xattr){ name, VALUE("") };
	assert_int_equal(encode(xattrs, 1, &buf, NULL), 0);
	name[5 + IMAGE_NAME_MAX] = 'n';
	assert_int_equal(encode(xattrs, 1, &buf, NULL), -EFBIG);

	for (size_t i = 0; i < ARRAY_SIZE(xattrs); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "user.%zu", i);
		xattrs[i] = (struct image_xattr){ names[i], VALUE("v") };
	}
	assert_int_equal(encode(xattrs, IMAGE_XATTR_COUNT_MAX, &buf, NULL), 0);
	assert_int_equal(encode(xattrs, IMAGE_XATTR_COUNT_MAX + 1, &buf, NULL), -EFBIG);

	/* "0", "1" and "2" of a byte each, header and padding: 16 bytes beside the values. */
	xattrs[0].value = (struct bytes){ large, 65000 };
	xattrs[1].value = (struct bytes){ large, 65000 };
	xattrs[2].value = (struct bytes){ large, IMAGE_XATTR_TOTAL_MAX - 130000 - 24 + 3 };
	assert_int_equal(encode(xattrs, 3, &buf, NULL), 0);
	assert_int_equal(buf.len, IMAGE_XATTR_TOTAL_MAX);
	xattrs[2].value.len++;
	assert_int_equal(encode(xattrs, 3, &buf, NULL), -EFBIG);
}

static void damaged_entries_are_refused(void **state)
{
	static const uint8_t cut[] = "\x03\x01\x02\x00"
				     "on",
			     odd[] = "\x00\x63\x00\x00";
	char name[IMAGE_NAME_MAX + 32];
	struct bytes value;
	size_t off = 0;
	bool is_mark;

	(void)state;
	assert_int_equal(image_xattr_next((struct bytes){ cut, 3 }, &off, name, &value, &is_mark),
			 -EINVAL);
	assert_int_equal(image_xattr_next((struct bytes){ cut, 6 }, &off, name, &value, &is_mark),
			 -EINVAL);
	assert_int_equal(image_xattr_next((struct bytes){ odd, 4 }, &off, name, &value, &is_mark),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_as_erofs_has_them),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(what_no_kernel_stores_is_dropped),
		cmocka_unit_test(the_same_twice_is_once_and_two_values_are_refused),
		cmocka_unit_test(overlay_attributes_of_a_layer_are_escaped_and_come_back),
		cmocka_unit_test(limits_hold_at_the_limit_and_beyond),
		cmocka_unit_test(damaged_entries_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
