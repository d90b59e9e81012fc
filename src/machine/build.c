// SPDX-License-Identifier: Apache-2.0
#include "machine/build_priv.h"

#include <errno.h>
#include <string.h>

static int fail_memory(struct err *err)
{
	return err_num(err, -ENOMEM, "put a machine together");
}

static int fail_many(int max, const char *what, struct err *err)
{
	return err_coded(err, ERR_USAGE, -E2BIG, "put a machine together: more than %d %s", max,
			 what);
}

void machine_draft_init(struct machine_draft *draft)
{
	struct machine_device *device = &draft->device;
	struct pci_config unknown;
	int i;

	pci_config_init(&unknown);
	*draft = (struct machine_draft){
		.has_parent = PCI_UNKNOWN,
		.root_bus = PCI_UNKNOWN,
		.group_id = PCI_UNKNOWN,
	};
	*device = (struct machine_device){
		.parent = MACHINE_NONE,
		.root = MACHINE_NONE,
		.kind = MACHINE_OTHER,
		.vendor = PCI_UNKNOWN,
		.device = PCI_UNKNOWN,
		.subvendor = PCI_UNKNOWN,
		.subdevice = PCI_UNKNOWN,
		.class_code = PCI_UNKNOWN,
		.class_bits = PCI_UNKNOWN,
		.revision = PCI_UNKNOWN,
		.is_multifunction = PCI_UNKNOWN,
		.express = unknown.express,
		.bridge = unknown.bridge,
		.acs = unknown.acs,
		.ats = unknown.ats,
		.pasid = unknown.pasid,
		.p2p = unknown.p2p,
		.link_mbps = PCI_UNKNOWN,
		.rom_size = PCI_UNKNOWN,
		.bars_known = PCI_UNKNOWN,
		.is_virtfn = PCI_UNKNOWN,
		.physfn = MACHINE_NONE,
		.sriov = unknown.sriov,
		.driver_known = PCI_UNKNOWN,
		.is_boot_vga = PCI_UNKNOWN,
		.group = MACHINE_NONE,
		.numa = PCI_UNKNOWN,
	};
	for (i = 0; i < PCI_BAR_COUNT; i++)
		device->bars[i] = device->vf_bars[i] = (struct pci_bar){ .index = -1 };
}

int machine_build_start(struct arena *arena, const char *source, struct machine_build *ret)
{
	struct machine *machine = arena_alloc(arena, sizeof(*machine));

	if (!machine)
		return -ENOMEM;
	machine->source = source;
	machine->groups_known = PCI_UNKNOWN;
	machine->limits = (struct machine_limits){
		.has_iommu = PCI_UNKNOWN,
		.unsafe_interrupts = PCI_UNKNOWN,
		.phys_bits = PCI_UNKNOWN,
		.virt_bits = PCI_UNKNOWN,
		.has_svm = PCI_UNKNOWN,
		.has_vmx = PCI_UNKNOWN,
		.has_acs_override = PCI_UNKNOWN,
		.memory_bytes = PCI_UNKNOWN,
	};
	*ret = (struct machine_build){ .arena = arena, .machine = machine };
	return 0;
}

void machine_build_done(struct machine_build *build)
{
	free(build->drafts);
	free(build->nodes);
	free(build->cpus);
}

/* Room for one more of size; *cap counts them. */
static int grow(void *array, size_t count, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 64;
	void *at;

	if (count < *cap)
		return 0;
	memcpy(&at, array, sizeof(at));
	at = reallocarray(at, more, size);
	if (!at)
		return -ENOMEM;
	memcpy(array, &at, sizeof(at));
	*cap = more;
	return 0;
}

int machine_build_device(struct machine_build *build, const struct machine_draft *draft,
			 struct err *err)
{
	if (build->draft_count >= MACHINE_DEVICES_MAX)
		return fail_many(MACHINE_DEVICES_MAX, "PCI functions", err);
	if (grow(&build->drafts, build->draft_count, &build->draft_cap, sizeof(*draft)) < 0)
		return fail_memory(err);
	build->drafts[build->draft_count] = *draft;
	build->drafts[build->draft_count].order = build->draft_count;
	build->draft_count++;
	return 0;
}

