// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/session.h"
#include "sys/host.h"
#include "wire/proto/agent.pb-c.h"

struct exec {
	struct options options;
	struct config config;
	struct client client;
	struct session session;
	struct text_target target;
	char id[24];
	char **args;
	size_t arg_count;
};

static void exec_done(struct exec *exec)
{
	client_done(&exec->client);
	config_done(&exec->config);
	options_done(&exec->options);
}
CLEANUP_FUNC(struct exec, exec_done)

static int parse(int argc, char **argv, struct exec *exec, struct err *err)
{
	struct options *options = &exec->options;
	uint8_t random[8];
	int r;

	r = options_parse(OPTIONS_EXEC, argc, argv, options, err);
	if (r < 0 || options->help)
		return r;
	if (options->word_count < 1)
		return err_coded(err, ERR_USAGE, -EINVAL, "a pod and a command are needed");
	if (text_parse_target(options->words[0], &exec->target) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "'%s': not a POD or POD/CONTAINER",
				 options->words[0]);
	exec->args = options->words + 1;
	if (exec->args[0] && strcmp(exec->args[0], "--") == 0)
		exec->args++;
	exec->arg_count = (size_t)(options->words + options->word_count - exec->args);
	if (exec->arg_count == 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "a command is needed");
	if (options->terminal && !options->detach && !isatty(STDIN_FILENO))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--tty: standard input is not a terminal");
	r = host_random(random, sizeof(random));
	if (r < 0)
		return err_num(err, r, "make a name");
	text_hex(random, sizeof(random), exec->id);
	return cli_config_load(options->config.at, options->config.len, &exec->config, err);
}

static int make(struct exec *exec, struct err *err)
{
	Task__ExecProcessRequest task = TASK__EXEC_PROCESS_REQUEST__INIT;
	Agent__Process process = AGENT__PROCESS__INIT;
	const struct options *options = &exec->options;
	const char *cwd = options->workdir ? options->workdir : "";
	const char *user = options->user ? options->user : "";
	const char *type = "casemate.dev/Process";
	cleanup_free uint8_t *bytes = NULL;
	Task__Any any = TASK__ANY__INIT;

	process.args = exec->args;
	process.n_args = exec->arg_count;
	process.env = options->env.at;
	process.n_env = options->env.len;
	memcpy(&process.cwd, &cwd, sizeof(process.cwd));
	memcpy(&process.user, &user, sizeof(process.user));
	process.terminal = options->terminal;
	any.value.len = agent__process__get_packed_size(&process);
	bytes = malloc(any.value.len + 1);
	if (!bytes)
		return err_num(err, -ENOMEM, "exec");
	(void)agent__process__pack(&process, bytes);
	memcpy(&any.type_url, &type, sizeof(any.type_url));
	any.value.data = bytes;
	task.id = exec->target.container;
	task.exec_id = exec->id;
	task.terminal = options->terminal;
	task.stdin = exec->session.in;
	task.stdout = exec->session.out;
	task.stderr = exec->session.err;
	task.spec = &any;
	return session_call(&exec->session, "Exec", &task.base, err);
}

static int exec_process(struct exec *exec, struct err *err)
{
	const struct session_opts opts = { .interactive = exec->options.interactive,
					   .terminal = exec->options.terminal,
					   .detach = exec->options.detach };
	uint32_t status = 0;
	int r;

	r = session_open(&exec->session, &exec->client, exec->target.container, exec->id, &opts,
			 err);
	if (r >= 0)
		r = make(exec, err);
	if (r < 0)
		err_wrap(err, r, "%s/%s", exec->target.pod, exec->target.container);
	else
		r = session_run(&exec->session, &status, err);
	/* the shim deletes the process once this connection has gone: nobody waits for that */
	session_done(&exec->session);
	return r < 0 ? session_failed(&exec->session, "exec", r, err) : (int)status;
}

int cli_exec_main(int argc, char **argv)
{
	CLEANUP(exec_done) struct exec exec = { .client = CLIENT_NONE };
	struct err err = { 0 };
	int r;

	r = parse(argc, argv, &exec, &err);
	if (r >= 0 && exec.options.help) {
		cleanup_free char *help = options_help(OPTIONS_EXEC);

		return cli_help("exec", help);
	}
	if (r >= 0)
		r = client_open(&exec.config, exec.target.pod, &exec.client, &err);
	return r < 0 ? cli_fail("exec", &err, CLI_RUN_FAILED) : exec_process(&exec, &err);
}
