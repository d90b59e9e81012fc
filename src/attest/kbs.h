/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbs - the messages between a guest and a broker: Key Broker Service protocol, version 0.4.0, of
 * Confidential Containers. Both ends use it; neither HTTP nor TLS is here.
 *
 *	guest                                      broker
 *	POST ATTEST_KBS_AUTH    auth_print     ->  auth_parse
 *	                        challenge_parse <- challenge_print, a cookie kbs-session-id
 *	report with attest_kbs_report_data(nonce, key)
 *	POST ATTEST_KBS_ATTEST  request_print  ->  request_parse
 *	                        token_parse    <-  token_print
 *	GET ATTEST_KBS_RESOURCE "default/model/key", the cookie
 *	                        attest_jwe_unwrap <- attest_jwe_wrap
 *	any of them, status 401 or 404: error_parse <- error_print
 *
 * Only what is needed here is spoken: SNP's evidence, also of the simulated processor; no
 * evidence of further devices; P-256 keys. Objects that the peer's hash covers are closed: an
 * unknown name is refused, so that what is hashed is all there is. Everything is text in memory.
 * Of the functions that print all add to *ret and give 0 or -ENOMEM, unless said otherwise.
 */
#ifndef ATTEST_KBS_H
#define ATTEST_KBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/certs.h"
#include "attest/jwe.h"
#include "attest/reason.h"
#include "attest/snp_report.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define ATTEST_KBS_VERSION "0.4.0"
#define ATTEST_KBS_COOKIE "kbs-session-id"
#define ATTEST_KBS_AUTH "/kbs/v0/auth"
#define ATTEST_KBS_ATTEST "/kbs/v0/attest"
#define ATTEST_KBS_RESOURCE "/kbs/v0/resource/" /* and repository/type/tag */
#define ATTEST_KBS_SCHEME "kbs:///"		/* of URIs: and repository/type/tag */

enum {
	ATTEST_KBS_NONCE = 32,	       /* bytes */
	ATTEST_KBS_TEXT_MAX = 4 << 20, /* bytes of any message */
	ATTEST_KBS_TOKEN_MAX = 64 << 10,
	ATTEST_KBS_RESOURCE_MAX = 255, /* characters of repository/type/tag */
	ATTEST_KBS_VARIANT_MAX = 63,
	ATTEST_KBS_CHAIN_MAX = 8,   /* certificates in evidence */
	ATTEST_KBS_HASHES_MAX = 16, /* names of hash algorithms */
};

enum attest_kbs_tee {
	ATTEST_KBS_SNP, /* "snp" */
	ATTEST_KBS_SIM, /* "casemate-sim" */
	ATTEST_KBS_TEE_COUNT
};

const char *attest_kbs_tee_name(enum attest_kbs_tee tee);

/* "repository/type/tag": each 1 or more of A-Z a-z 0-9 _ . -, none beginning with a dot. */
bool attest_kbs_resource_valid(const char *path);

/* "kbs:///default/model/key" -> its "default/model/key", inside uri; NULL: no such URI. */
const char *attest_kbs_uri_resource(const char *uri);

int attest_kbs_auth_print(enum attest_kbs_tee tee, struct buf *ret);

/*
 * -EINVAL: not of the form; -ENOTSUP: another version or TEE, or SHA-384 is none of the hashes
 * that the guest names; -ENOMEM.
 */
int attest_kbs_auth_parse(struct bytes text, enum attest_kbs_tee *ret, struct err *err);

int attest_kbs_challenge_print(const uint8_t nonce[ATTEST_KBS_NONCE], struct buf *ret);

/* -EINVAL: not of the form, or a nonce of another length; -ENOMEM. */
int attest_kbs_challenge_parse(struct bytes text, uint8_t ret[ATTEST_KBS_NONCE], struct err *err);

/*
 * What the report has to have been made for: SHA-384 of {"additional-evidence":"","nonce":..,
 * "tee-pubkey":{..}} as RFC 8785, and zeros behind. -ENOMEM, -EIO.
 */
int attest_kbs_report_data(const uint8_t nonce[ATTEST_KBS_NONCE], const struct attest_jwk *key,
			   uint8_t ret[ATTEST_SNP_DATA_SIZE]);

/* What a guest sends to be judged. Zeroed it is empty. */
struct attest_kbs_request {
	uint8_t nonce[ATTEST_KBS_NONCE];
	struct attest_jwk key;
	struct buf init_data; /* the policy's document, as it was hashed; empty: none */
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct attest_certs certs;
};

void attest_kbs_request_done(struct attest_kbs_request *request);
CLEANUP_FUNC(struct attest_kbs_request, attest_kbs_request_done)

/*
 * Adds the request. The evidence has the report by its fields, as Rust's sev crate writes it:
 * what no field has (reserved bytes) cannot be sent. The certificates can come from
 * attest_certs_add() of what the processor gave.
 *
 *	-EBADMSG  not a report, or one that would not come out the same
 *	-EINVAL   init_data that are not UTF-8
 *	-E2BIG    more than ATTEST_KBS_CHAIN_MAX certificates, or a text over ATTEST_KBS_TEXT_MAX
 *	-EIO, -ENOMEM
 */
int attest_kbs_request_print(const struct attest_kbs_request *request, struct buf *ret,
			     struct err *err);

/*
 * *ret is empty before, and empty again after an error. The report is rebuilt, not judged: that is
 * for attest_snp_verify().
 *
 *	-EINVAL   not of the form, with the place
 *	-ENOTSUP  evidence of further devices, another key than a P-256 one, another init-data form
 *	-E2BIG    more than a limit
 *	-EBADMSG  a certificate that is none
 *	-ENOMEM, -EIO
 */
int attest_kbs_request_parse(struct bytes text, struct attest_kbs_request *ret, struct err *err);

/*
 * The evidence alone, {"attestation_report", "cert_chain"}: what `casemate-broker explain` reads.
 * Errors as above.
 */
int attest_kbs_evidence_print(const uint8_t report[ATTEST_SNP_REPORT_SIZE],
			      const struct attest_certs *certs, struct buf *ret, struct err *err);
int attest_kbs_evidence_parse(struct bytes text, uint8_t ret_report[ATTEST_SNP_REPORT_SIZE],
			      struct attest_certs *certs, struct err *err);

/* token has no character that JSON would escape. */
int attest_kbs_token_print(const char *token, struct buf *ret);

/* Adds the token and a NUL. -EINVAL, -E2BIG, -ENOMEM. */
int attest_kbs_token_parse(struct bytes text, struct buf *ret, struct err *err);

/*
 * {"type": ".../kbs/errors/VARIANT", "detail": "CODE: text"}. code is a reason's name when it is
 * one of ours; "" if the broker is another, and then text is all of the detail.
 */
struct attest_kbs_error {
	char variant[ATTEST_KBS_VARIANT_MAX + 1]; /* "PolicyDeny"; "" if it has none */
	char code[ATTEST_KBS_VARIANT_MAX + 1];	  /* "launch-digest-mismatch" */
	char text[ATTEST_REFUSAL_TEXT];		  /* longer is cut; as it came: quote it */
};

int attest_kbs_error_print(const char *variant, enum attest_reason reason, const char *text,
			   struct buf *ret);

/* -EINVAL: no error message at all; -ENOMEM. */
int attest_kbs_error_parse(struct bytes text, struct attest_kbs_error *ret, struct err *err);

#endif
