// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/session.h"
#include "sys/host.h"

struct run {
	struct options options;
	struct config config;
	struct client client;
	struct session session;
	char pod[TEXT_NAME_MAX + 1];
	char container[TEXT_NAME_MAX + 1];
	struct strv entrypoint;
	char *image; /* its path made absolute: the shim has another folder */
	char *const *args;
	size_t arg_count;
};

static void run_done(struct run *run)
{
	free(run->image);
	strv_done(&run->entrypoint);
	client_done(&run->client);
	config_done(&run->config);
	options_done(&run->options);
}
CLEANUP_FUNC(struct run, run_done)

/* "oci:DIR" becomes "oci:/abs/DIR"; what has no path after a ':' is left for the child to refuse. */
static int absolute_image(const char *image, char **ret, struct err *err)
{
	const char *colon = strchr(image, ':');
	char folder[PATH_MAX];
	int len;

	if (!colon || colon[1] == '/' || !colon[1]) {
		*ret = strdup(image);
		return *ret ? 0 : err_num(err, -ENOMEM, "run");
	}
	if (!getcwd(folder, sizeof(folder)))
		return err_sys(err, "find the working directory");
	len = asprintf(ret, "%.*s:%s/%s", (int)(colon - image), image, folder, colon + 1);
	if (len < 0)
		*ret = NULL;
	return len < 0 ? err_num(err, -ENOMEM, "run") : 0;
}

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

/* "PROGRAM", "" for none, or as podman has it a JSON array of program and arguments. */
static int parse_entrypoint(struct run *run, struct err *err)
{
	const char *text = run->options.entrypoint;
	json_t *array, *item;
	size_t i;
	int r = 0;

	if (!run->options.entrypoint_set || !text[0])
		return 0;
	if (text[0] != '[')
		return strv_add(&run->entrypoint, text) < 0 ? err_num(err, -ENOMEM, "run") : 0;
	array = json_loads(text, 0, NULL);
	json_array_foreach(array, i, item)
		if (r == 0)
			r = json_is_string(item)
				    ? strv_add(&run->entrypoint, json_string_value(item))
				    : -EINVAL;
	if (!array || r == -EINVAL)
		r = err_coded(err, ERR_USAGE, -EINVAL,
			      "--entrypoint '%s': not a JSON array of strings", text);
	json_decref(array);
	return r;
}

static int parse(int argc, char **argv, struct run *run, struct err *err)
{
	struct options *options = &run->options;
	int r;

	r = options_parse(OPTIONS_RUN, argc, argv, options, err);
	if (r < 0 || options->help)
		return r;
	if (options->word_count < 1)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "an image is needed: oci:DIR[:TAG], oci-archive:FILE, "
				 "bundle:DIR or rootfs:DIR");
	r = absolute_image(options->words[0], &run->image, err);
	if (r < 0)
		return r;
	run->args = options->words + 1;
	if (run->args[0] && strcmp(run->args[0], "--") == 0)
		run->args++;
	run->arg_count = (size_t)(options->words + options->word_count - run->args);
	if (options->terminal && !options->detach && !isatty(STDIN_FILENO))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--tty: standard input is not a terminal");
	r = cli_config_load(options->config.at, options->config.len, &run->config, err);
	if (r >= 0)
		r = parse_entrypoint(run, err);
	return r < 0 ? r : name_pod(run, err);
}

static char *unconst(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(same));
	return same;
}

static void fill_request(struct run *run, Casemate__Request *request)
{
	struct options *options = &run->options;

	request->image = run->image;
	memcpy(&request->args, &run->args, sizeof(request->args));
	request->n_args = run->arg_count;
	request->entrypoint_set = options->entrypoint_set;
	request->entrypoint = run->entrypoint.at;
	request->n_entrypoint = run->entrypoint.len;
	request->env = options->env.at;
	request->n_env = options->env.len;
	request->cwd = unconst(options->workdir ? options->workdir : "");
	request->user = unconst(options->user ? options->user : "");
	request->terminal = options->terminal;
	request->hostname = unconst(options->hostname ? options->hostname : "");
	request->read_only = options->read_only;
	request->cpu_milli = options->cpu_milli;
	request->memory_bytes = options->memory_bytes;
	request->pids_set = options->pids_set;
	request->pids = options->pids;
	request->accel = unconst(options->accel ? options->accel : "");
	request->detach = options->detach;
	request->remove = options->remove;
	request->progress = run->session.progress;
	request->config = options->config.at;
	request->n_config = options->config.len;
}

static int create(struct run *run, struct err *err)
{
	Casemate__Request request = CASEMATE__REQUEST__INIT;
	Casemate__DeviceRequest devices = CASEMATE__DEVICE_REQUEST__INIT;
	Task__CreateTaskRequest task = TASK__CREATE_TASK_REQUEST__INIT;
	Task__Any any = TASK__ANY__INIT;
	cleanup_free uint8_t *bytes = NULL;

	fill_request(run, &request);
	options_fill_devices(&run->options, &devices);
	request.devices = &devices;
	any.value.len = casemate__request__get_packed_size(&request);
	bytes = malloc(any.value.len + 1);
	if (!bytes)
		return err_num(err, -ENOMEM, "run");
	(void)casemate__request__pack(&request, bytes);
	any.type_url = unconst("casemate.dev/Request");
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

	if (!run->options.pod) {
		(void)client_shutdown(&run->client, NULL);
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
	CLEANUP(run_done) struct run run = { .client = { .run_fd = -1, .pod_fd = -1 } };
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
