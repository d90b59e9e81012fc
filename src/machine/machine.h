/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - the host as data: PCI functions, groups, NUMA nodes, CPUs, limits.
 *
 *	CLEANUP(arena_done) struct arena arena = { 0 };
 *	struct machine *machine;
 *
 *	r = machine_decode(&arena, &capture, &machine, err);
 *	for (i = 0; i < machine->device_count; i++)
 *		if (machine->devices[i].kind == MACHINE_GPU)
 *
 * A pure function of a capture: the same capture gives the same machine. Everything lives in the
 * arena and dies with it; no struct here owns anything.
 *
 * Unknown is a value. The convention is that of pci/config.h: a number that the capture does not
 * hold is -1 (PCI_UNKNOWN), a yes or no is PCI_UNKNOWN, PCI_NO or PCI_YES, a text is NULL. An
 * index is -1 (MACHINE_NONE) where there is nothing to point to. Nothing is guessed; the one thing
 * that is deduced (what kind of port a bridge is, from its place) is marked.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "machine/capture.h"
#include "pci/address.h"
#include "pci/config.h"
#include "pci/resource.h"

enum {
	MACHINE_NONE = -1,
	MACHINE_DEVICES_MAX = 16384,
	MACHINE_DEPTH_MAX = 64, /* bridges above one another */
	MACHINE_CPUS_MAX = 8192,
	MACHINE_CPU_ID_MAX = 65535,
	MACHINE_NODES_MAX = 1024,
	MACHINE_NODE_ID_MAX = 65535,
};

enum machine_kind {
	MACHINE_GPU, /* display (03xx), processing accelerator (12xx), co-processor card (0b40); not
			  * the VGA of a management controller or of an emulator */
	MACHINE_NIC, /* 02xx: Ethernet, InfiniBand, fabric */
	MACHINE_NVME,	     /* 0108 */
	MACHINE_NVSWITCH,    /* NVIDIA's, 0680 */
	MACHINE_SWITCH_PORT, /* upstream or downstream: express.type tells */
	MACHINE_ROOT_PORT,
	MACHINE_BRIDGE, /* any other that has a bus behind it: PCIe to PCI, conventional */
	MACHINE_OTHER,
	MACHINE_KIND_COUNT
};

/* "gpu", "nic", "nvme", "nvswitch", "switch-port", "root-port", "bridge", "other" */
const char *machine_kind_name(enum machine_kind kind);

/* Indexes into machine.devices (or .cpus, .nodes), ascending. */
struct machine_set {
	const int *at;
	size_t count;
};

struct machine_device {
	struct pci_address address;
	int parent; /* the bridge whose secondary bus it is on; MACHINE_NONE: root bus */
	int root;   /* in machine.roots */
	int depth;  /* bridges above it */
	struct machine_set children; /* of a bridge */

	enum machine_kind kind;
	int32_t vendor, device, subvendor, subdevice;
	int32_t class_code; /* 24 bits; the lowest 8 are 0 where only class_bits 16 are known */
	int16_t revision;
	int8_t class_bits;	 /* 24, 16, or PCI_UNKNOWN */
	bool is_port_deduced;	 /* express.type was not there to read: it follows from the place in
				* the tree (root bus, then by turns below), and kind with it */
	int8_t is_multifunction; /* header type, bit 7: only function 0 need have it right */
	int8_t bars_known;	 /* PCI_YES: .bars holds all there are, and their sizes */
	int8_t is_virtfn;	 /* an SR-IOV VF */
	int8_t is_boot_vga;	 /* the firmware's console */
	int8_t driver_known;	 /* PCI_YES: .driver NULL is "none bound" */

	int numa;   /* a node's number (not an index); PCI_UNKNOWN also where Linux says -1 */
	int group;  /* the kernel's IOMMU group, in machine.groups; MACHINE_NONE */
	int physfn; /* of a VF: its PF; MACHINE_NONE */
	struct machine_set virtfns; /* of a PF */
	struct pci_sriov sriov;	    /* of a PF; total and num of sysfs, where it has them */

