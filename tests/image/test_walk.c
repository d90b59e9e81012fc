// SPDX-License-Identifier: Apache-2.0
#include "image/walk_priv.h"

#include <sys/stat.h>

#include "memory.h"

static char clean_text[IMAGE_PATH_MAX + 1];

static const char *clean(const char *path)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	assert_int_equal(image_walk_clean(path, &buf, NULL), 0);
	memcpy(clean_text, buf.at, buf.len);
	return clean_text;
}

static int clean_fails(const char *path, struct err *err)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	return image_walk_clean(path, &buf, err);
}

static void paths_are_cleaned(void **state)
{
	(void)state;
	assert_string_equal(clean("a/b"), "a/b");
	assert_string_equal(clean("./a//./b/"), "a/b");
	assert_string_equal(clean("/a"), "a");
	assert_string_equal(clean("..."), "...");
	assert_string_equal(clean("."), "");
	assert_string_equal(clean("./"), "");
	assert_string_equal(clean(""), "");
}

static void paths_out_of_the_root_are_refused(void **state)
{
	static const char *const paths[] = { "..", "../a", "a/../b", "a/..", "/.." };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		err = no_err;
		assert_int_equal(clean_fails(paths[i], &err), -EINVAL);
		assert_int_equal(err.code, ERR_IMAGE);
	}
}

static void long_names_and_paths_stop_at_the_limit(void **state)
{
	char path[IMAGE_PATH_MAX + 2];
	struct err err = no_err;

	(void)state;
	memset(path, 'n', sizeof(path));
	path[IMAGE_NAME_MAX] = '\0';
	assert_string_equal(clean(path), path);
	path[IMAGE_NAME_MAX] = 'n';
	path[IMAGE_NAME_MAX + 1] = '\0';
	assert_int_equal(clean_fails(path, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);

	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i - 1] = 'n', path[i] = '/';
	path[IMAGE_PATH_MAX - 1] = 'n';
	path[IMAGE_PATH_MAX] = '\0';
	path[IMAGE_NAME_MAX] = '/';
	assert_string_equal(clean(path), path);
	path[IMAGE_PATH_MAX - 2] = 'n';
	path[IMAGE_PATH_MAX] = 'n';
	path[IMAGE_PATH_MAX + 1] = '\0';
	assert_int_equal(clean_fails(path, NULL), -EFBIG);
}

/* What is below, as a list; asked counts the questions. */
static const struct below {
	const char *path;
	struct image_entry entry;
} below[] = {
	{ "", { .type = IMAGE_DIR, .mode = 0711 } },
	{ "usr", { .type = IMAGE_DIR, .mode = 0750, .uid = 5, .mtime_s = 9 } },
	{ "usr/lib", { .type = IMAGE_DIR, .mode = 0700 } },
	{ "lib", { .type = IMAGE_SYMLINK, .link = "usr/./lib" } },
	{ "usr/run", { .type = IMAGE_SYMLINK, .link = "/usr/../usr/lib/" } },
	{ "out", { .type = IMAGE_SYMLINK, .link = "../usr" } },
	{ "usr/out", { .type = IMAGE_SYMLINK, .link = "../../usr" } },
	{ "loop", { .type = IMAGE_SYMLINK, .link = "loop" } },
	{ "file", { .type = IMAGE_FILE } },
};
static unsigned int asked;

static int lookup(void *data, const char *path, struct image_entry *ret_entry, struct err *err)
{
	(void)data;
	asked++;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		if (strcmp(path, below[i].path) == 0) {
			*ret_entry = below[i].entry;
			return 0;
		}
	}
	return err_set(err, -ENOENT, "nothing there");
}

struct walker {
	struct image_tree tree;
	struct image_walk walk;
	struct image_name *dir;
	const char *last;
};

static void walker_init(struct walker *walker, bool has_below)
{
	*walker = (struct walker){ 0 };
	assert_int_equal(image_tree_init(&walker->tree, 1000, 1 << 20, NULL), 0);
	walker->walk.tree = &walker->tree;
	if (has_below)
		walker->walk.lower.lookup = lookup;
	asked = 0;
}

static int go(struct walker *walker, const char *path, struct err *err)
{
	return image_walk_parent(&walker->walk, path, &walker->dir, &walker->last, err);
}

static const char *where(const struct walker *walker)
{
	CLEANUP(buf_done) struct buf path = { 0 };

	assert_int_equal(image_tree_path(walker->dir, walker->last, &path), 0);
	memcpy(clean_text, path.at, path.len);
	return clean_text;
}

static void put(struct walker *walker, struct image_name *dir, const char *name, uint32_t format)
{
	struct image_inode *inode;
	struct image_name *made;

	assert_int_equal(image_tree_inode(&walker->tree, format, &inode, NULL), 0);
	assert_int_equal(image_tree_add(&walker->tree, dir, name, inode, &made, NULL), 0);
	image_tree_unref(&walker->tree, inode);
}

