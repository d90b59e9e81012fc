/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memo - signatures that were found good, so that the same ones need not be checked again: a
 * processor's certificates come with each of its reports, and a report is judged once for the
 * guest and once for each secret.
 *
 * Only a verifier adds to it, and what it adds is a digest of all that the signature covers and of
 * the certificate it is by. Dates, names, roots and revocation are no part of it: they are looked
 * at each time. Zeroed it is empty; of more than ATTEST_MEMO_MAX the oldest go.
 */
#ifndef ATTEST_MEMO_H
#define ATTEST_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/bytes.h"

enum { ATTEST_MEMO_MAX = 256, ATTEST_MEMO_DIGEST = 32 };

struct attest_memo {
	uint8_t seen[ATTEST_MEMO_MAX][ATTEST_MEMO_DIGEST];
	size_t count;
	size_t next; /* which is replaced next */
};

/* What "signed, of that kind, is by signer" comes to. False: it cannot be computed. */
bool attest_memo_digest(const char *kind, const X509 *signer, struct bytes what,
			uint8_t ret[ATTEST_MEMO_DIGEST]);

/* memo may be NULL: it has nothing, and keeps nothing. */
bool attest_memo_has(const struct attest_memo *memo, const uint8_t digest[ATTEST_MEMO_DIGEST]);
void attest_memo_add(struct attest_memo *memo, const uint8_t digest[ATTEST_MEMO_DIGEST]);

#endif
