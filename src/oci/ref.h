/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref - the IMAGE argument: where a container's files come from.
 *
 *	oci:DIR[:TAG]		an OCI image layout
 *	oci-archive:FILE[:TAG]	a tar of one, compressed or not
 *	bundle:DIR		an OCI runtime bundle: config.json beside a root file system
 *	rootfs:DIR		a directory that is a root file system
 *
 * As with skopeo, a layout's path ends at the first ':' and the rest is TAG, which may have
 * more of them ("oci:dir:docker.io/library/debian:12"); so a path with a ':' can't be named
 * there. bundle: and rootfs: take all that follows as the path.
 */
#ifndef OCI_REF_H
#define OCI_REF_H

#include "base/arena.h"
#include "base/err.h"

enum {
	OCI_REF_PATH_MAX = 4095,
	OCI_REF_TAG_MAX = 255,
};

enum oci_ref_kind {
	OCI_REF_LAYOUT,
	OCI_REF_ARCHIVE,
	OCI_REF_BUNDLE,
	OCI_REF_ROOTFS,
};

struct oci_ref {
	enum oci_ref_kind kind;
	const char *path; /* as typed; never "" */
	const char *tag;  /* NULL: none given */
};

/*
 * What ret_ref points at lives in arena. -EINVAL with ERR_USAGE: not one of the forms above;
 * -EOPNOTSUPP with ERR_UNSUPPORTED: docker:, containers-storage: and skopeo's other transports;
 * -ENOMEM.
 */
int oci_ref_parse(struct arena *arena, const char *text, struct oci_ref *ret_ref, struct err *err);

#endif
