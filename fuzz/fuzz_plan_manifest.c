// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a manifest says, the command line made of it has one quoted part and no control byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest manifest;
	struct layout layout;
	int quotes = 0;

	if (manifest_parse((struct bytes){ data, size }, &manifest, NULL) < 0)
		return 0;
	if (strchr(manifest.kernel_file, '/') || strchr(manifest.base_file, '/') ||
	    manifest.base_hash_start < manifest.base_data_blocks ||
	    plan_make(&(struct plan_request){ .guest = &manifest }, &layout, NULL) < 0)
		abort();
	for (const char *at = layout.cmdline; *at; at++) {
		quotes += *at == '"';
		if (*at < ' ' || *at > '~')
			abort();
	}
	if (quotes != 2)
		abort();
	return 0;
}
