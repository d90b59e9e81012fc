// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <linux/capability.h>

#include "base/privilege.h"

static void names_and_numbers_are_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(privilege_capability_number("CAP_CHOWN"), CAP_CHOWN);
	assert_int_equal(privilege_capability_number("CAP_NET_RAW"), CAP_NET_RAW);
	assert_int_equal(privilege_capability_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
	assert_int_equal(privilege_capability_number("CAP_AUDIT_WRITE"), CAP_AUDIT_WRITE);
	assert_int_equal(privilege_capability_number("CAP_SETFCAP"), CAP_SETFCAP);
	assert_int_equal(privilege_capability_number("CAP_CHECKPOINT_RESTORE"),
			 PRIVILEGE_CAPABILITIES - 1);
	assert_int_equal(privilege_limit_number("RLIMIT_CPU"), RLIMIT_CPU);
	assert_int_equal(privilege_limit_number("RLIMIT_CORE"), RLIMIT_CORE);
	assert_int_equal(privilege_limit_number("RLIMIT_NOFILE"), PRIVILEGE_NOFILE);
	assert_int_equal(PRIVILEGE_NOFILE, RLIMIT_NOFILE);
	assert_int_equal(privilege_limit_number("RLIMIT_MEMLOCK"), RLIMIT_MEMLOCK);
	assert_int_equal(privilege_limit_number("RLIMIT_RTTIME"), RLIMIT_NLIMITS - 1);
	assert_int_equal(PRIVILEGE_LIMITS, RLIMIT_NLIMITS);
	for (unsigned i = 0; i < PRIVILEGE_CAPABILITIES; i++)
		assert_int_equal(privilege_capability_number(privilege_capability_name(i)), i);
	for (unsigned i = 0; i < PRIVILEGE_LIMITS; i++)
		assert_int_equal(privilege_limit_number(privilege_limit_name(i)), i);
	assert_null(privilege_capability_name(PRIVILEGE_CAPABILITIES));
	assert_null(privilege_limit_name(PRIVILEGE_LIMITS));
	assert_null(privilege_set_name(PRIVILEGE_SETS));
	assert_string_equal(privilege_set_name(PRIVILEGE_AMBIENT), "ambient");
}

static void other_names_are_not_there(void **state)
{
	static const char *const other[] = { "", "CHOWN", "cap_chown", "CAP_CHOWN ", "CAP_ALL" };

	(void)state;
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_int_equal(privilege_capability_number(other[i]), -ENOENT);
	assert_int_equal(privilege_limit_number("NOFILE"), -ENOENT);
}

static void the_default_is_podmans(void **state)
{
	static const int podmans[] = {
		CAP_CHOWN,   CAP_DAC_OVERRIDE, CAP_FOWNER,	    CAP_FSETID,
		CAP_KILL,    CAP_SETGID,       CAP_SETUID,	    CAP_SETPCAP,
		CAP_SETFCAP, CAP_SYS_CHROOT,   CAP_NET_BIND_SERVICE
	};
	uint64_t mask = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(podmans) / sizeof(podmans[0]); i++)
		mask |= UINT64_C(1) << podmans[i];
	assert_true(mask == PRIVILEGE_DEFAULT);
}

static void sets_are_within_each_other(void **state)
{
	static const struct {
		struct privilege_sets sets;
		bool is_possible;
	} cases[] = {
		{ { { 0, 0, 0, 0, 0 } }, true },
		{ { { PRIVILEGE_ALL, PRIVILEGE_ALL, PRIVILEGE_ALL, PRIVILEGE_ALL, PRIVILEGE_ALL } },
		  true },
		{ { { PRIVILEGE_ALL + 1, 0, 0, 0, 0 } }, false },
		{ { { 3, 1, 3, 2, 2 } }, true },
		{ { { 1, 1, 0, 0, 0 } }, false }, /* effective, not permitted */
		{ { { 1, 0, 2, 0, 0 } }, false }, /* permitted, not bounding */
		{ { { 1, 0, 0, 2, 0 } }, false }, /* inheritable, not bounding */
		{ { { 1, 0, 1, 0, 1 } }, false }, /* ambient, not inheritable */
		{ { { 1, 0, 0, 1, 1 } }, false }, /* ambient, not permitted */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (privilege_sets_are_possible(&cases[i].sets) != cases[i].is_possible)
			fail_msg("case %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_the_kernels),
		cmocka_unit_test(other_names_are_not_there),
		cmocka_unit_test(the_default_is_podmans),
		cmocka_unit_test(sets_are_within_each_other),
	};

	return cmocka_run_group_tests_name("base/privilege", tests, NULL, NULL);
}
