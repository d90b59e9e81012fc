/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure - the parts of `casemate measure`: one for each kind of processor.
 */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include <stdint.h>

#include "attest/launch.h"
#include "base/err.h"
#include "cli/options.h"

/* --tee sim: of the VM that the options ask for on this host, or of the plan in a file. */
int measure_sim(const struct options *options, uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err);

#endif
