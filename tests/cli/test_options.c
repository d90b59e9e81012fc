// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"

enum { WORDS = 32, FILE_MAX = 1 << 20, VARIABLES_MAX = 4096 };

struct parsed {
	struct options options;
	struct err err;
	char *argv[WORDS + 2];
	int argc, num;
};

/* line is split at spaces; "run" or "exec" comes first. */
static struct parsed parse(enum options_command command, const char *line)
{
	static char words[512];
	struct parsed parsed = { 0 };
	char *rest = words, *word;

	(void)snprintf(words, sizeof(words), "%s %s", command == OPTIONS_RUN ? "run" : "exec",
		       line);
	while ((word = strsep(&rest, " ")) && parsed.argc < WORDS)
		if (word[0])
			parsed.argv[parsed.argc++] = word;
	parsed.num = options_parse(command, parsed.argc, parsed.argv, &parsed.options, &parsed.err);
	return parsed;
}

static void accept(enum options_command command, const char *line, struct parsed *ret)
{
	*ret = parse(command, line);
	if (ret->num != 0)
		fail_msg("'%s': %s", line, ret->err.msg);
}

static void refuse(enum options_command command, const char *line, int num, const char *words)
{
	struct parsed parsed = parse(command, line);

	if (parsed.num != num || !strstr(parsed.err.msg, words))
		fail_msg("'%s': %d %s, not %d %s", line, parsed.num, parsed.err.msg, num, words);
	assert_int_equal(parsed.err.num, num);
	assert_int_equal(parsed.err.code, num == -EOPNOTSUPP ? ERR_UNSUPPORTED : ERR_USAGE);
	options_done(&parsed.options);
}

static void sets_only(enum options_command command, const char *line, size_t at)
{
	struct parsed parsed;

	accept(command, line, &parsed);
	for (size_t i = 0; i < offsetof(struct options, name); i++)
		assert_int_equal(((bool *)&parsed.options)[i], i == at);
}

static void flags_without_a_value_set_what_they_name(void **state)
{
	static const struct {
		const char *line;
		size_t at;
		int commands;
	} flags[] = {
		{ "-i", offsetof(struct options, interactive), 3 },
		{ "--interactive", offsetof(struct options, interactive), 3 },
		{ "-t", offsetof(struct options, terminal), 3 },
		{ "--tty", offsetof(struct options, terminal), 3 },
		{ "-d", offsetof(struct options, detach), 3 },
		{ "--detach", offsetof(struct options, detach), 3 },
		{ "--help", offsetof(struct options, help), 3 },
		{ "--rm", offsetof(struct options, remove), 1 },
		{ "--read-only", offsetof(struct options, read_only), 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		sets_only(OPTIONS_RUN, flags[i].line, flags[i].at);
		if (flags[i].commands & OPTIONS_EXEC)
			sets_only(OPTIONS_EXEC, flags[i].line, flags[i].at);
		else
			refuse(OPTIONS_EXEC, flags[i].line, -EINVAL, flags[i].line);
	}
}

static void keeps(enum options_command command, const char *line, size_t at, const char *want)
{
	struct parsed parsed;
	const char *value;

	accept(command, line, &parsed);
	memcpy(&value, (const char *)&parsed.options + at, sizeof(value));
	assert_string_equal(value, want);
}

static void flags_with_a_value_keep_it(void **state)
{
	static const struct {
		const char *line, *value;
		size_t at;
		int commands;
	} flags[] = {
		{ "--name a.b-c_9", "a.b-c_9", offsetof(struct options, name), 1 },
		{ "--pod=p", "p", offsetof(struct options, pod), 1 },
		{ "-u 1:2", "1:2", offsetof(struct options, user), 3 },
		{ "--user www", "www", offsetof(struct options, user), 3 },
		{ "-w /srv", "/srv", offsetof(struct options, workdir), 3 },
		{ "-w/srv", "/srv", offsetof(struct options, workdir), 3 },
		{ "--workdir=/", "/", offsetof(struct options, workdir), 3 },
		{ "--entrypoint /bin/x", "/bin/x", offsetof(struct options, entrypoint), 1 },
		{ "--entrypoint=", "", offsetof(struct options, entrypoint), 1 },
		{ "--hostname h", "h", offsetof(struct options, hostname), 1 },
		{ "--accel kvm", "kvm", offsetof(struct options, accel), 1 },
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		keeps(OPTIONS_RUN, flags[i].line, flags[i].at, flags[i].value);
		if (flags[i].commands & OPTIONS_EXEC)
			keeps(OPTIONS_EXEC, flags[i].line, flags[i].at, flags[i].value);
		else
			refuse(OPTIONS_EXEC, flags[i].line, -EINVAL, "no such flag");
	}
	accept(OPTIONS_RUN, "--entrypoint=", &parsed);
	assert_true(parsed.options.entrypoint_set);
	accept(OPTIONS_RUN, "", &parsed);
	assert_false(parsed.options.entrypoint_set);
}

static void the_first_word_that_is_no_flag_ends_them(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_RUN, "-it --rm oci:x -d --nonesuch", &parsed);
	assert_int_equal(parsed.options.word_count, 3);
	assert_string_equal(parsed.options.words[0], "oci:x");
	assert_string_equal(parsed.options.words[2], "--nonesuch");
	assert_null(parsed.options.words[3]);
	assert_true(parsed.options.interactive && parsed.options.terminal);
	assert_false(parsed.options.detach);
	accept(OPTIONS_RUN, "-i -- oci:x -d", &parsed);
	assert_string_equal(parsed.options.words[0], "oci:x");
	accept(OPTIONS_RUN, "-i - -d", &parsed);
	assert_string_equal(parsed.options.words[0], "-");
	accept(OPTIONS_EXEC, "", &parsed);
	assert_int_equal(parsed.options.word_count, 0);
	assert_null(parsed.options.words[0]);
}

