// SPDX-License-Identifier: Apache-2.0
#include "route/acs.h"

#include <string.h>

#include "route/quirk_priv.h"

/* What Linux asks for before it says that a function is isolated, and what it sets. */
enum { REQUIRED = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF };

int8_t route_multifunction(const struct machine *machine, int device)
{
	const struct machine_device *it = &machine->devices[device];

	if (it->is_virtfn == PCI_YES)
		return PCI_NO;
	if (it->address.fn > 0)
		return PCI_YES;
	/* behind a link there is one device only: another number is an ARI function */
	if (it->address.dev > 0 && it->parent != MACHINE_NONE) {
		const struct pci_express *above = &machine->devices[it->parent].express;

		if (above->present == PCI_YES && it->express.present == PCI_YES &&
		    (above->type == PCI_ROOT_PORT || above->type == PCI_DOWNSTREAM_PORT))
			return PCI_YES;
	}
	return it->is_multifunction;
}

/* Does the command line change what the kernel sets? */
static int8_t has_parameter(const struct machine *machine)
{
	const char *cmdline = machine->limits.cmdline;

	if (!cmdline)
		return PCI_UNKNOWN;
	return strstr(cmdline, "disable_acs_redir=") || strstr(cmdline, "config_acs=") ? PCI_YES
										       : PCI_NO;
}

/* A bit that the kernel sets, and that is clear in the capture: will it be, or was it, set? */
static int8_t clear_bit(const struct machine *machine, enum route_when when)
{
	int8_t has_iommu = machine->limits.has_iommu, parameter = has_parameter(machine);

	switch (when) {
	case ROUTE_NO_IOMMU:
		return PCI_NO;
	case ROUTE_WITH_IOMMU:
		if (has_iommu != PCI_NO)
			return has_iommu == PCI_YES ? PCI_NO : PCI_UNKNOWN;
		return parameter == PCI_YES ? PCI_UNKNOWN : PCI_YES;
	case ROUTE_AT_GROUPING:
		/* with an IOMMU it was set, unless by parameter; opened since, it counts as set */
		if (parameter == PCI_NO || (parameter == PCI_UNKNOWN && has_iommu != PCI_YES))
			return PCI_YES;
		return parameter == PCI_YES && has_iommu == PCI_YES ? PCI_NO : PCI_UNKNOWN;
	}
	return PCI_UNKNOWN;
}

/* Of a function for which the capability says it. */
static int8_t control(const struct machine *machine, const struct pci_acs *acs, int bit,
		      enum route_when when)
{
	if (acs->present != PCI_YES)
		return acs->present;
	if (acs->cap < 0 || acs->ctrl < 0)
		return PCI_UNKNOWN;
	if (!(acs->cap & bit))
		return bit & REQUIRED ? PCI_YES : PCI_NO;
	if (!(bit & REQUIRED))
		return acs->ctrl & bit ? PCI_YES : PCI_NO;
	if (!(acs->ctrl & bit))
		return clear_bit(machine, when);
	if (when == ROUTE_NO_IOMMU && machine->limits.has_iommu != PCI_NO)
		return PCI_UNKNOWN; /* firmware's doing, or the kernel's for its IOMMU */
	return PCI_YES;
}

/* One function alone has no peer in itself: only if it is one of several, the capability counts. */
static int8_t endpoint_control(const struct machine *machine, int device, int bit,
			       enum route_when when)
{
	int8_t multifunction = route_multifunction(machine, device);
	int8_t said = control(machine, &machine->devices[device].acs, bit, when);

	if (multifunction == PCI_NO)
		return PCI_YES;
	if (multifunction == PCI_YES || said == PCI_YES)
		return said;
	return PCI_UNKNOWN;
}

static int8_t required_bit(const struct machine *machine, int device, int bit, enum route_when when)
{
	const struct machine_device *it = &machine->devices[device];

	switch (route_quirk_acs(machine, device)) {
	case ROUTE_QUIRK_ISOLATED:
		return PCI_YES;
	case ROUTE_QUIRK_OPEN:
		return PCI_NO;
	case ROUTE_QUIRK_UNSURE:
		return PCI_UNKNOWN;
	case ROUTE_QUIRK_NONE:
		break;
	}
	if (it->is_virtfn == PCI_YES)
		return PCI_YES; /* alone, to Linux: the device keeps its VFs apart */
	if (it->express.present == PCI_NO)
		return PCI_NO;
	if (it->express.present == PCI_UNKNOWN || it->is_port_deduced)
		return PCI_UNKNOWN;
	switch (it->express.type) {
	case PCI_PCI_TO_EXPRESS:
	case PCI_EXPRESS_TO_PCI:
	case PCI_RC_EVENT_COLLECTOR:
		return PCI_NO;
	case PCI_ROOT_PORT:
	case PCI_DOWNSTREAM_PORT:
		return control(machine, &it->acs, bit, when);
	case PCI_ENDPOINT:
	case PCI_LEGACY_ENDPOINT:
	case PCI_UPSTREAM_PORT:
	case PCI_RC_ENDPOINT:
		return endpoint_control(machine, device, bit, when);
	case PCI_UNKNOWN:
		return PCI_UNKNOWN;
	default:
		return PCI_YES; /* types that the specification has not given out */
	}
}

int8_t route_acs(const struct machine *machine, int device, int bit, enum route_when when)
{
	const struct machine_device *it = &machine->devices[device];

	if (bit & REQUIRED)
		return required_bit(machine, device, bit, when);
	if (it->express.present == PCI_NO)
		return PCI_NO;
	return control(machine, &it->acs, bit, when);
}

int8_t route_acs_isolated(const struct machine *machine, int device)
{
	static const int bits[] = { PCI_ACS_SV, PCI_ACS_RR, PCI_ACS_CR, PCI_ACS_UF };
	int8_t all = PCI_YES;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		int8_t one = required_bit(machine, device, bits[i], ROUTE_AT_GROUPING);

		if (one == PCI_NO)
			return PCI_NO;
		if (one == PCI_UNKNOWN)
			all = PCI_UNKNOWN;
	}
	return all;
}
