/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp_chain - from a bag of certificates, those that lead from a report's key to a trusted root.
 */
#ifndef ATTEST_SNP_CHAIN_PRIV_H
#define ATTEST_SNP_CHAIN_PRIV_H

#include <stdbool.h>

#include "attest/snp_vek.h"
#include "attest/snp_verify.h"

struct attest_snp_chain {
	X509 *vek;		     /* NULL: none; borrowed from the bag */
	struct attest_snp_vek facts; /* of it, if has_facts */
	bool has_facts;
	enum attest_snp_product product; /* the root's; ATTEST_SNP_UNKNOWN: none that is trusted */
};

/* Fills *ret with what there is, and the part with claims and refusals. */
void attest_snp_chain_find(const struct attest_snp_question *question,
			   const struct attest_snp_report *report, struct attest_part *part,
			   struct attest_snp_chain *ret);

#endif
