/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content - the bytes of one file, as they come, to blocks of the image and a list of runs.
 *
 * What is stored depends on the bytes and the size alone: rows of zero blocks become holes
 * whether the tar said so or not, however the bytes were cut into calls.
 *
 * A file is addressed in chunks of one size. Up to 4 GiB any block can begin a hole; beyond that
 * a hole begins and ends at multiples of a granule, so that no map has more than
 * CONTENT_MAP_MAX addresses.
 */
#ifndef IMAGE_CONTENT_PRIV_H
#define IMAGE_CONTENT_PRIV_H

#include "image/output_priv.h"
#include "image/tree_priv.h"

enum { CONTENT_MAP_MAX = 1 << 20 };

struct image_content {
	struct image_tree *tree;
	struct image_output *out;
	uint64_t inlined;		/* bytes kept beside inodes so far, of all files */
	struct image_inode *inode;	/* none: no file is open */
	uint64_t next;			/* bytes taken */
	uint64_t stored;		/* blocks before this one are in a run or a hole */
	uint64_t granule;		/* in blocks */
	bool is_open;			/* the last run goes on at stored */
	uint8_t part[IMAGE_BLOCK_SIZE]; /* the block that next is in */
};

/* A file of that size. -EFBIG with ERR_IMAGE_LIMIT: IMAGE_SIZE_MAX. */
int image_content_begin(struct image_content *content, struct image_inode *inode, uint64_t size,
			struct err *err);
/* -EINVAL: out of order or beyond the size, ERR_IMAGE. */
int image_content_data(struct image_content *content, uint64_t offset, struct bytes bytes,
		       struct err *err);
/* Zeros up to the size. Without an open file it does nothing. */
int image_content_end(struct image_content *content, struct err *err);

/* The largest chunk (its bits above a block's) by which a file's map says what its runs say. */
unsigned int image_content_chunk_bits(const struct image_inode *inode);
static inline uint64_t image_content_blocks(uint64_t size)
{
	return (size + IMAGE_BLOCK_SIZE - 1) / IMAGE_BLOCK_SIZE;
}

#endif
