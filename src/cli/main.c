// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

static const struct cli_command commands[] = {
	{ "run", "[FLAG...] IMAGE [-- COMMAND...]", "run a container in a VM of its own",
	  cli_run_main },
	{ "exec", "[FLAG...] POD[/CONTAINER] COMMAND...", "run a command in a running container",
	  cli_exec_main },
	{ "list", "[FLAG...]", "the pods there are, and their containers", cli_list_main },
	{ "state", "[FLAG...] POD[/CONTAINER]", "all about one of them, as JSON", cli_state_main },
	{ "ps", "[FLAG...] POD[/CONTAINER]", "the processes in a container", cli_ps_main },
	{ "logs", "[FLAG...] POD[/CONTAINER]", "output of a detached container", cli_logs_main },
	{ "kill", "[FLAG...] POD[/CONTAINER] [SIGNAL]", "signal a container; SIGTERM if not said",
	  cli_kill_main },
	{ "delete", "[FLAG...] POD[/CONTAINER]...", "remove what has ended", cli_delete_main },
	{ "recover", "[FLAG...]", "undo what dead pods have left", cli_recover_main },
	{ "topology", "[FLAG...]", "this host's PCI tree, groups, nodes, or a capture's",
	  cli_topology_main },
	{ "plan", "[FLAG...]", "the VM that a request would get, and its devices' tree",
	  cli_plan_main },
	{ "devices", "[FLAG...] list|vfs ADDRESS NUMBER",
	  "what could be given to pods; virtual functions", cli_devices_main },
	{ "measure", "[FLAG...]", "the digest that a processor has of a guest it launches",
	  cli_measure_main },
	{ "verify", "[FLAG...]", "is evidence genuine, and is it what was expected",
	  cli_verify_main },
	{ "policy", "generate [FLAG...] IMAGE [-- COMMAND...]",
	  "what a confidential guest may run, and what its report says", cli_policy_main },
	{ "config", "[FLAG...] show|keys|check", "the configuration in force, its keys, its files",
	  cli_config_main },
	{ "explain", "[CODE]", "what the code after an error means, and what to do",
	  cli_explain_main },
	{ "prepare", "", NULL, cli_prepare_main },
};

/* Words of the user's and of files: on one line, and nothing that moves a cursor. */
static void complain(const char *command, const char *message, const char *code)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	(void)text_quote(&text, (struct bytes){ (const uint8_t *)message, strlen(message) });
	(void)fprintf(stderr, "casemate: %s: ", command);
	(void)fwrite(text.at ? text.at : (const uint8_t *)"", 1, text.len, stderr);
	if (code)
		(void)fprintf(stderr, " (%s)", code);
	(void)fputc('\n', stderr);
}

int cli_fail(const char *command, const struct err *err, int status)
{
	/* a code that came with the text is there already */
	complain(command, err->msg, err->code == ERR_OTHER ? NULL : err_code_name(err->code));
	return status;
}

int cli_usage(const char *command, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	complain(command, message, "usage");
	return CLI_USAGE;
}

void cli_note(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("casemate: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

int cli_status(const struct err *err)
{
	if (err->num == -EBUSY) /* it is not in a state for that: a no */
		return CLI_NO;
	switch (err->code) {
	case ERR_NO_SUCH_POD:
	case ERR_NAME_TAKEN:
		return CLI_NO;
	case ERR_USAGE:
	case ERR_CONFIG:
	case ERR_UNSUPPORTED:
		return CLI_USAGE;
	default:
		return CLI_HOST;
	}
}

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int cli_help(const char *command, const char *options)
{
	const struct cli_command *found = find(command);

	(void)printf("usage: casemate %s %s\n%s, see casemate-%s(1)\n", found->name, found->usage,
		     found->summary, found->name);
	if (options)
		(void)printf("\n%s", options);
	return CLI_OK;
}

static int help(void)
{
	(void)puts("usage: casemate COMMAND [ARG...]\n"
		   "Runs containers in a virtual machine of their own; see casemate(1).\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			(void)printf("  %-8s  %s\n", commands[i].name, commands[i].summary);
	return CLI_OK;
}

static int unknown(const char *name)
{
	const char *names[ARRAY_SIZE(commands)], *near;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			names[count++] = commands[i].name;
	near = text_nearest(name, names, count);
	if (near)
		return cli_usage(name, "no such command: did you mean '%s'?", near);
	return cli_usage(name, "no such command: `casemate --help` lists them");
}

bool cli_parse(enum options_command command, int argc, char **argv, struct options *ret,
	       int *ret_status)
{
	struct err err = { 0 };
	int r;

	r = options_parse(command, argc, argv, ret, &err);
	if (r < 0) {
		*ret_status = cli_fail(argv[0], &err, cli_status(&err));
		return false;
	}
	if (ret->help) {
		cleanup_free char *flags = options_help(command);

		*ret_status = cli_help(argv[0], flags);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	int status;

	if (argc < 2) {
		(void)help();
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return help();
	if (strcmp(argv[1], "--version") == 0) {
		(void)puts("casemate " CASEMATE_VERSION);
		return CLI_OK;
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	status = command->main(argc - 1, argv + 1);
	if (fflush(stdout) != 0 && status == CLI_OK)
		return CLI_HOST;
	return status;
}
