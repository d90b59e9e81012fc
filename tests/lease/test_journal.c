// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lease/journal.h"

static struct arena arena;
static struct buf text;
static struct lease_journal j;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	buf_done(&text);
	return 0;
}

static int replay(void)
{
	memset(&j, 0x55, sizeof(j));
	return lease_journal_read(&arena, buf_bytes(&text), &j);
}

static const char boot[] = "0b1c6a1e-7a83-4e57-9f5c-5b5b0b3e1f00";

static void put_three_steps(void)
{
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	assert_int_equal(lease_journal_do(&text, 0, "dir", "web"), 0);
	assert_int_equal(lease_journal_do(&text, 1, "uid", "90000"), 0);
	assert_int_equal(lease_journal_do(&text, 2, "process", "qemu"), 0);
}

static void is_text_with_the_usual_checksum(void **state)
{
	static const char want[] = "921d9904 do 0 dir web\n"; /* the sum is zlib's */

	(void)state;
	assert_int_equal(lease_journal_do(&text, 0, "dir", "web"), 0);
	assert_int_equal(text.len, sizeof(want) - 1);
	assert_memory_equal(text.at, want, text.len);
}

static void says_what_was_done_and_undone(void **state)
{
	(void)state;
	put_three_steps();
	assert_int_equal(lease_journal_undone(&text, 2), 0);
	assert_int_equal(replay(), 0);
	assert_string_equal(j.boot, boot);
	assert_int_equal(j.count, 3);
	assert_string_equal(j.entries[0].kind, "dir");
	assert_string_equal(j.entries[0].arg, "web");
	assert_string_equal(j.entries[1].kind, "uid");
	assert_string_equal(j.entries[1].arg, "90000");
	assert_string_equal(j.entries[2].arg, "qemu");
	assert_false(j.entries[0].is_undone);
	assert_false(j.entries[1].is_undone);
	assert_true(j.entries[2].is_undone);
	assert_int_equal(j.len, text.len);
	assert_false(j.is_damaged);
}

static void keeps_any_argument_as_it_is(void **state)
{
	char all[256] = { 0 };

	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	assert_int_equal(lease_journal_do(&text, 0, "file", all), 0);
	assert_int_equal(lease_journal_do(&text, 1, "file", "a b\n%41"), 0);
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, 2);
	assert_string_equal(j.entries[0].arg, all);
	assert_string_equal(j.entries[1].arg, "a b\n%41");
}

/* The sums are zlib's. */
static void takes_no_escapes_that_it_would_not_write(void **state)
{
	static const char *const bad[] = { "%00", "%4", "%", "%4G", "%4A", "a%" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		static const uint32_t sums[] = { 0xb6033003, 0x6d1a8a30, 0xc804ab07,
						 0x1c0e1198, 0xf56db4ad, 0x93bf20c3 };

		text.len = 0;
		assert_int_equal(lease_journal_boot(&text, boot), 0);
		assert_int_equal(buf_addf(&text, "%08x do 0 file %s\n", sums[i], bad[i]), 0);
		assert_int_equal(replay(), 0);
		assert_int_equal(j.count, 0);
	}
}

static void refuses_words_beyond_its_limits(void **state)
{
	char arg[LEASE_ARG_MAX + 2] = { 0 }, kind[LEASE_KIND_MAX + 2] = { 0 };
	char id[LEASE_BOOT_MAX + 2] = { 0 };

	(void)state;
	memset(arg, ' ', LEASE_ARG_MAX);
	memset(kind, 'k', LEASE_KIND_MAX);
	memset(id, 'f', LEASE_BOOT_MAX);
	assert_int_equal(lease_journal_boot(&text, id), 0);
	assert_int_equal(lease_journal_do(&text, 0, kind, arg), 0);
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, 1);
	assert_string_equal(j.boot, id);
	assert_string_equal(j.entries[0].kind, kind);
	assert_string_equal(j.entries[0].arg, arg);
	arg[LEASE_ARG_MAX] = ' ';
	kind[LEASE_KIND_MAX] = 'k';
	id[LEASE_BOOT_MAX] = 'f';
	assert_int_equal(lease_journal_do(&text, 1, "k", arg), -EINVAL);
	assert_int_equal(lease_journal_do(&text, 1, kind, "a"), -EINVAL);
	assert_int_equal(lease_journal_boot(&text, id), -EINVAL);
	assert_int_equal(lease_journal_do(&text, 1, "k", ""), -EINVAL);
	assert_int_equal(lease_journal_do(&text, 1, "", "a"), -EINVAL);
	assert_int_equal(lease_journal_do(&text, 1, "a b", "a"), -EINVAL);
	assert_int_equal(lease_journal_boot(&text, ""), -EINVAL);
	assert_int_equal(lease_journal_boot(&text, "a b"), -EINVAL);
}

