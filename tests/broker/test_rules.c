// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../attest/made.h"
#include "broker/rules.h"

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define HEX96 HEX64 HEX16 HEX16
#define BEGIN \
	"rules:\n  - resource: a/b/c\n    policies: [" HEX64 "]\n    launch_digests: [" HEX96 "]\n"

static int parse(const char *text, struct broker_rules *ret, struct err *err)
{
	return broker_rules_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, ret, err);
}

static void refuses(const char *text, int num, const char *words)
{
	CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };
	struct err err = { 0 };

	assert_int_equal(parse(text, &rules, &err), num);
	if (!strstr(err.msg, words))
		fail_msg("'%s' is not in '%s'", words, err.msg);
	assert_null(rules.at);
	assert_int_equal(rules.count, 0);
}

static void a_rule_has_all_that_can_be_wanted(void **state)
{
	static const char text[] = BEGIN
		"    allow: [simulated, debug]\n    sim_roots: [" HEX64 "]\n"
		"    require: [no-smt, ecc]\n    tcb: {snp: 24, microcode: 219}\n"
		"    launch_tcb:\n      fmc: 1\n    guest_svn: 7\n    vmpl: [0, 2]\n"
		"    chip_ids: [" HEX64 HEX64 "]\n    id_key_digests: [" HEX96 "]\n"
		"    author_key_digests: [" HEX96 "]\n"
		"  - resource: d/e/f\n    policies:\n      - " HEX64 "\n      - " HEX64 "\n"
		"    launch_digests: [" HEX96 "]\n";
	CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };
	struct err err = { 0 };
	const struct attest_expect *e;

	(void)state;
	assert_int_equal(parse(text, &rules, &err), 0);
	assert_int_equal(rules.count, 2);
	e = &rules.at[0]->expect;
	assert_string_equal(rules.at[0]->resource, "a/b/c");
	assert_int_equal(rules.at[0]->line, 2);
	assert_int_equal(e->host_data_count, 1);
	assert_int_equal(e->host_data[0][31], 0xef);
	assert_int_equal(e->launch_digests.count, 1);
	assert_int_equal(e->launch_digests.at[0][47], 0xef);
	assert_int_equal(e->allow, ATTEST_ALLOW_SIMULATED | ATTEST_ALLOW_DEBUG);
	assert_int_equal(e->require, ATTEST_REQUIRE_NO_SMT | ATTEST_REQUIRE_ECC);
	assert_int_equal(e->sim_root_count, 1);
	assert_int_equal(e->least_tcb.snp, 24);
	assert_int_equal(e->least_tcb.microcode, 219);
	assert_int_equal(e->least_launch_tcb.fmc, 1);
	assert_int_equal(e->least_guest_svn, 7);
	assert_int_equal(e->vmpls, 5);
	assert_int_equal(e->chip_id_count, 1);
	assert_int_equal(e->id_key_digests.count, 1);
	assert_int_equal(e->author_key_digests.count, 1);
	assert_int_equal(rules.at[1]->expect.host_data_count, 2);
	assert_int_equal(rules.at[1]->expect.allow, 0);
}

static void no_rules_are_rules_that_give_nothing(void **state)
{
	CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };

	(void)state;
	assert_int_equal(parse("rules: []\n", &rules, NULL), 0);
	assert_int_equal(rules.count, 0);
}

