// SPDX-License-Identifier: Apache-2.0
#include "image/tree_priv.h"

#include <sys/stat.h>

#include "memory.h"

static struct image_name *add(struct image_tree *tree, struct image_name *dir, const char *name,
			      uint32_t format)
{
	struct image_inode *inode;
	struct image_name *made;

	assert_int_equal(image_tree_inode(tree, format, &inode, NULL), 0);
	assert_int_equal(image_tree_add(tree, dir, name, inode, &made, NULL), 0);
	image_tree_unref(tree, inode);
	return made;
}

static void names_are_found_and_listed_in_order_of_bytes(void **state)
{
	static const char *const names[] = { "b", "a", "\xc3\xa9", "Z", "a-", "aa", "-" };
	static const char *const sorted[] = { "-", "Z", "a", "a-", "aa", "b", "\xc3\xa9" };
	const struct image_name *list[ARRAY_SIZE(names)];
	struct image_tree tree;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 100, 1 << 20, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)add(&tree, tree.root, names[i], S_IFREG);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(image_tree_find(tree.root, names[i])->name, names[i]);
	assert_null(image_tree_find(tree.root, "ab"));
	image_tree_list(tree.root->inode, list);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(list[i]->name, sorted[i]);
	image_tree_done(&tree);
}

static void removing_takes_all_below_and_gives_back_what_was_held(void **state)
{
	struct image_name *dir, *kept, *link;
	struct image_tree tree;
	uint64_t held;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 100, 1 << 20, NULL), 0);
	kept = add(&tree, tree.root, "kept", S_IFREG);
	held = tree.held;
	dir = add(&tree, tree.root, "dir", S_IFDIR);
	for (size_t i = 0; i < 10; i++)
		dir = add(&tree, dir, "deeper", S_IFDIR);
	assert_int_equal(image_tree_add(&tree, dir, "link", kept->inode, &link, NULL), 0);
	assert_int_equal(kept->inode->names, 2);
	assert_int_equal(tree.root->inode->subdir_count, 1);
	assert_int_equal(tree.entries, 14);
	image_tree_remove(&tree, image_tree_find(tree.root, "dir"));
	assert_int_equal(kept->inode->names, 1);
	assert_int_equal(tree.root->inode->subdir_count, 0);
	assert_int_equal(tree.root->inode->child_count, 1);
	assert_int_equal(tree.entries, 2);
	assert_int_equal(tree.held, held);
	image_tree_done(&tree);
	assert_int_equal(tree.held, 0);
}

static void entries_stop_at_the_limit(void **state)
{
	struct image_inode *inode;
	struct image_name *made;
	struct image_tree tree;
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 2, 1 << 20, NULL), 0);
	(void)add(&tree, tree.root, "a", S_IFREG);
	assert_int_equal(image_tree_inode(&tree, S_IFREG, &inode, NULL), 0);
	assert_int_equal(image_tree_add(&tree, tree.root, "b", inode, &made, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_string_equal(err.msg, "take more than 2 entries");
	image_tree_unref(&tree, inode);
	assert_null(image_tree_find(tree.root, "b"));
	image_tree_done(&tree);
}

static void held_bytes_stop_at_the_limit(void **state)
{
	struct image_tree tree;
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 2, 1000, NULL), 0);
	assert_int_equal(image_tree_hold(&tree, 1000 - tree.held, NULL), 0);
	assert_int_equal(image_tree_hold(&tree, 1, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	image_tree_done(&tree);
	assert_int_equal(image_tree_init(&tree, 1, 1, &err), -EFBIG);
	image_tree_done(&tree);
}

static void paths_end_at_their_limit(void **state)
{
	CLEANUP(buf_done) struct buf path = { 0 };
	struct image_name *dir;
	struct image_tree tree;
	char name[IMAGE_NAME_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(image_tree_init(&tree, 100, 1 << 20, NULL), 0);
	assert_int_equal(image_tree_path(tree.root, NULL, &path), 0);
	assert_string_equal((char *)path.at, "");
	assert_int_equal(image_tree_path(tree.root, "x", &path), 0);
	assert_string_equal((char *)path.at, "x");
	memset(name, 'n', IMAGE_NAME_MAX);
	dir = tree.root;
	for (size_t i = 0; i < 15; i++)
		dir = add(&tree, dir, name, S_IFDIR);
	assert_int_equal(image_tree_path(dir, NULL, &path), 0);
	assert_int_equal(strlen((char *)path.at), 15 * 256 - 1);
	assert_int_equal(image_tree_path(dir, name, &path), 0);
	assert_int_equal(strlen((char *)path.at), IMAGE_PATH_MAX);
	dir = add(&tree, dir, name, S_IFDIR);
	assert_int_equal(image_tree_path(dir, "x", &path), -ENAMETOOLONG);
	image_tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_and_listed_in_order_of_bytes),
		cmocka_unit_test(removing_takes_all_below_and_gives_back_what_was_held),
		cmocka_unit_test(entries_stop_at_the_limit),
		cmocka_unit_test(held_bytes_stop_at_the_limit),
		cmocka_unit_test(paths_end_at_their_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
