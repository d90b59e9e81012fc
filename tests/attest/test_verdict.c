// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/verdict.h"

static void nothing_that_was_not_checked_is_ok(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct attest_part *part;

	(void)state;
	assert_false(attest_verdict_is_ok(&verdict));
	assert_null(attest_verdict_first(&verdict));
	part = attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "");
	assert_false(attest_verdict_is_ok(&verdict));
	attest_part_done(part);
	assert_true(attest_verdict_is_ok(&verdict));
	part = attest_verdict_part(&verdict, ATTEST_PART_SNP_GUEST, "");
	assert_false(attest_verdict_is_ok(&verdict));
	attest_part_done(part);
	assert_true(attest_verdict_is_ok(&verdict));
	verdict.is_broken = true;
	assert_false(attest_verdict_is_ok(&verdict));
}

static void one_refusal_is_enough(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct attest_part *good = attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "");
	struct attest_part *bad = attest_verdict_part(&verdict, ATTEST_PART_SNP_GUEST, "");

	(void)state;
	attest_part_done(good);
	attest_part_refuse(bad, ATTEST_GUEST_DEBUG, "because of %d", 1);
	attest_part_done(bad);
	assert_false(attest_verdict_is_ok(&verdict));
	assert_true(attest_verdict_has(&verdict, ATTEST_GUEST_DEBUG));
	assert_false(attest_verdict_has(&verdict, ATTEST_VMPL));
	assert_string_equal(attest_verdict_first(&verdict)->text, "because of 1");
}

static void what_does_not_fit_is_a_no(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	CLEANUP(attest_verdict_done) struct attest_verdict many = { 0 };
	struct attest_part *part;

	(void)state;
	for (size_t i = 0; i < ATTEST_PARTS_MAX; i++)
		attest_part_done(attest_verdict_part(&many, ATTEST_PART_SNP_TCB, ""));
	assert_true(attest_verdict_is_ok(&many));
	assert_null(attest_verdict_part(&many, ATTEST_PART_SNP_TCB, ""));
	assert_false(attest_verdict_is_ok(&many));
	/* Who has no part to write to needs no branch for it. */
	attest_part_refuse(NULL, ATTEST_VMPL, "nowhere");
	attest_part_claim_number(NULL, "n", 1);
	attest_part_done(NULL);

	part = attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "");
	for (size_t i = 0; i <= ATTEST_REFUSALS_MAX; i++)
		attest_part_refuse(part, ATTEST_VMPL, "%zu", i);
	assert_int_equal(part->refusal_count, ATTEST_REFUSALS_MAX);
	assert_false(attest_verdict_is_ok(&verdict));
}

/* A claim that can't be told is no claim that was checked. */
static void a_claim_that_is_no_text_is_a_no(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct attest_part *part = attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "");

	(void)state;
	attest_part_claim_text(part, "name", "\xff");
	attest_part_done(part);
	assert_false(attest_verdict_is_ok(&verdict));
}

static void its_json_has_the_fields_that_are_promised(void **state)
{
	CLEANUP(attest_verdict_done)
	struct attest_verdict verdict = { .is_simulated = true, .freshness_checked = true };
	struct attest_part *part =
		attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "0000:3b:00.0");
	cleanup_free char *text = NULL;
	const char *kind, *code, *words, *first, *freshness, *policy, *claim, *subject;
	int schema, ok, simulated, part_ok, yes;
	json_int_t number;
	json_t *root;

	(void)state;
	attest_part_claim_number(part, "number", 5);
	attest_part_claim_number(part, "large", UINT64_MAX);
	attest_part_claim_bool(part, "yes", true);
	attest_part_claim_hex(part, "hex", (struct bytes){ (const uint8_t *)"\x0a\xff", 2 });
	attest_part_refuse(part, ATTEST_TCB_TOO_LOW, "it's \x1b low");
	attest_part_done(part);
	assert_int_equal(attest_verdict_json(&verdict, &text), 0);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_int_equal(
		json_unpack(
			root,
			"{s:i,s:b,s:b,s:s,s:s,s:[{s:s,s:s,s:b,s:{s:I,s:s,s:b,s:s},s:[{s:s,s:s}]}],"
			"s:[{s:s}]!}",
			"schema", &schema, "ok", &ok, "simulated", &simulated, "freshness",
			&freshness, "policy", &policy, "parts", "kind", &kind, "subject", &subject,
			"ok", &part_ok, "claims", "number", &number, "large", &first, "yes", &yes,
			"hex", &claim, "refusals", "code", &code, "text", &words, "refusals",
			"code", &code),
		0);
	assert_int_equal(schema, 1);
	assert_int_equal(ok, 0);
	assert_int_equal(simulated, 1);
	assert_string_equal(freshness, "checked");
	assert_string_equal(policy, "none");
	assert_string_equal(kind, "snp-tcb");
	assert_string_equal(subject, "0000:3b:00.0");
	assert_int_equal(part_ok, 0);
	assert_int_equal(number, 5);
	assert_string_equal(first, "0xffffffffffffffff");
	assert_int_equal(yes, 1);
	assert_string_equal(claim, "0aff");
	assert_string_equal(code, "tcb-too-low");
	assert_string_equal(words, "it's \\x1b low");
	json_decref(root);

	verdict.is_broken = true;
	assert_int_equal(attest_verdict_json(&verdict, &text), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_was_not_checked_is_ok),
		cmocka_unit_test(one_refusal_is_enough),
		cmocka_unit_test(what_does_not_fit_is_a_no),
		cmocka_unit_test(a_claim_that_is_no_text_is_a_no),
		cmocka_unit_test(its_json_has_the_fields_that_are_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
