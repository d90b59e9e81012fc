// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: names are listed directory by directory, breadth first, the root first, so
 * that what "ls -l" wants of a directory lies together. Then every inode gets its place: in
 * units of 32 bytes, its attributes behind it, then its contents, if they are kept inline (these
 * must not cross a block), or its map of chunks. Sizes depend on names only, so places are known
 * before the first directory, which is full of them, is written. A directory that is not inline
 * lies in blocks of its own between the contents of files and the inodes.
 */
#include "image/erofs_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "image/content_priv.h"
#include "image/format_priv.h"
#include "image/xattr_priv.h"

/* Number 0 is no file to readdir(3). The root's has to fit into 16 bits, so it goes first. */
enum { FIRST_NID = 2 };

struct layout {
	struct image_tree *tree;
	struct image_output *out;
	const struct image_name **names; /* breadth first */
	struct image_inode **inodes;	 /* in the order of their first name */
	size_t inode_count;
	uint64_t dir_blocks;
	uint64_t meta_blkaddr;
	uint64_t meta_size;
	bool has_chunked;
	uint8_t *dir; /* where a directory is put together */
	size_t dir_room;
};

/* One name in a directory's list, with those for itself and its parent. */
struct dirent_iter {
	const struct image_name *dir;
	const struct image_name *const *children;
	size_t count;
	size_t next;
	bool had_self;
	bool had_parent;
	const char *name;
	const struct image_inode *inode;
};

static void dirent_iter_init(struct dirent_iter *iter, const struct layout *layout,
			     const struct image_name *dir)
{
	*iter = (struct dirent_iter){ .dir = dir,
				      .children = layout->names + dir->inode->first_child,
				      .count = dir->inode->child_count };
}

static bool dirent_iter_next(struct dirent_iter *iter)
{
	const struct image_name *child = iter->next < iter->count ? iter->children[iter->next]
								  : NULL;

	if (!iter->had_self && (!child || strcmp(".", child->name) < 0)) {
		iter->had_self = true;
		iter->name = ".";
		iter->inode = iter->dir->inode;
		return true;
	}
	if (!iter->had_parent && (!child || strcmp("..", child->name) < 0)) {
		iter->had_parent = true;
		iter->name = "..";
		iter->inode = iter->dir->parent->inode;
		return true;
	}
	if (!child)
		return false;
	iter->next++;
	iter->name = child->name;
	iter->inode = child->inode;
	return true;
}

/* The bytes of a directory: no entry crosses a block, the last block ends with its last name. */
static uint64_t dir_size(const struct layout *layout, const struct image_name *dir)
{
	struct dirent_iter iter;
	uint64_t full = 0, used = 0;
	size_t need;

	dirent_iter_init(&iter, layout, dir);
	while (dirent_iter_next(&iter)) {
		need = EROFS_DIRENT_SIZE + strlen(iter.name);
		if (used + need > IMAGE_BLOCK_SIZE) {
			full += IMAGE_BLOCK_SIZE;
			used = 0;
		}
		used += need;
	}
	return full + used;
}

static uint8_t dirent_type(const struct image_inode *inode)
{
	static const uint8_t types[] = {
		[S_IFREG >> 12] = 1, [S_IFDIR >> 12] = 2,  [S_IFCHR >> 12] = 3, [S_IFBLK >> 12] = 4,
		[S_IFIFO >> 12] = 5, [S_IFSOCK >> 12] = 6, [S_IFLNK >> 12] = 7,
	};

	return types[(inode->mode & S_IFMT) >> 12];
}

