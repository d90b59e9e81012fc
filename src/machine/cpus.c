// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "machine/number_priv.h"

/* Threads of a core are the CPUs with one of these: .core of a draft is a number within. */
struct core {
	int package, core;
};

static int by_cpu(const void *a, const void *b)
{
	const struct machine_cpu *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int by_node(const void *a, const void *b)
{
	const struct machine_node_draft *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int by_core(const void *a, const void *b)
{
	const struct core *x = a, *y = b;

	if (x->package != y->package)
		return x->package < y->package ? -1 : 1;
	return (x->core > y->core) - (x->core < y->core);
}

/* The node that claims a CPU; the first of several. */
static int node_with(const struct machine_build *build, int cpu)
{
	size_t i;

	for (i = 0; i < build->node_count; i++)
		if (build->nodes[i].cpus && machine_mask_has(build->nodes[i].cpus, cpu))
			return (int)i;
	return MACHINE_NONE;
}

static int place_cpus(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t i, kept = 0;

	if (build->cpu_count)
		qsort(build->cpus, build->cpu_count, sizeof(*build->cpus), by_cpu);
	machine->cpus = arena_array(build->arena, build->cpu_count, sizeof(*machine->cpus));
	if (!machine->cpus)
		return -ENOMEM;
	for (i = 0; i < build->cpu_count; i++) {
		if (i && build->cpus[i].id == build->cpus[i - 1].id)
			continue;
		machine->cpus[kept] = build->cpus[i];
		machine->cpus[kept].node = node_with(build, build->cpus[i].id);
		kept++;
	}
	machine->cpu_count = kept;
	return 0;
}

/* Makes .core dense and counts; a machine with one CPU that says nothing has no counts. */
static int number_cores(struct machine_build *build)
{
	struct machine *machine = build->machine;
	struct core *cores = arena_array(build->arena, machine->cpu_count, sizeof(*cores));
	size_t i, count = 0, kept = 0;
	int packages = 0;

	if (!cores)
		return -ENOMEM;
	machine->package_count = machine->core_count = PCI_UNKNOWN;
	for (i = 0; i < machine->cpu_count; i++)
		if (machine->cpus[i].core >= 0)
			cores[count++] =
				(struct core){ machine->cpus[i].package, machine->cpus[i].core };
	if (!count)
		return 0;
	qsort(cores, count, sizeof(*cores), by_core);
	for (i = 0; i < count; i++) {
		if (i && by_core(&cores[i], &cores[kept - 1]) == 0)
			continue;
		packages += !kept || cores[i].package != cores[kept - 1].package;
		cores[kept++] = cores[i];
	}
	machine->core_count = (int)kept;
	if (cores[0].package >= 0)
		machine->package_count = packages;
	for (i = 0; i < machine->cpu_count; i++) {
		struct machine_cpu *cpu = &machine->cpus[i];
		struct core key = { cpu->package, cpu->core }, *core;

		core = cpu->core < 0 ? NULL : bsearch(&key, cores, kept, sizeof(key), by_core);
		cpu->core = core ? (int)(core - cores) : PCI_UNKNOWN;
	}
	return 0;
}

static int place_nodes(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t i, kept = 0;

	if (build->node_count)
		qsort(build->nodes, build->node_count, sizeof(*build->nodes), by_node);
	for (i = 0; i < build->node_count; i++)
		if (!i || build->nodes[i].id != build->nodes[kept - 1].id)
			build->nodes[kept++] = build->nodes[i];
	build->node_count = kept;
	machine->nodes = arena_array(build->arena, kept, sizeof(*machine->nodes));
	if (!machine->nodes)
		return -ENOMEM;
	for (i = 0; i < kept; i++) {
		const struct machine_node_draft *draft = &build->nodes[i];

		machine->nodes[i] = (struct machine_node){
			.id = draft->id,
			.memory_bytes = draft->memory_bytes,
			/* one for each node, or they mean something else */
			.distances = draft->distance_count == kept ? draft->distances : NULL,
		};
	}
	machine->node_count = kept;
	return 0;
}

int machine_cpus_place(struct machine_build *build)
{
	int r = place_nodes(build);

	if (r >= 0)
		r = place_cpus(build);
	if (r >= 0)
		r = number_cores(build);
	return r;
}
