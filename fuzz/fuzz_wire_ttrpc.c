// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/proto/ttrpc.pb-c.h"
#include "wire/ttrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Whatever protobuf-c reads, we read, and as the same. */
static void compare(struct bytes body)
{
	Ttrpc__Request *theirs = ttrpc__request__unpack(NULL, body.len, body.at);
	struct ttrpc_request ours;
	struct ttrpc_response response;
	int r = ttrpc_request_parse(body, &ours);

	must(r <= 0 && ttrpc_response_parse(body, &response) <= 0);
	if (theirs) {
		must(r == 0 && ours.timeout_ns == theirs->timeout_nano);
		must(strlen(theirs->method) <= ours.method.len);
		must(ours.payload.len == theirs->payload.len);
		must(ours.payload.len == 0 ||
		     memcmp(ours.payload.at, theirs->payload.data, ours.payload.len) == 0);
		ttrpc__request__free_unpacked(theirs, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = { data, size };
	struct ttrpc_frame frame;
	size_t used;

	while (ttrpc_frame_next(rest, &frame, &used) > 0) {
		must(used == TTRPC_HEADER_SIZE + frame.body.len && used <= rest.len);
		must(frame.type == TTRPC_REQUEST || frame.type == TTRPC_RESPONSE);
		compare(frame.body);
		rest.at += used;
		rest.len -= used;
	}
	compare((struct bytes){ data, size });
	return 0;
}
