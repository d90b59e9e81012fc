// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void grows_and_drops(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&buf, "%04d", i), 0);
	assert_int_equal(buf.len, 4000);
	buf_drop(&buf, 3996);
	assert_memory_equal(buf.at, "0999", 4);
	buf_drop(&buf, 4);
	assert_int_equal(buf.len, 0);
	buf_drop(&buf, 0);
}

static void refuses_what_would_overflow(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(buf_add(&buf, "x", 1), 0);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX / 4), -ENOMEM);
	assert_int_equal(buf.len, 1);
}

static void strings_end_with_null(void **state)
{
	CLEANUP(strv_done) struct strv strv = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(strv_addf(&strv, "n%d", i), 0);
		assert_null(strv.at[strv.len]);
	}
	assert_int_equal(strv_add(&strv, "last"), 0);
	assert_string_equal(strv.at[100], "last");
	assert_string_equal(strv.at[42], "n42");
	assert_int_equal(strv_take(&strv, NULL), -ENOMEM);
	assert_int_equal(strv.len, 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_drops),
		cmocka_unit_test(refuses_what_would_overflow),
		cmocka_unit_test(strings_end_with_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