/* The entries from iter's current one on that fit into a block; true if there are more. */
static bool dir_block(struct dirent_iter *iter, uint8_t *block)
{
	struct dirent_iter ahead = *iter;
	size_t used = 0, count = 0, name_at;
	bool more = true;

	while (more && used + EROFS_DIRENT_SIZE + strlen(ahead.name) <= IMAGE_BLOCK_SIZE) {
		used += EROFS_DIRENT_SIZE + strlen(ahead.name);
		count++;
		more = dirent_iter_next(&ahead);
	}
	name_at = count * EROFS_DIRENT_SIZE;
	for (size_t i = 0; i < count; i++) {
		uint8_t *dirent = block + i * EROFS_DIRENT_SIZE;
		size_t len = strlen(iter->name);

		put_le64(dirent + EROFS_DIRENT_NID, iter->inode->nid);
		put_le16(dirent + EROFS_DIRENT_NAMEOFF, (uint16_t)name_at);
		dirent[EROFS_DIRENT_TYPE] = dirent_type(iter->inode);
		memcpy(block + name_at, iter->name, len);
		name_at += len;
		(void)dirent_iter_next(iter);
	}
	*iter = ahead;
	return more;
}

/* All of a directory into layout->dir, zeros to the end of its last block. */
static int dir_build(struct layout *layout, const struct image_name *dir, struct err *err)
{
	size_t room = image_content_blocks(dir->inode->size) * IMAGE_BLOCK_SIZE;
	struct dirent_iter iter;
	uint8_t *at;

	if (room > layout->dir_room) {
		at = realloc(layout->dir, room);
		if (!at)
			return err_num(err, -ENOMEM, "write a directory of %zu bytes", room);
		layout->dir = at;
		layout->dir_room = room;
	}
	memset(layout->dir, 0, room);
	dirent_iter_init(&iter, layout, dir);
	(void)dirent_iter_next(&iter);
	for (at = layout->dir; dir_block(&iter, at); at += IMAGE_BLOCK_SIZE)
		;
	return 0;
}

static bool is_inline(const struct image_inode *inode)
{
	return inode->held || (image_inode_is(inode, S_IFDIR) && inode->size <= IMAGE_INLINE_MAX);
}

static int layout_names(struct layout *layout, struct err *err)
{
	size_t end = 1, count = layout->tree->entries;
	struct image_inode *inode;

	layout->names = calloc(count, sizeof(const struct image_name *));
	layout->inodes = calloc(count, sizeof(struct image_inode *));
	if (!layout->names || !layout->inodes)
		return err_num(err, -ENOMEM, "list %zu names", count);
	layout->names[0] = layout->tree->root;
	for (size_t i = 0; i < end; i++) {
		inode = layout->names[i]->inode;
		if (inode->serial == 0) {
			layout->inodes[layout->inode_count++] = inode;
			inode->serial = (uint32_t)layout->inode_count;
		}
		if (!image_inode_is(inode, S_IFDIR))
			continue;
		inode->first_child = end;
		image_tree_list(inode, layout->names + end);
		end += inode->child_count;
	}
	assert(end == count);
	return 0;
}

static size_t xattr_size(const struct image_inode *inode)
{
	size_t len = inode->xattrs_len;

	/* Four bytes of header, name with its prefix cut off, the value 'y', and padding. */
	if (inode->is_opaque)
		len += 20;
	return len ? EROFS_XATTR_HEADER + len : 0;
}

static uint64_t map_entries(const struct image_inode *inode)
{
	unsigned int bits = image_content_chunk_bits(inode);

	return (image_content_blocks(inode->size) + (UINT64_C(1) << bits) - 1) >> bits;
}

/* The place of an inode at or after at; moves at past it and what belongs to it. */
static void layout_inode(struct layout *layout, struct image_inode *inode, uint64_t *at)
{
	uint64_t head = EROFS_INODE_SIZE + xattr_size(inode), start, into;

	start = (*at + EROFS_SLOT - 1) / EROFS_SLOT * EROFS_SLOT;
	into = (start + head) % IMAGE_BLOCK_SIZE;
	if (is_inline(inode) && into + inode->size > IMAGE_BLOCK_SIZE) {
		start += IMAGE_BLOCK_SIZE - into;
		start = (start + EROFS_SLOT - 1) / EROFS_SLOT * EROFS_SLOT;
	}
	inode->nid = start / EROFS_SLOT;
	*at = start + head;
	if (is_inline(inode))
		*at += inode->size;
	if (!inode->is_chunked)
		return;
	layout->has_chunked = true;
	*at += map_entries(inode) * sizeof(uint32_t);
}

