// SPDX-License-Identifier: Apache-2.0
#include "image/content_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/format_priv.h"

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, IMAGE_BLOCK_SIZE - 1) == 0;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint64_t granule_for(uint64_t blocks)
{
	uint64_t granule = 1;

	while (round_up(blocks, granule) / granule > CONTENT_MAP_MAX)
		granule *= 2;
	return granule;
}

int image_content_begin(struct image_content *content, struct image_inode *inode, uint64_t size,
			struct err *err)
{
	int r;

	assert(!content->inode);
	if (size > IMAGE_SIZE_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "a file of %" PRIu64 " bytes, of at most %" PRIu64, size,
				 IMAGE_SIZE_MAX);
	inode->size = size;
	if (size == 0)
		return 0;
	content->next = 0;
	content->stored = 0;
	content->is_open = false;
	content->granule = granule_for(image_content_blocks(size));
	if (size <= IMAGE_INLINE_MAX && content->inlined + size <= IMAGE_INLINE_TOTAL) {
		r = image_tree_hold(content->tree, size, err);
		if (r < 0)
			return r;
		inode->held = calloc(1, size);
		if (!inode->held) {
			image_tree_unhold(content->tree, size);
			return err_num(err, -ENOMEM, "keep a small file");
		}
		content->inlined += size;
	}
	content->inode = inode;
	inode->refs++;
	return 0;
}

/* A run that begins at a block of the file, and goes to the end of the image. */
static int run_open(struct image_content *content, uint64_t start, struct err *err)
{
	struct image_inode *inode = content->inode;
	struct image_run *runs;
	size_t count = inode->run_count;
	int r;

	r = image_tree_hold(content->tree, sizeof(*runs), err);
	if (r < 0)
		return r;
	/* Grows at powers of two, so that their number alone says when. */
	runs = inode->runs;
	if ((count & (count - 1)) == 0)
		runs = realloc(inode->runs, (count ? 2 * count : 1) * sizeof(*runs));
	if (!runs) {
		image_tree_unhold(content->tree, sizeof(*runs));
		return err_num(err, -ENOMEM, "keep where a file lies");
	}
	inode->runs = runs;
	runs[count] = (struct image_run){ .start = start, .blkaddr = (uint32_t)content->out->next };
	inode->run_count++;
	content->is_open = true;
	content->stored = start;
	return 0;
}

static int run_block(struct image_content *content, const uint8_t *block, struct err *err)
{
	int r = image_output_block(content->out, block, err);

	if (r < 0)
		return r;
	content->inode->runs[content->inode->run_count - 1].count++;
	content->stored++;
	return 0;
}

static int run_zeros(struct image_content *content, uint64_t to, struct err *err)
{
	int r = 0;

	if (content->stored < to && !content->is_open)
		r = run_open(content, content->stored, err);
	if (r == 0 && content->stored < to)
		r = image_output_reserve(content->out, to - content->stored, err);
	while (r == 0 && content->stored < to)
		r = run_block(content, NULL, err);
	return r;
}

/*
 * Makes a hole of the zero blocks from stored to at, or stores them if they are too few. end is
 * what at, rounded down to a granule, is; the end of the file counts as rounded.
 */
static int gap_close(struct image_content *content, uint64_t at, uint64_t end, struct err *err)
{
	uint64_t start = round_up(content->stored, content->granule);
	int r;

	if (end >= start && end - start >= IMAGE_HOLE_BLOCKS) {
		r = run_zeros(content, content->is_open ? start : content->stored, err);
		if (r < 0)
			return r;
		content->is_open = false;
		content->stored = end;
	}
	return run_zeros(content, at, err);
}

/* The block number at; all between stored and it are zero. */
static int take_block(struct image_content *content, uint64_t at, const uint8_t *block,
		      struct err *err)
{
	int r;

	if (is_zero(block))
		return 0;
	r = gap_close(content, at, at / content->granule * content->granule, err);
	if (r == 0 && !content->is_open)
		r = run_open(content, at, err);
	return r < 0 ? r : run_block(content, block, err);
}

