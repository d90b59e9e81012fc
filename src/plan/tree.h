/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - the guest's PCI Express tree below which the given devices appear.
 *
 * LAYOUT_REPLICATE: the smallest tree that keeps every pairwise relation (route/class.h) among
 * them:
 *
 *	a pxb-pcie for each host root complex that has one (not for each NUMA node: two root
 *	complexes of one node would look like one)
 *	a switch for each host switch with two or more of them below, nested as on the host
 *	below such a switch, one switch for every run of host switches that would otherwise
 *	vanish: without it "several switches" would read as "one switch"
 *
 * A bridge to conventional PCI counts as a switch. Functions of one slot stay functions of one
 * slot, from function 0 on; the VFs of a PF, which are on its slot, get ports of one switch.
 *
 * LAYOUT_FLATTEN: a root port on bus 0 for each slot.
 *
 * Every port is below a root port or a switch, never an endpoint on a root bus: there a device
 * becomes integrated into the root complex and its link is gone.
 */
#ifndef PLAN_TREE_H
#define PLAN_TREE_H

#include "machine/machine.h"
#include "plan/choose.h"
#include "plan/layout.h"
#include "plan/reasons.h"

enum {
	PLAN_PORT_SLOT_FIRST = 8, /* on bus 0: what is below is for devices of our own */
	PLAN_PORT_SLOT_LAST = 29, /* 30 and 31 are the chipset's */
};

/*
 * mode LAYOUT_AUTO: replicate if two of the devices could talk to each other (GPUs, NICs, NVMe
 * disks), else flatten. Fills bridges, passed, mode; bridges' .node is an index into the nodes
 * that plan_nodes() makes of the same choice. No more than a layout holds, or slots and buses
 * allow, in reasons.
 */
void plan_tree(const struct machine *machine, const struct plan_choice *choice,
	       enum layout_mode mode, struct layout *layout, struct plan_reasons *reasons);

/*
 * Who may talk to whom: BARs are mapped for the others' DMA, and NVIDIA's GPUs are approved as one
 * clique, if has_peers. A clique asserts, it does not test: that every two of them reach each other
 * (route/p2p.h) is asked here first, and without that none is approved.
 */
void plan_peers(const struct machine *machine, const struct plan_choice *choice, bool has_peers,
		struct layout *layout);

#endif
