// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/snp_verify.h"

#include "made.h"
#include "vectors.h"

/* Keys are made once: they are what takes time. */
static struct {
	EVP_PKEY *root, *issuer, *chip, *other;
} keys;

static int make_keys(void **state)
{
	(void)state;
	keys.root = EVP_EC_gen("P-384");
	keys.issuer = EVP_EC_gen("P-384");
	keys.chip = EVP_EC_gen("P-384");
	keys.other = EVP_EC_gen("P-384");
	return keys.root && keys.issuer && keys.chip && keys.other ? 0 : -1;
}

static int drop_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(keys.root);
	EVP_PKEY_free(keys.issuer);
	EVP_PKEY_free(keys.chip);
	EVP_PKEY_free(keys.other);
	return 0;
}

/* All of a question, to be changed before it is asked. */
struct scene {
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct made_cert root, issuer, chip;
	EVP_PKEY *signer;
	bool is_signed; /* anew, before it is asked */
	bool without_root, without_issuer, without_chip, root_is_other;
	enum attest_snp_product product;
	struct attest_expect expect;
	bool has_expect;
	int64_t now_s;
	struct attest_certs more; /* what lies in the bag besides */
	X509_CRL *crl;
};

static void init(struct scene *s)
{
	*s = (struct scene){ .product = ATTEST_SNP_GENOA, .now_s = MADE_NOW, .is_signed = true };
	made_report(s->report);
	s->root = (struct made_cert){ .name = "ARK-Made",
				      .key = keys.root,
				      .issuer = "ARK-Made",
				      .issuer_key = keys.root,
				      .from_s = MADE_NOW - MADE_YEAR,
				      .to_s = MADE_NOW + MADE_YEAR,
				      .is_ca = true,
				      .serial = 1 };
	s->issuer = (struct made_cert){ .name = "SEV-Genoa",
					.key = keys.issuer,
					.issuer = "ARK-Made",
					.issuer_key = keys.root,
					.from_s = MADE_NOW - MADE_YEAR,
					.to_s = MADE_NOW + MADE_YEAR,
					.is_ca = true,
					.serial = 2 };
	s->chip = (struct made_cert){ .name = "SEV-VCEK",
				      .key = keys.chip,
				      .issuer = "SEV-Genoa",
				      .issuer_key = keys.issuer,
				      .from_s = MADE_NOW - MADE_YEAR,
				      .to_s = MADE_NOW + MADE_YEAR };
	(void)made_extensions("Genoa", s->report + 0x1a0, 64, s->chip.extensions);
	s->signer = keys.chip;
}

static void put_cert(struct attest_certs *certs, X509 *take_cert, bool is_there)
{
	if (is_there)
		certs->at[certs->count++] = take_cert;
	else
		X509_free(take_cert);
}

static int ask(struct scene *s, struct attest_verdict *verdict)
{
	X509 *root = made_cert(&s->root);
	struct attest_roots roots = { .count = 1, .at = { { .product = s->product } } };
	struct attest_certs certs = { 0 };
	struct attest_snp_report report;
	struct attest_snp_question question = {
		.report = { s->report, sizeof(s->report) },
		.certs = &certs,
		.roots = &roots,
		.expect = s->has_expect ? &s->expect : NULL,
		.now_s = s->now_s,
	};
	int r;

	if (s->is_signed)
		made_sign(s->report, s->signer);
	made_digest(root, roots.at[0].sha256);
	roots.at[0].sha256[31] ^= s->root_is_other;
	for (size_t i = 0; i < s->more.count; i++)
		put_cert(&certs, s->more.at[i], true);
	put_cert(&certs, made_cert(&s->chip), !s->without_chip);
	put_cert(&certs, root, !s->without_root);
	put_cert(&certs, made_cert(&s->issuer), !s->without_issuer);
	if (s->crl)
		certs.crls[certs.crl_count++] = s->crl;
	r = attest_snp_verify(&question, &report, verdict);
	attest_certs_done(&certs);
	s->more.count = 0;
	s->crl = NULL;
	return r;
}

static void accepts(struct scene *s)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };

	assert_int_equal(ask(s, &verdict), 0);
	if (!attest_verdict_is_ok(&verdict))
		fail_msg("refused: %s", attest_verdict_first(&verdict)->text);
}

