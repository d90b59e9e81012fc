// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "sys/file.h"

enum {
	RUN = OPTIONS_RUN,
	EXEC = OPTIONS_EXEC,
	ENV_FILE_MAX = 1 << 20,
	ENV_MAX = 4096,
	LONG_ONLY = 256, /* numbers of flags without a letter begin here */
};

enum {
	OPT_NAME = LONG_ONLY,
	OPT_POD,
	OPT_ENV_FILE,
	OPT_ENTRYPOINT,
	OPT_HOSTNAME,
	OPT_READ_ONLY,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_RM,
	OPT_NETWORK,
	OPT_ACCEL,
	OPT_CONFIG,
	OPT_HELP,
	OPT_ABSENT,
};

struct flag {
	const char *name;
	int value; /* its letter, or one of the above */
	bool has_argument;
	unsigned int commands;
	const char *help; /* NULL: not shown */
};

static const struct flag flags[] = {
	{ "interactive", 'i', false, RUN | EXEC, "keep standard input open, and send it in" },
	{ "tty", 't', false, RUN | EXEC, "give the process a terminal" },
	{ "detach", 'd', false, RUN | EXEC, "leave it running; `casemate logs` has its output" },
	{ "rm", OPT_RM, false, RUN, "with -d: remove the pod once it has ended" },
	{ "name", OPT_NAME, true, RUN, "name the pod (with --pod: the container)" },
	{ "pod", OPT_POD, true, RUN, "add a container to this running pod" },
	{ "env", 'e', true, RUN | EXEC, "NAME=VALUE, or NAME to pass it on" },
	{ "env-file", OPT_ENV_FILE, true, RUN | EXEC, "read variables from a file, one a line" },
	{ "user", 'u', true, RUN | EXEC, "USER[:GROUP], names or numbers" },
	{ "workdir", 'w', true, RUN | EXEC, "the process's working directory" },
	{ "entrypoint", OPT_ENTRYPOINT, true, RUN, "in place of the image's; \"\" for none" },
	{ "hostname", OPT_HOSTNAME, true, RUN, "the container's; the pod's name if not given" },
	{ "read-only", OPT_READ_ONLY, false, RUN, "the root file system cannot be written" },
	{ "cpus", OPT_CPUS, true, RUN, "limit, as 1.5; the VM gets it rounded up" },
	{ "memory", 'm', true, RUN, "limit, as 512m; the VM gets it and an overhead" },
	{ "network", OPT_NETWORK, true, RUN, "none: loopback only, as there is no other yet" },
	{ "accel", OPT_ACCEL, true, RUN, "auto, kvm or tcg" },
	{ "config", OPT_CONFIG, true, RUN, "KEY=VALUE, over the configuration files" },
	{ "help", OPT_HELP, false, RUN | EXEC, "this text" },
	/* known from podman, and not there yet: refused by name */
	{ "publish", 'p', true, RUN, NULL },
	{ "publish-all", 'P', false, RUN, NULL },
	{ "volume", 'v', true, RUN, NULL },
	{ "mount", OPT_ABSENT, true, RUN, NULL },
	{ "tmpfs", OPT_ABSENT, true, RUN, NULL },
	{ "device", OPT_ABSENT, true, RUN, NULL },
	{ "gpus", OPT_ABSENT, true, RUN, NULL },
	{ "nics", OPT_ABSENT, true, RUN, NULL },
	{ "nvme", OPT_ABSENT, true, RUN, NULL },
	{ "vf", OPT_ABSENT, false, RUN, NULL },
	{ "mode", OPT_ABSENT, true, RUN, NULL },
	{ "tee", OPT_ABSENT, true, RUN, NULL },
	{ "secret", OPT_ABSENT, true, RUN, NULL },
	{ "policy", OPT_ABSENT, true, RUN, NULL },
	{ "privileged", OPT_ABSENT, false, RUN | EXEC, NULL },
	{ "cap-add", OPT_ABSENT, true, RUN, NULL },
	{ "cap-drop", OPT_ABSENT, true, RUN, NULL },
	{ "security-opt", OPT_ABSENT, true, RUN, NULL },
	{ "pids-limit", OPT_ABSENT, true, RUN, NULL },
	{ "ulimit", OPT_ABSENT, true, RUN, NULL },
	{ "restart", OPT_ABSENT, true, RUN, NULL },
	{ "init", OPT_ABSENT, false, RUN, NULL },
	{ "detach-keys", OPT_ABSENT, true, RUN | EXEC, NULL },
};

