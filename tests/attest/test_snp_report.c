// SPDX-License-Identifier: Apache-2.0
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/snp_report.h"
#include "made.h"

static uint8_t raw[ATTEST_SNP_REPORT_SIZE];

static int parse_len(size_t len, struct attest_snp_report *ret, enum attest_reason *ret_reason)
{
	struct attest_refusal refusal = { .text = "" };
	int r = attest_snp_report_parse((struct bytes){ raw, len }, ret, &refusal);

	*ret_reason = refusal.reason;
	if (r < 0)
		assert_true(refusal.text[0]);
	return r;
}

static int parse(struct attest_snp_report *ret)
{
	enum attest_reason reason;

	return parse_len(sizeof(raw), ret, &reason);
}

/* Each byte a value of its own place, so that a field read elsewhere shows. */
static void every_field_is_read_from_its_place(void **state)
{
	struct attest_snp_report report;

	(void)state;
	for (size_t i = 0; i < ATTEST_SNP_SIGNED_SIZE; i++)
		raw[i] = (uint8_t)(i * 7 + i / 256 + 1);
	memset(raw + ATTEST_SNP_SIGNED_SIZE, 0, sizeof(raw) - ATTEST_SNP_SIGNED_SIZE);
	for (size_t i = 0; i < 48; i++) {
		raw[0x2a0 + i] = (uint8_t)(i + 3);
		raw[0x2e8 + i] = (uint8_t)(i + 99);
	}
	made_put(raw, 0, 5, 4);
	made_put(raw, 0x48, 7, 4); /* author key, masked, key 1 */
	assert_int_equal(parse(&report), 0);
	assert_int_equal(report.version, 5);
	assert_int_equal(report.guest_svn,
			 raw[4] | raw[5] << 8 | raw[6] << 16 | (uint32_t)raw[7] << 24);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(report.policy >> (8 * i) & 0xff, raw[8 + i]);
		assert_int_equal(report.platform_info >> (8 * i) & 0xff, raw[0x40 + i]);
		assert_int_equal(report.launch_mitigations >> (8 * i) & 0xff, raw[0x1f8 + i]);
		assert_int_equal(report.current_mitigations >> (8 * i) & 0xff, raw[0x200 + i]);
	}
	assert_memory_equal(report.family_id, raw + 0x10, 16);
	assert_memory_equal(report.image_id, raw + 0x20, 16);
	assert_memory_equal(&(uint32_t){ htole32(report.vmpl) }, raw + 0x30, 4);
	assert_memory_equal(&(uint32_t){ htole32(report.signature_algo) }, raw + 0x34, 4);
	assert_memory_equal(report.current_tcb, raw + 0x38, 8);
	assert_true(report.author_key_is_used && report.chip_key_is_masked);
	assert_int_equal(report.signing_key, 1);
	assert_memory_equal(report.report_data, raw + 0x50, 64);
	assert_memory_equal(report.launch_digest, raw + 0x90, 48);
	assert_memory_equal(report.host_data, raw + 0xc0, 32);
	assert_memory_equal(report.id_key_digest, raw + 0xe0, 48);
	assert_memory_equal(report.author_key_digest, raw + 0x110, 48);
	assert_memory_equal(report.report_id, raw + 0x140, 32);
	assert_memory_equal(report.report_id_ma, raw + 0x160, 32);
	assert_memory_equal(report.reported_tcb, raw + 0x180, 8);
	assert_int_equal(report.family, raw[0x188]);
	assert_int_equal(report.model, raw[0x189]);
	assert_int_equal(report.stepping, raw[0x18a]);
	assert_memory_equal(report.chip_id, raw + 0x1a0, 64);
	assert_memory_equal(report.committed_tcb, raw + 0x1e0, 8);
	assert_int_equal(report.current.build, raw[0x1e8]);
	assert_int_equal(report.current.minor, raw[0x1e9]);
	assert_int_equal(report.current.major, raw[0x1ea]);
	assert_int_equal(report.committed.build, raw[0x1ec]);
	assert_int_equal(report.committed.major, raw[0x1ee]);
	assert_memory_equal(report.launch_tcb, raw + 0x1f0, 8);
	assert_memory_equal(report.signature_r, raw + 0x2a0, 48);
	assert_memory_equal(report.signature_s, raw + 0x2e8, 48);
	assert_memory_equal(report.raw, raw, sizeof(raw));
}

static void a_length_of_its_own_is_the_only_one(void **state)
{
	struct attest_snp_report report = { .version = 77 };
	enum attest_reason reason;

	(void)state;
	made_report(raw);
	for (size_t len = 0; len < sizeof(raw); len++) {
		assert_int_equal(parse_len(len, &report, &reason), -EBADMSG);
		assert_int_equal(reason, ATTEST_EVIDENCE_MALFORMED);
	}
	assert_int_equal(report.version, 77);
	assert_int_equal(parse_len(sizeof(raw), &report, &reason), 0);
}

