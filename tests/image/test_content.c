// SPDX-License-Identifier: Apache-2.0
#include "image/content_priv.h"

#include <sys/stat.h>

#include "memory.h"

struct file {
	struct memory memory;
	struct image_tree tree;
	struct image_output out;
	struct image_content content;
	struct image_inode *inode;
};

static void file_open(struct file *file, uint64_t size)
{
	struct image_sink sink;

	*file = (struct file){ 0 };
	sink = memory_sink(&file->memory);
	assert_int_equal(image_tree_init(&file->tree, 10, 64 << 20, NULL), 0);
	assert_int_equal(image_output_init(&file->out, &sink, 64 << 20, NULL), 0);
	file->content.tree = &file->tree;
	file->content.out = &file->out;
	assert_int_equal(image_tree_inode(&file->tree, S_IFREG, &file->inode, NULL), 0);
	assert_int_equal(image_content_begin(&file->content, file->inode, size, NULL), 0);
}

static void file_put(struct file *file, uint64_t offset, const void *at, size_t len)
{
	assert_int_equal(
		image_content_data(&file->content, offset, (struct bytes){ at, len }, NULL), 0);
}

static void file_close(struct file *file)
{
	image_tree_unref(&file->tree, file->inode);
	image_tree_unref(&file->tree, file->content.inode);
	image_tree_done(&file->tree);
	assert_int_equal(file->tree.held, 0);
	image_output_done(&file->out);
	buf_done(&file->memory.buf);
}

/* "4+2 9+1 of 12 chunk 0", "flat 3", or "inline" */
static const char *layout(struct file *file)
{
	static char text[256];
	size_t at = 0;

	assert_int_equal(image_content_end(&file->content, NULL), 0);
	if (file->inode->held)
		return "inline";
	for (size_t i = 0; i < file->inode->run_count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%llu+%llu ",
				       (unsigned long long)file->inode->runs[i].start,
				       (unsigned long long)file->inode->runs[i].count);
	(void)snprintf(text + at, sizeof(text) - at, file->inode->is_chunked ? "chunk %u" : "flat",
		       image_content_chunk_bits(file->inode));
	return text;
}

static void small_files_are_inline_up_to_the_limit(void **state)
{
	uint8_t bytes[IMAGE_INLINE_MAX + 1];
	struct file file;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	file_open(&file, IMAGE_INLINE_MAX);
	file_put(&file, 0, bytes, 10);
	file_put(&file, 1000, bytes, 24);
	assert_string_equal(layout(&file), "inline");
	assert_int_equal(file.inode->held[9], 'x');
	assert_int_equal(file.inode->held[10], 0);
	assert_int_equal(file.inode->held[1023], 'x');
	file_close(&file);
	file_open(&file, IMAGE_INLINE_MAX + 1);
	file_put(&file, 0, bytes, sizeof(bytes));
	assert_string_equal(layout(&file), "0+1 flat");
	file_close(&file);
}

static void inlining_stops_when_much_is_held(void **state)
{
	struct file file;

	(void)state;
	file_open(&file, 0);
	file.content.inlined = IMAGE_INLINE_TOTAL - 1;
	assert_int_equal(image_content_begin(&file.content, file.inode, 1, NULL), 0);
	assert_string_equal(layout(&file), "inline");
	file_close(&file);
	file_open(&file, 0);
	file.content.inlined = IMAGE_INLINE_TOTAL;
	assert_int_equal(image_content_begin(&file.content, file.inode, 1, NULL), 0);
	file_put(&file, 0, "x", 1);
	assert_string_equal(layout(&file), "0+1 flat");
	file_close(&file);
}

static void long_rows_of_zeros_are_holes_and_short_ones_are_not(void **state)
{
	struct file file;

	(void)state;
	file_open(&file, 20 * 4096);
	file_put(&file, 0, "x", 1);
	file_put(&file, 5 * 4096, "x", 1);
	file_put(&file, 19 * 4096, "x", 1);
	assert_string_equal(layout(&file), "0+1 5+1 19+1 chunk 0");
	assert_int_equal(file.out.next, 4);
	file_close(&file);

	file_open(&file, 5 * 4096);
	file_put(&file, 4 * 4096 - 1, "x", 1);
	assert_string_equal(layout(&file), "0+5 flat");
	file_close(&file);

	file_open(&file, 100 * 4096);
	assert_string_equal(layout(&file), "chunk 7");
	assert_int_equal(file.out.next, 1);
	file_close(&file);

	file_open(&file, 4096 * 3 + 1);
	assert_string_equal(layout(&file), "chunk 2");
	file_close(&file);

	file_open(&file, 4096 * 3);
	assert_string_equal(layout(&file), "0+3 flat");
	file_close(&file);
}

