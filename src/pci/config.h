/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - a PCI function's configuration space, decoded.
 *
 *	struct pci_config config;
 *
 *	pci_config_decode((struct bytes){ at, len }, &config);
 *	if (config.acs.present == PCI_YES && config.acs.ctrl & PCI_ACS_RR)
 *
 * The space may be cut: the kernel shows 64 bytes to ordinary users, old dumps hold 256 of 4096.
 * What lies behind the cut is unknown, which is never the same as absent. One convention, here
 * and in machine/: every number that can be unknown is signed, and -1 (PCI_UNKNOWN) says so;
 * a yes or no is PCI_UNKNOWN, PCI_NO or PCI_YES; a text that is unknown is NULL. Fields of a
 * capability that is not PCI_YES present are all PCI_UNKNOWN.
 *
 * Layout: PCI Express Base Specification 6.0, chapter 7; PCI Local Bus 3.0, chapter 6; PCI-to-PCI
 * Bridge Architecture 1.2, chapter 3.
 */
#ifndef PCI_CONFIG_H
#define PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
	PCI_UNKNOWN = -1,
	PCI_NO = 0,
	PCI_YES = 1,
};

enum {
	PCI_CONFIG_SIZE = 4096, /* bytes of a whole one; what is beyond is not looked at */
	PCI_BAR_COUNT = 6,
	PCI_CAPS_MAX = 48,	/* capabilities of one list: 192 bytes hold no more */
	PCI_EXT_CAPS_MAX = 480, /* and 3840 bytes no more than so many of 8 */
};

/* Values of pci_express.type. */
enum pci_express_type {
	PCI_ENDPOINT = 0,
	PCI_LEGACY_ENDPOINT = 1,
	PCI_ROOT_PORT = 4,
	PCI_UPSTREAM_PORT = 5,
	PCI_DOWNSTREAM_PORT = 6,
	PCI_EXPRESS_TO_PCI = 7,
	PCI_PCI_TO_EXPRESS = 8,
	PCI_RC_ENDPOINT = 9, /* integrated into the root complex */
	PCI_RC_EVENT_COLLECTOR = 10,
};

/* Bits of pci_acs.cap and .ctrl. */
enum {
	PCI_ACS_SV = 1 << 0, /* source validation */
	PCI_ACS_TB = 1 << 1, /* translation blocking */
	PCI_ACS_RR = 1 << 2, /* peer-to-peer request redirect */
	PCI_ACS_CR = 1 << 3, /* completion redirect */
	PCI_ACS_UF = 1 << 4, /* upstream forwarding */
	PCI_ACS_EC = 1 << 5, /* egress control */
	PCI_ACS_DT = 1 << 6, /* direct translated peer-to-peer */
};

/* A base address register, or a range behind one. A 64-bit one takes two indexes. */
struct pci_bar {
	int8_t index; /* 0 to 5; -1: none here, and nothing else holds */
	int8_t is_io; /* PCI_YES, PCI_NO */
	int8_t bits;  /* 32 or 64; I/O: 32 */
	int8_t prefetchable;
	int64_t start; /* bus address (of config space), CPU address (of sysfs) */
	int64_t size;  /* bytes; config space alone does not tell: PCI_UNKNOWN */
};

/* What a bridge passes on: [base, limit], both inside; a closed window has base > limit. */
struct pci_window {
	int64_t base, limit;
};

struct pci_bridge {
	int8_t present; /* header type 1 */
	int16_t primary, secondary, subordinate;
	struct pci_window io, memory, prefetch; /* io: within 16 or 32 bits */
};

/* Speeds in MT/s of one lane: 2500, 5000, 8000, 16000, 32000, 64000. Widths in lanes; 0: down. */
struct pci_link {
	int32_t speed, width;
	int32_t max_speed, max_width;
};

struct pci_express {
	int8_t present;
	int8_t type;  /* enum pci_express_type */
	int8_t slot;  /* a port with a slot behind it */
	int16_t port; /* number of the port, of link capabilities */
	struct pci_link link;
};

struct pci_acs {
	int8_t present;
	int32_t cap, ctrl; /* PCI_ACS_ bits, as they stand */
	bool is_dwords; /* the registers of Intel's 100 and 200 series root ports, 32 bits each */
};

struct pci_ats {
	int8_t present;
	int8_t enabled;
	int8_t queue_depth; /* invalidations; 32: as the register's 0 means */
};

struct pci_pasid {
	int8_t present;
	int8_t enabled;
	int8_t width; /* bits of a PASID */
};

struct pci_sriov {
	int8_t present; /* of a physical function */
	int8_t enabled;
	int32_t total, num, offset, stride;
	int32_t vf_device; /* the device ID of its VFs */
};

/* NVIDIA's peer-to-peer approval for virtual machines, a vendor-specific capability. */
struct pci_p2p {
	int8_t present;
	int8_t clique; /* 0 to 15 */
	int16_t at;    /* its offset */
};

struct pci_config {
	int32_t vendor, device;
	int32_t subvendor, subdevice; /* of a bridge: of its capability, if it has one */
	int32_t class_code;	      /* 24 bits: class, subclass, programming interface */
	int16_t revision;
	int32_t command, status;
	int8_t header_type; /* 0 endpoint, 1 bridge, 2 CardBus */
	int8_t is_multifunction;
	struct pci_bar bars[PCI_BAR_COUNT]; /* by index; the upper half of a 64-bit one is none */
	struct pci_bridge bridge;
	struct pci_express express;
	struct pci_acs acs;
	struct pci_ats ats;
	struct pci_pasid pasid;
	struct pci_sriov sriov;
	struct pci_p2p p2p;
	bool is_broken; /* a list of capabilities that loops or leaves the space: the rest unread */
};

/* All of it unknown. */
void pci_config_init(struct pci_config *config);

/*
 * Decodes as much as there is, from 0 to PCI_CONFIG_SIZE bytes; nothing is too broken for it. A
 * space of all ones (a function that is gone, or asleep) leaves all unknown.
 */
void pci_config_decode(struct bytes space, struct pci_config *ret);

/* True for a port whose ACS registers are 32 bits wide, against the specification. */
bool pci_config_acs_is_dwords(int32_t vendor, int32_t device);

#endif
