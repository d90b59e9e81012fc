// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/cli.h"
#include "cli/target.h"

int cli_ps_main(int argc, char **argv)
{
	CLEANUP(target_done) struct target target = { .client = CLIENT_NONE };
	CLEANUP(options_done) struct options options = { 0 };
	Task__PidsRequest request = TASK__PIDS_REQUEST__INIT;
	CLEANUP(buf_done) struct buf payload = { 0 };
	Task__PidsResponse *response = NULL;
	struct err err = { 0 };
	int r, status;

	if (!cli_parse(OPTIONS_PS, argc, argv, &options, &status))
		return status;
	if (options.word_count != 1)
		return cli_usage("ps", "one POD[/CONTAINER] is needed");
	r = target_open(&options, options.words[0], &target, &err);
	if (r >= 0) {
		request.id = target.name.container;
		r = client_call(&target.client, "Pids", &request.base, &payload, &err);
	}
	if (r < 0)
		return cli_fail("ps", &err, cli_status(&err));
	response = task__pids_response__unpack(NULL, payload.len, payload.at);
	(void)puts("    PID COMMAND");
	for (size_t i = 0; response && i < response->n_processes; i++) {
		CLEANUP(buf_done) struct buf text = { 0 };
		const Task__ProcessInfo *process = response->processes[i];

		if (process->info)
			(void)text_quote(&text, (struct bytes){ process->info->value.data,
								process->info->value.len });
		(void)printf("%7u ", process->pid);
		(void)fwrite(text.at ? text.at : (const uint8_t *)"", 1, text.len, stdout);
		(void)putchar('\n');
	}
	if (response)
		task__pids_response__free_unpacked(response, NULL);
	return CLI_OK;
}
