// SPDX-License-Identifier: Apache-2.0
#include "route/class.h"

#include <assert.h>

static const char *const names[] = {
	[ROUTE_UNKNOWN] = NULL, [ROUTE_PIX] = "PIX",   [ROUTE_PXB] = "PXB",
	[ROUTE_PHB] = "PHB",	[ROUTE_NODE] = "NODE", [ROUTE_SYS] = "SYS",
};
static_assert(ARRAY_SIZE(names) == ROUTE_CLASS_COUNT, "a name for each class");

const char *route_class_name(enum route_class class)
{
	return names[class];
}

int route_place(const struct machine *machine, int device)
{
	const struct machine_device *it = &machine->devices[device];

	return it->is_virtfn == PCI_YES && it->physfn != MACHINE_NONE ? it->physfn : device;
}

int route_common(const struct machine *machine, int a, int b)
{
	const struct machine_device *devices = machine->devices;

	while (a != b && a != MACHINE_NONE && b != MACHINE_NONE) {
		if (devices[a].depth >= devices[b].depth)
			a = devices[a].parent;
		else
			b = devices[b].parent;
	}
	return a == b ? a : MACHINE_NONE;
}

/* Does a bridge count, on a way that goes through it or turns round in it? */
static bool counts(const struct machine_device *device)
{
	if (device->kind == MACHINE_ROOT_PORT)
		return false;
	return device->kind != MACHINE_SWITCH_PORT || device->express.type != PCI_DOWNSTREAM_PORT;
}

/* Those above device, up to and not including top. */
static int count_up(const struct machine *machine, int device, int top)
{
	int bridge, count = 0;

	for (bridge = machine->devices[device].parent; bridge != top && bridge != MACHINE_NONE;
	     bridge = machine->devices[bridge].parent)
		count += counts(&machine->devices[bridge]);
	return count;
}

int route_switches(const struct machine *machine, int a, int b)
{
	int top;

	a = route_place(machine, a);
	b = route_place(machine, b);
	if (a == b || pci_address_is_slot(machine->devices[a].address, machine->devices[b].address))
		return 0;
	top = route_common(machine, a, b);
	if (top == MACHINE_NONE)
		return -1;
	/* where one of the two is itself the bridge at the top, the way ends in it */
	return (a == top ? 0 : count_up(machine, a, top)) +
	       (b == top ? 0 : count_up(machine, b, top)) + counts(&machine->devices[top]);
}

static int node_of(const struct machine *machine, const struct machine_device *device)
{
	if (device->numa >= 0)
		return device->numa;
	if (device->root >= 0 && machine->roots[device->root].numa >= 0)
		return machine->roots[device->root].numa;
	return machine->node_count == 1 ? machine->nodes[0].id : PCI_UNKNOWN;
}

enum route_class route_class(const struct machine *machine, int a, int b)
{
	const struct machine_device *from = &machine->devices[route_place(machine, a)];
	const struct machine_device *to = &machine->devices[route_place(machine, b)];
	int switches = route_switches(machine, a, b), from_node, to_node;

	if (switches >= 0)
		return switches <= 1 ? ROUTE_PIX : ROUTE_PXB;
	if (from->root == to->root && from->root != MACHINE_NONE)
		return ROUTE_PHB;
	from_node = node_of(machine, from);
	to_node = node_of(machine, to);
	if (from_node < 0 || to_node < 0)
		return ROUTE_UNKNOWN;
	return from_node == to_node ? ROUTE_NODE : ROUTE_SYS;
}
