/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer - one layer's blob, decompressed, checked, and turned into an image on the way.
 *
 * Three digests' worth of distrust: the blob's own, checked while it is read; the diff ID, of the
 * tar inside it, to the last byte behind the tar's end; and the image's verity root, which comes
 * of it. Nothing counts before this returns 0. Owners, modes, times, extended attributes
 * (SCHILY.xattr), long names, hard links and sparse files are those of the tar; how `.wh.` names
 * are read is in image/writer.h.
 */
#ifndef ROOTFS_LAYER_H
#define ROOTFS_LAYER_H

#include <stdint.h>

#include "base/err.h"
#include "image/writer.h"
#include "oci/image.h"
#include "rootfs/layout.h"
#include "rootfs/progress.h"

#define ROOTFS_TAR_DEFAULT (UINT64_C(1) << 40)

/* Of each, 0 is the default. */
struct rootfs_limits {
	struct image_limits image; /* for each layer; plain_names is not for the caller */
	uint64_t max_tar_bytes;	   /* of one layer's tar; declared holes are free */
};

struct rootfs_layer_opts {
	const struct oci_descriptor *descriptor;
	const struct oci_digest *diff_id;
	const struct rootfs_limits *limits;
	const struct image_lower *lower; /* what is below; NULL: this is the lowest layer */
	const struct image_sink *sink;
	struct rootfs_progress *progress;
};

/*
 * Even the lowest layer's info says needs_lower when it leaves out parents: on top of another it
 * would be another image.
 *
 * -EBADMSG with ERR_IMAGE_DIGEST: other bytes than named; -EINVAL with ERR_IMAGE: a broken tar or
 * one that image/writer.h refuses; -EFBIG with ERR_IMAGE_LIMIT; -ENOMEM; what sink returns.
 */
int rootfs_layer_build(struct rootfs_layout *layout, const struct rootfs_layer_opts *opts,
		       struct image_info *ret_info, struct err *err);

#endif
