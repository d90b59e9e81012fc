/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erofs - the end of an image: directories, inodes and superblock of a tree whose contents have
 * been written.
 */
#ifndef IMAGE_EROFS_PRIV_H
#define IMAGE_EROFS_PRIV_H

#include "image/output_priv.h"
#include "image/tree_priv.h"

/*
 * Lays the tree out, checks that it fits, writes it behind what out has, then the first block
 * and the hash tree. -EFBIG with ERR_IMAGE_LIMIT, -ENOMEM, and what the sink returns.
 */
int image_erofs_finish(struct image_tree *tree, struct image_output *out,
		       struct image_info *ret_info, struct err *err);

#endif
