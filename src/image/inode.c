// SPDX-License-Identifier: Apache-2.0
#include "image/inode_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "image/xattr_priv.h"

uint32_t image_inode_format(enum image_type type)
{
	switch (type) {
	case IMAGE_FILE:
		return S_IFREG;
	case IMAGE_DIR:
		return S_IFDIR;
	case IMAGE_SYMLINK:
		return S_IFLNK;
	case IMAGE_CHAR:
		return S_IFCHR;
	case IMAGE_BLOCK:
		return S_IFBLK;
	case IMAGE_FIFO:
		return S_IFIFO;
	case IMAGE_SOCKET:
		return S_IFSOCK;
	case IMAGE_HARDLINK:
		break;
	}
	return 0;
}

int image_inode_set(struct image_tree *tree, struct image_inode *inode,
		    const struct image_entry *entry, struct err *err)
{
	CLEANUP(buf_done) struct buf encoded = { 0 };
	uint8_t *xattrs;
	int r;

	if (entry->mtime_ns >= 1000000000)
		return err_coded(err, ERR_IMAGE, -EINVAL, "a time of %" PRIu32 " ns in a second",
				 entry->mtime_ns);
	r = image_xattr_encode(entry->xattrs, entry->xattr_count, &encoded, err);
	if (r == 0)
		r = image_tree_hold(tree, encoded.len, err);
	if (r < 0)
		return r;
	/* A copy of its size: buf grows in powers of two, there may be a million of these. */
	xattrs = encoded.len ? malloc(encoded.len) : NULL;
	if (encoded.len && !xattrs) {
		image_tree_unhold(tree, encoded.len);
		return err_num(err, -ENOMEM, "keep attributes");
	}
	if (xattrs)
		memcpy(xattrs, encoded.at, encoded.len);
	image_tree_unhold(tree, inode->xattrs_len);
	free(inode->xattrs);
	inode->xattrs = xattrs;
	inode->xattrs_len = encoded.len;
	/* A link's mode is of no use to anybody, and tars differ in it. */
	inode->mode = (inode->mode & S_IFMT) |
		      (image_inode_is(inode, S_IFLNK) ? 0777 : entry->mode & 07777);
	inode->uid = entry->uid;
	inode->gid = entry->gid;
	inode->mtime_s = entry->mtime_s;
	inode->mtime_ns = entry->mtime_ns;
	return 0;
}
