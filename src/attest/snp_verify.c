// SPDX-License-Identifier: Apache-2.0
#include "attest/snp_verify.h"

#include <errno.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "attest/snp_chain_priv.h"

enum {
	ALGO_ECDSA_P384_SHA384 = 1,
	SIGNATURE_DER_MAX = 128,
	TURIN_CHIP_ID = 8,
};

struct check {
	const struct attest_snp_question *question;
	const struct attest_snp_report *report;
	const struct attest_expect *expect;
	struct attest_snp_chain chain;
	enum attest_snp_product product; /* what is believed of the report, to read its levels */
	struct attest_verdict *verdict;
};

static void signature_done(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}
CLEANUP_FUNC(ECDSA_SIG *, signature_done)

static void digest_done(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}
CLEANUP_FUNC(EVP_MD_CTX *, digest_done)

#define HEX(part, name, field) \
	attest_part_claim_hex(part, name, (struct bytes){ (field), sizeof(field) })

static void claim_report(struct attest_part *part, const struct attest_snp_report *report)
{
	attest_part_claim_number(part, "version", report->version);
	attest_part_claim_text(part, "processor",
			       attest_snp_product_name(attest_snp_report_product(report)));
	attest_part_claim_number(part, "vmpl", report->vmpl);
	attest_part_claim_number(part, "guest_svn", report->guest_svn);
	HEX(part, "family_id", report->family_id);
	HEX(part, "image_id", report->image_id);
	HEX(part, "report_id", report->report_id);
	HEX(part, "chip_id", report->chip_id);
	HEX(part, "id_key_digest", report->id_key_digest);
	HEX(part, "author_key_digest", report->author_key_digest);
}

/* -EBADMSG: there is none to go on with. */
static int check_report(struct check *c, struct attest_snp_report *ret_report)
{
	struct attest_part *part = attest_verdict_part(c->verdict, ATTEST_PART_SNP_REPORT, "");
	struct attest_refusal refusal;

	if (attest_snp_report_parse(c->question->report, ret_report, &refusal) < 0) {
		attest_part_refuse(part, refusal.reason, "%s", refusal.text);
		attest_part_done(part);
		return -EBADMSG;
	}
	c->report = ret_report;
	claim_report(part, ret_report);
	if (ret_report->signature_algo != ALGO_ECDSA_P384_SHA384)
		attest_part_refuse(part, ATTEST_REPORT_UNSIGNED,
				   "signature algorithm %u is not known",
				   ret_report->signature_algo);
	if (ret_report->chip_key_is_masked)
		attest_part_refuse(part, ATTEST_REPORT_UNSIGNED, "the chip's key is masked");
	if (ret_report->signing_key != ATTEST_SNP_VCEK &&
	    ret_report->signing_key != ATTEST_SNP_VLEK)
		attest_part_refuse(part, ATTEST_REPORT_UNSIGNED, "no key signed it (%u)",
				   ret_report->signing_key);
	if (ret_report->vmpl == ATTEST_SNP_VMPL_HOST)
		attest_part_refuse(part, ATTEST_REPORT_BY_HOST, "its VMPL is the host's");
	else if (ret_report->vmpl > 3)
		attest_part_refuse(part, ATTEST_EVIDENCE_MALFORMED, "there is no VMPL %u",
				   ret_report->vmpl);
	attest_part_done(part);
	return 0;
}

