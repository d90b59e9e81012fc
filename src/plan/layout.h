/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - the VM to build, decided in full: whoever emits it adds no choice of their own.
 *
 * A layout holds no path, name or number of a pod: two pods that ask for the same get the same
 * bytes. It is plain data with fixed tables, copied at will.
 */
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/address.h"

enum {
	LAYOUT_DEVICES_MAX = 8,
	LAYOUT_BRIDGES_MAX = 240,
	LAYOUT_PASSED_MAX = 128,
	LAYOUT_NODES_MAX = 16,
	LAYOUT_NONE = -1,
	LAYOUT_PORTS_MAX = 4,
	LAYOUT_CMDLINE_MAX = 1023,
	LAYOUT_NAME_MAX = 31,
	LAYOUT_LUN_FIRST = 1,  /* of the layers, added once the guest is up */
	LAYOUT_LUN_LAST = 255, /* above, the guest would need another way of addressing */
};

#define LAYOUT_AGENT_PORT "casemate.agent"
#define LAYOUT_TEE_PORT "casemate.tee"

enum layout_accel {
	LAYOUT_TCG,
	LAYOUT_KVM,
};

/* Who measures the guest, and keeps its memory to itself. */
enum layout_tee {
	LAYOUT_TEE_NONE,
	LAYOUT_TEE_SIM, /* the simulated secure processor */
};

/* What the VM is made of, each a PCI function on the root bus. */
enum layout_kind {
	LAYOUT_SERIAL, /* virtio-serial: the ports */
	LAYOUT_SCSI,   /* virtio-scsi: one LUN for each layer, none at the start */
	LAYOUT_BLOCK,  /* virtio-blk: a disk that is there from the start, of a role */
	LAYOUT_RNG,    /* virtio-rng */
};

/* What a descriptor that the VM is handed is for. */
enum layout_role {
	LAYOUT_ROLE_KERNEL,
	LAYOUT_ROLE_FIRMWARE, /* qboot; with bridges SeaBIOS, which numbers buses and sets windows */
	LAYOUT_ROLE_BASE,     /* the base image, read-only */
	LAYOUT_ROLE_KVM,      /* with LAYOUT_KVM only */
	LAYOUT_ROLE_AGENT,    /* one end of a stream socket each */
	LAYOUT_ROLE_QMP,
	LAYOUT_ROLE_CONSOLE,
	LAYOUT_ROLE_TEE, /* with a TEE only: the guest's way to the processor */
	LAYOUT_ROLES,
};

struct layout_device {
	enum layout_kind kind;
	uint8_t slot;	       /* 1 to 30 on bus 0; function 0 */
	enum layout_role role; /* LAYOUT_BLOCK only */
};

struct layout_port {
	enum layout_role role;
	uint8_t number; /* on the LAYOUT_SERIAL device; 0 is a console's, so from 1 */
	char name[LAYOUT_NAME_MAX + 1];
};

/* How the host's tree appears in the guest. */
enum layout_mode {
	LAYOUT_AUTO,
	LAYOUT_REPLICATE, /* a tree that keeps each pair's relation */
	LAYOUT_FLATTEN,	  /* a root port for each on the first root bus */
};

enum layout_bridge_kind {
	LAYOUT_PXB,	   /* pxb-pcie: a root complex of its own; its bus is the root bus */
	LAYOUT_ROOT_PORT,  /* pcie-root-port */
	LAYOUT_UPSTREAM,   /* x3130-upstream: with the ports below it a switch */
	LAYOUT_DOWNSTREAM, /* xio3130-downstream */
};

struct layout_bridge {
	enum layout_bridge_kind kind;
	int16_t parent; /* the bridge whose bus it is on, before it here; LAYOUT_NONE: bus 0 */
	uint8_t slot;	/* on that bus */
	uint8_t function;
	uint8_t bus;	  /* the number of its own: a PXB's is given, the others' firmware counts */
	int16_t node;	  /* LAYOUT_PXB: of layout.nodes; LAYOUT_NONE */
	uint64_t reserve; /* LAYOUT_ROOT_PORT: bytes of its window for large BARs; 0: any */
};

/* A host's device, passed through. */
struct layout_passed {
	struct pci_address host;
	int16_t parent; /* the port it is below; its slot there is 0 */
	uint8_t function;
	bool is_multifunction; /* others share its slot */
	bool has_peers;	       /* its BARs are mapped for the others' DMA */
	bool has_rom;	       /* the guest sees its expansion ROM */
	int8_t clique;	       /* NVIDIA's virtual peer-to-peer approval; LAYOUT_NONE */
};

struct layout_node {
	uint32_t memory_mib;
	uint32_t cpu_first, cpu_count; /* vCPUs; 0: none */
	int host;		       /* the host's node that its memory is of */
};

struct layout {
	uint32_t vcpus;
	uint32_t memory_mib; /* all of the guest's, its own needs included */
	uint32_t low_mib;    /* of it below 4 GiB at most; 0: as the machine has it */
	enum layout_accel accel;
	enum layout_tee tee; /* with one, devices reach what the guest bounces for them, no more */
	char cmdline[LAYOUT_CMDLINE_MAX + 1]; /* of guest image, large BARs, settings; TCG's vCPUs */
	struct layout_device devices[LAYOUT_DEVICES_MAX];
	size_t device_count;
	struct layout_port ports[LAYOUT_PORTS_MAX];
	size_t port_count;
	enum layout_mode mode; /* of the passed devices: never LAYOUT_AUTO */
	struct layout_node nodes[LAYOUT_NODES_MAX];
	size_t node_count; /* 0: no NUMA */
	struct layout_bridge bridges[LAYOUT_BRIDGES_MAX];
	size_t bridge_count;
	struct layout_passed passed[LAYOUT_PASSED_MAX]; /* by the host's address */
	size_t passed_count;
};

/* The number of the bus below a bridge, or of the first root bus. */
static inline uint8_t layout_bus(const struct layout *layout, int bridge)
{
	return bridge == LAYOUT_NONE ? 0 : layout->bridges[bridge].bus;
}

/* Where the guest finds a passed device: a function of the layout alone. */
static inline struct pci_address layout_guest_address(const struct layout *layout, size_t passed)
{
	const struct layout_passed *device = &layout->passed[passed];

	return (struct pci_address){ .bus = layout->bridges[device->parent].bus,
				     .fn = device->function };
}

#endif
