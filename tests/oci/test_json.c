// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "oci/json.h"

static struct arena arena;
static json_t *root;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	json_decref(root);
	root = NULL;
	return 0;
}

static struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static struct oci_json load(const char *text)
{
	json_decref(root);
	root = NULL;
	assert_int_equal(oci_json_load(text_bytes(text), "f", &root, NULL), 0);
	return oci_json_root(root, "f");
}

static void assert_not_loaded(struct bytes text, int num, const char *words)
{
	json_t *none = NULL;
	struct err err = { 0 };

	assert_int_equal(oci_json_load(text, "f", &none, &err), num);
	assert_non_null(strstr(err.msg, words));
	assert_null(none);
}

static void says_line_and_column(void **state)
{
	(void)state;
	assert_not_loaded(text_bytes("{\n  \"a\": ,\n}"), -EINVAL, "read 'f': line 2, column 8");
	assert_not_loaded(text_bytes("{\"a\":1,\"a\":2}"), -EINVAL, "duplicate object key");
	assert_not_loaded(text_bytes("{} {}"), -EINVAL, "line 1");
	assert_not_loaded(text_bytes("{\"a\":\"\\u0000\"}"), -EINVAL, "line 1");
	assert_not_loaded(text_bytes("\"\xff\""), -EINVAL, "line 1");
	assert_not_loaded(text_bytes(""), -EINVAL, "empty");
	assert_not_loaded(text_bytes("{\"a\x1b[2J\": }"), -EINVAL, "line 1");
}

static void keeps_control_characters_from_the_terminal(void **state)
{
	struct oci_json doc, item;
	struct err err = { 0 };

	(void)state;
	doc = load("{\"a\\u001b[2J\":1}");
	item = oci_json_get(&doc, "a\x1b[2J");
	assert_int_equal(oci_json_fail(&item, ERR_IMAGE, -EINVAL, &err, "is '%s'", "\x07\x7f"),
			 -EINVAL);
	assert_string_equal(err.msg, "read 'f': /a?[2J: is '?"
				     "?'");
	assert_not_loaded(text_bytes("[\x1b]"), -EINVAL, "line 1");
}

static void holds_size_and_depth(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	char deep[2 * (OCI_JSON_DEPTH + 1) + 1];

	(void)state;
	memset(deep, '[', OCI_JSON_DEPTH);
	memset(deep + OCI_JSON_DEPTH, ']', OCI_JSON_DEPTH);
	deep[2 * OCI_JSON_DEPTH] = '\0';
	(void)load(deep);
	memset(deep, '[', OCI_JSON_DEPTH + 1);
	memset(deep + OCI_JSON_DEPTH + 1, ']', OCI_JSON_DEPTH + 1);
	deep[2 * OCI_JSON_DEPTH + 2] = '\0';
	assert_not_loaded(text_bytes(deep), -E2BIG, "deep");
	/* brackets in a string are none, nor does a quoted quote end it */
	memset(deep, '[', 2 * OCI_JSON_DEPTH);
	memcpy(deep, "[\"\\\"", 4);
	memcpy(deep + 2 * OCI_JSON_DEPTH, "\"]", 3);
	(void)load(deep);

	assert_int_equal(buf_reserve(&buf, OCI_JSON_MAX + 1), 0);
	memset(buf.at, ' ', OCI_JSON_MAX + 1);
	memcpy(buf.at, "[]", 2);
	json_decref(root);
	root = NULL;
	assert_int_equal(oci_json_load((struct bytes){ buf.at, OCI_JSON_MAX }, "f", &root, NULL),
			 0);
	assert_not_loaded((struct bytes){ buf.at, OCI_JSON_MAX + 1 }, -E2BIG, "4194304");
}

static void names_the_place(void **state)
{
	struct oci_json doc, list, item, size;
	struct err err = { 0 };
	uint64_t n = 5;

	(void)state;
	doc = load("{\"list\":[0,{\"size\":-1}]}");
	list = oci_json_get(&doc, "list");
	item = oci_json_item(&list, 1);
	size = oci_json_get(&item, "size");
	assert_int_equal(oci_json_u64(&size, 0, 9, &n, &err), -EINVAL);
	assert_string_equal(err.msg, "read 'f': /list/1/size: is -1, not from 0 to 9");
	assert_int_equal(n, 5);
	assert_int_equal(oci_json_object(&list, &err), -EINVAL);
	assert_string_equal(err.msg, "read 'f': /list: is a list, not an object");
	size = oci_json_get(&item, "none");
	assert_int_equal(oci_json_object(&size, &err), -EINVAL);
	assert_string_equal(err.msg, "read 'f': /list/1/none: is missing, an object is wanted");
}