	struct pci_express express; /* .link: of config space, else of sysfs */
	struct pci_bridge bridge;
	struct pci_acs acs;
	struct pci_ats ats;
	struct pci_pasid pasid;
	struct pci_p2p p2p;
	int64_t link_mbps; /* megabytes a second, where only a product of speed and width is known */

	struct pci_bar bars[PCI_BAR_COUNT];    /* none: index -1 */
	struct pci_bar vf_bars[PCI_BAR_COUNT]; /* of a PF: for all its VFs together */
	int64_t rom_size;

	const char *name;	     /* in words, for people */
	const char *driver;	     /* "vfio-pci" */
	const char *driver_override; /* NULL: none, or unknown (driver_known) */
	const char *reset_method;    /* "flr bus"; "" where the kernel has none for it */
	const char *sysfs; /* its directory in the capture: "sys/devices/pci0000:00/..." */
};

/* A root complex: a root bus of the host bridge, with what is on it. */
struct machine_root {
	uint32_t domain;
	uint8_t bus;
	int numa;
	struct machine_set children; /* devices on the root bus */
};

struct machine_group {
	int id;		  /* the kernel's number */
	const char *type; /* of its default domain: "DMA-FQ", "identity" */
	struct machine_set members;
};

struct machine_node {
	int id;			 /* Linux's number; not always dense */
	struct machine_set cpus; /* indexes into machine.cpus */
	int64_t memory_bytes;
	const int32_t *distances; /* to each of machine.nodes by index; NULL: unknown */
};

struct machine_cpu {
	int id;	     /* Linux's number */
	int package; /* physical package's number */
	int core;    /* dense over the machine: equal for threads of one core */
	int node;    /* index into machine.nodes; MACHINE_NONE */
	int8_t is_online;
};

struct machine_limits {
	int8_t has_iommu;	  /* the kernel drives one */
	const char *iommu;	  /* "intel", "amd", "smmu"; NULL: none, unknown or another */
	int8_t unsafe_interrupts; /* vfio was told to live without interrupt remapping */
	int phys_bits, virt_bits; /* of addresses of the CPU */
	const char *cpu_vendor, *cpu_model; /* "GenuineIntel", "AuthenticAMD"; in words */
	int8_t has_svm, has_vmx;
	const char *cmdline;	 /* the kernel's */
	const char *kernel;	 /* release: "6.12.95-amd64" */
	int8_t has_acs_override; /* pcie_acs_override on the command line: groups mean nothing */
	int64_t memory_bytes;
};

struct machine {
	const char *source;		/* "sysfs", "hwloc" */
	struct machine_device *devices; /* by address */
	size_t device_count;
	struct machine_root *roots; /* by domain, bus */
	size_t root_count;
	struct machine_group *groups; /* by id */
	size_t group_count;
	int8_t groups_known;	    /* PCI_YES: a device with .group MACHINE_NONE has none */
	struct machine_node *nodes; /* by id */
	size_t node_count;
	struct machine_cpu *cpus; /* by id */
	size_t cpu_count;
	int package_count, core_count; /* PCI_UNKNOWN */
	struct machine_limits limits;
};

/*
 * Decodes a sealed capture, recognised by what it holds. Errors have ERR_USAGE unless said:
 *
 *	-EINVAL	nothing of a host is in it, or a document that is broken
 *	-EOPNOTSUPP	a form that is known but not read, with ERR_UNSUPPORTED
 *	-E2BIG	more than a limit above
 *	-ENOMEM	with ERR_OTHER
 *
 * A file of a tree that is missing or makes no sense leaves what it would say unknown.
 */
int machine_decode(struct arena *arena, const struct machine_capture *capture, struct machine **ret,
		   struct err *err);

/* The index of the device at an address; MACHINE_NONE. */
int machine_find(const struct machine *machine, struct pci_address address);

/* The index of the node of a number; MACHINE_NONE. */
int machine_find_node(const struct machine *machine, int id);

/* True if device a is above device b, or is it. */
bool machine_is_above(const struct machine *machine, int a, int b);

/*
 * Gives devices without a name one, out of the text of the pci.ids file ("Vendor Device"); where
 * that does not know them, they stay without. -ENOMEM.
 */
int machine_name(struct arena *arena, struct machine *machine, struct bytes pci_ids);

#endif
