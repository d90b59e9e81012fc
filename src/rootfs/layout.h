/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - the blobs of an OCI image layout, a directory or an archive of one.
 *
 *	rootfs_layout_open(&ref, at_fd, &layout, err);
 *	rootfs_layout_index(layout, &bytes, err);		index.json
 *	rootfs_layout_read(layout, &descriptor, &bytes, err);	a small blob, whole
 *	rootfs_blob_open(layout, &descriptor, &blob, err);	a large one, piece by piece
 *	while ((r = rootfs_blob_next(blob, &piece, err)) > 0)
 *		use(piece);
 *
 * A blob is found by its digest alone. Its size is checked before its first byte is shown, its
 * digest before its end is: who got 0 from rootfs_blob_next() has had the bytes that were named.
 * No path leads out of a layout's directory, by links or otherwise.
 */
#ifndef ROOTFS_LAYOUT_H
#define ROOTFS_LAYOUT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"
#include "oci/image.h"
#include "oci/ref.h"

struct rootfs_layout;

/*
 * ref is of kind OCI_REF_LAYOUT or OCI_REF_ARCHIVE; its path is relative to at_fd. Its version
 * is checked. -ENOENT and the kernel's other errors with ERR_IMAGE; -EINVAL with ERR_IMAGE;
 * -EOPNOTSUPP with ERR_UNSUPPORTED: a docker archive, or another version.
 */
int rootfs_layout_open(const struct oci_ref *ref, int at_fd, struct rootfs_layout **ret_layout,
		       struct err *err);
struct rootfs_layout *rootfs_layout_free(struct rootfs_layout *layout); /* NULL is fine */
CLEANUP_PTR(struct rootfs_layout, rootfs_layout_free)

/* Adds index.json to *ret_text; -EFBIG with ERR_IMAGE_LIMIT above OCI_JSON_MAX. */
int rootfs_layout_index(struct rootfs_layout *layout, struct buf *ret_text, struct err *err);

/* Adds a blob of at most OCI_JSON_MAX bytes, checked, to *ret_blob. Errors as below. */
int rootfs_layout_read(struct rootfs_layout *layout, const struct oci_descriptor *descriptor,
		       struct buf *ret_blob, struct err *err);

/*
 * Borrows the layout. -ENOENT with ERR_IMAGE: the blob is not there. -EBADMSG with
 * ERR_IMAGE_DIGEST: it has another size (here) or another digest (from rootfs_blob_next()).
 */
struct rootfs_blob;
int rootfs_blob_open(struct rootfs_layout *layout, const struct oci_descriptor *descriptor,
		     struct rootfs_blob **ret_blob, struct err *err);
struct rootfs_blob *rootfs_blob_free(struct rootfs_blob *blob); /* NULL is fine */
CLEANUP_PTR(struct rootfs_blob, rootfs_blob_free)

/* 1 and bytes that last until the next call; 0 at the end, again and again. */
int rootfs_blob_next(struct rootfs_blob *blob, struct bytes *ret_bytes, struct err *err);

uint64_t rootfs_blob_done(const struct rootfs_blob *blob); /* bytes shown so far */
uint64_t rootfs_blob_size(const struct rootfs_blob *blob);
const char *rootfs_blob_name(const struct rootfs_blob *blob); /* "sha256:..." */

#endif
