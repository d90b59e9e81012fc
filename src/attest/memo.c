// SPDX-License-Identifier: Apache-2.0
#include "attest/memo.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/macro.h"

static void digest_done(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}
CLEANUP_FUNC(EVP_MD_CTX *, digest_done)

bool attest_memo_digest(const char *kind, const X509 *signer, struct bytes what,
			uint8_t ret[ATTEST_MEMO_DIGEST])
{
	CLEANUP(digest_done) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t own[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	/* the parts have lengths of their own: kind with its NUL, a digest, the rest */
	return ctx && X509_digest(signer, EVP_sha256(), own, &len) == 1 &&
	       len == ATTEST_MEMO_DIGEST && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	       EVP_DigestUpdate(ctx, kind, strlen(kind) + 1) == 1 &&
	       EVP_DigestUpdate(ctx, own, len) == 1 &&
	       EVP_DigestUpdate(ctx, what.at, what.len) == 1 &&
	       EVP_DigestFinal_ex(ctx, ret, &len) == 1;
}

bool attest_memo_has(const struct attest_memo *memo, const uint8_t digest[ATTEST_MEMO_DIGEST])
{
	for (size_t i = 0; memo && i < memo->count; i++)
		if (memcmp(memo->seen[i], digest, ATTEST_MEMO_DIGEST) == 0)
			return true;
	return false;
}

void attest_memo_add(struct attest_memo *memo, const uint8_t digest[ATTEST_MEMO_DIGEST])
{
	if (!memo)
		return;
	memcpy(memo->seen[memo->next], digest, ATTEST_MEMO_DIGEST);
	memo->next = (memo->next + 1) % ATTEST_MEMO_MAX;
	if (memo->count < ATTEST_MEMO_MAX)
		memo->count++;
}
