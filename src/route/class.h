/* SPDX-License-Identifier: Apache-2.0 */
/*
 * class - how far apart two devices are, in the words of `nvidia-smi topo -m` and NCCL.
 *
 *	PIX	at most one switch (or other bridge) between them
 *	PXB	several, and no host bridge
 *	PHB	the same host bridge: the root bus is the lowest that is above both
 *	NODE	different host bridges, the same NUMA node
 *	SYS	different NUMA nodes
 *
 * A switch counts once, whatever number of its ports is on the way: it is its upstream port that
 * is counted, also where the two ways meet in it. A root port and the downstream ports are doors,
 * not rooms: they count nothing. So the switch on a card (an upstream and a downstream port in
 * front of a GPU) counts like any other: two such cards below one switch are PXB. Bridges to PCI,
 * and conventional ones, count one each. These are the legend of nvidia-smi(1) ("at most a single
 * PCIe bridge") and what NCCL's graph/xml.cc and graph/paths.cc come to, which climbs two
 * components of a sysfs path at a time, a switch, and says PXB of a way with two; on trees where
 * ports do not come in pairs NCCL loses count, and this does not.
 *
 * Functions of one slot are PIX, also on a root bus. A VF is where its PF is. Two devices below
 * different host bridges whose nodes the machine does not tell are unknown, unless it has only
 * one node.
 */
#ifndef ROUTE_CLASS_H
#define ROUTE_CLASS_H

#include "machine/machine.h"

enum route_class {
	ROUTE_UNKNOWN,
	ROUTE_PIX,
	ROUTE_PXB,
	ROUTE_PHB,
	ROUTE_NODE,
	ROUTE_SYS,
	ROUTE_CLASS_COUNT
};

/* Of two of machine->devices; the order does not matter. */
enum route_class route_class(const struct machine *machine, int a, int b);

/* "PIX" to "SYS"; NULL for ROUTE_UNKNOWN. */
const char *route_class_name(enum route_class class);

/*
 * Switches and other bridges on the way, counted as above; -1 where it leads over the root bus
 * (ROUTE_PHB and beyond).
 */
int route_switches(const struct machine *machine, int a, int b);

/* Where a device is: the PF of a VF, else itself. */
int route_place(const struct machine *machine, int device);

/*
 * The lowest bridge that is above both, or is one of them; MACHINE_NONE where only a root bus, or
 * nothing, is. VFs are taken as they are.
 */
int route_common(const struct machine *machine, int a, int b);

#endif