static void ignores_a_torn_end_wherever_it_was_torn(void **state)
{
	size_t lens[5] = { 0 };

	(void)state;
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	lens[1] = text.len;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(lease_journal_do(&text, i, "file", "some/where"), 0);
		lens[i + 2] = text.len;
	}
	for (size_t len = 0, lines = 0; len <= lens[4]; len++) {
		if (lines < 4 && len == lens[lines + 1])
			lines++;
		text.len = len;
		assert_int_equal(replay(), 0);
		assert_int_equal(j.count, lines ? lines - 1 : 0);
		assert_int_equal(j.len, lens[lines]);
		assert_false(j.is_damaged);
		assert_int_equal(j.boot[0] != '\0', lines > 0);
	}
}

static void takes_no_line_with_a_wrong_bit(void **state)
{
	size_t first, second;

	(void)state;
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	first = text.len;
	assert_int_equal(lease_journal_do(&text, 0, "dir", "web"), 0);
	second = text.len;
	for (size_t bit = first * 8; bit < second * 8; bit++) {
		text.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(replay(), 0);
		assert_int_equal(j.count, 0);
		assert_int_equal(j.len, first);
		text.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void tells_damage_from_a_torn_end(void **state)
{
	(void)state;
	put_three_steps();
	text.at[text.len - 3] ^= 1; /* the last line: torn */
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, 2);
	assert_false(j.is_damaged);
	assert_int_equal(lease_journal_undone(&text, 1), 0); /* a good one behind it */
	assert_int_equal(replay(), 0);
	assert_true(j.is_damaged);
	assert_int_equal(j.count, 2);
	assert_true(j.entries[1].is_undone);
	assert_false(j.entries[0].is_undone);
}

static void calls_steps_without_a_boot_damage(void **state)
{
	(void)state;
	assert_int_equal(lease_journal_do(&text, 0, "dir", "web"), 0);
	assert_int_equal(replay(), 0);
	assert_true(j.is_damaged);
	assert_int_equal(j.count, 1);
	assert_string_equal(j.boot, "");
}

static void takes_steps_in_their_order_only(void **state)
{
	(void)state;
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	assert_int_equal(lease_journal_do(&text, 1, "dir", "a"), 0); /* step 0 is missing */
	assert_int_equal(lease_journal_undone(&text, 0), 0);	     /* and so is its doing */
	assert_int_equal(lease_journal_boot(&text, boot), 0);	     /* a second one */
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, 0);
	assert_false(j.is_damaged);
	assert_int_equal(lease_journal_do(&text, 0, "dir", "b"), 0);
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, 1);
	assert_true(j.is_damaged);
}

static void leaves_a_later_version_alone(void **state)
{
	(void)state;
	assert_int_equal(buf_addf(&text, "2a2b23d1 boot 2 00\n"), 0);
	assert_int_equal(replay(), -EPROTONOSUPPORT);
}

static void stops_at_its_limits(void **state)
{
	(void)state;
	assert_int_equal(lease_journal_boot(&text, boot), 0);
	for (size_t i = 0; i < LEASE_ENTRIES_MAX; i++)
		assert_int_equal(lease_journal_do(&text, i, "file", "x"), 0);
	assert_int_equal(replay(), 0);
	assert_int_equal(j.count, LEASE_ENTRIES_MAX);
	assert_int_equal(lease_journal_do(&text, LEASE_ENTRIES_MAX, "file", "x"), 0);
	assert_int_equal(replay(), -EFBIG);

	text.len = 0;
	assert_int_equal(buf_reserve(&text, LEASE_JOURNAL_MAX + 1), 0);
	memset(text.at, '\n', LEASE_JOURNAL_MAX + 1);
	text.len = LEASE_JOURNAL_MAX;
	assert_int_equal(replay(), 0);
	text.len++;
	assert_int_equal(replay(), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(is_text_with_the_usual_checksum, teardown),
		cmocka_unit_test_teardown(says_what_was_done_and_undone, teardown),
		cmocka_unit_test_teardown(keeps_any_argument_as_it_is, teardown),
		cmocka_unit_test_teardown(takes_no_escapes_that_it_would_not_write, teardown),
		cmocka_unit_test_teardown(refuses_words_beyond_its_limits, teardown),
		cmocka_unit_test_teardown(ignores_a_torn_end_wherever_it_was_torn, teardown),
		cmocka_unit_test_teardown(takes_no_line_with_a_wrong_bit, teardown),
		cmocka_unit_test_teardown(tells_damage_from_a_torn_end, teardown),
		cmocka_unit_test_teardown(calls_steps_without_a_boot_damage, teardown),
		cmocka_unit_test_teardown(takes_steps_in_their_order_only, teardown),
		cmocka_unit_test_teardown(leaves_a_later_version_alone, teardown),
		cmocka_unit_test_teardown(stops_at_its_limits, teardown),
	};

	return cmocka_run_group_tests_name("lease/journal", tests, NULL, NULL);
}
