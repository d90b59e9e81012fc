// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/pods.h"
#include "cli/target.h"

/* The OCI runtime's state (runtime.md, State), with casemate's own under "casemate". */
static json_t *state_json(const Casemate__DescribeResponse *pod,
			  const Casemate__DescribedContainer *container)
{
	json_t *state;
	char id[160];

	(void)snprintf(id, sizeof(id), "%s/%s", pod->pod, container->name);
	state = json_pack("{s:s, s:s, s:s, s:s}", "ociVersion", "1.0.2", "id", id, "status",
			  container->status, "bundle", container->image);
	if (state && strcmp(container->status, "stopped") != 0)
		(void)json_object_set_new(state, "pid", json_integer(pod->qemu_pid));
	if (state)
		(void)json_object_set_new(state, "container", pods_container_json(container));
	if (state)
		(void)json_object_set_new(state, "casemate", pods_json(pod));
	return state;
}

int cli_state_main(int argc, char **argv)
{
	CLEANUP(target_done) struct target target = { .client = CLIENT_NONE };
	CLEANUP(options_done) struct options options = { 0 };
	const Casemate__DescribedContainer *container = NULL;
	Casemate__DescribeResponse *pod = NULL;
	struct err err = { 0 };
	json_t *state = NULL;
	int r, status;

	if (!cli_parse(OPTIONS_STATE, argc, argv, &options, &status))
		return status;
	if (options.word_count != 1)
		return cli_usage("state", "one POD[/CONTAINER] is needed");
	r = target_open(&options, options.words[0], &target, &err);
	if (r >= 0)
		r = client_describe(&target.client, &pod, &err);
	if (r >= 0)
		container = target_container(&target, pod, &err);
	if (container)
		state = state_json(pod, container);
	if (state && json_dumpf(state, stdout, JSON_INDENT(2)) == 0)
		(void)putchar('\n');
	json_decref(state);
	if (pod)
		casemate__describe_response__free_unpacked(pod, NULL);
	return container ? CLI_OK : cli_fail("state", &err, cli_status(&err));
}
