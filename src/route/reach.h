/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach - who can write to whose BARs behind the IOMMU's back, groups or not.
 *
 * The kernel puts two devices below two downstream ports without ACS into two groups, and yet a
 * request of the one with an address of the other never leaves the switch. So what counts here is
 * the way such a request takes, bit for bit with an IOMMU on (route/acs.h):
 *
 *	below one conventional bus	every device hears it
 *	functions of one device		inside, unless the requester's ACS redirects
 *	below two ports of a switch	in the switch, unless the port above the requester redirects
 *					requests (RR), with egress control (EC) off
 *	redirected, and on its way up	back at a port that does not forward upstream (UF)
 *	two root ports			the root complex, and so the IOMMU; but functions of one
 *					slot are one device, root ports too
 *
 * VFs are not functions of one slot in this sense: an SR-IOV device keeps its functions apart.
 * Requests that a device had translated by ATS are the IOMMU's word and not counted. Only
 * endpoints count, as requesters and as targets, and of targets those with a memory BAR.
 */
#ifndef ROUTE_REACH_H
#define ROUTE_REACH_H

#include "base/arena.h"
#include "machine/machine.h"

enum { ROUTE_TEXT = 240 }; /* bytes of a reason, its NUL included */

struct route_reach {
	int8_t direct; /* PCI_YES: past the IOMMU; PCI_UNKNOWN: the capture does not tell */
	int via;       /* where it turns round: a bridge; MACHINE_NONE: inside a device */
	/* "0000:21:00.0 reaches 0000:22:00.0 below switch port 0000:20:00.0, which has no ACS" */
	char text[ROUTE_TEXT];
};

/* A request of from with an address in a BAR of to; the same device is PCI_NO. */
void route_reach(const struct machine *machine, int from, int to, struct route_reach *ret);

/* A device outside a set and one inside, of which one reaches the other. */
struct route_contact {
	int device;	   /* the one outside */
	int member;	   /* the first one inside of which it holds, most certain first */
	int8_t is_inbound; /* PCI_YES: the one outside reaches the member; else the other way round */
	struct route_reach reach;
};

struct route_contacts {
	struct route_contact *at; /* by device, each once */
	size_t count;
};

/*
 * All devices outside a set that reach, or are reached by, a device of it, .reach.direct PCI_YES
 * or PCI_UNKNOWN: what has to be leased too, or the set refused. devices[] in any order. 0 or
 * -ENOMEM.
 */
int route_reach_set(struct arena *arena, const struct machine *machine, const int *devices,
		    size_t count, struct route_contacts *ret);

#endif
