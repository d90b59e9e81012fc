// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/base64.h"

static struct bytes text_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

/* RFC 4648, 10. */
static void the_rfcs_examples_are_written_and_read(void **state)
{
	static const struct {
		const char *plain, *standard, *url;
	} examples[] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+", "-__-" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		for (int is_url = 0; is_url < 2; is_url++) {
			const char *want = is_url ? examples[i].url : examples[i].standard;
			CLEANUP(buf_done) struct buf out = { 0 }, back = { 0 };

			assert_int_equal(
				attest_base64_add(&out, text_of(examples[i].plain), is_url), 0);
			assert_int_equal(out.len, strlen(want));
			assert_memory_equal(out.at ? (const char *)out.at : "", want, out.len);
			assert_int_equal(attest_base64_read(text_of(want), is_url, &back), 0);
			assert_int_equal(back.len, strlen(examples[i].plain));
			assert_memory_equal(back.at, examples[i].plain, back.len);
		}
	}
}

static void another_spelling_of_the_same_bytes_is_refused(void **state)
{
	static const char *const standard[] = {
		"Zg",	 "Zg=",	     "Zh==",	 "Zm9=",  "Zm8",    "Z",    "Z===",	  "====",
		"Zm9v=", "Zm9v====", "Zg==Zg==", "Zm 8=", "Zm8=\n", "-__-", "Zm9v\x80zzz"
	};
	static const char *const url[] = {
		"Zg==", "Zm8=", "Zh", "Zm9", "+//+", "Z", "Zm9vY", "Zg\n"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
		CLEANUP(buf_done) struct buf out = { 0 };

		assert_int_equal(attest_base64_read(text_of(standard[i]), false, &out), -EINVAL);
		assert_int_equal(out.len, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(url); i++) {
		CLEANUP(buf_done) struct buf out = { 0 };

		assert_int_equal(attest_base64_read(text_of(url[i]), true, &out), -EINVAL);
		assert_int_equal(out.len, 0);
	}
}

static void a_fixed_length_is_that_length(void **state)
{
	uint8_t out[3] = { 9, 9, 9 };

	(void)state;
	assert_int_equal(attest_base64_fixed(text_of("Zm9v"), true, 3, out), 0);
	assert_memory_equal(out, "foo", 3);
	assert_int_equal(attest_base64_fixed(text_of("Zm8"), true, 3, out), -EINVAL);
	assert_int_equal(attest_base64_fixed(text_of("Zm9vYg"), true, 3, out), -EINVAL);
	assert_int_equal(attest_base64_fixed(text_of("Zm9vYmFyYmF6Zm9v"), true, 3, out), -EINVAL);
	assert_memory_equal(out, "foo", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfcs_examples_are_written_and_read),
		cmocka_unit_test(another_spelling_of_the_same_bytes_is_refused),
		cmocka_unit_test(a_fixed_length_is_that_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
