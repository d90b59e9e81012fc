/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune - the ports whose ACS control makes the pod's own peer-to-peer traffic direct.
 *
 * With an IOMMU on, ports redirect requests (RR), and what one device writes to another goes up to
 * the root complex and down again. A request that its sender has had translated (ATS) need not:
 * with direct translated (DT) on in the port above the sender it turns round there, or a root port
 * passes it on. DT is all that is set. Redirection stays on, which is what keeps devices apart;
 * translation blocking (TB) stays as it is, for who set it does not trust the device. So the data
 * of a read still goes up where completions are redirected (CR), but for those with relaxed
 * ordering. (PCI Express Base 6.0, 6.12.3.)
 *
 * Any device below such a port gains the same, for what it says the IOMMU has translated for it: no
 * one looks at that again. Devices are trusted with that wherever ATS is on (route/reach.h).
 */
#ifndef PLAN_TUNE_H
#define PLAN_TUNE_H

#include "machine/machine.h"
#include "plan/choose.h"
#include "route/reach.h"

enum { PLAN_TUNED_MAX = 64 }; /* the rest stays as it is, and a note says so */

struct plan_tuned {
	int port; /* direct translated (PCI_ACS_DT) is set in it */
	char why[ROUTE_TEXT];
};

/* By address of the first device that needs it; each port once. */
struct plan_tune {
	struct plan_tuned at[PLAN_TUNED_MAX];
	size_t count;
};

/*
 * For the devices that are chosen, to all that are given. What keeps a way from being direct all
 * the same is in notes, and that there is nothing to set.
 */
void plan_tune(const struct machine *machine, const struct plan_choice *choice,
	       struct plan_tune *ret, struct plan_reasons *notes);

#endif
