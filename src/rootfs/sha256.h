/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256 - a digest computed piece by piece, by libcrypto.
 */
#ifndef ROOTFS_SHA256_H
#define ROOTFS_SHA256_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"
#include "oci/digest.h"

struct rootfs_sha256;

/* -ENOMEM; -EIO if libcrypto has no SHA-256. */
int rootfs_sha256_new(struct rootfs_sha256 **ret_sha, struct err *err);
struct rootfs_sha256 *rootfs_sha256_free(struct rootfs_sha256 *sha); /* NULL is fine */
CLEANUP_PTR(struct rootfs_sha256, rootfs_sha256_free)

/* A failure inside libcrypto is kept, and is what finish returns: -EIO. */
void rootfs_sha256_add(struct rootfs_sha256 *sha, struct bytes bytes);

/* Only free is left after it. */
int rootfs_sha256_finish(struct rootfs_sha256 *sha, struct oci_digest *ret_digest, struct err *err);

/* All at once. */
int rootfs_sha256_of(struct bytes bytes, struct oci_digest *ret_digest, struct err *err);

#endif
