// SPDX-License-Identifier: Apache-2.0
#include "route/quirk_priv.h"

#include <string.h>

enum {
	ANY = -1,
	LAST_ID = 0xffff,
	CLASS_BRIDGE_OTHER = 0x0680,
	VENDOR_MICROCHIP = 0x11f8,
	VENDOR_EFAR = 0x1055,
};

/* Of whom a row is true, and what of. */
enum scope {
	ALL,	     /* isolated */
	ROOT_PORTS,  /* isolated if one; else the row is not for it */
	PORTS,	     /* isolated if a root or downstream port; else not for it */
	PORTS_OPEN,  /* a root or downstream port is open */
	ALL_OPEN,    /* open */
	RC_ENDPOINT, /* isolated if integrated into the root complex */
	AMD_CHIPSET, /* multifunction on a root bus, with AMD's IOMMU: isolated */
};

struct row {
	uint16_t vendor;
	uint16_t first, last;
	enum scope scope;
};

/* The first row that is for a function counts. */
static const struct row acs_rows[] = {
	/* AMD's southbridges */
	{ 0x1002, 0x4383, 0x4385, AMD_CHIPSET },
	{ 0x1002, 0x4399, 0x4399, AMD_CHIPSET },
	{ 0x1002, 0x439c, 0x439d, AMD_CHIPSET },
	{ 0x1022, 0x7809, 0x7809, AMD_CHIPSET },
	{ 0x1022, 0x780f, 0x780f, AMD_CHIPSET },
	/* Solarflare */
	{ 0x1924, 0x0903, 0x0903, ALL },
	{ 0x1924, 0x0923, 0x0923, ALL },
	{ 0x1924, 0x0a03, 0x0a03, ALL },
	/* Intel's 82598, 82599, X520, X540 */
	{ 0x8086, 0x10c6, 0x10c6, ALL },
	{ 0x8086, 0x10db, 0x10db, ALL },
	{ 0x8086, 0x10dd, 0x10dd, ALL },
	{ 0x8086, 0x10e1, 0x10e1, ALL },
	{ 0x8086, 0x10f1, 0x10f1, ALL },
	{ 0x8086, 0x10f7, 0x10fc, ALL },
	{ 0x8086, 0x1507, 0x1507, ALL },
	{ 0x8086, 0x1514, 0x1514, ALL },
	{ 0x8086, 0x151c, 0x151c, ALL },
	{ 0x8086, 0x1529, 0x152a, ALL },
	{ 0x8086, 0x154d, 0x154d, ALL },
	{ 0x8086, 0x154f, 0x154f, ALL },
	{ 0x8086, 0x1551, 0x1551, ALL },
	{ 0x8086, 0x1558, 0x1558, ALL },
	/* 82580 */
	{ 0x8086, 0x1509, 0x1509, ALL },
	{ 0x8086, 0x150e, 0x1511, ALL },
	{ 0x8086, 0x1516, 0x1516, ALL },
	{ 0x8086, 0x1527, 0x1527, ALL },
	/* 82576, 82575 */
	{ 0x8086, 0x10c9, 0x10c9, ALL },
	{ 0x8086, 0x10e6, 0x10e8, ALL },
	{ 0x8086, 0x150a, 0x150a, ALL },
	{ 0x8086, 0x150d, 0x150d, ALL },
	{ 0x8086, 0x1518, 0x1518, ALL },
	{ 0x8086, 0x1526, 0x1526, ALL },
	{ 0x8086, 0x10a7, 0x10a7, ALL },
	{ 0x8086, 0x10a9, 0x10a9, ALL },
	{ 0x8086, 0x10d6, 0x10d6, ALL },
	/* I350, 82571, I219 */
	{ 0x8086, 0x1521, 0x1524, ALL },
	{ 0x8086, 0x105e, 0x1060, ALL },
	{ 0x8086, 0x10d9, 0x10d9, ALL },
	{ 0x8086, 0x15b7, 0x15b8, ALL },
	{ 0x8086, 0x0000, LAST_ID, RC_ENDPOINT },
	/* Qualcomm's root ports, HXT's */
	{ 0x17cb, 0x0400, 0x0401, ALL },
	{ 0x17cb, 0x0111, 0x0111, ALL },
	{ 0x17cb, 0x0115, 0x0115, ALL },
	{ 0x17cb, 0x0120, 0x0120, ALL },
	{ 0x1dbf, 0x0401, 0x0401, ALL },
	/* Intel's chipsets without the capability: Ibex Peak, Cougar Point, Panther Point */
	{ 0x8086, 0x3b42, 0x3b51, ROOT_PORTS },
	{ 0x8086, 0x1c10, 0x1c1f, ROOT_PORTS },
	{ 0x8086, 0x1e10, 0x1e1f, ROOT_PORTS },
	/* Lynx Point H and LP, Wildcat Point, Patsburg (X79), Wellsburg (X99), 9 series */
	{ 0x8086, 0x8c10, 0x8c1f, ROOT_PORTS },
	{ 0x8086, 0x9c10, 0x9c1b, ROOT_PORTS },
	{ 0x8086, 0x9c90, 0x9c9b, ROOT_PORTS },
	{ 0x8086, 0x1d10, 0x1d10, ROOT_PORTS },
	{ 0x8086, 0x1d12, 0x1d12, ROOT_PORTS },
	{ 0x8086, 0x1d14, 0x1d14, ROOT_PORTS },
	{ 0x8086, 0x1d16, 0x1d16, ROOT_PORTS },
	{ 0x8086, 0x1d18, 0x1d18, ROOT_PORTS },
	{ 0x8086, 0x1d1a, 0x1d1a, ROOT_PORTS },
	{ 0x8086, 0x1d1c, 0x1d1c, ROOT_PORTS },
	{ 0x8086, 0x1d1e, 0x1d1e, ROOT_PORTS },
	{ 0x8086, 0x8d10, 0x8d1e, ROOT_PORTS },
	{ 0x8086, 0x8c90, 0x8c90, ROOT_PORTS },
	{ 0x8086, 0x8c92, 0x8c92, ROOT_PORTS },
	{ 0x8086, 0x8c94, 0x8c94, ROOT_PORTS },
	{ 0x8086, 0x8c96, 0x8c96, ROOT_PORTS },
	{ 0x8086, 0x8c98, 0x8c98, ROOT_PORTS },
	{ 0x8086, 0x8c9a, 0x8c9a, ROOT_PORTS },
	{ 0x8086, 0x8c9c, 0x8c9c, ROOT_PORTS },
	{ 0x8086, 0x8c9e, 0x8c9e, ROOT_PORTS },
	/* Emulex BE3-R, Skyhawk-R */
	{ 0x19a2, 0x0710, 0x0710, ALL },
	{ 0x10df, 0x0720, 0x0720, ALL },
	/* Cavium ThunderX, X2, X3 */
	{ 0x177d, 0xa000, 0xa7ff, ROOT_PORTS },
	{ 0x177d, 0xaf84, 0xaf84, ROOT_PORTS },
	{ 0x177d, 0xb884, 0xb884, ROOT_PORTS },
	{ 0x177d, 0xa026, 0xa026, ALL },
	{ 0x177d, 0xa059, 0xa059, ALL },
	{ 0x177d, 0xa060, 0xa060, ALL },
	/* APM X-Gene, Ampere */
	{ 0x10e8, 0xe004, 0xe004, ALL },
	{ 0x1def, 0xe005, 0xe00c, ALL },
	/* Broadcom's NICs, iProc root ports */
	{ 0x14e4, 0x16d7, 0x16d7, ALL },
	{ 0x14e4, 0x1750, 0x1752, ALL },
	{ 0x14e4, 0x1760, 0x1763, ALL },
	{ 0x14e4, 0xd714, 0xd714, ALL },
	/* Loongson's root ports */
	{ 0x0014, 0x3c09, 0x3c09, ALL },
	{ 0x0014, 0x3c19, 0x3c19, ALL },
	{ 0x0014, 0x3c29, 0x3c29, ALL },
	{ 0x0014, 0x7a09, 0x7a09, ALL },
	{ 0x0014, 0x7a19, 0x7a19, ALL },
	{ 0x0014, 0x7a29, 0x7a29, ALL },
	{ 0x0014, 0x7a39, 0x7a39, ALL },
	{ 0x0014, 0x7a49, 0x7a49, ALL },
	{ 0x0014, 0x7a59, 0x7a59, ALL },
	{ 0x0014, 0x7a69, 0x7a69, ALL },
	/* Annapurna Labs */
	{ 0x1c36, 0x0031, 0x0031, ROOT_PORTS },
	/* NXP LX2160A and its kin */
	{ 0x1957, 0x8d80, 0x8d83, ALL },
	{ 0x1957, 0x8d88, 0x8d8b, ALL },
	{ 0x1957, 0x8d90, 0x8d93, ALL },
	{ 0x1957, 0x8d98, 0x8d9b, ALL },
	{ 0x1957, 0x8da0, 0x8da1, ALL },
	{ 0x1957, 0x8da8, 0x8da9, ALL },
	{ 0x1957, 0x8db0, 0x8db1, ALL },
	{ 0x1957, 0x8db8, 0x8db9, ALL },
	/* Zhaoxin: of its ports those listed, and no other */
	{ 0x1d17, 0x3038, 0x3038, ALL },
	{ 0x1d17, 0x3104, 0x3104, ALL },
	{ 0x1d17, 0x9083, 0x9083, ALL },
	{ 0x1d17, 0x0710, 0x071e, PORTS },
	{ 0x1d17, 0x0721, 0x0721, PORTS },
	{ 0x1d17, 0x0723, 0x0752, PORTS },
	{ 0x1d17, 0x0000, LAST_ID, PORTS_OPEN },
	/* Wangxun, the same way */
	{ 0x8088, 0x0100, 0x010f, ALL },
	{ 0x8088, 0x1001, 0x1001, ALL },
	{ 0x8088, 0x2001, 0x2001, ALL },
	{ 0x8088, 0x5010, 0x5010, ALL },
	{ 0x8088, 0x5025, 0x5025, ALL },
	{ 0x8088, 0x5040, 0x5040, ALL },
	{ 0x8088, 0x5110, 0x5110, ALL },
	{ 0x8088, 0x5125, 0x5125, ALL },
	{ 0x8088, 0x5140, 0x5140, ALL },
	{ 0x8088, 0x0000, LAST_ID, ALL_OPEN },
};

