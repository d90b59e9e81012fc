// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attest/kbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written so that it is read as the same; what was refused leaves nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(attest_kbs_request_done) struct attest_kbs_request request = { 0 }, again = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 }, token = { 0 };
	uint8_t nonce[ATTEST_KBS_NONCE];
	struct attest_kbs_error error;
	enum attest_kbs_tee tee;
	struct bytes in = { data, size };

	(void)attest_kbs_auth_parse(in, &tee, NULL);
	(void)attest_kbs_challenge_parse(in, nonce, NULL);
	(void)attest_kbs_token_parse(in, &token, NULL);
	(void)attest_kbs_error_parse(in, &error, NULL);
	if (attest_kbs_request_parse(in, &request, NULL) < 0) {
		if (request.init_data.at || request.certs.count > 0)
			abort();
		return 0;
	}
	/* a report that its own version would not have is read, and not written */
	if (attest_kbs_request_print(&request, &text, NULL) < 0)
		return 0;
	if (attest_kbs_request_parse(buf_bytes(&text), &again, NULL) < 0 ||
	    memcmp(request.report, again.report, sizeof(again.report)) != 0 ||
	    memcmp(&request.key, &again.key, sizeof(again.key)) != 0)
		abort();
	return 0;
}
