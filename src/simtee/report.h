/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - the bytes of the simulated processor's report, as SEV-SNP's of version 3 (AMD 56860,
 * 7.3): attest/snp_report.h reads them.
 *
 * Of a simulated processor there are no family, model and stepping, and all levels of its firmware
 * are 0 but that of "snp", which counts the ways in which it has measured.
 */
#ifndef SIMTEE_REPORT_H
#define SIMTEE_REPORT_H

#include <stdint.h>

#include "attest/snp_report.h"

enum { REPORT_ID_SIZE = 32, REPORT_LEVEL = 1 };

/* What differs from guest to guest and from report to report. */
struct report_facts {
	uint8_t launch_digest[ATTEST_SNP_DIGEST_SIZE];
	uint8_t host_data[ATTEST_SNP_HOST_DATA_SIZE];
	uint8_t id[REPORT_ID_SIZE]; /* the guest's, made at its start */
	uint8_t report_data[ATTEST_SNP_DATA_SIZE];
};

/* Without the signature. */
void report_write(const struct report_facts *facts, const uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE],
		  uint8_t ret[ATTEST_SNP_REPORT_SIZE]);

/* r and s, little-endian, each ATTEST_SNP_SCALAR_SIZE bytes. */
void report_put_signature(const uint8_t *r, const uint8_t *s,
			  uint8_t report[ATTEST_SNP_REPORT_SIZE]);

#endif