static enum route_quirk amd_chipset(const struct machine *machine,
				    const struct machine_device *device)
{
	const struct machine_limits *limits = &machine->limits;

	if (device->parent != MACHINE_NONE ||
	    (device->is_multifunction == PCI_NO && device->address.fn == 0))
		return ROUTE_QUIRK_NONE;
	if (limits->iommu)
		return strcmp(limits->iommu, "amd") == 0 ? ROUTE_QUIRK_ISOLATED : ROUTE_QUIRK_NONE;
	if (limits->has_iommu == PCI_YES ||
	    (limits->cpu_vendor && strcmp(limits->cpu_vendor, "GenuineIntel") == 0))
		return ROUTE_QUIRK_NONE;
	return ROUTE_QUIRK_UNSURE; /* the firmware's table is not in a machine */
}

/* ROUTE_QUIRK_NONE: the row is not for this device. */
static enum route_quirk apply(const struct machine *machine, const struct machine_device *device,
			      enum scope scope)
{
	const int8_t type = device->express.type;
	bool has_type = device->express.present == PCI_YES && type >= 0;
	bool is_port = has_type && (type == PCI_ROOT_PORT || type == PCI_DOWNSTREAM_PORT);

	switch (scope) {
	case ALL:
		return ROUTE_QUIRK_ISOLATED;
	case ALL_OPEN:
		return ROUTE_QUIRK_OPEN;
	case ROOT_PORTS:
		return has_type && type == PCI_ROOT_PORT ? ROUTE_QUIRK_ISOLATED : ROUTE_QUIRK_NONE;
	case PORTS:
		return is_port ? ROUTE_QUIRK_ISOLATED : ROUTE_QUIRK_NONE;
	case PORTS_OPEN:
		return is_port ? ROUTE_QUIRK_OPEN : ROUTE_QUIRK_NONE;
	case RC_ENDPOINT:
		return has_type && type == PCI_RC_ENDPOINT ? ROUTE_QUIRK_ISOLATED
							   : ROUTE_QUIRK_NONE;
	case AMD_CHIPSET:
		return amd_chipset(machine, device);
	}
	return ROUTE_QUIRK_NONE;
}

