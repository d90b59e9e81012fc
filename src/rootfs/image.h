/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image - from what the user named to the layer images a VM is given, and the process they hold.
 *
 *	rootfs_cache_open(uid, xdg, home, &cache_fd, err);
 *	oci_ref_parse(&arena, "oci:dir:tag", &ref, err);
 *	rootfs_image_open(&ref, &(struct rootfs_image_opts){ .at_fd = AT_FDCWD,
 *			  .cache_fd = cache_fd }, &image, err);
 *	image->layers[i].fd ... image->process ...
 *	rootfs_image_free(image);
 *
 * With a warm cache no blob of a layer is opened: index, manifest and configuration are read and
 * checked, and each layer is found in the cache by its diff ID, or by its chain ID if it depends
 * on what is below. Of a layer that is not there the blob is read once. bundle: and rootfs: are
 * one layer, a snapshot.
 */
#ifndef ROOTFS_IMAGE_H
#define ROOTFS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "oci/bundle.h"
#include "oci/digest.h"
#include "oci/process.h"
#include "oci/ref.h"
#include "rootfs/cache.h"
#include "rootfs/layer.h"
#include "rootfs/progress.h"

struct rootfs_image_opts {
	int at_fd;    /* what a relative path is relative to; AT_FDCWD */
	int cache_fd; /* from rootfs_cache_open(); borrowed */
	struct rootfs_limits limits;
	rootfs_progress_fn *progress; /* may be NULL */
	void *progress_data;
	bool map_ids; /* of directories, not of OCI layers: these become 0 */
	uint32_t map_uid;
	uint32_t map_gid;
};

struct rootfs_layer {
	int fd;			       /* the image and its tree, for reading; the image's own */
	uint8_t root[IMAGE_HASH_SIZE]; /* of the verity tree */
	uint64_t data_blocks;	       /* of IMAGE_BLOCK_SIZE bytes */
	uint64_t hash_start;	       /* in blocks */
	uint64_t size;		       /* in bytes */
	enum rootfs_key_kind kind;     /* what id is: diff ID, chain ID, or a snapshot's key */
	char id[OCI_DIGEST_TEXT];
	bool cached; /* it was there before */
};

/* Callers read; only layers[].fd may be taken (steal_fd). */
struct rootfs_image {
	struct arena arena;
	struct rootfs_layer *layers; /* lowest first; one at least */
	size_t layer_count;
	struct oci_process_base process;
	const struct oci_bundle *bundle; /* NULL unless the reference was one */
	char digest[OCI_DIGEST_TEXT];	 /* of the manifest; "" without one */
};

/*
 * Errors are those of the parts, each with its code: ERR_IMAGE, ERR_IMAGE_DIGEST,
 * ERR_IMAGE_LIMIT, ERR_UNREADABLE, ERR_UNSUPPORTED, ERR_HOST. After one nothing is left behind
 * but layers that were complete.
 */
int rootfs_image_open(const struct oci_ref *ref, const struct rootfs_image_opts *opts,
		      struct rootfs_image **ret_image, struct err *err);
struct rootfs_image *rootfs_image_free(struct rootfs_image *image); /* NULL is fine */
CLEANUP_PTR(struct rootfs_image, rootfs_image_free)

#endif
