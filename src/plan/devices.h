/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices - the part of a plan that is about the host's devices.
 *
 *	r = plan_make(&request, &plan->layout, err);
 *	if (r == 0 && !plan_wish_is_empty(&wish))
 *		r = plan_devices(machine, &wish, plan);
 *	if (r == 0)
 *		r = plan_reasons_err(&plan->reasons, err);
 *
 * A plan is feasible if it has no reasons. What is unknown is no reason on paper; who would run
 * it has to refuse it.
 */
#ifndef PLAN_DEVICES_H
#define PLAN_DEVICES_H

#include "machine/machine.h"
#include "plan/choose.h"
#include "plan/layout.h"
#include "plan/reasons.h"
#include "plan/space.h"
#include "plan/tune.h"

struct plan {
	struct layout layout;
	struct plan_choice choice; /* given[i] is layout.passed[i] */
	struct plan_space space;
	struct plan_tune tune; /* empty if not wished for */
	struct plan_reasons reasons;
	struct plan_reasons unknown;
	struct plan_reasons notes; /* what is as it is for a reason; the code says nothing */
};

/* Adds devices to plan->layout, which plan_make() has made. 0 or -ENOMEM. */
int plan_devices(const struct machine *machine, const struct plan_wish *wish, struct plan *plan);

/*
 * The guest's NUMA nodes: one for each of the host's that a PXB of the layout stands for, with
 * equal parts of memory and vCPUs. A node without memory is none; one with too little is a reason.
 */
void plan_nodes(const struct machine *machine, const struct plan_choice *choice,
		struct layout *layout, struct plan_reasons *reasons);

#endif
