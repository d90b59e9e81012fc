// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pci/address.h"
#include "sys/file.h"

enum {
	RUN = OPTIONS_RUN,
	EXEC = OPTIONS_EXEC,
	/* those that speak of pods that are there, or were */
	PODS = OPTIONS_LIST | OPTIONS_STATE | OPTIONS_PS | OPTIONS_LOGS | OPTIONS_KILL |
	       OPTIONS_DELETE | OPTIONS_RECOVER | OPTIONS_DEVICES,
	PLAN = OPTIONS_PLAN,
	TOPOLOGY = OPTIONS_TOPOLOGY,
	MEASURE = OPTIONS_MEASURE,
	VERIFY = OPTIONS_VERIFY,
	ALL = RUN | EXEC | PODS | PLAN | TOPOLOGY | MEASURE | VERIFY | OPTIONS_CONFIG |
	      OPTIONS_EXPLAIN,
	ENV_FILE_MAX = 1 << 20,
	ENV_MAX = 4096,
	PIDS_MAX = 4 << 20, /* Linux's PID_MAX_LIMIT */
	DEVICES_MAX = 4096,
	VCPUS_MAX = 4096,
};

enum option {
	OPT_INTERACTIVE,
	OPT_TTY,
	OPT_DETACH,
	OPT_RM,
	OPT_NAME,
	OPT_POD,
	OPT_ENV,
	OPT_ENV_FILE,
	OPT_USER,
	OPT_WORKDIR,
	OPT_ENTRYPOINT,
	OPT_HOSTNAME,
	OPT_READ_ONLY,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_PIDS_LIMIT,
	OPT_NETWORK,
	OPT_ACCEL,
	OPT_ALL,
	OPT_FORCE,
	OPT_FOLLOW,
	OPT_JSON,
	OPT_DEVICE,
	OPT_GPUS,
	OPT_NICS,
	OPT_NVME,
	OPT_VF,
	OPT_NEAR,
	OPT_MODE,
	OPT_FROM,
	OPT_FORMAT,
	OPT_ALL_PAIRS,
	OPT_SAVE,
	OPT_TEE,
	OPT_VCPUS,
	OPT_VCPU_TYPE,
	OPT_FIRMWARE,
	OPT_FIRMWARE_HASH,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_GUEST_FEATURES,
	OPT_VMM,
	OPT_EVIDENCE,
	OPT_COLLATERAL,
	OPT_AT,
	OPT_NONCE,
	OPT_POLICY,
	OPT_CONFIG,
	OPT_HELP,
	OPT_ABSENT,
};

struct flag {
	const char *name;
	char letter; /* 0: it has none */
	bool has_value;
	enum option option;
	unsigned int commands;
	const char *help; /* NULL: not shown */
};

