/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - a plan about devices for people (text) and for programs (JSON).
 */
#ifndef EMIT_PLAN_H
#define EMIT_PLAN_H

#include <jansson.h>

#include "base/buf.h"
#include "machine/machine.h"
#include "plan/devices.h"

/*
 * The object of `casemate plan --format json` (casemate-plan(1)) but for "launch", which is the
 * caller's to add. An infeasible plan has only reasons and unknown. -ENOMEM. The caller's:
 * json_decref().
 */
int emit_plan_json(const struct machine *host, const struct plan *plan, json_t **ret);

/* What is given, what is held besides and why, the guest's tree; or why not. -ENOMEM. */
int emit_plan_text(const struct machine *host, const struct plan *plan, struct buf *ret);

/* A row and a column for each given device: the guest's class, and the host's where it differs. */
int emit_plan_matrix(const struct machine *host, const struct plan *plan, struct buf *ret);

#endif
