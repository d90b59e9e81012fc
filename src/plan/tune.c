// SPDX-License-Identifier: Apache-2.0
#include "plan/tune.h"

#include <stdio.h>

#include "route/p2p.h"

static bool has_port(const struct plan_tune *tune, int port)
{
	for (size_t i = 0; i < tune->count; i++)
		if (tune->at[i].port == port)
			return true;
	return false;
}

static void add_port(const struct machine *machine, int port, int from, int to,
		     struct plan_tune *tune, struct plan_reasons *notes)
{
	const bool is_root = machine->devices[port].kind == MACHINE_ROOT_PORT;
	char theirs[PCI_ADDRESS_TEXT], text[PCI_ADDRESS_TEXT];
	struct plan_tuned *tuned;

	if (has_port(tune, port))
		return;
	if (tune->count == PLAN_TUNED_MAX) {
		plan_reasons_add(notes, ERR_OTHER, "the ACS of %d ports is changed, and no more",
				 PLAN_TUNED_MAX);
		return;
	}
	tuned = &tune->at[tune->count++];
	tuned->port = port;
	(void)snprintf(tuned->why, sizeof(tuned->why), "what %s has had translated for %s %s there",
		       pci_address_format(machine->devices[from].address, text),
		       pci_address_format(machine->devices[to].address, theirs),
		       is_root ? "is passed on" : "turns round");
}

void plan_tune(const struct machine *machine, const struct plan_choice *choice,
	       struct plan_tune *ret, struct plan_reasons *notes)
{
	char why[ROUTE_TEXT];

	ret->count = 0;
	for (size_t i = 0; i < choice->given_count; i++) {
		for (size_t j = 0; j < choice->given_count; j++) {
			const int from = choice->given[i].device, to = choice->given[j].device;
			int port;

			if (i == j || choice->given[i].part == PLAN_COMPANION)
				continue;
			port = route_p2p_redirector(machine, from, to, why);
			if (port != MACHINE_NONE)
				add_port(machine, port, from, to, ret, notes);
			else if (why[0])
				plan_reasons_add(notes, ERR_OTHER, "%s", why);
		}
	}
	if (ret->count == 0)
		plan_reasons_add(notes, ERR_OTHER,
				 "no port's ACS is to be changed for these devices");
}
