// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void keeps_number_code_and_text(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_coded(&err, ERR_IMAGE, -EINVAL, "read '%s'", "x"), -EINVAL);
	assert_int_equal(err.num, -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	assert_string_equal(err.msg, "read 'x'");
}

static void says_what_errno_means(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&err, "open 'x'"), -ENOENT);
	assert_string_equal(err.msg, "open 'x': No such file or directory");
}

static void works_without_an_err(void **state)
{
	(void)state;
	errno = EPERM;
	assert_int_equal(err_sys(NULL, "x"), -EPERM);
	assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_wrap(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_recode(NULL, -EIO, ERR_IMAGE), -EIO);
}

static void wraps_outermost_first(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, -EIO, "inner");
	err_wrap(&err, -EIO, "middle %d", 1);
	err_wrap(&err, -EIO, "outer");
	assert_string_equal(err.msg, "outer: middle 1: inner");
	assert_int_equal(err.num, -EIO);
}

static void wraps_a_callee_that_said_nothing(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_wrap(&err, -ENOSPC, "write");
	assert_string_equal(err.msg, "write: No space left on device");
	assert_int_equal(err.num, -ENOSPC);
}

static void cuts_the_middle_when_too_long(void **state)
{
	char inner[sizeof(((struct err *)0)->msg)];
	struct err err = { 0 };

	(void)state;
	memset(inner, 'i', sizeof(inner));
	memcpy(inner + sizeof(inner) - 7, " cause", 7);
	err_set(&err, -EIO, "%s", inner);
	err_wrap(&err, -EIO, "the wish");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_memory_equal(err.msg, "the wish: ...iii", 16);
	assert_string_equal(err.msg + strlen(err.msg) - 6, " cause");
}

static void recodes_only_what_has_no_code(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, -EIO, "x");
	assert_int_equal(err_recode(&err, -EIO, ERR_IMAGE), -EIO);
	assert_int_equal(err.code, ERR_IMAGE);
	err_recode(&err, -EIO, ERR_HOST);
	assert_int_equal(err.code, ERR_IMAGE);
}

static void names_every_code(void **state)
{
	(void)state;
	assert_string_equal(err_code_name(ERR_IMAGE_DIGEST), "image-digest");
	assert_string_equal(err_code_name(ERR_OTHER), "other");
	assert_string_equal(err_code_name((enum err_code)9999), "other");
	for (size_t i = 0; err_code_info(i); i++) {
		assert_string_equal(err_code_name(err_code_info(i)->code), err_code_info(i)->name);
		assert_true(strlen(err_code_info(i)->what) > 10);
		assert_true(strlen(err_code_info(i)->todo) > 10);
	}
	assert_string_equal(err_code_name(ERR_CONTAINER), "container");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_number_code_and_text),
		cmocka_unit_test(says_what_errno_means),
		cmocka_unit_test(works_without_an_err),
		cmocka_unit_test(wraps_outermost_first),
		cmocka_unit_test(wraps_a_callee_that_said_nothing),
		cmocka_unit_test(cuts_the_middle_when_too_long),
		cmocka_unit_test(names_every_code),
		cmocka_unit_test(recodes_only_what_has_no_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
