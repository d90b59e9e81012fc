/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups - IOMMU groups, computed from configuration space as Linux 6.12 does.
 *
 * pci_device_group() in drivers/iommu/iommu.c, pci_for_each_dma_alias() in drivers/pci/search.c,
 * pci_acs_enabled() in drivers/pci/pci.c, and the tables of drivers/pci/quirks.c; in the order in
 * which the kernel finds devices, VFs last. With ACS as the kernel sets it when an IOMMU is on
 * (route/acs.h), also where none is: the groups that the host would have.
 *
 * Groups are sets: the numbers here are the order of their first members, and mean nothing to a
 * kernel. Nor do they mean that devices in different ones cannot reach each other: route/reach.h.
 *
 * Where configuration space is cut, both answers are computed, with whatever is unknown isolated
 * and not isolated. The groups given are those of the second, the larger ones; those that are in
 * both are certain.
 */
#ifndef ROUTE_GROUPS_H
#define ROUTE_GROUPS_H

#include <stdbool.h>

#include "base/arena.h"
#include "machine/machine.h"

struct route_group {
	struct machine_set members;
	bool is_certain;
};

struct route_groups {
	struct route_group *groups;
	size_t count;
	int *of; /* of each of machine->devices: index in groups */
};

/* 0 or -ENOMEM. */
int route_groups(struct arena *arena, const struct machine *machine, struct route_groups *ret);

/*
 * PCI_YES if the kernel has the device in a group with other members than computed, both without
 * those that the kernel has in none; PCI_UNKNOWN if either is not known or not certain.
 */
int8_t route_groups_differ(const struct machine *machine, const struct route_groups *groups,
			   int device);

/*
 * The kernel's groups say nothing where pcie_acs_override, a patch of some distributions, is on
 * the command line: it claims isolation that is not there.
 */
static inline bool route_groups_trusted(const struct machine *machine)
{
	return machine->limits.has_acs_override != PCI_YES;
}

#endif