static int unsupported(const char *what, struct err *err)
{
	return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
			 "%s: not there yet: see LIMITS in casemate-run(1)", what);
}

/* NAME alone is taken from our own environment, and left out if it is not there. */
static int add_env(struct strv *env, const char *text, struct err *err)
{
	const char *value;

	if (!text[0] || text[0] == '=')
		return err_coded(err, ERR_USAGE, -EINVAL, "--env '%s': no name before '='", text);
	if (env->len >= ENV_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "--env '%s': more than %d", text, ENV_MAX);
	if (strchr(text, '='))
		return strv_add(env, text);
	value = getenv(text);
	return value ? strv_addf(env, "%s=%s", text, value) : 0;
}

/* As podman reads it: a variable a line, '#' begins a comment line, blank lines are skipped. */
static int add_env_file(struct options *options, const char *path, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char *line, *next;
	int r;

	r = file_read(AT_FDCWD, path, ENV_FILE_MAX, &text, err);
	if (r >= 0)
		r = buf_add(&text, "", 1);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "--env-file '%s'", path), ERR_USAGE);
	if (strlen((const char *)text.at) + 1 < text.len)
		return err_coded(err, ERR_USAGE, -EINVAL, "--env-file '%s': it has a NUL byte",
				 path);
	for (line = (char *)text.at; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line += strspn(line, " \t");
		if (!line[0] || line[0] == '#')
			continue;
		r = add_env(&options->env_files, line, err);
		if (r < 0)
			return err_wrap(err, r, "--env-file '%s'", path);
	}
	return 0;
}

static int set_name(const char **ret, const char *flag, const char *value, struct err *err)
{
	if (!text_name_valid(value))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--%s '%s': not a name: letters, digits, '_', '.', '-', at most "
				 "%d, the first a letter or digit",
				 flag, value, TEXT_NAME_MAX);
	*ret = value;
	return 0;
}

static int set_limits(struct options *options, int flag, const char *value, struct err *err)
{
	int r;

	if (flag == OPT_CPUS) {
		r = text_parse_cpus(value, &options->cpu_milli);
		if (r < 0 || options->cpu_milli < 10)
			return err_coded(err, ERR_USAGE, -EINVAL,
					 "--cpus '%s': not a number of CPUs of 0.01 or more, "
					 "as 1.5",
					 value);
		return 0;
	}
	r = text_parse_size(value, &options->memory_bytes);
	if (r < 0 || options->memory_bytes == 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--memory '%s': not a size, as 512m or 2g", value);
	return 0;
}

static int apply(struct options *options, int flag, const char *name, const char *value,
		 struct err *err)
{
	char what[64];

	switch (flag) {
	case 'i':
		options->interactive = true;
		return 0;
	case 't':
		options->terminal = true;
		return 0;
	case 'd':
		options->detach = true;
		return 0;
	case OPT_RM:
		options->remove = true;
		return 0;
	case OPT_READ_ONLY:
		options->read_only = true;
		return 0;
	case OPT_HELP:
		options->help = true;
		return 0;
	case OPT_NAME:
		return set_name(&options->name, "name", value, err);
	case OPT_POD:
		return set_name(&options->pod, "pod", value, err);
	case 'e':
		return add_env(&options->env, value, err);
	case OPT_ENV_FILE:
		return add_env_file(options, value, err);
	case 'u':
		options->user = value;
		return 0;
	case 'w':
		if (value[0] != '/')
			return err_coded(err, ERR_USAGE, -EINVAL,
					 "--workdir '%s': not an absolute path", value);
		options->workdir = value;
		return 0;
	case OPT_ENTRYPOINT:
		options->entrypoint_set = true;
		options->entrypoint = value;
		return 0;
	case OPT_HOSTNAME:
		options->hostname = value;
		return 0;
	case OPT_CPUS:
	case 'm':
		return set_limits(options, flag, value, err);
	case OPT_NETWORK:
		(void)snprintf(what, sizeof(what), "--network %.40s", value);
		return strcmp(value, "none") == 0 ? 0 : unsupported(what, err);
	case OPT_ACCEL:
		options->accel = value;
		return 0;
	case OPT_CONFIG:
		return strv_add(&options->config, value);
	default:
		(void)snprintf(what, sizeof(what), "--%s", name);
		return unsupported(what, err);
	}
}

static const struct flag *find_flag(int value, int index, const struct option *longs)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (value == OPT_ABSENT ? strcmp(flags[i].name, longs[index].name) == 0
					: flags[i].value == value)
			return &flags[i];
	return NULL;
}

