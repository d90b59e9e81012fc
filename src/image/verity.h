/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verity - dm-verity's hash tree, made from blocks as they pass by.
 *
 * Hash type 1, SHA-256, data and hash blocks of 4096 bytes, no salt, no superblock: what
 * "veritysetup format --no-superblock --salt=-" makes. On disk the top level comes first and the
 * hashes of the data last, so they are all held, 32 bytes a block, until it is finished.
 */
#ifndef IMAGE_VERITY_H
#define IMAGE_VERITY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum { IMAGE_VERITY_BLOCK = 4096, IMAGE_VERITY_HASH = 32 };

struct image_verity;

/* -ENOMEM; -EIO if libcrypto has no SHA-256. */
int image_verity_new(struct image_verity **ret_verity);
struct image_verity *image_verity_free(struct image_verity *verity);
CLEANUP_PTR(struct image_verity, image_verity_free)

/* The next data block, or (index) one that was added before. -ENOMEM, -EIO (libcrypto). */
int image_verity_add(struct image_verity *verity, const uint8_t *block);
int image_verity_set(struct image_verity *verity, uint64_t index, const uint8_t *block);

/* What the tree over that many data blocks takes, in blocks: none for a single one. */
uint64_t image_verity_tree_blocks(uint64_t data_blocks);

/*
 * Hands the tree's blocks to emit in the order in which they lie behind the data, and fills
 * ret_root. -EINVAL if no block was added, -ENOMEM, -EIO, and what emit returns.
 */
int image_verity_finish(struct image_verity *verity,
			int (*emit)(void *data, struct bytes block, struct err *err), void *data,
			uint8_t ret_root[IMAGE_VERITY_HASH], struct err *err);

#endif