static void other_commands_take_flags_among_their_words(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_DELETE, "a -f b --config run_dir=/x c", &parsed);
	assert_true(parsed.options.force);
	assert_int_equal(parsed.options.config.len, 1);
	assert_int_equal(parsed.options.word_count, 3);
	assert_string_equal(parsed.options.words[0], "a");
	assert_string_equal(parsed.options.words[1], "b");
	assert_string_equal(parsed.options.words[2], "c");
	assert_null(parsed.options.words[3]);
	options_done(&parsed.options);
	accept(OPTIONS_KILL, "--all a -- -9", &parsed);
	assert_true(parsed.options.all);
	assert_int_equal(parsed.options.word_count, 2);
	assert_string_equal(parsed.options.words[1], "-9");
	/* the same letter, and each command's own meaning */
	accept(OPTIONS_LOGS, "-f a", &parsed);
	assert_true(parsed.options.follow && !parsed.options.force);
	accept(OPTIONS_RECOVER, "--json", &parsed);
	assert_true(parsed.options.json);
	refuse(OPTIONS_KILL, "a -9", -EINVAL, "-9: no such flag");
	refuse(OPTIONS_LIST, "--jsno", -EINVAL, "did you mean --json?");
	refuse(OPTIONS_PS, "a --json", -EINVAL, "--json: no such flag");
}

static void every_command_that_reads_the_configuration_can_be_told_of_it(void **state)
{
	static const enum options_command commands[] = {
		OPTIONS_RUN,	 OPTIONS_EXEC,	 OPTIONS_LIST, OPTIONS_STATE,
		OPTIONS_PS,	 OPTIONS_LOGS,	 OPTIONS_KILL, OPTIONS_DELETE,
		OPTIONS_RECOVER, OPTIONS_CONFIG, OPTIONS_PLAN,
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		accept(commands[i], "--config run_dir=/x", &parsed);
		assert_int_equal(parsed.options.config.len, 1);
		assert_string_equal(parsed.options.config.at[0], "run_dir=/x");
		options_done(&parsed.options);
	}
	refuse(OPTIONS_EXPLAIN, "--config run_dir=/x", -EINVAL, "--config: no such flag");
}

