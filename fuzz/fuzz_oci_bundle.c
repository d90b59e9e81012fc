// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "oci/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	const struct oci_process_request request = { 0 };
	struct oci_process process;
	struct oci_bundle bundle;
	struct err err = { 0 };
	int r;

	r = oci_bundle_parse(&arena, (struct bytes){ data, size }, "b", &bundle, &err);
	if (r < 0 && (err.num != r || (err.code == ERR_OTHER && r != -12)))
		abort();
	if (r < 0)
		return 0;
	if (bundle.process.cmd.count < 1 || bundle.process.cwd[0] != '/' ||
	    !oci_process_is_user(bundle.process.user) || !bundle.root_path[0] ||
	    bundle.cpu_milli > OCI_CPU_MILLI_MAX ||
	    !privilege_sets_are_possible(&bundle.capabilities))
		abort();
	r = oci_process_make(&arena, &bundle.process, &request, &process, NULL);
	if (r == 0 && (process.args.count < 1 || process.env.count > OCI_ENV_MAX))
		abort();
	return 0;
}