/* The block that next is in has all its bytes, or gets zeros for what it lacks. */
static int part_flush(struct image_content *content, struct err *err)
{
	size_t have = content->next % IMAGE_BLOCK_SIZE;
	int r;

	if (have == 0)
		return 0;
	memset(content->part + have, 0, IMAGE_BLOCK_SIZE - have);
	r = take_block(content, content->next / IMAGE_BLOCK_SIZE, content->part, err);
	content->next = round_up(content->next, IMAGE_BLOCK_SIZE);
	return r;
}

static int skip_to(struct image_content *content, uint64_t offset, struct err *err)
{
	size_t have = content->next % IMAGE_BLOCK_SIZE;
	int r;

	if (offset / IMAGE_BLOCK_SIZE != content->next / IMAGE_BLOCK_SIZE) {
		r = part_flush(content, err);
		if (r < 0)
			return r;
		have = 0;
	}
	if (offset % IMAGE_BLOCK_SIZE)
		memset(content->part + have, 0, offset % IMAGE_BLOCK_SIZE - have);
	content->next = offset;
	return 0;
}

static int take_bytes(struct image_content *content, struct bytes bytes, struct err *err)
{
	size_t have, n;
	int r;

	for (; bytes.len > 0; bytes.at += n, bytes.len -= n) {
		have = content->next % IMAGE_BLOCK_SIZE;
		if (have == 0 && bytes.len >= IMAGE_BLOCK_SIZE) {
			n = IMAGE_BLOCK_SIZE;
			r = take_block(content, content->next / IMAGE_BLOCK_SIZE, bytes.at, err);
			content->next += n;
		} else {
			n = IMAGE_BLOCK_SIZE - have;
			n = n < bytes.len ? n : bytes.len;
			memcpy(content->part + have, bytes.at, n);
			r = 0;
			if (have + n == IMAGE_BLOCK_SIZE)
				r = take_block(content, content->next / IMAGE_BLOCK_SIZE,
					       content->part, err);
			content->next += n;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int image_content_data(struct image_content *content, uint64_t offset, struct bytes bytes,
		       struct err *err)
{
	struct image_inode *inode = content->inode;
	int r;

	if (bytes.len == 0)
		return 0;
	if (!inode || bytes.len > inode->size || offset > inode->size - bytes.len)
		return err_coded(err, ERR_IMAGE, -EINVAL,
				 "%zu bytes at %" PRIu64 ", beyond the file's end", bytes.len,
				 offset);
	if (offset < content->next)
		return err_coded(err, ERR_IMAGE, -EINVAL,
				 "bytes at %" PRIu64 " after those before %" PRIu64, offset,
				 content->next);
	if (inode->held) {
		memcpy(inode->held + offset, bytes.at, bytes.len);
		content->next = offset + bytes.len;
		return 0;
	}
	r = skip_to(content, offset, err);
	return r < 0 ? r : take_bytes(content, bytes, err);
}

int image_content_end(struct image_content *content, struct err *err)
{
	struct image_inode *inode = content->inode;
	uint64_t blocks;
	int r = 0;

	if (!inode)
		return 0;
	blocks = image_content_blocks(inode->size);
	if (!inode->held)
		r = part_flush(content, err);
	if (!inode->held && r == 0)
		r = gap_close(content, blocks, blocks, err);
	if (r == 0 && !inode->held) {
		inode->is_chunked = inode->run_count != 1 || inode->runs[0].count != blocks;
		if (!inode->is_chunked)
			inode->blkaddr = inode->runs[0].blkaddr;
	}
	content->inode = NULL;
	image_tree_unref(content->tree, inode);
	return r;
}

unsigned int image_content_chunk_bits(const struct image_inode *inode)
{
	uint64_t blocks = image_content_blocks(inode->size), edges = 0, end;
	unsigned int bits = 0;

	for (size_t i = 0; i < inode->run_count; i++) {
		end = inode->runs[i].start + inode->runs[i].count;
		edges |= inode->runs[i].start | (end == blocks ? 0 : end);
	}
	while (bits < EROFS_CHUNK_BITS_MAX && (UINT64_C(1) << bits) < blocks &&
	       !(edges >> bits & 1))
		bits++;
	return bits;
}
