// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/dm.h"

/* The figures are those of `veritysetup format --no-superblock`. */
static void a_tree_has_the_blocks_it_needs(void **state)
{
	(void)state;
	assert_int_equal(dm_verity_hash_blocks(0), 0);
	assert_int_equal(dm_verity_hash_blocks(1), 0);
	assert_int_equal(dm_verity_hash_blocks(2), 1);
	assert_int_equal(dm_verity_hash_blocks(128), 1);
	assert_int_equal(dm_verity_hash_blocks(129), 3);
	assert_int_equal(dm_verity_hash_blocks(128 * 128), 129);
	assert_int_equal(dm_verity_hash_blocks(128 * 128 + 1), 132);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_has_the_blocks_it_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
