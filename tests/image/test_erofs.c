// SPDX-License-Identifier: Apache-2.0
#include "image/erofs_priv.h"

#include <sys/stat.h>

#include "image/format_priv.h"
#include "memory.h"

struct made {
	struct memory memory;
	struct image_tree tree;
	struct image_output out;
	struct image_info info;
};

static void made_init(struct made *made, uint64_t max_bytes)
{
	struct image_sink sink;

	*made = (struct made){ 0 };
	sink = memory_sink(&made->memory);
	assert_int_equal(image_tree_init(&made->tree, 100000, 64 << 20, NULL), 0);
	assert_int_equal(image_output_init(&made->out, &sink, max_bytes, NULL), 0);
}

static void made_done(struct made *made)
{
	image_tree_done(&made->tree);
	image_output_done(&made->out);
	buf_done(&made->memory.buf);
}

static struct image_name *put(struct made *made, struct image_name *dir, const char *name,
			      uint32_t format)
{
	struct image_inode *inode;
	struct image_name *name_made;

	assert_int_equal(image_tree_inode(&made->tree, format, &inode, NULL), 0);
	assert_int_equal(image_tree_add(&made->tree, dir, name, inode, &name_made, NULL), 0);
	image_tree_unref(&made->tree, inode);
	return name_made;
}

static int finish(struct made *made, struct err *err)
{
	return image_erofs_finish(&made->tree, &made->out, &made->info, err);
}

static const uint8_t *inode_at(const struct made *made, const struct image_inode *inode)
{
	uint64_t meta = get_le32(made->memory.buf.at + EROFS_SB_AT + EROFS_SB_META_BLKADDR);

	return made->memory.buf.at + meta * IMAGE_BLOCK_SIZE + inode->nid * EROFS_SLOT;
}

static void empty_image_is_two_blocks_and_a_tree(void **state)
{
	static const char dirents[] = "...";
	struct made made;
	const uint8_t *super, *root;

	(void)state;
	made_init(&made, 1 << 20);
	assert_int_equal(finish(&made, NULL), 0);
	assert_int_equal(made.info.data_blocks, 2);
	assert_int_equal(made.info.total_bytes, 3 * IMAGE_BLOCK_SIZE);
	super = made.memory.buf.at + EROFS_SB_AT;
	assert_int_equal(get_le32(super), EROFS_MAGIC);
	assert_int_equal(get_le32(super + EROFS_SB_BLOCKS), 2);
	assert_int_equal(get_le64(super + EROFS_SB_INOS), 1);
	assert_int_equal(get_le32(super + EROFS_SB_FEATURE_INCOMPAT), 0);
	assert_string_equal((const char *)super + EROFS_SB_VOLUME_NAME, IMAGE_FORMAT);
	root = made.memory.buf.at + IMAGE_BLOCK_SIZE +
	       get_le16(super + EROFS_SB_ROOT_NID) * EROFS_SLOT;
	assert_ptr_equal(root, inode_at(&made, made.tree.root->inode));
	assert_int_equal(get_le16(root + EROFS_INODE_MODE), S_IFDIR | 0755);
	assert_int_equal(get_le32(root + EROFS_INODE_NLINK), 2);
	assert_int_equal(get_le64(root + EROFS_INODE_LENGTH), 2 * EROFS_DIRENT_SIZE + 3);
	assert_memory_equal(root + EROFS_INODE_SIZE + 2 * EROFS_DIRENT_SIZE, dirents, 3);
	made_done(&made);
}

/* All names of a directory as they lie on disk, with a space after each. */
static void list_names(const uint8_t *at, uint64_t size, struct buf *ret_names)
{
	for (uint64_t off = 0; off < size; off += IMAGE_BLOCK_SIZE, at += IMAGE_BLOCK_SIZE) {
		size_t room = size - off < IMAGE_BLOCK_SIZE ? size - off : IMAGE_BLOCK_SIZE;
		size_t count = get_le16(at + EROFS_DIRENT_NAMEOFF) / EROFS_DIRENT_SIZE;

		for (size_t i = 0; i < count; i++) {
			const uint8_t *dirent = at + i * EROFS_DIRENT_SIZE;
			size_t start = get_le16(dirent + EROFS_DIRENT_NAMEOFF), end = room;

			if (i + 1 < count)
				end = get_le16(dirent + EROFS_DIRENT_SIZE + EROFS_DIRENT_NAMEOFF);
			end = start + strnlen((const char *)at + start, end - start);
			assert_int_equal(buf_addf(ret_names, "%.*s ", (int)(end - start),
						  (const char *)at + start),
					 0);
		}
	}
	assert_int_equal(buf_add(ret_names, "", 1), 0);
}