enum route_quirk route_quirk_acs(const struct machine *machine, int device)
{
	const struct machine_device *it = &machine->devices[device];
	enum route_quirk quirk;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(acs_rows); i++) {
		if (acs_rows[i].vendor != it->vendor || it->device < acs_rows[i].first ||
		    it->device > acs_rows[i].last)
			continue;
		quirk = apply(machine, it, acs_rows[i].scope);
		if (quirk != ROUTE_QUIRK_NONE)
			return quirk;
	}
	return ROUTE_QUIRK_NONE;
}

/* With whose ID a function's requests may come, besides its own. */
enum alias {
	FUNCTION_0, /* of its slot */
	FUNCTION_1,
	FIXED,	       /* .devfn */
	KNIGHTS,       /* Xeon Phi x200: three, as its switch is programmed */
	FUNCTIONS_0_4, /* of every slot */
	EVERY,	       /* all of its bus */
};

struct alias_row {
	uint16_t vendor, device;
	int32_t subvendor, subdevice; /* ANY */
	enum alias alias;
	uint8_t devfn;
};

static const struct alias_row alias_rows[] = {
	/* Ricoh, Glenfly */
	{ 0x1180, 0xe832, ANY, ANY, FUNCTION_0, 0 },
	{ 0x1180, 0xe476, ANY, ANY, FUNCTION_0, 0 },
	{ 0x6766, 0x3d40, ANY, ANY, FUNCTION_0, 0 },
	{ 0x6766, 0x3d41, ANY, ANY, FUNCTION_0, 0 },
	/* Marvell's SATA controllers, and those that are made of them */
	{ 0x1b4b, 0x9120, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9123, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9125, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9128, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9130, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9170, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9172, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x917a, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9182, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9183, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x91a0, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9215, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9220, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9230, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1b4b, 0x9235, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1103, 0x0642, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1103, 0x0645, ANY, ANY, FUNCTION_1, 0 },
	{ 0x197b, 0x2392, ANY, ANY, FUNCTION_1, 0 },
	{ 0x1c28, 0x0122, ANY, ANY, FUNCTION_1, 0 },
	/* Adaptec 3405 and 3805: the engine behind them is 01.0 */
	{ 0x9005, 0x0285, 0x9005, 0x02bb, FIXED, 0x08 },
	{ 0x9005, 0x0285, 0x9005, 0x02bc, FIXED, 0x08 },
	/* Xeon Phi x200, Visual Compute Accelerator, PEX 8700 as a non-transparent bridge */
	{ 0x8086, 0x2260, ANY, ANY, KNIGHTS, 0 },
	{ 0x8086, 0x2264, ANY, ANY, KNIGHTS, 0 },
	{ 0x8086, 0x2954, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x8086, 0x2955, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x8086, 0x2956, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x8086, 0x2958, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x8086, 0x2959, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x8086, 0x295a, ANY, ANY, FUNCTIONS_0_4, 0 },
	{ 0x10b5, 0x87b0, ANY, ANY, EVERY, 0 },
	{ 0x10b5, 0x87b1, ANY, ANY, EVERY, 0 },
};