/* clang-format off */
static const struct flag flags[] = {
	{ "interactive", 'i', false, OPT_INTERACTIVE, RUN | EXEC,
	  "keep standard input open, and send it in" },
	{ "tty", 't', false, OPT_TTY, RUN | EXEC, "give the process a terminal" },
	{ "detach", 'd', false, OPT_DETACH, RUN | EXEC,
	  "leave it running; `casemate logs` has its output" },
	{ "rm", 0, false, OPT_RM, RUN, "with -d: remove the pod once it has ended" },
	{ "name", 0, true, OPT_NAME, RUN, "name the pod (with --pod: the container)" },
	{ "pod", 0, true, OPT_POD, RUN, "add a container to this running pod" },
	{ "env", 'e', true, OPT_ENV, RUN | EXEC, "NAME=VALUE, or NAME to pass it on" },
	{ "env-file", 0, true, OPT_ENV_FILE, RUN | EXEC, "read variables from a file, one a line" },
	{ "user", 'u', true, OPT_USER, RUN | EXEC, "USER[:GROUP], names or numbers" },
	{ "workdir", 'w', true, OPT_WORKDIR, RUN | EXEC, "the process's working directory" },
	{ "entrypoint", 0, true, OPT_ENTRYPOINT, RUN, "in place of the image's; \"\" for none" },
	{ "hostname", 0, true, OPT_HOSTNAME, RUN,
	  "the container's; the pod's name if not given" },
	{ "read-only", 0, false, OPT_READ_ONLY, RUN, "the root file system cannot be written" },
	{ "cpus", 0, true, OPT_CPUS, RUN | PLAN, "limit, as 1.5; the VM gets it rounded up" },
	{ "memory", 'm', true, OPT_MEMORY, RUN | PLAN, "limit, as 512m; the VM gets it and an overhead" },
	{ "pids-limit", 0, true, OPT_PIDS_LIMIT, RUN, "how many processes at most; -1 for no limit" },
	{ "network", 0, true, OPT_NETWORK, RUN, "none: loopback only, as there is no other yet" },
	{ "net", 0, true, OPT_NETWORK, RUN, NULL },
	{ "accel", 0, true, OPT_ACCEL, RUN | PLAN, "auto, kvm or tcg" },
	{ "all", 0, false, OPT_ALL, OPTIONS_KILL, "every process in the container" },
	{ "force", 'f', false, OPT_FORCE, OPTIONS_DELETE, "one that runs, too" },
	{ "follow", 'f', false, OPT_FOLLOW, OPTIONS_LOGS, "go on until the container ends" },
	{ "json", 0, false, OPT_JSON, OPTIONS_LIST | OPTIONS_RECOVER | OPTIONS_DEVICES | MEASURE | VERIFY,
	  "for programs" },
	{ "device", 0, true, OPT_DEVICE, RUN | PLAN, "this one, by its PCI address" },
	{ "gpus", 0, true, OPT_GPUS, RUN | PLAN, "so many GPUs, besides those named" },
	{ "nics", 0, true, OPT_NICS, RUN | PLAN, "so many network adapters" },
	{ "nvme", 0, true, OPT_NVME, RUN | PLAN, "so many NVMe drives" },
	{ "vf", 0, false, OPT_VF, RUN | PLAN, "the counts are of SR-IOV virtual functions" },
	{ "near", 0, true, OPT_NEAR, RUN | PLAN, "switch, root, node or any: how close together" },
	{ "mode", 0, true, OPT_MODE, RUN | PLAN, "auto, replicate or flatten" },
	{ "from", 0, true, OPT_FROM, PLAN | TOPOLOGY, "a capture, in place of this host" },
	{ "format", 0, true, OPT_FORMAT, PLAN, "tree, json, matrix or qemu" },
	{ "format", 0, true, OPT_FORMAT, TOPOLOGY, "tree, json, matrix or groups" },
	{ "all-pairs", 0, false, OPT_ALL_PAIRS, TOPOLOGY,
	  "pairs of all endpoints, not of GPUs and NICs alone" },
	{ "save", 0, true, OPT_SAVE, TOPOLOGY, "keep the capture in a file, .tar or .tar.zst" },
	{ "tee", 0, true, OPT_TEE, MEASURE, "sev-snp: whose digest it is" },
	{ "vcpus", 0, true, OPT_VCPUS, MEASURE, "how many virtual CPUs" },
	{ "vcpu-type", 0, true, OPT_VCPU_TYPE, MEASURE, "QEMU's model, as EPYC-v4" },
	{ "firmware", 0, true, OPT_FIRMWARE, MEASURE, "OVMF's file" },
	{ "firmware-hash", 0, true, OPT_FIRMWARE_HASH, MEASURE,
	  "the digest after the firmware alone, made before" },
	{ "kernel", 0, true, OPT_KERNEL, MEASURE, "the kernel's file, if QEMU is given one" },
	{ "initrd", 0, true, OPT_INITRD, MEASURE, "the initial RAM disk's file" },
	{ "append", 0, true, OPT_APPEND, MEASURE, "the kernel's command line" },
	{ "guest-features", 0, true, OPT_GUEST_FEATURES, MEASURE, "SEV_FEATURES, in hex; 1 if not given" },
	{ "vmm", 0, true, OPT_VMM, MEASURE, "qemu, ec2 or gce; qemu if not given" },
	{ "evidence", 0, true, OPT_EVIDENCE, VERIFY, "a report, or a directory with it and certificates" },
	{ "collateral", 0, true, OPT_COLLATERAL, VERIFY, "certificates and lists of revoked ones" },
	{ "at", 0, true, OPT_AT, VERIFY, "the time to ask about, as 2026-01-31T12:00:00Z; now if not given" },
	{ "nonce", 0, true, OPT_NONCE, VERIFY, "what the report's data have to be, in hex" },
	{ "policy", 0, true, OPT_POLICY, VERIFY, "a file of what is expected and allowed" },
	{ "config", 0, true, OPT_CONFIG, RUN | EXEC | PODS | PLAN | OPTIONS_CONFIG,
	  "KEY=VALUE, over the configuration files" },
	{ "help", 0, false, OPT_HELP, ALL, "this text" },
	/* known from podman, and not there yet: refused by name */
	{ "publish", 'p', true, OPT_ABSENT, RUN, NULL },
	{ "publish-all", 'P', false, OPT_ABSENT, RUN, NULL },
	{ "volume", 'v', true, OPT_ABSENT, RUN, NULL },
	{ "mount", 0, true, OPT_ABSENT, RUN, NULL },
	{ "tmpfs", 0, true, OPT_ABSENT, RUN, NULL },
	{ "tee", 0, true, OPT_ABSENT, RUN, NULL },
	{ "secret", 0, true, OPT_ABSENT, RUN, NULL },
	{ "policy", 0, true, OPT_ABSENT, RUN, NULL },
	{ "privileged", 0, false, OPT_ABSENT, RUN | EXEC, NULL },
	{ "cap-add", 0, true, OPT_ABSENT, RUN, NULL },
	{ "cap-drop", 0, true, OPT_ABSENT, RUN, NULL },
	{ "security-opt", 0, true, OPT_ABSENT, RUN, NULL },
	{ "ulimit", 0, true, OPT_ABSENT, RUN, NULL },
	{ "restart", 0, true, OPT_ABSENT, RUN, NULL },
	{ "init", 0, false, OPT_ABSENT, RUN, NULL },
	{ "detach-keys", 0, true, OPT_ABSENT, RUN | EXEC, NULL },
};
/* clang-format on */

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

	if (text_parse_uint(value, VCPUS_MAX, &count) < 0 || count == 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "--vcpus '%s': not a number from 1 to %d",
				 value, VCPUS_MAX);
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
	const char *names[ARRAY_SIZE(flags)];
	size_t count = 0, len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].commands & command)
			names[count++] = flags[i].name;
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
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if ((flags[i].commands & line->command) && strlen(flags[i].name) == len &&
		    memcmp(flags[i].name, name, len) == 0)
			return &flags[i];
	return NULL;
}

static const struct flag *find_letter(const struct line *line, char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if ((flags[i].commands & line->command) && flags[i].letter == letter)
			return &flags[i];
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
		if (!is_flag && (command & (RUN | EXEC)))
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
}

char *options_help(enum options_command command)
{
	struct buf text = { 0 };
	char spelled[48];

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct flag *flag = &flags[i];
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
