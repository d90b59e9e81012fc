// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: the request goes the way of `casemate run`, in this process, up to where the
 * shim would be told: what it would send to the guest is what the policy allows, byte for byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/expect.h"
#include "attest/kbs.h"
#include "attest/policy.h"
#include "base/text.h"
#include "base/url.h"
#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/reference.h"
#include "cli/request.h"
#include "plan/plan.h"
#include "sys/file.h"

struct generate {
	struct options options;
	struct request request;
	struct prepare prepare;
	Casemate__PrepareRequest asked;
	struct attest_policy policy;
	char name[TEXT_NAME_MAX + 1];
};

static void generate_done(struct generate *generate)
{
	attest_policy_done(&generate->policy);
	prepare_done(&generate->prepare);
	request_done(&generate->request);
	options_done(&generate->options);
}
CLEANUP_FUNC(struct generate, generate_done)

static int bad(struct err *err, const char *flag, const char *value, const char *what)
{
	return err_coded(err, ERR_USAGE, -EINVAL, "--%s '%s': %s", flag, value, what);
}

/* A policy that is there already, and lets one more container in. */
static int read_policy(struct generate *generate, struct err *err)
{
	const char *path = generate->options.add;
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	if (!path)
		return 0;
	r = file_read(AT_FDCWD, path, ATTEST_POLICY_TEXT_MAX, &text, err);
	if (r >= 0)
		r = attest_policy_parse(buf_bytes(&text), &generate->policy, err);
	return r < 0 ? err_recode(err, err_wrap(err, r, "--add '%s'", path), ERR_USAGE) : 0;
}

static int set_broker(struct generate *generate, struct err *err)
{
	const char *address = generate->options.broker, *hex = generate->options.broker_key;
	uint8_t key[ATTEST_POLICY_KEY_SIZE];
	struct url url;

	if (!address && !hex)
		return 0;
	if (!address || !hex)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--broker and --broker-key: one is nothing without the other");
	if (url_parse(address, &url) < 0)
		return bad(err, "broker", address, "not https://HOST[:PORT]");
	if (text_unhex(hex, sizeof(key), key) < 0)
		return bad(err, "broker-key", hex, "not 64 hex digits");
	return attest_policy_set_broker(&generate->policy, address, key, err);
}

/* As `casemate exec` sends it: what it leaves out is the container's. */
static int add_exec(struct generate *generate, const char *text, struct err *err)
{
	struct attest_policy_container *last =
		&generate->policy.containers[generate->policy.container_count - 1];
	Agent__Process process = AGENT__PROCESS__INIT;
	int r;

	if (strcmp(text, "any") == 0) {
		last->exec_any = true;
		return 0;
	}
	r = request_read_strings(&generate->request.arena, text, &process.args, &process.n_args);
	if (r == -EINVAL || (r == 0 && process.n_args == 0))
		return bad(err, "exec", text, "not a JSON array of strings");
	return r < 0 ? err_num(err, r, "--exec")
		     : attest_policy_add_exec(&generate->policy, &process, err);
}

static int add_secret(struct generate *generate, const Casemate__SecretRequest *secret,
		      struct err *err)
{
	if (!attest_kbs_uri_resource(secret->uri))
		return bad(err, "secret", secret->uri, "not kbs:///REPOSITORY/TYPE/TAG");
	return attest_policy_add_secret(&generate->policy, secret->name, secret->uri, err);
}

/* As the policy calls it; the options have seen that it is a name. */
static void name_container(struct generate *generate)
{
	const struct options *options = &generate->options;

	if (options->name || !options->add)
		(void)snprintf(generate->name, sizeof(generate->name), "%s",
			       options->name ? options->name : "main");
	else
		(void)snprintf(generate->name, sizeof(generate->name), "c%zu",
			       generate->policy.container_count + 1);
}

static int add_container(struct generate *generate, struct err *err)
{
	const ProtobufCBinaryData *bytes = &generate->prepare.result.spec;
	const Casemate__Request *request = &generate->request.message;
	const struct strv *execs = &generate->options.execs;
	Agent__ContainerSpec *spec;
	int r;

	spec = agent__container_spec__unpack(NULL, bytes->len, bytes->data);
	if (!spec)
		return err_num(err, -ENOMEM, "make the policy");
	r = attest_policy_add(&generate->policy, generate->asked.container, spec, err);
	agent__container_spec__free_unpacked(spec, NULL);
	for (size_t i = 0; r == 0 && i < execs->len; i++)
		r = add_exec(generate, execs->at[i], err);
	for (size_t i = 0; r == 0 && i < request->n_secrets; i++)
		r = add_secret(generate, request->secrets[i], err);
	if (r == 0 && request->n_secrets > 0 && !generate->policy.broker_url)
		r = err_coded(err, ERR_USAGE, -EINVAL,
			      "--secret: it is got from a broker: --broker and --broker-key say "
			      "which");
	return r < 0 ? err_recode(err, r, ERR_USAGE) : 0;
}

