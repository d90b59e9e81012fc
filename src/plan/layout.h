/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - the VM to build, decided in full: whoever emits it adds no choice of their own.
 *
 * A layout holds no path, name or number of a pod: two pods that ask for the same get the same
 * bytes. It is plain data with fixed tables, copied at will.
 */
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

enum {
	LAYOUT_DEVICES_MAX = 8,
	LAYOUT_PORTS_MAX = 4,
	LAYOUT_CMDLINE_MAX = 1023,
	LAYOUT_NAME_MAX = 31,
	LAYOUT_LUN_FIRST = 1,  /* of the layers, added once the guest is up */
	LAYOUT_LUN_LAST = 255, /* above, the guest would need another way of addressing */
};

#define LAYOUT_AGENT_PORT "casemate.agent"

enum layout_accel {
	LAYOUT_TCG,
	LAYOUT_KVM,
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
	LAYOUT_ROLE_FIRMWARE,
	LAYOUT_ROLE_BASE,  /* the base image, read-only */
	LAYOUT_ROLE_KVM,   /* with LAYOUT_KVM only */
	LAYOUT_ROLE_AGENT, /* one end of a stream socket each */
	LAYOUT_ROLE_QMP,
	LAYOUT_ROLE_CONSOLE,
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

struct layout {
	uint32_t vcpus;
	uint32_t memory_mib; /* all of the guest's, its own needs included */
	enum layout_accel accel;
	char cmdline[LAYOUT_CMDLINE_MAX + 1]; /* a function of guest image and accel-free settings */
	struct layout_device devices[LAYOUT_DEVICES_MAX];
	size_t device_count;
	struct layout_port ports[LAYOUT_PORTS_MAX];
	size_t port_count;
};

#endif
