// SPDX-License-Identifier: Apache-2.0
#include "cli/target.h"

#include <errno.h>
#include <string.h>

#include "cli/cli.h"

int target_open(const struct options *options, const char *text, struct target *ret,
		struct err *err)
{
	int r;

	*ret = (struct target){ .client = CLIENT_NONE };
	if (text_parse_target(text, &ret->name) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "'%s': not a POD or POD/CONTAINER", text);
	ret->whole_pod = !strchr(text, '/');
	r = cli_config_load(options->config.at, options->config.len, &ret->config, err);
	return r < 0 ? r : client_open(&ret->config, ret->name.pod, &ret->client, err);
}

void target_done(struct target *target)
{
	client_done(&target->client);
	config_done(&target->config);
}

const Casemate__DescribedContainer *target_container(const struct target *target,
						     const Casemate__DescribeResponse *pod,
						     struct err *err)
{
	for (size_t i = 0; i < pod->n_containers; i++)
		if (strcmp(pod->containers[i]->name, target->name.container) == 0)
			return pod->containers[i];
	err_coded(err, ERR_NO_SUCH_POD, -ENOENT, "pod '%s' has no container '%s'", target->name.pod,
		  target->name.container);
	return NULL;
}
