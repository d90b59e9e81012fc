// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/request.h"
#include "cli/session.h"
#include "sys/host.h"

struct run {
	struct options options;
	struct config config;
	struct client client;
	struct session session;
	char pod[TEXT_NAME_MAX + 1];
	char container[TEXT_NAME_MAX + 1];
	struct request request;
};

static void run_done(struct run *run)
{
	request_done(&run->request);
	client_done(&run->client);
	config_done(&run->config);
	options_done(&run->options);
}
CLEANUP_FUNC(struct run, run_done)

static int name_pod(struct run *run, struct err *err)
{
	const struct options *options = &run->options;
	uint8_t random[4];
	char hex[9];
	int r;

	r = host_random(random, sizeof(random));
	if (r < 0)
		return err_num(err, r, "make a name");
	text_hex(random, sizeof(random), hex);
	if (options->pod) {
		(void)snprintf(run->pod, sizeof(run->pod), "%s", options->pod);
		if (options->name)
			(void)snprintf(run->container, sizeof(run->container), "%s", options->name);
		else
			(void)snprintf(run->container, sizeof(run->container), "c-%s", hex);
		return 0;
	}
	(void)snprintf(run->container, sizeof(run->container), "main");
	if (options->name)
		(void)snprintf(run->pod, sizeof(run->pod), "%s", options->name);
	else
		(void)snprintf(run->pod, sizeof(run->pod), "pod-%s", hex);
	return 0;
}

static int parse(int argc, char **argv, struct run *run, struct err *err)
{
	struct options *options = &run->options;
	enum layout_tee tee;
	int r;

	r = options_parse(OPTIONS_RUN, argc, argv, options, err);
	if (r < 0 || options->help)
		return r;
	r = request_make(options, &run->request, err);
	if (r >= 0)
		r = request_check_tee(&run->request.message, !options->pod, &tee, err);
	if (r < 0)
		return r;
	if (options->terminal && !options->detach && !isatty(STDIN_FILENO))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--tty: standard input is not a terminal");
	r = cli_config_load(options->config.at, options->config.len, &run->config, err);
	return r < 0 ? r : name_pod(run, err);
}

static int create(struct run *run, struct err *err)
{
	static char type[] = "casemate.dev/Request";
	Casemate__Request *request = &run->request.message;
	Task__CreateTaskRequest task = TASK__CREATE_TASK_REQUEST__INIT;
	Task__Any any = TASK__ANY__INIT;
	cleanup_free uint8_t *bytes = NULL;

	request->progress = run->session.progress;
	any.value.len = casemate__request__get_packed_size(request);
	bytes = malloc(any.value.len + 1);
	if (!bytes)
		return err_num(err, -ENOMEM, "run");
	(void)casemate__request__pack(request, bytes);
	any.type_url = type;
	any.value.data = bytes;
	task.id = run->container;
	task.terminal = run->options.terminal;
	task.stdin = run->session.in;
	task.stdout = run->session.out;
	task.stderr = run->session.err;
	task.options = &any;
	return session_call(&run->session, "Create", &task.base, err);
}

/* A container that has ended goes; its pod too, unless it was there before. */
static void remove_container(struct run *run)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	struct err err = { 0 };

	if (!run->options.pod) {
		if (client_shutdown(&run->client, &err) < 0)
			cli_note("run: %s", err.msg);
		return;
	}
	if (!run->client.conn)
		return;
	request.id = run->container;
	(void)client_call(&run->client, "Delete", &request.base, NULL, NULL);
}

static int run_container(struct run *run, struct err *err)
{
	const struct session_opts opts = { .interactive = run->options.interactive,
					   .terminal = run->options.terminal,
					   .detach = run->options.detach };
	uint32_t status = 0;
	int r;

	r = session_open(&run->session, &run->client, run->container, "", &opts, err);
	if (r >= 0)
		r = create(run, err);
	if (r >= 0)
		r = session_run(&run->session, &status, err);
	session_done(&run->session);
	if (r < 0 || !run->options.detach)
		remove_container(run);
	if (r >= 0 && run->options.detach)
		(void)printf("%s%s%s\n", run->pod, run->options.pod ? "/" : "",
			     run->options.pod ? run->container : "");
	return r < 0 ? session_failed(&run->session, "run", r, err) : (int)status;
}

int cli_run_main(int argc, char **argv)
{
	CLEANUP(run_done) struct run run = { .client = CLIENT_NONE };
	struct err err = { 0 };
	int r;

	r = parse(argc, argv, &run, &err);
	if (r >= 0 && run.options.help) {
		cleanup_free char *help = options_help(OPTIONS_RUN);

		return cli_help("run", help);
	}
	if (r >= 0)
		r = run.options.pod ? client_open(&run.config, run.pod, &run.client, &err)
				    : client_start(&run.config, run.pod, &run.client, &err);
	if (r < 0)
		return cli_fail("run", &err, CLI_RUN_FAILED);
	return run_container(&run, &err);
}
