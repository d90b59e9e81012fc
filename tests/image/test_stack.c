// SPDX-License-Identifier: Apache-2.0
#include "image/stack.h"

#include "memory.h"

/* Layers built one over the other, as the parts of an image are. */
struct chain {
	struct layer layers[4];
	struct image_reader *readers[4];
	size_t count;
};

static void chain_add(struct chain *chain, const struct item *items)
{
	struct layer *layer = &chain->layers[chain->count];
	CLEANUP(image_stack_free) struct image_stack *stack = NULL;
	struct image_lower lower;

	assert_int_equal(image_stack_new(chain->readers, chain->count, &stack, NULL), 0);
	lower = image_stack_lower(stack);
	layer->lower = &lower;
	assert_int_equal(layer_make(layer, items), 0);
	layer->lower = NULL;
	chain->readers[chain->count++] = memory_reader(&layer->memory);
}

static void chain_done(struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++) {
		image_reader_free(chain->readers[i]);
		layer_done(&chain->layers[i]);
	}
}

static const char *in(const struct chain *chain, size_t layer, const char *path)
{
	return describe(chain->readers[layer], path);
}

static const struct item base[] = {
	{ ".", IMAGE_DIR, .mode = 0711, .uid = 9 },
	{ "usr", IMAGE_DIR, .mode = 0750, .uid = 5,
	  .xattr = { "user.a", { (const uint8_t *)"1", 1 } } },
	{ "usr/lib", IMAGE_DIR, .mode = 0751 },
	{ "usr/lib/so", IMAGE_FILE, "library", 0755, 6 },
	{ "lib", IMAGE_SYMLINK, "usr/lib" },
	{ "run", IMAGE_SYMLINK, "/usr/run" },
	{ "away", IMAGE_SYMLINK, "../../etc" },
	{ "etc/hosts", IMAGE_FILE, "hosts" },
	{ 0 },
};

static void parents_come_from_below(void **state)
{
	struct chain chain = { 0 };
	struct image_entry entry;
	bool is_opaque;

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { "usr/lib/new", IMAGE_FILE, "new" },
						 { "lib/other", IMAGE_FILE, "other" },
						 { "run/x/y", IMAGE_FILE, "y" },
						 { "lib/.wh.so", IMAGE_FILE },
						 { 0 } });
	assert_string_equal(in(&chain, 1, ""), "dir 711 9");
	assert_string_equal(in(&chain, 1, "usr"), "dir 750 5");
	assert_string_equal(in(&chain, 1, "usr/lib"), "dir 751 0");
	assert_string_equal(in(&chain, 1, "usr/lib/other"), "file 644 0 other");
	assert_string_equal(in(&chain, 1, "usr/lib/so"), "whiteout");
	assert_string_equal(in(&chain, 1, "usr/run/x/y"), "file 644 0 y");
	assert_string_equal(in(&chain, 1, "usr/run"), "dir 755 0");
	assert_string_equal(in(&chain, 1, "lib"), "none");
	assert_int_equal(image_reader_stat(chain.readers[1], find_path(chain.readers[1], "usr"),
					   &entry, &is_opaque, NULL),
			 0);
	assert_int_equal(entry.mtime_s, 7);
	assert_int_equal(entry.xattr_count, 1);
	assert_string_equal(entry.xattrs[0].name, "user.a");
	assert_true(chain.layers[1].info.needs_lower);
	chain_done(&chain);
}

static void a_layer_that_leaves_nothing_out_needs_nothing_below(void **state)
{
	struct chain chain = { 0 };

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { ".", IMAGE_DIR },
						 { "usr", IMAGE_DIR, .mode = 0700 },
						 { "usr/file", IMAGE_FILE, "f" },
						 { "usr/hard", IMAGE_HARDLINK, "usr/file" },
						 { 0 } });
	assert_false(chain.layers[1].info.needs_lower);
	assert_string_equal(in(&chain, 1, "usr"), "dir 700 0");
	chain_done(&chain);
}

static void whiteouts_and_opaque_directories_hide_what_is_below(void **state)
{
	struct chain chain = { 0 };

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { ".wh.usr", IMAGE_FILE },
						 { "etc/.wh..wh..opq", IMAGE_FILE },
						 { "etc/sub/x", IMAGE_FILE },
						 { 0 } });
	chain_add(&chain, (const struct item[]){ { "usr/lib/x", IMAGE_FILE }, { 0 } });
	assert_string_equal(in(&chain, 2, "usr"), "dir 755 0");
	assert_string_equal(in(&chain, 2, "usr/lib"), "dir 755 0");
	assert_string_equal(in(&chain, 1, "etc/sub"), "dir 755 0");
	chain_done(&chain);
}