static void chunks_are_as_large_as_the_holes_allow(void **state)
{
	uint8_t bytes[16 * 4096];
	struct file file;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	file_open(&file, 1 << 20);
	file_put(&file, 64 << 10, bytes, sizeof(bytes));
	file_put(&file, 192 << 10, bytes, sizeof(bytes));
	assert_string_equal(layout(&file), "16+16 48+16 chunk 4");
	file_close(&file);

	/* The end of the file is no edge. */
	file_open(&file, (80 << 10) + 1);
	file_put(&file, 64 << 10, bytes, (16 << 10) + 1);
	assert_string_equal(layout(&file), "16+5 chunk 4");
	file_close(&file);
}

static void large_files_have_holes_by_granules(void **state)
{
	uint64_t size = UINT64_C(16) << 30; /* 2^22 blocks: granules of 4 */
	struct file file;

	(void)state;
	file_open(&file, size);
	assert_int_equal(file.content.granule, 4);
	file_put(&file, 102 * 4096, "x", 1);
	file_put(&file, 106 * 4096, "x", 1);
	file_put(&file, 130 * 4096, "x", 1);
	assert_string_equal(layout(&file), "100+8 128+4 chunk 2");
	assert_int_equal(file.out.next, 13);
	file_close(&file);

	file_open(&file, size / 4);
	assert_int_equal(file.content.granule, 1);
	file_close(&file);
	file_open(&file, size / 4 + 1);
	assert_int_equal(file.content.granule, 2);
	file_close(&file);
}

static void sizes_end_at_their_limit(void **state)
{
	struct err err = no_err;
	struct file file;

	(void)state;
	file_open(&file, IMAGE_SIZE_MAX);
	assert_string_equal(layout(&file), "chunk 31");
	assert_int_equal(image_content_begin(&file.content, file.inode, IMAGE_SIZE_MAX + 1, &err),
			 -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	file_close(&file);
}

/* However it is cut, and with holes told or written out. */
static void cuts_do_not_matter(void **state)
{
	static uint8_t bytes[200000];
	static const size_t cuts[] = { 1, 511, 4096, 4097, 65536, sizeof(bytes) };
	struct file whole, cut;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i / 30000 % 2 ? (uint8_t)(i * 7) : 0;
	for (size_t c = 0; c < ARRAY_SIZE(cuts); c++) {
		file_open(&whole, sizeof(bytes));
		file_put(&whole, 30000, bytes + 30000, sizeof(bytes) - 30000);
		assert_string_equal(layout(&whole), "7+8 21+9 36+8 chunk 0");
		file_open(&cut, sizeof(bytes));
		for (size_t at = 0; at < sizeof(bytes); at += cuts[c])
			file_put(&cut, at, bytes + at,
				 cuts[c] < sizeof(bytes) - at ? cuts[c] : sizeof(bytes) - at);
		assert_string_equal(layout(&cut), "7+8 21+9 36+8 chunk 0");
		assert_int_equal(cut.out.next, whole.out.next);
		assert_memory_equal(cut.out.queue, whole.out.queue, whole.out.queued);
		file_close(&whole);
		file_close(&cut);
	}
}

static void data_out_of_place_is_refused(void **state)
{
	const struct bytes two = { (const uint8_t *)"ab", 2 };
	struct err err = no_err;
	struct file file;

	(void)state;
	file_open(&file, 5000);
	assert_int_equal(image_content_data(&file.content, 4994, two, NULL), 0);
	assert_int_equal(image_content_data(&file.content, 4994, two, &err), -EINVAL);
	assert_int_equal(image_content_data(&file.content, 4995, two, &err), -EINVAL);
	assert_int_equal(image_content_data(&file.content, 4996, two, NULL), 0);
	assert_int_equal(image_content_data(&file.content, 4998, two, NULL), 0);
	assert_int_equal(image_content_data(&file.content, 4999, two, &err), -EINVAL);
	assert_int_equal(image_content_data(&file.content, UINT64_MAX, two, &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	assert_string_equal(layout(&file), "0+2 flat");
	assert_int_equal(image_content_data(&file.content, 0, two, &err), -EINVAL);
	file_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_files_are_inline_up_to_the_limit),
		cmocka_unit_test(inlining_stops_when_much_is_held),
		cmocka_unit_test(long_rows_of_zeros_are_holes_and_short_ones_are_not),
		cmocka_unit_test(chunks_are_as_large_as_the_holes_allow),
		cmocka_unit_test(large_files_have_holes_by_granules),
		cmocka_unit_test(sizes_end_at_their_limit),
		cmocka_unit_test(cuts_do_not_matter),
		cmocka_unit_test(data_out_of_place_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
