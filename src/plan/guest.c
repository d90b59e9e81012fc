// SPDX-License-Identifier: Apache-2.0
#include "plan/guest.h"

#include <errno.h>
#include <string.h>

/* A bridge of the layout, or a passed device, with what orders it. */
struct guest_item {
	struct pci_address address;
	int bridge; /* of layout.bridges; LAYOUT_NONE: */
	int passed; /* of layout.passed */
};

/* The root bus that is above a bridge: a PXB's, or 0. */
static int root_bus(const struct layout *layout, int bridge)
{
	while (bridge != LAYOUT_NONE && layout->bridges[bridge].kind != LAYOUT_PXB)
		bridge = layout->bridges[bridge].parent;
	return layout_bus(layout, bridge);
}

static void collect(const struct layout *layout, struct guest_item *items, size_t *ret_count)
{
	size_t count = 0;

	for (size_t i = 0; i < layout->bridge_count; i++) {
		const struct layout_bridge *bridge = &layout->bridges[i];

		if (bridge->kind == LAYOUT_PXB)
			continue; /* a root bus, and nothing on one */
		items[count++] = (struct guest_item){
			.address = { .bus = layout_bus(layout, bridge->parent),
				     .dev = bridge->slot,
				     .fn = bridge->function },
			.bridge = (int)i,
		};
	}
	for (size_t i = 0; i < layout->passed_count; i++)
		items[count++] = (struct guest_item){
			.address = layout_guest_address(layout, i),
			.bridge = LAYOUT_NONE,
			.passed = (int)i,
		};
	for (size_t i = 1; i < count; i++)
		for (size_t j = i;
		     j > 0 && pci_address_cmp(items[j - 1].address, items[j].address) > 0; j--) {
			struct guest_item other = items[j];

			items[j] = items[j - 1];
			items[j - 1] = other;
		}
	*ret_count = count;
}

static int find_root(const struct machine *machine, int bus)
{
	for (size_t i = 0; i < machine->root_count; i++)
		if (machine->roots[i].bus == bus)
			return (int)i;
	return MACHINE_NONE;
}

static int make_roots(struct arena *arena, const struct layout *layout, struct machine *guest)
{
	guest->roots = arena_array(arena, layout->bridge_count + 1, sizeof(*guest->roots));
	if (!guest->roots)
		return -ENOMEM;
	guest->roots[guest->root_count++] = (struct machine_root){ .numa = PCI_UNKNOWN };
	for (size_t i = 0; i < layout->bridge_count; i++)
		if (layout->bridges[i].kind == LAYOUT_PXB)
			guest->roots[guest->root_count++] = (struct machine_root){
				.bus = layout->bridges[i].bus,
				.numa = layout->bridges[i].node,
			};
	return 0;
}

/* Without NUMA the guest is one node, which it does not number. */
static int make_nodes(struct arena *arena, const struct layout *layout, struct machine *guest)
{
	guest->node_count = layout->node_count ? layout->node_count : 1;
	guest->nodes = arena_array(arena, guest->node_count, sizeof(*guest->nodes));
	if (!guest->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < guest->node_count; i++)
		guest->nodes[i] = (struct machine_node){
			.id = (int)i,
			.memory_bytes = (int64_t)(layout->node_count ? layout->nodes[i].memory_mib
								     : layout->memory_mib)
					<< 20,
		};
	return 0;
}

static void make_bridge(const struct layout *layout, int index, struct machine_device *ret)
{
	static const struct {
		enum machine_kind kind;
		int8_t type;
		int32_t vendor, device;
	} kinds[] = {
		[LAYOUT_ROOT_PORT] = { MACHINE_ROOT_PORT, PCI_ROOT_PORT, 0x1b36, 0x000c },
		[LAYOUT_UPSTREAM] = { MACHINE_SWITCH_PORT, PCI_UPSTREAM_PORT, 0x104c, 0x8232 },
		[LAYOUT_DOWNSTREAM] = { MACHINE_SWITCH_PORT, PCI_DOWNSTREAM_PORT, 0x104c, 0x8233 },
	};
	const enum layout_bridge_kind kind = layout->bridges[index].kind;

	ret->kind = kinds[kind].kind;
	ret->vendor = kinds[kind].vendor;
	ret->device = kinds[kind].device;
	for (size_t i = 0; i < PCI_BAR_COUNT; i++)
		ret->bars[i].index = ret->vf_bars[i].index = -1;
	ret->physfn = MACHINE_NONE;
	ret->class_code = 0x060400;
	ret->class_bits = 24;
	ret->bridge.present = PCI_YES;
	ret->bridge.secondary = layout->bridges[index].bus;
	ret->express.present = PCI_YES;
	ret->express.type = kinds[kind].type;
}

int plan_guest(struct arena *arena, const struct machine *host, const struct plan_choice *choice,
	       const struct layout *layout, struct machine *ret, int *ret_passed)
{
	struct guest_item items[LAYOUT_BRIDGES_MAX + LAYOUT_PASSED_MAX] = { 0 };
	int of_bridge[LAYOUT_BRIDGES_MAX];
	struct machine guest = { .source = "layout", .groups_known = PCI_UNKNOWN };

	collect(layout, items, &guest.device_count);
	guest.devices = arena_array(arena, guest.device_count, sizeof(*guest.devices));
	if (!guest.devices || make_roots(arena, layout, &guest) < 0 ||
	    make_nodes(arena, layout, &guest) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < guest.device_count; i++)
		if (items[i].bridge != LAYOUT_NONE)
			of_bridge[items[i].bridge] = (int)i;
	for (size_t i = 0; i < guest.device_count; i++) {
		const int above = items[i].bridge != LAYOUT_NONE
					  ? layout->bridges[items[i].bridge].parent
					  : layout->passed[items[i].passed].parent;
		struct machine_device *device = &guest.devices[i];

		if (items[i].bridge != LAYOUT_NONE) {
			make_bridge(layout, items[i].bridge, device);
		} else {
			*device = host->devices[choice->given[items[i].passed].device];
			ret_passed[items[i].passed] = (int)i;
		}
		device->address = items[i].address;
		device->parent = above == LAYOUT_NONE || layout->bridges[above].kind == LAYOUT_PXB
					 ? MACHINE_NONE
					 : of_bridge[above];
		device->root = find_root(&guest, root_bus(layout, above));
		device->depth = 0;
		for (int at = device->parent; at != MACHINE_NONE; at = guest.devices[at].parent)
			device->depth++;
		device->is_virtfn = PCI_NO;
		device->physfn = MACHINE_NONE;
		device->virtfns = device->children = (struct machine_set){ 0 };
		device->group = MACHINE_NONE;
		device->numa = guest.roots[device->root].numa;
	}
	*ret = guest;
	return 0;
}