/* For that reason, and no other. */
static void refuses(struct scene *s, enum attest_reason reason)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };

	assert_int_equal(ask(s, &verdict), 0);
	assert_false(attest_verdict_is_ok(&verdict));
	if (!attest_verdict_has(&verdict, reason))
		fail_msg("not '%s', but '%s'", attest_reason_name(reason),
			 attest_verdict_first(&verdict)->text);
	for (int i = 0; i < ATTEST_REASON_COUNT; i++)
		if (i != (int)reason && attest_verdict_has(&verdict, (enum attest_reason)i))
			fail_msg("'%s' as well", attest_reason_name((enum attest_reason)i));
}

/* For that one among others. */
static void refuses_also(struct scene *s, enum attest_reason reason)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };

	assert_int_equal(ask(s, &verdict), 0);
	assert_false(attest_verdict_is_ok(&verdict));
	assert_true(attest_verdict_has(&verdict, reason));
}

static void a_good_report_is_accepted(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct scene s;

	(void)state;
	init(&s);
	accepts(&s);
	assert_int_equal(ask(&s, &verdict), 0);
	assert_false(verdict.is_simulated || verdict.freshness_checked || verdict.policy_applied);
	assert_int_equal(verdict.part_count, ATTEST_PART_KIND_COUNT);
}

static void every_flipped_byte_refuses(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	struct attest_roots roots = { .count = 1, .at = { { .product = ATTEST_SNP_GENOA } } };
	struct attest_snp_question question = { .certs = &certs,
						.roots = &roots,
						.now_s = MADE_NOW };
	struct attest_snp_report report;
	struct scene s;

	(void)state;
	init(&s);
	made_sign(s.report, keys.chip);
	put_cert(&certs, made_cert(&s.root), true);
	put_cert(&certs, made_cert(&s.issuer), true);
	put_cert(&certs, made_cert(&s.chip), true);
	made_digest(certs.at[0], roots.at[0].sha256);
	question.report = (struct bytes){ s.report, sizeof(s.report) };
	for (size_t i = 0; i <= sizeof(s.report); i++) {
		CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
		bool is_whole = i == sizeof(s.report);
		uint8_t flip = (uint8_t)(1 << i % 8);

		if (!is_whole)
			s.report[i] ^= flip;
		assert_int_equal(attest_snp_verify(&question, &report, &verdict), 0);
		if (attest_verdict_is_ok(&verdict) != is_whole)
			fail_msg("byte 0x%zx may be changed", i);
		if (!is_whole)
			s.report[i] ^= flip;
	}
}

/* Bytes that no field has are signed, too: what was received is checked, not what was parsed. */
static void reserved_bytes_are_signed(void **state)
{
	static const size_t reserved[] = { 0x4c, 0x3a, 0x182, 0x18b, 0x19f, 0x1eb, 0x1f8, 0x29f };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		init(&s);
		s.report[reserved[i]] = 1;
		accepts(&s);
		s.is_signed = false;
		s.report[reserved[i]] = 2;
		refuses(&s, ATTEST_REPORT_SIGNATURE);
	}
}

static void the_signature_is_by_that_key(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.signer = keys.other;
	refuses(&s, ATTEST_REPORT_SIGNATURE);
	init(&s);
	s.is_signed = false; /* r = s = 0 */
	refuses(&s, ATTEST_REPORT_SIGNATURE);
	memset(s.report + 0x2a0, 0xff, 48); /* above the curve's order */
	memset(s.report + 0x2e8, 0xff, 48);
	refuses(&s, ATTEST_REPORT_SIGNATURE);
}

static void a_report_that_is_not_signed_is_none(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	made_put(s.report, 0x34, 2, 4);
	refuses(&s, ATTEST_REPORT_UNSIGNED);
	init(&s);
	made_put(s.report, 0x48, 2, 4); /* MASK_CHIP_KEY */
	refuses(&s, ATTEST_REPORT_UNSIGNED);
	init(&s);
	made_put(s.report, 0x48, 7 << 2, 4);
	refuses_also(&s, ATTEST_REPORT_UNSIGNED);
	init(&s);
	made_put(s.report, 0x30, UINT32_MAX, 4);
	refuses(&s, ATTEST_REPORT_BY_HOST);
	init(&s);
	made_put(s.report, 0x30, 3, 4);
	accepts(&s);
	made_put(s.report, 0x30, 4, 4);
	refuses(&s, ATTEST_EVIDENCE_MALFORMED);
}

