// SPDX-License-Identifier: Apache-2.0
#include "image/reader.h"

#include "image/format_priv.h"
#include "memory.h"

static const struct item items[] = {
	{ "dir", IMAGE_DIR, .mode = 0750,
	  .xattr = { "trusted.overlay.opaque", { (const uint8_t *)"x", 1 } } },
	{ "dir/file", IMAGE_FILE, "text", 04711, 12 },
	{ "dir/link", IMAGE_SYMLINK, "where" },
	{ "dir/.wh..wh..opq", IMAGE_FILE },
	{ ".wh.gone", IMAGE_FILE },
	{ 0 },
};

static void finds_what_was_written(void **state)
{
	struct layer layer = { 0 };
	CLEANUP(image_reader_free) struct image_reader *reader = NULL;
	struct image_entry entry;
	bool is_opaque;
	uint64_t nid;

	(void)state;
	assert_int_equal(layer_make(&layer, items), 0);
	reader = memory_reader(&layer.memory);
	assert_string_equal(describe(reader, "dir/file"), "file 4711 12 text");
	assert_string_equal(describe(reader, "dir/link"), "symlink 777 0 where");
	assert_string_equal(describe(reader, "gone"), "whiteout");
	assert_string_equal(describe(reader, "dir/none"), "none");
	nid = find_path(reader, "dir");
	assert_int_equal(image_reader_stat(reader, nid, &entry, &is_opaque, NULL), 0);
	assert_true(is_opaque);
	assert_int_equal(entry.mtime_s, 7);
	assert_int_equal(entry.xattr_count, 1);
	assert_string_equal(entry.xattrs[0].name, "trusted.overlay.opaque");
	assert_int_equal(entry.xattrs[0].value.len, 1);
	assert_int_equal(entry.xattrs[0].value.at[0], 'x');
	assert_int_equal(image_reader_find(reader, find_path(reader, "dir/file"), "x", &nid, NULL),
			 -ENOTDIR);
	layer_done(&layer);
}

static void large_directories_and_files_are_read(void **state)
{
	static uint8_t bytes[200000];
	struct layer layer = { 0 };
	struct memory contents = { 0 };
	const struct image_sink sink = memory_sink(&layer.memory), to = memory_sink(&contents);
	CLEANUP(image_writer_free) struct image_writer *writer = NULL;
	CLEANUP(image_reader_free) struct image_reader *reader = NULL;
	struct image_entry entry = { .path = "sparse", .size = sizeof(bytes) };
	char path[32];

	(void)state;
	memset(bytes + 100000, 'x', 50000);
	assert_int_equal(image_writer_new(&layer.limits, &sink, &writer, NULL), 0);
	assert_int_equal(image_writer_entry(writer, &entry, NULL), 0);
	assert_int_equal(image_writer_data(writer, 0, (struct bytes){ bytes, sizeof(bytes) }, NULL),
			 0);
	for (unsigned int i = 0; i < 2000; i++) {
		(void)snprintf(path, sizeof(path), "d/f%u", i);
		assert_int_equal(put_item(writer, &(struct item){ path, IMAGE_FILE, path }, NULL),
				 0);
	}
	assert_int_equal(image_writer_finish(writer, &layer.info, NULL), 0);
	reader = memory_reader(&layer.memory);
	assert_string_equal(describe(reader, "d/f0"), "file 644 0 d/f0");
	assert_string_equal(describe(reader, "d/f1999"), "file 644 0 d/f1999");
	assert_string_equal(describe(reader, "d/f2000"), "none");
	assert_int_equal(image_reader_content(reader, find_path(reader, "sparse"), &to, NULL), 0);
	assert_int_equal(contents.buf.len, 151552); /* what follows is a hole */
	assert_memory_equal(contents.buf.at, bytes, contents.buf.len);
	assert_int_equal(image_reader_content(reader, find_path(reader, "d"), &to, NULL), -EINVAL);
	buf_done(&contents.buf);
	layer_done(&layer);
}

