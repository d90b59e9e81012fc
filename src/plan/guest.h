/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest - the machine that a layout will look like from inside, so that what is said of hosts
 * (classes, routes, matrices) can be said of it before it exists, and be compared when it does.
 */
#ifndef PLAN_GUEST_H
#define PLAN_GUEST_H

#include "base/arena.h"
#include "machine/machine.h"
#include "plan/choose.h"
#include "plan/layout.h"

/*
 * Bridges and passed devices, not the VM's own functions on bus 0. ret_passed (choice->given_count
 * of them) gets each passed device's index in it. All in the arena; 0 or -ENOMEM.
 */
int plan_guest(struct arena *arena, const struct machine *host, const struct plan_choice *choice,
	       const struct layout *layout, struct machine *ret, int *ret_passed);

#endif
