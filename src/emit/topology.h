/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology - a machine for people (a tree, a list of groups) and for programs (JSON).
 */
#ifndef EMIT_TOPOLOGY_H
#define EMIT_TOPOLOGY_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "machine/machine.h"

struct emit_topology_opts {
	bool has_colour; /* SGR sequences around what matters */
};

/*
 * The object of `casemate topology --format json` (casemate-topology(1)) but for "pairs", which
 * the caller adds: schema, machine, devices, groups (source "kernel"). What is unknown is null.
 * NULL if there is no memory. The caller's: json_decref().
 */
json_t *emit_topology_json(const struct machine *machine);

/* The tree, a line each; groups, a block each. 0 or -ENOMEM. */
int emit_topology_tree(const struct machine *machine, const struct emit_topology_opts *opts,
		       struct buf *ret);
int emit_topology_groups(const struct machine *machine, const struct emit_topology_opts *opts,
			 struct buf *ret);

#endif
