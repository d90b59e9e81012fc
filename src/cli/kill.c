// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/target.h"

enum { SIGNAL_MAX = 64 };

/* "9", "KILL", "SIGKILL", in either case. 0 if there is none such. */
static uint32_t parse_signal(const char *text)
{
	uint64_t number;

	if (text_parse_uint(text, SIGNAL_MAX, &number) == 0)
		return (uint32_t)number;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < NSIG; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), text) == 0)
			return (uint32_t)i;
	return 0;
}

int cli_kill_main(int argc, char **argv)
{
	CLEANUP(target_done) struct target target = { .client = CLIENT_NONE };
	CLEANUP(options_done) struct options options = { 0 };
	Task__KillRequest request = TASK__KILL_REQUEST__INIT;
	struct err err = { 0 };
	int r, status;

	if (!cli_parse(OPTIONS_KILL, argc, argv, &options, &status))
		return status;
	if (options.word_count < 1 || options.word_count > 2)
		return cli_usage("kill", "a POD[/CONTAINER] is needed, and at most one signal");
	request.all = options.all;
	request.signal = options.words[1] ? parse_signal(options.words[1]) : SIGTERM;
	if (request.signal == 0)
		return cli_usage("kill", "'%s': not a signal", options.words[1]);
	r = target_open(&options, options.words[0], &target, &err);
	if (r >= 0) {
		request.id = target.name.container;
		r = client_call(&target.client, "Kill", &request.base, NULL, &err);
		if (r < 0)
			err_wrap(&err, r, "%s", options.words[0]);
	}
	return r < 0 ? cli_fail("kill", &err, cli_status(&err)) : CLI_OK;
}
