/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups - what the kernel's IOMMU groups do not say: those that it would form, and who reaches
 * whom past them.
 */
#ifndef EMIT_GROUPS_H
#define EMIT_GROUPS_H

#include <jansson.h>

#include "base/buf.h"
#include "machine/machine.h"

enum { EMIT_GROUPS_DEVICES_MAX = 1024 }; /* endpoints of which it is listed who reaches whom */

/*
 * Where a capture has no groups of the kernel's, adds the computed ones that are certain to
 * "groups" of what emit_topology_json() gave, source "computed", and their number to "group" of
 * their devices. 0 or -ENOMEM.
 */
int emit_groups_json(const struct machine *machine, json_t *topology);

/*
 * What goes below emit_topology_groups(): computed groups where there are none of the kernel's,
 * where the two differ, and every access past the IOMMU from one group to another. 0 or -ENOMEM.
 */
int emit_groups_notes(const struct machine *machine, struct buf *ret);

#endif
