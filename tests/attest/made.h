/* SPDX-License-Identifier: Apache-2.0 */
/*
 * made - evidence made by the test itself: a root, an issuer, a chip's certificate with AMD's
 * extensions, and reports signed with its key.
 */
#ifndef TESTS_ATTEST_MADE_H
#define TESTS_ATTEST_MADE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attest/roots.h"
#include "attest/snp_report.h"
#include "base/macro.h"

#define MADE_NOW INT64_C(1767225600)
#define MADE_YEAR INT64_C(31536000)
#define MADE_AMD "1.3.6.1.4.1.3704.1."

/* An extension: its OID's end and its bytes; len 0 with oid NULL: none. */
struct made_extension {
	const char *oid;
	uint8_t at[80];
	size_t len;
	bool is_critical;
};

struct made_cert {
	const char *name;
	EVP_PKEY *key;
	const char *issuer;
	EVP_PKEY *issuer_key;
	int64_t from_s, to_s;
	bool is_ca;
	const char *usage; /* NULL: keyCertSign if it is an authority's */
	long serial;
	struct made_extension extensions[16];
	const EVP_MD *md; /* NULL: SHA-384 */
};

static inline X509_NAME *made_name(const char *text)
{
	X509_NAME *name = X509_NAME_new();

	assert(name);
	if (X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Made", -1, -1,
				       0) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)text, -1, -1,
				       0) != 1)
		abort();
	return name;
}

static inline void made_extend(X509 *cert, X509_EXTENSION *take_extension)
{
	if (!take_extension || X509_add_ext(cert, take_extension, -1) != 1)
		abort();
	X509_EXTENSION_free(take_extension);
}

static inline void made_extend_raw(X509 *cert, const struct made_extension *extension)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *oid = OBJ_txt2obj(extension->oid, 1);

	if (!value || !oid || ASN1_OCTET_STRING_set(value, extension->at, (int)extension->len) != 1)
		abort();
	made_extend(cert, X509_EXTENSION_create_by_OBJ(NULL, oid, extension->is_critical, value));
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
}

static inline X509 *made_cert(const struct made_cert *in)
{
	X509_NAME *subject = made_name(in->name), *issuer = made_name(in->issuer);
	const char *usage = in->usage ? in->usage : in->is_ca ? "critical,keyCertSign" : NULL;
	X509 *cert = X509_new();

	assert(cert);
	if (X509_set_version(cert, 2) != 1 ||
	    ASN1_INTEGER_set(X509_get_serialNumber(cert), in->serial) != 1 ||
	    !ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)in->from_s) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)in->to_s) ||
	    X509_set_subject_name(cert, subject) != 1 || X509_set_issuer_name(cert, issuer) != 1 ||
	    X509_set_pubkey(cert, in->key) != 1)
		abort();
	X509_NAME_free(subject);
	X509_NAME_free(issuer);
	if (in->is_ca)
		made_extend(cert, X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
						      "critical,CA:TRUE"));
	if (usage)
		made_extend(cert, X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage));
	for (size_t i = 0; i < ARRAY_SIZE(in->extensions) && in->extensions[i].oid; i++)
		made_extend_raw(cert, &in->extensions[i]);
	if (X509_sign(cert, in->issuer_key, in->md ? in->md : EVP_sha384()) <= 0)
		abort();
	return cert;
}

static inline struct made_extension made_level(const char *oid, uint8_t level)
{
	struct made_extension e = { .oid = oid, .at = { 2, 1, level }, .len = 3 };

	if (level >= 0x80) {
		e.at[1] = 2;
		e.at[2] = 0;
		e.at[3] = level;
		e.len = 4;
	}
	return e;
}

static inline struct made_extension made_text(const char *oid, const char *text)
{
	struct made_extension e = { .oid = oid, .at = { 0x16, (uint8_t)strlen(text) } };

	memcpy(e.at + 2, text, strlen(text));
	e.len = 2 + strlen(text);
	return e;
}

static inline struct made_extension made_bytes(const char *oid, const uint8_t *at, size_t len)
{
	struct made_extension e = { .oid = oid, .len = len };

	memcpy(e.at, at, len);
	return e;
}

/* Little-endian, to a report. */
static inline void made_put(uint8_t *report, size_t off, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		report[off + i] = (uint8_t)(value >> (8 * i));
}

/* A report of a Genoa that all defaults accept, but for the signature. */
static inline void made_report(uint8_t report[ATTEST_SNP_REPORT_SIZE])
{
	static const size_t tcbs[] = { 0x38, 0x180, 0x1e0, 0x1f0 };

	memset(report, 0, ATTEST_SNP_REPORT_SIZE);
	made_put(report, 0x00, 3, 4);
	made_put(report, 0x04, 7, 4);
	made_put(report, 0x08, 0x3001f, 8);
	made_put(report, 0x34, 1, 4);
	made_put(report, 0x40, 0x27, 8);
	for (size_t i = 0; i < 64; i++)
		report[0x50 + i] = (uint8_t)(0x40 + i);
	for (size_t i = 0; i < 48; i++)
		report[0x90 + i] = (uint8_t)(0x80 + i);
	for (size_t i = 0; i < 32; i++)
		report[0xc0 + i] = (uint8_t)(0xc0 + i);
	for (size_t i = 0; i < 64; i++)
		report[0x1a0 + i] = (uint8_t)(1 + i);
	for (size_t i = 0; i < ARRAY_SIZE(tcbs); i++) {
		report[tcbs[i]] = 10;
		report[tcbs[i] + 1] = 1;
		report[tcbs[i] + 6] = 23;
		report[tcbs[i] + 7] = 0xd1;
	}
	made_put(report, 0x188, 0x001119, 3);
}

/* The extensions of the certificate that fits made_report(). Returns how many. */
static inline size_t made_extensions(const char *product, const uint8_t *chip_id,
				     size_t chip_id_len, struct made_extension *ret)
{
	size_t n = 0;

	ret[n++] = made_level(MADE_AMD "1", 0);
	ret[n++] = made_text(MADE_AMD "2", product);
	ret[n++] = made_level(MADE_AMD "3.1", 10);
	ret[n++] = made_level(MADE_AMD "3.2", 1);
	ret[n++] = made_level(MADE_AMD "3.8", 0xd1);
	ret[n++] = made_level(MADE_AMD "3.3", 23);
	if (chip_id_len > 0)
		ret[n++] = made_bytes(MADE_AMD "4", chip_id, chip_id_len);
	return n;
}

/* Signs what lies before the signature. */
static inline void made_sign(uint8_t report[ATTEST_SNP_REPORT_SIZE], EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[160];
	const uint8_t *at = der;
	size_t len = sizeof(der);
	ECDSA_SIG *sig;

	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, der, &len, report, ATTEST_SNP_SIGNED_SIZE) != 1)
		abort();
	sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
	if (!sig || BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), report + 0x2a0, 48) != 48 ||
	    BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), report + 0x2e8, 48) != 48)
		abort();
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
}

static inline void made_digest(const X509 *cert, uint8_t ret[ATTEST_ROOT_SIZE])
{
	unsigned len = 0;

	if (X509_digest(cert, EVP_sha256(), ret, &len) != 1 || len != ATTEST_ROOT_SIZE)
		abort();
}

#endif
