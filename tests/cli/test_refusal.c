// SPDX-License-Identifier: Apache-2.0
#include "cli/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void becomes(const char *text, const char *wanted)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "%s", text);
	refusal_rewrite(line, sizeof(line));
	assert_string_equal(line, wanted);
}

static void the_code_goes_to_the_end(void **state)
{
	(void)state;
	becomes("create container 'main': policy-args: it differs in 'args' (container)",
		"create container 'main': it differs in 'args' (policy-args)");
	becomes("launch-digest-mismatch: not one of 2: else (container)",
		"not one of 2: else (launch-digest-mismatch)");
	becomes("p/main: exec: policy-exec: no (refused)", "p/main: exec: no (policy-exec)");
	becomes("p/main: exec: policy-exec: no (yet)", "p/main: exec: no (yet) (policy-exec)");
	becomes("p/main: exec: policy-exec: no", "p/main: exec: no (policy-exec)");
}

static void other_words_are_left_alone(void **state)
{
	static const char *const lines[] = {
		"",
		"start container 'main': no such program (container)",
		"it says policy-args (container)",
		"policy-args",
		"policy-argsx: no (container)",
		": : ",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		becomes(lines[i], lines[i]);
}

static void what_is_too_long_is_cut_before_the_code(void **state)
{
	char line[32] = "policy-args: 0123456789", tight[8] = "vmpl: a";

	(void)state;
	refusal_rewrite(line, sizeof(line));
	assert_string_equal(line, "0123456789 (policy-args)");
	(void)snprintf(line, sizeof(line), "policy-args: %s", "0123456789abcdefgh");
	refusal_rewrite(line, 24);
	assert_string_equal(line, "012345678 (policy-args)");
	refusal_rewrite(tight, sizeof(tight)); /* "vmpl" and its brackets fill it */
	assert_string_equal(tight, "vmpl: a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_goes_to_the_end),
		cmocka_unit_test(other_words_are_left_alone),
		cmocka_unit_test(what_is_too_long_is_cut_before_the_code),
	};

	return cmocka_run_group_tests_name("cli/refusal", tests, NULL, NULL);
}
