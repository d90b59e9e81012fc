// SPDX-License-Identifier: Apache-2.0
#include "image/verity.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/buf.h"

enum {
	FAN_BITS = 7,	 /* a block holds 128 hashes */
	LEVELS_MAX = 10, /* 64 bits of block numbers */
};

struct image_verity {
	EVP_MD *sha256;
	EVP_MD_CTX *ctx;
	struct buf level[LEVELS_MAX]; /* 0 has the hashes of the data, padded when finished */
};

int image_verity_new(struct image_verity **ret_verity)
{
	CLEANUP(image_verity_free) struct image_verity *verity = calloc(1, sizeof(*verity));

	if (!verity)
		return -ENOMEM;
	/* Fetched once: a look-up for every block costs as much as hashing a quarter of it. */
	verity->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!verity->sha256)
		return -EIO;
	verity->ctx = EVP_MD_CTX_new();
	if (!verity->ctx)
		return -ENOMEM;
	*ret_verity = steal_ptr(&verity);
	return 0;
}

struct image_verity *image_verity_free(struct image_verity *verity)
{
	if (!verity)
		return NULL;
	for (size_t i = 0; i < LEVELS_MAX; i++)
		buf_done(&verity->level[i]);
	EVP_MD_CTX_free(verity->ctx);
	EVP_MD_free(verity->sha256);
	free(verity);
	return NULL;
}

static int verity_hash(struct image_verity *verity, const uint8_t *block, uint8_t *ret_hash)
{
	if (!EVP_DigestInit_ex(verity->ctx, verity->sha256, NULL) ||
	    !EVP_DigestUpdate(verity->ctx, block, IMAGE_VERITY_BLOCK) ||
	    !EVP_DigestFinal_ex(verity->ctx, ret_hash, NULL))
		return -EIO;
	return 0;
}

int image_verity_add(struct image_verity *verity, const uint8_t *block)
{
	uint8_t hash[IMAGE_VERITY_HASH];
	int r = verity_hash(verity, block, hash);

	return r < 0 ? r : buf_add(&verity->level[0], hash, sizeof(hash));
}

int image_verity_set(struct image_verity *verity, uint64_t index, const uint8_t *block)
{
	struct buf *leaves = &verity->level[0];

	assert(index < leaves->len / IMAGE_VERITY_HASH);
	return verity_hash(verity, block, leaves->at + index * IMAGE_VERITY_HASH);
}

uint64_t image_verity_tree_blocks(uint64_t data_blocks)
{
	uint64_t total = 0;

	while (data_blocks > 1) {
		data_blocks = (data_blocks + (1 << FAN_BITS) - 1) >> FAN_BITS;
		total += data_blocks;
	}
	return total;
}

static int verity_pad(struct buf *level)
{
	size_t over = level->len % IMAGE_VERITY_BLOCK, pad = over ? IMAGE_VERITY_BLOCK - over : 0;
	int r = buf_reserve(level, pad);

	if (r < 0)
		return r;
	if (pad)
		memset(level->at + level->len, 0, pad);
	level->len += pad;
	return 0;
}

/* Hashes level into above, block by block. */
static int verity_climb(struct image_verity *verity, const struct buf *level, struct buf *above)
{
	uint8_t hash[IMAGE_VERITY_HASH];
	int r;

	for (size_t at = 0; at < level->len; at += IMAGE_VERITY_BLOCK) {
		r = verity_hash(verity, level->at + at, hash);
		if (r < 0)
			return r;
		r = buf_add(above, hash, sizeof(hash));
		if (r < 0)
			return r;
	}
	return 0;
}

static int verity_emit_level(const struct buf *level,
			     int (*emit)(void *data, struct bytes block, struct err *err),
			     void *data, struct err *err)
{
	int r;

	for (size_t at = 0; at < level->len; at += IMAGE_VERITY_BLOCK) {
		r = emit(data, (struct bytes){ level->at + at, IMAGE_VERITY_BLOCK }, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int image_verity_finish(struct image_verity *verity,
			int (*emit)(void *data, struct bytes block, struct err *err), void *data,
			uint8_t ret_root[IMAGE_VERITY_HASH], struct err *err)
{
	struct buf *level = verity->level;
	size_t top = 0;
	int r;

	if (level[0].len == 0)
		return err_set(err, -EINVAL, "hash no blocks at all");
	/* The level that has a single hash is the root, and is not stored. */
	for (; level[top].len > IMAGE_VERITY_HASH; top++) {
		assert(top + 1 < LEVELS_MAX);
		r = verity_pad(&level[top]);
		if (r == 0)
			r = verity_climb(verity, &level[top], &level[top + 1]);
		if (r < 0)
			return err_num(err, r, "hash level %zu of the tree", top);
	}
	for (size_t i = top; i > 0; i--) {
		r = verity_emit_level(&level[i - 1], emit, data, err);
		if (r < 0)
			return r;
	}
	memcpy(ret_root, level[top].at, IMAGE_VERITY_HASH);
	return 0;
}
