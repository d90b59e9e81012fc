// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "oci/yaml.h"

static int note(void *data, const struct oci_yaml_scalar *s, struct err *err)
{
	if (strcmp(s->path, "stop") == 0)
		return err_set(err, -EDOM, "not '%s'", s->text);
	return buf_addf(data, "%s=%s%s\n", s->path, s->text ? s->text : "(empty)",
			s->is_plain ? "" : " (not plain)");
}

static void assert_yaml(const char *text, size_t len, int result, const char *want)
{
	CLEANUP(buf_done) struct buf seen = { 0 };
	struct err e = { 0 };

	assert_int_equal(oci_yaml_parse((struct bytes){ (const uint8_t *)text, len }, note, &seen,
					&e),
			 result);
	assert_int_equal(buf_add(&seen, "", 1), 0);
	assert_string_equal(result < 0 ? e.msg : (char *)seen.at, want);
}

#define assert_tells(text, want) assert_yaml(text, sizeof(text) - 1, 0, want)
#define assert_refuses(text, num, want) assert_yaml(text, sizeof(text) - 1, num, want)

static void tells_keys_and_scalars_in_order(void **state)
{
	(void)state;
	assert_tells("accel: tcg\nlog_size: 8MiB # as it is\n", "accel=tcg\nlog_size=8MiB\n");
	assert_tells("", "");
	assert_tells("# nothing\n", "");
	assert_tells("---\na: no\n...\n", "a=no\n");
	assert_tells("{a: 1, \"b\": 'x y'}", "a=1\nb=x y (not plain)\n");
	assert_tells("a:\nb: \"\"\n", "a=\nb= (not plain)\n");
	assert_tells("\xef\xbb\xbf"
		     "a: gr\xc3\xbc\xc3\x9f"
		     "e\r\n",
		     "a=gr\xc3\xbc\xc3\x9f"
		     "e\n");
	assert_yaml(NULL, 0, 0, "");
}

static void tells_paths_through_mappings_and_lists(void **state)
{
	(void)state;
	assert_tells("a:\n  b:\n    c: 1\n  d: 2\ne: 3\n", "a.b.c=1\na.d=2\ne=3\n");
	assert_tells("l:\n- 1\n- x: 2\n  y: 3\n- [4, 5]\nm: 6\n",
		     "l[0]=1\nl[1].x=2\nl[1].y=3\nl[2][0]=4\nl[2][1]=5\nm=6\n");
}

static void tells_of_empty_mappings_and_lists(void **state)
{
	(void)state;
	assert_tells("a: {}\nb: []\nc: [{}]\n",
		     "a=(empty) (not plain)\nb=(empty) (not plain)\nc[0]=(empty) (not plain)\n");
	assert_tells("{}", "");
}

static void refuses_a_key_twice_in_one_mapping(void **state)
{
	(void)state;
	assert_refuses("a: 1\nb: 2\n\"a\": 3\n", -EEXIST, "3:1: 'a' is there twice");
	assert_refuses("x:\n  a: 1\n  a: 2\n", -EEXIST, "3:3: 'a' is there twice");
	assert_tells("x: {a: 1}\ny: {a: 2}\na: 3\n", "x.a=1\ny.a=2\na=3\n");
}

