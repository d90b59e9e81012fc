/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output - the image as a row of blocks: each one is hashed as it passes, and handed to the sink
 * in larger pieces. Block 0 is kept back until the end.
 */
#ifndef IMAGE_OUTPUT_PRIV_H
#define IMAGE_OUTPUT_PRIV_H

#include "image/verity.h"
#include "image/writer.h"

struct image_output {
	struct image_sink sink;
	struct image_verity *verity;
	uint64_t max_bytes;
	uint64_t next;			/* the block that comes next */
	uint8_t *queue;			/* blocks before next that the sink has not seen */
	size_t queued;			/* in bytes */
	uint8_t part[IMAGE_BLOCK_SIZE]; /* the block that is being put together */
	size_t part_len;
};

int image_output_init(struct image_output *out, const struct image_sink *sink, uint64_t max_bytes,
		      struct err *err);
void image_output_done(struct image_output *out);

/* -EFBIG with ERR_IMAGE_LIMIT if that many blocks more would be too many. */
int image_output_reserve(const struct image_output *out, uint64_t blocks, struct err *err);

/* A whole block; no part of one may be pending. NULL is a block of zeros. */
int image_output_block(struct image_output *out, const uint8_t *block, struct err *err);

/* Bytes one after the other, and zeros up to the next block. */
int image_output_put(struct image_output *out, const void *at, size_t len, struct err *err);
int image_output_fill(struct image_output *out, size_t zeros, struct err *err);
int image_output_align(struct image_output *out, struct err *err);

/* Block 0, then the tree. */
int image_output_finish(struct image_output *out, const uint8_t *first, struct image_info *ret_info,
			struct err *err);

#endif
