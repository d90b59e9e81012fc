/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn - where a request of one endpoint with an address of another's could turn round first, and
 * what is above.
 */
#ifndef ROUTE_TURN_PRIV_H
#define ROUTE_TURN_PRIV_H

#include "machine/machine.h"
#include "route/acs.h"

enum route_turn_kind {
	ROUTE_TURN_NOWHERE, /* one device */
	ROUTE_TURN_BUS,	    /* a conventional bus behind .bridge */
	ROUTE_TURN_DEVICE,  /* a device of several functions; .port: the requester's */
	ROUTE_TURN_SWITCH,  /* .bridge: its upstream port, .port: the downstream one it comes by */
	ROUTE_TURN_UP,	    /* kept apart in one device, as VFs are: it leaves by the port above */
	ROUTE_TURN_UNKNOWN, /* at .bridge, of which it is not known what it is */
	ROUTE_TURN_ROOT,    /* the host bridge that both are below */
	ROUTE_TURN_ROOTS,   /* from one host bridge to another */
};

struct route_turn {
	enum route_turn_kind kind;
	int bridge; /* the lowest above both; MACHINE_NONE: none */
	int port;   /* whose ACS decides; MACHINE_NONE */
};

struct route_turn route_turn(const struct machine *machine, int from, int to);

/*
 * PCI_NO if the request turns round there; PCI_YES if it is sent upwards. Egress control depends
 * on a table that is not in a machine: unknown.
 */
int8_t route_turn_redirects(const struct machine *machine, const struct route_turn *turn,
			    enum route_when when);

/*
 * Redirected, the request goes up from .bridge. The first port that it comes to by which its
 * target is reached from above, and that does not (PCI_NO in *ret_forwards) or perhaps not
 * (PCI_UNKNOWN) forward it upstream; MACHINE_NONE, and PCI_YES, if there is none. Root ports only
 * if is_to_root.
 */
int route_turn_above(const struct machine *machine, const struct route_turn *turn,
		     enum route_when when, bool is_to_root, int8_t *ret_forwards);

/* PCI_YES for what has a memory BAR, PCI_UNKNOWN where BARs are not known. */
int8_t route_has_memory(const struct machine *machine, int device);

/* True for what neither passes on nor forwards: a requester and target of its own. */
bool route_is_endpoint(const struct machine *machine, int device);

#endif