/* As the agent will ask: what is refused here would be refused there. */
static int check(const struct generate *generate, struct err *err)
{
	const ProtobufCBinaryData *bytes = &generate->prepare.result.spec;
	struct attest_refusal refusal;
	Agent__ContainerSpec *spec;
	size_t container;
	int r;

	spec = agent__container_spec__unpack(NULL, bytes->len, bytes->data);
	if (!spec)
		return err_num(err, -ENOMEM, "check the policy");
	r = attest_policy_check(&generate->policy, spec, &container, &refusal);
	agent__container_spec__free_unpacked(spec, NULL);
	if (r == 0)
		return err_set(err, -EPROTO, "check the policy against its own container: %s",
			       refusal.text);
	return r < 0 ? err_num(err, r, "check the policy") : 0;
}

static int write_reference(const struct generate *generate, struct err *err)
{
	const struct generate *g = generate;
	struct reference reference = { .path = g->options.reference,
				       .dir = config_text(&g->prepare.config, CONFIG_SIMTEE_DIR) };
	int r = 0;

	if (!g->options.reference)
		return 0;
	if (attest_policy_digest(&g->policy, sizeof(reference.host_data), reference.host_data) < 0)
		return err_num(err, -EIO, "hash the policy");
	reference.has_launch_digest = g->asked.with_vm;
	if (reference.has_launch_digest)
		r = launch_measure_prepared(&g->prepare, reference.launch_digest, err);
	return r < 0 ? r : reference_write(&reference, err);
}

static int print(const struct generate *generate, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	if (attest_policy_print(&generate->policy, &text) < 0 || buf_add(&text, "\n", 1) < 0)
		return err_num(err, -ENOMEM, "write the policy");
	if (fwrite(text.at, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
		return err_coded(err, ERR_HOST, -EIO, "write to standard output");
	return 0;
}

static int generate_policy(struct generate *generate, struct err *err)
{
	static char sim[] = "sim";
	Casemate__Request *request = &generate->request.message;
	int r;

	r = request_make(&generate->options, &generate->request, err);
	if (r < 0)
		return r;
	if (!generate->options.tee)
		request->tee = sim;
	if (strcmp(request->tee, "none") == 0)
		return bad(err, "tee", "none", "nobody would enforce a policy");
	casemate__prepare_request__init(&generate->asked);
	casemate__prepare_result__init(&generate->prepare.result);
	generate->asked.request = request;
	generate->asked.container = generate->name;
	generate->asked.with_vm = generate->options.add == NULL;
	generate->prepare.request = &generate->asked;
	generate->prepare.is_dry = true;
	r = read_policy(generate, err);
	name_container(generate);
	if (r >= 0)
		r = set_broker(generate, err);
	if (r >= 0)
		r = prepare_work(&generate->prepare, err);
	if (r >= 0)
		r = add_container(generate, err);
	if (r >= 0)
		r = check(generate, err);
	if (r >= 0)
		r = write_reference(generate, err);
	return r < 0 ? r : print(generate, err);
}

int cli_policy_main(int argc, char **argv)
{
	CLEANUP(generate_done) struct generate generate = { .prepare = { .progress_fd = -1 } };
	struct err err = { 0 };
	int r;

	if (argc > 1 && strcmp(argv[1], "generate") == 0)
		argc--, argv++;
	else if (argc < 2 || strcmp(argv[1], "--help") != 0)
		return cli_usage("policy", "'%s': not a part of it: there is 'generate'",
				 argc < 2 ? "" : argv[1]);
	r = options_parse(OPTIONS_POLICY, argc, argv, &generate.options, &err);
	if (r >= 0 && generate.options.help) {
		cleanup_free char *help = options_help(OPTIONS_POLICY);

		return cli_help("policy", help);
	}
	if (r >= 0)
		r = generate_policy(&generate, &err);
	return r < 0 ? cli_fail("policy", &err, cli_status(&err)) : CLI_OK;
}
