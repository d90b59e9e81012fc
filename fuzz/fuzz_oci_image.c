// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "oci/image.h"
#include "oci/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, const struct err *err)
{
	if (r < 0 && (err->num != r || err->code == ERR_OTHER) && r != -12)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct bytes text = { data, size };
	struct oci_descriptor descriptor;
	struct oci_manifest manifest;
	struct oci_config config;
	struct err err = { 0 };
	int r;

	check(oci_layout_check(text, &err), &err);
	r = oci_index_choose(text, "i", size & 1 ? "v1" : NULL, &descriptor, &err);
	check(r, &err);
	if (r == 0 && (descriptor.media > OCI_MEDIA_MANIFEST || descriptor.size > OCI_JSON_MAX))
		abort();
	r = oci_manifest_parse(&arena, text, "m", &manifest, &err);
	check(r, &err);
	if (r == 0 && (manifest.layer_count < 1 || manifest.layer_count > OCI_LAYERS_MAX))
		abort();
	r = oci_config_parse(&arena, text, "c", 1, &config, &err);
	check(r, &err);
	if (r == 0 && (config.diff_count != 1 || config.process.env.count > OCI_ENV_MAX))
		abort();
	return 0;
}