static void the_beginning_of_a_flag_is_none(void **state)
{
	(void)state;
	refuse(OPTIONS_RUN, "--mem 5m x", -EINVAL, "--mem: no such flag: did you mean --memory?");
	refuse(OPTIONS_RUN, "--mem=5m x", -EINVAL, "--mem: no such flag: did you mean --memory?");
	refuse(OPTIONS_RUN, "--read x", -EINVAL, "did you mean --read-only?");
	refuse(OPTIONS_RUN, "--inter x", -EINVAL, "did you mean --interactive?");
	refuse(OPTIONS_EXEC, "--us 1 x", -EINVAL, "did you mean --user?");
	refuse(OPTIONS_DELETE, "--forc x", -EINVAL, "did you mean --force?");
	/* nor is one with more behind it, or with one '-' */
	refuse(OPTIONS_RUN, "--memorys 5m x", -EINVAL, "did you mean --memory?");
	refuse(OPTIONS_RUN, "-memory 5m x", -EINVAL, "--memory 'emory'");
	refuse(OPTIONS_RUN, "-rm x", -EINVAL, "-r: no such flag");
}

static void unknown_flags_are_named_with_the_nearest(void **state)
{
	(void)state;
	refuse(OPTIONS_RUN, "--memoy 5m x", -EINVAL, "--memoy: no such flag");
	refuse(OPTIONS_RUN, "--memoy 5m x", -EINVAL, "did you mean --memory?");
	refuse(OPTIONS_RUN, "--read-onyl x", -EINVAL, "did you mean --read-only?");
	refuse(OPTIONS_RUN, "--hostnme=h x", -EINVAL, "did you mean --hostname?");
	refuse(OPTIONS_EXEC, "--usr 1 x", -EINVAL, "did you mean --user?");
	refuse(OPTIONS_RUN, "--frobnicate x", -EINVAL, "--frobnicate: no such flag");
	refuse(OPTIONS_RUN, "-Z x", -EINVAL, "-Z: no such flag");
	refuse(OPTIONS_RUN, "-iZ x", -EINVAL, "-Z: no such flag");
	refuse(OPTIONS_RUN, "-Zi x", -EINVAL, "-Z: no such flag");
	refuse(OPTIONS_RUN, "--rm -Zi x", -EINVAL, "-Z: no such flag");
	refuse(OPTIONS_EXEC, "-p 1 x", -EINVAL, "-p: no such flag");
	/* a flag of run's alone is no near one of exec's */
	refuse(OPTIONS_EXEC, "--hostname h x", -EINVAL, "--hostname: no such flag");
}

static void a_value_that_is_missing_or_too_much_is_refused(void **state)
{
	(void)state;
	refuse(OPTIONS_RUN, "-e", -EINVAL, "-e: its value is missing");
	refuse(OPTIONS_RUN, "-ie", -EINVAL, "-e: its value is missing");
	refuse(OPTIONS_RUN, "--env", -EINVAL, "--env: its value is missing");
	refuse(OPTIONS_RUN, "--hostname", -EINVAL, "--hostname: its value is missing");
	refuse(OPTIONS_RUN, "--interactive=5 x", -EINVAL, "--interactive: it takes no value");
	refuse(OPTIONS_RUN, "--rm=5 x", -EINVAL, "--rm: it takes no value");
}

static void devices_are_named_and_counted(void **state)
{
	Casemate__DeviceRequest request = CASEMATE__DEVICE_REQUEST__INIT;
	struct parsed parsed = parse(OPTIONS_RUN, "--device 21:00.0 --device=0001:02:1f.7 --gpus 2 "
						  "--nics=1 --nvme 3 --vf --tune-acs --near node "
						  "--mode flatten image");

	(void)state;
	assert_int_equal(parsed.num, 0);
	options_fill_devices(&parsed.options, &request);
	assert_int_equal(request.n_named, 2);
	assert_string_equal(request.named[0], "0000:21:00.0");
	assert_string_equal(request.named[1], "0001:02:1f.7");
	assert_int_equal(request.gpus, 2);
	assert_int_equal(request.nics, 1);
	assert_int_equal(request.nvme, 3);
	assert_true(request.vf);
	assert_true(request.tune_acs);
	assert_string_equal(request.near, "node");
	assert_string_equal(request.mode, "flatten");
	options_done(&parsed.options);
	refuse(OPTIONS_RUN, "--device /dev/null image", -EINVAL, "not a PCI address");
	refuse(OPTIONS_RUN, "--device 21:00.8 image", -EINVAL, "not a PCI address");
	refuse(OPTIONS_RUN, "--gpus two image", -EINVAL, "--gpus 'two'");
	refuse(OPTIONS_PLAN, "--gpus 4097", -EINVAL, "not a number up to 4096");
}

