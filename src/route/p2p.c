// SPDX-License-Identifier: Apache-2.0
#include "route/p2p.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "route/turn_priv.h"

static const char *const names[] = {
	[ROUTE_WAY_UNKNOWN] = NULL,	 [ROUTE_DIRECT] = "direct",
	[ROUTE_ROOT_PORT] = "root-port", [ROUTE_ROOT_COMPLEX] = "root-complex",
	[ROUTE_IOMMU] = "iommu",	 [ROUTE_BLOCKED] = "blocked",
};
static_assert(ARRAY_SIZE(names) == ROUTE_WAY_COUNT, "a name for each way");

const char *route_way_name(enum route_way way)
{
	return names[way];
}

/* What is asked, and the facts that decide it. */
struct ask {
	const struct machine *machine;
	int from, to;
	struct route_turn turn;
	enum route_when when;
	int8_t redirects;
	char turns_in[64];	     /* where: "switch 0000:01:00.0" */
	char port[PCI_ADDRESS_TEXT]; /* whose ACS decides */
	struct route_p2p *ret;
};

static void say(const struct ask *ask, enum route_way way, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void say(const struct ask *ask, enum route_way way, const char *fmt, ...)
{
	va_list args;

	ask->ret->way = way;
	va_start(args, fmt);
	(void)vsnprintf(ask->ret->reason, sizeof(ask->ret->reason), fmt, args);
	va_end(args);
}

static void address_of(const struct machine *machine, int device, char *ret)
{
	(void)pci_address_format(machine->devices[device].address, ret);
}

/* The place where it could turn round, in words. */
static void name_turn(struct ask *ask)
{
	char at[PCI_ADDRESS_TEXT] = "";

	if (ask->turn.port != MACHINE_NONE)
		address_of(ask->machine, ask->turn.port, ask->port);
	if (ask->turn.bridge != MACHINE_NONE)
		address_of(ask->machine, ask->turn.bridge, at);
	switch (ask->turn.kind) {
	case ROUTE_TURN_BUS:
		(void)snprintf(ask->turns_in, sizeof(ask->turns_in), "the bus behind %s", at);
		break;
	case ROUTE_TURN_DEVICE:
		(void)snprintf(ask->turns_in, sizeof(ask->turns_in), "the device of %s", ask->port);
		break;
	case ROUTE_TURN_SWITCH:
		(void)snprintf(ask->turns_in, sizeof(ask->turns_in), "switch %s", at);
		break;
	case ROUTE_TURN_UNKNOWN:
		(void)snprintf(ask->turns_in, sizeof(ask->turns_in), "bridge %s", at);
		break;
	case ROUTE_TURN_NOWHERE:
	case ROUTE_TURN_UP:
	case ROUTE_TURN_ROOT:
	case ROUTE_TURN_ROOTS:
		break;
	}
}

/* "ACS off at 0000:21:00.0", or what else keeps a request from being redirected. */
static const char *why_open(const struct ask *ask)
{
	const struct machine_device *port = &ask->machine->devices[ask->turn.port];

	if (ask->turn.kind == ROUTE_TURN_BUS)
		return "every device on it hears the request";
	return port->acs.present == PCI_NO ? "no ACS" : "ACS request redirect off";
}

/* The first port above a device that blocks translated requests, else that perhaps does. */
static int translation_blocker(const struct machine *machine, int device, enum route_when when,
			       int8_t *ret_blocks)
{
	int found = MACHINE_NONE;

	*ret_blocks = PCI_NO;
	for (int port = machine->devices[device].parent;
	     port != MACHINE_NONE && *ret_blocks != PCI_YES; port = machine->devices[port].parent) {
		const int8_t blocks = route_acs(machine, port, PCI_ACS_TB, when);

		if (blocks == PCI_NO || (blocks == PCI_UNKNOWN && found != MACHINE_NONE))
			continue;
		*ret_blocks = blocks;
		found = port;
	}
	return found;
}

/*
 * Are its requests translated before they are sent? ATS on in the requester, and no port on its
 * way up blocks translated requests.
 */
static int8_t sends_translated(const struct ask *ask)
{
	const struct pci_ats *ats = &ask->machine->devices[ask->from].ats;
	int8_t blocks;

	if (ats->present != PCI_YES)
		return ats->present;
	if (ats->enabled != PCI_YES)
		return ats->enabled;
	(void)translation_blocker(ask->machine, ask->from, ask->when, &blocks);
	return blocks == PCI_UNKNOWN ? PCI_UNKNOWN : !blocks;
}

/* The type of a device's group: "DMA", "identity"; NULL if it is not known. */
static const char *group_type(const struct machine *machine, int device)
{
	const int group = machine->devices[device].group;

	return group == MACHINE_NONE ? NULL : machine->groups[group].type;
}

/* In a group whose addresses are the bus's own, an IOMMU changes none. */
static bool is_identity(const struct ask *ask)
{
	const char *type = group_type(ask->machine, ask->from);

	return type && strcmp(type, "identity") == 0;
}

/*
 * With the target's own bus address, redirected: up, if every switch port on the way forwards it.
 * True if it was said that one may not.
 */
static bool stops_below_root(const struct ask *ask)
{
	char name[PCI_ADDRESS_TEXT];
	int8_t forwards;
	int port = route_turn_above(ask->machine, &ask->turn, ask->when, false, &forwards);

	if (forwards == PCI_YES)
		return false;
	address_of(ask->machine, port, name);
	say(ask, ROUTE_WAY_UNKNOWN,
	    forwards == PCI_NO
		    ? "redirected, it comes to port %s, which does not forward upstream: "
		      "sent down again or dropped, as that switch does"
		    : "redirected, it comes to port %s, whose upstream forwarding is not "
		      "known",
	    name);
	return true;
}

/* Up and down again, with an address that needs no translation. */
static void say_up(const struct ask *ask, const char *why)
{
	if (stops_below_root(ask))
		return;
	if (ask->turn.bridge == MACHINE_NONE)
		say(ask, ROUTE_ROOT_COMPLEX, "%s: through the root complex, if it forwards", why);
	else
		say(ask, ROUTE_ROOT_PORT, "%s: up to the root port and down again, if it forwards",
		    why);
}

/* Below different root ports, or different host bridges. */
static void decide_over_root(const struct ask *ask, int8_t has_iommu, int8_t translated)
{
	const char *what = ask->turn.kind == ROUTE_TURN_ROOTS ? "different host bridges"
							      : "different root ports";

	if (has_iommu == PCI_NO)
		say(ask, ROUTE_ROOT_COMPLEX,
		    "%s, no IOMMU: through the root complex, if it "
		    "forwards",
		    what);
	else if (translated == PCI_YES)
		say(ask, ROUTE_ROOT_COMPLEX,
		    "%s; ATS on in the requester: through the root complex, translated already",
		    what);
	else if (translated == PCI_UNKNOWN)
		say(ask, ROUTE_WAY_UNKNOWN,
		    "%s; through the root complex, and whether the IOMMU translates there or the "
		    "requester's ATS did is not known",
		    what);
	else
		say(ask, ROUTE_IOMMU, "%s: through the IOMMU, where the BAR is mapped", what);
}

static void decide_without_iommu(const struct ask *ask)
{
	if (ask->redirects == PCI_NO)
		say(ask, ROUTE_DIRECT, "no IOMMU; turns round in %s: %s", ask->turns_in,
		    why_open(ask));
	else if (ask->redirects == PCI_UNKNOWN)
		say(ask, ROUTE_WAY_UNKNOWN, "no IOMMU; whether %s sends it up is not known",
		    ask->turns_in);
	else if (ask->turn.kind == ROUTE_TURN_UP)
		say_up(ask, "no IOMMU; the functions are kept apart");
	else
		say_up(ask, "no IOMMU; ACS redirects requests");
}

/* Direct translated goes before redirection, and before egress control. */
static void decide_translated(const struct ask *ask)
{
	int8_t direct = PCI_NO;

	if (ask->redirects == PCI_NO) {
		say(ask, ROUTE_DIRECT, "ATS on in the requester; turns round in %s: %s",
		    ask->turns_in, why_open(ask));
		return;
	}
	if (ask->turn.kind != ROUTE_TURN_UP)
		direct = route_acs(ask->machine, ask->turn.port, PCI_ACS_DT, ask->when);
	if (direct != PCI_YES && ask->redirects == PCI_UNKNOWN) {
		say(ask, ROUTE_WAY_UNKNOWN,
		    "ATS on in the requester; whether %s sends it up is "
		    "not known",
		    ask->turns_in);
		return;
	}
	if (direct == PCI_YES)
		say(ask, ROUTE_DIRECT,
		    "ATS on in the requester, direct translated on at %s, translation blocking "
		    "off: turns round in %s",
		    ask->port, ask->turns_in);
	else if (direct == PCI_UNKNOWN)
		say(ask, ROUTE_WAY_UNKNOWN,
		    "ATS on in the requester; direct translated at %s is not known", ask->port);
	else
		say_up(ask, "ATS on in the requester, direct translated off");
}

static void decide_with_iommu(const struct ask *ask, int8_t translated)
{
	if (translated == PCI_YES) {
		decide_translated(ask);
	} else if (is_identity(ask) && ask->redirects == PCI_NO) {
		say(ask, ROUTE_DIRECT, "addresses pass the IOMMU unchanged; turns round in %s: %s",
		    ask->turns_in, why_open(ask));
	} else if (translated == PCI_UNKNOWN || (is_identity(ask) && ask->redirects != PCI_YES)) {
		say(ask, ROUTE_WAY_UNKNOWN, "%s is not known",
		    translated == PCI_UNKNOWN ? "whether the requester sends translated addresses"
					      : "whether ACS redirects requests");
	} else if (ask->redirects == PCI_YES) {
		say(ask, ROUTE_IOMMU, "%s: up, through the IOMMU where the BAR is mapped, and down",
		    ask->turn.kind == ROUTE_TURN_UP ? "the functions are kept apart"
						    : "ACS redirects requests");
	} else if (ask->redirects == PCI_NO) {
		say(ask, ROUTE_IOMMU,
		    "up, through the IOMMU, and down; but an address that equals one below %s "
		    "goes there: %s",
		    ask->turns_in, why_open(ask));
	} else {
		say(ask, ROUTE_IOMMU,
		    "up, through the IOMMU, and down; whether %s redirects "
		    "other addresses is not known",
		    ask->turns_in);
	}
}

static void decide(const struct machine *machine, int from, int to, int8_t has_iommu,
		   struct route_p2p *ret)
{
	struct ask ask = { .machine = machine, .from = from, .to = to, .ret = ret };
	int8_t translated;

	ask.when = has_iommu == PCI_YES ? ROUTE_WITH_IOMMU : ROUTE_NO_IOMMU;
	ask.turn = route_turn(machine, from, to);
	ask.redirects = route_turn_redirects(machine, &ask.turn, ask.when);
	name_turn(&ask);
	translated = has_iommu == PCI_YES ? sends_translated(&ask) : PCI_NO;
	if (ask.turn.kind == ROUTE_TURN_NOWHERE)
		say(&ask, ROUTE_WAY_UNKNOWN, "not two endpoints");
	else if (route_has_memory(machine, to) == PCI_NO)
		say(&ask, ROUTE_BLOCKED, "the target has no memory BAR");
	else if (ask.turn.kind == ROUTE_TURN_ROOT || ask.turn.kind == ROUTE_TURN_ROOTS)
		decide_over_root(&ask, has_iommu, translated);
	else if (ask.turn.kind == ROUTE_TURN_UNKNOWN)
		say(&ask, ROUTE_WAY_UNKNOWN, "what %s is, is not known", ask.turns_in);
	else if (has_iommu == PCI_YES)
		decide_with_iommu(&ask, translated);
	else
		decide_without_iommu(&ask);
}

void route_p2p(const struct machine *machine, int from, int to, int8_t has_iommu,
	       struct route_p2p *ret)
{
	struct route_p2p with;

	if (has_iommu != PCI_UNKNOWN) {
		decide(machine, from, to, has_iommu, ret);
		return;
	}
	decide(machine, from, to, PCI_NO, ret);
	decide(machine, from, to, PCI_YES, &with);
	if (ret->way == with.way)
		return;
	if (ret->way == ROUTE_WAY_UNKNOWN || with.way == ROUTE_WAY_UNKNOWN)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			       "whether an IOMMU is on is not known");
	else
		(void)snprintf(ret->reason, sizeof(ret->reason),
			       "whether an IOMMU is on is not known: %s without one, %s with one",
			       names[ret->way], names[with.way]);
	ret->way = ROUTE_WAY_UNKNOWN;
}

