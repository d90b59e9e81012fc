// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/memo.h"
#include "attest/snp_verify.h"
#include "made.h"

static void what_was_added_is_had_until_it_is_the_oldest(void **state)
{
	static struct attest_memo memo;
	uint8_t digest[ATTEST_MEMO_DIGEST] = { 0 };

	(void)state;
	assert_false(attest_memo_has(NULL, digest));
	attest_memo_add(NULL, digest);
	assert_false(attest_memo_has(&memo, digest)); /* an empty one has not even zeros */
	for (unsigned i = 0; i <= ATTEST_MEMO_MAX; i++) {
		memcpy(digest, &i, sizeof(i));
		assert_false(attest_memo_has(&memo, digest));
		attest_memo_add(&memo, digest);
		assert_true(attest_memo_has(&memo, digest));
	}
	assert_int_equal(memo.count, ATTEST_MEMO_MAX);
	memset(digest, 0, sizeof(digest));
	assert_false(attest_memo_has(&memo, digest));
	digest[0] = 1;
	assert_true(attest_memo_has(&memo, digest));
}

/* Evidence that is good, of a processor that is trusted. */
struct scene {
	EVP_PKEY *key;
	struct attest_certs certs;
	struct attest_roots roots;
	struct attest_memo memo;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
};

static X509 *make_cert(const struct scene *s, const char *name, const char *issuer, bool is_ca,
		       long serial)
{
	struct made_cert cert = { .name = name,
				  .key = s->key,
				  .issuer = issuer,
				  .issuer_key = s->key,
				  .from_s = MADE_NOW - 1,
				  .to_s = MADE_NOW + MADE_YEAR,
				  .is_ca = is_ca,
				  .serial = serial };

	if (!is_ca)
		(void)made_extensions("Genoa", s->report + 0x1a0, 64, cert.extensions);
	return made_cert(&cert);
}

static void make(struct scene *s)
{
	s->key = EVP_EC_gen("P-384");
	made_report(s->report);
	made_sign(s->report, s->key);
	s->certs.at[0] = make_cert(s, "SEV-VCEK", "SEV-Genoa", false, 0);
	s->certs.at[1] = make_cert(s, "SEV-Genoa", "ARK", true, 1);
	s->certs.at[2] = make_cert(s, "ARK", "ARK", true, 2);
	s->certs.count = 3;
	s->roots.count = 1;
	s->roots.at[0].product = ATTEST_SNP_GENOA;
	made_digest(s->certs.at[2], s->roots.at[0].sha256);
}

static void scene_done(struct scene *s)
{
	EVP_PKEY_free(s->key);
	attest_certs_done(&s->certs);
}
CLEANUP_FUNC(struct scene, scene_done)

static bool verify(struct scene *s, int64_t now_s)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct attest_snp_report report;
	struct attest_snp_question question = { .report = { s->report, sizeof(s->report) },
						.certs = &s->certs,
						.roots = &s->roots,
						.memo = &s->memo,
						.now_s = now_s };

	assert_int_equal(attest_snp_verify(&question, &report, &verdict), 0);
	return attest_verdict_is_ok(&verdict);
}

static void good_signatures_are_kept_once(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };

	(void)state;
	make(&s);
	assert_true(verify(&s, MADE_NOW));
	assert_int_equal(s.memo.count, 3);
	assert_true(verify(&s, MADE_NOW));
	assert_int_equal(s.memo.count, 3);
}

static void no_byte_of_a_known_report_may_differ(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };

	(void)state;
	make(&s);
	assert_true(verify(&s, MADE_NOW));
	for (size_t i = 0; i < sizeof(s.report); i++) {
		s.report[i] ^= 1;
		assert_false(verify(&s, MADE_NOW));
		s.report[i] ^= 1;
	}
	assert_int_equal(s.memo.count, 3);
	assert_true(verify(&s, MADE_NOW));
}

static void a_bad_signature_is_never_kept(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	EVP_PKEY *other = EVP_EC_gen("P-384");

	(void)state;
	make(&s);
	made_sign(s.report, other);
	assert_false(verify(&s, MADE_NOW));
	assert_int_equal(s.memo.count, 2);
	assert_false(verify(&s, MADE_NOW));
	EVP_PKEY_free(other);
}

static void a_digest_is_of_kind_signer_and_all_that_is_signed(void **state)
{
	static const uint8_t text[] = { 'a', 0, 'b' };
	CLEANUP(scene_done) struct scene s = { 0 };
	uint8_t one[ATTEST_MEMO_DIGEST], other[ATTEST_MEMO_DIGEST];

	(void)state;
	make(&s);
	assert_true(attest_memo_digest("a", s.certs.at[0], (struct bytes){ text, 3 }, one));
	assert_true(attest_memo_digest("a", s.certs.at[0], (struct bytes){ text, 3 }, other));
	assert_memory_equal(one, other, sizeof(one));
	assert_true(attest_memo_digest("a", s.certs.at[1], (struct bytes){ text, 3 }, other));
	assert_memory_not_equal(one, other, sizeof(one));
	assert_true(attest_memo_digest("b", s.certs.at[0], (struct bytes){ text, 3 }, other));
	assert_memory_not_equal(one, other, sizeof(one));
	assert_true(attest_memo_digest("a", s.certs.at[0], (struct bytes){ text, 2 }, other));
	assert_memory_not_equal(one, other, sizeof(one));
}

/* The same names, another key: it was another certificate that was found good. */
static void another_certificate_of_the_name_is_checked_anew(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 }, other = { 0 };

	(void)state;
	make(&s);
	make(&other);
	assert_true(verify(&s, MADE_NOW));
	X509_free(s.certs.at[0]);
	s.certs.at[0] = X509_dup(other.certs.at[0]);
	assert_false(verify(&s, MADE_NOW));
	assert_int_equal(s.memo.count, 3);
}

static void dates_and_roots_are_looked_at_each_time(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };

	(void)state;
	make(&s);
	assert_true(verify(&s, MADE_NOW));
	assert_false(verify(&s, MADE_NOW + MADE_YEAR + 1));
	s.roots.at[0].sha256[0] ^= 1;
	assert_false(verify(&s, MADE_NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_had_until_it_is_the_oldest),
		cmocka_unit_test(good_signatures_are_kept_once),
		cmocka_unit_test(no_byte_of_a_known_report_may_differ),
		cmocka_unit_test(a_bad_signature_is_never_kept),
		cmocka_unit_test(a_digest_is_of_kind_signer_and_all_that_is_signed),
		cmocka_unit_test(another_certificate_of_the_name_is_checked_anew),
		cmocka_unit_test(dates_and_roots_are_looked_at_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
