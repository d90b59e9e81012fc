// SPDX-License-Identifier: Apache-2.0
#include "simtee/report.h"

#include <string.h>

/* Where the fields are. */
enum {
	AT_VERSION = 0x00,
	AT_POLICY = 0x08,
	AT_ALGORITHM = 0x34,
	AT_CURRENT_TCB = 0x38,
	AT_REPORT_DATA = 0x50,
	AT_DIGEST = 0x90,
	AT_HOST_DATA = 0xc0,
	AT_ID = 0x140,
	AT_AGENT_ID = 0x160,
	AT_REPORTED_TCB = 0x180,
	AT_CHIP_ID = 0x1a0,
	AT_COMMITTED_TCB = 0x1e0,
	AT_LAUNCH_TCB = 0x1f0,
	AT_SIGNATURE_R = 0x2a0,
	AT_SIGNATURE_S = 0x2e8,
	TCB_SNP = 6,
	VERSION = 3,
	ECDSA_P384_SHA384 = 1,
	ABI_MINOR = 0x1f, /* of the guest policy: what real guests ask for */
};

static void put(uint8_t *at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

void report_write(const struct report_facts *facts, const uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE],
		  uint8_t ret[ATTEST_SNP_REPORT_SIZE])
{
	memset(ret, 0, ATTEST_SNP_REPORT_SIZE);
	put(ret + AT_VERSION, VERSION, 4);
	put(ret + AT_POLICY, ATTEST_SNP_POLICY_RESERVED_ONE | ATTEST_SNP_POLICY_SMT | ABI_MINOR, 8);
	put(ret + AT_ALGORITHM, ECDSA_P384_SHA384, 4);
	ret[AT_CURRENT_TCB + TCB_SNP] = REPORT_LEVEL;
	ret[AT_REPORTED_TCB + TCB_SNP] = REPORT_LEVEL;
	ret[AT_COMMITTED_TCB + TCB_SNP] = REPORT_LEVEL;
	ret[AT_LAUNCH_TCB + TCB_SNP] = REPORT_LEVEL;
	memcpy(ret + AT_REPORT_DATA, facts->report_data, sizeof(facts->report_data));
	memcpy(ret + AT_DIGEST, facts->launch_digest, sizeof(facts->launch_digest));
	memcpy(ret + AT_HOST_DATA, facts->host_data, sizeof(facts->host_data));
	memcpy(ret + AT_ID, facts->id, sizeof(facts->id));
	/* there is no migration agent */
	memset(ret + AT_AGENT_ID, 0xff, sizeof(facts->id));
	memcpy(ret + AT_CHIP_ID, chip_id, ATTEST_SNP_CHIP_ID_SIZE);
}

void report_put_signature(const uint8_t *r, const uint8_t *s,
			  uint8_t report[ATTEST_SNP_REPORT_SIZE])
{
	memcpy(report + AT_SIGNATURE_R, r, ATTEST_SNP_SCALAR_SIZE);
	memcpy(report + AT_SIGNATURE_S, s, ATTEST_SNP_SCALAR_SIZE);
}
