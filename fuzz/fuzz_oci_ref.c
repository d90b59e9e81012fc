// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "oci/digest.h"
#include "oci/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	char *text = arena_strndup(&arena, (const char *)data, size), again[OCI_DIGEST_TEXT];
	struct oci_digest digest;
	struct oci_ref ref;
	struct err err = { 0 };

	if (!text)
		return 0;
	if (oci_ref_parse(&arena, text, &ref, &err) < 0) {
		if (err.num == 0 || err.code == ERR_OTHER)
			abort();
	} else if (!ref.path[0] || !strstr(text, ref.path) || (ref.tag && !ref.tag[0])) {
		abort();
	}
	if (oci_digest_parse(text, &digest) == 0) {
		oci_digest_format(&digest, again);
		if (strcmp(again, text) != 0)
			abort();
	}
	return 0;
}
