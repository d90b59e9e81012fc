// SPDX-License-Identifier: Apache-2.0
#include "image/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "image/format_priv.h"
#include "image/xattr_priv.h"

struct image_reader {
	struct image_source source;
	uint64_t size; /* of the image, without the tree */
	uint64_t meta_at;
	uint64_t root_nid;
	/* What the last entry points at. */
	char target[IMAGE_PATH_MAX + 1];
	struct buf attrs;
	struct image_xattr xattrs[IMAGE_XATTR_COUNT_MAX];
	char names[IMAGE_XATTR_COUNT_MAX][IMAGE_NAME_MAX + 32];
};

struct inode {
	uint64_t at;   /* of it in the image */
	uint64_t body; /* of what comes behind it and its attributes */
	unsigned int kind;
	uint32_t mode;
	uint64_t size;
	size_t xattrs; /* bytes of them */
	uint32_t u;
	uint8_t raw[EROFS_INODE_SIZE];
};

static int damaged(const char *what, uint64_t nid, struct err *err)
{
	return err_coded(err, ERR_IMAGE, -EINVAL, "file %" PRIu64 " of the image: %s", nid, what);
}

static int reader_read(const struct image_reader *reader, uint64_t offset, void *at, size_t len,
		       struct err *err)
{
	if (offset > reader->size || len > reader->size - offset)
		return err_coded(err, ERR_IMAGE, -EINVAL,
				 "%zu bytes at %" PRIu64 ", beyond the image's end", len, offset);
	return reader->source.read(reader->source.data, offset, at, len, err);
}

int image_reader_new(const struct image_source *source, struct image_reader **ret_reader,
		     struct err *err)
{
	CLEANUP(image_reader_free) struct image_reader *reader = calloc(1, sizeof(*reader));
	uint8_t super[EROFS_SB_SIZE];
	int r;

	if (!reader)
		return err_num(err, -ENOMEM, "open an image");
	reader->source = *source;
	r = source->read(source->data, EROFS_SB_AT, super, sizeof(super), err);
	if (r < 0)
		return r;
	if (get_le32(super + EROFS_SB_MAGIC) != EROFS_MAGIC ||
	    super[EROFS_SB_BLKSZBITS] != EROFS_BLOCK_BITS ||
	    (get_le32(super + EROFS_SB_FEATURE_INCOMPAT) & ~EROFS_INCOMPAT_CHUNKED_FILE) ||
	    memcmp(super + EROFS_SB_VOLUME_NAME, IMAGE_FORMAT, sizeof(IMAGE_FORMAT)) != 0)
		return err_coded(err, ERR_IMAGE, -EINVAL, "no image of the format '%s'",
				 IMAGE_FORMAT);
	reader->size = (uint64_t)get_le32(super + EROFS_SB_BLOCKS) * IMAGE_BLOCK_SIZE;
	reader->meta_at = (uint64_t)get_le32(super + EROFS_SB_META_BLKADDR) * IMAGE_BLOCK_SIZE;
	reader->root_nid = get_le16(super + EROFS_SB_ROOT_NID);
	*ret_reader = steal_ptr(&reader);
	return 0;
}

struct image_reader *image_reader_free(struct image_reader *reader)
{
	if (!reader)
		return NULL;
	buf_done(&reader->attrs);
	free(reader);
	return NULL;
}

uint64_t image_reader_root(const struct image_reader *reader)
{
	return reader->root_nid;
}

static int read_inode(const struct image_reader *reader, uint64_t nid, struct inode *ret_inode,
		      struct err *err)
{
	struct inode inode = { 0 };
	unsigned int format, icount;
	int r;

	if (nid > reader->size / EROFS_SLOT)
		return damaged("there are not that many", nid, err);
	inode.at = reader->meta_at + nid * EROFS_SLOT;
	r = reader_read(reader, inode.at, inode.raw, sizeof(inode.raw), err);
	if (r < 0)
		return r;
	format = get_le16(inode.raw + EROFS_INODE_FORMAT);
	icount = get_le16(inode.raw + EROFS_INODE_XATTR_ICOUNT);
	inode.kind = format >> 1;
	inode.mode = get_le16(inode.raw + EROFS_INODE_MODE);
	inode.size = get_le64(inode.raw + EROFS_INODE_LENGTH);
	inode.u = get_le32(inode.raw + EROFS_INODE_U);
	if (icount)
		inode.xattrs = EROFS_XATTR_HEADER + (icount - 1) * sizeof(uint32_t);
	inode.body = inode.at + sizeof(inode.raw) + inode.xattrs;
	if (!(format & 1) || (inode.kind != EROFS_FLAT_PLAIN && inode.kind != EROFS_FLAT_INLINE &&
			      inode.kind != EROFS_CHUNK_BASED))
		return damaged("of no kind that is known", nid, err);
	if (inode.size > IMAGE_SIZE_MAX ||
	    (inode.kind == EROFS_FLAT_INLINE && inode.size > IMAGE_BLOCK_SIZE) ||
	    (inode.kind == EROFS_CHUNK_BASED && inode.u > EROFS_CHUNK_BITS_MAX))
		return damaged("too large", nid, err);
	*ret_inode = inode;
	return 0;
}