/* Version 2 doesn't say what processor it is from: the root does. */
static void settle_product(struct check *c, struct attest_part *part)
{
	const struct attest_snp_report *report = c->report;
	enum attest_snp_product own = attest_snp_report_product(report);
	const struct attest_snp_chain *chain = &c->chain;

	c->product = own != ATTEST_SNP_UNKNOWN ? own : chain->product;
	if (own == ATTEST_SNP_UNKNOWN && report->version > 2)
		attest_part_refuse(part, ATTEST_PRODUCT_MISMATCH,
				   "processor family 0x%02x, model 0x%02x is not known",
				   report->family, report->model);
	else if (chain->product != ATTEST_SNP_UNKNOWN && c->product != chain->product)
		attest_part_refuse(part, ATTEST_PRODUCT_MISMATCH,
				   "the report is from %s, the root is %s's",
				   attest_snp_product_name(c->product),
				   attest_snp_product_name(chain->product));
	if (chain->product == ATTEST_SNP_SIM && own != ATTEST_SNP_SIM)
		attest_part_refuse(part, ATTEST_PRODUCT_MISMATCH,
				   "a simulated processor that takes itself for a real one");
	if (chain->has_facts && c->product != ATTEST_SNP_UNKNOWN &&
	    !attest_snp_vek_is_of(&chain->facts, c->product))
		attest_part_refuse(part, ATTEST_PRODUCT_MISMATCH,
				   "the certificate is for '%s', not for %s", chain->facts.product,
				   attest_snp_product_name(c->product));
}

static void check_simulated(struct check *c, struct attest_part *part)
{
	if (c->product != ATTEST_SNP_SIM && c->chain.product != ATTEST_SNP_SIM &&
	    !(c->chain.has_facts && attest_snp_vek_is_of(&c->chain.facts, ATTEST_SNP_SIM)))
		return;
	c->verdict->is_simulated = true;
	attest_part_claim_bool(part, "simulated", true);
	if (!c->expect || !(c->expect->allow & ATTEST_ALLOW_SIMULATED))
		attest_part_refuse(part, ATTEST_SIMULATED,
				   "a simulated processor, which the policy does not allow");
}

/* r and s, little-endian numbers, as ASN.1. 0: it cannot be done. */
static size_t signature_der(const struct attest_snp_report *report, uint8_t der[SIGNATURE_DER_MAX])
{
	CLEANUP(signature_done) ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_lebin2bn(report->signature_r, sizeof(report->signature_r), NULL);
	BIGNUM *s = BN_lebin2bn(report->signature_s, sizeof(report->signature_s), NULL);
	uint8_t *at = der;
	int len;

	if (!signature || !r || !s || ECDSA_SIG_set0(signature, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return 0;
	}
	len = i2d_ECDSA_SIG(signature, NULL);
	if (len <= 0 || len > SIGNATURE_DER_MAX)
		return 0;
	return (size_t)i2d_ECDSA_SIG(signature, &at);
}

static bool signature_is_good(const struct attest_snp_report *report, const X509 *cert,
			      struct attest_memo *memo)
{
	struct bytes all = { report->raw, sizeof(report->raw) };
	uint8_t digest[ATTEST_MEMO_DIGEST];
	bool is_known = memo && attest_memo_digest("report", cert, all, digest);

	CLEANUP(digest_done) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = X509_get0_pubkey(cert);
	uint8_t der[SIGNATURE_DER_MAX];
	size_t len = signature_der(report, der);
	bool is_good;

	if (is_known && attest_memo_has(memo, digest))
		return true;
	is_good = ctx && key && len > 0 && EVP_PKEY_is_a(key, "EC") &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, der, len, report->raw, ATTEST_SNP_SIGNED_SIZE) == 1;
	if (is_good && is_known)
		attest_memo_add(memo, digest);
	ERR_clear_error();
	return is_good;
}

static void check_signature(struct check *c)
{
	struct attest_part *part = attest_verdict_part(c->verdict, ATTEST_PART_SNP_SIGNATURE, "");

	attest_part_claim_text(part, "algorithm", "ECDSA-P384-SHA384");
	if (!c->chain.vek)
		attest_part_refuse(part, ATTEST_CERTIFICATE_MISSING,
				   "there is no key to check the signature with");
	else if (!signature_is_good(c->report, c->chain.vek, c->question->memo))
		attest_part_refuse(
			part, ATTEST_REPORT_SIGNATURE,
			"the signature is not by the certificate's key over this report");
	attest_part_done(part);
}