static void takes_null_as_absent(void **state)
{
	struct oci_json doc, none, item;
	struct oci_strings strings = { 0 };
	uint64_t n = 5;
	bool is = true;

	(void)state;
	doc = load("{\"none\":null,\"list\":[null]}");
	none = oci_json_get(&doc, "none");
	assert_false(oci_json_is_there(&none));
	assert_int_equal(oci_json_u64(&none, 1, 2, &n, NULL), 0);
	assert_int_equal(n, 5);
	assert_int_equal(oci_json_bool(&none, &is, NULL), 0);
	assert_true(is);
	assert_int_equal(oci_json_strings(&arena, &none, 1, 1, &strings, NULL), 0);
	assert_int_equal(strings.count, 0);
	assert_non_null(strings.at);
	assert_null(strings.at[0]);
	none = oci_json_get(&doc, "list");
	item = oci_json_item(&none, 0);
	assert_false(oci_json_is_there(&item));
	item = oci_json_get(&item, "x"); /* of nothing there is nothing */
	assert_false(oci_json_is_there(&item));
}

static void knows_what_asks_for_nothing(void **state)
{
	static const char *const empty[] = { "null", "\"\"", "0", "false", "[]", "{}" };
	static const char *const full[] = { "\" \"", "1", "0.0", "true", "[0]", "{\"a\":null}" };
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		struct oci_json doc, item;

		(void)snprintf(text, sizeof(text), "{\"e\":%s,\"f\":%s}", empty[i], full[i]);
		doc = load(text);
		item = oci_json_get(&doc, "e");
		assert_true(oci_json_is_empty(&item));
		item = oci_json_get(&doc, "f");
		assert_false(oci_json_is_empty(&item));
	}
}

static void holds_the_limits_of_lists_and_strings(void **state)
{
	struct oci_strings strings;
	struct oci_json doc;
	struct err err = { 0 };
	uint64_t n;

	(void)state;
	doc = load("[\"abc\",\"d\"]");
	assert_int_equal(oci_json_strings(&arena, &doc, 2, 3, &strings, &err), 0);
	assert_int_equal(strings.count, 2);
	assert_string_equal(strings.at[1], "d");
	assert_null(strings.at[2]);
	assert_int_equal(oci_json_strings(&arena, &doc, 1, 3, &strings, &err), -E2BIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_int_equal(oci_json_strings(&arena, &doc, 2, 2, &strings, &err), -E2BIG);
	assert_string_equal(err.msg, "read 'f': /0: has more than 2 bytes");
	doc = load("[1]");
	assert_int_equal(oci_json_strings(&arena, &doc, 2, 2, &strings, &err), -EINVAL);
	assert_string_equal(err.msg, "read 'f': /0: is a number, not a string");
	doc = load("{}");
	assert_int_equal(oci_json_strings(&arena, &doc, 2, 2, &strings, &err), -EINVAL);
	doc = load("[9223372036854775807,1.5]");
	doc = oci_json_item(&(struct oci_json){ .file = "f", .value = root }, 0);
	assert_int_equal(oci_json_u64(&doc, 0, INT64_MAX, &n, &err), 0);
	assert_true(n == INT64_MAX);
	doc = oci_json_item(&(struct oci_json){ .file = "f", .value = root }, 1);
	assert_int_equal(oci_json_u64(&doc, 0, INT64_MAX, &n, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(says_line_and_column, teardown),
		cmocka_unit_test_teardown(keeps_control_characters_from_the_terminal, teardown),
		cmocka_unit_test_teardown(holds_size_and_depth, teardown),
		cmocka_unit_test_teardown(names_the_place, teardown),
		cmocka_unit_test_teardown(takes_null_as_absent, teardown),
		cmocka_unit_test_teardown(knows_what_asks_for_nothing, teardown),
		cmocka_unit_test_teardown(holds_the_limits_of_lists_and_strings, teardown),
	};

	return cmocka_run_group_tests_name("oci/json", tests, NULL, NULL);
}
