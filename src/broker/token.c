// SPDX-License-Identifier: Apache-2.0
#include "broker/token.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "attest/base64.h"
#include "attest/jwe.h"
#include "base/text.h"
#include "broker/session.h"

enum {
	COORDINATE = 32,
	POINT_SIZE = 1 + 2 * COORDINATE,
	SIGNATURE_DER_MAX = 80,
	/* AR4SI, 2.3.4: trustworthiness tiers */
	GENUINE_HARDWARE = 2,
	UNKNOWN_EXECUTABLES = 33,
	UNRECOGNIZED_HARDWARE = 97,
};

struct broker_token_key {
	EVP_PKEY *pkey;
	uint8_t point[POINT_SIZE]; /* the public key, uncompressed */
};

static void digest_done(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}
CLEANUP_FUNC(EVP_MD_CTX *, digest_done)

static void signature_done(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}
CLEANUP_FUNC(ECDSA_SIG *, signature_done)

static inline void json_done(json_t **json)
{
	json_decref(*json);
}
CLEANUP_FUNC(json_t *, json_done)

int broker_token_key_new(struct broker_token_key **ret)
{
	struct broker_token_key *key = calloc(1, sizeof(*key));
	size_t len = 0;

	if (!key)
		return -ENOMEM;
	key->pkey = EVP_EC_gen("P-256");
	if (!key->pkey ||
	    EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, key->point,
					    sizeof(key->point), &len) != 1 ||
	    len != sizeof(key->point)) {
		(void)broker_token_key_free(key);
		return -EIO;
	}
	*ret = key;
	return 0;
}

struct broker_token_key *broker_token_key_free(struct broker_token_key *key)
{
	if (key)
		EVP_PKEY_free(key->pkey);
	free(key);
	return NULL;
}

static int add_base64(struct buf *ret, const void *at, size_t len)
{
	return attest_base64_add(ret, (struct bytes){ at, len }, true);
}

static int add_header(const struct broker_token_key *key, struct buf *ret)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = buf_addf(&text, "{\"alg\":\"ES256\",\"jwk\":{\"alg\":\"ES256\",\"crv\":\"P-256\","
				"\"kty\":\"EC\",\"x\":\"");

	if (r == 0)
		r = add_base64(&text, key->point + 1, COORDINATE);
	if (r == 0)
		r = buf_addf(&text, "\",\"y\":\"");
	if (r == 0)
		r = add_base64(&text, key->point + 1 + COORDINATE, COORDINATE);
	if (r == 0)
		r = buf_addf(&text, "\"},\"typ\":\"JWT\"}");
	return r < 0 ? r : add_base64(ret, text.at, text.len);
}

/* All claims of all parts, in one object. */
static json_t *evidence_claims(const struct attest_verdict *verdict)
{
	json_t *claims = json_object();

	for (size_t i = 0; claims && i < verdict->part_count; i++) {
		if (json_object_update(claims, verdict->parts[i]->claims) < 0) {
			json_decref(claims);
			return NULL;
		}
	}
	return claims;
}

static json_t *key_claims(const struct attest_jwk *key)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	return attest_jwk_print(key, &text) < 0
		       ? NULL
		       : json_loadb((const char *)text.at, text.len, 0, NULL);
}

static json_t *make_claims(enum attest_kbs_tee tee, const struct attest_kbs_request *request,
			   const struct attest_verdict *verdict, int64_t now_s)
{
	bool is_sim = tee == ATTEST_KBS_SIM;
	char host_data[2 * ATTEST_SNP_HOST_DATA_SIZE + 1];
	char report_data[2 * ATTEST_SNP_DATA_SIZE + 1];

	text_hex(request->report + ATTEST_SNP_HOST_DATA_AT, ATTEST_SNP_HOST_DATA_SIZE, host_data);
	text_hex(request->report + ATTEST_SNP_DATA_AT, ATTEST_SNP_DATA_SIZE, report_data);
	return json_pack("{s:s, s:s, s:I, s:I, s:{s:s, s:s},"
			 " s:{s:{s:s, s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}, s:s,"
			 " s:{s:s, s:s, s:{s:o}, s:o}}}}",
			 "eat_profile", "tag:github.com,2024:confidential-containers/Trustee",
			 "iss", "casemate-broker", "iat", (json_int_t)now_s, "exp",
			 (json_int_t)now_s + BROKER_LIFE_S, "ear.verifier-id", "developer",
			 "casemate", "build", "casemate-broker " CASEMATE_VERSION, "submods",
			 "cpu0", "ear.status", is_sim ? "contraindicated" : "warning",
			 "ear.trustworthiness-vector", "configuration", 0, "executables",
			 UNKNOWN_EXECUTABLES, "file-system", 0, "hardware",
			 is_sim ? UNRECOGNIZED_HARDWARE : GENUINE_HARDWARE, "instance-identity", 0,
			 "runtime-opaque", 0, "sourced-data", 0, "storage-opaque", 0,
			 "ear.appraisal-policy-id", "none", "ear.veraison.annotated-evidence",
			 "init_data", host_data, "report_data", report_data, "runtime_data_claims",
			 "tee-pubkey", key_claims(&request->key), attest_kbs_tee_name(tee),
			 evidence_claims(verdict));
}

/* r and s, big-endian: RFC 7518, 3.4. */
static int sign(const struct broker_token_key *key, struct bytes text, uint8_t ret[2 * COORDINATE])
{
	CLEANUP(digest_done) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CLEANUP(signature_done) ECDSA_SIG *signature = NULL;
	uint8_t der[SIGNATURE_DER_MAX];
	const unsigned char *at = der;
	size_t len = sizeof(der);

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) != 1 ||
	    EVP_DigestSign(ctx, der, &len, text.at, text.len) != 1)
		return -EIO;
	signature = d2i_ECDSA_SIG(NULL, &at, (long)len);
	if (!signature ||
	    BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret, COORDINATE) != COORDINATE ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret + COORDINATE, COORDINATE) != COORDINATE)
		return -EIO;
	return 0;
}

int broker_token_make(const struct broker_token_key *key, enum attest_kbs_tee tee,
		      const struct attest_kbs_request *request,
		      const struct attest_verdict *verdict, int64_t now_s, struct buf *ret)
{
	CLEANUP(json_done) json_t *claims = make_claims(tee, request, verdict, now_s);
	cleanup_free char *text = claims ? json_dumps(claims, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	CLEANUP(buf_done) struct buf token = { 0 };
	uint8_t signature[2 * COORDINATE];
	int r = text ? add_header(key, &token) : -ENOMEM;

	if (r == 0)
		r = buf_addf(&token, ".");
	if (r == 0)
		r = add_base64(&token, text, strlen(text));
	if (r == 0)
		r = sign(key, buf_bytes(&token), signature);
	if (r == 0)
		r = buf_addf(&token, ".");
	if (r == 0)
		r = add_base64(&token, signature, sizeof(signature));
	return r < 0 ? r : buf_addf(ret, "%.*s", (int)token.len, (const char *)token.at);
}