static void opaque_roots_hide_all_below(void **state)
{
	struct chain chain = { 0 };

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { ".wh..wh..opq", IMAGE_FILE }, { 0 } });
	chain_add(&chain, (const struct item[]){ { "usr/x", IMAGE_FILE }, { 0 } });
	assert_string_equal(in(&chain, 1, ""), "dir 755 0 opaque");
	assert_string_equal(in(&chain, 2, "usr"), "dir 755 0");
	chain_done(&chain);
}

static void hard_links_bring_files_up(void **state)
{
	struct chain chain = { 0 };

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { "one", IMAGE_HARDLINK, "usr/lib/so" },
						 { "two", IMAGE_HARDLINK, "lib/so" },
						 { 0 } });
	assert_string_equal(in(&chain, 1, "one"), "file 755 6 library");
	assert_string_equal(in(&chain, 1, "usr/lib/so"), "file 755 6 library");
	assert_int_equal(find_path(chain.readers[1], "one"), find_path(chain.readers[1], "two"));
	assert_int_equal(find_path(chain.readers[1], "one"),
			 find_path(chain.readers[1], "usr/lib/so"));
	assert_true(chain.layers[1].info.needs_lower);
	chain_done(&chain);
}

static void what_leads_out_or_is_hidden_is_refused(void **state)
{
	static const struct item cases[][3] = {
		{ { "away/x", IMAGE_FILE } },
		{ { "h", IMAGE_HARDLINK, "away/passwd" } },
		{ { "etc/hosts/x", IMAGE_FILE } },
		{ { "h", IMAGE_HARDLINK, "usr" } },
		{ { "h", IMAGE_HARDLINK, "usr/none" } },
		{ { "etc/.wh..wh..opq", IMAGE_FILE }, { "h", IMAGE_HARDLINK, "etc/hosts" } },
		{ { "etc/.wh.hosts", IMAGE_FILE }, { "h", IMAGE_HARDLINK, "etc/hosts" } },
	};
	CLEANUP(image_stack_free) struct image_stack *stack = NULL;
	struct chain chain = { 0 };
	struct image_lower lower;

	(void)state;
	chain_add(&chain, base);
	assert_int_equal(image_stack_new(chain.readers, chain.count, &stack, NULL), 0);
	lower = image_stack_lower(stack);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct layer layer = { .lower = &lower };

		assert_int_equal(layer_make(&layer, cases[i]), -EINVAL);
		assert_int_equal(layer.err.code, ERR_IMAGE);
		layer_done(&layer);
	}
	chain_done(&chain);
}

static void files_hide_directories_below(void **state)
{
	struct chain chain = { 0 };
	CLEANUP(image_stack_free) struct image_stack *stack = NULL;
	struct image_lower lower;
	struct image_entry entry;

	(void)state;
	chain_add(&chain, base);
	chain_add(&chain, (const struct item[]){ { "usr", IMAGE_FILE, "a file" }, { 0 } });
	assert_int_equal(image_stack_new(chain.readers, chain.count, &stack, NULL), 0);
	lower = image_stack_lower(stack);
	assert_int_equal(lower.lookup(lower.data, "usr", &entry, NULL), 0);
	assert_int_equal(entry.type, IMAGE_FILE);
	assert_int_equal(lower.lookup(lower.data, "usr/lib", &entry, NULL), -ENOENT);
	assert_int_equal(lower.lookup(lower.data, "lib/so", &entry, NULL), -ENOENT);
	assert_int_equal(lower.content(lower.data, "none", NULL, NULL), -ENOENT);
	chain_done(&chain);
}

static void layers_stop_at_the_limit(void **state)
{
	struct image_reader *readers[IMAGE_STACK_MAX + 1] = { NULL };
	struct image_stack *stack;
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_stack_new(readers, IMAGE_STACK_MAX, &stack, NULL), 0);
	image_stack_free(stack);
	assert_int_equal(image_stack_new(readers, IMAGE_STACK_MAX + 1, &stack, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parents_come_from_below),
		cmocka_unit_test(a_layer_that_leaves_nothing_out_needs_nothing_below),
		cmocka_unit_test(whiteouts_and_opaque_directories_hide_what_is_below),
		cmocka_unit_test(opaque_roots_hide_all_below),
		cmocka_unit_test(hard_links_bring_files_up),
		cmocka_unit_test(what_leads_out_or_is_hidden_is_refused),
		cmocka_unit_test(files_hide_directories_below),
		cmocka_unit_test(layers_stop_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