static void explain(char ret_why[ROUTE_TEXT], const char *fmt, ...) PRINTF_LIKE(2, 3);

static void explain(char ret_why[ROUTE_TEXT], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(ret_why, ROUTE_TEXT, fmt, args);
	va_end(args);
}

/* Why a requester would have nothing translated, or what it had would not get through; or "". */
static void explain_untranslated(const struct machine *machine, int from, char ret_why[ROUTE_TEXT])
{
	const struct pci_ats *ats = &machine->devices[from].ats;
	const char *type = group_type(machine, from);
	char name[PCI_ADDRESS_TEXT];
	int8_t blocks;
	int port;

	address_of(machine, from, name);
	if (ats->present == PCI_NO) {
		explain(ret_why, "%s has no ATS: its requests go up to the IOMMU", name);
	} else if (ats->present != PCI_YES) {
		explain(ret_why, "whether %s has ATS is not known", name);
	} else if (machine->limits.cmdline && strstr(machine->limits.cmdline, "noats")) {
		explain(ret_why, "ATS is off for all: the kernel was told pci=noats");
	} else if (machine->limits.has_iommu == PCI_YES && ats->enabled == PCI_NO && type &&
		   strcmp(type, "identity") != 0) {
		/* in another domain than this one it is on, if it can be; that of a pod is like it */
		explain(ret_why, "ATS of %s is off: its requests go up to the IOMMU", name);
	} else {
		port = translation_blocker(machine, from, ROUTE_WITH_IOMMU, &blocks);
		if (port == MACHINE_NONE)
			return;
		address_of(machine, port, name);
		explain(ret_why,
			blocks == PCI_YES
				? "port %s blocks translated requests"
				: "whether port %s blocks translated requests is not known",
			name);
	}
}

