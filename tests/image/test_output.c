// SPDX-License-Identifier: Apache-2.0
#include "image/output_priv.h"

#include "memory.h"

static const uint8_t first[IMAGE_BLOCK_SIZE] = "first";

static void first_block_comes_last_and_tree_before_it(void **state)
{
	struct memory memory = { 0 };
	const struct image_sink sink = memory_sink(&memory);
	struct image_output out;
	struct image_info info;
	uint8_t block[IMAGE_BLOCK_SIZE];

	(void)state;
	assert_int_equal(image_output_init(&out, &sink, 1 << 20, NULL), 0);
	memset(block, 'x', sizeof(block));
	for (size_t i = 1; i < 200; i++)
		assert_int_equal(image_output_block(&out, block, NULL), 0);
	assert_int_equal(out.next, 200);
	assert_true(memory.buf.len > 0);
	assert_int_equal(memory.buf.at[0], 0);
	assert_int_equal(image_output_finish(&out, first, &info, NULL), 0);
	assert_string_equal((char *)memory.buf.at, "first");
	assert_int_equal(memory.buf.at[4096], 'x');
	assert_int_equal(info.data_blocks, 200);
	assert_int_equal(info.hash_start_block, 200);
	assert_int_equal(info.total_bytes, (200 + 3) * IMAGE_BLOCK_SIZE);
	assert_int_equal(memory.buf.len, info.total_bytes);
	image_output_done(&out);
	buf_done(&memory.buf);
}

static void bytes_fill_blocks(void **state)
{
	struct memory memory = { 0 };
	const struct image_sink sink = memory_sink(&memory);
	struct image_output out;
	struct image_info info;

	(void)state;
	assert_int_equal(image_output_init(&out, &sink, 1 << 20, NULL), 0);
	assert_int_equal(image_output_put(&out, "abc", 3, NULL), 0);
	assert_int_equal(image_output_fill(&out, 5000, NULL), 0);
	assert_int_equal(image_output_put(&out, "def", 3, NULL), 0);
	assert_int_equal(out.next, 2);
	assert_int_equal(image_output_align(&out, NULL), 0);
	assert_int_equal(image_output_align(&out, NULL), 0);
	assert_int_equal(out.next, 3);
	assert_int_equal(image_output_finish(&out, first, &info, NULL), 0);
	assert_string_equal((char *)memory.buf.at + 4096, "abc");
	assert_string_equal((char *)memory.buf.at + 4096 + 5003, "def");
	image_output_done(&out);
	buf_done(&memory.buf);
}

static void stops_at_the_limit(void **state)
{
	struct memory memory = { 0 };
	const struct image_sink sink = memory_sink(&memory);
	struct image_output out;
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_output_init(&out, &sink, 3 * IMAGE_BLOCK_SIZE, NULL), 0);
	assert_int_equal(image_output_reserve(&out, 2, NULL), 0);
	assert_int_equal(image_output_reserve(&out, 3, NULL), -EFBIG);
	assert_int_equal(image_output_block(&out, NULL, NULL), 0);
	assert_int_equal(image_output_block(&out, NULL, NULL), 0);
	assert_int_equal(image_output_block(&out, NULL, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_string_equal(err.msg, "store 16384 bytes or more, of at most 12288");
	image_output_done(&out);
	buf_done(&memory.buf);
}

static void what_the_sink_says_is_passed_on(void **state)
{
	struct memory memory = { .refuse = -ENOSPC };
	const struct image_sink sink = memory_sink(&memory);
	struct image_output out;
	struct image_info info;
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_output_init(&out, &sink, 1 << 20, NULL), 0);
	assert_int_equal(image_output_finish(&out, first, &info, &err), -ENOSPC);
	assert_string_equal(err.msg, "write the first block: refused");
	image_output_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_block_comes_last_and_tree_before_it),
		cmocka_unit_test(bytes_fill_blocks),
		cmocka_unit_test(stops_at_the_limit),
		cmocka_unit_test(what_the_sink_says_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
