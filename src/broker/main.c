// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "broker/broker.h"

struct command {
	const char *name;
	const char *usage;
	const char *what;
	int least, most; /* words */
	int (*main)(const struct broker_args *args);
};

static const struct command commands[] = {
	{ "serve", "[--listen ADDRESS:PORT] [--front-uid N] STORE RULES",
	  "give secrets to guests that a rule names", 2, 2, broker_serve_main },
	{ "explain", "[--at SECONDS] RULES RESOURCE FILE...",
	  "which rule would hold for this evidence, and why others don't", 3, 64,
	  broker_explain_main },
	{ "put", "[--remove] STORE NAME", "keep standard input as a secret, or remove one", 2, 2,
	  broker_put_main },
	{ "list", "[--json] STORE", "names and sizes of the secrets", 1, 1, broker_list_main },
	{ "audit", "[--json] STORE|FILE", "what was decided", 1, 1, broker_audit_main },
	{ "key", "STORE", "the broker's key, as policies name it: SHA-256", 1, 1, broker_key_main },
};

enum { FLAG_JSON, FLAG_REMOVE, FLAG_LISTEN, FLAG_FRONT_UID, FLAG_AT, FLAG_HELP };

/* Which flags are for which command: by its name. */
static const struct {
	const char *flag, *command;
} allowed[] = {
	[FLAG_JSON] = { "json", "list audit" }, [FLAG_REMOVE] = { "remove", "put" },
	[FLAG_LISTEN] = { "listen", "serve" },	[FLAG_FRONT_UID] = { "front-uid", "serve" },
	[FLAG_AT] = { "at", "explain" },	[FLAG_HELP] = { "help", "" },
};

void broker_say(const char *fmt, ...)
{
	CLEANUP(buf_done) struct buf shown = { 0 };
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (text_quote(&shown, (struct bytes){ (const uint8_t *)line, strlen(line) }) == 0)
		(void)fprintf(stderr, "casemate-broker: %.*s\n", (int)shown.len,
			      (const char *)shown.at);
}

static void print_help(FILE *to)
{
	(void)fprintf(to, "usage: casemate-broker COMMAND ...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].usage,
			      commands[i].what);
}

static int usage(const struct command *command, const char *why, const char *what)
{
	if (why)
		broker_say("%s: %s%s", command->name, why, what);
	(void)fprintf(stderr, "usage: casemate-broker %s %s\n", command->name, command->usage);
	return BROKER_USAGE;
}

static int take_flag(struct broker_args *args, int flag, const char *value)
{
	uint64_t number = 0;

	switch (flag) {
	case FLAG_JSON:
		args->json = true;
		break;
	case FLAG_REMOVE:
		args->remove = true;
		break;
	case FLAG_LISTEN:
		args->listen = value;
		break;
	case FLAG_AT:
		args->at = value;
		break;
	case FLAG_FRONT_UID:
		if (text_parse_uint(value, UINT32_MAX - 1, &number) < 0)
			return -EINVAL;
		args->front_uid = (unsigned)number;
		args->has_front_uid = true;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, FLAG_JSON },
		{ "remove", no_argument, NULL, FLAG_REMOVE },
		{ "listen", required_argument, NULL, FLAG_LISTEN },
		{ "front-uid", required_argument, NULL, FLAG_FRONT_UID },
		{ "at", required_argument, NULL, FLAG_AT },
		{ "help", no_argument, NULL, FLAG_HELP },
		{ 0 },
	};
	struct broker_args args = { 0 };
	int flag;

	opterr = 0;
	while ((flag = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (flag == FLAG_HELP || flag == 'h') {
			(void)printf("usage: casemate-broker %s %s\n\n%s\n", command->name,
				     command->usage, command->what);
			return BROKER_OK;
		}
		if (flag < 0 || flag >= (int)ARRAY_SIZE(allowed))
			return usage(command, "not understood: ", argv[optind - 1]);
		if (!strstr(allowed[flag].command, command->name))
			return usage(command, "it has no --", allowed[flag].flag);
		if (take_flag(&args, flag, optarg) < 0)
			return usage(command, "no value: ", optarg);
	}
	args.words = argv + optind;
	args.count = argc - optind;
	if (args.count < command->least || args.count > command->most)
		return usage(command, NULL, NULL);
	return command->main(&args);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return BROKER_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return BROKER_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("casemate-broker " CASEMATE_VERSION "\n");
		return BROKER_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	broker_say("'%s' is no command", argv[1]);
	print_help(stderr);
	return BROKER_USAGE;
}
