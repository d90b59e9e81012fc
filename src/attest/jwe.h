/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwe - a secret wrapped to one P-256 key, as brokers of the KBS protocol hand it out.
 *
 * Source: RFC 7516 (JWE, flattened JSON), RFC 7518, 4.6 (ECDH-ES+A256KW) and 5.3 (A256GCM), RFC
 * 7517 and 7518, 6.2 (JWK). One algorithm, one curve, one header: there is nothing to negotiate.
 *
 *	{"protected": B64({"alg":"ECDH-ES+A256KW","enc":"A256GCM",
 *	                   "epk":{"crv":"P-256","kty":"EC","x":..,"y":..}}),
 *	 "encrypted_key", "iv", "ciphertext", "tag"}
 *
 * Clients are known that make the header again from its parts, so it has no other order and no
 * blanks. Randomness is the caller's: 32 bytes for a private key have to be of 1 to the curve's
 * order less 1, which random ones are but for one in 2^32; -ERANGE says to take others.
 */
#ifndef ATTEST_JWE_H
#define ATTEST_JWE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "oci/json.h"

enum {
	ATTEST_JWK_SCALAR = 32, /* bytes of a private key, and of x and y: P-256 */
	ATTEST_JWE_CEK = 32,
	ATTEST_JWE_IV = 12,
	ATTEST_JWE_PLAIN_MAX = 1 << 20, /* bytes of a secret */
	ATTEST_JWE_TEXT_MAX = 2 << 20,	/* bytes of a JWE */
};

/* A public key: a point of the curve. */
struct attest_jwk {
	uint8_t x[ATTEST_JWK_SCALAR];
	uint8_t y[ATTEST_JWK_SCALAR];
};

/* The public key of a private one. -ERANGE: no number that is a key; -EIO, -ENOMEM. */
int attest_jwk_make(const uint8_t private_key[ATTEST_JWK_SCALAR], struct attest_jwk *ret);

/* Adds {"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":..,"y":..}, as RFC 8785. -ENOMEM. */
int attest_jwk_print(const struct attest_jwk *key, struct buf *ret);

/*
 * A JWK with these five names in any order and no others, x and y in the one spelling they have.
 * -EINVAL: not so, or no point of the curve; -ENOMEM, -EIO.
 */
int attest_jwk_read(const struct oci_json *at, struct attest_jwk *ret, struct err *err);

/* Each used once; wiped by nobody but the caller. */
struct attest_jwe_random {
	uint8_t private_key[ATTEST_JWK_SCALAR]; /* the ephemeral key */
	uint8_t cek[ATTEST_JWE_CEK];
	uint8_t iv[ATTEST_JWE_IV];
};

/* Adds the JWE. -ERANGE: as above; -E2BIG: more than ATTEST_JWE_PLAIN_MAX; -EIO, -ENOMEM. */
int attest_jwe_wrap(const struct attest_jwk *to, const struct attest_jwe_random *random,
		    struct bytes plain, struct buf *ret);

/*
 * Adds what was wrapped to *ret, which wipes nothing: the caller does, before buf_done().
 *
 *	-EINVAL   not JSON, another algorithm or form
 *	-EBADMSG  not wrapped to this key, or altered
 *	-E2BIG    more than ATTEST_JWE_TEXT_MAX
 *	-ENOMEM, -EIO
 */
int attest_jwe_unwrap(const uint8_t private_key[ATTEST_JWK_SCALAR], struct bytes text,
		      struct buf *ret, struct err *err);

#endif