static void check_chip(struct check *c, struct attest_part *part)
{
	const struct attest_snp_vek *facts = &c->chain.facts;
	const uint8_t *chip_id = c->report->chip_id;

	if (!c->chain.has_facts || facts->chip_id_len == 0)
		return;
	if (c->product != ATTEST_SNP_TURIN && facts->chip_id_len != ATTEST_SNP_CHIP_ID_SIZE) {
		attest_part_refuse(part, ATTEST_CERTIFICATE_INVALID,
				   "a chip id of %zu bytes is not one of %s", facts->chip_id_len,
				   attest_snp_product_name(c->product));
		return;
	}
	/* facts->chip_id is zero behind its length, as a report's is (Turin: 8 bytes). */
	if (memcmp(facts->chip_id, chip_id, ATTEST_SNP_CHIP_ID_SIZE) != 0)
		attest_part_refuse(part, ATTEST_CHIP_MISMATCH,
				   "the certificate is for another chip");
}

static json_t *tcb_json(struct attest_snp_tcb tcb, enum attest_snp_product product)
{
	json_t *object = json_pack("{s:i, s:i, s:i, s:i}", "bootloader", tcb.bootloader, "tee",
				   tcb.tee, "snp", tcb.snp, "microcode", tcb.microcode);

	if (object && product == ATTEST_SNP_TURIN &&
	    json_object_set_new(object, "fmc", json_integer(tcb.fmc)) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static bool is_same(struct attest_snp_tcb a, struct attest_snp_tcb b)
{
	return !attest_snp_tcb_below(a, b) && !attest_snp_tcb_below(b, a);
}

static void check_least(struct attest_part *part, struct attest_snp_tcb have,
			struct attest_snp_tcb least, const char *which)
{
	const char *below = attest_snp_tcb_below(have, least);

	if (below)
		attest_part_refuse(part, ATTEST_TCB_TOO_LOW, "the %s TCB's %s is too low", which,
				   below);
}

static void check_consistency(struct attest_part *part, struct attest_snp_tcb current,
			      struct attest_snp_tcb lower, const char *which)
{
	const char *below = attest_snp_tcb_below(current, lower);

	if (below)
		attest_part_refuse(part, ATTEST_TCB_INCONSISTENT,
				   "the %s TCB's %s is above the current one", which, below);
}

static void check_tcb(struct check *c)
{
	struct attest_part *part = attest_verdict_part(c->verdict, ATTEST_PART_SNP_TCB, "");
	const struct attest_snp_report *report = c->report;
	struct attest_snp_tcb current = attest_snp_tcb_read(report->current_tcb, c->product);
	struct attest_snp_tcb reported = attest_snp_tcb_read(report->reported_tcb, c->product);
	struct attest_snp_tcb committed = attest_snp_tcb_read(report->committed_tcb, c->product);
	struct attest_snp_tcb launch = attest_snp_tcb_read(report->launch_tcb, c->product);

	attest_part_claim_json(part, "current", tcb_json(current, c->product));
	attest_part_claim_json(part, "reported", tcb_json(reported, c->product));
	attest_part_claim_json(part, "committed", tcb_json(committed, c->product));
	attest_part_claim_json(part, "launch", tcb_json(launch, c->product));
	check_consistency(part, current, reported, "reported");
	check_consistency(part, current, committed, "committed");
	if (c->chain.has_facts && c->product == ATTEST_SNP_TURIN && !c->chain.facts.has_fmc)
		attest_part_refuse(part, ATTEST_CERTIFICATE_INVALID,
				   "the certificate lacks Turin's FMC level");
	if (c->chain.has_facts && !is_same(reported, c->chain.facts.tcb))
		attest_part_refuse(part, ATTEST_TCB_MISMATCH,
				   "the certificate is for other firmware levels than reported");
	check_chip(c, part);
	if (c->expect) {
		check_least(part, reported, c->expect->least_tcb, "reported");
		check_least(part, launch, c->expect->least_launch_tcb, "launch");
	}
	attest_part_done(part);
}

static void check_guest_bits(struct check *c, struct attest_part *part)
{
	unsigned allow = c->expect ? c->expect->allow : 0;
	unsigned require = c->expect ? c->expect->require : 0;
	uint64_t policy = c->report->policy;

	if (!(policy & ATTEST_SNP_POLICY_RESERVED_ONE) || policy & ~ATTEST_SNP_POLICY_KNOWN)
		attest_part_refuse(part, ATTEST_GUEST_POLICY, "guest policy 0x%llx is not known",
				   (unsigned long long)policy);
	if (policy & ATTEST_SNP_POLICY_DEBUG && !(allow & ATTEST_ALLOW_DEBUG))
		attest_part_refuse(part, ATTEST_GUEST_DEBUG, "the host may debug the guest");
	if (policy & ATTEST_SNP_POLICY_MIGRATE_MA && !(allow & ATTEST_ALLOW_MIGRATION))
		attest_part_refuse(part, ATTEST_GUEST_MIGRATABLE, "it may have a migration agent");
	if (policy & ATTEST_SNP_POLICY_CXL && !(allow & ATTEST_ALLOW_CXL))
		attest_part_refuse(part, ATTEST_GUEST_POLICY, "CXL devices are allowed");
	if (policy & ATTEST_SNP_POLICY_SMT && require & ATTEST_REQUIRE_NO_SMT)
		attest_part_refuse(part, ATTEST_GUEST_POLICY, "SMT is allowed");
	if (!(policy & ATTEST_SNP_POLICY_SINGLE_SOCKET) && require & ATTEST_REQUIRE_SINGLE_SOCKET)
		attest_part_refuse(part, ATTEST_GUEST_POLICY, "several sockets are allowed");
}

static void check_platform(struct check *c, struct attest_part *part)
{
	static const struct {
		enum attest_require require;
		uint64_t bit;
		const char *what;
	} wanted[] = {
		{ ATTEST_REQUIRE_ALIAS_CHECK, ATTEST_SNP_PLATFORM_ALIAS_CHECK,
		  "memory was not checked for aliases" },
		{ ATTEST_REQUIRE_HIDING, ATTEST_SNP_PLATFORM_HIDING, "ciphertext is not hidden" },
		{ ATTEST_REQUIRE_ECC, ATTEST_SNP_PLATFORM_ECC, "memory has no ECC" },
	};

	for (size_t i = 0; c->expect && i < ARRAY_SIZE(wanted); i++)
		if (c->expect->require & (unsigned)wanted[i].require &&
		    !(c->report->platform_info & wanted[i].bit))
			attest_part_refuse(part, ATTEST_PLATFORM, "%s", wanted[i].what);
}

static void check_guest(struct check *c)
{
	struct attest_part *part = attest_verdict_part(c->verdict, ATTEST_PART_SNP_GUEST, "");
	const struct attest_snp_report *report = c->report;
	uint64_t policy = report->policy;

	attest_part_claim_number(part, "policy", policy);
	attest_part_claim_bool(part, "debug", policy & ATTEST_SNP_POLICY_DEBUG);
	attest_part_claim_bool(part, "migration", policy & ATTEST_SNP_POLICY_MIGRATE_MA);
	attest_part_claim_bool(part, "smt", policy & ATTEST_SNP_POLICY_SMT);
	attest_part_claim_bool(part, "single_socket", policy & ATTEST_SNP_POLICY_SINGLE_SOCKET);
	attest_part_claim_number(part, "platform", report->platform_info);
	check_guest_bits(c, part);
	check_platform(c, part);
	if (c->expect && report->guest_svn < c->expect->least_guest_svn)
		attest_part_refuse(part, ATTEST_GUEST_SVN, "it is %u, not %u or more",
				   report->guest_svn, c->expect->least_guest_svn);
	if (c->expect && c->expect->vmpls && report->vmpl <= 3 &&
	    !(c->expect->vmpls >> report->vmpl & 1))
		attest_part_refuse(part, ATTEST_VMPL, "level %u is not allowed", report->vmpl);
	attest_part_done(part);
}

/* None at all is no wish. */
static bool is_among(const void *list, size_t count, size_t size, const void *value)
{
	const uint8_t *at = list;

	if (count == 0)
		return true;
	for (size_t i = 0; i < count; i++)
		if (memcmp(at + i * size, value, size) == 0)
			return true;
	return false;
}

static void check_keys(const struct check *c, struct attest_part *part)
{
	const struct attest_expect *expect = c->expect;
	const struct attest_snp_report *report = c->report;

	if (!is_among(expect->id_key_digests.at, expect->id_key_digests.count,
		      ATTEST_SNP_DIGEST_SIZE, report->id_key_digest))
		attest_part_refuse(part, ATTEST_ID_KEY, "the ID block is by another key");
	if (expect->author_key_digests.count > 0 &&
	    (!report->author_key_is_used ||
	     !is_among(expect->author_key_digests.at, expect->author_key_digests.count,
		       ATTEST_SNP_DIGEST_SIZE, report->author_key_digest)))
		attest_part_refuse(part, ATTEST_ID_KEY, "the ID key is by another author");
	if (!is_among(expect->chip_ids, expect->chip_id_count, ATTEST_SNP_CHIP_ID_SIZE,
		      report->chip_id))
		attest_part_refuse(part, ATTEST_CHIP_NOT_ALLOWED, "the policy names other chips");
}

static void check_binding(struct check *c)
{
	struct attest_part *part = attest_verdict_part(c->verdict, ATTEST_PART_SNP_BINDING, "");
	const struct attest_expect *expect = c->expect;
	const struct attest_snp_report *report = c->report;

	HEX(part, "launch_digest", report->launch_digest);
	HEX(part, "report_data", report->report_data);
	HEX(part, "host_data", report->host_data);
	if (expect) {
		check_keys(c, part);
		if (!is_among(expect->launch_digests.at, expect->launch_digests.count,
			      ATTEST_SNP_DIGEST_SIZE, report->launch_digest))
			attest_part_refuse(part, ATTEST_LAUNCH_DIGEST_MISMATCH,
					   "the launch digest is none of those expected");
		if (!is_among(expect->host_data, expect->host_data_count, ATTEST_SNP_HOST_DATA_SIZE,
			      report->host_data))
			attest_part_refuse(part, ATTEST_HOST_DATA_MISMATCH,
					   "the host data are none of those expected");
		if (expect->has_report_data) {
			c->verdict->freshness_checked = true;
			if (memcmp(expect->report_data, report->report_data,
				   sizeof(report->report_data)) != 0)
				attest_part_refuse(part, ATTEST_REPORT_DATA_MISMATCH,
						   "the report was made for something else");
		}
	}
	attest_part_done(part);
}

int attest_snp_verify(const struct attest_snp_question *question,
		      struct attest_snp_report *ret_report, struct attest_verdict *verdict)
{
	struct check c = { .question = question, .expect = question->expect, .verdict = verdict };
	struct attest_part *part;

	verdict->policy_applied = question->expect != NULL;
	if (check_report(&c, ret_report) < 0)
		return verdict->is_broken ? -ENOMEM : 0;
	part = attest_verdict_part(verdict, ATTEST_PART_SNP_CERTIFICATES, "");
	attest_snp_chain_find(question, c.report, part, &c.chain);
	settle_product(&c, part);
	check_simulated(&c, part);
	check_signature(&c);
	check_tcb(&c);
	check_guest(&c);
	check_binding(&c);
	return verdict->is_broken ? -ENOMEM : 0;
}
