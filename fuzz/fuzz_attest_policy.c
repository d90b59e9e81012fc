// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attest/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is understood has one form, which is understood as the same, and allows what it lists. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 }, again = { 0 };
	CLEANUP(buf_done) struct buf one = { 0 }, two = { 0 };
	struct attest_refusal refusal;
	struct err err = { 0 };
	size_t place;

	if (attest_policy_parse((struct bytes){ data, size }, &policy, &err) < 0) {
		if (!err.msg[0] || policy.container_count > 0)
			abort();
		return 0;
	}
	if (attest_policy_document(&policy, &one) < 0 ||
	    attest_policy_parse(buf_bytes(&one), &again, &err) < 0 ||
	    attest_policy_document(&again, &two) < 0 || one.len != two.len ||
	    memcmp(one.at, two.at, one.len) != 0)
		abort();
	for (size_t i = 0; i < policy.container_count; i++)
		if (attest_policy_check(&again, policy.containers[i].spec, &place, &refusal) != 1)
			abort();
	return 0;
}
