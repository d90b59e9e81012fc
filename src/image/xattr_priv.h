/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xattr - extended attributes as erofs has them beside the inode: entries in the order of prefix
 * and name, whatever the order in the tar.
 *
 * overlayfs reads trusted.overlay.*; what a layer brings under that name is stored as
 * trusted.overlay.overlay.*, which overlayfs (6.7 and later) shows again under its old name.
 */
#ifndef IMAGE_XATTR_PRIV_H
#define IMAGE_XATTR_PRIV_H

#include "base/buf.h"
#include "image/writer.h"

/*
 * Appends the entries to ret_buf; attributes that no kernel would store are left out.
 * -EINVAL with ERR_IMAGE: two values of one name. -EFBIG with ERR_IMAGE_LIMIT: IMAGE_XATTR_*.
 */
int image_xattr_encode(const struct image_xattr *xattrs, size_t count, struct buf *ret_buf,
		       struct err *err);

/* Appends the mark of an opaque directory. */
int image_xattr_add_opaque(struct buf *buf);

/*
 * One entry at off, which is moved past it; the name in full and unescaped into name. is_opaque
 * is set instead for the mark of an opaque directory. 1: there was one, 0: the end,
 * -EINVAL: no attribute of ours.
 */
int image_xattr_next(struct bytes entries, size_t *off, char name[IMAGE_NAME_MAX + 32],
		     struct bytes *ret_value, bool *ret_is_opaque);

#endif
