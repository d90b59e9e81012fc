// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/tail.h"

static void add(struct tail *tail, const char *text)
{
	tail_add(tail, (struct bytes){ (const uint8_t *)text, strlen(text) });
}

static void says(const struct tail *tail, size_t lines, const char *expected)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	assert_int_equal(tail_text(tail, lines, &buf), 0);
	assert_int_equal(buf_add(&buf, "", 1), 0);
	assert_string_equal((const char *)buf.at, expected);
}

static void keeps_the_last_bytes(void **state)
{
	static const char text[] = "0123456789abcdefghij";

	(void)state;
	for (size_t piece = 1; piece <= 20; piece++) {
		CLEANUP(tail_done) struct tail tail = { 0 };

		assert_int_equal(tail_init(&tail, 8), 0);
		says(&tail, 5, "");
		for (size_t at = 0; at < 20; at += piece)
			tail_add(&tail, (struct bytes){ (const uint8_t *)text + at,
							20 - at < piece ? 20 - at : piece });
		says(&tail, 5, "cdefghij\n");
	}
}

static void gives_the_last_lines(void **state)
{
	CLEANUP(tail_done) struct tail tail = { 0 };

	(void)state;
	assert_int_equal(tail_init(&tail, 64), 0);
	add(&tail, "one\r\ntwo\r\n\nthree\n\n\n");
	says(&tail, 0, "");
	says(&tail, 1, "three\n");
	says(&tail, 2, "\nthree\n");
	says(&tail, 3, "two\n\nthree\n");
	says(&tail, 9, "one\ntwo\n\nthree\n");
	add(&tail, "unfinished");
	says(&tail, 1, "unfinished\n");
}

/* A guest writes for the terminal of whoever reads the error. */
static void nothing_reaches_the_terminal_but_text(void **state)
{
	CLEANUP(tail_done) struct tail tail = { 0 };

	(void)state;
	assert_int_equal(tail_init(&tail, 256), 0);
	add(&tail, "\x1b[31mred\x1b[0m\ta\x1b(Bb\x07 \x1b]0;title\x07 \xc2\x9b\x7f\x1b[5\nx");
	says(&tail, 9, "red ab? 0;title? ???\nx\n");
}

static void every_byte_is_made_harmless(void **state)
{
	CLEANUP(tail_done) struct tail tail = { 0 };
	CLEANUP(buf_done) struct buf buf = { 0 };
	uint8_t all[512];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7 + (i >> 8));
	assert_int_equal(tail_init(&tail, 300), 0);
	tail_add(&tail, (struct bytes){ all, sizeof(all) });
	assert_int_equal(tail_text(&tail, 1000, &buf), 0);
	for (size_t i = 0; i < buf.len; i++)
		assert_true(buf.at[i] == '\n' || (buf.at[i] >= ' ' && buf.at[i] <= '~'));
	assert_true(buf.len > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_bytes),
		cmocka_unit_test(gives_the_last_lines),
		cmocka_unit_test(nothing_reaches_the_terminal_but_text),
		cmocka_unit_test(every_byte_is_made_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
