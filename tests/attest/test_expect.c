// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/expect.h"
#include "base/buf.h"

#define H32 "0123456789abcdef0123456789abcdef"
#define H64 H32 H32
#define H96 H64 H32
#define H128 H64 H64

static int parse(const char *text, struct attest_expect *ret, struct err *err)
{
	*err = (struct err){ 0 };
	return attest_expect_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, ret, err);
}

static void refuses(const char *text, const char *reason)
{
	struct attest_expect expect = { .allow = 99 };
	struct err err;

	assert_true(parse(text, &expect, &err) < 0);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, reason))
		fail_msg("'%s' does not say '%s'", err.msg, reason);
	assert_int_equal(expect.allow, 99);
}

static void reads_everything_that_can_be_wanted(void **state)
{
	struct attest_expect expect;
	struct err err;

	(void)state;
	assert_int_equal(parse("{\"schema\":1,\"launch_digests\":[\"" H96 "\",\"" H96 "\"],"
			       "\"host_data\":[\"" H64 "\"],\"report_data\":\"" H64 "\","
			       "\"chip_ids\":[\"" H128 "\"],\"id_key_digests\":[\"" H96 "\"],"
			       "\"author_key_digests\":[\"" H96 "\"],"
			       "\"tcb\":{\"bootloader\":4,\"snp\":24,\"microcode\":255},"
			       "\"launch_tcb\":{\"fmc\":1,\"tee\":2},\"guest_svn\":4294967295,"
			       "\"vmpl\":[0,3],\"allow\":[\"simulated\",\"cxl\"],"
			       "\"require\":[\"no-smt\",\"ecc\"],\"sim_roots\":[\"" H64 "\"]}",
			       &expect, &err),
			 0);
	assert_int_equal(expect.launch_digests.count, 2);
	assert_int_equal(expect.launch_digests.at[1][47], 0xef);
	assert_int_equal(expect.host_data_count, 1);
	assert_int_equal(expect.host_data[0][1], 0x23);
	assert_true(expect.has_report_data);
	assert_int_equal(expect.report_data[31], 0xef);
	assert_int_equal(expect.report_data[32], 0);
	assert_int_equal(expect.chip_id_count, 1);
	assert_int_equal(expect.id_key_digests.count, 1);
	assert_int_equal(expect.author_key_digests.count, 1);
	assert_int_equal(expect.least_tcb.bootloader, 4);
	assert_int_equal(expect.least_tcb.tee, 0);
	assert_int_equal(expect.least_tcb.snp, 24);
	assert_int_equal(expect.least_tcb.microcode, 255);
	assert_int_equal(expect.least_launch_tcb.fmc, 1);
	assert_int_equal(expect.least_launch_tcb.tee, 2);
	assert_int_equal(expect.least_guest_svn, UINT32_MAX);
	assert_int_equal(expect.vmpls, 9);
	assert_int_equal(expect.allow, ATTEST_ALLOW_SIMULATED | ATTEST_ALLOW_CXL);
	assert_int_equal(expect.require, ATTEST_REQUIRE_NO_SMT | ATTEST_REQUIRE_ECC);
	assert_int_equal(expect.sim_root_count, 1);
}

static void what_is_left_out_is_not_wanted(void **state)
{
	static const struct attest_expect nothing;
	struct attest_expect expect;
	struct err err;

	(void)state;
	assert_int_equal(parse("{\"schema\":1}", &expect, &err), 0);
	assert_memory_equal(&expect, &nothing, sizeof(nothing));
}

