// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A stream of messages, to either side: what is taken is within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf in = { 0 }, out = { 0 };
	struct bytes frame;

	if (buf_add(&in, data, size) < 0)
		return 0;
	while (broker_frame_next(&in, &frame) == 1) {
		Broker__Request *request = NULL;
		Broker__Answer *answer = NULL;

		if (broker_request_parse(frame, &request, NULL) == 0) {
			if (request->body.len > BROKER_ATTEST_MAX ||
			    strlen(request->peer) > BROKER_PEER_MAX ||
			    broker_request_add(request, &out) < 0)
				abort();
			broker__request__free_unpacked(request, NULL);
		}
		if (broker_answer_parse(frame, &answer, NULL) == 0) {
			if (answer->session.len > BROKER_SESSION_SIZE)
				abort();
			broker__answer__free_unpacked(answer, NULL);
		}
		broker_frame_drop(&in, frame);
	}
	return 0;
}