static void flags_that_are_not_there_yet_are_refused_by_name(void **state)
{
	static const char *const absent[] = {
		"publish 80",	"volume /a:/b",	  "mount x",  "tmpfs /t",   "cap-add all",
		"cap-drop all", "security-opt x", "ulimit x", "restart no", "detach-keys x",
		"publish-all",	"privileged",	  "init",
	};
	char line[64], named[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		(void)snprintf(line, sizeof(line), "--%s image", absent[i]);
		(void)snprintf(named, sizeof(named), "--%.*s: not there yet",
			       (int)strcspn(absent[i], " "), absent[i]);
		refuse(OPTIONS_RUN, line, -EOPNOTSUPP, named);
	}
	refuse(OPTIONS_RUN, "-p 80:80 image", -EOPNOTSUPP, "--publish: not there yet");
	refuse(OPTIONS_RUN, "-P image", -EOPNOTSUPP, "--publish-all: not there yet");
	refuse(OPTIONS_RUN, "-v /a:/b image", -EOPNOTSUPP, "--volume: not there yet");
	refuse(OPTIONS_EXEC, "--privileged a x", -EOPNOTSUPP, "--privileged: not there yet");
	refuse(OPTIONS_RUN, "--network bridge image", -EOPNOTSUPP,
	       "--network bridge: not there yet");
	refuse(OPTIONS_RUN, "--net=host image", -EOPNOTSUPP, "--network host: not there yet");
}

static void secrets_are_names_with_uris(void **state)
{
	struct parsed parsed;
	char line[512] = "", text[TEXT_NAME_MAX + 1];

	(void)state;
	accept(OPTIONS_RUN, "--secret a-1.b=kbs:///d/k/1 image", &parsed);
	assert_int_equal(parsed.options.secrets.len, 1);
	assert_string_equal(parsed.options.secrets.at[0], "a-1.b=kbs:///d/k/1");
	options_done(&parsed.options);
	refuse(OPTIONS_RUN, "--secret s image", -EINVAL, "--secret 's': not NAME=URI");
	refuse(OPTIONS_RUN, "--secret =kbs:///d/k/1 image", -EINVAL, "not NAME=URI");
	refuse(OPTIONS_RUN, "--secret ../a=kbs:///d/k/1 image", -EINVAL, "not NAME=URI");
	refuse(OPTIONS_RUN, "--secret .a=kbs:///d/k/1 image", -EINVAL, "not NAME=URI");
	refuse(OPTIONS_RUN, "--secret a=https://d/k/1 image", -EINVAL, "not a URI of a broker's");
	refuse(OPTIONS_RUN, "--secret a=kbs:///d/k/1 --secret a=kbs:///d/k/2 image", -EINVAL,
	       "there is one of that name");
	(void)snprintf(text, sizeof(text), "%0*d", TEXT_NAME_MAX, 0);
	(void)snprintf(line, sizeof(line), "--secret %s=kbs:///d/k/1 image", text);
	accept(OPTIONS_RUN, line, &parsed);
	options_done(&parsed.options);
	(void)snprintf(line, sizeof(line), "--secret 0%s=kbs:///d/k/1 image", text);
	refuse(OPTIONS_RUN, line, -EINVAL, "not NAME=URI");
	refuse(OPTIONS_EXEC, "--secret a=kbs:///d/k/1 pod ls", -EINVAL, "no such flag");
}

