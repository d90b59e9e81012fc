/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp_vek - the certificate of the key that signs reports (VCEK or VLEK), as facts.
 *
 * Source: AMD 57230, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface
 * Specification" (1.00), 3.1, and what Turin's certificates have: extensions below
 * 1.3.6.1.4.1.3704.1 in any order. The simulated processor's certificates have the same.
 */
#ifndef ATTEST_SNP_VEK_H
#define ATTEST_SNP_VEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "attest/reason.h"
#include "attest/snp_report.h"

enum { ATTEST_SNP_NAME_MAX = 63 };

struct attest_snp_vek {
	char product[ATTEST_SNP_NAME_MAX + 1]; /* "Milan-B0", "Genoa" */
	bool has_fmc;
	struct attest_snp_tcb tcb;
	uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE];
	size_t chip_id_len; /* 64, 8 for Turin; 0: a VLEK, which is no chip's own */
	char provider[ATTEST_SNP_NAME_MAX + 1]; /* of a VLEK; "" */
};

/*
 * 0, or -EBADMSG with ATTEST_CERTIFICATE_INVALID: an extension twice, missing, not of its type, or
 * too long to be one. It doesn't look at who issued the certificate.
 */
int attest_snp_vek_read(const X509 *cert, struct attest_snp_vek *ret,
			struct attest_refusal *ret_refusal);

/* Is it a certificate of that product? By its extension: "Milan" and "Milan-B0" are Milan's. */
bool attest_snp_vek_is_of(const struct attest_snp_vek *vek, enum attest_snp_product product);

#endif
