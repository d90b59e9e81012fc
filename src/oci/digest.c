// SPDX-License-Identifier: Apache-2.0
#include "oci/digest.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";
static const char prefix[] = "sha256:";

/* Upper case is refused: the same blob would have two names. */
static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* algorithm ":" encoded, by the image-spec's grammar; only to tell which mistake it is. */
static bool is_digest_like(const char *text)
{
	size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+._-");

	if (name == 0 || text[name] != ':' || !text[name + 1])
		return false;
	text += name + 1;
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789=_-")] == '\0';
}

int oci_digest_parse(const char *text, struct oci_digest *ret_digest)
{
	size_t start = sizeof(prefix) - 1;
	struct oci_digest digest;
	int high, low;

	if (strncmp(text, prefix, start) != 0)
		return is_digest_like(text) ? -EOPNOTSUPP : -EINVAL;
	text += start;
	if (strlen(text) != 2 * OCI_DIGEST_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < OCI_DIGEST_BYTES; i++) {
		high = digit_value(text[2 * i]);
		low = digit_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		digest.sha256[i] = (uint8_t)(high << 4 | low);
	}
	*ret_digest = digest;
	return 0;
}

void oci_digest_hex(const struct oci_digest *digest, char ret_text[static 2 * OCI_DIGEST_BYTES + 1])
{
	for (size_t i = 0; i < OCI_DIGEST_BYTES; i++) {
		ret_text[2 * i] = digits[digest->sha256[i] >> 4];
		ret_text[2 * i + 1] = digits[digest->sha256[i] & 0xf];
	}
	ret_text[2 * OCI_DIGEST_BYTES] = '\0';
}

void oci_digest_format(const struct oci_digest *digest, char ret_text[static OCI_DIGEST_TEXT])
{
	memcpy(ret_text, prefix, sizeof(prefix) - 1);
	oci_digest_hex(digest, ret_text + sizeof(prefix) - 1);
}

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b)
{
	return memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}