static void other_formats_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} changes[] = {
		{ EROFS_SB_MAGIC, 0 },
		{ EROFS_SB_BLKSZBITS, 9 },
		{ EROFS_SB_FEATURE_INCOMPAT, 1 },
		{ EROFS_SB_VOLUME_NAME + sizeof(IMAGE_FORMAT) - 2, '0' },
	};
	struct layer layer = { 0 };
	const struct image_source source = memory_source(&layer.memory);
	struct image_reader *reader;
	struct err err = no_err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		assert_int_equal(layer_make(&layer, items), 0);
		layer.memory.buf.at[EROFS_SB_AT + changes[i].at] = changes[i].byte;
		assert_int_equal(image_reader_new(&source, &reader, &err), -EINVAL);
		assert_int_equal(err.code, ERR_IMAGE);
	}
	layer.memory.buf.len = 1100;
	assert_int_equal(image_reader_new(&source, &reader, &err), -EIO);
	layer_done(&layer);
}

static void what_lies_outside_is_not_read(void **state)
{
	struct layer layer = { 0 };
	struct image_reader *reader;
	struct err err = no_err;
	uint8_t *root;
	uint64_t nid;

	(void)state;
	assert_int_equal(layer_make(&layer, items), 0);
	root = layer.memory.buf.at + IMAGE_BLOCK_SIZE;
	reader = memory_reader(&layer.memory);
	root += image_reader_root(reader) * EROFS_SLOT + EROFS_INODE_SIZE;
	put_le16(root + EROFS_DIRENT_SIZE + EROFS_DIRENT_NAMEOFF, 4100);
	put_le16(root + 2 * EROFS_DIRENT_SIZE + EROFS_DIRENT_NAMEOFF, 4104);
	nid = image_reader_root(reader);
	assert_int_equal(image_reader_find(reader, nid, "gone", &nid, &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	image_reader_free(reader);

	put_le32(layer.memory.buf.at + EROFS_SB_AT + EROFS_SB_BLOCKS, 1);
	put_le32(layer.memory.buf.at + EROFS_SB_AT + EROFS_SB_META_BLKADDR, 0);
	reader = memory_reader(&layer.memory);
	nid = IMAGE_BLOCK_SIZE / EROFS_SLOT - 1;
	assert_int_equal(image_reader_find(reader, nid, "dir", &nid, &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	assert_string_equal(err.msg, "64 bytes at 4064, beyond the image's end");
	image_reader_free(reader);
	layer_done(&layer);
}

static void visit(struct image_reader *reader, uint64_t nid)
{
	struct memory contents = { .refuse = 0 };
	const struct image_sink to = memory_sink(&contents);
	struct image_entry entry;
	bool is_opaque;
	uint64_t found;

	(void)image_reader_stat(reader, nid, &entry, &is_opaque, NULL);
	(void)image_reader_find(reader, nid, "file", &found, NULL);
	(void)image_reader_content(reader, nid, &to, NULL);
	buf_done(&contents.buf);
}

/* Every byte of the inodes and directories in turn, under the sanitizers. */
static void damage_is_an_error_and_no_more(void **state)
{
	struct layer layer = { 0 };
	CLEANUP(image_reader_free) struct image_reader *reader = NULL;
	uint64_t nids[4];
	uint8_t *at;

	(void)state;
	assert_int_equal(layer_make(&layer, items), 0);
	reader = memory_reader(&layer.memory);
	nids[0] = image_reader_root(reader);
	nids[1] = find_path(reader, "dir");
	nids[2] = find_path(reader, "dir/file");
	nids[3] = find_path(reader, "dir/link");
	for (size_t i = IMAGE_BLOCK_SIZE; i < IMAGE_BLOCK_SIZE + 1024; i++) {
		at = layer.memory.buf.at + i;
		for (unsigned int bit = 0; bit < 8; bit++) {
			*at ^= (uint8_t)(1 << bit);
			for (size_t n = 0; n < ARRAY_SIZE(nids); n++)
				visit(reader, nids[n]);
			*at ^= (uint8_t)(1 << bit);
		}
	}
	visit(reader, UINT64_MAX);
	visit(reader, layer.info.data_blocks * IMAGE_BLOCK_SIZE / EROFS_SLOT);
	layer_done(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_written),
		cmocka_unit_test(large_directories_and_files_are_read),
		cmocka_unit_test(other_formats_are_refused),
		cmocka_unit_test(what_lies_outside_is_not_read),
		cmocka_unit_test(damage_is_an_error_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
