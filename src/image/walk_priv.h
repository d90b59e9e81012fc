/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk - from the path of an entry to the directory it goes into.
 */
#ifndef IMAGE_WALK_PRIV_H
#define IMAGE_WALK_PRIV_H

#include "image/tree_priv.h"

struct image_walk {
	struct image_tree *tree;
	struct image_lower lower; /* no lookup: nothing is below */
	bool has_asked;		  /* something would look different over other layers */
};

/*
 * The path without leading, trailing, double slashes and "."; empty is the root. With its NUL.
 * -EINVAL with ERR_IMAGE: ".."; -EFBIG with ERR_IMAGE_LIMIT: IMAGE_NAME_MAX, IMAGE_PATH_MAX.
 */
int image_walk_clean(const char *path, struct buf *ret_clean, struct err *err);

/*
 * The directory that path (clean, not the root) goes into, and its last part, which points into
 * path. Parents that are missing are made: as the layers below have them, and where those have
 * a symbolic link, where it leads. -EINVAL with ERR_IMAGE: through a file, a symbolic link of
 * this layer, or out of the root; -ELOOP: too many links; limits; what lower says.
 */
int image_walk_parent(struct image_walk *walk, const char *path, struct image_name **ret_dir,
		      const char **ret_last, struct err *err);

/*
 * What the layers below have at child of dir: 1 and ret_entry, or 0 if there is nothing, or if
 * this layer hides it.
 */
int image_walk_below(struct image_walk *walk, const struct image_name *dir, const char *child,
		     struct image_entry *ret_entry, struct err *err);

#endif
