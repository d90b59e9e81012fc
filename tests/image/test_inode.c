// SPDX-License-Identifier: Apache-2.0
#include "image/inode_priv.h"

#include <sys/stat.h>

#include "memory.h"

static void takes_what_the_entry_says(void **state)
{
	const struct image_xattr xattr = { "user.a", { (const uint8_t *)"1", 1 } };
	struct image_entry entry = { .mode = 0104755,
				     .uid = 70000,
				     .gid = UINT32_MAX,
				     .mtime_s = -3,
				     .mtime_ns = 999999999,
				     .xattrs = &xattr,
				     .xattr_count = 1 };
	struct image_inode *inode;
	struct image_tree tree;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 10, 1 << 20, NULL), 0);
	assert_int_equal(image_tree_inode(&tree, S_IFREG, &inode, NULL), 0);
	assert_int_equal(image_inode_set(&tree, inode, &entry, NULL), 0);
	assert_int_equal(inode->mode, S_IFREG | 04755);
	assert_int_equal(inode->uid, 70000);
	assert_int_equal(inode->gid, UINT32_MAX);
	assert_int_equal(inode->mtime_s, -3);
	assert_int_equal(inode->mtime_ns, 999999999);
	assert_int_equal(inode->xattrs_len, 8);

	/* A second time replaces all of it. */
	entry.xattr_count = 0;
	entry.mode = 0600;
	assert_int_equal(image_inode_set(&tree, inode, &entry, NULL), 0);
	assert_int_equal(inode->xattrs_len, 0);
	assert_null(inode->xattrs);
	assert_int_equal(inode->mode, S_IFREG | 0600);
	image_tree_unref(&tree, inode);
	image_tree_done(&tree);
	assert_int_equal(tree.held, 0);
}

static void a_link_has_the_mode_of_links(void **state)
{
	const struct image_entry entry = { .mode = 0644 };
	struct image_inode *inode;
	struct image_tree tree;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 10, 1 << 20, NULL), 0);
	assert_int_equal(image_tree_inode(&tree, S_IFLNK, &inode, NULL), 0);
	assert_int_equal(image_inode_set(&tree, inode, &entry, NULL), 0);
	assert_int_equal(inode->mode, S_IFLNK | 0777);
	image_tree_unref(&tree, inode);
	image_tree_done(&tree);
}

static void a_time_that_is_none_is_refused(void **state)
{
	const struct image_entry entry = { .mtime_ns = 1000000000 };
	struct err err = no_err;
	struct image_tree tree;

	(void)state;
	assert_int_equal(image_tree_init(&tree, 10, 1 << 20, NULL), 0);
	assert_int_equal(image_inode_set(&tree, tree.root->inode, &entry, &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	image_tree_done(&tree);
}

static void every_type_has_its_format(void **state)
{
	(void)state;
	assert_int_equal(image_inode_format(IMAGE_FILE), S_IFREG);
	assert_int_equal(image_inode_format(IMAGE_DIR), S_IFDIR);
	assert_int_equal(image_inode_format(IMAGE_SYMLINK), S_IFLNK);
	assert_int_equal(image_inode_format(IMAGE_CHAR), S_IFCHR);
	assert_int_equal(image_inode_format(IMAGE_BLOCK), S_IFBLK);
	assert_int_equal(image_inode_format(IMAGE_FIFO), S_IFIFO);
	assert_int_equal(image_inode_format(IMAGE_SOCKET), S_IFSOCK);
	assert_int_equal(image_inode_format(IMAGE_HARDLINK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_the_entry_says),
		cmocka_unit_test(a_link_has_the_mode_of_links),
		cmocka_unit_test(a_time_that_is_none_is_refused),
		cmocka_unit_test(every_type_has_its_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
