// SPDX-License-Identifier: Apache-2.0
#include "route/reach.h"

#include <errno.h>
#include <stdio.h>

#include "route/turn_priv.h"

struct names {
	char from[PCI_ADDRESS_TEXT], to[PCI_ADDRESS_TEXT];
};

static void address_of(const struct machine *machine, int device, char *ret)
{
	(void)pci_address_format(machine->devices[device].address, ret);
}

/* "which has no ACS", or which bit is not in effect. */
static const char *fault(const struct machine *machine, int port, const char *bit)
{
	const struct pci_acs *acs = &machine->devices[port].acs;

	if (acs->present == PCI_NO)
		return "which has no ACS";
	return bit;
}

/* The first place where it may turn round. */
static void tell_turn(const struct machine *machine, const struct route_turn *turn,
		      const struct names *names, struct route_reach *ret)
{
	const char *verb = ret->direct == PCI_YES ? "reaches" : "may reach";
	char port[PCI_ADDRESS_TEXT] = "", bridge[PCI_ADDRESS_TEXT] = "";

	if (turn->port != MACHINE_NONE)
		address_of(machine, turn->port, port);
	if (turn->bridge != MACHINE_NONE)
		address_of(machine, turn->bridge, bridge);
	switch (turn->kind) {
	case ROUTE_TURN_BUS:
		(void)snprintf(ret->text, sizeof(ret->text),
			       "%s %s %s on the conventional bus behind %s", names->from, verb,
			       names->to, bridge);
		break;
	case ROUTE_TURN_DEVICE:
		(void)snprintf(ret->text, sizeof(ret->text),
			       "%s %s %s inside the device of function %s, %s", names->from, verb,
			       names->to, port,
			       ret->direct == PCI_YES
				       ? fault(machine, turn->port,
					       "whose ACS does not redirect requests")
				       : "whose ACS is not known");
		break;
	case ROUTE_TURN_SWITCH:
		(void)snprintf(ret->text, sizeof(ret->text), "%s %s %s below switch port %s, %s",
			       names->from, verb, names->to, port,
			       ret->direct == PCI_YES
				       ? fault(machine, turn->port,
					       "whose ACS does not redirect requests")
				       : "whose ACS is not known, or controls egress by a table");
		break;
	case ROUTE_TURN_UNKNOWN:
		(void)snprintf(ret->text, sizeof(ret->text),
			       "%s %s %s below %s, of which it is not known what it is",
			       names->from, verb, names->to, bridge);
		break;
	case ROUTE_TURN_NOWHERE:
	case ROUTE_TURN_UP:
	case ROUTE_TURN_ROOT:
	case ROUTE_TURN_ROOTS:
		break;
	}
}

/* Sent upwards, it comes to a port that may send it down again. */
static void tell_above(const struct machine *machine, int port, const struct names *names,
		       struct route_reach *ret)
{
	char name[PCI_ADDRESS_TEXT];

	address_of(machine, port, name);
	(void)snprintf(ret->text, sizeof(ret->text), "%s %s %s by way of port %s, %s", names->from,
		       ret->direct == PCI_YES ? "reaches" : "may reach", names->to, name,
		       ret->direct == PCI_YES
			       ? fault(machine, port, "whose ACS does not forward upstream")
			       : "whose ACS is not known");
}

void route_reach(const struct machine *machine, int from, int to, struct route_reach *ret)
{
	struct route_turn turn = route_turn(machine, from, to);
	struct names names;
	int8_t redirects, forwards;
	int port;

	*ret = (struct route_reach){ .direct = PCI_NO, .via = MACHINE_NONE };
	address_of(machine, from, names.from);
	address_of(machine, to, names.to);
	if (turn.kind == ROUTE_TURN_NOWHERE || !route_is_endpoint(machine, from) ||
	    !route_is_endpoint(machine, to) || route_has_memory(machine, to) == PCI_NO)
		return;
	redirects = route_turn_redirects(machine, &turn, ROUTE_WITH_IOMMU);
	if (redirects == PCI_NO) {
		ret->direct = PCI_YES;
		ret->via = turn.bridge;
		tell_turn(machine, &turn, &names, ret);
		return;
	}
	/* whatever happens there: what does go up may turn round higher */
	port = route_turn_above(machine, &turn, ROUTE_WITH_IOMMU, true, &forwards);
	if (forwards == PCI_NO && redirects == PCI_YES) {
		ret->direct = PCI_YES;
		ret->via = port;
		tell_above(machine, port, &names, ret);
	} else if (redirects == PCI_UNKNOWN) {
		ret->direct = PCI_UNKNOWN;
		ret->via = turn.bridge;
		tell_turn(machine, &turn, &names, ret);
	} else if (forwards == PCI_UNKNOWN) {
		ret->direct = PCI_UNKNOWN;
		ret->via = port;
		tell_above(machine, port, &names, ret);
	}
}

/* Of what was found last and what is found now: a certainty before a doubt, else the first. */
static bool is_better(const struct route_reach *now, const struct route_reach *found)
{
	if (found->direct == PCI_YES)
		return false;
	return now->direct == PCI_YES || (now->direct == PCI_UNKNOWN && found->direct == PCI_NO);
}

/* False if the device has nothing to do with the set. */
static bool find_contact(const struct machine *machine, int device, const struct machine_set *set,
			 struct route_contact *ret)
{
	struct route_reach now;
	int pass;
	size_t i;

	*ret = (struct route_contact){ .device = device, .reach.direct = PCI_NO };
	for (i = 0; i < set->count && ret->reach.direct != PCI_YES; i++)
		for (pass = 0; pass < 2; pass++) {
			int member = set->at[i];
			int from = pass == 0 ? device : member, to = pass == 0 ? member : device;

			route_reach(machine, from, to, &now);
			if (!is_better(&now, &ret->reach))
				continue;
			ret->member = member;
			ret->is_inbound = pass == 0 ? PCI_YES : PCI_NO;
			ret->reach = now;
		}
	return ret->reach.direct != PCI_NO;
}

int route_reach_set(struct arena *arena, const struct machine *machine, const int *devices,
		    size_t count, struct route_contacts *ret)
{
	const struct machine_set set = { .at = devices, .count = count };
	bool *is_inside = arena_array(arena, machine->device_count + 1, sizeof(*is_inside));
	struct route_contacts contacts = { 0 };
	struct route_contact one;
	size_t i, room = 0;

	if (!is_inside)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		is_inside[devices[i]] = true;
	for (i = 0; i < machine->device_count; i++) {
		if (is_inside[i] || !find_contact(machine, (int)i, &set, &one))
			continue;
		if (contacts.count == room) {
			struct route_contact *more;
			size_t j;

			room = room == 0 ? 8 : 2 * room;
			more = arena_array(arena, room, sizeof(*more));
			if (!more)
				return -ENOMEM;
			for (j = 0; j < contacts.count; j++)
				more[j] = contacts.at[j];
			contacts.at = more;
		}
		contacts.at[contacts.count++] = one;
	}
	*ret = contacts;
	return 0;
}