/* Why that port is not the one; or "". */
static void explain_port(const struct machine *machine, int port, char ret_why[ROUTE_TEXT])
{
	const struct pci_acs *acs = &machine->devices[port].acs;
	const int8_t redirects = route_acs(machine, port, PCI_ACS_RR, ROUTE_WITH_IOMMU);
	const int8_t egress = route_acs(machine, port, PCI_ACS_EC, ROUTE_WITH_IOMMU);
	char name[PCI_ADDRESS_TEXT];

	address_of(machine, port, name);
	if (acs->present == PCI_NO || (acs->cap >= 0 && !(acs->cap & PCI_ACS_DT)))
		explain(ret_why, "port %s has no direct translated in its ACS", name);
	else if (acs->present != PCI_YES || acs->cap < 0 || acs->ctrl < 0 ||
		 (redirects != PCI_YES && egress != PCI_YES))
		explain(ret_why, "what the ACS of port %s does is not known", name);
	else if (acs->ctrl & PCI_ACS_DT)
		explain(ret_why, "direct translated is on at port %s already", name);
}

int route_p2p_redirector(const struct machine *machine, int from, int to, char ret_why[ROUTE_TEXT])
{
	const struct route_turn turn = route_turn(machine, from, to);
	char theirs[2][PCI_ADDRESS_TEXT];

	ret_why[0] = '\0';
	if (route_has_memory(machine, to) == PCI_NO)
		return MACHINE_NONE;
	address_of(machine, from, theirs[0]);
	address_of(machine, to, theirs[1]);
	if (turn.kind == ROUTE_TURN_ROOTS)
		explain(ret_why, "between %s and %s, below different host bridges, no port decides",
			theirs[0], theirs[1]);
	if ((turn.kind == ROUTE_TURN_UP || turn.kind == ROUTE_TURN_DEVICE) &&
	    route_turn_redirects(machine, &turn, ROUTE_WITH_IOMMU) == PCI_YES)
		explain(ret_why, "%s and %s are of one device, which keeps them apart", theirs[0],
			theirs[1]);
	if ((turn.kind != ROUTE_TURN_SWITCH && turn.kind != ROUTE_TURN_ROOT) ||
	    route_is_endpoint(machine, turn.port) ||
	    (route_acs(machine, turn.port, PCI_ACS_RR, ROUTE_WITH_IOMMU) == PCI_NO &&
	     route_acs(machine, turn.port, PCI_ACS_EC, ROUTE_WITH_IOMMU) == PCI_NO))
		return MACHINE_NONE;
	explain_untranslated(machine, from, ret_why);
	if (!ret_why[0])
		explain_port(machine, turn.port, ret_why);
	return ret_why[0] ? MACHINE_NONE : turn.port;
}

bool route_pairs_has(const struct machine *machine, int device, bool is_all)
{
	enum machine_kind kind = machine->devices[device].kind;

	return is_all ? route_is_endpoint(machine, device)
		      : kind == MACHINE_GPU || kind == MACHINE_NIC;
}

bool route_pairs_next(struct route_pairs *pairs, struct route_pair *ret)
{
	const struct machine *machine = pairs->machine;
	int count = (int)machine->device_count;

	for (; pairs->a < count; pairs->a++, pairs->b = 0) {
		if (!route_pairs_has(machine, pairs->a, pairs->is_all))
			continue;
		if (pairs->b <= pairs->a)
			pairs->b = pairs->a;
		while (++pairs->b < count) {
			if (!route_pairs_has(machine, pairs->b, pairs->is_all))
				continue;
			ret->a = pairs->a;
			ret->b = pairs->b;
			ret->class = route_class(machine, ret->a, ret->b);
			route_p2p(machine, ret->a, ret->b, machine->limits.has_iommu, &ret->there);
			route_p2p(machine, ret->b, ret->a, machine->limits.has_iommu, &ret->back);
			return true;
		}
	}
	return false;
}
