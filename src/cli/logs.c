// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/logfile.h"

enum { FOLLOW_MS = 100 };

static bool is_running(struct target *target)
{
	Task__StateRequest request = TASK__STATE_REQUEST__INIT;
	CLEANUP(buf_done) struct buf payload = { 0 };
	Task__StateResponse *state;
	bool running;

	request.id = target->name.container;
	if (client_call(&target->client, "State", &request.base, &payload, NULL) < 0)
		return false;
	state = task__state_response__unpack(NULL, payload.len, payload.at);
	running = state && state->status != TASK__STATUS__STOPPED;
	if (state)
		task__state_response__free_unpacked(state, NULL);
	return running;
}

static int copy(struct logfile_reader *reader)
{
	char bytes[65536];
	ssize_t n;

	while ((n = logfile_reader_read(reader, bytes, sizeof(bytes))) > 0)
		if (file_write_all(STDOUT_FILENO,
				   (struct bytes){ (const uint8_t *)bytes, (size_t)n }, NULL) < 0)
			return -EPIPE;
	return (int)n;
}

static int logs(struct target *target, bool following, struct err *err)
{
	CLEANUP(logfile_reader_free) struct logfile_reader *reader = NULL;
	bool running;
	int r;

	r = logfile_reader_open(target->client.pod_fd, target->name.container, &reader, err);
	if (r == -ENOENT)
		return err_coded(err, ERR_NO_SUCH_POD, r,
				 "'%s/%s' has no log: it is not there, or not detached",
				 target->name.pod, target->name.container);
	if (r < 0)
		return r;
	do {
		running = following && is_running(target);
		r = copy(reader);
		if (running && r == 0)
			host_sleep_ms(FOLLOW_MS);
	} while (running && r == 0);
	return r < 0 && r != -EPIPE ? err_num(err, r, "read the log") : 0;
}

int cli_logs_main(int argc, char **argv)
{
	CLEANUP(target_done) struct target target = { .client = CLIENT_NONE };
	CLEANUP(options_done) struct options options = { 0 };
	struct err err = { 0 };
	int r, status;

	if (!cli_parse(OPTIONS_LOGS, argc, argv, &options, &status))
		return status;
	if (options.word_count != 1)
		return cli_usage("logs", "one POD[/CONTAINER] is needed");
	r = target_open(&options, options.words[0], &target, &err);
	if (r >= 0)
		r = logs(&target, options.follow, &err);
	return r < 0 ? cli_fail("logs", &err, cli_status(&err)) : CLI_OK;
}
