/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image - the JSON documents of an OCI image (image-spec 1.1) and of docker's schema 2.
 *
 *	oci_layout_check(bytes of "oci-layout")
 *	oci_index_choose(bytes of "index.json", tag)		-> a descriptor
 *	  while it is an index: oci_index_choose(its blob, no tag)
 *	oci_manifest_parse(its blob)				-> config and layers
 *	oci_config_parse(config's blob)				-> diff IDs and the process
 *
 * Whoever reads a blob checks it against its descriptor's digest and size before it comes here.
 * Names that are not known are ignored, as the image-spec demands of readers; what is acted upon
 * is checked, and what can't be acted upon is refused by name. `file` is how messages call the
 * document. Everything that is returned lives in arena.
 *
 * All functions: 0; -EINVAL with ERR_IMAGE: not as it should be; -E2BIG with ERR_IMAGE_LIMIT:
 * more than a limit; -EOPNOTSUPP with ERR_UNSUPPORTED: understood, and not for us; -ENOMEM.
 */
#ifndef OCI_IMAGE_H
#define OCI_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "oci/digest.h"
#include "oci/process.h"

enum {
	OCI_LAYERS_MAX = 128, /* as many as we stack */
	OCI_INDEX_MAX = 4096, /* manifests in one index */
	OCI_INDEX_DEPTH = 4,  /* indexes in indexes, index.json included */
};

enum oci_media {
	OCI_MEDIA_INDEX,
	OCI_MEDIA_MANIFEST,
	OCI_MEDIA_CONFIG,
	OCI_MEDIA_TAR,
	OCI_MEDIA_TAR_GZIP,
	OCI_MEDIA_TAR_ZSTD,
};

struct oci_descriptor {
	enum oci_media media;
	struct oci_digest digest;
	uint64_t size; /* at most OCI_JSON_MAX unless it is a layer */
};

struct oci_manifest {
	struct oci_descriptor config;
	const struct oci_descriptor *layers; /* lowest first */
	size_t layer_count;		     /* 1 to OCI_LAYERS_MAX */
};

struct oci_config {
	const struct oci_digest *diff_ids; /* lowest first */
	size_t diff_count;
	struct oci_process_base process;
};

/* The file "oci-layout": imageLayoutVersion has to be 1.0.0. */
int oci_layout_check(struct bytes text, struct err *err);

/*
 * Chooses an index's manifest, or an index in it. With a tag: those whose annotation
 * org.opencontainers.image.ref.name is that. Without one: all of them, unless they have two tags
 * or more. Of those: the only one for linux/amd64 or, if none says so, the only one that names no
 * platform. Else it is refused, and the tags there are listed. amd64's variants v2 and later are
 * another platform: the guest's CPU may lack them. What is neither manifest nor index
 * (attestations, artifacts) is passed over.
 */
int oci_index_choose(struct bytes text, const char *file, const char *tag,
		     struct oci_descriptor *ret_descriptor, struct err *err);

/* Encrypted and foreign (non-distributable) layers are refused by name. */
int oci_manifest_parse(struct arena *arena, struct bytes text, const char *file,
		       struct oci_manifest *ret_manifest, struct err *err);

/* For linux/amd64, with as many diff IDs as the manifest has layers. */
int oci_config_parse(struct arena *arena, struct bytes text, const char *file, size_t layer_count,
		     struct oci_config *ret_config, struct err *err);

#endif