static int layout_places(struct layout *layout, struct err *err)
{
	uint64_t at = FIRST_NID * EROFS_SLOT, blocks = 0;
	struct image_inode *inode;

	for (size_t i = 0; i < layout->tree->entries; i++) {
		inode = layout->names[i]->inode;
		if (!image_inode_is(inode, S_IFDIR))
			continue;
		inode->size = dir_size(layout, layout->names[i]);
		inode->blkaddr = (uint32_t)(layout->out->next + blocks);
		if (!is_inline(inode))
			blocks += image_content_blocks(inode->size);
	}
	for (size_t i = 0; i < layout->inode_count; i++)
		layout_inode(layout, layout->inodes[i], &at);
	layout->dir_blocks = blocks;
	layout->meta_blkaddr = layout->out->next + blocks;
	layout->meta_size = at;
	return image_output_reserve(layout->out, blocks + image_content_blocks(at), err);
}

static int write_dirs(struct layout *layout, struct err *err)
{
	const struct image_name *name;
	int r;

	for (size_t i = 0; i < layout->tree->entries; i++) {
		name = layout->names[i];
		if (!image_inode_is(name->inode, S_IFDIR) || is_inline(name->inode))
			continue;
		assert(name->inode->blkaddr == layout->out->next);
		r = dir_build(layout, name, err);
		if (r == 0)
			r = image_output_put(
				layout->out, layout->dir,
				image_content_blocks(name->inode->size) * IMAGE_BLOCK_SIZE, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_xattrs(struct image_output *out, const struct image_inode *inode, struct err *err)
{
	CLEANUP(buf_done) struct buf opaque = { 0 };
	int r;

	if (xattr_size(inode) == 0)
		return 0;
	if (inode->is_opaque) {
		r = image_xattr_add_opaque(&opaque);
		if (r < 0)
			return err_num(err, r, "mark an opaque directory");
		assert(EROFS_XATTR_HEADER + inode->xattrs_len + opaque.len == xattr_size(inode));
	}
	r = image_output_fill(out, EROFS_XATTR_HEADER, err);
	if (r == 0)
		r = image_output_put(out, inode->xattrs, inode->xattrs_len, err);
	return r < 0 ? r : image_output_put(out, opaque.at, opaque.len, err);
}

static int write_map(struct image_output *out, const struct image_inode *inode, struct err *err)
{
	uint64_t step = UINT64_C(1) << image_content_chunk_bits(inode), count = map_entries(inode);
	const struct image_run *run = inode->runs, *end = inode->runs + inode->run_count;
	uint8_t entry[4];
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++) {
		while (run < end && i * step >= run->start + run->count)
			run++;
		if (run < end && i * step >= run->start)
			put_le32(entry, (uint32_t)(run->blkaddr + (i * step - run->start)));
		else
			put_le32(entry, EROFS_HOLE);
		r = image_output_put(out, entry, sizeof(entry), err);
	}
	return r;
}

static void encode_inode(const struct image_inode *inode, uint8_t at[EROFS_INODE_SIZE])
{
	unsigned int kind = is_inline(inode)	? EROFS_FLAT_INLINE
			    : inode->is_chunked ? EROFS_CHUNK_BASED
						: EROFS_FLAT_PLAIN;
	size_t xattrs = xattr_size(inode);
	uint32_t u = inode->blkaddr, links = inode->names;

	if (kind == EROFS_FLAT_INLINE)
		u = 0;
	if (inode->is_chunked)
		u = image_content_chunk_bits(inode);
	if (image_inode_is(inode, S_IFDIR))
		links = 2 + inode->subdir_count;
	memset(at, 0, EROFS_INODE_SIZE);
	put_le16(at + EROFS_INODE_FORMAT, (uint16_t)(1 | kind << 1));
	if (xattrs)
		put_le16(at + EROFS_INODE_XATTR_ICOUNT,
			 (uint16_t)((xattrs - EROFS_XATTR_HEADER) / sizeof(uint32_t) + 1));
	put_le16(at + EROFS_INODE_MODE, (uint16_t)inode->mode);
	put_le64(at + EROFS_INODE_LENGTH, inode->size);
	put_le32(at + EROFS_INODE_U, u);
	put_le32(at + EROFS_INODE_INO, inode->serial);
	put_le32(at + EROFS_INODE_UID, inode->uid);
	put_le32(at + EROFS_INODE_GID, inode->gid);
	put_le64(at + EROFS_INODE_MTIME, (uint64_t)inode->mtime_s);
	put_le32(at + EROFS_INODE_MTIME_NSEC, inode->mtime_ns);
	put_le32(at + EROFS_INODE_NLINK, links);
}

/* Bytes since the inodes began. */
static uint64_t meta_at(const struct layout *layout)
{
	return (layout->out->next - layout->meta_blkaddr) * IMAGE_BLOCK_SIZE +
	       layout->out->part_len;
}

static int write_inode(struct layout *layout, const struct image_name *name, struct err *err)
{
	const struct image_inode *inode = name->inode;
	uint8_t encoded[EROFS_INODE_SIZE];
	const uint8_t *body = inode->held;
	int r;

	r = image_output_fill(layout->out, inode->nid * EROFS_SLOT - meta_at(layout), err);
	encode_inode(inode, encoded);
	if (r == 0)
		r = image_output_put(layout->out, encoded, sizeof(encoded), err);
	if (r == 0)
		r = write_xattrs(layout->out, inode, err);
	if (r == 0 && is_inline(inode) && !body) {
		r = dir_build(layout, name, err);
		body = layout->dir;
	}
	if (r == 0 && is_inline(inode))
		r = image_output_put(layout->out, body, inode->size, err);
	if (r == 0 && inode->is_chunked)
		r = write_map(layout->out, inode, err);
	return r;
}

static int write_inodes(struct layout *layout, struct err *err)
{
	uint32_t serial = 0;
	int r;

	for (size_t i = 0; i < layout->tree->entries; i++) {
		if (layout->names[i]->inode->serial <= serial)
			continue;
		serial++;
		r = write_inode(layout, layout->names[i], err);
		if (r < 0)
			return r;
	}
	assert(serial == layout->inode_count && meta_at(layout) == layout->meta_size);
	return image_output_align(layout->out, err);
}

static void encode_super(const struct layout *layout, uint8_t block[IMAGE_BLOCK_SIZE])
{
	uint8_t *at = block + EROFS_SB_AT;

	memset(block, 0, IMAGE_BLOCK_SIZE);
	put_le32(at + EROFS_SB_MAGIC, EROFS_MAGIC);
	put_le32(at + EROFS_SB_FEATURE_COMPAT, EROFS_COMPAT_MTIME);
	at[EROFS_SB_BLKSZBITS] = EROFS_BLOCK_BITS;
	put_le16(at + EROFS_SB_ROOT_NID, (uint16_t)layout->tree->root->inode->nid);
	put_le64(at + EROFS_SB_INOS, layout->inode_count);
	put_le32(at + EROFS_SB_BLOCKS, (uint32_t)layout->out->next);
	put_le32(at + EROFS_SB_META_BLKADDR, (uint32_t)layout->meta_blkaddr);
	memcpy(at + EROFS_SB_VOLUME_NAME, IMAGE_FORMAT, sizeof(IMAGE_FORMAT));
	if (layout->has_chunked)
		put_le32(at + EROFS_SB_FEATURE_INCOMPAT, EROFS_INCOMPAT_CHUNKED_FILE);
}

static int erofs_write(struct layout *layout, struct image_info *ret_info, struct err *err)
{
	uint8_t super[IMAGE_BLOCK_SIZE];
	int r;

	r = layout_names(layout, err);
	if (r == 0)
		r = layout_places(layout, err);
	if (r == 0)
		r = write_dirs(layout, err);
	if (r == 0)
		r = write_inodes(layout, err);
	if (r < 0)
		return r;
	encode_super(layout, super);
	return image_output_finish(layout->out, super, ret_info, err);
}

int image_erofs_finish(struct image_tree *tree, struct image_output *out,
		       struct image_info *ret_info, struct err *err)
{
	struct layout layout = { .tree = tree, .out = out };
	int r = erofs_write(&layout, ret_info, err);

	free(layout.names);
	free(layout.inodes);
	free(layout.dir);
	return r;
}
