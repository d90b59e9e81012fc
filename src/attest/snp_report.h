/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp_report - the 1184 bytes that an SEV-SNP processor signs, as numbers.
 *
 * Source: AMD 56860, "SEV Secure Nested Paging Firmware ABI Specification" (1.58), 7.3 and 2.2;
 * little-endian. The simulated processor makes reports of the same form, version 3, with a family,
 * model and stepping of zero.
 *
 * What is parsed here is not yet vouched for by anybody: snp_verify.h does that, over the bytes
 * as they came, which are kept.
 */
#ifndef ATTEST_SNP_REPORT_H
#define ATTEST_SNP_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/reason.h"
#include "base/bytes.h"

enum {
	ATTEST_SNP_REPORT_SIZE = 1184,
	ATTEST_SNP_SIGNED_SIZE = 0x2a0,
	ATTEST_SNP_DATA_SIZE = 64,
	ATTEST_SNP_DIGEST_SIZE = 48,
	ATTEST_SNP_HOST_DATA_SIZE = 32,
	ATTEST_SNP_CHIP_ID_SIZE = 64,
	ATTEST_SNP_TCB_SIZE = 8,
	ATTEST_SNP_SCALAR_SIZE = 48, /* of r and of s: P-384 */
	/* where these lie in it, for who looks before it is vouched for, or makes one */
	ATTEST_SNP_DATA_AT = 0x50,
	ATTEST_SNP_DIGEST_AT = 0x90,
	ATTEST_SNP_HOST_DATA_AT = 0xc0,
	ATTEST_SNP_CHIP_ID_AT = 0x1a0,
};

#define ATTEST_SNP_VMPL_HOST UINT32_MAX /* the host asked */

/* Guest policy, 4.3. */
#define ATTEST_SNP_POLICY_SMT (UINT64_C(1) << 16)
#define ATTEST_SNP_POLICY_RESERVED_ONE (UINT64_C(1) << 17)
#define ATTEST_SNP_POLICY_MIGRATE_MA (UINT64_C(1) << 18)
#define ATTEST_SNP_POLICY_DEBUG (UINT64_C(1) << 19)
#define ATTEST_SNP_POLICY_SINGLE_SOCKET (UINT64_C(1) << 20)
#define ATTEST_SNP_POLICY_CXL (UINT64_C(1) << 21)
#define ATTEST_SNP_POLICY_KNOWN ((UINT64_C(1) << 26) - 1)

/* PLATFORM_INFO */
#define ATTEST_SNP_PLATFORM_SMT (UINT64_C(1) << 0)
#define ATTEST_SNP_PLATFORM_TSME (UINT64_C(1) << 1)
#define ATTEST_SNP_PLATFORM_ECC (UINT64_C(1) << 2)
#define ATTEST_SNP_PLATFORM_RAPL_OFF (UINT64_C(1) << 3)
#define ATTEST_SNP_PLATFORM_HIDING (UINT64_C(1) << 4)
#define ATTEST_SNP_PLATFORM_ALIAS_CHECK (UINT64_C(1) << 5)
#define ATTEST_SNP_PLATFORM_TIO (UINT64_C(1) << 7)

enum attest_snp_product {
	ATTEST_SNP_UNKNOWN,
	ATTEST_SNP_MILAN,
	ATTEST_SNP_GENOA, /* Bergamo and Siena as well */
	ATTEST_SNP_TURIN,
	ATTEST_SNP_SIM,
	ATTEST_SNP_PRODUCT_COUNT
};

/* "Milan", ... as the maker's key service has it; "casemate-sim". */
const char *attest_snp_product_name(enum attest_snp_product product);

enum attest_snp_key {
	ATTEST_SNP_VCEK = 0, /* the chip's own */
	ATTEST_SNP_VLEK = 1, /* leased to a provider */
	ATTEST_SNP_KEY_NONE = 7,
};

/* Firmware levels; one of a product that has no such part is 0. */
struct attest_snp_tcb {
	uint8_t fmc; /* Turin only */
	uint8_t bootloader;
	uint8_t tee;
	uint8_t snp;
	uint8_t microcode;
};

struct attest_snp_firmware {
	uint8_t major, minor, build;
};

struct attest_snp_report {
	uint32_t version;
	uint32_t guest_svn;
	uint64_t policy;
	uint8_t family_id[16];
	uint8_t image_id[16];
	uint32_t vmpl;
	uint32_t signature_algo; /* 1: ECDSA P-384 with SHA-384 */
	uint64_t platform_info;
	bool author_key_is_used;
	bool chip_key_is_masked; /* then there is no signature */
	unsigned signing_key;	 /* enum attest_snp_key, or a number of none */
	uint8_t report_data[ATTEST_SNP_DATA_SIZE];
	uint8_t launch_digest[ATTEST_SNP_DIGEST_SIZE];
	uint8_t host_data[ATTEST_SNP_HOST_DATA_SIZE];
	uint8_t id_key_digest[ATTEST_SNP_DIGEST_SIZE];
	uint8_t author_key_digest[ATTEST_SNP_DIGEST_SIZE];
	uint8_t report_id[32];
	uint8_t report_id_ma[32];
	/* 3 and later; else 0 */
	uint8_t family, model, stepping;
	uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE];
	/* as they lie there: how they are read depends on the product */
	uint8_t current_tcb[ATTEST_SNP_TCB_SIZE];
	uint8_t reported_tcb[ATTEST_SNP_TCB_SIZE]; /* what the signing key was derived for */
	uint8_t committed_tcb[ATTEST_SNP_TCB_SIZE];
	uint8_t launch_tcb[ATTEST_SNP_TCB_SIZE];
	struct attest_snp_firmware current, committed;
	uint64_t launch_mitigations, current_mitigations; /* 5 and later; else 0 */
	uint8_t signature_r[ATTEST_SNP_SCALAR_SIZE];	  /* little-endian */
	uint8_t signature_s[ATTEST_SNP_SCALAR_SIZE];
	uint8_t raw[ATTEST_SNP_REPORT_SIZE];
};

/*
 * Versions 2 to 5. *ret is written on 0 only; else *ret_refusal says why not.
 *
 *	-EBADMSG  ATTEST_EVIDENCE_MALFORMED: not 1184 bytes, or bytes that nothing signs and that
 *		  are not zero (above the scalars, behind the signature): two reports that differ
 *		  only there would be the same one
 *	-ENOTSUP  ATTEST_REPORT_VERSION
 */
int attest_snp_report_parse(struct bytes text, struct attest_snp_report *ret,
			    struct attest_refusal *ret_refusal);

/*
 * By family, model and stepping; ATTEST_SNP_UNKNOWN for version 2, which has none (its certificate
 * tells then), and for processors that are not known here.
 */
enum attest_snp_product attest_snp_report_product(const struct attest_snp_report *report);

struct attest_snp_tcb attest_snp_tcb_read(const uint8_t raw[ATTEST_SNP_TCB_SIZE],
					  enum attest_snp_product product);

/* NULL if each part of have is at least that of least; else the name of the first that is not. */
const char *attest_snp_tcb_below(struct attest_snp_tcb have, struct attest_snp_tcb least);

#endif