static void a_policy_is_asked_for_as_a_container_is(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_POLICY,
	       "-e A=1 -u app --cpus 2 --accel tcg --gpus 1 --exec any --exec [\"ps\"] "
	       "--broker https://b --broker-key aa --reference r --add p oci:i -- ls -l",
	       &parsed);
	assert_int_equal(parsed.options.execs.len, 2);
	assert_string_equal(parsed.options.broker, "https://b");
	assert_string_equal(parsed.options.broker_key, "aa");
	assert_string_equal(parsed.options.reference, "r");
	assert_string_equal(parsed.options.add, "p");
	assert_int_equal(parsed.options.word_count, 4); /* the first word ends the flags */
	options_done(&parsed.options);
	refuse(OPTIONS_POLICY, "--exec ps image", -EINVAL, "neither 'any' nor a JSON array");
	refuse(OPTIONS_POLICY, "--policy p image", -EINVAL, "no such flag");
	refuse(OPTIONS_RUN, "--broker b image", -EINVAL, "no such flag");
}

/* The limits of a policy: at each of them, and one more. */
static void secrets_and_execs_have_a_limit(void **state)
{
	static char words[2 * 257][32];
	char *argv[2 * 257 + 2] = { words[0] };
	struct options options = { 0 };
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i <= 64; i++)
		(void)snprintf(argv[i + 1] = words[i + 1], sizeof(words[0]),
			       "--secret=s%d=kbs:///a/b/c", i);
	assert_int_equal(options_parse(OPTIONS_RUN, 1 + 64, argv, &options, &err), 0);
	assert_int_equal(options.secrets.len, 64);
	options_done(&options);
	for (int i = 0; i <= 64; i++)
		argv[i + 1] = words[i + 1];
	options = (struct options){ 0 };
	assert_int_equal(options_parse(OPTIONS_RUN, 1 + 65, argv, &options, &err), -E2BIG);
	options_done(&options);
	for (int i = 0; i <= 256; i++)
		(void)snprintf(argv[i + 1] = words[i + 1], sizeof(words[0]), "--exec=any");
	options = (struct options){ 0 };
	assert_int_equal(options_parse(OPTIONS_POLICY, 1 + 256, argv, &options, &err), 0);
	options_done(&options);
	for (int i = 0; i <= 256; i++)
		argv[i + 1] = words[i + 1];
	options = (struct options){ 0 };
	assert_int_equal(options_parse(OPTIONS_POLICY, 1 + 257, argv, &options, &err), -E2BIG);
	options_done(&options);
}

static void the_only_network_is_none(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_RUN, "--network none image", &parsed);
	accept(OPTIONS_RUN, "--net=none image", &parsed);
	assert_int_equal(parsed.options.word_count, 1);
}

static void limits_are_checked(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_RUN, "--cpus 1.5 -m 512m", &parsed);
	assert_int_equal(parsed.options.cpu_milli, 1500);
	assert_int_equal(parsed.options.memory_bytes, 512 << 20);
	accept(OPTIONS_RUN, "--cpus 0.01 --memory 2g", &parsed);
	assert_int_equal(parsed.options.cpu_milli, 10);
	assert_true(parsed.options.memory_bytes == UINT64_C(2) << 30);
	refuse(OPTIONS_RUN, "--cpus 0.009", -EINVAL, "--cpus '0.009'");
	refuse(OPTIONS_RUN, "--cpus -1", -EINVAL, "--cpus '-1'");
	refuse(OPTIONS_RUN, "--cpus many", -EINVAL, "--cpus 'many'");
	refuse(OPTIONS_RUN, "--memory 0", -EINVAL, "--memory '0'");
	refuse(OPTIONS_RUN, "-m 5x", -EINVAL, "--memory '5x'");
	accept(OPTIONS_RUN, "", &parsed);
	assert_false(parsed.options.pids_set);
	accept(OPTIONS_RUN, "--pids-limit 4194304", &parsed);
	assert_true(parsed.options.pids_set);
	assert_int_equal(parsed.options.pids, 4194304);
	accept(OPTIONS_RUN, "--pids-limit=-1", &parsed);
	assert_true(parsed.options.pids_set);
	assert_int_equal(parsed.options.pids, 0);
	accept(OPTIONS_RUN, "--pids-limit -1", &parsed);
	assert_true(parsed.options.pids_set);
	refuse(OPTIONS_RUN, "--pids-limit 4194305", -EINVAL, "--pids-limit '4194305'");
	refuse(OPTIONS_RUN, "--pids-limit -2", -EINVAL, "--pids-limit '-2'");
	refuse(OPTIONS_RUN, "-m 99999999999g", -EINVAL, "--memory '99999999999g'");
}

