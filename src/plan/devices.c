// SPDX-License-Identifier: Apache-2.0
#include "plan/devices.h"

#include "plan/tree.h"

/* The host's node that a PXB stands for: of its root complex, else of a device below it. */
static int host_node(const struct machine *machine, const struct plan_choice *choice,
		     const struct layout *layout, int pxb)
{
	for (size_t i = 0; i < layout->passed_count; i++) {
		const struct machine_device *device = &machine->devices[choice->given[i].device];
		int above = layout->passed[i].parent;

		while (layout->bridges[above].parent != LAYOUT_NONE)
			above = layout->bridges[above].parent;
		if (above != pxb)
			continue;
		if (machine->roots[device->root].numa >= 0)
			return machine->roots[device->root].numa;
		if (device->numa >= 0)
			return device->numa;
	}
	return PCI_UNKNOWN;
}

/* Bytes; below 0: unknown. */
static int64_t memory_of(const struct machine *machine, int node)
{
	const int index = machine_find_node(machine, node);

	return index == MACHINE_NONE ? PCI_UNKNOWN : machine->nodes[index].memory_bytes;
}

/* The guest's node of a host's, made if need be; in the order of the root complexes. */
static int find_node(const struct machine *machine, struct layout *layout, int host,
		     struct plan_reasons *reasons)
{
	size_t i = 0;

	if (host < 0 || memory_of(machine, host) == 0)
		return LAYOUT_NONE;
	while (i < layout->node_count && layout->nodes[i].host != host)
		i++;
	if (i == LAYOUT_NODES_MAX) {
		plan_reasons_add(reasons, ERR_DEVICE_COUNT, "devices of more than %d NUMA nodes",
				 LAYOUT_NODES_MAX);
		return LAYOUT_NONE;
	}
	if (i == layout->node_count)
		layout->nodes[layout->node_count++].host = host;
	return (int)i;
}

/* Memory and vCPUs in equal parts, the first nodes get what is left over. */
static void share(const struct machine *machine, struct layout *layout,
		  struct plan_reasons *reasons)
{
	const uint32_t count = (uint32_t)layout->node_count;
	uint32_t first = 0;
	int64_t have;

	for (uint32_t i = 0; i < count; i++) {
		struct layout_node *node = &layout->nodes[i];

		node->memory_mib = layout->memory_mib / count + (i < layout->memory_mib % count);
		node->cpu_first = first;
		node->cpu_count = layout->vcpus / count + (i < layout->vcpus % count);
		first += node->cpu_count;
		have = memory_of(machine, node->host);
		if (have >= 0 && (uint64_t)have >> 20 < node->memory_mib)
			plan_reasons_add(reasons, ERR_DEVICE_SPACE,
					 "%u MiB of the guest's memory are of the host's node %d, "
					 "which has %lld",
					 node->memory_mib, node->host, (long long)have >> 20);
	}
}

void plan_nodes(const struct machine *machine, const struct plan_choice *choice,
		struct layout *layout, struct plan_reasons *reasons)
{
	for (size_t i = 0; i < layout->bridge_count; i++)
		if (layout->bridges[i].kind == LAYOUT_PXB)
			layout->bridges[i].node = (int16_t)find_node(
				machine, layout, host_node(machine, choice, layout, (int)i),
				reasons);
	share(machine, layout, reasons);
}

/*
 * A device's ROM is code from outside, and what one device writes to another's BAR passes by what
 * the guest keeps to itself: with a TEE there is neither.
 */
static void restrict_devices(const struct plan_wish *wish, struct plan *plan)
{
	struct layout *layout = &plan->layout;
	const char *name = layout->passed_count > 1 ? "the devices'" : "the device's";

	for (size_t i = 0; i < layout->passed_count; i++)
		layout->passed[i].has_rom = false;
	if (layout->passed_count > 1 && !wish->no_peers)
		plan_reasons_add(&plan->notes, ERR_OTHER,
				 "no peer-to-peer: in a confidential guest devices reach only what "
				 "the guest bounces for them, never one another");
	plan_reasons_add(&plan->notes, ERR_OTHER,
			 "%s ROMs are hidden: they are code that nobody measures", name);
}

/* Without their BARs mapped for one another, devices have nothing to send. */
static void tune(const struct machine *machine, struct plan *plan)
{
	if (plan->layout.passed[0].has_peers)
		plan_tune(machine, &plan->choice, &plan->tune, &plan->notes);
	else
		plan_reasons_add(&plan->notes, ERR_OTHER,
				 "no peer-to-peer: no port's ACS is to be changed");
}

int plan_devices(const struct machine *machine, const struct plan_wish *wish, struct plan *plan)
{
	int r;

	r = plan_choose(machine, wish, &plan->choice, &plan->reasons, &plan->unknown);
	if (r < 0 || plan->reasons.count)
		return r;
	plan_tree(machine, &plan->choice, wish->mode, &plan->layout, &plan->reasons);
	if (plan->reasons.count)
		return 0;
	plan_peers(machine, &plan->choice, !wish->no_peers && plan->layout.tee == LAYOUT_TEE_NONE,
		   &plan->layout);
	if (plan->layout.tee != LAYOUT_TEE_NONE && plan->layout.passed_count > 0)
		restrict_devices(wish, plan);
	if (wish->tune_acs && plan->layout.passed_count > 0)
		tune(machine, plan);
	plan_nodes(machine, &plan->choice, &plan->layout, &plan->reasons);
	plan_space(machine, &plan->choice, &plan->layout, &plan->space, &plan->reasons,
		   &plan->unknown);
	return 0;
}
