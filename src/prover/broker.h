/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - the guest's side of the KBS handshake: what the broker gives for a report that is made
 * for this conversation, wrapped to a key that nobody else has ever had.
 *
 *	auth -> a nonce; a fresh key; a report on both; attest -> the session may ask for secrets
 *
 * One connection and one session for all secrets. The private key does not outlive the call.
 */
#ifndef PROVER_BROKER_H
#define PROVER_BROKER_H

#include <stddef.h>

#include "attest/reason.h"
#include "base/buf.h"
#include "base/bytes.h"

enum { BROKER_SECRETS_MAX = 64 };

struct broker_ask {
	const char *url;
	const uint8_t *key; /* SHA-256 of its SubjectPublicKeyInfo */
	int in_fd, out_fd;  /* the way to it */
	struct bytes document;
	char *const *uris;
	size_t uri_count;
};

/*
 * Fills ret_secrets[], one for each URI, which are the caller's to wipe, after a failure too. Of
 * the failures *ret_refusal says what it was: the broker's own word, if it has one for us.
 */
int broker_ask(const struct broker_ask *ask, struct buf *ret_secrets,
	       struct attest_refusal *ret_refusal);

#endif
