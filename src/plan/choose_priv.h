/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose_priv - what the files of plan/choose.h share.
 *
 *	choose.c       which devices are close enough, and the best set of them
 *	choose_rest.c  what a set brings along: functions of its slots, its groups, who reaches it
 */
#ifndef PLAN_CHOOSE_PRIV_H
#define PLAN_CHOOSE_PRIV_H

#include "plan/choose.h"

struct plan_set {
	int at[LAYOUT_PASSED_MAX];
	size_t count;
	unsigned int cost; /* of all pairs */
	size_t held;
};

struct plan_chooser {
	const struct machine *machine;
	const struct plan_wish *wish;
	struct plan_reasons *reasons;
	struct plan_reasons *unknown;
	struct plan_far *far; /* of each device */
};

/* Why a device is not to be had, or NULL; of size bytes at ret, where the reason has words. */
const char *plan_choose_refusal(const struct plan_chooser *chooser, int index, char *ret,
				size_t size);

/* What all of a set's devices need, in order of address; reasons say what is in the way. -ENOMEM. */
int plan_choose_complete(const struct plan_chooser *chooser, const struct plan_set *set,
			 struct plan_choice *choice);

const char *plan_choose_address(const struct plan_chooser *chooser, int device, char *ret);

#endif