int machine_build_node(struct machine_build *build, const struct machine_node_draft *node,
		       struct err *err)
{
	if (build->node_count >= MACHINE_NODES_MAX)
		return fail_many(MACHINE_NODES_MAX, "NUMA nodes", err);
	if (grow(&build->nodes, build->node_count, &build->node_cap, sizeof(*node)) < 0)
		return fail_memory(err);
	build->nodes[build->node_count++] = *node;
	return 0;
}

int machine_build_cpu(struct machine_build *build, const struct machine_cpu *cpu, struct err *err)
{
	if (build->cpu_count >= MACHINE_CPUS_MAX)
		return fail_many(MACHINE_CPUS_MAX, "CPUs", err);
	if (grow(&build->cpus, build->cpu_count, &build->cpu_cap, sizeof(*cpu)) < 0)
		return fail_memory(err);
	build->cpus[build->cpu_count++] = *cpu;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct machine_draft *x = a, *y = b;
	int r = pci_address_cmp(x->device.address, y->device.address);

	return r ? r : (x->order > y->order) - (x->order < y->order);
}

/* Sorts, drops what came twice, and moves the devices to where they stay. */
static int place_devices(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t i, kept = 0;

	if (build->draft_count)
		qsort(build->drafts, build->draft_count, sizeof(*build->drafts), by_address);
	for (i = 0; i < build->draft_count; i++)
		if (i + 1 == build->draft_count ||
		    pci_address_cmp(build->drafts[i].device.address,
				    build->drafts[i + 1].device.address) != 0)
			build->drafts[kept++] = build->drafts[i];
	build->draft_count = kept;
	machine->devices = arena_array(build->arena, kept, sizeof(*machine->devices));
	if (!machine->devices)
		return -ENOMEM;
	for (i = 0; i < kept; i++)
		machine->devices[i] = build->drafts[i].device;
	machine->device_count = kept;
	return 0;
}

/* A bridge by what is behind it. */
struct behind {
	uint64_t bus; /* and its domain above */
	int bridge;
};

static int by_behind(const void *a, const void *b)
{
	const struct behind *x = a, *y = b;

	if (x->bus != y->bus)
		return x->bus < y->bus ? -1 : 1;
	return (x->bridge > y->bridge) - (x->bridge < y->bridge);
}

static int list_bridges(struct machine_build *build, struct behind **ret, size_t *ret_count)
{
	const struct machine *machine = build->machine;
	struct behind *list = arena_array(build->arena, machine->device_count, sizeof(*list));
	size_t i, count = 0;

	if (!list)
		return -ENOMEM;
	for (i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];

		/* one that was never set up has 0 behind it; and no bus is before its own */
		if (device->bridge.present == PCI_YES &&
		    device->bridge.secondary > device->address.bus)
			list[count++] = (struct behind){
				(uint64_t)device->address.domain << 16 |
					(uint64_t)device->bridge.secondary,
				(int)i,
			};
	}
	if (count)
		qsort(list, count, sizeof(*list), by_behind);
	*ret = list;
	*ret_count = count;
	return 0;
}

/* The bridge whose secondary bus a function is on, by the numbers in the bridges. */
static int bridge_above(const struct behind *list, size_t count, struct pci_address address)
{
	uint64_t bus = (uint64_t)address.domain << 16 | address.bus;
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list[middle].bus < bus)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && list[low].bus == bus ? list[low].bridge : MACHINE_NONE;
}

static int set_parents(struct machine_build *build)
{
	struct machine *machine = build->machine;
	struct behind *bridges;
	size_t i, count;
	int r;

	r = list_bridges(build, &bridges, &count);
	if (r < 0)
		return r;

	for (i = 0; i < machine->device_count; i++) {
		const struct machine_draft *draft = &build->drafts[i];
		struct machine_device *device = &machine->devices[i];

		if (draft->has_parent == PCI_YES)
			device->parent = machine_find(machine, draft->parent);
		else if (draft->has_parent == PCI_UNKNOWN)
			device->parent = bridge_above(bridges, count, device->address);
		if (draft->is_vf) {
			device->is_virtfn = PCI_YES;
			device->physfn = machine_find(machine, draft->physfn);
		}
	}
	/* VFs may be on buses that no bridge names: they are where their PF is */
	for (i = 0; i < machine->device_count; i++) {
		struct machine_device *device = &machine->devices[i];

		if (device->physfn != MACHINE_NONE && device->parent == MACHINE_NONE &&
		    build->drafts[i].has_parent == PCI_UNKNOWN)
			device->parent = machine->devices[device->physfn].parent;
	}
	return 0;
}

