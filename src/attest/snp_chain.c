// SPDX-License-Identifier: Apache-2.0
/*
 * How this works. AMD's chain has three certificates and no choice in it: the key that signs
 * reports (VEK), its issuer, a root. So they are followed by hand, and each is held against what
 * AMD's specification says of it, which a general path builder knows nothing of. Serial numbers
 * are not looked at: every VEK has 0.
 *
 * A root is trusted by the digest of all of its bytes; the others are by name and signature.
 */
#include "attest/snp_chain_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

enum { NAME_MAX_LEN = 63 };

struct chain {
	const struct attest_snp_question *question;
	struct attest_part *part;
	X509 *vek, *issuer, *root;
	bool is_vlek;
};

/* The one common name, or "" for anything else. */
static void common_name(const X509 *cert, char ret[NAME_MAX_LEN + 1])
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *value;
	int len;

	ret[0] = '\0';
	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	len = ASN1_STRING_length(value);
	if (len <= 0 || len > NAME_MAX_LEN ||
	    memchr(ASN1_STRING_get0_data(value), '\0', (size_t)len))
		return;
	memcpy(ret, ASN1_STRING_get0_data(value), (size_t)len);
	ret[len] = '\0';
}

/* ATTEST_SNP_VCEK, ATTEST_SNP_VLEK or, for any other certificate, ATTEST_SNP_KEY_NONE. */
static enum attest_snp_key vek_kind(const X509 *cert)
{
	char name[NAME_MAX_LEN + 1];

	common_name(cert, name);
	if (!name[0])
		return ATTEST_SNP_KEY_NONE;
	for (int product = 0; product < ATTEST_SNP_PRODUCT_COUNT; product++) {
		const struct attest_snp_names *names =
			attest_snp_names((enum attest_snp_product)product);

		if (strcmp(name, names->vcek) == 0)
			return ATTEST_SNP_VCEK;
		if (strcmp(name, names->vlek) == 0)
			return ATTEST_SNP_VLEK;
	}
	return ATTEST_SNP_KEY_NONE;
}

/* Of several, which the report was signed with: product is in the cpuid only for later versions. */
static bool fits(const X509 *cert, const struct attest_snp_report *report)
{
	enum attest_snp_product product = attest_snp_report_product(report);
	struct attest_refusal refusal;
	struct attest_snp_vek facts;
	struct attest_snp_tcb tcb;

	if (attest_snp_vek_read(cert, &facts, &refusal) < 0)
		return false;
	tcb = attest_snp_tcb_read(report->reported_tcb, facts.has_fmc ? ATTEST_SNP_TURIN : product);
	return memcmp(facts.chip_id, report->chip_id, facts.chip_id_len) == 0 &&
	       memcmp(&tcb, &facts.tcb, sizeof(tcb)) == 0;
}

static void find_vek(struct chain *c, const struct attest_snp_report *report)
{
	const struct attest_certs *certs = c->question->certs;

	for (size_t i = 0; i < certs->count; i++) {
		enum attest_snp_key kind = vek_kind(certs->at[i]);

		if (kind == ATTEST_SNP_KEY_NONE || (report && kind != report->signing_key))
			continue;
		if (!c->vek || (report && !fits(c->vek, report) && fits(certs->at[i], report))) {
			c->vek = certs->at[i];
			c->is_vlek = kind == ATTEST_SNP_VLEK;
		}
	}
}

/* By its key alone; one that was found good before is. */
static bool key_has_signed(const struct chain *c, X509 *cert, const X509 *issuer)
{
	struct attest_memo *memo = c->question->memo;
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	uint8_t own[EVP_MAX_MD_SIZE], digest[ATTEST_MEMO_DIGEST];
	unsigned len = 0;
	bool is_known, has;

	is_known = memo && X509_digest(cert, EVP_sha256(), own, &len) == 1 &&
		   attest_memo_digest("certificate", issuer, (struct bytes){ own, len }, digest);
	if (is_known && attest_memo_has(memo, digest))
		return true;
	has = key && X509_verify(cert, key) == 1;
	if (has && is_known)
		attest_memo_add(memo, digest);
	ERR_clear_error();
	return has;
}

static bool is_signed_by(const struct chain *c, X509 *cert, const X509 *issuer)
{
	return X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
	       key_has_signed(c, cert, issuer);
}

