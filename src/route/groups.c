// SPDX-License-Identifier: Apache-2.0
#include "route/groups.h"

#include <errno.h>
#include <string.h>

#include "route/acs.h"
#include "route/quirk_priv.h"

enum {
	FUNCTIONS_MAX = 256,  /* on a bus */
	VMD_DOMAIN = 0x10000, /* and above: not a host bridge's own domain */
};

/* One answer: with what is unknown taken as not isolated, or as isolated. */
struct grouper {
	const struct machine *machine;
	const int8_t *isolated; /* by device: route_acs_isolated() */
	bool is_pessimist;
	int *of; /* by device; MACHINE_NONE: not yet */
	int count;
};

static bool settle(const struct grouper *grouper, int8_t value, bool if_unknown)
{
	return value == PCI_UNKNOWN ? if_unknown == grouper->is_pessimist : value == PCI_YES;
}

static bool is_isolated(const struct grouper *grouper, int device)
{
	return settle(grouper, grouper->isolated[device], false);
}

static bool is_path_isolated(const struct grouper *grouper, int bridge)
{
	for (; bridge != MACHINE_NONE; bridge = grouper->machine->devices[bridge].parent)
		if (!is_isolated(grouper, bridge))
			return false;
	return true;
}

/* Do the requests from below a bridge carry an ID that is not their sender's? */
static bool is_aliasing(const struct grouper *grouper, int bridge)
{
	const struct pci_express *express = &grouper->machine->devices[bridge].express;

	if (express->present == PCI_NO)
		return true;
	if (express->present == PCI_UNKNOWN || express->type == PCI_UNKNOWN)
		return grouper->is_pessimist;
	return express->type == PCI_EXPRESS_TO_PCI || express->type == PCI_PCI_TO_EXPRESS;
}

/*
 * Devices behind Intel's VMD have a domain of their own and send with the ID of the endpoint that
 * they are behind, which is above their root bus in sysfs: ".../0000:00:0e.0/pci10000:e0/...".
 */
static int sender_of(const struct machine *machine, int device)
{
	const char *sysfs = machine->devices[device].sysfs, *end, *at;
	struct pci_address address;
	int endpoint;

	if (machine->devices[device].address.domain < VMD_DOMAIN || !sysfs)
		return device;
	end = strstr(sysfs, "/pci1");
	if (!end || end == sysfs)
		return device;
	for (at = end; at > sysfs && at[-1] != '/'; at--)
		;
	if (pci_address_parse((struct bytes){ (const uint8_t *)at, (size_t)(end - at) }, &address) <
	    0)
		return device;
	endpoint = machine_find(machine, address);
	return endpoint == MACHINE_NONE ? device : endpoint;
}

static bool is_on_bus_of(const struct machine *machine, int a, int b)
{
	struct pci_address first = machine->devices[a].address;
	struct pci_address second = machine->devices[b].address;

	return first.domain == second.domain && first.bus == second.bus;
}

/* Functions of one bus that have to be looked at, each once. */
struct todo {
	int at[FUNCTIONS_MAX];
	int count;
};

static void todo_add(struct todo *todo, int device)
{
	int i;

	for (i = 0; i < todo->count; i++)
		if (todo->at[i] == device)
			return;
	if (todo->count < FUNCTIONS_MAX)
		todo->at[todo->count++] = device;
}

/* The first device of a bus; devices are in the order of addresses, and so a bus is in one piece. */
static int bus_start(const struct machine *machine, int device)
{
	while (device > 0 && is_on_bus_of(machine, device - 1, device))
		device--;
	return device;
}

/* Functions of its slot that are no more isolated than it is. */
static void add_functions(const struct grouper *grouper, int device, struct todo *todo)
{
	const struct machine *machine = grouper->machine;
	int i;

	if (!settle(grouper, route_multifunction(machine, device), true) ||
	    is_isolated(grouper, device))
		return;
	for (i = bus_start(machine, device);
	     i < (int)machine->device_count && is_on_bus_of(machine, i, device); i++)
		if (i != device &&
		    machine->devices[i].address.dev == machine->devices[device].address.dev &&
		    !is_isolated(grouper, i))
			todo_add(todo, i);
}

