// SPDX-License-Identifier: Apache-2.0
#include "cli/request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS = 32 };

/* Kept between parse and the test's end: a request borrows from them. */
struct made {
	struct options options;
	struct request request;
	char *argv[WORDS + 2];
	char words[512];
};

static void made_done(struct made *made)
{
	request_done(&made->request);
	options_done(&made->options);
}
CLEANUP_FUNC(struct made, made_done)

/* line is split at spaces. */
static int try(const char *line, struct made *ret, struct err *err)
{
	char *rest = ret->words, *word;
	int argc = 0, r;

	(void)snprintf(ret->words, sizeof(ret->words), "run %s", line);
	while ((word = strsep(&rest, " ")) && argc < WORDS)
		if (word[0])
			ret->argv[argc++] = word;
	r = options_parse(OPTIONS_RUN, argc, ret->argv, &ret->options, err);
	return r < 0 ? r : request_make(&ret->options, &ret->request, err);
}

static void make(const char *line, struct made *ret)
{
	struct err err = { 0 };

	if (try(line, ret, &err) < 0)
		fail_msg("'%s': %s", line, err.msg);
}

static void refuse(const char *line, const char *words)
{
	CLEANUP(made_done) struct made made = { 0 };
	struct err err = { 0 };

	assert_int_equal(try(line, &made, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, words))
		fail_msg("'%s': '%s' does not say '%s'", line, err.msg, words);
}

static void paths_are_made_absolute(void **state)
{
	CLEANUP(made_done) struct made relative = { 0 }, absolute = { 0 }, odd = { 0 };
	char here[256], wanted[512];

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	make("--tee sim --policy dir/p.json oci:image:tag", &relative);
	(void)snprintf(wanted, sizeof(wanted), "oci:%s/image:tag", here);
	assert_string_equal(relative.request.message.image, wanted);
	(void)snprintf(wanted, sizeof(wanted), "%s/dir/p.json", here);
	assert_string_equal(relative.request.message.policy, wanted);
	make("--tee sim --policy /p oci:/i", &absolute);
	assert_string_equal(absolute.request.message.image, "oci:/i");
	assert_string_equal(absolute.request.message.policy, "/p");
	make("image", &odd);
	assert_string_equal(odd.request.message.image, "image");
}

static void what_follows_the_image_is_the_command(void **state)
{
	CLEANUP(made_done) struct made made = { 0 }, none = { 0 };
	const Casemate__Request *message = &made.request.message;

	(void)state;
	make("-e A=1 -u app -w /srv --hostname h --read-only --cpus 2 -m 64m --pids-limit 9 -d "
	     "--rm --accel tcg --gpus 2 --config a=b oci:/i -- ls -l",
	     &made);
	assert_int_equal(message->n_args, 2);
	assert_string_equal(message->args[0], "ls");
	assert_string_equal(message->args[1], "-l");
	assert_string_equal(message->env[0], "A=1");
	assert_string_equal(message->user, "app");
	assert_string_equal(message->cwd, "/srv");
	assert_string_equal(message->hostname, "h");
	assert_string_equal(message->accel, "tcg");
	assert_string_equal(message->config[0], "a=b");
	assert_int_equal(message->cpu_milli, 2000);
	assert_true(message->memory_bytes == 64 << 20);
	assert_true(message->pids_set && message->pids == 9);
	assert_true(message->read_only && message->detach && message->remove);
	assert_int_equal(message->devices->gpus, 2);
	assert_string_equal(message->tee, "");
	make("oci:/i", &none);
	assert_int_equal(none.request.message.n_args, 0);
	assert_false(none.request.message.entrypoint_set);
}

