// SPDX-License-Identifier: Apache-2.0
#include "image/writer.h"

#include "memory.h"

/* Each is a layer, and what its paths are then. */
struct looks {
	const char *path;
	const char *is;
};

static void check(const struct item *items, const struct looks *looks)
{
	struct layer layer = { 0 };
	struct image_reader *reader;

	assert_int_equal(layer_make(&layer, items), 0);
	reader = memory_reader(&layer.memory);
	for (; looks->path; looks++)
		assert_string_equal(describe(reader, looks->path), looks->is);
	image_reader_free(reader);
	layer_done(&layer);
}

static void check_refused(const struct item *items, int want, enum err_code code)
{
	struct layer layer = { 0 };

	assert_int_equal(layer_make(&layer, items), want);
	assert_int_equal(layer.err.code, code);
	layer_done(&layer);
}

static void every_type_is_there(void **state)
{
	(void)state;
	check((const struct item[]){ { "./", IMAGE_DIR, .mode = 0700, .uid = 3 },
				     { "./dir/", IMAGE_DIR, .mode = 01777 },
				     { "./dir/file", IMAGE_FILE, "text", .mode = 06755,
				       .uid = 100000 },
				     { "empty", IMAGE_FILE },
				     { "link", IMAGE_SYMLINK, "../out/of/here" },
				     { "fifo", IMAGE_FIFO },
				     { "socket", IMAGE_SOCKET },
				     { "hard", IMAGE_HARDLINK, "./dir/file" },
				     { 0 } },
	      (const struct looks[]){ { "", "dir 700 3" },
				      { "dir", "dir 1777 0" },
				      { "dir/file", "file 6755 100000 text" },
				      { "empty", "file 644 0" },
				      { "link", "symlink 777 0 ../out/of/here" },
				      { "fifo", "fifo 644 0" },
				      { "socket", "socket 644 0" },
				      { "hard", "file 6755 100000 text" },
				      { 0 } });
}

static void later_entries_replace_earlier_ones(void **state)
{
	(void)state;
	check((const struct item[]){ { "a", IMAGE_FILE, "old" },
				     { "hard", IMAGE_HARDLINK, "a" },
				     { "a", IMAGE_FILE, "new" },
				     { "d/e", IMAGE_FILE, "inside" },
				     { "d", IMAGE_DIR, .mode = 0700 },
				     { "f/g", IMAGE_FILE, "gone" },
				     { "f", IMAGE_FILE, "file" },
				     { "h", IMAGE_FILE, "file" },
				     { "h", IMAGE_DIR, .mode = 0755 },
				     { "s", IMAGE_SYMLINK, "a" },
				     { "s", IMAGE_FILE, "not a" },
				     { "t/u", IMAGE_FILE, "kept" },
				     { "t", IMAGE_HARDLINK, "t/u" },
				     { "v", IMAGE_FILE, "self" },
				     { "v", IMAGE_HARDLINK, "v" },
				     { 0 } },
	      (const struct looks[]){ { "a", "file 644 0 new" },
				      { "hard", "file 644 0 old" },
				      { "d", "dir 700 0" },
				      { "d/e", "file 644 0 inside" },
				      { "f", "file 644 0 file" },
				      { "h", "dir 755 0 opaque" },
				      { "s", "file 644 0 not a" },
				      { "t", "file 644 0 kept" },
				      { "v", "file 644 0 self" },
				      { 0 } });
}

static void whiteouts_are_those_of_overlayfs(void **state)
{
	(void)state;
	check((const struct item[]){ { "a/.wh.b", IMAGE_FILE, "ignored" },
				     { "native", IMAGE_CHAR },
				     { "o/x", IMAGE_FILE, "x" },
				     { "o/.wh..wh..opq", IMAGE_FILE },
				     { ".wh.file", IMAGE_FILE },
				     { "file", IMAGE_FILE, "both" },
				     { "dir1/f", IMAGE_FILE },
				     { ".wh.dir1", IMAGE_FILE },
				     { ".wh.dir2", IMAGE_FILE },
				     { "dir2", IMAGE_DIR, .mode = 0755 },
				     { ".wh.dir3", IMAGE_FILE },
				     { "dir3/f", IMAGE_FILE },
				     { "after", IMAGE_FILE, "stays" },
				     { ".wh.after", IMAGE_FILE },
				     { ".wh..wh.plnk", IMAGE_DIR },
				     { ".wh..wh.plnk/1.2", IMAGE_FILE, "aufs" },
				     { ".wh..wh.aufs", IMAGE_FILE, "aufs" },
				     { 0 } },
	      (const struct looks[]){ { "a/b", "whiteout" },
				      { "a/.wh.b", "none" },
				      { "native", "whiteout" },
				      { "o", "dir 755 0 opaque" },
				      { "o/x", "file 644 0 x" },
				      { "o/.wh..wh..opq", "none" },
				      { "file", "file 644 0 both" },
				      { "dir1", "dir 755 0 opaque" },
				      { "dir2", "dir 755 0 opaque" },
				      { "dir3", "dir 755 0 opaque" },
				      { "after", "file 644 0 stays" },
				      { ".wh..wh.plnk", "none" },
				      { ".wh..wh.aufs", "none" },
				      { 0 } });
}

