// SPDX-License-Identifier: Apache-2.0
#include "machine/build_priv.h"

enum {
	CLASS_NVME = 0x0108,
	CLASS_BRIDGE_PCI = 0x0604,
	CLASS_BRIDGE_SEMI = 0x0609,
	CLASS_BRIDGE_CARDBUS = 0x0607,
	CLASS_BRIDGE_OTHER = 0x0680,
	CLASS_COPROCESSOR = 0x0b40,
	BASE_NETWORK = 0x02,
	BASE_DISPLAY = 0x03,
	BASE_ACCELERATOR = 0x12,
	SUBTRACTIVE = 0x01, /* programming interface of a conventional bridge */
	NVME_INTERFACE = 0x02,
	VENDOR_NVIDIA = 0x10de,
	VENDOR_INTEL = 0x8086,
	VENDOR_NEC = 0x1bcf,
};

/*
 * Display controllers that compute nothing: those of management controllers (ASPEED, Matrox,
 * Huawei, XGI), and those that an emulator makes (QEMU's VGA, Cirrus, QXL, VMware, Hyper-V).
 */
static bool is_plain_display(const struct machine_device *device)
{
	static const struct {
		int vendor, device; /* PCI_UNKNOWN: all of the vendor's */
	} plain[] = {
		{ 0x1a03, PCI_UNKNOWN }, { 0x102b, PCI_UNKNOWN }, { 0x18ca, PCI_UNKNOWN },
		{ 0x19e5, 0x1711 },	 { 0x1234, 0x1111 },	  { 0x1013, 0x00b8 },
		{ 0x1b36, 0x0100 },	 { 0x15ad, PCI_UNKNOWN }, { 0x1414, 0x5353 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		if (device->vendor == plain[i].vendor &&
		    (plain[i].device == PCI_UNKNOWN || device->device == plain[i].device))
			return true;
	return false;
}

/* Cards that compute, among co-processors: not the crypto, queue and power units of chipsets. */
static bool is_coprocessor_card(const struct machine_device *device)
{
	switch (device->vendor) {
	case VENDOR_INTEL: /* Xeon Phi */
		return device->device >= 0x2250 && device->device <= 0x225f;
	case VENDOR_NEC: /* Vector Engine */
		return true;
	default:
		return false;
	}
}

static int class_of(const struct machine_device *device)
{
	return device->class_code < 0 ? PCI_UNKNOWN : device->class_code >> 8;
}

static int interface_of(const struct machine_device *device)
{
	return device->class_bits == 24 ? device->class_code & 0xff : PCI_UNKNOWN;
}

static bool is_pci_bridge(const struct machine_device *device)
{
	int class = class_of(device);

	return device->bridge.present == PCI_YES ||
	       (device->bridge.present == PCI_UNKNOWN &&
		(class == CLASS_BRIDGE_PCI || class == CLASS_BRIDGE_SEMI));
}

static enum machine_kind endpoint_kind(const struct machine_device *device)
{
	int class = class_of(device), interface = interface_of(device);

	if (class < 0)
		return MACHINE_OTHER;
	if (class == CLASS_NVME && (interface == PCI_UNKNOWN || interface == NVME_INTERFACE))
		return MACHINE_NVME;
	if (class == CLASS_BRIDGE_OTHER && device->vendor == VENDOR_NVIDIA)
		return MACHINE_NVSWITCH;
	if (class == CLASS_BRIDGE_CARDBUS)
		return MACHINE_BRIDGE;
	if (class >> 8 == BASE_NETWORK)
		return MACHINE_NIC;
	if (class >> 8 == BASE_DISPLAY)
		return is_plain_display(device) ? MACHINE_OTHER : MACHINE_GPU;
	if (class == CLASS_COPROCESSOR && is_coprocessor_card(device))
		return MACHINE_GPU;
	if (class >> 8 == BASE_ACCELERATOR)
		return MACHINE_GPU;
	return MACHINE_OTHER;
}

static enum machine_kind port_kind(int type)
{
	switch (type) {
	case PCI_ROOT_PORT:
		return MACHINE_ROOT_PORT;
	case PCI_UPSTREAM_PORT:
	case PCI_DOWNSTREAM_PORT:
		return MACHINE_SWITCH_PORT;
	default:
		return MACHINE_BRIDGE;
	}
}

static bool has_bridges_only(const struct machine *machine, const struct machine_device *device)
{
	size_t i;

	for (i = 0; i < device->children.count; i++)
		if (!is_pci_bridge(&machine->devices[device->children.at[i]]))
			return false;
	return device->children.count > 0;
}

/*
 * What a bridge must be to be where it is, if it is PCI Express at all: on a root bus only root
 * ports have a bus behind them; behind a link comes a switch, whose own bus holds its downstream
 * ports and nothing else, or a bridge to a conventional bus; and so on from each downstream port.
 */
static int type_by_place(const struct machine *machine, const struct machine_device *device)
{
	const struct machine_device *above =
		device->parent == MACHINE_NONE ? NULL : &machine->devices[device->parent];

	if (interface_of(device) == SUBTRACTIVE)
		return PCI_UNKNOWN;
	if (!above)
		return PCI_ROOT_PORT;
	if (above->express.type == PCI_UPSTREAM_PORT)
		return PCI_DOWNSTREAM_PORT;
	if (above->express.type != PCI_ROOT_PORT && above->express.type != PCI_DOWNSTREAM_PORT)
		return PCI_UNKNOWN;
	return has_bridges_only(machine, device) ? PCI_UPSTREAM_PORT : PCI_EXPRESS_TO_PCI;
}

static void set_kind(const struct machine *machine, struct machine_device *device)
{
	if (!is_pci_bridge(device)) {
		device->kind = endpoint_kind(device);
		return;
	}
	if (device->express.type == PCI_UNKNOWN && device->express.present != PCI_NO) {
		device->is_port_deduced = true;
		device->express.type = (int8_t)type_by_place(machine, device);
		if (device->express.type != PCI_UNKNOWN)
			device->express.present = PCI_YES;
	}
	device->kind = port_kind(device->express.type);
}

void machine_kind_set(struct machine *machine)
{
	int depth;
	size_t i;

	/* from the roots down: what a port is depends on the one above it */
	for (depth = 0; depth <= MACHINE_DEPTH_MAX; depth++)
		for (i = 0; i < machine->device_count; i++)
			if (machine->devices[i].depth == depth)
				set_kind(machine, &machine->devices[i]);
}
