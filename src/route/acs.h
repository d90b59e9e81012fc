/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acs - which of Access Control Services is in effect at a function, and when.
 *
 * PCI Express Base 6.0, 6.12; what a function without the capability does follows Linux 6.12:
 * pci_acs_enabled() and the table of devices that isolate without saying so (quirks.c).
 */
#ifndef ROUTE_ACS_H
#define ROUTE_ACS_H

#include "machine/machine.h"

/*
 * The control register changes when an IOMMU's driver comes: the kernel then sets SV, RR, CR and
 * UF wherever a function can (pci_std_enable_acs()), before it forms groups; an administrator may
 * open some later, and groups stay as they are.
 */
enum route_when {
	ROUTE_AT_GROUPING, /* when groups were, or would be, formed */
	ROUTE_WITH_IOMMU,  /* now if an IOMMU is on, else as it would be with one */
	ROUTE_NO_IOMMU,	   /* now if none is on, else as it would be without */
};

/*
 * PCI_YES if a bit (PCI_ACS_) is in effect at a device. Of SV, RR, CR, UF one that the capability
 * does not offer counts as wired to on, as in Linux, and a single-function endpoint has nothing
 * to control, so yes; of TB, EC and DT only a bit that is set is a yes.
 */
int8_t route_acs(const struct machine *machine, int device, int bit, enum route_when when);

/*
 * PCI_YES if Linux takes the function for isolated when it forms groups: SV, RR, CR and UF all in
 * effect. PCI_NO for conventional PCI and for bridges to it.
 */
int8_t route_acs_isolated(const struct machine *machine, int device);

/* PCI_YES if Linux gives the function the multifunction mark: header, or a number above 0. */
int8_t route_multifunction(const struct machine *machine, int device);

#endif
