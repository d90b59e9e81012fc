/* SPDX-License-Identifier: Apache-2.0 */
/* together - asks whether two devices of a tree are in one group. */
#ifndef TESTS_ROUTE_TOGETHER_H
#define TESTS_ROUTE_TOGETHER_H

#include "route/groups.h"
#include "tree.h"

static inline bool together(const struct machine *machine, const struct route_groups *groups,
			    const char *a, const char *b)
{
	return groups->of[tree_find(machine, a)] == groups->of[tree_find(machine, b)];
}

static inline size_t members(const struct machine *machine, const struct route_groups *groups,
			     const char *at)
{
	return groups->groups[groups->of[tree_find(machine, at)]].members.count;
}

static inline bool certain(const struct machine *machine, const struct route_groups *groups,
			   const char *at)
{
	return groups->groups[groups->of[tree_find(machine, at)]].is_certain;
}

#endif