static void words_are_those_of_the_bits(void **state)
{
	static const char *const allow[] = { "simulated", "debug", "migration", "cxl" };
	static const char *const require[] = { "no-smt",      "single-socket",	   "revocation",
					       "alias-check", "ciphertext-hiding", "ecc" };
	struct attest_expect expect;
	struct err err;
	char text[128];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"schema\":1,\"require\":[\"%s\"],\"allow\":[\"%s\"]}", require[i],
			       allow[i % 4]);
		assert_int_equal(parse(text, &expect, &err), 0);
		assert_int_equal(expect.require, 1 << i);
		assert_int_equal(expect.allow, 1 << i % 4);
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	(void)state;
	refuses("", "empty");
	refuses("[]", "not an object");
	refuses("{}", "/schema");
	refuses("{\"schema\":2}", "/schema");
	refuses("{\"schema\":1,\"schema\":1}", "duplicate");
	refuses("{\"schema\":1,\"launch_digest\":[]}", "did you mean 'launch_digests'");
	refuses("{\"schema\":1,\"launch_digests\":[]}", "allows nothing");
	refuses("{\"schema\":1,\"launch_digests\":[\"" H64 "\"]}", "96 hex digits");
	refuses("{\"schema\":1,\"launch_digests\":[1]}", "/launch_digests/0");
	refuses("{\"schema\":1,\"launch_digests\":\"" H96 "\"}", "/launch_digests");
	refuses("{\"schema\":1,\"host_data\":[null]}", "/host_data/0");
	refuses("{\"schema\":1,\"report_data\":\"\"}", "/report_data");
	refuses("{\"schema\":1,\"report_data\":\"abc\"}", "/report_data");
	refuses("{\"schema\":1,\"report_data\":\"" H128 "00\"}", "/report_data");
	refuses("{\"schema\":1,\"tcb\":{\"snp\":256}}", "/tcb/snp");
	refuses("{\"schema\":1,\"tcb\":{\"ucode\":1}}", "/tcb/ucode");
	refuses("{\"schema\":1,\"vmpl\":[4]}", "/vmpl/0");
	refuses("{\"schema\":1,\"vmpl\":[]}", "allows nobody");
	refuses("{\"schema\":1,\"vmpl\":[null]}", "/vmpl/0");
	refuses("{\"schema\":1,\"allow\":[\"simulate\"]}", "did you mean 'simulated'");
	refuses("{\"schema\":1,\"require\":[true]}", "is not a word");
	refuses("{\"schema\":1,\"guest_svn\":4294967296}", "/guest_svn");
	refuses("{\"schema\":1,\"guest_svn\":-1}", "/guest_svn");
}

static void add_list(struct buf *text, const char *name, const char *value, size_t count)
{
	text->len = 0;
	assert_int_equal(buf_addf(text, "{\"schema\":1,\"%s\":[", name), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_addf(text, "%s\"%s\"", i > 0 ? "," : "", value), 0);
	assert_int_equal(buf_add(text, "]}", 3), 0);
}

static void lists_have_limits(void **state)
{
	static const struct {
		const char *name, *value;
		size_t max;
	} lists[] = {
		{ "launch_digests", H96, ATTEST_EXPECT_MAX },
		{ "host_data", H64, ATTEST_EXPECT_MAX },
		{ "chip_ids", H128, ATTEST_EXPECT_MAX },
		{ "id_key_digests", H96, ATTEST_EXPECT_MAX },
		{ "author_key_digests", H96, ATTEST_EXPECT_MAX },
		{ "sim_roots", H64, ATTEST_EXPECT_SIM_ROOTS_MAX },
	};
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_expect expect;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		add_list(&text, lists[i].name, lists[i].value, lists[i].max);
		assert_int_equal(parse((const char *)text.at, &expect, &err), 0);
		add_list(&text, lists[i].name, lists[i].value, lists[i].max + 1);
		assert_int_equal(parse((const char *)text.at, &expect, &err), -E2BIG);
	}
	text.len = 0;
	assert_int_equal(buf_reserve(&text, ATTEST_EXPECT_TEXT_MAX + 1), 0);
	memset(text.at, ' ', ATTEST_EXPECT_TEXT_MAX + 1);
	text.len = ATTEST_EXPECT_TEXT_MAX + 1;
	assert_int_equal(attest_expect_parse(buf_bytes(&text), &expect, &err), -E2BIG);
}

static void simulated_roots_are_added_to_amd_s(void **state)
{
	struct attest_expect expect = { .sim_root_count = ATTEST_EXPECT_SIM_ROOTS_MAX };
	struct attest_roots roots;

	(void)state;
	memset(expect.sim_roots, 7, sizeof(expect.sim_roots));
	attest_expect_roots(NULL, &roots);
	assert_int_equal(roots.count, attest_roots_amd()->count);
	attest_expect_roots(&expect, &roots);
	assert_int_equal(roots.count, attest_roots_amd()->count + ATTEST_EXPECT_SIM_ROOTS_MAX);
	assert_int_equal(roots.at[roots.count - 1].product, ATTEST_SNP_SIM);
	assert_int_equal(roots.at[roots.count - 1].sha256[31], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_everything_that_can_be_wanted),
		cmocka_unit_test(what_is_left_out_is_not_wanted),
		cmocka_unit_test(words_are_those_of_the_bits),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(simulated_roots_are_added_to_amd_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