static void a_directory_of_the_host_has_no_whiteouts(void **state)
{
	struct layer layer = { .limits = { .plain_names = true } };
	struct image_reader *reader;

	(void)state;
	assert_int_equal(layer_make(&layer,
				    (const struct item[]){ { ".wh.a", IMAGE_FILE, "a" },
							   { ".wh..wh..opq/b", IMAGE_FILE, "b" },
							   { 0 } }),
			 0);
	reader = memory_reader(&layer.memory);
	assert_string_equal(describe(reader, ".wh.a"), "file 644 0 a");
	assert_string_equal(describe(reader, ".wh..wh..opq/b"), "file 644 0 b");
	image_reader_free(reader);
	layer_done(&layer);
}

static void opaque_root_is_reported(void **state)
{
	struct layer layer = { 0 };

	(void)state;
	assert_int_equal(layer_make(&layer,
				    (const struct item[]){ { ".wh..wh..opq", IMAGE_FILE }, { 0 } }),
			 0);
	assert_true(layer.info.root_opaque);
	layer_done(&layer);
	assert_int_equal(layer_make(&layer, (const struct item[]){ { 0 } }), 0);
	assert_false(layer.info.root_opaque);
	layer_done(&layer);
}

static void what_has_no_place_in_a_layer_is_refused(void **state)
{
	static const struct item cases[][4] = {
		{ { "c", IMAGE_CHAR, .minor = 1 } },
		{ { "b", IMAGE_BLOCK } },
		{ { "../a", IMAGE_FILE } },
		{ { "a/../../b", IMAGE_FILE } },
		{ { "", IMAGE_FILE } },
		{ { "h", IMAGE_HARDLINK, "nowhere" } },
		{ { "h", IMAGE_HARDLINK, "../etc/passwd" } },
		{ { "h", IMAGE_HARDLINK, "." } },
		{ { "h", IMAGE_HARDLINK, NULL } },
		{ { "d", IMAGE_DIR }, { "h", IMAGE_HARDLINK, "d" } },
		{ { ".wh.w", IMAGE_FILE }, { "h", IMAGE_HARDLINK, "w" } },
		{ { "s", IMAGE_SYMLINK, "" } },
		{ { "s", IMAGE_SYMLINK, NULL } },
		{ { "s", IMAGE_SYMLINK, "/etc" }, { "s/x", IMAGE_FILE } },
		{ { "s", IMAGE_SYMLINK, "." }, { "h", IMAGE_HARDLINK, "s/x" } },
		{ { "f", IMAGE_FILE }, { "f/x", IMAGE_FILE } },
		{ { ".wh.", IMAGE_FILE } },
		{ { ".wh..", IMAGE_FILE } },
		{ { ".wh...", IMAGE_FILE } },
		{ { ".wh.a/b", IMAGE_FILE } },
		{ { "x", (enum image_type)99 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_refused(cases[i], -EINVAL, ERR_IMAGE);
}

static void errors_name_the_entry(void **state)
{
	struct layer layer = { 0 };

	(void)state;
	assert_int_equal(
		layer_make(&layer, (const struct item[]){ { "h", IMAGE_HARDLINK, "../x" }, { 0 } }),
		-EINVAL);
	assert_string_equal(layer.err.msg,
			    "take the entry 'h': link to '../x': a path with '..' in it");
	layer_done(&layer);
}

static void the_root_hash_depends_on_what_is_in_the_layer_alone(void **state)
{
	const struct item items[] = { { "b/c", IMAGE_FILE, "text" }, { "a", IMAGE_FIFO }, { 0 } };
	struct item changed[3];
	struct layer one = { 0 }, two = { .limits = { .max_entries = 77 } };

	(void)state;
	assert_int_equal(layer_make(&one, items), 0);
	assert_int_equal(layer_make(&two, items), 0);
	assert_memory_equal(one.info.root, two.info.root, sizeof(one.info.root));
	assert_int_equal(one.memory.buf.len, two.memory.buf.len);
	assert_memory_equal(one.memory.buf.at, two.memory.buf.at, two.memory.buf.len);
	for (size_t i = 0; i < 4; i++) {
		memcpy(changed, items, sizeof(items));
		if (i == 0)
			changed[0].text = "tex!";
		if (i == 1)
			changed[0].mode = 0640;
		if (i == 2)
			changed[1].path = "b/d";
		if (i == 3)
			changed[1].xattr = (struct image_xattr){ "user.a", { NULL, 0 } };
		assert_int_equal(layer_make(&two, changed), 0);
		assert_memory_not_equal(one.info.root, two.info.root, sizeof(one.info.root));
	}
	layer_done(&one);
	layer_done(&two);
}

/* Another value here is another format: IMAGE_FORMAT has to change with it. */
static void the_format_is_the_one_that_is_named(void **state)
{
	static const uint8_t root[] = {
		0xa4, 0x7a, 0x12, 0xed, 0xc8, 0x8a, 0x5f, 0x09, 0x49, 0x1a, 0x44,
		0xf6, 0x69, 0x44, 0x0b, 0xde, 0x1e, 0x3a, 0xf6, 0x71, 0xa5, 0x2e,
		0x22, 0x0e, 0x16, 0x9c, 0x01, 0x18, 0x00, 0xc2, 0x87, 0x38,
	};
	static uint8_t large[300000];
	struct layer layer = { 0 };
	const struct image_sink sink = memory_sink(&layer.memory);
	struct image_writer *writer;
	const struct item item = { "dir/a", IMAGE_FILE, "text",
				   0755,    1000,	{ "user.a", { (const uint8_t *)"1", 1 } } };
	struct image_entry entry = { .path = "large", .size = sizeof(large) };

	(void)state;
	memset(large + 200000, 'x', 50000);
	assert_int_equal(image_writer_new(&layer.limits, &sink, &writer, NULL), 0);
	assert_int_equal(put_item(writer, &item, NULL), 0);
	assert_int_equal(image_writer_entry(writer, &entry, NULL), 0);
	assert_int_equal(image_writer_data(writer, 0, (struct bytes){ large, sizeof(large) }, NULL),
			 0);
	assert_int_equal(put_item(writer, &(struct item){ "l", IMAGE_SYMLINK, "dir/a" }, NULL), 0);
	assert_int_equal(image_writer_finish(writer, &layer.info, NULL), 0);
	assert_memory_equal(layer.info.root, root, sizeof(root));
	image_writer_free(writer);
	layer_done(&layer);
}

static void what_is_stored_stops_at_the_limit(void **state)
{
	static char text[100000];
	const struct item items[] = { { "a", IMAGE_FILE, text },
				      { "d/e", IMAGE_FILE, "x" },
				      { 0 } };
	struct layer layer = { 0 };

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(layer_make(&layer, items), 0);
	layer.limits.max_stored_bytes = layer.info.data_blocks * IMAGE_BLOCK_SIZE;
	assert_int_equal(layer_make(&layer, items), 0);
	layer.limits.max_stored_bytes--;
	assert_int_equal(layer_make(&layer, items), -EFBIG);
	assert_int_equal(layer.err.code, ERR_IMAGE_LIMIT);
	layer.limits.max_stored_bytes = 50000;
	assert_int_equal(layer_make(&layer, items), -EFBIG);
	assert_non_null(strstr(layer.err.msg, "of at most 50000"));
	layer_done(&layer);
}

static void holes_are_free(void **state)
{
	const struct image_limits limits = { .max_stored_bytes = 4 * IMAGE_BLOCK_SIZE };
	const struct bytes last = { (const uint8_t *)"!", 1 };
	struct image_entry entry = { .path = "a", .size = UINT64_C(1) << 30 };
	struct layer layer = { 0 };
	const struct image_sink sink = memory_sink(&layer.memory);
	struct image_writer *writer;

	(void)state;
	/* Two holes of a GiB, and one with a block at its end, in 16 KiB. */
	assert_int_equal(image_writer_new(&limits, &sink, &writer, NULL), 0);
	assert_int_equal(image_writer_entry(writer, &entry, NULL), 0);
	entry.path = "b";
	assert_int_equal(image_writer_entry(writer, &entry, NULL), 0);
	entry.path = "c";
	entry.size = 200 * IMAGE_BLOCK_SIZE;
	assert_int_equal(image_writer_entry(writer, &entry, NULL), 0);
	assert_int_equal(image_writer_data(writer, entry.size - 1, last, NULL), 0);
	assert_int_equal(image_writer_finish(writer, &layer.info, &layer.err), 0);
	assert_int_equal(layer.info.data_blocks, 3);
	image_writer_free(writer);
	layer_done(&layer);
}

static void entries_stop_at_the_limit(void **state)
{
	const struct item items[] = { { "a/b", IMAGE_FILE }, { "c", IMAGE_FILE }, { 0 } };
	struct layer layer = { .limits = { .max_entries = 4 } };

	(void)state;
	assert_int_equal(layer_make(&layer, items), 0);
	layer.limits.max_entries = 3;
	assert_int_equal(layer_make(&layer, items), -EFBIG);
	assert_int_equal(layer.err.code, ERR_IMAGE_LIMIT);
	layer_done(&layer);
}

static void held_bytes_stop_at_the_limit(void **state)
{
	static char text[IMAGE_INLINE_MAX];
	const struct item items[] = { { "a", IMAGE_FILE, text }, { 0 } };
	struct layer layer = { 0 };
	uint64_t enough = 100;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	do
		layer.limits.max_held_bytes = ++enough;
	while (layer_make(&layer, items) == -EFBIG && layer.err.code == ERR_IMAGE_LIMIT);
	assert_int_equal(layer.err.num, 0);
	assert_in_range(enough, sizeof(text), 2 * sizeof(text));
	layer_done(&layer);
}

static void names_and_targets_stop_at_the_limit(void **state)
{
	char name[IMAGE_NAME_MAX + 2] = { 0 }, target[IMAGE_PATH_MAX + 2] = { 0 };
	const struct item long_name[] = { { name, IMAGE_FILE }, { 0 } };
	const struct item long_target[] = { { "l", IMAGE_SYMLINK, target }, { 0 } };

	(void)state;
	memset(name, 'n', IMAGE_NAME_MAX);
	check(long_name, (const struct looks[]){ { name, "file 644 0" }, { 0 } });
	name[IMAGE_NAME_MAX] = 'n';
	check_refused(long_name, -EFBIG, ERR_IMAGE_LIMIT);
	memset(target, 't', IMAGE_PATH_MAX);
	check(long_target, (const struct looks[]){ { 0 } });
	target[IMAGE_PATH_MAX] = 't';
	check_refused(long_target, -EFBIG, ERR_IMAGE_LIMIT);
}

static void an_error_ends_the_writer(void **state)
{
	struct layer layer = { 0 };
	const struct image_sink sink = memory_sink(&layer.memory);
	const struct image_limits limits = { 0 };
	struct image_writer *writer;

	(void)state;
	assert_int_equal(image_writer_new(&limits, &sink, &writer, NULL), 0);
	assert_int_equal(image_writer_entry(writer,
					    &(struct image_entry){ .path = "d", .type = IMAGE_DIR },
					    NULL),
			 0);
	assert_int_equal(image_writer_data(writer, 0, (struct bytes){ (const uint8_t *)"x", 1 },
					   NULL),
			 -EINVAL);
	assert_int_equal(image_writer_entry(writer, &(struct image_entry){ .path = "e" },
					    &layer.err),
			 -EINVAL);
	assert_string_equal(layer.err.msg, "go on with an image that is over");
	assert_int_equal(image_writer_finish(writer, &layer.info, NULL), -EINVAL);
	image_writer_free(writer);
	layer_done(&layer);
}

static void what_the_sink_says_is_passed_on(void **state)
{
	struct layer layer = { .memory = { .refuse = -ENOSPC } };

	(void)state;
	assert_int_equal(layer_make(&layer, (const struct item[]){ { 0 } }), -ENOSPC);
	layer_done(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_there),
		cmocka_unit_test(later_entries_replace_earlier_ones),
		cmocka_unit_test(whiteouts_are_those_of_overlayfs),
		cmocka_unit_test(a_directory_of_the_host_has_no_whiteouts),
		cmocka_unit_test(opaque_root_is_reported),
		cmocka_unit_test(what_has_no_place_in_a_layer_is_refused),
		cmocka_unit_test(errors_name_the_entry),
		cmocka_unit_test(the_root_hash_depends_on_what_is_in_the_layer_alone),
		cmocka_unit_test(the_format_is_the_one_that_is_named),
		cmocka_unit_test(what_is_stored_stops_at_the_limit),
		cmocka_unit_test(holes_are_free),
		cmocka_unit_test(entries_stop_at_the_limit),
		cmocka_unit_test(held_bytes_stop_at_the_limit),
		cmocka_unit_test(names_and_targets_stop_at_the_limit),
		cmocka_unit_test(an_error_ends_the_writer),
		cmocka_unit_test(what_the_sink_says_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
