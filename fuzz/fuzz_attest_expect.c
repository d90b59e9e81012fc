// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "attest/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is understood stays within its limits; the roots are AMD's and simulated ones. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_expect expect;
	struct attest_roots roots;
	struct err err = { 0 };

	if (attest_expect_parse((struct bytes){ data, size }, &expect, &err) < 0) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	if (expect.host_data_count > ATTEST_EXPECT_MAX ||
	    expect.launch_digests.count > ATTEST_EXPECT_MAX || expect.vmpls > ATTEST_VMPL_ALL)
		abort();
	attest_expect_roots(&expect, &roots);
	for (size_t i = attest_roots_amd()->count; i < roots.count; i++)
		if (roots.at[i].product != ATTEST_SNP_SIM)
			abort();
	return 0;
}