static void what_is_no_report_is_refused_and_nothing_else_is_said(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct attest_certs certs = { 0 };
	struct attest_snp_report report;
	struct attest_snp_question question = { .certs = &certs, .roots = attest_roots_amd() };

	(void)state;
	assert_int_equal(attest_snp_verify(&question, &report, &verdict), 0);
	assert_false(attest_verdict_is_ok(&verdict));
	assert_int_equal(verdict.part_count, 1);
	assert_true(attest_verdict_has(&verdict, ATTEST_EVIDENCE_MALFORMED));
}

static void a_missing_certificate_is_named(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.without_chip = true;
	refuses(&s, ATTEST_CERTIFICATE_MISSING);
	init(&s);
	s.without_issuer = true;
	refuses(&s, ATTEST_CERTIFICATE_MISSING);
	init(&s);
	s.without_root = true;
	refuses(&s, ATTEST_CERTIFICATE_MISSING);
	init(&s);
	s.root_is_other = true;
	refuses(&s, ATTEST_CERTIFICATE_UNTRUSTED);
}

static void a_certificate_is_signed_by_its_issuer(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.chip.issuer_key = keys.other;
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.issuer.issuer_key = keys.other;
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.chip.issuer_key = keys.root; /* by the root, in the issuer's name */
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
}

/* Somebody else's certificates with the right names don't get in the way, nor do they help. */
static void what_else_lies_in_the_bag_does_not_matter(void **state)
{
	struct scene s;
	struct made_cert fake;

	(void)state;
	init(&s);
	fake = s.issuer;
	fake.key = keys.other;
	fake.issuer_key = keys.other;
	s.more.at[s.more.count++] = made_cert(&fake);
	fake = s.root;
	fake.key = fake.issuer_key = keys.other;
	s.more.at[s.more.count++] = made_cert(&fake);
	fake = s.chip;
	(void)made_extensions("Genoa", (const uint8_t[64]){ 9 }, 64, fake.extensions);
	s.more.at[s.more.count++] = made_cert(&fake); /* another chip's */
	accepts(&s);
}

static void dates_hold_for_all_three(void **state)
{
	struct made_cert *cert;
	struct scene s;

	(void)state;
	for (int i = 0; i < 3; i++) {
		init(&s);
		cert = i == 0 ? &s.root : i == 1 ? &s.issuer : &s.chip;
		cert->from_s = MADE_NOW;
		cert->to_s = MADE_NOW;
		accepts(&s);
		cert->from_s = MADE_NOW + 1;
		cert->to_s = MADE_NOW + 2;
		refuses(&s, ATTEST_CERTIFICATE_EXPIRED);
		cert->from_s = MADE_NOW - 2;
		cert->to_s = MADE_NOW - 1;
		refuses(&s, ATTEST_CERTIFICATE_EXPIRED);
	}
	init(&s);
	s.now_s = MADE_NOW + 100 * MADE_YEAR;
	refuses(&s, ATTEST_CERTIFICATE_EXPIRED);
	s.now_s = 0;
	refuses(&s, ATTEST_CERTIFICATE_EXPIRED);
}

static void only_authorities_issue(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.issuer.is_ca = false;
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.issuer.usage = "critical,digitalSignature";
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.root.is_ca = false;
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.chip.is_ca = true;
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
}

/* A certificate may say: do not use me unless you know this. */
static void what_has_to_be_known_is_known(void **state)
{
	static const struct made_extension strange = { "1.2.3.4.5", { 5, 0 }, 2, true };
	struct scene s;

	(void)state;
	for (int i = 0; i < 3; i++) {
		init(&s);
		(i == 0 ? &s.root : i == 1 ? &s.issuer : &s.chip)->extensions[8] = strange;
		for (size_t j = 0; j < 8; j++) {
			struct made_extension *at = &(i == 0   ? &s.root
						      : i == 1 ? &s.issuer
							       : &s.chip)
							     ->extensions[j];

			if (!at->oid)
				*at = made_level("1.2.3.4.6", 0);
		}
		refuses(&s, ATTEST_CERTIFICATE_INVALID);
	}
}

static void names_tell_keys_apart(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.issuer.name = s.chip.issuer = "SEV-VLEK-Genoa"; /* it issues VLEKs */
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.issuer.name = s.chip.issuer = "SEV-Milan";
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.chip.name = "SEV-XXXX";
	refuses(&s, ATTEST_CERTIFICATE_MISSING);
	init(&s);
	s.chip.name = "casemate-sim chip";
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
}

