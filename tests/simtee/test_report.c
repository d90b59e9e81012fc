// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "simtee/report.h"

static void the_parser_reads_what_was_written(void **state)
{
	struct report_facts facts;
	uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE], r[ATTEST_SNP_SCALAR_SIZE],
		s[ATTEST_SNP_SCALAR_SIZE], text[ATTEST_SNP_REPORT_SIZE], all_ones[32];
	struct attest_snp_report report;
	struct attest_refusal refusal;
	struct attest_snp_tcb tcb;

	(void)state;
	memset(facts.launch_digest, 1, sizeof(facts.launch_digest));
	memset(facts.host_data, 2, sizeof(facts.host_data));
	memset(facts.id, 3, sizeof(facts.id));
	memset(facts.report_data, 4, sizeof(facts.report_data));
	memset(chip_id, 5, sizeof(chip_id));
	memset(r, 6, sizeof(r));
	memset(s, 7, sizeof(s));
	memset(all_ones, 0xff, sizeof(all_ones));
	memset(text, 0xee, sizeof(text));
	report_write(&facts, chip_id, text);
	report_put_signature(r, s, text);
	assert_int_equal(attest_snp_report_parse((struct bytes){ text, sizeof(text) }, &report,
						 &refusal),
			 0);
	assert_int_equal(attest_snp_report_product(&report), ATTEST_SNP_SIM);
	assert_int_equal(report.signature_algo, 1);
	assert_int_equal(report.signing_key, ATTEST_SNP_VCEK);
	assert_int_equal(report.vmpl, 0);
	assert_false(report.policy & ATTEST_SNP_POLICY_DEBUG);
	assert_memory_equal(report.launch_digest, facts.launch_digest, 48);
	assert_memory_equal(report.host_data, facts.host_data, 32);
	assert_memory_equal(report.report_id, facts.id, 32);
	assert_memory_equal(report.report_id_ma, all_ones, 32);
	assert_memory_equal(report.report_data, facts.report_data, 64);
	assert_memory_equal(report.chip_id, chip_id, 64);
	assert_memory_equal(report.signature_r, r, 48);
	assert_memory_equal(report.signature_s, s, 48);
	tcb = attest_snp_tcb_read(report.reported_tcb, ATTEST_SNP_SIM);
	assert_int_equal(tcb.snp, REPORT_LEVEL);
	assert_memory_equal(report.reported_tcb, report.launch_tcb, 8);
	assert_memory_equal(report.reported_tcb, report.committed_tcb, 8);
	assert_memory_equal(report.reported_tcb, report.current_tcb, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parser_reads_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
