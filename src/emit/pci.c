// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "emit/args_priv.h"

enum { EMIT_NAME = 16 };

/* The bus below a bridge has its name. */
static const char *bus(int bridge, char *ret)
{
	if (bridge == LAYOUT_NONE)
		(void)snprintf(ret, EMIT_NAME, "pcie.0");
	else
		(void)snprintf(ret, EMIT_NAME, "bridge%d", bridge);
	return ret;
}

static int check_bridge(const struct layout *layout, size_t index)
{
	const struct layout_bridge *bridge = &layout->bridges[index];
	const int parent = bridge->parent;
	enum layout_bridge_kind above;

	if (bridge->kind > LAYOUT_DOWNSTREAM || bridge->slot > 31 || bridge->function > 7 ||
	    parent < LAYOUT_NONE || parent >= (int)index || bridge->node < LAYOUT_NONE ||
	    bridge->node >= (int)layout->node_count)
		return -EINVAL;
	if (parent == LAYOUT_NONE)
		return bridge->kind == LAYOUT_PXB || bridge->kind == LAYOUT_ROOT_PORT ? 0 : -EINVAL;
	above = layout->bridges[parent].kind;
	if (bridge->kind == LAYOUT_PXB ||
	    (bridge->kind == LAYOUT_ROOT_PORT && above != LAYOUT_PXB) ||
	    (bridge->kind == LAYOUT_UPSTREAM && above != LAYOUT_ROOT_PORT &&
	     above != LAYOUT_DOWNSTREAM) ||
	    (bridge->kind == LAYOUT_DOWNSTREAM && above != LAYOUT_UPSTREAM))
		return -EINVAL;
	return 0;
}

int emit_pci_check(const struct layout *layout)
{
	if (layout->bridge_count > LAYOUT_BRIDGES_MAX || layout->passed_count > LAYOUT_PASSED_MAX ||
	    layout->node_count > LAYOUT_NODES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < layout->bridge_count; i++)
		if (check_bridge(layout, i) < 0)
			return -EINVAL;
	for (size_t i = 0; i < layout->passed_count; i++) {
		const struct layout_passed *device = &layout->passed[i];
		enum layout_bridge_kind kind;

		if (device->parent < 0 || device->parent >= (int)layout->bridge_count ||
		    device->function > 7 ||
		    (layout->tee != LAYOUT_TEE_NONE && (device->has_peers || device->has_rom)))
			return -EINVAL;
		kind = layout->bridges[device->parent].kind;
		if (kind != LAYOUT_ROOT_PORT && kind != LAYOUT_DOWNSTREAM)
			return -EINVAL;
	}
	return 0;
}

/*
 * hotplug=off: nothing is ever added, and firmware need not keep windows free for it. The speed and
 * width are what a root port claims: without them some readers take the link below for a slow one.
 */
static void emit_bridge(struct emit_args *args, const struct layout *layout, size_t index)
{
	const struct layout_bridge *bridge = &layout->bridges[index];
	char above[EMIT_NAME], node[32] = "", reserve[48] = "";

	(void)bus(bridge->parent, above);
	if (bridge->node != LAYOUT_NONE)
		(void)snprintf(node, sizeof(node), ",numa_node=%d", bridge->node);
	if (bridge->reserve)
		(void)snprintf(reserve, sizeof(reserve), ",pref64-reserve=%lluM",
			       (unsigned long long)(bridge->reserve >> 20));
	switch (bridge->kind) {
	case LAYOUT_PXB:
		EMIT(args, "-device", "pxb-pcie,id=bridge%zu,bus=%s,addr=%02x.%x,bus_nr=%u%s",
		     index, above, bridge->slot, bridge->function, bridge->bus, node);
		break;
	case LAYOUT_ROOT_PORT:
		EMIT(args, "-device",
		     "pcie-root-port,id=bridge%zu,bus=%s,addr=%02x.%x,multifunction=%s,chassis=%zu,"
		     "slot=%zu,hotplug=off,io-reserve=0,x-speed=32,x-width=16%s",
		     index, above, bridge->slot, bridge->function,
		     bridge->parent == LAYOUT_NONE ? "on" : "off", index + 1, index + 1, reserve);
		break;
	case LAYOUT_UPSTREAM:
		EMIT(args, "-device", "x3130-upstream,id=bridge%zu,bus=%s,addr=%02x.%x", index,
		     above, bridge->slot, bridge->function);
		break;
	case LAYOUT_DOWNSTREAM:
		EMIT(args, "-device",
		     "xio3130-downstream,id=bridge%zu,bus=%s,addr=%02x.%x,chassis=%zu,slot=%zu,"
		     "hotplug=off",
		     index, above, bridge->slot, bridge->function, index + 1, index + 1);
		break;
	}
}

static void emit_passed(struct emit_args *args, const struct layout *layout, size_t index)
{
	const struct layout_passed *device = &layout->passed[index];
	char host[PCI_ADDRESS_TEXT], above[EMIT_NAME], clique[32] = "";

	if (device->clique != LAYOUT_NONE)
		(void)snprintf(clique, sizeof(clique), ",x-nv-gpudirect-clique=%d", device->clique);
	EMIT(args, "-device", "vfio-pci,id=passed%zu,host=%s,bus=%s,addr=00.%x%s%s%s%s", index,
	     pci_address_format(device->host, host), bus(device->parent, above), device->function,
	     device->is_multifunction ? ",multifunction=on" : "",
	     device->has_rom ? "" : ",rombar=0", device->has_peers ? "" : ",x-no-mmap=on", clique);
}

void emit_pci(struct emit_args *args, const struct layout *layout)
{
	for (size_t i = 0; i < layout->bridge_count; i++)
		emit_bridge(args, layout, i);
	for (size_t i = 0; i < layout->passed_count; i++)
		emit_passed(args, layout, i);
}

void emit_nodes(struct emit_args *args, const struct layout *layout)
{
	for (size_t i = 0; i < layout->node_count; i++) {
		const struct layout_node *node = &layout->nodes[i];
		char cpus[48] = "";

		if (node->cpu_count)
			(void)snprintf(cpus, sizeof(cpus), ",cpus=%u-%u", node->cpu_first,
				       node->cpu_first + node->cpu_count - 1);
		EMIT(args, "-numa", "node,nodeid=%zu,memdev=node%zu%s", i, i, cpus);
	}
	for (size_t i = 0; i < layout->node_count; i++)
		EMIT(args, "-object",
		     "memory-backend-ram,id=node%zu,size=%uM,host-nodes=%d,policy=bind", i,
		     layout->nodes[i].memory_mib, layout->nodes[i].host);
}