static void what_is_not_understood_is_refused_with_its_place(void **state)
{
	(void)state;
	refuses("rule: []", -EINVAL, "1:7: 'rule' is not known");
	refuses("rules: all", -EINVAL, "1:8: 'rules' is no list");
	refuses("rules: {a: b}", -EINVAL, "'rules.a' is not known");
	refuses("rules: [a]", -EINVAL, "a rule is a mapping");
	refuses("rules: [[a]]", -EINVAL, "a rule is a mapping");
	refuses(BEGIN "    polices: [a]\n", -EINVAL, "5:15: 'polices' is no list");
	refuses(BEGIN "    note: a\n", -EINVAL, "'note' is not known in a rule");
	refuses(BEGIN "    policies_of_a_very_long_name_indeed: [a]\n", -EINVAL, "is not known");
	refuses(BEGIN "    allow: simulated\n", -EINVAL, "'allow' is not known in a rule");
	refuses(BEGIN "    allow: [[simulated]]\n", -EINVAL, "is no list of a rule");
	refuses(BEGIN "    allow: []\n", -EINVAL, "'allow' is empty");
	refuses(BEGIN "    require: [no-sms]\n", -EINVAL, "did you mean 'no-smt'?");
	refuses(BEGIN "    tcb: {snp: 256}\n", -EINVAL, "is no number up to 255");
	refuses(BEGIN "    tcb: {spn: 1}\n", -EINVAL, "'spn' is no part of a TCB");
	refuses(BEGIN "    guest_svn: 4294967296\n", -EINVAL, "is no number");
	refuses(BEGIN "    vmpl: [4]\n", -EINVAL, "is no number up to 3");
	refuses(BEGIN "    chip_ids: [" HEX64 "]\n", -EINVAL, "is not 128 hex digits");
	refuses("rules:\n  - resource: a/../c\n", -EINVAL, "is no resource");
	refuses(BEGIN "    resource: a/b/d\n", -EEXIST, "is there twice");
}

static void a_rule_without_what_it_needs_is_refused(void **state)
{
	(void)state;
	refuses("rules:\n  - policies: [" HEX64 "]\n    launch_digests: [" HEX96 "]\n", -EINVAL,
		"2: this rule: it has no 'resource'");
	refuses("rules:\n  - resource: a/b/c\n    launch_digests: [" HEX96 "]\n", -EINVAL,
		"no 'policies'");
	refuses("rules:\n  - resource: a/b/c\n    policies: [" HEX64 "]\n", -EINVAL,
		"no 'launch_digests'");
	refuses("rules:\n  - resource: a/b/c\n    policies: []\n", -EINVAL, "is empty");
	refuses(BEGIN "    allow: [simulated]\n", -EINVAL, "no 'sim_roots'");
	refuses(BEGIN "    sim_roots: [" HEX64 "]\n", -EINVAL, "does not allow simulated ones");
}

static void lists_have_limits(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf text = { 0 };
		CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };
		int want = more ? -E2BIG : 0;

		assert_int_equal(buf_addf(&text, BEGIN "    chip_ids:\n"), 0);
		for (int i = 0; i < ATTEST_EXPECT_MAX + more; i++)
			assert_int_equal(buf_addf(&text, "      - " HEX64 HEX64 "\n"), 0);
		assert_int_equal(parse((const char *)text.at, &rules, NULL), want);
		broker_rules_done(&rules);
		text.len = 0;
		assert_int_equal(buf_addf(&text, BEGIN "    allow: [simulated]\n    sim_roots:\n"),
				 0);
		for (int i = 0; i < ATTEST_EXPECT_SIM_ROOTS_MAX + more; i++)
			assert_int_equal(buf_addf(&text, "      - " HEX64 "\n"), 0);
		assert_int_equal(parse((const char *)text.at, &rules, NULL), want);
	}
}

static void rules_have_a_limit(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf text = { 0 };
		CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };

		assert_int_equal(buf_addf(&text, "rules:\n"), 0);
		for (int i = 0; i < BROKER_RULES_MAX + more; i++)
			assert_int_equal(buf_addf(&text,
						  "  - resource: a/b/c\n    policies: [" HEX64 "]\n"
						  "    launch_digests: [" HEX96 "]\n"),
					 0);
		assert_int_equal(parse((const char *)text.at, &rules, NULL), more ? -E2BIG : 0);
	}
}

/* A rule of its own for each test, and evidence that it is for, of a made processor. */
struct scene {
	EVP_PKEY *key;
	struct broker_rules rules;
	struct attest_certs certs;
	struct strv resources;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct broker_evidence evidence;
};