/* shorts: getopt's; a letter that is not among them was typed as a letter. */
static int unknown(int argc, char **argv, const char *shorts, const char *const *names,
		   size_t count, struct err *err)
{
	const char *typed = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	const char *near = NULL;
	char bare[64];

	if (optopt && optopt < LONG_ONLY &&
	    (!strchr(shorts, optopt) || (typed[0] == '-' && typed[1] != '-')))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "-%c: no such flag, or its value is "
				 "missing",
				 optopt);
	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(typed, "="), typed);
	if (strlen(bare) > 2)
		near = text_nearest(bare + 2, names, count);
	return err_coded(err, ERR_USAGE, -EINVAL, "%s: no such flag, or its value is missing%s%s%s",
			 bare, near ? ": did you mean --" : "", near ? near : "", near ? "?" : "");
}

/* Files first: what the command line says itself is over them, wherever it stands. */
static int order_env(struct options *options, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < options->env.len && r == 0; i++)
		r = strv_add(&options->env_files, options->env.at[i]);
	if (r < 0)
		return err_num(err, r, "--env");
	strv_done(&options->env);
	options->env = options->env_files;
	options->env_files = (struct strv){ 0 };
	return 0;
}

int options_parse(enum options_command command, int argc, char **argv, struct options *ret,
		  struct err *err)
{
	struct option longs[ARRAY_SIZE(flags) + 3];
	const char *names[ARRAY_SIZE(flags)];
	char shorts[2 * ARRAY_SIZE(flags) + 2];
	size_t count = 0, len = 0;
	int c, r, index = 0;

	shorts[len++] = '+'; /* the first word that is no flag ends them */
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!(flags[i].commands & command))
			continue;
		names[count] = flags[i].name;
		longs[count++] = (struct option){ flags[i].name, flags[i].has_argument, NULL,
						  flags[i].value };
		if (flags[i].value >= LONG_ONLY)
			continue;
		shorts[len++] = (char)flags[i].value;
		if (flags[i].has_argument)
			shorts[len++] = ':';
	}
	shorts[len] = '\0';
	longs[count] =
		(struct option){ command == OPTIONS_RUN ? "net" : NULL, 1, NULL, OPT_NETWORK };
	longs[count + 1] = (struct option){ NULL, 0, NULL, 0 };
	opterr = 0;
	optind = 0; /* all of its state anew, the middle of a word too */
	while ((c = getopt_long(argc, argv, shorts, longs, &index)) != -1) {
		const struct flag *flag = c == '?' ? NULL : find_flag(c, index, longs);

		if (!flag)
			return unknown(argc, argv, shorts, names, count, err);
		r = apply(ret, c, flag->name, optarg, err);
		if (r < 0)
			return err && err->num ? r : err_num(err, r, "--%s", flag->name);
	}
	ret->first = optind;
	return order_env(ret, err);
}

void options_done(struct options *options)
{
	strv_done(&options->env);
	strv_done(&options->env_files);
	strv_done(&options->config);
}

char *options_help(enum options_command command)
{
	struct buf text = { 0 };
	char spelled[48];

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct flag *flag = &flags[i];

		if (!(flag->commands & command) || !flag->help)
			continue;
		if (flag->value < LONG_ONLY)
			(void)snprintf(spelled, sizeof(spelled), "-%c, --%s%s", flag->value,
				       flag->name, flag->has_argument ? "=X" : "");
		else
			(void)snprintf(spelled, sizeof(spelled), "    --%s%s", flag->name,
				       flag->has_argument ? "=X" : "");
		if (buf_addf(&text, "  %-22s %s\n", spelled, flag->help) < 0)
			break;
	}
	if (buf_add(&text, "", 1) < 0)
		buf_done(&text);
	return (char *)text.at;
}