/*
 * A group among those that share an ID with the device, or a slot with it or with one of them;
 * MACHINE_NONE. The kernel goes deep first; which of several groups it then takes depends on that,
 * but two groups that can be reached so would be one already.
 */
static int group_beside(const struct grouper *grouper, int device)
{
	const struct machine *machine = grouper->machine;
	struct todo todo = { .at = { device }, .count = 1 };
	int done, i;

	for (done = 0; done < todo.count; done++) {
		int one = todo.at[done];

		if (grouper->of[one] != MACHINE_NONE)
			return grouper->of[one];
		for (i = bus_start(machine, one);
		     i < (int)machine->device_count && is_on_bus_of(machine, i, one); i++)
			if (i != one && settle(grouper, route_quirk_alias(machine, one, i), true)) {
				todo_add(&todo, i);
				add_functions(grouper, i, &todo);
			}
		if (done == 0)
			add_functions(grouper, device, &todo);
	}
	return MACHINE_NONE;
}

/* The group that is there for the device already, or MACHINE_NONE. */
static int group_for(const struct grouper *grouper, int device)
{
	const struct machine *machine = grouper->machine;
	int last = sender_of(machine, device), bridge;

	if (grouper->of[last] != MACHINE_NONE)
		return grouper->of[last];
	for (bridge = machine->devices[last].parent; bridge != MACHINE_NONE;
	     bridge = machine->devices[bridge].parent) {
		if (route_quirk_is_iommu_above(machine, bridge))
			break;
		if (!is_aliasing(grouper, bridge))
			continue;
		last = bridge;
		if (grouper->of[last] != MACHINE_NONE)
			return grouper->of[last];
	}
	for (bridge = machine->devices[last].parent; bridge != MACHINE_NONE;
	     bridge = machine->devices[bridge].parent) {
		if (is_path_isolated(grouper, bridge))
			break;
		last = bridge;
		if (grouper->of[last] != MACHINE_NONE)
			return grouper->of[last];
	}
	return group_beside(grouper, last);
}

static void place(struct grouper *grouper, int device)
{
	int group = group_for(grouper, device);

	grouper->of[device] = group == MACHINE_NONE ? grouper->count++ : group;
}

/* As devices are found: bridges before what is behind them, on a bus by number; VFs come later. */
static void place_all(struct grouper *grouper)
{
	const struct machine *machine = grouper->machine;
	int depth, pass;
	size_t i;

	for (pass = 0; pass < 2; pass++)
		for (depth = 0; depth <= MACHINE_DEPTH_MAX; depth++)
			for (i = 0; i < machine->device_count; i++)
				if (machine->devices[i].depth == depth &&
				    (machine->devices[i].is_virtfn == PCI_YES) == pass)
					place(grouper, (int)i);
}

static int answer(struct arena *arena, struct grouper *grouper)
{
	size_t i, count = grouper->machine->device_count;

	grouper->of = arena_array(arena, count + 1, sizeof(*grouper->of));
	if (!grouper->of)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		grouper->of[i] = MACHINE_NONE;
	place_all(grouper);
	return 0;
}

/*
 * Has nothing at all been read of its configuration space? Then other functions of its slot may
 * well be there too, unread: what drew up the tree was not the kernel.
 */
static bool is_unseen(const struct machine_device *device)
{
	return (device->express.present == PCI_UNKNOWN || device->is_port_deduced) &&
	       device->is_multifunction == PCI_UNKNOWN;
}

/* Behind a VMD, perhaps, and the capture does not say behind which. */
static bool is_adrift(const struct machine_device *device)
{
	return device->address.domain >= VMD_DOMAIN && !device->sysfs;
}

