/* SPDX-License-Identifier: Apache-2.0 */
/*
 * p2p - the way that a peer-to-peer access really takes, and why.
 *
 * For a device that a driver has told to read or write a BAR of another, with the addresses that
 * it is given: bus addresses without an IOMMU, I/O virtual ones with one (or bus addresses, in a
 * group of type "identity"), translated ones where the requester has ATS on. Which address goes
 * with which ACS bit where: PCI Express Base 6.0, 6.12.3 and 10.1.1.
 */
#ifndef ROUTE_P2P_H
#define ROUTE_P2P_H

#include <stdbool.h>

#include "machine/machine.h"
#include "route/class.h"
#include "route/reach.h"

enum route_way {
	ROUTE_WAY_UNKNOWN,
	ROUTE_DIRECT,	    /* in the switch, the device or the conventional bus that both share */
	ROUTE_ROOT_PORT,    /* up to the root port and down again, untouched by an IOMMU */
	ROUTE_ROOT_COMPLEX, /* from one root port to another, untouched by an IOMMU */
	ROUTE_IOMMU,	    /* up, through the IOMMU, and down again */
	ROUTE_BLOCKED,	    /* does not arrive */
	ROUTE_WAY_COUNT
};

struct route_p2p {
	enum route_way way;
	char reason[ROUTE_TEXT]; /* one line: which bits where */
};

/* "direct", "root-port", "root-complex", "iommu", "blocked"; NULL for ROUTE_WAY_UNKNOWN. */
const char *route_way_name(enum route_way way);

/* has_iommu: PCI_YES or PCI_NO; PCI_UNKNOWN answers only what is the same either way. */
void route_p2p(const struct machine *machine, int from, int to, int8_t has_iommu,
	       struct route_p2p *ret);

/*
 * The port that sends up what `from` has had translated for `to`, and would not with direct
 * translated on (PCI_ACS_DT), which it offers and is off: a switch's downstream port, where
 * requests turn round then, or a root port, which passes them on without the root complex's check.
 * (PCI Express Base 6.0, 6.12.1.1 and 6.12.3.) For an IOMMU that is on; ATS counts as on where
 * the machine does not say that it stays off. MACHINE_NONE where there is no such port; ret_why
 * then says what keeps requests from being direct, or is "" where no port sends them up.
 */
int route_p2p_redirector(const struct machine *machine, int from, int to, char ret_why[ROUTE_TEXT]);

/* Two devices, by both ways. */
struct route_pair {
	int a, b; /* a < b */
	enum route_class class;
	struct route_p2p there; /* a's requests to b */
	struct route_p2p back;	/* b's to a */
};

/*
 * Walks the pairs of GPUs and NICs, or with is_all those of all endpoints, each once, by a, then
 * by b, with the IOMMU as the machine has it:
 *
 *	struct route_pairs pairs = { .machine = machine };
 *
 *	while (route_pairs_next(&pairs, &pair))
 */
struct route_pairs {
	const struct machine *machine;
	bool is_all;
	int a, b; /* the walk's own, 0 at first */
};

bool route_pairs_next(struct route_pairs *pairs, struct route_pair *ret);

/* True if the device takes part in such a walk. */
bool route_pairs_has(const struct machine *machine, int device, bool is_all);

#endif