static void the_chip_has_a_key_of_p384(void **state)
{
	EVP_PKEY *p256 = EVP_EC_gen("P-256");
	struct scene s;

	(void)state;
	init(&s);
	s.chip.key = p256;
	s.is_signed = false;
	refuses_also(&s, ATTEST_CERTIFICATE_INVALID);
	EVP_PKEY_free(p256);
}

static void a_vlek_is_a_vlek(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	made_put(s.report, 0x48, 1 << 2, 4);
	refuses(&s, ATTEST_CERTIFICATE_MISSING); /* there is a VCEK only */
	s.chip.name = "SEV-VLEK";
	s.issuer.name = s.chip.issuer = "SEV-VLEK-Genoa";
	memset(s.chip.extensions, 0, sizeof(s.chip.extensions));
	(void)made_extensions("Genoa", NULL, 0, s.chip.extensions);
	accepts(&s);
	memset(s.report + 0x1a0, 0, 64);
	accepts(&s);
	s.issuer.name = s.chip.issuer = "SEV-Genoa";
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	s.issuer.name = s.chip.issuer = "SEV-VLEK-Genoa";
	made_put(s.report, 0x48, 0, 4);
	refuses(&s, ATTEST_CERTIFICATE_MISSING);
}

static void a_vcek_without_a_chip_is_refused(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	memset(s.chip.extensions, 0, sizeof(s.chip.extensions));
	(void)made_extensions("Genoa", NULL, 0, s.chip.extensions);
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
}

static void the_certificate_is_for_this_chip(void **state)
{
	uint8_t eight[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct scene s;
	size_t n;

	(void)state;
	init(&s);
	s.report[0x1a0 + 63] ^= 1;
	refuses(&s, ATTEST_CHIP_MISMATCH);
	/* Eight bytes are Turin's; and there the rest is zero. */
	init(&s);
	memset(s.chip.extensions, 0, sizeof(s.chip.extensions));
	(void)made_extensions("Genoa", eight, 8, s.chip.extensions);
	refuses(&s, ATTEST_CERTIFICATE_INVALID);
	init(&s);
	s.product = ATTEST_SNP_TURIN;
	s.issuer.name = s.chip.issuer = "SEV-Turin";
	made_put(s.report, 0x188, 0x00021a, 3);
	for (size_t i = 0; i < 4; i++) {
		static const size_t at[] = { 0x38, 0x180, 0x1e0, 0x1f0 };

		made_put(s.report, at[i], UINT64_C(0xd10000001701000a), 8);
		s.report[at[i]] = 5;	  /* fmc */
		s.report[at[i] + 1] = 10; /* bootloader */
		s.report[at[i] + 2] = 1;
		s.report[at[i] + 3] = 23;
		made_put(s.report, at[i] + 4, UINT64_C(0xd1000000), 4);
	}
	memset(s.chip.extensions, 0, sizeof(s.chip.extensions));
	n = made_extensions("Turin", eight, 8, s.chip.extensions);
	refuses_also(&s, ATTEST_CERTIFICATE_INVALID); /* no FMC level */
	s.chip.extensions[n] = made_level(MADE_AMD "3.9", 5);
	refuses(&s, ATTEST_CHIP_MISMATCH);
	memset(s.report + 0x1a0 + 8, 0, 56);
	accepts(&s);
	s.chip.extensions[n] = made_level(MADE_AMD "3.9", 4);
	refuses(&s, ATTEST_TCB_MISMATCH);
}

static void product_of_report_certificate_and_root_agree(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	made_put(s.report, 0x188, 0x000119, 3); /* Milan */
	refuses(&s, ATTEST_PRODUCT_MISMATCH);
	init(&s);
	made_put(s.report, 0x188, 0x00ff19, 3);
	refuses(&s, ATTEST_PRODUCT_MISMATCH);
	init(&s);
	s.chip.extensions[1] = made_text(MADE_AMD "2", "Milan-B0");
	refuses(&s, ATTEST_PRODUCT_MISMATCH);
	init(&s);
	s.chip.extensions[1] = made_text(MADE_AMD "2", "Genoa-A1");
	accepts(&s);
	s.chip.extensions[1] = made_text(MADE_AMD "2", "Genoam");
	refuses(&s, ATTEST_PRODUCT_MISMATCH);
	/* Version 2 doesn't say: the root does. */
	init(&s);
	made_put(s.report, 0, 2, 4);
	made_put(s.report, 0x188, 0, 3);
	accepts(&s);
}

static void the_certificate_is_for_these_levels(void **state)
{
	static const size_t parts[] = { 0x180, 0x181, 0x186, 0x187 };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		init(&s);
		s.report[parts[i]]--;
		refuses(&s, ATTEST_TCB_MISMATCH);
	}
	init(&s);
	s.report[0x38]--; /* current below reported, and below committed */
	refuses(&s, ATTEST_TCB_INCONSISTENT);
	init(&s);
	s.report[0x38]--;
	s.report[0x1e0] -= 2; /* below reported alone */
	refuses(&s, ATTEST_TCB_INCONSISTENT);
	init(&s);
	s.report[0x1e7]++; /* committed above current */
	refuses(&s, ATTEST_TCB_INCONSISTENT);
	init(&s);
	s.report[0x3f]++; /* provisional firmware: current above committed */
	accepts(&s);
}

