/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods - the pods of this user, and what one says of itself, as JSON.
 */
#ifndef CLI_PODS_H
#define CLI_PODS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"
#include "wire/proto/casemate.pb-c.h"

/* The names of all run directories, sorted; whether each has a live shim is seen on opening it. */
int pods_names(const struct config *config, struct strv *ret, struct err *err);

/* {"pod":..., "containers":[...], "phases":{...}, ...}; NULL: out of memory. */
json_t *pods_json(const Casemate__DescribeResponse *pod);

/* One container, as in "containers". */
json_t *pods_container_json(const Casemate__DescribedContainer *container);

#endif
