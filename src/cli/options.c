// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "attest/launch.h"
#include "base/text.h"
#include "cli/options_priv.h"
#include "pci/address.h"
#include "sys/file.h"

enum {
	ENV_FILE_MAX = 1 << 20,
	ENV_MAX = 4096,
	PIDS_MAX = 4 << 20, /* Linux's PID_MAX_LIMIT */
	DEVICES_MAX = 4096,
	SECRETS_MAX = 64, /* of one container: a policy has no more */
	EXECS_MAX = 256,
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

static int set_cpus(struct options *options, const char *value, struct err *err)
{
	if (text_parse_cpus(value, &options->cpu_milli) < 0 || options->cpu_milli < 10)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--cpus '%s': not a number of CPUs of 0.01 or more, as 1.5",
				 value);
	return 0;
}

static int set_memory(struct options *options, const char *value, struct err *err)
{
	if (text_parse_size(value, &options->memory_bytes) < 0 || options->memory_bytes == 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--memory '%s': not a size, as 512m or 2g", value);
	return 0;
}

/* As in podman -1 is no limit, and so is 0. */
static int set_pids(struct options *options, const char *value, struct err *err)
{
	uint64_t pids = 0;

	if (strcmp(value, "-1") != 0 && text_parse_uint(value, PIDS_MAX, &pids) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--pids-limit '%s': not a number up to %d, or -1", value,
				 PIDS_MAX);
	options->pids_set = true;
	options->pids = (uint32_t)pids;
	return 0;
}

static int set_workdir(struct options *options, const char *value, struct err *err)
{
	if (value[0] != '/')
		return err_coded(err, ERR_USAGE, -EINVAL, "--workdir '%s': not an absolute path",
				 value);
	options->workdir = value;
	return 0;
}

static int check_network(const char *value, struct err *err)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "--network %.40s", value);
	return strcmp(value, "none") == 0 ? 0 : unsupported(what, err);
}

static void apply_switch(struct options *options, enum option option)
{
	bool *const switches[] = {
		[OPT_INTERACTIVE] = &options->interactive,
		[OPT_TTY] = &options->terminal,
		[OPT_DETACH] = &options->detach,
		[OPT_RM] = &options->remove,
		[OPT_READ_ONLY] = &options->read_only,
		[OPT_ALL] = &options->all,
		[OPT_FORCE] = &options->force,
		[OPT_FOLLOW] = &options->follow,
		[OPT_JSON] = &options->json,
		[OPT_VF] = &options->vf,
		[OPT_TUNE_ACS] = &options->tune_acs,
		[OPT_ALL_PAIRS] = &options->all_pairs,
		[OPT_HELP] = &options->help,
	};

	*switches[option] = true;
}

static int add_device(struct options *options, const char *value, struct err *err)
{
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT];

	if (pci_address_parse_string(value, &address) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--device '%s': not a PCI address, as 0000:3b:00.0", value);
	return strv_add(&options->devices, pci_address_format(address, text));
}

/* It becomes a file's name. */
static int add_secret(struct options *options, const char *value, struct err *err)
{
	const char *equals = strchr(value, '=');
	char name[TEXT_NAME_MAX + 2];

	(void)snprintf(name, sizeof(name), "%.*s", equals ? (int)(equals - value) : 0, value);
	if (!text_name_valid(name))
		return err_coded(
			err, ERR_USAGE, -EINVAL,
			"--secret '%s': not NAME=URI, with a name of letters, digits, '_', "
			"'.', '-', at most %d, the first a letter or digit",
			value, TEXT_NAME_MAX);
	if (strncmp(equals + 1, "kbs:///", strlen("kbs:///")) != 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--secret '%s': not a URI of a broker's, as "
				 "kbs:///default/model/key",
				 value);
	for (size_t i = 0; i < options->secrets.len; i++)
		if (strncmp(options->secrets.at[i], value, (size_t)(equals - value) + 1) == 0)
			return err_coded(err, ERR_USAGE, -EINVAL,
					 "--secret '%s': there is one of that name", value);
	if (options->secrets.len >= SECRETS_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "--secret '%s': more than %d", value,
				 SECRETS_MAX);
	return strv_add(&options->secrets, value);
}

static int add_exec(struct options *options, const char *value, struct err *err)
{
	if (strcmp(value, "any") != 0 && value[0] != '[')
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--exec '%s': neither 'any' nor a JSON array of strings", value);
	if (options->execs.len >= EXECS_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "--exec '%s': more than %d", value,
				 EXECS_MAX);
	return strv_add(&options->execs, value);
}

static int set_count(uint32_t *ret, const char *flag, const char *value, struct err *err)
{
	uint64_t count;

	if (text_parse_uint(value, DEVICES_MAX, &count) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "--%s '%s': not a number up to %d", flag,
				 value, DEVICES_MAX);
	*ret = (uint32_t)count;
	return 0;
}

