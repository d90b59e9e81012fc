// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/text.h"

enum { UNTOUCHED = 77 };

static void assert_size(const char *text, int result, uint64_t want)
{
	uint64_t got = UNTOUCHED;

	assert_int_equal(text_parse_size(text, &got), result);
	assert_int_equal(got, result < 0 ? UNTOUCHED : want);
}

static void parses_sizes_as_podman_does(void **state)
{
	static const char *const mebi[] = { "1m",    "1M",   "1mb",	   "1MB",
					    "1MiB",  "1mib", "1048576",	   "1048576b",
					    "1024k", "1.0m", "1024.000KiB" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mebi); i++)
		assert_size(mebi[i], 0, 1 << 20);
	assert_size("0", 0, 0);
	assert_size("512m", 0, UINT64_C(512) << 20);
	assert_size("1.5g", 0, UINT64_C(3) << 29);
	assert_size("2T", 0, UINT64_C(2) << 40);
	assert_size("0.5", 0, 0);
	assert_size("0.999999999999k", 0, 1023);
}

static void refuses_what_is_no_size(void **state)
{
	static const char *const bad[] = { "",	  "m",	    "-1",   "+1",  " 1",    "1 ",  "1 m",
					   "1p",  "1mm",    "1ib",  "1i",  "1mi",   "1.",  ".5m",
					   "1.m", "1.5.5m", "0x10", "1bb", "1mibb", "1,5g" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_size(bad[i], -EINVAL, 0);
}

static void refuses_sizes_that_overflow(void **state)
{
	(void)state;
	assert_size("18446744073709551615", 0, UINT64_MAX);
	assert_size("18446744073709551616", -ERANGE, 0);
	assert_size("99999999999999999999999", -ERANGE, 0);
	assert_size("16777215t", 0, UINT64_C(16777215) << 40);
	assert_size("16777216t", -ERANGE, 0);
	assert_size("16777215.999999t", 0, (UINT64_C(16777215) << 40) + 1099510528264);
	assert_size("18014398509481983k", 0, UINT64_C(18014398509481983) << 10);
	assert_size("18014398509481984k", -ERANGE, 0);
}

static void parses_numbers_up_to_a_limit(void **state)
{
	uint64_t got = UNTOUCHED;

	(void)state;
	assert_int_equal(text_parse_uint("10", 10, &got), 0);
	assert_int_equal(got, 10);
	assert_int_equal(text_parse_uint("11", 10, &got), -ERANGE);
	assert_int_equal(text_parse_uint("", 10, &got), -EINVAL);
	assert_int_equal(text_parse_uint("1x", 10, &got), -EINVAL);
	assert_int_equal(text_parse_uint("-1", 10, &got), -EINVAL);
	assert_int_equal(got, 10);
}

static void assert_cpus(const char *text, int result, uint32_t want)
{
	uint32_t got = UNTOUCHED;

	assert_int_equal(text_parse_cpus(text, &got), result);
	assert_int_equal(got, result < 0 ? UNTOUCHED : want);
}

static void parses_cpus_to_thousandths(void **state)
{
	(void)state;
	assert_cpus("1", 0, 1000);
	assert_cpus("1.5", 0, 1500);
	assert_cpus("0.05", 0, 50);
	assert_cpus("0.125", 0, 125);
	assert_cpus("0.1250", 0, 125);
	assert_cpus("0", 0, 0);
	assert_cpus("4294966", 0, 4294966000);
	assert_cpus("4294966.999", 0, 4294966999);
	assert_cpus("4294967", -ERANGE, 0);
	assert_cpus("0.1251", -EINVAL, 0);
	assert_cpus("1.", -EINVAL, 0);
	assert_cpus(".5", -EINVAL, 0);
	assert_cpus("1.5x", -EINVAL, 0);
	assert_cpus("1m", -EINVAL, 0);
	assert_cpus("", -EINVAL, 0);
	assert_cpus("-1", -EINVAL, 0);
}

static void assert_duration(const char *text, int result, uint64_t want)
{
	uint64_t got = UNTOUCHED;

	assert_int_equal(text_parse_duration_ms(text, &got), result);
	assert_int_equal(got, result < 0 ? UNTOUCHED : want);
}

static void parses_durations(void **state)
{
	(void)state;
	assert_duration("30", 0, 30000);
	assert_duration("30s", 0, 30000);
	assert_duration("1500ms", 0, 1500);
	assert_duration("2m", 0, 120000);
	assert_duration("1h", 0, 3600000);
	assert_duration("1h2m3s4ms", 0, 3723004);
	assert_duration("1m30s", 0, 90000);
	assert_duration("0", 0, 0);
	assert_duration("18446744073709551615ms", 0, UINT64_MAX);
}

static void refuses_what_is_no_duration(void **state)
{
	static const char *const bad[] = { "",	    "s",   "1x",  "1m30", "30s1m", "1s1s",
					   "1ms1s", "-1s", "1 s", "1.5s", "1S",	   "1sm" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_duration(bad[i], -EINVAL, 0);
	assert_duration("18446744073709551616ms", -ERANGE, 0);
	assert_duration("18446744073709552s", -ERANGE, 0);
	assert_duration("1s18446744073709551615ms", -ERANGE, 0);
}

static void takes_names_of_up_to_64_plain_characters(void **state)
{
	char name[TEXT_NAME_MAX + 2] = { 0 };

	(void)state;
	assert_true(text_name_valid("a"));
	assert_true(text_name_valid("9"));
	assert_true(text_name_valid("Pod_1.x-y"));
	assert_false(text_name_valid(""));
	assert_false(text_name_valid("."));
	assert_false(text_name_valid(".."));
	assert_false(text_name_valid("-a"));
	assert_false(text_name_valid("_a"));
	assert_false(text_name_valid("a/b"));
	assert_false(text_name_valid("a b"));
	assert_false(text_name_valid("\xc3\xa4"));
	memset(name, 'x', TEXT_NAME_MAX);
	assert_true(text_name_valid(name));
	name[TEXT_NAME_MAX] = 'x';
	assert_false(text_name_valid(name));
}

static void splits_pod_and_container(void **state)
{
	struct text_target t;
	char longest[2 * TEXT_NAME_MAX + 3] = { 0 };

	(void)state;
	assert_int_equal(text_parse_target("a", &t), 0);
	assert_string_equal(t.pod, "a");
	assert_string_equal(t.container, "main");
	assert_int_equal(text_parse_target("web/side.car", &t), 0);
	assert_string_equal(t.pod, "web");
	assert_string_equal(t.container, "side.car");
	memset(longest, 'x', 2 * TEXT_NAME_MAX + 1);
	longest[TEXT_NAME_MAX] = '/';
	assert_int_equal(text_parse_target(longest, &t), 0);
	assert_int_equal(strlen(t.container), TEXT_NAME_MAX);
	longest[2 * TEXT_NAME_MAX + 1] = 'x';
	assert_int_equal(text_parse_target(longest, &t), -EINVAL);
	assert_int_equal(text_parse_target("", &t), -EINVAL);
	assert_int_equal(text_parse_target("/", &t), -EINVAL);
	assert_int_equal(text_parse_target("a/", &t), -EINVAL);
	assert_int_equal(text_parse_target("/a", &t), -EINVAL);
	assert_int_equal(text_parse_target("a/b/c", &t), -EINVAL);
	assert_int_equal(text_parse_target("../x", &t), -EINVAL);
}

static void turns_hex_both_ways(void **state)
{
	const uint8_t bytes[] = { 0x00, 0x1f, 0xa0, 0xff };
	uint8_t back[4] = { 0 };
	char hex[9];

	(void)state;
	text_hex(bytes, sizeof(bytes), hex);
	assert_string_equal(hex, "001fa0ff");
	assert_int_equal(text_unhex(hex, 4, back), 0);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(text_unhex("001FA0fF", 4, back), 0);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(text_unhex("001fa0f", 4, back), -EINVAL);
	assert_int_equal(text_unhex("001fa0ff0", 4, back), -EINVAL);
	assert_int_equal(text_unhex("001fa0fg", 4, back), -EINVAL);
	assert_int_equal(text_unhex("001fa0f ", 4, back), -EINVAL);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(text_unhex("", 0, back), 0);
	text_hex(bytes, 0, hex);
	assert_string_equal(hex, "");
}

static void finds_the_word_that_was_meant(void **state)
{
	static const char *const words[] = { "run",   "exec",  "create", "delete",
					     "start", "state", "kill" };
	char longest[TEXT_NEAREST_MAX + 2] = { 0 };
	const char *only[] = { longest };

	(void)state;
	assert_string_equal(text_nearest("rnu", words, ARRAY_SIZE(words)), "run");
	assert_string_equal(text_nearest("exce", words, ARRAY_SIZE(words)), "exec");
	assert_string_equal(text_nearest("creat", words, ARRAY_SIZE(words)), "create");
	assert_null(text_nearest("dleet", words, ARRAY_SIZE(words))); /* two off, for five */
	assert_string_equal(text_nearest("deletee", words, ARRAY_SIZE(words)), "delete");
	assert_string_equal(text_nearest("stat", words, ARRAY_SIZE(words)), "start");
	assert_string_equal(text_nearest("kil", words, ARRAY_SIZE(words)), "kill");
	assert_null(text_nearest("ki", words, ARRAY_SIZE(words)));
	assert_null(text_nearest("", words, ARRAY_SIZE(words)));
	assert_null(text_nearest("x", words, ARRAY_SIZE(words)));
	assert_null(text_nearest("completely", words, ARRAY_SIZE(words)));
	assert_null(text_nearest("run", words, 0));
	memset(longest, 'x', TEXT_NEAREST_MAX);
	assert_ptr_equal(text_nearest(longest, only, 1), longest);
	longest[TEXT_NEAREST_MAX] = 'x';
	assert_null(text_nearest(longest, only, 1));
}

static void assert_quoted(const char *text, size_t len, const char *want)
{
	CLEANUP(buf_done) struct buf b = { 0 };

	assert_int_equal(text_quote(&b, (struct bytes){ (const uint8_t *)text, len }), 0);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.at ? (char *)b.at : "", want, b.len);
}

#define assert_quotes(text, want) assert_quoted(text, sizeof(text) - 1, want)

static void makes_text_harmless_for_a_terminal(void **state)
{
	(void)state;
	assert_quotes("", "");
	assert_quotes("plain 'text' \\", "plain 'text' \\");
	assert_quotes("a\nb\tc\rd", "a\\nb\\tc\\rd");
	assert_quotes("\x1b[31mred\a\x7f\0z", "\\x1b[31mred\\x07\\x7f\\x00z");
	assert_quotes("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x80",
		      "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x80");
	assert_quotes("\xc2\x9b"
		      "31m",
		      "\\u009b31m"); /* a C1 control: CSI in one character */
	assert_quotes("\xe2\x80\xae"
		      "abc",
		      "\\u202e"
		      "abc");
	assert_quotes("\xe2\x81\xa6", "\\u2066");
	assert_quotes("\xe2\x80\xa8", "\\u2028");
}

static void shows_broken_utf8_byte_by_byte(void **state)
{
	(void)state;
	assert_quotes("\xff", "\\xff");
	assert_quotes("\x9b"
		      "31m",
		      "\\x9b31m");		 /* the same control, as Latin-1 */
	assert_quotes("\xc0\xaf", "\\xc0\\xaf"); /* longer than need be */
	assert_quotes("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_quotes("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half a surrogate pair */
	assert_quotes("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	assert_quotes("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	assert_quotes("\xe2\x82", "\\xe2\\x82");
	assert_quotes("\xe2\x82"
		      "a",
		      "\\xe2\\x82"
		      "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_sizes_as_podman_does),
		cmocka_unit_test(refuses_what_is_no_size),
		cmocka_unit_test(refuses_sizes_that_overflow),
		cmocka_unit_test(parses_numbers_up_to_a_limit),
		cmocka_unit_test(parses_cpus_to_thousandths),
		cmocka_unit_test(parses_durations),
		cmocka_unit_test(refuses_what_is_no_duration),
		cmocka_unit_test(takes_names_of_up_to_64_plain_characters),
		cmocka_unit_test(splits_pod_and_container),
		cmocka_unit_test(turns_hex_both_ways),
		cmocka_unit_test(finds_the_word_that_was_meant),
		cmocka_unit_test(makes_text_harmless_for_a_terminal),
		cmocka_unit_test(shows_broken_utf8_byte_by_byte),
	};

	return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
