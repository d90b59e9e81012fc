// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/target.h"

/* Kills what still runs and waits for its end. */
static int end_container(struct target *target, struct err *err)
{
	Task__KillRequest kill = TASK__KILL_REQUEST__INIT;
	Task__WaitRequest wait = TASK__WAIT_REQUEST__INIT;

	kill.id = target->name.container;
	kill.signal = SIGKILL;
	kill.all = true;
	/* one that has ended already is as good */
	if (client_call(&target->client, "Kill", &kill.base, NULL, NULL) < 0)
		return 0;
	wait.id = target->name.container;
	return client_call(&target->client, "Wait", &wait.base, NULL, err);
}

/* NULL: all of them have ended. */
static const char *find_live(const Casemate__DescribeResponse *pod)
{
	for (size_t i = 0; i < pod->n_containers; i++)
		if (strcmp(pod->containers[i]->status, "stopped") != 0)
			return pod->containers[i]->status;
	return NULL;
}

static int delete_pod(struct target *target, bool force, struct err *err)
{
	Casemate__DescribeResponse *pod = NULL;
	const char *live;
	int r = 0;

	/* --force does not ask: a shim that is giving devices back doesn't answer */
	if (!force)
		r = client_describe(&target->client, &pod, err);
	if (r < 0)
		return target->client.closed ? client_gone(&target->client, err) : r;
	live = pod ? find_live(pod) : NULL;
	if (live)
		r = err_set(err, -EBUSY,
			    "pod '%s' has a container that is %s: kill it, or use --force",
			    target->name.pod, live);
	if (pod)
		casemate__describe_response__free_unpacked(pod, NULL);
	if (r >= 0)
		r = client_shutdown(&target->client, err);
	/* also of a shim that was killed before it could answer */
	return r < 0 ? r : client_gone(&target->client, err);
}

static int delete_container(struct target *target, bool force, struct err *err)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	int r;

	if (force) {
		r = end_container(target, err);
		if (r < 0)
			return r;
	}
	request.id = target->name.container;
	return client_call(&target->client, "Delete", &request.base, NULL, err);
}

int cli_delete_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	struct err err = { 0 };
	int status = CLI_OK, r;

	if (!cli_parse(OPTIONS_DELETE, argc, argv, &options, &status))
		return status;
	if (options.word_count < 1)
		return cli_usage("delete", "a POD[/CONTAINER] is needed");
	for (int i = 0; i < options.word_count; i++) {
		CLEANUP(target_done)
		struct target target = { .client = CLIENT_NONE };

		err = (struct err){ 0 };
		r = target_open(&options, options.words[i], &target, &err);
		if (r >= 0)
			r = target.whole_pod ? delete_pod(&target, options.force, &err)
					     : delete_container(&target, options.force, &err);
		if (r < 0)
			status = cli_fail("delete", &err, r == -EBUSY ? CLI_NO : cli_status(&err));
	}
	return status;
}