static int set_vcpus(struct options *options, const char *value, struct err *err)
{
	uint64_t count;

	if (text_parse_uint(value, ATTEST_VCPUS_MAX, &count) < 0 || count == 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "--vcpus '%s': not a number from 1 to %d",
				 value, ATTEST_VCPUS_MAX);
	options->vcpus = (uint32_t)count;
	return 0;
}

static void keep(struct options *options, enum option option, const char *value)
{
	const char **const values[] = {
		[OPT_USER] = &options->user,
		[OPT_ENTRYPOINT] = &options->entrypoint,
		[OPT_HOSTNAME] = &options->hostname,
		[OPT_ACCEL] = &options->accel,
		[OPT_NEAR] = &options->near,
		[OPT_MODE] = &options->mode,
		[OPT_FROM] = &options->from,
		[OPT_FORMAT] = &options->format,
		[OPT_SAVE] = &options->save,
		[OPT_TEE] = &options->tee,
		[OPT_VCPU_TYPE] = &options->vcpu_type,
		[OPT_FIRMWARE] = &options->firmware,
		[OPT_FIRMWARE_HASH] = &options->firmware_hash,
		[OPT_KERNEL] = &options->kernel,
		[OPT_INITRD] = &options->initrd,
		[OPT_APPEND] = &options->append,
		[OPT_GUEST_FEATURES] = &options->guest_features,
		[OPT_VMM] = &options->vmm,
		[OPT_EVIDENCE] = &options->evidence,
		[OPT_AT] = &options->at,
		[OPT_NONCE] = &options->nonce,
		[OPT_POLICY] = &options->policy,
		[OPT_BROKER] = &options->broker,
		[OPT_BROKER_KEY] = &options->broker_key,
		[OPT_REFERENCE] = &options->reference,
		[OPT_ADD] = &options->add,
		[OPT_PLAN] = &options->plan,
	};

	*values[option] = value;
	if (option == OPT_ENTRYPOINT)
		options->entrypoint_set = true;
}

static int apply_value(struct options *options, enum option option, const char *value,
		       struct err *err)
{
	switch (option) {
	case OPT_NAME:
		return set_name(&options->name, "name", value, err);
	case OPT_POD:
		return set_name(&options->pod, "pod", value, err);
	case OPT_ENV:
		return add_env(&options->env, value, err);
	case OPT_ENV_FILE:
		return add_env_file(options, value, err);
	case OPT_WORKDIR:
		return set_workdir(options, value, err);
	case OPT_CPUS:
		return set_cpus(options, value, err);
	case OPT_MEMORY:
		return set_memory(options, value, err);
	case OPT_PIDS_LIMIT:
		return set_pids(options, value, err);
	case OPT_NETWORK:
		return check_network(value, err);
	case OPT_CONFIG:
		return strv_add(&options->config, value);
	case OPT_DEVICE:
		return add_device(options, value, err);
	case OPT_COLLATERAL:
		return strv_add(&options->collateral, value);
	case OPT_SECRET:
		return add_secret(options, value, err);
	case OPT_EXEC:
		return add_exec(options, value, err);
	case OPT_VCPUS:
		return set_vcpus(options, value, err);
	case OPT_GPUS:
		return set_count(&options->gpus, "gpus", value, err);
	case OPT_NICS:
		return set_count(&options->nics, "nics", value, err);
	case OPT_NVME:
		return set_count(&options->nvme, "nvme", value, err);
	default:
		keep(options, option, value);
		return 0;
	}
}

static int apply(struct options *options, const struct flag *flag, const char *value,
		 struct err *err)
{
	char what[64];
	int r = 0;

	if (flag->option == OPT_ABSENT) {
		(void)snprintf(what, sizeof(what), "--%s", flag->name);
		return unsupported(what, err);
	}
	if (flag->has_value)
		r = apply_value(options, flag->option, value, err);
	else
		apply_switch(options, flag->option);
	return r < 0 && err && !err->num ? err_num(err, r, "--%s", flag->name) : r;
}

/* The words of a command line that is being parsed. */
struct line {
	enum options_command command;
	char **argv;
	int next;
};

/* What name may have been meant to be: of those that begin so, the first. */
static const char *nearest(enum options_command command, const char *name)
{
	const char *names[OPTIONS_FLAGS_MAX];
	size_t count = 0, len = strlen(name);

	for (size_t i = 0; i < options_flag_count; i++)
		if (options_flags[i].commands & command)
			names[count++] = options_flags[i].name;
	for (size_t i = 0; i < count; i++)
		if (len > 1 && strncmp(names[i], name, len) == 0)
			return names[i];
	return text_nearest(name, names, count);
}

static int refuse_name(const struct line *line, const char *word, struct err *err)
{
	const char *near;
	char bare[64];

	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word, "="), word);
	near = nearest(line->command, bare + 2);
	return err_coded(err, ERR_USAGE, -EINVAL, "%s: no such flag%s%s%s", bare,
			 near ? ": did you mean --" : "", near ? near : "", near ? "?" : "");
}

