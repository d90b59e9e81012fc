/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target - what most subcommands begin with: a pod that is there, and a container in it.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "base/text.h"
#include "cli/client.h"
#include "cli/options.h"

struct target {
	struct config config;
	struct client client;
	struct text_target name;
	bool whole_pod; /* no container was named */
};

/* options: --config counts. -EINVAL with ERR_USAGE: not a POD[/CONTAINER]; else as client_open(). */
int target_open(const struct options *options, const char *text, struct target *ret,
		struct err *err);
void target_done(struct target *target);
CLEANUP_FUNC(struct target, target_done)

/* The described container; NULL and err if the pod has none of that name. */
const Casemate__DescribedContainer *target_container(const struct target *target,
						     const Casemate__DescribeResponse *pod,
						     struct err *err);

#endif
