// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "attest/policy.h"
#include "base/url.h"
#include "cli/prepare.h"
#include "emit/qemu.h"
#include "plan/plan.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/resolve.h"

enum {
	HOST_DATA = 32,
	RESOLVE_MS = 10000,
	PROCESSOR_ARGS = 13,
	PROCESSOR_FD = 3, /* the processor's end of the shim's socket */
};

static int no_memory(struct err *err)
{
	return err_num(err, -ENOMEM, "plan the TEE");
}

/* The document goes to the guest, its digest to the processor: the guest compares the two. */
static int add_policy(struct prepare *prepare, struct attest_policy *policy, Casemate__Tee *tee,
		      struct err *err)
{
	const char *path = prepare->request->request->policy;
	CLEANUP(buf_done) struct buf text = { 0 }, document = { 0 };
	int r;

	r = file_read(AT_FDCWD, path, ATTEST_POLICY_TEXT_MAX, &text, err);
	if (r >= 0)
		r = attest_policy_parse(buf_bytes(&text), policy, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "--policy '%s'", path), ERR_USAGE);
	tee->host_data.data = arena_alloc(&prepare->arena, HOST_DATA);
	if (!tee->host_data.data || attest_policy_document(policy, &document) < 0)
		return no_memory(err);
	tee->host_data.len = HOST_DATA;
	r = attest_policy_digest(policy, HOST_DATA, tee->host_data.data);
	if (r < 0)
		return err_num(err, r, "hash the policy");
	tee->policy.data = arena_memdup(&prepare->arena, document.at, document.len);
	tee->policy.len = document.len;
	return tee->policy.data ? 0 : no_memory(err);
}

static int resolve_broker(struct prepare *prepare, const char *address, Casemate__Tee *tee,
			  struct err *err)
{
	struct resolve_address found[RESOLVE_MAX];
	size_t count = 0;
	struct url url;
	int r;

	r = url_parse(address, &url);
	if (r < 0)
		return err_coded(err, ERR_USAGE, r,
				 "the policy's broker '%s': not https://HOST[:PORT]", address);
	r = resolve_host(url.host, url.port, RESOLVE_MS, found, &count, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "the policy's broker"), ERR_HOST);
	tee->broker = arena_array(&prepare->arena, count, sizeof(*tee->broker));
	if (!tee->broker)
		return no_memory(err);
	for (size_t i = 0; i < count; i++) {
		ProtobufCBinaryData *at = &tee->broker[tee->n_broker++];

		at->len = found[i].len;
		at->data = arena_memdup(&prepare->arena, found[i].at, found[i].len);
		if (!at->data)
			return no_memory(err);
	}
	return 0;
}

/* Without a secret to fetch its absence is no reason not to start, only worth saying. */
static int add_broker(struct prepare *prepare, const struct attest_policy *policy,
		      Casemate__Tee *tee, struct err *err)
{
	const bool is_needed = prepare->request->request->n_secrets > 0;
	struct err why = { 0 };
	char note[640];
	int r;

	if (!policy->broker_url)
		return is_needed ? err_coded(err, ERR_USAGE, -EINVAL,
					     "--secret: the policy names no broker to get it from")
				 : 0;
	r = resolve_broker(prepare, policy->broker_url, tee, is_needed ? err : &why);
	if (r >= 0 || is_needed)
		return r;
	(void)snprintf(note, sizeof(note), "no container of this pod will get a secret: %s",
		       why.msg);
	prepare_note(prepare, note);
	return 0;
}

static const char *find_program(struct prepare *prepare, struct err *err)
{
	const char *chosen = config_text(&prepare->config, CONFIG_SIMTEE);
	char folder[3072];

	if (chosen[0])
		return arena_strdup(&prepare->arena, chosen);
	if (host_program_dir(folder, sizeof(folder), err) < 0)
		return NULL;
	return arena_printf(&prepare->arena, "%s/casemate-simtee", folder);
}

/* As root the shim starts it where nobody listens; it reads no configuration, so this says all. */
static int add_processor(struct prepare *prepare, Casemate__Tee *tee, struct err *err)
{
	const struct config *config = &prepare->config;
	struct arena *arena = &prepare->arena;
	const char *program = find_program(prepare, err);
	const char *const args[PROCESSOR_ARGS] = {
		program,
		"--qemu",
		config_text(config, CONFIG_QEMU),
		"--dir",
		config_text(config, CONFIG_SIMTEE_DIR),
		"--uid",
		arena_printf(arena, "%u", (unsigned)config_number(config, CONFIG_SIMTEE_UID)),
		"--uid-first",
		arena_printf(arena, "%u", (unsigned)config_number(config, CONFIG_UID_FIRST)),
		"--uid-count",
		arena_printf(arena, "%u", (unsigned)config_number(config, CONFIG_UID_COUNT)),
		"--connection",
		arena_printf(arena, "%d", PROCESSOR_FD),
	};

	tee->processor = arena_strdup(arena, config_text(config, CONFIG_SIMTEE_SOCKET));
	tee->processor_argv = arena_array(arena, PROCESSOR_ARGS, sizeof(*tee->processor_argv));
	if (!tee->processor || !tee->processor_argv)
		return no_memory(err);
	for (size_t i = 0; i < PROCESSOR_ARGS; i++) {
		char *copy = args[i] ? arena_strdup(arena, args[i]) : NULL;

		if (!copy)
			return err && err->num ? err->num : no_memory(err);
		tee->processor_argv[tee->n_processor_argv++] = copy;
	}
	return 0;
}

int prepare_tee(struct prepare *prepare, struct err *err)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	Casemate__Tee *tee = arena_alloc(&prepare->arena, sizeof(*tee));
	int r;

	if (!tee)
		return no_memory(err);
	casemate__tee__init(tee);
	tee->kind = arena_strdup(&prepare->arena, plan_tee_name(prepare->tee));
	if (!tee->kind)
		return no_memory(err);
	tee->target = (uint32_t)emit_target(LAYOUT_ROLE_TEE);
	r = add_policy(prepare, &policy, tee, err);
	if (r >= 0)
		r = add_broker(prepare, &policy, tee, err);
	if (r >= 0)
		r = add_processor(prepare, tee, err);
	if (r >= 0)
		prepare->told_tee = tee;
	return r;
}
