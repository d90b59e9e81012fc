/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token - what a guest is told that it is: a JWT (RFC 7519, ES256), its claims in the shape of
 * Trustee's (EAT Attestation Result), so that other parties can read them.
 *
 * The key is made at each start and is in every token's header: a token says nothing to who does
 * not ask this broker. It is good for the session it was made for.
 */
#ifndef BROKER_TOKEN_H
#define BROKER_TOKEN_H

#include <stdint.h>

#include "attest/kbs.h"
#include "attest/verdict.h"
#include "base/buf.h"
#include "base/err.h"

struct broker_token_key;

/* -EIO, -ENOMEM. */
int broker_token_key_new(struct broker_token_key **ret);
struct broker_token_key *broker_token_key_free(struct broker_token_key *key);

/*
 * Adds the token, and a NUL behind it that is not counted. The claims are those of the verdict;
 * what was launched is told and not judged: that is for the rule of a resource. -EIO, -ENOMEM.
 */
int broker_token_make(const struct broker_token_key *key, enum attest_kbs_tee tee,
		      const struct attest_kbs_request *request,
		      const struct attest_verdict *verdict, int64_t now_s, struct buf *ret);

#endif
