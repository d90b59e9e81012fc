// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "machine/build_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Refused with a reason, or a machine whose sets hold together. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine;
	struct err err = { 0 };
	size_t i, cpus = 0;
	int r;

	r = machine_hwloc_decode(&arena, (struct bytes){ data, size }, &machine, &err);
	if (r < 0) {
		if (err.num != r || !err.msg[0])
			abort();
		return 0;
	}
	for (i = 0; i < machine->node_count; i++)
		cpus += machine->nodes[i].cpus.count;
	if (cpus > machine->cpu_count)
		abort();
	for (i = 0; i < machine->device_count; i++)
		if (machine_find(machine, machine->devices[i].address) != (int)i)
			abort();
	return 0;
}
