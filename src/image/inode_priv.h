/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inode - what an entry says of its inode, put into one.
 */
#ifndef IMAGE_INODE_PRIV_H
#define IMAGE_INODE_PRIV_H

#include "image/tree_priv.h"

/* S_IF* of a type that has an inode of its own. */
uint32_t image_inode_format(enum image_type type);

/*
 * Owner, mode, time, attributes; type and contents stay. -EINVAL (a time that is none) and
 * what image_xattr_encode() and image_tree_hold() say.
 */
int image_inode_set(struct image_tree *tree, struct image_inode *inode,
		    const struct image_entry *entry, struct err *err);

#endif
