// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The stream in two pieces, cut where its first byte says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(qmp_stream_done) struct qmp_stream stream = { 0 };
	size_t cut = size ? data[0] % size : 0;
	const struct bytes pieces[] = { { data, cut }, { data + cut, size - cut } };
	struct qmp_message message = { 0 };
	int r = 0;

	for (int i = 0; i < 2 && r != -EMSGSIZE; i++) {
		r = qmp_stream_feed(&stream, pieces[i]);
		while (r >= 0 && (r = qmp_stream_next(&stream, &message)) != 0) {
			if (r < 0)
				continue;
			if (message.kind > QMP_EVENT || strlen(message.text) > QMP_TEXT_MAX ||
			    (message.kind == QMP_EVENT && message.data &&
			     !json_is_object(message.data)))
				abort();
			qmp_message_done(&message);
		}
	}
	return 0;
}
