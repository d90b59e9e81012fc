/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp_verify - a report and certificates -> a verdict.
 *
 *	struct attest_snp_question question = {
 *		.report = bytes, .certs = &certs, .roots = attest_roots_amd(),
 *		.expect = &expect, .now_s = 1767225600,
 *	};
 *	r = attest_snp_verify(&question, &report, &verdict);
 *	if (r == 0 && attest_verdict_is_ok(&verdict)) ... report is the processor's word
 *
 * Checked, each with its own refusal: the report's form; the chain VCEK or VLEK <- ASK or ASVK <-
 * a root of the table, with dates, use, names and, where there is a list, revocation; the signature
 * over the bytes as they came; product, chip id and firmware levels of report and certificate
 * against each other; what the guest permits; what expect wants. What can be checked is, after a
 * refusal too, so that all that is wrong is told at once.
 *
 * Not checked: whether a list of revoked certificates is the latest; that the report is fresh,
 * unless expect has report data.
 */
#ifndef ATTEST_SNP_VERIFY_H
#define ATTEST_SNP_VERIFY_H

#include <stdint.h>

#include "attest/certs.h"
#include "attest/expect.h"
#include "attest/memo.h"
#include "attest/roots.h"
#include "attest/snp_report.h"
#include "attest/verdict.h"
#include "base/bytes.h"

struct attest_snp_question {
	struct bytes report;
	const struct attest_certs *certs;
	const struct attest_roots *roots;
	const struct attest_expect *expect; /* NULL: the defaults only */
	struct attest_memo *memo;	    /* NULL: every signature is checked */
	int64_t now_s; /* seconds since 1970: when certificates have to be valid */
};

/*
 * Adds its parts to *verdict, which the caller owns. *ret_report is written if there is a report
 * at all: it is worth what the verdict says. 0, or -ENOMEM (the verdict is a "no" then, too).
 */
int attest_snp_verify(const struct attest_snp_question *question,
		      struct attest_snp_report *ret_report, struct attest_verdict *verdict);

#endif