/* What the bag has of that name; -ENOENT: nothing; -EBADMSG: nobody of the name signed it. */
static int find_issuer(const struct chain *c, X509 *cert, X509 **ret)
{
	const struct attest_certs *certs = c->question->certs;
	int r = -ENOENT;

	for (size_t i = 0; i < certs->count; i++) {
		if (X509_NAME_cmp(X509_get_issuer_name(cert),
				  X509_get_subject_name(certs->at[i])) != 0)
			continue;
		r = -EBADMSG;
		if (is_signed_by(c, cert, certs->at[i])) {
			*ret = certs->at[i];
			return 0;
		}
	}
	return r;
}

static const struct attest_root *trusted(const struct chain *c, const X509 *cert)
{
	const struct attest_roots *roots = c->question->roots;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != ATTEST_ROOT_SIZE)
		return NULL;
	for (size_t i = 0; i < roots->count; i++)
		if (memcmp(roots->at[i].sha256, digest, sizeof(roots->at[i].sha256)) == 0)
			return &roots->at[i];
	return NULL;
}

/* A root that is trusted, among those of the name: others of that name may lie in the bag. */
static const struct attest_root *find_root(struct chain *c, int *ret_state)
{
	const struct attest_certs *certs = c->question->certs;
	const struct attest_root *root;

	*ret_state = -ENOENT;
	for (size_t i = 0; i < certs->count; i++) {
		if (X509_NAME_cmp(X509_get_issuer_name(c->issuer),
				  X509_get_subject_name(certs->at[i])) != 0)
			continue;
		root = trusted(c, certs->at[i]);
		*ret_state = root ? -EBADMSG : *ret_state == -ENOENT ? -EPERM : *ret_state;
		if (root && is_signed_by(c, c->issuer, certs->at[i])) {
			c->root = certs->at[i];
			*ret_state = 0;
			return root;
		}
	}
	return NULL;
}

static void check_dates(const struct chain *c, const X509 *cert, const char *what)
{
	time_t now = (time_t)c->question->now_s;
	int begun = ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), now);
	int ended = ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), now);

	if (begun == -2 || ended == -2)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID, "%s: no dates", what);
	else if (begun > 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_EXPIRED, "%s: not valid yet", what);
	else if (ended < 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_EXPIRED, "%s: no longer valid",
				   what);
}

/* Extensions that say "do not use me unless you know this", and broken ones. */
static void check_use(const struct chain *c, X509 *cert, bool is_ca, const char *what)
{
	uint32_t flags = X509_get_extension_flags(cert);

	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "%s: extensions that are broken, or not known", what);
	if (is_ca != (X509_check_ca(cert) == 1))
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   is_ca ? "%s: may not issue certificates"
					 : "%s: is an authority's, not a processor's",
				   what);
}

/* Reports are signed with P-384, and nothing else (AMD 56860, 7.3). */
static void check_key(const struct chain *c)
{
	EVP_PKEY *key = X509_get0_pubkey(c->vek);
	char group[32] = "";
	size_t len = 0;

	if (!key || !EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1 ||
	    strcmp(group, "secp384r1") != 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "the chip's certificate: its key is not one of P-384");
	ERR_clear_error();
}

static void check_names(const struct chain *c, enum attest_snp_product product)
{
	const struct attest_snp_names *names = attest_snp_names(product);
	const char *issuer = c->is_vlek ? names->asvk : names->ask;
	const char *own = c->is_vlek ? names->vlek : names->vcek;
	char name[NAME_MAX_LEN + 1];

	common_name(c->issuer, name);
	if (!issuer || strcmp(name, issuer) != 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "the issuer's name is not '%s'", issuer ? issuer : "anything");
	common_name(c->vek, name);
	if (strcmp(name, own) != 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "the chip's certificate's name is not '%s'", own);
}

static void check_one_crl(const struct chain *c, X509_CRL *crl)
{
	time_t now = (time_t)c->question->now_s;
	X509_REVOKED *revoked = NULL;
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	int begun = ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(crl), now);
	int ended = next ? ASN1_TIME_cmp_time_t(next, now) : -2;

	if (begun == -2 || ended == -2 || begun > 0 || ended < 0)
		attest_part_refuse(c->part, ATTEST_COLLATERAL_EXPIRED,
				   "the root's list of revoked certificates is not of this time");
	if (X509_CRL_get0_by_cert(crl, &revoked, c->issuer) == 1)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_REVOKED,
				   "the certificate of the chip's issuer is revoked");
}

