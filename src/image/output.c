// SPDX-License-Identifier: Apache-2.0
#include "image/output_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { QUEUE_SIZE = 64 * IMAGE_BLOCK_SIZE };

static const uint8_t zero_block[IMAGE_BLOCK_SIZE];

int image_output_init(struct image_output *out, const struct image_sink *sink, uint64_t max_bytes,
		      struct err *err)
{
	int r;

	*out = (struct image_output){ .sink = *sink, .max_bytes = max_bytes };
	out->queue = malloc(QUEUE_SIZE);
	r = out->queue ? image_verity_new(&out->verity) : -ENOMEM;
	if (r == 0)
		r = image_verity_add(out->verity, zero_block);
	if (r < 0)
		return err_num(err, r, "start an image");
	out->next = 1;
	return 0;
}

void image_output_done(struct image_output *out)
{
	free(out->queue);
	out->queue = NULL;
	out->verity = image_verity_free(out->verity);
}

int image_output_reserve(const struct image_output *out, uint64_t blocks, struct err *err)
{
	/* An address of a block has 32 bits, and the last one means a hole. */
	uint64_t most = out->max_bytes / IMAGE_BLOCK_SIZE;

	if (most > UINT32_MAX)
		most = UINT32_MAX;
	if (out->next <= most && blocks <= most - out->next)
		return 0;
	return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
			 "store %" PRIu64 " bytes or more, of at most %" PRIu64,
			 (out->next + blocks) * IMAGE_BLOCK_SIZE, out->max_bytes);
}

static int output_flush(struct image_output *out, struct err *err)
{
	struct bytes bytes = { out->queue, out->queued };
	int r;

	if (bytes.len == 0)
		return 0;
	out->queued = 0;
	r = out->sink.write(out->sink.data, out->next * IMAGE_BLOCK_SIZE - bytes.len, bytes, err);
	return r < 0 ? err_wrap(err, r, "write the image") : 0;
}

int image_output_block(struct image_output *out, const uint8_t *block, struct err *err)
{
	int r;

	assert(out->part_len == 0);
	if (!block)
		block = zero_block;
	r = image_output_reserve(out, 1, err);
	if (r < 0)
		return r;
	r = image_verity_add(out->verity, block);
	if (r < 0)
		return err_num(err, r, "hash block %" PRIu64, out->next);
	memcpy(out->queue + out->queued, block, IMAGE_BLOCK_SIZE);
	out->queued += IMAGE_BLOCK_SIZE;
	out->next++;
	return out->queued == QUEUE_SIZE ? output_flush(out, err) : 0;
}

int image_output_align(struct image_output *out, struct err *err)
{
	if (out->part_len == 0)
		return 0;
	memset(out->part + out->part_len, 0, IMAGE_BLOCK_SIZE - out->part_len);
	out->part_len = 0;
	return image_output_block(out, out->part, err);
}

int image_output_put(struct image_output *out, const void *at, size_t len, struct err *err)
{
	const uint8_t *from = at;
	size_t n;
	int r;

	for (; len > 0; from += n, len -= n) {
		n = IMAGE_BLOCK_SIZE - out->part_len;
		n = n < len ? n : len;
		memcpy(out->part + out->part_len, from, n);
		out->part_len += n;
		r = out->part_len == IMAGE_BLOCK_SIZE ? image_output_align(out, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int image_output_fill(struct image_output *out, size_t zeros, struct err *err)
{
	size_t n;
	int r = 0;

	for (; zeros > 0 && r == 0; zeros -= n) {
		n = zeros < IMAGE_BLOCK_SIZE ? zeros : IMAGE_BLOCK_SIZE;
		r = image_output_put(out, zero_block, n, err);
	}
	return r;
}

static int output_tree_block(void *data, struct bytes block, struct err *err)
{
	struct image_output *out = data;

	memcpy(out->queue + out->queued, block.at, block.len);
	out->queued += block.len;
	out->next++;
	return out->queued == QUEUE_SIZE ? output_flush(out, err) : 0;
}

int image_output_finish(struct image_output *out, const uint8_t *first, struct image_info *ret_info,
			struct err *err)
{
	struct image_info info = { .data_blocks = out->next, .hash_start_block = out->next };
	int r;

	assert(out->part_len == 0);
	r = image_verity_set(out->verity, 0, first);
	if (r < 0)
		return err_num(err, r, "hash the first block");
	r = image_verity_finish(out->verity, output_tree_block, out, info.root, err);
	if (r == 0)
		r = output_flush(out, err);
	if (r < 0)
		return err_wrap(err, r, "write the hash tree");
	r = out->sink.write(out->sink.data, 0, (struct bytes){ first, IMAGE_BLOCK_SIZE }, err);
	if (r < 0)
		return err_wrap(err, r, "write the first block");
	info.total_bytes = out->next * IMAGE_BLOCK_SIZE;
	*ret_info = info;
	return 0;
}
