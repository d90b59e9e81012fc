// SPDX-License-Identifier: Apache-2.0
#include "rootfs/sha256.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/evp.h>

struct rootfs_sha256 {
	EVP_MD_CTX *ctx;
	bool is_broken;
};

int rootfs_sha256_new(struct rootfs_sha256 **ret_sha, struct err *err)
{
	CLEANUP(rootfs_sha256_free) struct rootfs_sha256 *sha = calloc(1, sizeof(*sha));

	if (!sha)
		return err_num(err, -ENOMEM, "compute a digest");
	sha->ctx = EVP_MD_CTX_new();
	if (!sha->ctx)
		return err_num(err, -ENOMEM, "compute a digest");
	if (EVP_DigestInit_ex(sha->ctx, EVP_sha256(), NULL) != 1)
		return err_set(err, -EIO, "compute a digest: libcrypto has no SHA-256");
	*ret_sha = steal_ptr(&sha);
	return 0;
}

struct rootfs_sha256 *rootfs_sha256_free(struct rootfs_sha256 *sha)
{
	if (sha) {
		EVP_MD_CTX_free(sha->ctx);
		free(sha);
	}
	return NULL;
}

void rootfs_sha256_add(struct rootfs_sha256 *sha, struct bytes bytes)
{
	if (EVP_DigestUpdate(sha->ctx, bytes.at, bytes.len) != 1)
		sha->is_broken = true;
}

int rootfs_sha256_finish(struct rootfs_sha256 *sha, struct oci_digest *ret_digest, struct err *err)
{
	struct oci_digest digest;

	if (EVP_DigestFinal_ex(sha->ctx, digest.sha256, NULL) != 1 || sha->is_broken)
		return err_set(err, -EIO, "compute a digest: libcrypto refuses");
	*ret_digest = digest;
	return 0;
}

int rootfs_sha256_of(struct bytes bytes, struct oci_digest *ret_digest, struct err *err)
{
	CLEANUP(rootfs_sha256_free) struct rootfs_sha256 *sha = NULL;
	int r;

	r = rootfs_sha256_new(&sha, err);
	if (r < 0)
		return r;
	rootfs_sha256_add(sha, bytes);
	return rootfs_sha256_finish(sha, ret_digest, err);
}