static void names_and_folders_are_checked(void **state)
{
	char line[TEXT_NAME_MAX + 16] = "--name ";

	(void)state;
	refuse(OPTIONS_RUN, "--name a/b", -EINVAL, "--name 'a/b'");
	refuse(OPTIONS_RUN, "--pod .a", -EINVAL, "--pod '.a'");
	refuse(OPTIONS_RUN, "-w srv", -EINVAL, "--workdir 'srv'");
	memset(line + 7, 'a', TEXT_NAME_MAX + 1);
	refuse(OPTIONS_RUN, line, -EINVAL, "not a name");
}

static void variables_are_taken_as_given_or_looked_up(void **state)
{
	struct parsed parsed;

	(void)state;
	assert_int_equal(setenv("HERE", "from outside", 1), 0);
	assert_int_equal(unsetenv("NOT_HERE"), 0);
	accept(OPTIONS_EXEC, "-e A=1 --env B= -e C=x=y -e HERE -e NOT_HERE -eA=2", &parsed);
	assert_int_equal(parsed.options.env.len, 5);
	assert_string_equal(parsed.options.env.at[0], "A=1");
	assert_string_equal(parsed.options.env.at[1], "B=");
	assert_string_equal(parsed.options.env.at[2], "C=x=y");
	assert_string_equal(parsed.options.env.at[3], "HERE=from outside");
	assert_string_equal(parsed.options.env.at[4], "A=2");
	options_done(&parsed.options);
	refuse(OPTIONS_RUN, "-e =x", -EINVAL, "no name before '='");
	refuse(OPTIONS_RUN, "--env=", -EINVAL, "no name before '='");
}

/* Parses an env-file of these bytes. */
static struct parsed parse_file(const void *bytes, size_t len)
{
	char path[] = "/tmp/casemate-test-XXXXXX", line[64];
	struct parsed parsed;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	(void)close(fd);
	(void)snprintf(line, sizeof(line), "--env-file %s image", path);
	parsed = parse(OPTIONS_RUN, line);
	(void)unlink(path);
	return parsed;
}

static void an_env_file_has_a_variable_a_line(void **state)
{
	static const char text[] =
		"# comment\n\nA=1\n  B=two words \n\t# C=3\nHERE\nNOT_HERE\nD=#4";
	struct parsed parsed;

	(void)state;
	assert_int_equal(setenv("HERE", "outside", 1), 0);
	assert_int_equal(unsetenv("NOT_HERE"), 0);
	parsed = parse_file(text, strlen(text));
	assert_int_equal(parsed.num, 0);
	assert_int_equal(parsed.options.env.len, 4);
	assert_string_equal(parsed.options.env.at[0], "A=1");
	assert_string_equal(parsed.options.env.at[1], "B=two words ");
	assert_string_equal(parsed.options.env.at[2], "HERE=outside");
	assert_string_equal(parsed.options.env.at[3], "D=#4");
	options_done(&parsed.options);
	parsed = parse_file("", 0);
	assert_int_equal(parsed.num, 0);
	assert_int_equal(parsed.options.env.len, 0);
	options_done(&parsed.options);
}

