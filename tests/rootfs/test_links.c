// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rootfs/links.h"

static void knows_a_file_by_its_first_path(void **state)
{
	CLEANUP(rootfs_links_free) struct rootfs_links *links = NULL;
	const char *first;

	(void)state;
	assert_int_equal(rootfs_links_new(&links), 0);
	assert_int_equal(rootfs_links_add(links, 1, 2, "a", &first), 0);
	assert_null(first);
	assert_int_equal(rootfs_links_add(links, 2, 1, "b", &first), 0);
	assert_null(first);
	assert_int_equal(rootfs_links_add(links, 1, 2, "c", &first), 0);
	assert_string_equal(first, "a");
	assert_int_equal(rootfs_links_add(links, 1, 2, "d", &first), 0);
	assert_string_equal(first, "a");
	assert_int_equal(rootfs_links_add(links, 0, 0, "zero", &first), 0);
	assert_null(first);
	assert_int_equal(rootfs_links_add(links, 0, 0, "zero again", &first), 0);
	assert_string_equal(first, "zero");
}

static void finds_all_after_growing(void **state)
{
	CLEANUP(rootfs_links_free) struct rootfs_links *links = NULL;
	const char *first;
	char path[32];

	(void)state;
	assert_int_equal(rootfs_links_new(&links), 0);
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 20000; i++) {
			/* strides as inode numbers have them, that share their low bits */
			(void)snprintf(path, sizeof(path), "p%d", (int)i);
			assert_int_equal(rootfs_links_add(links, i % 3, i << 12, path, &first), 0);
			if (round == 0)
				assert_null(first);
			else
				assert_string_equal(first, path);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_a_file_by_its_first_path),
		cmocka_unit_test(finds_all_after_growing),
	};

	return cmocka_run_group_tests_name("rootfs/links", tests, NULL, NULL);
}