static void names_are_sorted_with_self_and_parent_among_them(void **state)
{
	CLEANUP(buf_done) struct buf names = { 0 };
	struct made made;

	(void)state;
	made_init(&made, 1 << 20);
	for (const char *const *name = (const char *const[]){ "z", "..a", ".-", "!", ".a", NULL };
	     *name; name++)
		(void)put(&made, made.tree.root, *name, S_IFREG);
	assert_int_equal(finish(&made, NULL), 0);
	list_names(inode_at(&made, made.tree.root->inode) + EROFS_INODE_SIZE,
		   made.tree.root->inode->size, &names);
	assert_string_equal((char *)names.at, "! . .- .. ..a .a z ");
	made_done(&made);
}

static void large_directories_have_blocks_of_their_own(void **state)
{
	CLEANUP(buf_done) struct buf names = { 0 }, want = { 0 };
	struct image_name *dir;
	struct made made;
	char name[64];
	const uint8_t *at;

	(void)state;
	made_init(&made, 1 << 20);
	dir = put(&made, made.tree.root, "dir", S_IFDIR);
	assert_int_equal(buf_addf(&want, ". .. "), 0);
	for (unsigned int i = 1000; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "file-%u-%.*s", i, (int)(i % 40),
			       "........................................");
		(void)put(&made, dir, name, S_IFREG);
		assert_int_equal(buf_addf(&want, "%s ", name), 0);
	}
	assert_int_equal(buf_add(&want, "", 1), 0);
	assert_int_equal(finish(&made, NULL), 0);
	at = inode_at(&made, dir->inode);
	assert_int_equal(get_le16(at + EROFS_INODE_FORMAT), 1 | EROFS_FLAT_PLAIN << 1);
	list_names(made.memory.buf.at + get_le32(at + EROFS_INODE_U) * IMAGE_BLOCK_SIZE,
		   get_le64(at + EROFS_INODE_LENGTH), &names);
	assert_string_equal((char *)names.at, (char *)want.at);
	made_done(&made);
}

static void put_inline(struct made *made, const char *text, size_t size)
{
	struct image_inode *inode = put(made, made->tree.root, text, S_IFREG)->inode;

	inode->size = size;
	assert_int_equal(image_tree_hold(&made->tree, size, NULL), 0);
	inode->held = malloc(size);
	memset(inode->held, text[0], size);
}

/* The kernel refuses inline contents that cross a block. */
static void inline_contents_stay_in_one_block(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	const struct image_inode *inode;
	struct made made;
	uint64_t start;

	(void)state;
	for (size_t size = 1; size <= IMAGE_INLINE_MAX; size++) {
		made_init(&made, 4 << 20);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			put_inline(&made, names[i], i == 3 ? size : IMAGE_INLINE_MAX);
		assert_int_equal(finish(&made, NULL), 0);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			inode = image_tree_find(made.tree.root, names[i])->inode;
			start = inode->nid * EROFS_SLOT + EROFS_INODE_SIZE;
			assert_int_equal(start / IMAGE_BLOCK_SIZE,
					 (start + inode->size - 1) / IMAGE_BLOCK_SIZE);
			assert_memory_equal(inode_at(&made, inode) + EROFS_INODE_SIZE, inode->held,
					    inode->size);
		}
		made_done(&made);
	}
}