static void levels_have_a_minimum(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.has_expect = true;
	s.expect.least_tcb = (struct attest_snp_tcb){ 0, 10, 1, 23, 0xd1 };
	s.expect.least_launch_tcb = s.expect.least_tcb;
	accepts(&s);
	s.expect.least_tcb.microcode++;
	refuses(&s, ATTEST_TCB_TOO_LOW);
	s.expect.least_tcb.microcode--;
	s.expect.least_launch_tcb.snp++;
	refuses(&s, ATTEST_TCB_TOO_LOW);
	s.expect.least_launch_tcb.snp--;
	s.expect.least_tcb.fmc = 1; /* Genoa has none */
	refuses(&s, ATTEST_TCB_TOO_LOW);
}

static void what_the_guest_permits_is_refused_by_default(void **state)
{
	static const struct {
		uint64_t bit;
		enum attest_reason reason;
		unsigned allow;
	} cases[] = {
		{ ATTEST_SNP_POLICY_DEBUG, ATTEST_GUEST_DEBUG, ATTEST_ALLOW_DEBUG },
		{ ATTEST_SNP_POLICY_MIGRATE_MA, ATTEST_GUEST_MIGRATABLE, ATTEST_ALLOW_MIGRATION },
		{ ATTEST_SNP_POLICY_CXL, ATTEST_GUEST_POLICY, ATTEST_ALLOW_CXL },
		{ UINT64_C(1) << 26, ATTEST_GUEST_POLICY, 0 },
		{ UINT64_C(1) << 63, ATTEST_GUEST_POLICY, 0 },
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		init(&s);
		made_put(s.report, 8, 0x3001f | cases[i].bit, 8);
		refuses(&s, cases[i].reason);
		s.has_expect = true;
		refuses(&s, cases[i].reason);
		s.expect.allow = cases[i].allow;
		if (cases[i].allow)
			accepts(&s);
	}
	init(&s);
	made_put(s.report, 8, 0x1001f, 8); /* without the bit that has to be 1 */
	refuses(&s, ATTEST_GUEST_POLICY);
	init(&s);
	made_put(s.report, 8, 0x3ff001f & ~UINT64_C(0x2c0000), 8);
	accepts(&s);
}

static void the_policy_may_want_more(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.has_expect = true;
	s.expect.require = ATTEST_REQUIRE_NO_SMT;
	refuses(&s, ATTEST_GUEST_POLICY);
	made_put(s.report, 8, 0x2001f, 8);
	accepts(&s);
	s.expect.require = ATTEST_REQUIRE_SINGLE_SOCKET;
	refuses(&s, ATTEST_GUEST_POLICY);
	made_put(s.report, 8, 0x12001f, 8);
	accepts(&s);
	s.expect.require = ATTEST_REQUIRE_ALIAS_CHECK | ATTEST_REQUIRE_ECC;
	accepts(&s);
	s.expect.require = ATTEST_REQUIRE_HIDING;
	refuses(&s, ATTEST_PLATFORM);
	s.expect.require = 0;
	s.expect.least_guest_svn = 7;
	accepts(&s);
	s.expect.least_guest_svn = 8;
	refuses(&s, ATTEST_GUEST_SVN);
	s.expect.least_guest_svn = 0;
	s.expect.vmpls = 1 << 1;
	refuses(&s, ATTEST_VMPL);
	made_put(s.report, 0x30, 1, 4);
	accepts(&s);
}

