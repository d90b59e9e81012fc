// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/reason.h"

static void every_reason_has_a_name_of_its_own_and_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATTEST_REASON_COUNT; i++) {
		const struct attest_reason_info *info = attest_reason_info(i);

		assert_non_null(info);
		assert_true(strlen(info->name) > 0 && strlen(info->name) < 32);
		assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz-"),
				 strlen(info->name));
		assert_true(info->what[strlen(info->what) - 1] == '.');
		assert_true(info->todo[strlen(info->todo) - 1] == '.');
		assert_string_equal(attest_reason_name((enum attest_reason)i), info->name);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(info->name, attest_reason_info(j)->name);
	}
	assert_null(attest_reason_info(ATTEST_REASON_COUNT));
}

/* Audit lines and rules have them: they are not to be renamed. */
static void public_names_stay(void **state)
{
	(void)state;
	assert_string_equal(attest_reason_name(ATTEST_LAUNCH_DIGEST_MISMATCH),
			    "launch-digest-mismatch");
	assert_string_equal(attest_reason_name(ATTEST_REPORT_DATA_MISMATCH),
			    "report-data-mismatch");
	assert_string_equal(attest_reason_name(ATTEST_SIMULATED), "simulated");
	assert_string_equal(attest_reason_name(ATTEST_POLICY_EXEC), "policy-exec");
}

static void a_text_that_is_too_long_is_cut(void **state)
{
	struct attest_refusal refusal;
	char text[2 * ATTEST_REFUSAL_TEXT];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	attest_refusal_set(&refusal, ATTEST_VMPL, "%s", text);
	assert_int_equal(refusal.reason, ATTEST_VMPL);
	assert_int_equal(strlen(refusal.text), ATTEST_REFUSAL_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_name_of_its_own_and_words),
		cmocka_unit_test(public_names_stay),
		cmocka_unit_test(a_text_that_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