static void refuses_what_is_not_what_it_seems(void **state)
{
	(void)state;
	assert_refuses("a: &x 1\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("a: &x {b: 1}\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("a: &x [1]\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("a: !!str 1\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("a: ! 1\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("a: !x {}\n", -EINVAL, "1:4: anchors and tags are not taken");
	assert_refuses("&x a: 1\n", -EINVAL, "1:1: anchors and tags are not taken");
	assert_refuses("a: 1\nb: *x\n", -EINVAL, "2:4: aliases are not taken");
	assert_refuses("? [a]\n: 1\n", -EINVAL, "1:3: a key must be a plain word or a string");
	assert_refuses("? {a: b}\n: 1\n", -EINVAL, "1:3: a key must be a plain word or a string");
	assert_refuses("a: 1\n? \n: 1\n", -EINVAL, "2:2: a key is empty");
	assert_refuses("- a\n", -EINVAL, "1:1: the file must be a mapping, 'key: value'");
	assert_refuses("just text\n", -EINVAL, "1:1: the file must be a mapping, 'key: value'");
	assert_refuses("a: 1\n---\nb: 2\n", -EINVAL, "2:1: a second document starts");
	assert_refuses("a: \"x\\0y\"\n", -EINVAL, "1:4: a NUL is in the text");
}

static void refuses_what_is_no_yaml_with_the_place(void **state)
{
	(void)state;
	assert_refuses("a: 1\nb: [1\n", -EINVAL, "3:1: did not find expected ',' or ']'");
	assert_refuses("a: 'x\n", -EINVAL, "2:1: found unexpected end of stream");
	assert_refuses("a: 1\n\tb: 2\n", -EINVAL,
		       "2:1: found a tab character that violates indentation");
	assert_refuses("a: \xff\n", -EINVAL, "1:1: invalid leading UTF-8 octet");
	assert_refuses("a: \x01\n", -EINVAL, "1:1: control characters are not allowed");
	assert_refuses("a: 1\nb\n", -EINVAL, "3:1: could not find expected ':'");
}

static void puts_the_place_before_what_the_reader_says(void **state)
{
	(void)state;
	assert_refuses("a: 1\nstop: here\nb: 2\n", -EDOM, "2:7: not 'here'");
}

/* depth levels in each other, the top counted. */
static void nested(struct buf *b, int depth)
{
	for (int i = 0; i < depth; i++)
		assert_int_equal(buf_addf(b, "{a: "), 0);
	assert_int_equal(buf_addf(b, "1"), 0);
	for (int i = 0; i < depth; i++)
		assert_int_equal(buf_addf(b, "}"), 0);
}

static int count(void *data, const struct oci_yaml_scalar *s, struct err *err)
{
	(void)s;
	(void)err;
	++*(size_t *)data;
	return 0;
}

static void stops_at_its_limits(void **state)
{
	CLEANUP(buf_done)
	struct buf ok = { 0 }, deep = { 0 }, list = { 0 }, keys = { 0 }, big = { 0 };
	struct err e = { 0 };
	size_t n = 0;

	(void)state;
	nested(&ok, OCI_YAML_MAX_DEPTH);
	nested(&deep, OCI_YAML_MAX_DEPTH + 1);
	assert_int_equal(oci_yaml_parse(buf_bytes(&ok), count, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(oci_yaml_parse(buf_bytes(&deep), count, &n, &e), -E2BIG);
	assert_string_equal(e.msg, "1:65: nested too deep");

	assert_int_equal(buf_addf(&list, "l:\n"), 0);
	for (int i = 0; i < OCI_YAML_MAX_ENTRIES; i++) {
		assert_int_equal(buf_addf(&list, "- x\n"), 0);
		assert_int_equal(buf_addf(&keys, "k%d: x\n", i), 0);
	}
	n = 0;
	assert_int_equal(oci_yaml_parse(buf_bytes(&list), count, &n, &e), 0);
	assert_int_equal(oci_yaml_parse(buf_bytes(&keys), count, &n, &e), 0);
	assert_int_equal(n, 2 * OCI_YAML_MAX_ENTRIES);
	assert_int_equal(buf_addf(&list, "- x\n"), 0);
	assert_int_equal(buf_addf(&keys, "k: x\n"), 0);
	assert_int_equal(oci_yaml_parse(buf_bytes(&list), count, &n, &e), -E2BIG);
	assert_int_equal(oci_yaml_parse(buf_bytes(&keys), count, &n, &e), -E2BIG);

	assert_int_equal(buf_reserve(&big, OCI_YAML_MAX_SIZE + 1), 0);
	memset(big.at, '#', OCI_YAML_MAX_SIZE + 1);
	big.len = OCI_YAML_MAX_SIZE;
	assert_int_equal(oci_yaml_parse(buf_bytes(&big), count, &n, &e), 0);
	big.len++;
	assert_int_equal(oci_yaml_parse(buf_bytes(&big), count, &n, &e), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_keys_and_scalars_in_order),
		cmocka_unit_test(tells_paths_through_mappings_and_lists),
		cmocka_unit_test(tells_of_empty_mappings_and_lists),
		cmocka_unit_test(refuses_a_key_twice_in_one_mapping),
		cmocka_unit_test(refuses_what_is_not_what_it_seems),
		cmocka_unit_test(refuses_what_is_no_yaml_with_the_place),
		cmocka_unit_test(puts_the_place_before_what_the_reader_says),
		cmocka_unit_test(stops_at_its_limits),
	};

	return cmocka_run_group_tests_name("oci/yaml", tests, NULL, NULL);
}
