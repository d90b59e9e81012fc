/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - TLS 1.3 to the one whose public key is known, over two pipes.
 *
 * The far end is whoever has the private key to that public key: SHA-256 of its certificate's
 * SubjectPublicKeyInfo is compared, before anything of ours is sent, and TLS proves the rest.
 * Nothing else of the certificate is looked at. Names: the guest asks by no name that it could
 * hold against one, its host chooses whom it is connected to. Dates: the guest's clock is its
 * host's to set. Issuers: the policy names the key itself, and with it whom the tenant trusts.
 *
 * It waits as long as it takes: the program's deadline is for all that it does.
 */
#ifndef PROVER_TLS_H
#define PROVER_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attest/reason.h"
#include "base/bytes.h"
#include "base/macro.h"

enum { TLS_KEY_SIZE = 32 };

struct prover_tls;

struct prover_tls_opts {
	int in_fd, out_fd; /* stay the caller's */
	const char *name;  /* told to the far end, which may serve several; NULL: none */
	const uint8_t *key;
};

/* -EPIPE: ATTEST_BROKER_UNREACHABLE; -EACCES: ATTEST_BROKER_KEY_MISMATCH; -ENOMEM. */
int prover_tls_connect(const struct prover_tls_opts *opts, struct prover_tls **ret_tls,
		       struct attest_refusal *ret_refusal);
struct prover_tls *prover_tls_free(struct prover_tls *tls); /* NULL is fine */

/* All of it, or -EPIPE. */
int prover_tls_write(struct prover_tls *tls, struct bytes data);

/* What there is, at least a byte; 0: the far end has closed, and said so; -EPIPE: it broke off. */
ssize_t prover_tls_read(struct prover_tls *tls, void *at, size_t size);

CLEANUP_PTR(struct prover_tls, prover_tls_free)

#endif
