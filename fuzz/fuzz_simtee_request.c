// SPDX-License-Identifier: Apache-2.0
/* What a launcher may send: a request is either taken whole, or refused with words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attest/launch.h"
#include "simtee/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct request_rules rules = { .key_uid = 1, .uid_first = 2, .uid_count = 3 };
	size_t fd_count = size > 0 ? data[0] % 8 : 0;
	struct request request = { 0 };
	struct err err = { 0 };

	if (request_open((struct bytes){ data + (size > 0), size - (size > 0) }, fd_count, "q",
			 &request, &err) < 0) {
		if (!err.msg[0] || request.message)
			abort();
		return 0;
	}
	if (request.kernel >= fd_count || request.firmware >= fd_count || !request.append ||
	    request.vcpus == 0 || request.vcpus > ATTEST_VCPUS_MAX ||
	    strcmp(request.message->argv[0], "q") != 0)
		abort();
	(void)request_allow(&request, &rules, data[0], data[0], &err);
	request_done(&request);
	return 0;
}