/* With its own two names, 15 of 255 bytes and one of 52, a directory fills a block. */
static void a_directory_fills_its_block(void **state)
{
	char name[IMAGE_NAME_MAX + 1] = { 0 };
	struct made made;

	(void)state;
	for (size_t last = 52; last <= 53; last++) {
		made_init(&made, 1 << 20);
		for (int i = 0; i < 16; i++) {
			memset(name, 0, sizeof(name));
			memset(name, 'a' + i, i == 15 ? last : IMAGE_NAME_MAX);
			(void)put(&made, made.tree.root, name, S_IFREG);
		}
		assert_int_equal(finish(&made, NULL), 0);
		assert_int_equal(made.tree.root->inode->size,
				 last == 52 ? IMAGE_BLOCK_SIZE
					    : IMAGE_BLOCK_SIZE + EROFS_DIRENT_SIZE + 53);
		made_done(&made);
	}
}

static void a_file_with_two_names_is_one(void **state)
{
	struct image_name *name, *other, *dir;
	struct made made;

	(void)state;
	made_init(&made, 1 << 20);
	dir = put(&made, made.tree.root, "dir", S_IFDIR);
	name = put(&made, made.tree.root, "name", S_IFIFO);
	assert_int_equal(image_tree_add(&made.tree, dir, "other", name->inode, &other, NULL), 0);
	assert_int_equal(finish(&made, NULL), 0);
	assert_int_equal(get_le64(made.memory.buf.at + EROFS_SB_AT + EROFS_SB_INOS), 3);
	assert_int_equal(get_le32(inode_at(&made, name->inode) + EROFS_INODE_NLINK), 2);
	assert_int_equal(get_le32(inode_at(&made, made.tree.root->inode) + EROFS_INODE_NLINK), 3);
	made_done(&made);
}

static void holes_are_in_the_map(void **state)
{
	struct image_name *name;
	const uint8_t *map;
	struct made made;

	(void)state;
	made_init(&made, 1 << 20);
	name = put(&made, made.tree.root, "holes", S_IFREG);
	assert_int_equal(image_tree_hold(&made.tree, sizeof(struct image_run), NULL), 0);
	name->inode->size = 32 * IMAGE_BLOCK_SIZE;
	name->inode->is_chunked = true;
	name->inode->run_count = 1;
	name->inode->runs = calloc(1, sizeof(struct image_run));
	*name->inode->runs = (struct image_run){ .start = 8, .count = 16, .blkaddr = 1 };
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(image_output_block(&made.out, NULL, NULL), 0);
	assert_int_equal(finish(&made, NULL), 0);
	map = inode_at(&made, name->inode);
	assert_int_equal(get_le16(map + EROFS_INODE_FORMAT), 1 | EROFS_CHUNK_BASED << 1);
	assert_int_equal(get_le32(map + EROFS_INODE_U), 3);
	map += EROFS_INODE_SIZE;
	assert_int_equal(get_le32(map), EROFS_HOLE);
	assert_int_equal(get_le32(map + 4), 1);
	assert_int_equal(get_le32(map + 8), 9);
	assert_int_equal(get_le32(map + 12), EROFS_HOLE);
	assert_int_equal(get_le32(made.memory.buf.at + EROFS_SB_AT + EROFS_SB_FEATURE_INCOMPAT),
			 EROFS_INCOMPAT_CHUNKED_FILE);
	made_done(&made);
}

/* Refused before anything of the end is written. */
static void the_end_has_to_fit_too(void **state)
{
	struct err err = no_err;
	struct made made;

	(void)state;
	made_init(&made, 2 * IMAGE_BLOCK_SIZE);
	assert_int_equal(finish(&made, NULL), 0);
	made_done(&made);
	made_init(&made, 2 * IMAGE_BLOCK_SIZE - 1);
	assert_int_equal(finish(&made, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_int_equal(made.memory.writes, 0);
	made_done(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_image_is_two_blocks_and_a_tree),
		cmocka_unit_test(names_are_sorted_with_self_and_parent_among_them),
		cmocka_unit_test(large_directories_have_blocks_of_their_own),
		cmocka_unit_test(inline_contents_stay_in_one_block),
		cmocka_unit_test(a_directory_fills_its_block),
		cmocka_unit_test(a_file_with_two_names_is_one),
		cmocka_unit_test(holes_are_in_the_map),
		cmocka_unit_test(the_end_has_to_fit_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