static void a_bad_env_file_is_refused_with_its_name(void **state)
{
	struct parsed parsed = parse_file("A=1\n=2\n", 7);

	(void)state;
	assert_int_equal(parsed.num, -EINVAL);
	assert_non_null(strstr(parsed.err.msg, "--env-file '/tmp/casemate-test-"));
	assert_int_equal(parsed.err.code, ERR_USAGE);
	options_done(&parsed.options);
	/* nothing behind a NUL is lost without a word */
	parsed = parse_file("A=1\0\nB=2\n", 9);
	assert_int_equal(parsed.num, -EINVAL);
	assert_non_null(strstr(parsed.err.msg, "NUL"));
	options_done(&parsed.options);
	refuse(OPTIONS_RUN, "--env-file /nonesuch/file image", -ENOENT, "/nonesuch/file");
}

static void an_env_file_is_bounded(void **state)
{
	char *bytes = malloc(FILE_MAX + 1);
	struct parsed parsed;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, '#', FILE_MAX + 1);
	parsed = parse_file(bytes, FILE_MAX);
	assert_int_equal(parsed.num, 0);
	options_done(&parsed.options);
	parsed = parse_file(bytes, FILE_MAX + 1);
	assert_int_equal(parsed.num, -EFBIG);
	options_done(&parsed.options);
	for (int i = 0; i < VARIABLES_MAX + 1; i++)
		memcpy(bytes + 4 * i, "A=1\n", 4);
	parsed = parse_file(bytes, 4 * VARIABLES_MAX);
	assert_int_equal(parsed.num, 0);
	assert_int_equal(parsed.options.env.len, VARIABLES_MAX);
	options_done(&parsed.options);
	parsed = parse_file(bytes, 4 * (VARIABLES_MAX + 1));
	assert_int_equal(parsed.num, -E2BIG);
	options_done(&parsed.options);
	free(bytes);
}

static void settings_are_collected(void **state)
{
	struct parsed parsed;

	(void)state;
	accept(OPTIONS_RUN, "--config a=1 --config=b=2", &parsed);
	assert_int_equal(parsed.options.config.len, 2);
	assert_string_equal(parsed.options.config.at[0], "a=1");
	assert_string_equal(parsed.options.config.at[1], "b=2");
	options_done(&parsed.options);
}

static void help_shows_what_is_there_and_no_more(void **state)
{
	char *run = options_help(OPTIONS_RUN), *exec = options_help(OPTIONS_EXEC);

	(void)state;
	assert_non_null(run);
	assert_non_null(exec);
	assert_non_null(strstr(run, "-m, --memory=X"));
	assert_non_null(strstr(run, "    --read-only "));
	assert_null(strstr(run, "publish"));
	assert_null(strstr(exec, "memory"));
	assert_non_null(strstr(exec, "-e, --env=X"));
	free(run);
	free(exec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_without_a_value_set_what_they_name),
		cmocka_unit_test(flags_with_a_value_keep_it),
		cmocka_unit_test(the_first_word_that_is_no_flag_ends_them),
		cmocka_unit_test(other_commands_take_flags_among_their_words),
		cmocka_unit_test(every_command_that_reads_the_configuration_can_be_told_of_it),
		cmocka_unit_test(the_beginning_of_a_flag_is_none),
		cmocka_unit_test(unknown_flags_are_named_with_the_nearest),
		cmocka_unit_test(a_value_that_is_missing_or_too_much_is_refused),
		cmocka_unit_test(devices_are_named_and_counted),
		cmocka_unit_test(flags_that_are_not_there_yet_are_refused_by_name),
		cmocka_unit_test(secrets_are_names_with_uris),
		cmocka_unit_test(a_policy_is_asked_for_as_a_container_is),
		cmocka_unit_test(secrets_and_execs_have_a_limit),
		cmocka_unit_test(the_only_network_is_none),
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(names_and_folders_are_checked),
		cmocka_unit_test(variables_are_taken_as_given_or_looked_up),
		cmocka_unit_test(an_env_file_has_a_variable_a_line),
		cmocka_unit_test(a_bad_env_file_is_refused_with_its_name),
		cmocka_unit_test(an_env_file_is_bounded),
		cmocka_unit_test(settings_are_collected),
		cmocka_unit_test(help_shows_what_is_there_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