static void missing_parents_are_made(void **state)
{
	struct walker walker;

	(void)state;
	walker_init(&walker, false);
	assert_int_equal(go(&walker, "a/b/c", NULL), 0);
	assert_string_equal(where(&walker), "a/b/c");
	assert_int_equal(walker.dir->inode->mode, S_IFDIR | 0755);
	assert_true(walker.dir->inode->is_implicit);
	assert_true(walker.walk.has_asked);
	assert_int_equal(go(&walker, "top", NULL), 0);
	assert_ptr_equal(walker.dir, walker.tree.root);
	image_tree_done(&walker.tree);
}

static void missing_parents_look_like_those_below(void **state)
{
	struct walker walker;

	(void)state;
	walker_init(&walker, true);
	assert_int_equal(go(&walker, "usr/new/c", NULL), 0);
	assert_int_equal(walker.dir->inode->mode, S_IFDIR | 0755);
	assert_int_equal(walker.dir->parent->inode->mode, S_IFDIR | 0750);
	assert_int_equal(walker.dir->parent->inode->uid, 5);
	assert_int_equal(walker.dir->parent->inode->mtime_s, 9);
	assert_int_equal(asked, 2);
	assert_int_equal(go(&walker, "usr/new/d", NULL), 0);
	assert_int_equal(asked, 2);
	image_tree_done(&walker.tree);
}

static void what_the_layer_hides_is_not_asked_for(void **state)
{
	struct walker walker;

	(void)state;
	walker_init(&walker, true);
	put(&walker, walker.tree.root, "usr", S_IFCHR);
	assert_int_equal(go(&walker, "usr/lib/c", NULL), 0);
	assert_int_equal(asked, 0);
	assert_false(walker.walk.has_asked);
	assert_true(walker.dir->parent->inode->is_opaque);
	assert_int_equal(walker.dir->inode->mode, S_IFDIR | 0755);
	image_tree_done(&walker.tree);
}

static void links_below_are_followed_inside_the_root(void **state)
{
	struct err err = no_err;
	struct walker walker;

	(void)state;
	walker_init(&walker, true);
	assert_int_equal(go(&walker, "lib/x/y", NULL), 0);
	assert_string_equal(where(&walker), "usr/lib/x/y");
	assert_int_equal(go(&walker, "usr/run/z", NULL), 0);
	assert_string_equal(where(&walker), "usr/lib/z");
	assert_int_equal(go(&walker, "lib", NULL), 0);
	assert_string_equal(where(&walker), "lib");
	assert_int_equal(go(&walker, "out/x", &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	assert_int_equal(go(&walker, "usr/out/x", NULL), -EINVAL);
	assert_int_equal(go(&walker, "loop/x", &err), -ELOOP);
	assert_int_equal(go(&walker, "file/x", &err), -EINVAL);
	image_tree_done(&walker.tree);
}

static void links_and_files_of_the_layer_are_no_way(void **state)
{
	struct err err = no_err;
	struct walker walker;

	(void)state;
	walker_init(&walker, true);
	put(&walker, walker.tree.root, "link", S_IFLNK);
	put(&walker, walker.tree.root, "plain", S_IFREG);
	assert_int_equal(go(&walker, "link/x", &err), -EINVAL);
	assert_int_equal(err.code, ERR_IMAGE);
	assert_string_equal(err.msg,
			    "a path through 'link', which is a symbolic link of the same layer");
	assert_int_equal(go(&walker, "plain/x", &err), -EINVAL);
	assert_int_equal(go(&walker, "link", NULL), 0);
	image_tree_done(&walker.tree);
}

/* below[0] is a link to below[1], and so on to a directory: as many hops as are named. */
static unsigned int chain_len;

static int chain(void *data, const char *path, struct image_entry *ret_entry, struct err *err)
{
	static char target[16];
	unsigned int at = 0;

	(void)data;
	(void)err;
	assert_int_equal(sscanf(path, "l%u", &at), 1);
	*ret_entry = (struct image_entry){ .type = at == chain_len ? IMAGE_DIR : IMAGE_SYMLINK,
					   .link = target };
	(void)snprintf(target, sizeof(target), "l%u", at + 1);
	return 0;
}

static void hops_stop_at_the_limit(void **state)
{
	struct walker walker;

	(void)state;
	for (chain_len = IMAGE_LINK_HOPS; chain_len <= IMAGE_LINK_HOPS + 1; chain_len++) {
		walker_init(&walker, true);
		walker.walk.lower.lookup = chain;
		assert_int_equal(go(&walker, "l0/x", NULL),
				 chain_len > IMAGE_LINK_HOPS ? -ELOOP : 0);
		image_tree_done(&walker.tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_cleaned),
		cmocka_unit_test(paths_out_of_the_root_are_refused),
		cmocka_unit_test(long_names_and_paths_stop_at_the_limit),
		cmocka_unit_test(missing_parents_are_made),
		cmocka_unit_test(missing_parents_look_like_those_below),
		cmocka_unit_test(what_the_layer_hides_is_not_asked_for),
		cmocka_unit_test(links_below_are_followed_inside_the_root),
		cmocka_unit_test(links_and_files_of_the_layer_are_no_way),
		cmocka_unit_test(hops_stop_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