static void what_is_bound_is_what_was_expected(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.has_expect = true;
	s.expect.launch_digests.count = 2;
	memcpy(s.expect.launch_digests.at[1], s.report + 0x90, 48);
	s.expect.host_data_count = 1;
	memcpy(s.expect.host_data[0], s.report + 0xc0, 32);
	s.expect.has_report_data = true;
	memcpy(s.expect.report_data, s.report + 0x50, 64);
	s.expect.chip_id_count = 1;
	memcpy(s.expect.chip_ids[0], s.report + 0x1a0, 64);
	accepts(&s);
	s.report[0x90 + 47] ^= 1;
	refuses(&s, ATTEST_LAUNCH_DIGEST_MISMATCH);
	s.report[0x90 + 47] ^= 1;
	s.report[0xc0 + 31] ^= 1;
	refuses(&s, ATTEST_HOST_DATA_MISMATCH);
	s.report[0xc0 + 31] ^= 1;
	s.report[0x50 + 63] ^= 1;
	refuses(&s, ATTEST_REPORT_DATA_MISMATCH);
	s.report[0x50 + 63] ^= 1;
	s.expect.chip_ids[0][0] ^= 1;
	refuses(&s, ATTEST_CHIP_NOT_ALLOWED);
}

static void launch_keys_are_those_expected(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.has_expect = true;
	memset(s.report + 0xe0, 5, 48);
	memset(s.report + 0x110, 6, 48);
	s.expect.id_key_digests.count = 1;
	memset(s.expect.id_key_digests.at[0], 5, 48);
	accepts(&s);
	s.expect.author_key_digests.count = 1;
	memset(s.expect.author_key_digests.at[0], 6, 48);
	refuses(&s, ATTEST_ID_KEY); /* the digest is there, the author's key was not used */
	made_put(s.report, 0x48, 1, 4);
	accepts(&s);
	s.expect.author_key_digests.at[0][0] = 0;
	refuses(&s, ATTEST_ID_KEY);
	s.expect.author_key_digests.count = 0;
	s.expect.id_key_digests.at[0][0] = 0;
	refuses(&s, ATTEST_ID_KEY);
}

static void simulate(struct scene *s)
{
	init(s);
	s->product = ATTEST_SNP_SIM;
	s->issuer.name = s->chip.issuer = "casemate-sim signing";
	s->chip.name = "casemate-sim chip";
	made_put(s->report, 0x188, 0, 3);
	s->chip.extensions[1] = made_text(MADE_AMD "2", "casemate-sim");
}

static void a_simulated_processor_is_refused_unless_allowed(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct scene s;

	(void)state;
	simulate(&s);
	refuses(&s, ATTEST_SIMULATED);
	s.has_expect = true;
	refuses(&s, ATTEST_SIMULATED);
	s.expect.allow = ATTEST_ALLOW_SIMULATED;
	accepts(&s);
	assert_int_equal(ask(&s, &verdict), 0);
	assert_true(verdict.is_simulated);
}

/* The simulated root vouches for simulated processors, and a real one for real ones. */
static void a_simulated_processor_is_never_a_real_one(void **state)
{
	struct scene s;

	(void)state;
	simulate(&s);
	s.has_expect = true;
	s.expect.allow = ATTEST_ALLOW_SIMULATED;
	made_put(s.report, 0x188, 0x001119, 3);
	refuses_also(&s, ATTEST_PRODUCT_MISMATCH);
	made_put(s.report, 0, 2, 4);
	refuses_also(&s, ATTEST_PRODUCT_MISMATCH);
	simulate(&s);
	s.has_expect = true;
	s.expect.allow = ATTEST_ALLOW_SIMULATED;
	s.product = ATTEST_SNP_GENOA;
	refuses_also(&s, ATTEST_PRODUCT_MISMATCH);
	init(&s);
	s.product = ATTEST_SNP_SIM;
	refuses_also(&s, ATTEST_SIMULATED);
}

