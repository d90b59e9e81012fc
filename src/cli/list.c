// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/pods.h"

static void print_pod(const Casemate__DescribeResponse *pod)
{
	for (size_t i = pod->n_containers; i > 0; i--) {
		const Casemate__DescribedContainer *container = pod->containers[i - 1];

		char status[12] = "-";

		if (strcmp(container->status, "stopped") == 0)
			(void)snprintf(status, sizeof(status), "%u", container->exit_status);
		(void)printf("%-24s %-16s %-9s %4s  %s\n", pod->pod, container->name,
			     container->status, status, container->image);
	}
	if (pod->n_containers == 0)
		(void)printf("%-24s %-16s %-9s %4s  %s\n", pod->pod, "-", "empty", "-", "-");
}

static int list(const struct config *config, json_t *array, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	int r, failed = 0;

	r = pods_names(config, &names, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(client_done) struct client client = CLIENT_NONE;
		Casemate__DescribeResponse *pod = NULL;

		/* one that ends meanwhile, or is dead and waits for `recover`, is not listed */
		if (client_open(config, names.at[i], &client, NULL) < 0)
			continue;
		r = client_describe(&client, &pod, failed ? NULL : err);
		if (r < 0 && !client.closed && !failed)
			failed = err_wrap(err, r, "pod '%s'", names.at[i]);
		if (r < 0)
			continue;
		if (array)
			(void)json_array_append_new(array, pods_json(pod));
		else
			print_pod(pod);
		casemate__describe_response__free_unpacked(pod, NULL);
	}
	return failed;
}

int cli_list_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	CLEANUP(config_done) struct config config = { 0 };
	struct err err = { 0 };
	json_t *array;
	int r, status;

	if (!cli_parse(OPTIONS_LIST, argc, argv, &options, &status))
		return status;
	if (options.word_count > 0)
		return cli_usage("list", "'%s': not understood", options.words[0]);
	r = cli_config_load(options.config.at, options.config.len, &config, &err);
	if (r < 0)
		return cli_fail("list", &err, cli_status(&err));
	array = options.json ? json_array() : NULL;
	if (!options.json)
		(void)printf("%-24s %-16s %-9s %4s  %s\n", "POD", "CONTAINER", "STATUS", "EXIT",
			     "IMAGE");
	r = list(&config, array, &err);
	if (options.json && json_dumpf(array, stdout, JSON_INDENT(2)) == 0)
		(void)putchar('\n');
	json_decref(array);
	return r < 0 ? cli_fail("list", &err, cli_status(&err)) : CLI_OK;
}
