/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quirk - functions that do otherwise than their configuration space says, as Linux 6.12 knows
 * them: drivers/pci/quirks.c, pci_dev_acs_enabled[] and the fixups that add DMA aliases.
 */
#ifndef ROUTE_QUIRK_PRIV_H
#define ROUTE_QUIRK_PRIV_H

#include <stdbool.h>

#include "machine/machine.h"

enum route_quirk {
	ROUTE_QUIRK_NONE,     /* the configuration space counts */
	ROUTE_QUIRK_ISOLATED, /* SV, RR, CR and UF in effect, whatever it says */
	ROUTE_QUIRK_OPEN,     /* none of them in effect, whatever it says */
	ROUTE_QUIRK_UNSURE,   /* isolated or not: the machine does not tell */
};

/*
 * Intel's chipset root ports without the capability count as isolated: Linux switches peer decodes
 * off in them, which fails only where firmware has hidden the chipset's configuration block.
 */
enum route_quirk route_quirk_acs(const struct machine *machine, int device);

/*
 * PCI_YES if requests of one of two functions on a bus may carry the ID of the other.
 * PCI_UNKNOWN of Microchip's non-transparent bridges, whose IDs are in their registers.
 */
int8_t route_quirk_alias(const struct machine *machine, int a, int b);

/* True for a bridge below which the IOMMU sits, so that nothing above it aliases. */
bool route_quirk_is_iommu_above(const struct machine *machine, int device);

#endif