static const struct flag *find_name(const struct line *line, const char *name, size_t len)
{
	for (size_t i = 0; i < options_flag_count; i++)
		if ((options_flags[i].commands & line->command) &&
		    strlen(options_flags[i].name) == len &&
		    memcmp(options_flags[i].name, name, len) == 0)
			return &options_flags[i];
	return NULL;
}

static const struct flag *find_letter(const struct line *line, char letter)
{
	for (size_t i = 0; i < options_flag_count; i++)
		if ((options_flags[i].commands & line->command) &&
		    options_flags[i].letter == letter)
			return &options_flags[i];
	return NULL;
}

static int no_value(const char *flag, int len, struct err *err)
{
	return err_coded(err, ERR_USAGE, -EINVAL, "%.*s: its value is missing", len, flag);
}

/* "--name", "--name=value" or "--name" and the word after it. */
static int parse_name(struct line *line, char *word, struct options *ret, struct err *err)
{
	size_t len = strcspn(word + 2, "=");
	const struct flag *flag = find_name(line, word + 2, len);
	char *value = word[2 + len] ? word + 2 + len + 1 : NULL;

	if (!flag)
		return refuse_name(line, word, err);
	if (value && !flag->has_value)
		return err_coded(err, ERR_USAGE, -EINVAL, "--%s: it takes no value", flag->name);
	if (flag->has_value && !value) {
		value = line->argv[line->next];
		if (!value)
			return no_value(word, (int)strlen(word), err);
		line->next++;
	}
	return apply(ret, flag, value, err);
}

/* "-itd", "-eA=1", "-ie" and the word after it: the first with a value has all that follows. */
static int parse_letters(struct line *line, char *word, struct options *ret, struct err *err)
{
	int r = 0;

	for (char *at = word + 1; *at && r == 0; at++) {
		const struct flag *flag = find_letter(line, *at);
		char *value = NULL;

		if (!flag)
			return err_coded(err, ERR_USAGE, -EINVAL, "-%c: no such flag", *at);
		if (flag->has_value) {
			value = at[1] ? at + 1 : line->argv[line->next];
			if (!value)
				return no_value((char[]){ '-', *at }, 2, err);
			line->next += at[1] == '\0';
		}
		r = apply(ret, flag, value, err);
		if (flag->has_value)
			break;
	}
	return r;
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
	struct line line = { command, argv, 1 };
	int kept = 1, r = 0;

	while (r == 0 && line.next < argc) {
		char *word = argv[line.next];
		bool is_flag = word[0] == '-' && word[1];

		/* the command of a run or an exec has flags of its own */
		if (!is_flag && (command & (OPTIONS_RUN | OPTIONS_POLICY | OPTIONS_EXEC)))
			break;
		line.next++;
		if (strcmp(word, "--") == 0)
			break;
		if (!is_flag)
			argv[kept++] = word;
		else if (word[1] == '-')
			r = parse_name(&line, word, ret, err);
		else
			r = parse_letters(&line, word, ret, err);
	}
	if (r < 0)
		return r;
	while (line.next < argc)
		argv[kept++] = argv[line.next++];
	argv[kept] = NULL;
	ret->words = argv + 1;
	ret->word_count = kept - 1;
	return order_env(ret, err);
}

static char *word(const char *text)
{
	const char *given = text ? text : "";
	char *same;

	memcpy(&same, &given, sizeof(same));
	return same;
}

void options_fill_devices(const struct options *options, Casemate__DeviceRequest *ret)
{
	ret->named = options->devices.at;
	ret->n_named = options->devices.len;
	ret->gpus = options->gpus;
	ret->nics = options->nics;
	ret->nvme = options->nvme;
	ret->vf = options->vf;
	ret->tune_acs = options->tune_acs;
	ret->near = word(options->near);
	ret->mode = word(options->mode);
}

void options_done(struct options *options)
{
	strv_done(&options->env);
	strv_done(&options->env_files);
	strv_done(&options->config);
	strv_done(&options->devices);
	strv_done(&options->collateral);
	strv_done(&options->secrets);
	strv_done(&options->execs);
}

char *options_help(enum options_command command)
{
	struct buf text = { 0 };
	char spelled[48];

	for (size_t i = 0; i < options_flag_count; i++) {
		const struct flag *flag = &options_flags[i];
		char letter[] = { '-', flag->letter, ',', ' ', '\0' };

		if (!(flag->commands & command) || !flag->help)
			continue;
		(void)snprintf(spelled, sizeof(spelled), "%s--%s%s", flag->letter ? letter : "    ",
			       flag->name, flag->has_value ? "=X" : "");
		if (buf_addf(&text, "  %-22s %s\n", spelled, flag->help) < 0)
			break;
	}
	if (buf_add(&text, "", 1) < 0)
		buf_done(&text);
	return (char *)text.at;
}