/* The root's list has the issuers; there is none for VEKs, which all have the same serial. */
static void check_revocation(const struct chain *c)
{
	const struct attest_certs *certs = c->question->certs;
	const struct attest_expect *expect = c->question->expect;
	EVP_PKEY *key = X509_get0_pubkey(c->root);
	bool was_checked = false;

	for (size_t i = 0; i < certs->crl_count; i++) {
		X509_CRL *crl = certs->crls[i];

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(c->root)) != 0 ||
		    !key || X509_CRL_verify(crl, key) != 1)
			continue;
		check_one_crl(c, crl);
		was_checked = true;
	}
	ERR_clear_error();
	attest_part_claim_text(c->part, "revocation", was_checked ? "checked" : "unchecked");
	if (!was_checked && expect && expect->require & ATTEST_REQUIRE_REVOCATION)
		attest_part_refuse(c->part, ATTEST_REVOCATION_UNCHECKED,
				   "no list of revoked certificates by this root");
}

static void claim_dates(const struct chain *c)
{
	char text[96];
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(c->vek), &tm) != 1)
		return;
	(void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
		       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	attest_part_claim_text(c->part, "valid_until", text);
}

/* 0, or less if the chain ends before a root that is trusted. */
static int follow(struct chain *c, enum attest_snp_product *ret_product)
{
	const struct attest_root *root;
	int r = find_issuer(c, c->vek, &c->issuer);

	if (r == -ENOENT)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_MISSING,
				   "there is no certificate of the chip's issuer");
	else if (r < 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "the chip's certificate is not signed by its issuer");
	if (r < 0)
		return r;
	root = find_root(c, &r);
	if (r == -ENOENT)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_MISSING,
				   "there is no certificate of the root");
	else if (r == -EPERM)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_UNTRUSTED,
				   "the root of that name is not one that is trusted");
	else if (r < 0)
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   "the issuer's certificate is not signed by the root");
	if (root)
		*ret_product = root->product;
	return r;
}

static void check_chain(const struct chain *c, enum attest_snp_product product)
{
	check_names(c, product);
	check_dates(c, c->issuer, "the issuer's certificate");
	check_dates(c, c->root, "the root's certificate");
	check_use(c, c->issuer, true, "the issuer's certificate");
	check_use(c, c->root, true, "the root's certificate");
	check_revocation(c);
	attest_part_claim_text(c->part, "root", attest_snp_product_name(product));
}

static void read_vek(struct chain *c, struct attest_snp_chain *ret)
{
	struct attest_refusal refusal;

	check_dates(c, c->vek, "the chip's certificate");
	check_use(c, c->vek, false, "the chip's certificate");
	check_key(c);
	claim_dates(c);
	attest_part_claim_text(c->part, "key", c->is_vlek ? "VLEK" : "VCEK");
	if (attest_snp_vek_read(c->vek, &ret->facts, &refusal) < 0) {
		attest_part_refuse(c->part, refusal.reason, "%s", refusal.text);
		return;
	}
	ret->has_facts = true;
	attest_part_claim_text(c->part, "product", ret->facts.product);
	if (ret->facts.provider[0])
		attest_part_claim_text(c->part, "provider", ret->facts.provider);
	if (c->is_vlek != (ret->facts.chip_id_len == 0))
		attest_part_refuse(c->part, ATTEST_CERTIFICATE_INVALID,
				   c->is_vlek ? "a VLEK's certificate with a chip id"
					      : "a VCEK's certificate without a chip id");
}

void attest_snp_chain_find(const struct attest_snp_question *question,
			   const struct attest_snp_report *report, struct attest_part *part,
			   struct attest_snp_chain *ret)
{
	struct chain c = { .question = question, .part = part };
	struct attest_snp_chain chain = { .product = ATTEST_SNP_UNKNOWN };

	find_vek(&c, report);
	if (!c.vek) {
		attest_part_refuse(part, ATTEST_CERTIFICATE_MISSING,
				   "there is no certificate of the key that signs reports%s",
				   !report				    ? ""
				   : report->signing_key == ATTEST_SNP_VCEK ? " (VCEK)"
				   : report->signing_key == ATTEST_SNP_VLEK ? " (VLEK)"
									    : "");
	} else {
		chain.vek = c.vek;
		read_vek(&c, &chain);
		if (follow(&c, &chain.product) == 0)
			check_chain(&c, chain.product);
	}
	attest_part_done(part);
	*ret = chain;
}
