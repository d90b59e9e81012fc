// SPDX-License-Identifier: Apache-2.0
#include "plan/reasons.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void none_is_no_error(void **state)
{
	const struct plan_reasons reasons = { 0 };

	(void)state;
	assert_int_equal(plan_reasons_err(&reasons, NULL), 0);
}

static void one_is_told_whole_more_by_their_number(void **state)
{
	static struct plan_reasons reasons;
	struct err err = { 0 };

	(void)state;
	plan_reasons_add(&reasons, ERR_DEVICE_NONE, "%s is not there", "x");
	plan_reasons_add(&reasons, ERR_DEVICE_NONE, "x is not there");
	assert_int_equal(reasons.count, 1);
	assert_int_equal(plan_reasons_err(&reasons, &err), -ENODEV);
	assert_int_equal(err.code, ERR_DEVICE_NONE);
	assert_string_equal(err.msg, "plan the devices: x is not there");
	plan_reasons_add(&reasons, ERR_DEVICE_HELD, "y is held");
	assert_int_equal(plan_reasons_err(&reasons, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "x is not there (and 1 more"));
}

static void there_are_no_more_than_there_is_room_for(void **state)
{
	static struct plan_reasons reasons;

	(void)state;
	for (int i = 0; i < PLAN_REASONS_MAX + 1; i++) {
		plan_reasons_add(&reasons, ERR_DEVICE_HELD, "reason %d", i);
		assert_int_equal(reasons.count, i < PLAN_REASONS_MAX ? i + 1 : PLAN_REASONS_MAX);
	}
	assert_string_equal(reasons.at[PLAN_REASONS_MAX - 1].text, "reason 31");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_no_error),
		cmocka_unit_test(one_is_told_whole_more_by_their_number),
		cmocka_unit_test(there_are_no_more_than_there_is_room_for),
	};

	return cmocka_run_group_tests_name("plan/reasons", tests, NULL, NULL);
}
