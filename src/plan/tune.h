/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune - the bits of ports' ACS control that make the pod's own peer-to-peer traffic direct.
 *
 * With an IOMMU on, ports redirect requests (RR), and what one device writes to another goes up to the
 * root complex and down again. A request that its sender has had translated (ATS) need not: with
 * direct translated (DT) on in the port above the sender it turns round there. DT is all that is
 * set. Redirection stays on, which is what keeps devices apart; translation blocking (TB) stays as it is,
 * for who set it does not trust the device. (PCI Express Base 6.0, 6.12.3.)
 *
 * Other devices below such a port gain the same, for what the IOMMU has translated for them: nobody's
 * reach is larger for it (route/reach.h).
 */
#ifndef PLAN_TUNE_H
#define PLAN_TUNE_H

#include "machine/machine.h"
#include "plan/choose.h"
#include "route/reach.h"

enum { PLAN_TUNED_MAX = 64 };

struct plan_tuned {
	int port;
	uint16_t set; /* PCI_ACS_ bits */
	char why[ROUTE_TEXT];
};

/* By address of the first device that needs it; each port once. */
struct plan_tune {
	struct plan_tuned at[PLAN_TUNED_MAX];
	size_t count;
};

/*
 * For the devices that are given. What keeps a way from being direct all the same, and that there
 * is nothing to set, is in notes; more ports than PLAN_TUNED_MAX in reasons.
 */
void plan_tune(const struct machine *machine, const struct plan_choice *choice,
	       struct plan_tune *ret, struct plan_reasons *reasons, struct plan_reasons *notes);

#endif