static void make_scene(struct scene *s)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct made_cert root = { .name = "root",
				  .issuer = "root",
				  .from_s = MADE_NOW - 1,
				  .to_s = MADE_NOW + MADE_YEAR,
				  .is_ca = true };
	struct made_cert chip, ask;
	struct err err = { 0 };

	s->key = EVP_EC_gen("P-384");
	root.key = root.issuer_key = s->key;
	ask = chip = root;
	ask.name = chip.issuer = attest_snp_names(ATTEST_SNP_SIM)->ask;
	chip.name = attest_snp_names(ATTEST_SNP_SIM)->vcek;
	chip.is_ca = false;
	made_report(s->report);
	made_put(s->report, 0x188, 0, 3);
	(void)made_extensions("casemate-sim", s->report + 0x1a0, 64, chip.extensions);
	made_sign(s->report, s->key);
	s->certs.at[s->certs.count++] = made_cert(&chip);
	s->certs.at[s->certs.count++] = made_cert(&ask);
	s->certs.at[s->certs.count++] = made_cert(&root);
	assert_int_equal(strv_add(&s->resources, "a/b/c"), 0);
	assert_int_equal(
		buf_addf(&text, BEGIN "    allow: [simulated]\n    sim_roots: [" HEX64 "]\n"), 0);
	assert_int_equal(broker_rules_parse(buf_bytes(&text), &s->rules, &err), 0);
	memcpy(s->rules.at[0]->expect.host_data[0], s->report + 0xc0, 32);
	memcpy(s->rules.at[0]->expect.launch_digests.at[0], s->report + 0x90, 48);
	made_digest(s->certs.at[2], s->rules.at[0]->expect.sim_roots[0]);
	s->evidence = (struct broker_evidence){ .tee = ATTEST_KBS_SIM,
						.report = s->report,
						.certs = &s->certs,
						.resources = &s->resources,
						.now_s = MADE_NOW };
}

static void scene_done(struct scene *s)
{
	EVP_PKEY_free(s->key);
	broker_rules_done(&s->rules);
	attest_certs_done(&s->certs);
	strv_done(&s->resources);
}
CLEANUP_FUNC(struct scene, scene_done)

static int judge(const struct scene *s, const char *resource, enum attest_reason *ret)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	const struct broker_rule *rule = NULL;
	struct attest_refusal refusal = { 0 };
	int r = broker_rules_judge(&s->rules, resource, &s->evidence, &rule, &verdict, &refusal);

	assert_true((r == 1) == (rule != NULL));
	*ret = refusal.reason;
	return r;
}

static void denies(const struct scene *s, enum attest_reason want)
{
	enum attest_reason reason;

	assert_int_equal(judge(s, "a/b/c", &reason), 0);
	assert_string_equal(attest_reason_name(reason), attest_reason_name(want));
}

static void a_guest_that_fits_gets_what_the_rule_is_for_and_nothing_else(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	enum attest_reason reason;

	(void)state;
	make_scene(&s);
	assert_int_equal(judge(&s, "a/b/c", &reason), 1);
	assert_int_equal(judge(&s, "a/b/d", &reason), 0);
	assert_int_equal(reason, ATTEST_RESOURCE_DENIED);
}