static int set_depths(struct machine *machine, struct err *err)
{
	char text[PCI_ADDRESS_TEXT];
	size_t i;

	for (i = 0; i < machine->device_count; i++) {
		int at = machine->devices[i].parent, depth = 0;

		while (at != MACHINE_NONE && depth <= MACHINE_DEPTH_MAX) {
			at = machine->devices[at].parent;
			depth++;
		}
		if (depth > MACHINE_DEPTH_MAX)
			return err_coded(err, ERR_USAGE, -EINVAL,
					 "put a machine together: more than %d bridges above '%s'",
					 MACHINE_DEPTH_MAX,
					 pci_address_format(machine->devices[i].address, text));
		machine->devices[i].depth = depth;
	}
	return 0;
}

static int by_root(const void *a, const void *b)
{
	const struct machine_root *x = a, *y = b;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return (x->bus > y->bus) - (x->bus < y->bus);
}

/* What a device on a root bus says of its root. */
static struct machine_root root_of(const struct machine_build *build, size_t index)
{
	struct pci_address address = build->machine->devices[index].address;
	int32_t bus = build->drafts[index].root_bus;

	return (struct machine_root){ .domain = address.domain,
				      .bus = bus >= 0 ? (uint8_t)bus : address.bus,
				      .numa = PCI_UNKNOWN };
}

static int set_roots(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t i, count = 0, kept = 0;

	machine->roots = arena_array(build->arena, machine->device_count, sizeof(*machine->roots));
	if (!machine->roots)
		return -ENOMEM;
	for (i = 0; i < machine->device_count; i++)
		if (machine->devices[i].parent == MACHINE_NONE)
			machine->roots[count++] = root_of(build, i);
	if (count)
		qsort(machine->roots, count, sizeof(*machine->roots), by_root);
	for (i = 0; i < count; i++)
		if (!i || by_root(&machine->roots[i], &machine->roots[kept - 1]) != 0)
			machine->roots[kept++] = machine->roots[i];
	machine->root_count = kept;
	for (i = 0; i < machine->device_count; i++) {
		const struct machine_root *root;
		struct machine_root key;
		size_t top = i;

		while (machine->devices[top].parent != MACHINE_NONE)
			top = (size_t)machine->devices[top].parent;
		key = root_of(build, top);
		root = bsearch(&key, machine->roots, kept, sizeof(key), by_root);
		machine->devices[i].root = (int)(root - machine->roots);
	}
	return 0;
}

/*
 * Sets by what their members say: bucket_of(i) is the set that item i is in, or MACHINE_NONE. One
 * pool of indexes holds them all.
 */
typedef int bucket_fn(const struct machine *machine, size_t item);
typedef struct machine_set *set_fn(struct machine *machine, size_t bucket);

static int make_sets(struct machine_build *build, size_t items, bucket_fn *bucket_of,
		     size_t buckets, set_fn *set_of)
{
	struct machine *machine = build->machine;
	int *pool = arena_array(build->arena, items, sizeof(*pool));
	size_t *fill = arena_array(build->arena, buckets, sizeof(*fill));
	size_t i, at = 0;

	if (!pool || !fill)
		return -ENOMEM;
	for (i = 0; i < items; i++)
		if (bucket_of(machine, i) != MACHINE_NONE)
			set_of(machine, (size_t)bucket_of(machine, i))->count++;
	for (i = 0; i < buckets; i++) {
		set_of(machine, i)->at = pool + at;
		fill[i] = at;
		at += set_of(machine, i)->count;
	}
	for (i = 0; i < items; i++)
		if (bucket_of(machine, i) != MACHINE_NONE)
			pool[fill[bucket_of(machine, i)]++] = (int)i;
	return 0;
}

static int parent_of(const struct machine *machine, size_t item)
{
	return machine->devices[item].parent;
}

static struct machine_set *children_of(struct machine *machine, size_t bucket)
{
	return &machine->devices[bucket].children;
}

