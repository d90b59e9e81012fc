/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest - the name of a blob: "sha256:" and 64 lower-case hexadecimal digits.
 *
 * OCI registers sha512 too; no tool writes it by itself, and the guest's images are bound by
 * SHA-256 anyway, so it is refused by name.
 */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

enum {
	OCI_DIGEST_BYTES = 32,
	OCI_DIGEST_TEXT = 7 + 2 * OCI_DIGEST_BYTES + 1, /* with the NUL */
};

struct oci_digest {
	uint8_t sha256[OCI_DIGEST_BYTES];
};

/* -EINVAL: not a digest. -EOPNOTSUPP: a digest, of another algorithm. */
int oci_digest_parse(const char *text, struct oci_digest *ret_digest);

void oci_digest_format(const struct oci_digest *digest, char ret_text[static OCI_DIGEST_TEXT]);

/* The digits alone, as a blob's file name has them. */
void oci_digest_hex(const struct oci_digest *digest,
		    char ret_text[static 2 * OCI_DIGEST_BYTES + 1]);

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b);

#endif