static X509_CRL *make_crl(EVP_PKEY *key, long serial, int64_t from_s, int64_t to_s)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)from_s);
	ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)to_s);
	X509_REVOKED *revoked = X509_REVOKED_new();
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	X509_NAME *name = made_name("ARK-Made");
	X509_CRL *crl = X509_CRL_new();

	assert_true(ASN1_INTEGER_set(number, serial) == 1 &&
		    X509_REVOKED_set_serialNumber(revoked, number) == 1 &&
		    X509_REVOKED_set_revocationDate(revoked, from) == 1);
	assert_true(X509_CRL_set_version(crl, 1) == 1 && X509_CRL_set_issuer_name(crl, name) == 1 &&
		    X509_CRL_set1_lastUpdate(crl, from) == 1 &&
		    X509_CRL_set1_nextUpdate(crl, to) == 1 &&
		    X509_CRL_add0_revoked(crl, revoked) == 1 &&
		    X509_CRL_sign(crl, key, EVP_sha384()) > 0);
	X509_NAME_free(name);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return crl;
}

static void what_is_revoked_is_refused(void **state)
{
	struct scene s;

	(void)state;
	init(&s);
	s.has_expect = true;
	s.expect.require = ATTEST_REQUIRE_REVOCATION;
	refuses(&s, ATTEST_REVOCATION_UNCHECKED);
	s.crl = make_crl(keys.other, 99, MADE_NOW - 10, MADE_NOW + 10);
	refuses(&s, ATTEST_REVOCATION_UNCHECKED); /* not by the root */
	s.crl = make_crl(keys.root, 99, MADE_NOW - 10, MADE_NOW + 10);
	accepts(&s);
	s.crl = make_crl(keys.root, 2, MADE_NOW - 10, MADE_NOW + 10);
	refuses(&s, ATTEST_CERTIFICATE_REVOKED);
	s.crl = make_crl(keys.root, 99, MADE_NOW - 10, MADE_NOW - 1);
	refuses(&s, ATTEST_COLLATERAL_EXPIRED);
	s.crl = make_crl(keys.root, 99, MADE_NOW + 1, MADE_NOW + 10);
	refuses(&s, ATTEST_COLLATERAL_EXPIRED);
	/* Nobody asked, and it is there: it counts. */
	s.has_expect = false;
	s.crl = make_crl(keys.root, 2, MADE_NOW - 10, MADE_NOW + 10);
	refuses(&s, ATTEST_CERTIFICATE_REVOKED);
}

static void add_file(struct attest_certs *certs, const char *name)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	assert_true(vectors_read(name, &text));
	assert_int_equal(attest_certs_add(certs, buf_bytes(&text), NULL), 0);
}

static void ask_vector(const char *folder, const char *cert, int64_t now_s,
		       struct attest_verdict *verdict)
{
	static const char *const roots[] = {
		"snp/roots/milan_ark.pem", "snp/roots/milan_ask.pem", "snp/roots/milan_asvk.pem",
		"snp/roots/genoa_ark.pem", "snp/roots/genoa_ask.pem", "snp/roots/genoa_asvk.pem",
		"snp/roots/turin_ark.pem", "snp/roots/turin_ask.pem", "snp/roots/turin_asvk.pem",
	};
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_snp_report report;
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		add_file(&certs, roots[i]);
	(void)snprintf(path, sizeof(path), "snp/%s/%s", folder, cert);
	add_file(&certs, path);
	(void)snprintf(path, sizeof(path), "snp/%s/report.bin", folder);
	assert_true(vectors_read(path, &text));
	assert_int_equal(
		attest_snp_verify(&(struct attest_snp_question){ .report = buf_bytes(&text),
								 .certs = &certs,
								 .roots = attest_roots_amd(),
								 .now_s = now_s },
				  &report, verdict),
		0);
}

static void check_vector(const char *folder, const char *cert, int64_t now_s, int reason)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	const struct attest_refusal *first;

	ask_vector(folder, cert, now_s, &verdict);
	first = attest_verdict_first(&verdict);
	if (reason < 0 && first)
		fail_msg("%s: %s: %s", folder, attest_reason_name(first->reason), first->text);
	assert_int_equal(attest_verdict_is_ok(&verdict), reason < 0);
	for (int i = 0; i < ATTEST_REASON_COUNT; i++)
		assert_int_equal(attest_verdict_has(&verdict, (enum attest_reason)i), i == reason);
}

/* 2026-03-01 and 2025-06-01 */
#define EARLY_2026 INT64_C(1772323200)
#define MID_2025 INT64_C(1748736000)

