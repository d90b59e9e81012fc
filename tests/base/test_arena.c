// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void gives_zeroed_aligned_memory(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };

	(void)state;
	for (size_t i = 1; i < 5000; i += 7) {
		char *at = arena_alloc(&arena, i);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < i; j++)
			assert_int_equal(at[j], 0);
		memset(at, 0xff, i);
	}
}

static void copies_and_formats(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };

	(void)state;
	assert_string_equal(arena_strdup(&arena, "abc"), "abc");
	assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
	assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
	assert_memory_equal(arena_memdup(&arena, "a\0b", 3), "a\0b", 3);
}

static void stops_at_its_bound(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };

	(void)state;
	assert_null(arena_array(&arena, SIZE_MAX / 2, 4));
	assert_null(arena_alloc(&arena, (size_t)ARENA_MAX + 1));
	assert_non_null(arena_alloc(&arena, ARENA_MAX));
	assert_null(arena_alloc(&arena, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_zeroed_aligned_memory),
		cmocka_unit_test(copies_and_formats),
		cmocka_unit_test(stops_at_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