/* Where the block'th block of a file lies: 1 and ret_at, or 0 for a hole. */
static int block_find(const struct image_reader *reader, const struct inode *inode, uint64_t block,
		      uint64_t *ret_at, struct err *err)
{
	uint8_t entry[4];
	uint64_t chunk;
	int r;

	if (inode->kind == EROFS_FLAT_INLINE) {
		*ret_at = inode->body;
		return 1;
	}
	if (inode->kind == EROFS_FLAT_PLAIN) {
		*ret_at = (inode->u + block) * IMAGE_BLOCK_SIZE;
		return 1;
	}
	chunk = block >> inode->u;
	r = reader_read(reader, inode->body + chunk * sizeof(entry), entry, sizeof(entry), err);
	if (r < 0)
		return r;
	if (get_le32(entry) == EROFS_HOLE)
		return 0;
	*ret_at = (get_le32(entry) + (block - (chunk << inode->u))) * IMAGE_BLOCK_SIZE;
	return 1;
}

/* Up to a block's bytes of a file: 1, or 0 for a hole. */
static int block_read(const struct image_reader *reader, const struct inode *inode, uint64_t block,
		      uint8_t *at, size_t *ret_len, struct err *err)
{
	uint64_t left = inode->size - block * IMAGE_BLOCK_SIZE, from;
	size_t len = left < IMAGE_BLOCK_SIZE ? left : IMAGE_BLOCK_SIZE;
	int r = block_find(reader, inode, block, &from, err);

	*ret_len = len;
	if (r <= 0)
		return r;
	r = reader_read(reader, from, at, len, err);
	return r < 0 ? r : 1;
}

/* 1 if a block of a directory has the name, 0 if not. */
static int dir_block_find(struct bytes block, uint64_t dir_nid, const char *name, uint64_t *ret_nid,
			  struct err *err)
{
	size_t want = strlen(name), count, start, end;
	const uint8_t *dirent;

	if (block.len < EROFS_DIRENT_SIZE)
		return damaged("a directory that is cut off", dir_nid, err);
	start = get_le16(block.at + EROFS_DIRENT_NAMEOFF);
	if (start == 0 || start > block.len || start % EROFS_DIRENT_SIZE)
		return damaged("a directory with names at odd places", dir_nid, err);
	count = start / EROFS_DIRENT_SIZE;
	for (size_t i = 0; i < count; i++) {
		dirent = block.at + i * EROFS_DIRENT_SIZE;
		start = get_le16(dirent + EROFS_DIRENT_NAMEOFF);
		end = block.len;
		if (i + 1 < count)
			end = get_le16(dirent + EROFS_DIRENT_SIZE + EROFS_DIRENT_NAMEOFF);
		if (start > end || end > block.len)
			return damaged("a directory with names at odd places", dir_nid, err);
		if (i + 1 == count)
			end = start + strnlen((const char *)block.at + start, end - start);
		if (end - start != want || memcmp(block.at + start, name, want) != 0)
			continue;
		*ret_nid = get_le64(dirent + EROFS_DIRENT_NID);
		return 1;
	}
	return 0;
}

int image_reader_find(struct image_reader *reader, uint64_t dir_nid, const char *name,
		      uint64_t *ret_nid, struct err *err)
{
	uint8_t block[IMAGE_BLOCK_SIZE];
	struct inode inode;
	size_t len;
	int r;

	r = read_inode(reader, dir_nid, &inode, err);
	if (r < 0)
		return r;
	if (!S_ISDIR(inode.mode))
		return err_num(err, -ENOTDIR, "look for '%s'", name);
	for (uint64_t i = 0; i * IMAGE_BLOCK_SIZE < inode.size; i++) {
		r = block_read(reader, &inode, i, block, &len, err);
		if (r == 0)
			return damaged("a directory with a hole", dir_nid, err);
		if (r > 0)
			r = dir_block_find((struct bytes){ block, len }, dir_nid, name, ret_nid,
					   err);
		if (r != 0)
			return r;
	}
	return 0;
}

static int entry_type(const struct inode *inode, uint64_t nid, enum image_type *ret_type,
		      struct err *err)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		*ret_type = IMAGE_FILE;
		return 0;
	case S_IFDIR:
		*ret_type = IMAGE_DIR;
		return 0;
	case S_IFLNK:
		*ret_type = IMAGE_SYMLINK;
		return 0;
	case S_IFCHR:
		*ret_type = IMAGE_CHAR;
		return 0;
	case S_IFIFO:
		*ret_type = IMAGE_FIFO;
		return 0;
	case S_IFSOCK:
		*ret_type = IMAGE_SOCKET;
		return 0;
	}
	return damaged("of no type that is known", nid, err);
}

