// SPDX-License-Identifier: Apache-2.0
#include "route/turn_priv.h"

#include "route/class.h"

bool route_is_endpoint(const struct machine *machine, int device)
{
	switch (machine->devices[device].kind) {
	case MACHINE_SWITCH_PORT:
	case MACHINE_ROOT_PORT:
	case MACHINE_BRIDGE:
		return false;
	default:
		return true;
	}
}

int8_t route_has_memory(const struct machine *machine, int device)
{
	const struct machine_device *it = &machine->devices[device];
	size_t i;

	for (i = 0; i < PCI_BAR_COUNT; i++)
		if (it->bars[i].index >= 0 && it->bars[i].is_io == PCI_NO)
			return PCI_YES;
	/* a VF's are its PF's to know */
	return it->bars_known == PCI_YES && it->is_virtfn == PCI_NO ? PCI_NO : PCI_UNKNOWN;
}

/* What is directly below bridge, or on the root bus, and above device or is it. */
static int step_below(const struct machine *machine, int device, int bridge)
{
	while (machine->devices[device].parent != bridge)
		device = machine->devices[device].parent;
	return device;
}

/* Functions of one device: of a slot; behind a link, where there is one device, all numbers. */
static bool is_one_device(const struct machine *machine, int a, int b, bool is_link)
{
	const struct machine_device *first = &machine->devices[a], *second = &machine->devices[b];

	if (first->is_virtfn == PCI_YES || second->is_virtfn == PCI_YES)
		return false;
	return first->address.domain == second->address.domain &&
	       first->address.bus == second->address.bus &&
	       (is_link || first->address.dev == second->address.dev);
}

/* At a bridge that both are below, by way of two of its children. */
static enum route_turn_kind kind_at(const struct machine *machine, int bridge, int child, int other)
{
	const struct pci_express *express = &machine->devices[bridge].express;

	if (express->present == PCI_NO)
		return ROUTE_TURN_BUS;
	if (express->present == PCI_UNKNOWN || express->type == PCI_UNKNOWN)
		return ROUTE_TURN_UNKNOWN;
	switch (express->type) {
	case PCI_EXPRESS_TO_PCI:
		return ROUTE_TURN_BUS;
	case PCI_UPSTREAM_PORT:
	case PCI_PCI_TO_EXPRESS: /* a switch too, seen from below */
		return ROUTE_TURN_SWITCH;
	case PCI_ROOT_PORT:
	case PCI_DOWNSTREAM_PORT:
		return is_one_device(machine, child, other, true) ? ROUTE_TURN_DEVICE
								  : ROUTE_TURN_UP;
	default:
		return ROUTE_TURN_UNKNOWN;
	}
}

struct route_turn route_turn(const struct machine *machine, int from, int to)
{
	struct route_turn turn = { .kind = ROUTE_TURN_NOWHERE, .port = MACHINE_NONE };
	int bridge = route_common(machine, from, to), child, other;

	turn.bridge = bridge;
	/* a bridge that is above the other is no peer of it */
	if (from == to || bridge == from || bridge == to)
		return turn;
	child = step_below(machine, from, bridge);
	other = step_below(machine, to, bridge);
	turn.port = child;
	if (bridge != MACHINE_NONE) {
		turn.kind = kind_at(machine, bridge, child, other);
		return turn;
	}
	if (is_one_device(machine, child, other, false))
		turn.kind = ROUTE_TURN_DEVICE;
	else if (machine->devices[from].root == machine->devices[to].root)
		turn.kind = ROUTE_TURN_ROOT;
	else
		turn.kind = ROUTE_TURN_ROOTS;
	return turn;
}

int8_t route_turn_redirects(const struct machine *machine, const struct route_turn *turn,
			    enum route_when when)
{
	int8_t redirect, egress;

	switch (turn->kind) {
	case ROUTE_TURN_BUS:
		return PCI_NO;
	case ROUTE_TURN_DEVICE:
	case ROUTE_TURN_SWITCH:
		/* an endpoint beside a switch's own ports has nobody above it that redirects */
		if (turn->kind == ROUTE_TURN_SWITCH && route_is_endpoint(machine, turn->port))
			return PCI_NO;
		redirect = route_acs(machine, turn->port, PCI_ACS_RR, when);
		egress = route_acs(machine, turn->port, PCI_ACS_EC, when);
		return egress == PCI_YES && redirect != PCI_UNKNOWN ? PCI_UNKNOWN : redirect;
	case ROUTE_TURN_UP:
	case ROUTE_TURN_ROOT:
	case ROUTE_TURN_ROOTS:
		return PCI_YES;
	case ROUTE_TURN_NOWHERE:
	case ROUTE_TURN_UNKNOWN:
		break;
	}
	return PCI_UNKNOWN;
}

int route_turn_above(const struct machine *machine, const struct route_turn *turn,
		     enum route_when when, bool is_to_root, int8_t *ret_forwards)
{
	int port;

	*ret_forwards = PCI_YES;
	for (port = turn->bridge; port != MACHINE_NONE; port = machine->devices[port].parent) {
		const struct pci_express *express = &machine->devices[port].express;
		int8_t forwards = PCI_YES;

		if (express->present == PCI_NO || express->type == PCI_EXPRESS_TO_PCI)
			forwards = PCI_NO;
		else if (express->present == PCI_UNKNOWN || express->type == PCI_UNKNOWN)
			forwards = PCI_UNKNOWN;
		else if (express->type == PCI_DOWNSTREAM_PORT ||
			 (express->type == PCI_ROOT_PORT && is_to_root))
			forwards = route_acs(machine, port, PCI_ACS_UF, when);
		if (forwards == PCI_YES)
			continue;
		*ret_forwards = forwards;
		return port;
	}
	return MACHINE_NONE;
}
