/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - machines made by hand, a row for each function, parents before children:
 *
 *	static const struct tree_row rows[] = {
 *		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
 *		{ .at = "01:00.0", .below = "00:01.0", .kind = MACHINE_GPU },
 *	};
 *	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
 */
#ifndef TESTS_ROUTE_TREE_H
#define TESTS_ROUTE_TREE_H

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "machine/machine.h"

enum {
	TREE_PCI = 100,	   /* .type: not PCI Express */
	TREE_UNREAD = 101, /* .type: no capability was read */
	TREE_ACS_KNOWN = 1 << 16,
	NO_ACS = 0,
	UNREAD_ACS = -1,
	REQUIRED_ACS = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF,
	ALL_ACS = REQUIRED_ACS | PCI_ACS_TB | PCI_ACS_DT | TREE_ACS_KNOWN,
	WIRED_ACS = TREE_ACS_KNOWN, /* the capability, with nothing to control */
};

struct tree_row {
	const char *at;
	const char *vf_of;
	const char *below;	/* NULL: on a root bus */
	int type;		/* enum pci_express_type, or TREE_ */
	enum machine_kind kind; /* of an endpoint; 0 is MACHINE_GPU */
	int acs;		/* NO_ACS, UNREAD_ACS, or the capability with TREE_ACS_KNOWN */
	int ctrl;		/* as it stands */
	int ats;		/* 0: none, 1: off, 2: on */
	int vendor, device;
	int mf; /* the header's mark */
	int numa;
	bool no_numa;
	bool no_bars;
};

static inline struct pci_address tree_address(const char *text)
{
	struct pci_address address = { 0 };

	if (pci_address_parse_string(text, &address) < 0)
		abort();
	return address;
}

static inline int tree_find(const struct machine *machine, const char *text)
{
	struct pci_address address = tree_address(text);
	size_t i;

	for (i = 0; i < machine->device_count; i++)
		if (pci_address_cmp(machine->devices[i].address, address) == 0)
			return (int)i;
	abort();
}

static inline int tree_cmp(const void *a, const void *b)
{
	const struct machine_device *first = a, *second = b;

	return pci_address_cmp(first->address, second->address);
}

static inline void tree_fill(const struct tree_row *row, struct machine_device *device)
{
	struct pci_config unknown;
	bool is_port = row->type == PCI_ROOT_PORT || row->type == PCI_UPSTREAM_PORT ||
		       row->type == PCI_DOWNSTREAM_PORT;
	bool is_read = row->type != TREE_UNREAD;
	int i;

	pci_config_init(&unknown);
	memset(device, 0, sizeof(*device));
	device->address = tree_address(row->at);
	device->express = unknown.express;
	device->express.present = (int8_t)(!is_read ? PCI_UNKNOWN : row->type != TREE_PCI);
	device->express.type = (int8_t)(is_read && row->type != TREE_PCI ? row->type : PCI_UNKNOWN);
	device->acs = unknown.acs;
	device->acs.present = (int8_t)(row->acs < 0 || !is_read ? PCI_UNKNOWN : row->acs != NO_ACS);
	if (device->acs.present == PCI_YES) {
		device->acs.cap = row->acs & 0x7f;
		device->acs.ctrl = row->ctrl;
	}
	device->ats.present = (int8_t)(row->ats > 0);
	device->ats.enabled = (int8_t)(row->ats > 0 ? row->ats == 2 : PCI_UNKNOWN);
	device->kind = is_port && row->type == PCI_ROOT_PORT ? MACHINE_ROOT_PORT
		       : is_port			     ? MACHINE_SWITCH_PORT
		       : row->type == PCI_EXPRESS_TO_PCI     ? MACHINE_BRIDGE
							     : row->kind;
	device->vendor = row->vendor;
	device->device = row->device;
	device->is_multifunction = (int8_t)(is_read ? row->mf : PCI_UNKNOWN);
	device->is_virtfn = row->vf_of != NULL;
	device->numa = row->no_numa ? PCI_UNKNOWN : row->numa;
	device->group = MACHINE_NONE;
	device->bars_known = PCI_YES;
	for (i = 0; i < PCI_BAR_COUNT; i++)
		device->bars[i].index = -1;
	if (!row->no_bars)
		device->bars[0] = (struct pci_bar){ .index = 0, .size = 1 << 20, .bits = 64 };
}

/* Indexes, once all are in order. */
static inline void tree_link(struct arena *arena, struct machine *machine,
			     const struct tree_row *rows, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		struct machine_device *device = &machine->devices[tree_find(machine, rows[i].at)];

		device->parent = rows[i].below ? tree_find(machine, rows[i].below) : MACHINE_NONE;
		device->physfn = rows[i].vf_of ? tree_find(machine, rows[i].vf_of) : MACHINE_NONE;
	}
	for (i = 0; i < count; i++) {
		struct machine_device *device = &machine->devices[i], *up = device;
		struct machine_root *root;

		for (; up->parent != MACHINE_NONE; up = &machine->devices[up->parent])
			device->depth++;
		for (j = 0; j < machine->root_count; j++)
			if (machine->roots[j].domain == up->address.domain &&
			    machine->roots[j].bus == up->address.bus)
				break;
		root = &machine->roots[j];
		if (j == machine->root_count) {
			machine->root_count++;
			*root = (struct machine_root){ .domain = up->address.domain,
						       .bus = up->address.bus,
						       .numa = PCI_UNKNOWN };
		}
		device->root = (int)j;
	}
	for (i = 0; i < count; i++) {
		struct machine_device *device = &machine->devices[i];
		int *at = arena_array(arena, count + 1, sizeof(*at));

		device->children.at = at;
		for (j = 0; j < count; j++)
			if (machine->devices[j].parent == (int)i)
				at[device->children.count++] = (int)j;
	}
}

static inline struct machine *tree(struct arena *arena, const struct tree_row *rows, size_t count)
{
	struct machine *machine = arena_alloc(arena, sizeof(*machine));
	size_t i;

	machine->source = "test";
	machine->devices = arena_array(arena, count + 1, sizeof(*machine->devices));
	machine->roots = arena_array(arena, count + 1, sizeof(*machine->roots));
	machine->device_count = count;
	machine->limits = (struct machine_limits){ .has_iommu = PCI_YES, .cmdline = "quiet" };
	for (i = 0; i < count; i++)
		tree_fill(&rows[i], &machine->devices[i]);
	qsort(machine->devices, count, sizeof(*machine->devices), tree_cmp);
	tree_link(arena, machine, rows, count);
	return machine;
}

#endif
