/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairs - what there is between devices: for programs (JSON) and as a matrix for people.
 *
 *	json_t *topology = emit_topology_json(machine);
 *
 *	r = emit_pairs_json(machine, false, &pairs);
 *	json_object_set_new(topology, "pairs", pairs);
 */
#ifndef EMIT_PAIRS_H
#define EMIT_PAIRS_H

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "machine/machine.h"

enum { EMIT_PAIRS_DEVICES_MAX = 1024 }; /* devices of one list or matrix: half a million pairs */

/*
 * The array of `casemate topology --format json`: {a, b, class, route, reason} of each pair of
 * GPUs and NICs (is_all: of all endpoints) once, a before b by address; class and route are null
 * where unknown. Route and reason are of a's accesses to b; where b's to a take another way, it is
 * in "back": {route, reason}. The caller's: json_decref(). -E2BIG: more devices than the limit;
 * -ENOMEM.
 */
int emit_pairs_json(const struct machine *machine, bool is_all, json_t **ret);

struct emit_matrix_opts {
	bool is_all;
	bool has_colour;
};

/*
 * As `nvidia-smi topo -m` prints it: a row and a column for each device, the class where they
 * meet, "?" where it is unknown; then which is which, and what the words mean. -E2BIG, -ENOMEM.
 */
int emit_matrix(const struct machine *machine, const struct emit_matrix_opts *opts,
		struct buf *ret);

#endif