static void versions_that_are_not_known_are_refused_by_name(void **state)
{
	static const uint32_t bad[] = { 0, 1, 6, 0x100, 0x103, 0x03000000, UINT32_MAX };
	struct attest_snp_report report;
	enum attest_reason reason;

	(void)state;
	made_report(raw);
	for (uint32_t version = 2; version <= 5; version++) {
		made_put(raw, 0, version, 4);
		assert_int_equal(parse(&report), 0);
		assert_int_equal(report.version, version);
		assert_int_equal(report.family, version >= 3 ? 0x19 : 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		made_put(raw, 0, bad[i], 4);
		assert_int_equal(parse_len(sizeof(raw), &report, &reason), -ENOTSUP);
		assert_int_equal(reason, ATTEST_REPORT_VERSION);
	}
}

static void bytes_that_nothing_signs_have_to_be_zero(void **state)
{
	struct attest_snp_report report;

	(void)state;
	made_report(raw);
	for (size_t i = 0x2a0; i < sizeof(raw); i++) {
		bool is_scalar = (i < 0x2a0 + 48) || (i >= 0x2e8 && i < 0x2e8 + 48);

		raw[i] = 1;
		assert_int_equal(parse(&report), is_scalar ? 0 : -EBADMSG);
		raw[i] = 0;
	}
}

static enum attest_snp_product product(uint32_t version, unsigned family, unsigned model)
{
	struct attest_snp_report report = { .version = version,
					    .family = (uint8_t)family,
					    .model = (uint8_t)model };

	return attest_snp_report_product(&report);
}

static void the_processor_tells_the_product(void **state)
{
	(void)state;
	assert_int_equal(product(3, 0x19, 0x00), ATTEST_SNP_MILAN);
	assert_int_equal(product(3, 0x19, 0x0f), ATTEST_SNP_MILAN);
	assert_int_equal(product(3, 0x19, 0x10), ATTEST_SNP_GENOA);
	assert_int_equal(product(3, 0x19, 0x1f), ATTEST_SNP_GENOA);
	assert_int_equal(product(3, 0x19, 0x20), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(3, 0x19, 0x9f), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(3, 0x19, 0xa0), ATTEST_SNP_GENOA);
	assert_int_equal(product(3, 0x19, 0xaf), ATTEST_SNP_GENOA);
	assert_int_equal(product(3, 0x19, 0xb0), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(5, 0x1a, 0x00), ATTEST_SNP_TURIN);
	assert_int_equal(product(5, 0x1a, 0x11), ATTEST_SNP_TURIN);
	assert_int_equal(product(5, 0x1a, 0x12), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(5, 0x18, 0x00), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(3, 0x00, 0x00), ATTEST_SNP_SIM);
	assert_int_equal(product(3, 0x00, 0x01), ATTEST_SNP_UNKNOWN);
	assert_int_equal(product(2, 0x19, 0x00), ATTEST_SNP_UNKNOWN);
	assert_string_equal(attest_snp_product_name(ATTEST_SNP_SIM), "casemate-sim");
}

static void levels_lie_where_the_product_has_them(void **state)
{
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct attest_snp_tcb genoa = attest_snp_tcb_read(bytes, ATTEST_SNP_GENOA);
	struct attest_snp_tcb turin = attest_snp_tcb_read(bytes, ATTEST_SNP_TURIN);

	(void)state;
	assert_int_equal(genoa.fmc, 0);
	assert_int_equal(genoa.bootloader, 1);
	assert_int_equal(genoa.tee, 2);
	assert_int_equal(genoa.snp, 7);
	assert_int_equal(genoa.microcode, 8);
	assert_int_equal(turin.fmc, 1);
	assert_int_equal(turin.bootloader, 2);
	assert_int_equal(turin.tee, 3);
	assert_int_equal(turin.snp, 4);
	assert_int_equal(turin.microcode, 8);
}

/* Not as one number: a high microcode does not make up for a low bootloader. */
static void levels_are_compared_one_by_one(void **state)
{
	const struct attest_snp_tcb least = { 3, 3, 3, 3, 3 };
	struct attest_snp_tcb have = { 9, 9, 9, 9, 9 };

	(void)state;
	assert_null(attest_snp_tcb_below(least, least));
	assert_null(attest_snp_tcb_below(have, least));
	have.fmc = 2;
	assert_string_equal(attest_snp_tcb_below(have, least), "fmc");
	have.fmc = 3;
	have.bootloader = 2;
	assert_string_equal(attest_snp_tcb_below(have, least), "bootloader");
	have.bootloader = 3;
	have.tee = 2;
	assert_string_equal(attest_snp_tcb_below(have, least), "tee");
	have.tee = 3;
	have.snp = 2;
	assert_string_equal(attest_snp_tcb_below(have, least), "snp");
	have.snp = 3;
	have.microcode = 2;
	assert_string_equal(attest_snp_tcb_below(have, least), "microcode");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read_from_its_place),
		cmocka_unit_test(a_length_of_its_own_is_the_only_one),
		cmocka_unit_test(versions_that_are_not_known_are_refused_by_name),
		cmocka_unit_test(bytes_that_nothing_signs_have_to_be_zero),
		cmocka_unit_test(the_processor_tells_the_product),
		cmocka_unit_test(levels_lie_where_the_product_has_them),
		cmocka_unit_test(levels_are_compared_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
