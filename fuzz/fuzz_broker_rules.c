// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "broker/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No rule that was taken gives anything to everybody; what was refused leaves none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };
	struct err err = { 0 };

	if (broker_rules_parse((struct bytes){ data, size }, &rules, &err) < 0) {
		if (!err.msg[0] || rules.at || rules.count > 0)
			abort();
		return 0;
	}
	for (size_t i = 0; i < rules.count; i++) {
		const struct attest_expect *expect = &rules.at[i]->expect;

		if (!attest_kbs_resource_valid(rules.at[i]->resource) ||
		    expect->host_data_count == 0 || expect->launch_digests.count == 0 ||
		    !(expect->allow & ATTEST_ALLOW_SIMULATED) != (expect->sim_root_count == 0))
			abort();
	}
	return 0;
}
