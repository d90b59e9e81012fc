// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "attest/snp_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Without certificates nothing is good, and every "no" has a reason and is JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	const struct attest_certs certs = { 0 };
	const struct attest_snp_question question = {
		.report = { data, size },
		.certs = &certs,
		.roots = attest_roots_amd(),
	};
	struct attest_snp_report report;
	char *text = NULL;

	if (attest_snp_verify(&question, &report, &verdict) < 0 || attest_verdict_is_ok(&verdict) ||
	    !attest_verdict_first(&verdict) || attest_verdict_json(&verdict, &text) < 0)
		abort();
	free(text);
	return 0;
}
