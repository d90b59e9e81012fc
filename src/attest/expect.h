/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expect - what somebody wants to be true of a guest before it is trusted: reference values and
 * what is let pass. `casemate verify --policy FILE` reads one; a broker's rule makes one.
 *
 *	{"schema": 1,
 *	 "launch_digests": ["<96 hex digits>"], "host_data": ["<64>"], "report_data": "<up to 128>",
 *	 "chip_ids": ["<128>"], "id_key_digests": ["<96>"], "author_key_digests": ["<96>"],
 *	 "tcb": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219, "fmc": 0},
 *	 "launch_tcb": {...}, "guest_svn": 0, "vmpl": [0],
 *	 "allow": ["simulated", "debug", "migration", "cxl"],
 *	 "require": ["no-smt", "single-socket", "revocation", "alias-check", "ciphertext-hiding",
 *	             "ecc"],
 *	 "sim_roots": ["<64>"]}
 *
 * JSON, closed: an unknown name is refused. All but the schema may be left out; what is left out
 * is not asked for, save what is refused by default: debug, migration, CXL devices, the simulated
 * processor.
 */
#ifndef ATTEST_EXPECT_H
#define ATTEST_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/roots.h"
#include "attest/snp_report.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	ATTEST_EXPECT_MAX = 64, /* alternatives of one kind */
	ATTEST_EXPECT_TEXT_MAX = 1 << 20,
	ATTEST_EXPECT_SIM_ROOTS_MAX = 8,
	ATTEST_VMPL_ALL = 0xf,
};

/* What is wanted is one of these; none: not asked for. */
struct attest_digests {
	uint8_t at[ATTEST_EXPECT_MAX][ATTEST_SNP_DIGEST_SIZE];
	size_t count;
};

enum attest_allow {
	ATTEST_ALLOW_SIMULATED = 1 << 0,
	ATTEST_ALLOW_DEBUG = 1 << 1,
	ATTEST_ALLOW_MIGRATION = 1 << 2,
	ATTEST_ALLOW_CXL = 1 << 3,
};

enum attest_require {
	ATTEST_REQUIRE_NO_SMT = 1 << 0,
	ATTEST_REQUIRE_SINGLE_SOCKET = 1 << 1,
	ATTEST_REQUIRE_REVOCATION = 1 << 2,
	ATTEST_REQUIRE_ALIAS_CHECK = 1 << 3,
	ATTEST_REQUIRE_HIDING = 1 << 4,
	ATTEST_REQUIRE_ECC = 1 << 5,
};

struct attest_expect {
	struct attest_digests launch_digests;
	struct attest_digests id_key_digests;
	struct attest_digests author_key_digests;
	uint8_t host_data[ATTEST_EXPECT_MAX][ATTEST_SNP_HOST_DATA_SIZE];
	size_t host_data_count;
	uint8_t chip_ids[ATTEST_EXPECT_MAX][ATTEST_SNP_CHIP_ID_SIZE];
	size_t chip_id_count;
	bool has_report_data;
	uint8_t report_data[ATTEST_SNP_DATA_SIZE]; /* shorter ones: zeros behind */
	struct attest_snp_tcb least_tcb;	   /* of the reported one */
	struct attest_snp_tcb least_launch_tcb;
	uint32_t least_guest_svn;
	unsigned vmpls; /* bit N: level N may ask; 0: all may */
	unsigned allow;
	unsigned require;
	uint8_t sim_roots[ATTEST_EXPECT_SIM_ROOTS_MAX][ATTEST_ROOT_SIZE];
	size_t sim_root_count;
};

/* The words of "allow" and "require", by the place of their bit; NULL behind the last. */
const char *attest_allow_name(size_t bit);
const char *attest_require_name(size_t bit);

/* -EINVAL: not as above, with the place; -E2BIG: more than a limit; -ENOMEM. */
int attest_expect_parse(struct bytes text, struct attest_expect *ret, struct err *err);

/* Trusted roots: AMD's, and those simulated ones that expect names. expect may be NULL. */
void attest_expect_roots(const struct attest_expect *expect, struct attest_roots *ret);

#endif