static int collect(struct arena *arena, const struct grouper *from, struct route_groups *groups)
{
	size_t i, n = from->machine->device_count;
	int *members = arena_array(arena, n + 1, sizeof(*members));
	size_t *fill = arena_array(arena, (size_t)from->count + 1, sizeof(*fill));
	size_t start = 0, size;

	groups->count = (size_t)from->count;
	groups->of = from->of;
	groups->groups = arena_array(arena, groups->count + 1, sizeof(*groups->groups));
	if (!members || !fill || !groups->groups)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		groups->groups[from->of[i]].members.count++;
	for (i = 0; i < groups->count; i++) {
		size = groups->groups[i].members.count;
		groups->groups[i].members.at = members + start;
		fill[i] = start;
		start += size;
	}
	for (i = 0; i < n; i++)
		members[fill[from->of[i]]++] = (int)i;
	return 0;
}

/* Numbers by first member, so that nothing of the order of placing shows. */
static int renumber(struct arena *arena, struct grouper *grouper)
{
	int *number = arena_array(arena, (size_t)grouper->count + 1, sizeof(*number)), next = 0;
	size_t i;

	if (!number)
		return -ENOMEM;
	for (i = 0; i < grouper->machine->device_count; i++) {
		int *of = &grouper->of[i];

		if (number[*of] == 0)
			number[*of] = ++next;
		*of = number[*of] - 1;
	}
	return 0;
}

static bool is_certain(const struct machine *machine, const struct machine_set *members,
		       const struct machine_set *other)
{
	size_t i;

	if (members->count != other->count)
		return false;
	for (i = 0; i < members->count; i++) {
		const struct machine_device *member = &machine->devices[members->at[i]];

		if (members->at[i] != other->at[i] || is_unseen(member) || is_adrift(member))
			return false;
	}
	return true;
}

static void judge(const struct machine *machine, const struct route_groups *optimist,
		  struct route_groups *groups)
{
	size_t i;

	for (i = 0; i < groups->count; i++) {
		const struct machine_set *members = &groups->groups[i].members;
		int first = members->at[0];

		groups->groups[i].is_certain = is_certain(
			machine, members, &optimist->groups[optimist->of[first]].members);
	}
}

/* One of the two answers. */
static int make(struct arena *arena, struct grouper *grouper, struct route_groups *ret)
{
	int r;

	r = answer(arena, grouper);
	if (r == 0)
		r = renumber(arena, grouper);
	return r == 0 ? collect(arena, grouper, ret) : r;
}

int route_groups(struct arena *arena, const struct machine *machine, struct route_groups *ret)
{
	int8_t *isolated = arena_array(arena, machine->device_count + 1, sizeof(*isolated));
	struct grouper optimist = { .machine = machine, .isolated = isolated };
	struct grouper pessimist = { .machine = machine,
				     .isolated = isolated,
				     .is_pessimist = true };
	struct route_groups small = { 0 }, groups = { 0 };
	size_t i;
	int r;

	if (!isolated)
		return -ENOMEM;
	for (i = 0; i < machine->device_count; i++)
		isolated[i] = route_acs_isolated(machine, (int)i);
	r = make(arena, &optimist, &small);
	if (r == 0)
		r = make(arena, &pessimist, &groups);
	if (r < 0)
		return r;
	judge(machine, &small, &groups);
	*ret = groups;
	return 0;
}

int8_t route_groups_differ(const struct machine *machine, const struct route_groups *groups,
			   int device)
{
	const struct route_group *computed = &groups->groups[groups->of[device]];
	const struct machine_set *kernel;
	int group = machine->devices[device].group;
	size_t i, same = 0, grouped = 0;

	if (group == MACHINE_NONE || !computed->is_certain)
		return PCI_UNKNOWN;
	kernel = &machine->groups[group].members;
	for (i = 0; i < computed->members.count; i++) {
		int of = machine->devices[computed->members.at[i]].group;

		grouped += of != MACHINE_NONE;
		same += of == group;
	}
	return grouped == same && same == kernel->count ? PCI_NO : PCI_YES;
}