static int root_bus_of(const struct machine *machine, size_t item)
{
	const struct machine_device *device = &machine->devices[item];

	return device->parent == MACHINE_NONE ? device->root : MACHINE_NONE;
}

static struct machine_set *children_of_root(struct machine *machine, size_t bucket)
{
	return &machine->roots[bucket].children;
}

static int physfn_of(const struct machine *machine, size_t item)
{
	return machine->devices[item].physfn;
}

static struct machine_set *virtfns_of(struct machine *machine, size_t bucket)
{
	return &machine->devices[bucket].virtfns;
}

static int group_of(const struct machine *machine, size_t item)
{
	return machine->devices[item].group;
}

static struct machine_set *members_of(struct machine *machine, size_t bucket)
{
	return &machine->groups[bucket].members;
}

static int node_of(const struct machine *machine, size_t item)
{
	return machine->cpus[item].node;
}

static struct machine_set *cpus_of(struct machine *machine, size_t bucket)
{
	return &machine->nodes[bucket].cpus;
}

static int by_id(const void *a, const void *b)
{
	const struct machine_group *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int set_groups(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t i, count = 0, kept = 0;

	machine->groups =
		arena_array(build->arena, machine->device_count, sizeof(*machine->groups));
	if (!machine->groups)
		return -ENOMEM;
	for (i = 0; i < machine->device_count; i++)
		if (build->drafts[i].group_id >= 0)
			machine->groups[count++].id = build->drafts[i].group_id;
	if (count)
		qsort(machine->groups, count, sizeof(*machine->groups), by_id);
	for (i = 0; i < count; i++)
		if (!i || machine->groups[i].id != machine->groups[kept - 1].id)
			machine->groups[kept++] = machine->groups[i];
	machine->group_count = kept;
	for (i = 0; i < machine->device_count; i++) {
		struct machine_group key = { .id = build->drafts[i].group_id }, *group = NULL;

		if (key.id >= 0)
			group = bsearch(&key, machine->groups, kept, sizeof(key), by_id);
		if (group)
			machine->devices[i].group = (int)(group - machine->groups);
	}
	return 0;
}

/* A root's node is what all that is on it say; what says nothing has no voice. */
static void set_root_nodes(struct machine *machine)
{
	enum { OPEN = -2 };
	size_t i;

	for (i = 0; i < machine->root_count; i++)
		machine->roots[i].numa = OPEN;
	for (i = 0; i < machine->device_count; i++) {
		struct machine_root *root = &machine->roots[machine->devices[i].root];
		int numa = machine->devices[i].numa;

		if (numa >= 0 && root->numa != numa)
			root->numa = root->numa == OPEN ? numa : PCI_UNKNOWN;
	}
	for (i = 0; i < machine->root_count; i++)
		if (machine->roots[i].numa == OPEN)
			machine->roots[i].numa = PCI_UNKNOWN;
}

static int make_device_sets(struct machine_build *build)
{
	struct machine *machine = build->machine;
	size_t count = machine->device_count;
	int r;

	r = make_sets(build, count, parent_of, count, children_of);
	if (r >= 0)
		r = make_sets(build, count, root_bus_of, machine->root_count, children_of_root);
	if (r >= 0)
		r = make_sets(build, count, physfn_of, count, virtfns_of);
	if (r >= 0)
		r = make_sets(build, count, group_of, machine->group_count, members_of);
	if (r >= 0)
		r = make_sets(build, machine->cpu_count, node_of, machine->node_count, cpus_of);
	return r;
}

int machine_build_finish(struct machine_build *build, struct machine **ret, struct err *err)
{
	int r;

	r = place_devices(build);
	if (r >= 0)
		r = set_parents(build);
	if (r < 0)
		return fail_memory(err);
	r = set_depths(build->machine, err);
	if (r < 0)
		return r;
	r = set_roots(build);
	if (r >= 0)
		r = set_groups(build);
	if (r >= 0)
		r = machine_cpus_place(build);
	if (r >= 0)
		r = make_device_sets(build);
	if (r < 0)
		return fail_memory(err);
	set_root_nodes(build->machine);
	machine_kind_set(build->machine);
	*ret = build->machine;
	return 0;
}