static void processors_of_amd_are_accepted_on_vectors(void **state)
{
	(void)state;
	check_vector("milan-v2-trustee", "vcek.der", EARLY_2026, -1);
	check_vector("milan-v3-ms-aci", "vcek.der", EARLY_2026, -1);
	check_vector("genoa-v3-ms-aci", "vcek.der", EARLY_2026, -1);
	check_vector("kbs-evidence-genoa-v3", "vcek.der", EARLY_2026, -1);
	check_vector("turin-v5-ms-aci", "vcek.der", EARLY_2026, -1);
	check_vector("milan-vlek-v3-trustee", "vlek.der", MID_2025, -1);
}
ON_VECTORS(processors_of_amd_are_accepted)

static void what_is_wrong_with_others_is_named_on_vectors(void **state)
{
	(void)state;
	check_vector("milan-v2-goguest", "vcek.der", EARLY_2026, ATTEST_GUEST_DEBUG);
	check_vector("milan-vlek-v3-trustee", "vlek.der", EARLY_2026, ATTEST_CERTIFICATE_EXPIRED);
	check_vector("milan-v3-ms-aci", "vcek.der", MID_2025, ATTEST_CERTIFICATE_EXPIRED);
}
ON_VECTORS(what_is_wrong_with_others_is_named)

static void a_certificate_that_amd_did_not_sign_is_refused_on_vectors(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_snp_report report;

	(void)state;
	add_file(&certs, "snp/neg-fake-vcek/test-vcek-invalid-new.der");
	add_file(&certs, "snp/roots/milan_ask.pem");
	add_file(&certs, "snp/roots/milan_ark.pem");
	assert_true(vectors_read("snp/milan-v3-ms-aci/report.bin", &text));
	assert_int_equal(
		attest_snp_verify(&(struct attest_snp_question){ .report = buf_bytes(&text),
								 .certs = &certs,
								 .roots = attest_roots_amd(),
								 .now_s = EARLY_2026 },
				  &report, &verdict),
		0);
	assert_true(attest_verdict_has(&verdict, ATTEST_CERTIFICATE_INVALID) ||
		    attest_verdict_has(&verdict, ATTEST_CERTIFICATE_MISSING));
	assert_true(attest_verdict_has(&verdict, ATTEST_REPORT_SIGNATURE));
}
ON_VECTORS(a_certificate_that_amd_did_not_sign_is_refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_report_is_accepted),
		cmocka_unit_test(every_flipped_byte_refuses),
		cmocka_unit_test(reserved_bytes_are_signed),
		cmocka_unit_test(the_signature_is_by_that_key),
		cmocka_unit_test(a_report_that_is_not_signed_is_none),
		cmocka_unit_test(what_is_no_report_is_refused_and_nothing_else_is_said),
		cmocka_unit_test(a_missing_certificate_is_named),
		cmocka_unit_test(a_certificate_is_signed_by_its_issuer),
		cmocka_unit_test(what_else_lies_in_the_bag_does_not_matter),
		cmocka_unit_test(dates_hold_for_all_three),
		cmocka_unit_test(only_authorities_issue),
		cmocka_unit_test(what_has_to_be_known_is_known),
		cmocka_unit_test(names_tell_keys_apart),
		cmocka_unit_test(the_chip_has_a_key_of_p384),
		cmocka_unit_test(a_vlek_is_a_vlek),
		cmocka_unit_test(a_vcek_without_a_chip_is_refused),
		cmocka_unit_test(the_certificate_is_for_this_chip),
		cmocka_unit_test(product_of_report_certificate_and_root_agree),
		cmocka_unit_test(the_certificate_is_for_these_levels),
		cmocka_unit_test(levels_have_a_minimum),
		cmocka_unit_test(what_the_guest_permits_is_refused_by_default),
		cmocka_unit_test(the_policy_may_want_more),
		cmocka_unit_test(what_is_bound_is_what_was_expected),
		cmocka_unit_test(launch_keys_are_those_expected),
		cmocka_unit_test(a_simulated_processor_is_refused_unless_allowed),
		cmocka_unit_test(a_simulated_processor_is_never_a_real_one),
		cmocka_unit_test(what_is_revoked_is_refused),
		cmocka_unit_test(processors_of_amd_are_accepted),
		cmocka_unit_test(what_is_wrong_with_others_is_named),
		cmocka_unit_test(a_certificate_that_amd_did_not_sign_is_refused),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
