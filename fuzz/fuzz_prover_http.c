// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prover/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A head is the same however much has come behind it, and within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head head, again;
	size_t used = 0, used_again = 0;
	int r = http_head_parse((struct bytes){ data, size }, "sid", &head, &used);

	if (r != 1)
		return 0;
	if (used > size || used > HTTP_HEAD_MAX || head.body_len > HTTP_BODY_MAX ||
	    strlen(head.cookie) > HTTP_COOKIE_MAX || head.status < 200 || head.status > 599)
		abort();
	if (http_head_parse((struct bytes){ data, used }, "sid", &again, &used_again) != 1 ||
	    used_again != used || memcmp(&head, &again, sizeof(head)) != 0)
		abort();
	if (http_head_parse((struct bytes){ data, used - 1 }, "sid", &again, &used) == 1)
		abort();
	return 0;
}