static int stat_target(struct image_reader *reader, const struct inode *inode, uint64_t nid,
		       struct err *err)
{
	uint8_t block[IMAGE_BLOCK_SIZE];
	size_t len;
	int r;

	if (inode->size == 0 || inode->size > IMAGE_PATH_MAX)
		return damaged("a symbolic link of no length that can be", nid, err);
	r = block_read(reader, inode, 0, block, &len, err);
	if (r == 0)
		return damaged("a symbolic link with a hole", nid, err);
	if (r < 0)
		return r;
	memcpy(reader->target, block, len);
	reader->target[len] = '\0';
	return 0;
}

static int stat_xattrs(struct image_reader *reader, const struct inode *inode, uint64_t nid,
		       struct image_entry *entry, bool *ret_is_opaque, struct err *err)
{
	struct bytes all;
	size_t off = 0;
	bool is_mark;
	int r;

	reader->attrs.len = 0;
	r = buf_reserve(&reader->attrs, inode->xattrs);
	if (r < 0)
		return err_num(err, r, "read attributes");
	r = reader_read(reader, inode->at + EROFS_INODE_SIZE, reader->attrs.at, inode->xattrs, err);
	if (r < 0)
		return r;
	all = (struct bytes){ reader->attrs.at + EROFS_XATTR_HEADER,
			      inode->xattrs - EROFS_XATTR_HEADER };
	for (;;) {
		struct image_xattr *xattr = &reader->xattrs[entry->xattr_count];

		if (entry->xattr_count == IMAGE_XATTR_COUNT_MAX)
			return damaged("too many attributes", nid, err);
		xattr->name = reader->names[entry->xattr_count];
		r = image_xattr_next(all, &off, reader->names[entry->xattr_count], &xattr->value,
				     &is_mark);
		if (r < 0)
			return damaged("attributes that make no sense", nid, err);
		if (r == 0)
			return 0;
		if (is_mark)
			*ret_is_opaque = true;
		else
			entry->xattr_count++;
	}
}

int image_reader_stat(struct image_reader *reader, uint64_t nid, struct image_entry *ret_entry,
		      bool *ret_is_opaque, struct err *err)
{
	struct image_entry entry = { 0 };
	bool is_opaque = false;
	struct inode inode;
	int r;

	r = read_inode(reader, nid, &inode, err);
	if (r == 0)
		r = entry_type(&inode, nid, &entry.type, err);
	if (r == 0 && inode.xattrs > EROFS_XATTR_HEADER)
		r = stat_xattrs(reader, &inode, nid, &entry, &is_opaque, err);
	if (r == 0 && entry.type == IMAGE_SYMLINK)
		r = stat_target(reader, &inode, nid, err);
	if (r < 0)
		return r;
	entry.mode = inode.mode & 07777;
	entry.uid = get_le32(inode.raw + EROFS_INODE_UID);
	entry.gid = get_le32(inode.raw + EROFS_INODE_GID);
	entry.mtime_s = (int64_t)get_le64(inode.raw + EROFS_INODE_MTIME);
	entry.mtime_ns = get_le32(inode.raw + EROFS_INODE_MTIME_NSEC);
	entry.size = entry.type == IMAGE_FILE ? inode.size : 0;
	entry.link = entry.type == IMAGE_SYMLINK ? reader->target : NULL;
	entry.xattrs = reader->xattrs;
	*ret_entry = entry;
	*ret_is_opaque = is_opaque;
	return 0;
}

int image_reader_content(struct image_reader *reader, uint64_t nid, const struct image_sink *to,
			 struct err *err)
{
	uint8_t block[IMAGE_BLOCK_SIZE];
	uint64_t step = 1, next;
	struct inode inode;
	size_t len;
	int r;

	r = read_inode(reader, nid, &inode, err);
	if (r < 0)
		return r;
	if (!S_ISREG(inode.mode))
		return damaged("no regular file", nid, err);
	if (inode.kind == EROFS_CHUNK_BASED)
		step = UINT64_C(1) << inode.u;
	for (uint64_t i = 0; i * IMAGE_BLOCK_SIZE < inode.size; i = next) {
		r = block_read(reader, &inode, i, block, &len, err);
		if (r > 0)
			r = to->write(to->data, i * IMAGE_BLOCK_SIZE, (struct bytes){ block, len },
				      err);
		else if (r == 0)
			i = (i / step + 1) * step - 1; /* the rest of a hole's chunk */
		if (r < 0)
			return r;
		next = i + 1;
	}
	return 0;
}