static void each_part_of_a_rule_has_to_hold(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	struct attest_expect was;
	struct attest_expect *e;

	(void)state;
	make_scene(&s);
	e = &s.rules.at[0]->expect;
	was = *e;
	e->launch_digests.at[0][0] ^= 1;
	denies(&s, ATTEST_LAUNCH_DIGEST_MISMATCH);
	*e = was;
	e->host_data[0][0] ^= 1;
	denies(&s, ATTEST_HOST_DATA_MISMATCH);
	*e = was;
	e->sim_roots[0][0] ^= 1;
	denies(&s, ATTEST_CERTIFICATE_UNTRUSTED);
	*e = was;
	e->allow = 0;
	denies(&s, ATTEST_SIMULATED);
	*e = was;
	e->least_tcb.snp = 24;
	denies(&s, ATTEST_TCB_TOO_LOW);
	*e = was;
	e->require = ATTEST_REQUIRE_SINGLE_SOCKET;
	denies(&s, ATTEST_GUEST_POLICY);
	*e = was;
	s.evidence.now_s = MADE_NOW + MADE_YEAR + 1;
	denies(&s, ATTEST_CERTIFICATE_EXPIRED);
	s.evidence.now_s = MADE_NOW;
	s.evidence.tee = ATTEST_KBS_SNP;
	denies(&s, ATTEST_CERTIFICATE_UNTRUSTED);
	s.evidence.tee = ATTEST_KBS_SIM;
	s.certs.count--;
	denies(&s, ATTEST_CERTIFICATE_MISSING);
	s.certs.count++;
	s.resources.at[0][0] = 'x';
	denies(&s, ATTEST_POLICY_SECRET);
}

static void report_data_are_compared_where_they_are_known(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	uint8_t data[ATTEST_SNP_DATA_SIZE];
	enum attest_reason reason;

	(void)state;
	make_scene(&s);
	memcpy(data, s.report + 0x50, sizeof(data));
	s.evidence.report_data = data;
	assert_int_equal(judge(&s, "a/b/c", &reason), 1);
	data[0] ^= 1;
	denies(&s, ATTEST_REPORT_DATA_MISMATCH);
}

/* A second rule for the same: either will do, and of two that don't, the nearer is told of. */
static void one_of_several_rules_is_enough(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	struct broker_rule *other = calloc(1, sizeof(*other));
	enum attest_reason reason;

	(void)state;
	make_scene(&s);
	assert_non_null(other);
	*other = *s.rules.at[0];
	s.rules.at = realloc(s.rules.at, 2 * sizeof(struct broker_rule *));
	assert_non_null(s.rules.at);
	s.rules.at[s.rules.count++] = other;
	s.rules.at[0]->expect.host_data[0][0] ^= 1;
	s.rules.at[0]->expect.launch_digests.at[0][0] ^= 1;
	assert_int_equal(judge(&s, "a/b/c", &reason), 1);
	other->expect.least_tcb.snp = 24;
	denies(&s, ATTEST_TCB_TOO_LOW);
	other->expect.launch_digests.at[0][0] ^= 1;
	denies(&s, ATTEST_TCB_TOO_LOW);
	other->expect.least_tcb.snp = 0;
	denies(&s, ATTEST_LAUNCH_DIGEST_MISMATCH);
}

static void roots_are_those_that_a_rule_names(void **state)
{
	CLEANUP(scene_done) struct scene s = { 0 };
	struct attest_roots roots;

	(void)state;
	make_scene(&s);
	broker_rules_roots(&s.rules, &s.certs, &roots);
	assert_int_equal(roots.count, 1);
	assert_int_equal(roots.at[0].product, ATTEST_SNP_SIM);
	assert_memory_equal(roots.at[0].sha256, s.rules.at[0]->expect.sim_roots[0], 32);
	s.rules.at[0]->expect.sim_roots[0][0] ^= 1;
	broker_rules_roots(&s.rules, &s.certs, &roots);
	assert_int_equal(roots.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_has_all_that_can_be_wanted),
		cmocka_unit_test(no_rules_are_rules_that_give_nothing),
		cmocka_unit_test(what_is_not_understood_is_refused_with_its_place),
		cmocka_unit_test(a_rule_without_what_it_needs_is_refused),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(rules_have_a_limit),
		cmocka_unit_test(a_guest_that_fits_gets_what_the_rule_is_for_and_nothing_else),
		cmocka_unit_test(each_part_of_a_rule_has_to_hold),
		cmocka_unit_test(report_data_are_compared_where_they_are_known),
		cmocka_unit_test(one_of_several_rules_is_enough),
		cmocka_unit_test(roots_are_those_that_a_rule_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
