// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const words[] = { "accel", "start_timeout_kvm", "" };
	CLEANUP(buf_done) struct buf quoted = { 0 };
	cleanup_free char *text = strndup((const char *)data, size);
	struct text_target target;
	uint32_t milli;
	uint64_t number;

	if (!text || text_quote(&quoted, (struct bytes){ data, size }) < 0)
		abort();
	for (size_t i = 0; i < quoted.len; i++) {
		if (quoted.at[i] < 0x20 || quoted.at[i] == 0x7f)
			abort();
	}
	(void)text_parse_size(text, &number);
	(void)text_parse_cpus(text, &milli);
	(void)text_parse_duration_ms(text, &number);
	(void)text_nearest(text, words, 3);
	if (text_parse_target(text, &target) == 0 &&
	    (!text_name_valid(target.pod) || !text_name_valid(target.container)))
		abort();
	return 0;
}