static bool alias_covers(const struct alias_row *row, const struct machine_device *of,
			 const struct machine_device *other)
{
	uint8_t devfn = pci_address_devfn(other->address);

	switch (row->alias) {
	case FUNCTION_0:
	case FUNCTION_1:
		return other->address.dev == of->address.dev &&
		       other->address.fn == (row->alias == FUNCTION_1);
	case FIXED:
		return devfn == row->devfn;
	case KNIGHTS:
		return devfn == 0x80 || devfn == 0x88 || devfn == 0x93;
	case FUNCTIONS_0_4:
		return other->address.fn <= 4;
	case EVERY:
		return true;
	}
	return false;
}

static bool row_is_for(const struct alias_row *row, const struct machine_device *device)
{
	return row->vendor == device->vendor && row->device == device->device &&
	       (row->subvendor == ANY ||
		(row->subvendor == device->subvendor && row->subdevice == device->subdevice));
}

static int8_t aliases_to(const struct machine_device *of, const struct machine_device *other)
{
	size_t i;

	if ((of->vendor == VENDOR_MICROCHIP || of->vendor == VENDOR_EFAR) &&
	    of->class_code >> 8 == CLASS_BRIDGE_OTHER)
		return PCI_UNKNOWN;
	for (i = 0; i < ARRAY_SIZE(alias_rows); i++)
		if (row_is_for(&alias_rows[i], of) && alias_covers(&alias_rows[i], of, other))
			return PCI_YES;
	return PCI_NO;
}

int8_t route_quirk_alias(const struct machine *machine, int a, int b)
{
	int8_t there = aliases_to(&machine->devices[a], &machine->devices[b]);
	int8_t back = aliases_to(&machine->devices[b], &machine->devices[a]);

	if (there == PCI_YES || back == PCI_YES)
		return PCI_YES;
	return there == PCI_UNKNOWN || back == PCI_UNKNOWN ? PCI_UNKNOWN : PCI_NO;
}

bool route_quirk_is_iommu_above(const struct machine *machine, int device)
{
	const struct machine_device *it = &machine->devices[device];

	/* Vulcan and ThunderX2 */
	return it->vendor == 0x14e4 && (it->device == 0x9000 || it->device == 0x9084);
}