static void entrypoints_are_words_or_lists(void **state)
{
	CLEANUP(made_done) struct made word = { 0 }, list = { 0 }, none = { 0 };

	(void)state;
	make("--entrypoint /bin/x oci:/i", &word);
	assert_int_equal(word.request.message.n_entrypoint, 1);
	assert_string_equal(word.request.message.entrypoint[0], "/bin/x");
	make("--entrypoint [\"/x\",\"-y\"] oci:/i", &list);
	assert_int_equal(list.request.message.n_entrypoint, 2);
	assert_string_equal(list.request.message.entrypoint[1], "-y");
	make("--entrypoint= oci:/i", &none);
	assert_true(none.request.message.entrypoint_set);
	assert_int_equal(none.request.message.n_entrypoint, 0);
	refuse("--entrypoint [1] oci:/i", "--entrypoint '[1]': not a JSON array of strings");
	refuse("--entrypoint [\"a\" oci:/i", "not a JSON array of strings");
	refuse("-d", "an image is needed");
}

static void secrets_are_names_and_uris(void **state)
{
	CLEANUP(made_done) struct made made = { 0 };
	const Casemate__Request *message = &made.request.message;

	(void)state;
	make("--secret a=kbs:///d/k/1 --secret=b.c=kbs:///d/k/x=y oci:/i", &made);
	assert_int_equal(message->n_secrets, 2);
	assert_string_equal(message->secrets[0]->name, "a");
	assert_string_equal(message->secrets[0]->uri, "kbs:///d/k/1");
	assert_string_equal(message->secrets[1]->name, "b.c");
	assert_string_equal(message->secrets[1]->uri, "kbs:///d/k/x=y");
}

static void checks(const char *line, bool is_first, int num, const char *words)
{
	CLEANUP(made_done) struct made made = { 0 };
	enum layout_tee tee = LAYOUT_TEE_NONE;
	struct err err = { 0 };
	int r;

	make(line, &made);
	r = request_check_tee(&made.request.message, is_first, &tee, &err);
	if (r != num || (words && !strstr(err.msg, words)))
		fail_msg("'%s': %d '%s', not %d '%s'", line, r, err.msg, num, words);
	if (num == 0)
		assert_int_equal(tee, strstr(line, "sim") ? LAYOUT_TEE_SIM : LAYOUT_TEE_NONE);
	else
		assert_int_equal(err.code, num == -EINVAL ? ERR_USAGE : ERR_UNSUPPORTED);
}

static void tee_policy_and_secrets_go_together(void **state)
{
	(void)state;
	checks("oci:/i", true, 0, NULL);
	checks("--tee none oci:/i", true, 0, NULL);
	checks("--tee sim --policy /p oci:/i", true, 0, NULL);
	checks("--tee sim --policy /p --secret a=kbs:///d/k/1 oci:/i", true, 0, NULL);
	checks("--tee sim oci:/i", true, -EINVAL, "--tee sim: --policy is needed");
	checks("--policy /p oci:/i", true, -EINVAL, "--policy: ");
	checks("--tee none --policy /p oci:/i", true, -EINVAL, "--policy: ");
	checks("--secret a=kbs:///d/k/1 oci:/i", true, -EINVAL, "--secret: ");
	checks("--tee sev-snp --policy /p oci:/i", true, -EOPNOTSUPP, "--tee sev-snp: ");
	checks("--tee tdx --policy /p oci:/i", true, -EOPNOTSUPP, "tdx-guest");
	checks("--tee sgx --policy /p oci:/i", true, -EINVAL, "--tee 'sgx'");
}

static void a_later_container_brings_secrets_only(void **state)
{
	(void)state;
	checks("--pod p --secret a=kbs:///d/k/1 oci:/i", false, 0, NULL);
	checks("--pod p oci:/i", false, 0, NULL);
	checks("--pod p --tee sim oci:/i", false, -EINVAL, "--tee: ");
	checks("--pod p --tee none oci:/i", false, -EINVAL, "--tee: ");
	checks("--pod p --policy /p oci:/i", false, -EINVAL, "--policy: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_made_absolute),
		cmocka_unit_test(what_follows_the_image_is_the_command),
		cmocka_unit_test(entrypoints_are_words_or_lists),
		cmocka_unit_test(secrets_are_names_and_uris),
		cmocka_unit_test(tee_policy_and_secrets_go_together),
		cmocka_unit_test(a_later_container_brings_secrets_only),
	};

	return cmocka_run_group_tests_name("cli/request", tests, NULL, NULL);
}
