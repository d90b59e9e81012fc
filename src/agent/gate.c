// SPDX-License-Identifier: Apache-2.0
#include "agent/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

bool gate_is_wanted(const char *cmdline)
{
	static const char word[] = "casemate.tee=sim";
	const char *at = cmdline;

	while (*(at += strspn(at, " \n"))) {
		size_t len = strcspn(at, " \n");

		if (len == strlen(word) && memcmp(at, word, len) == 0)
			return true;
		at += len;
	}
	return false;
}

struct gate *gate_new(void)
{
	return calloc(1, sizeof(struct gate));
}

struct gate *gate_free(struct gate *gate)
{
	if (gate) {
		attest_policy_done(&gate->policy);
		buf_done(&gate->document);
	}
	free(gate);
	return NULL;
}

static int set_coded(const struct attest_refusal *refusal, struct err *err)
{
	return err_set(err, -EACCES, "%s: %s", attest_reason_name(refusal->reason), refusal->text);
}

/* Of both forms that a policy can be read in, only the bytes that its digest is of. */
static int parse(struct bytes document, struct attest_policy *policy, struct err *err)
{
	CLEANUP(buf_done) struct buf canonical = { 0 };
	struct attest_refusal refusal;
	struct err why = { 0 };
	int r = attest_policy_parse(document, policy, &why);

	if (r == 0)
		r = attest_policy_document(policy, &canonical);
	if (r == -ENOMEM)
		return err_num(err, r, "open the policy");
	if (r == 0 && canonical.len == document.len &&
	    memcmp(canonical.at, document.at, document.len) == 0)
		return 0;
	attest_refusal_set(&refusal, ATTEST_POLICY_MALFORMED, "%.200s",
			   why.msg[0] ? why.msg : "not a policy's canonical document");
	attest_policy_done(policy);
	*policy = (struct attest_policy){ 0 };
	return set_coded(&refusal, err);
}

int gate_check_document(const struct gate *gate, struct bytes document, struct err *err)
{
	struct attest_policy *policy;
	int r;

	if (gate->is_open)
		return err_set(err, -EBUSY, "set the policy: there is one");
	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return err_num(err, -ENOMEM, "open the policy");
	r = parse(document, policy, err);
	attest_policy_done(policy);
	free(policy);
	return r;
}

int gate_open(struct gate *gate, struct bytes document, struct err *err)
{
	int r;

	if (gate->is_open)
		return err_set(err, -EBUSY, "set the policy: there is one");
	gate->document.len = 0;
	r = buf_add(&gate->document, document.at, document.len);
	if (r < 0)
		return err_num(err, r, "keep the policy");
	r = parse(document, &gate->policy, err);
	gate->is_open = r == 0;
	return r;
}

int gate_refuse(struct gate *gate, const struct gate_ask *ask, const struct attest_refusal *refusal,
		struct err *err)
{
	struct gate_refusal *kept = &gate->refusals[gate->count++ % GATE_REFUSALS_MAX];

	*kept = (struct gate_refusal){ .uptime_us = ask->uptime_us };
	(void)snprintf(kept->method, sizeof(kept->method), "%s", ask->method);
	(void)snprintf(kept->id, sizeof(kept->id), "%s", ask->id);
	(void)snprintf(kept->code, sizeof(kept->code), "%s", attest_reason_name(refusal->reason));
	(void)snprintf(kept->text, sizeof(kept->text), "%s", refusal->text);
	if (gate->say)
		gate->say(kept);
	return set_coded(refusal, err);
}

/* r as the policy's checks return it. */
static int judge(struct gate *gate, const struct gate_ask *ask, int r,
		 const struct attest_refusal *refusal, struct err *err)
{
	if (r == 1)
		return 0;
	if (r < 0)
		return err_num(err, r, "hold it against the policy");
	return gate_refuse(gate, ask, refusal, err);
}

int gate_check_create(struct gate *gate, const struct gate_ask *ask,
		      const Agent__ContainerSpec *spec, size_t *ret_container, struct err *err)
{
	struct attest_refusal refusal;

	return judge(gate, ask, attest_policy_check(&gate->policy, spec, ret_container, &refusal),
		     &refusal, err);
}

int gate_check_secrets(struct gate *gate, const struct gate_ask *ask, size_t container,
		       Agent__Secret *const *secrets, size_t count, struct err *err)
{
	struct attest_refusal refusal;

	for (size_t i = 0; i < count; i++) {
		const Agent__Secret *secret = secrets[i];

		/* it becomes a file's name, whatever a policy may have let through */
		if (!spec_id_is_valid(secret->name)) {
			attest_refusal_set(&refusal, ATTEST_POLICY_SECRET,
					   "a secret's name has 1 to %d of [a-zA-Z0-9_.-]",
					   SPEC_ID_MAX);
			return gate_refuse(gate, ask, &refusal, err);
		}
		if (secret->base.n_unknown_fields > 0) {
			attest_refusal_set(&refusal, ATTEST_POLICY_FIELD,
					   "secret '%s' has a field that is not known here",
					   secret->name);
			return gate_refuse(gate, ask, &refusal, err);
		}
		for (size_t j = 0; j < i; j++)
			if (strcmp(secrets[j]->name, secret->name) == 0) {
				attest_refusal_set(&refusal, ATTEST_POLICY_SECRET,
						   "'%s' is asked for twice", secret->name);
				return gate_refuse(gate, ask, &refusal, err);
			}
		if (!attest_policy_check_secret(&gate->policy, container, secret->name, secret->uri,
						&refusal))
			return gate_refuse(gate, ask, &refusal, err);
	}
	return 0;
}

int gate_check_exec(struct gate *gate, const struct gate_ask *ask, size_t container,
		    const Agent__Process *process, struct err *err)
{
	struct attest_refusal refusal;
	int r = attest_policy_check_exec(&gate->policy, container, process, &refusal);

	return judge(gate, ask, r, &refusal, err);
}

void gate_list(struct gate *gate, Agent__Refused *refused, Agent__Refused **at,
	       Agent__ListRefusalsResponse *ret)
{
	uint64_t first = gate->count > GATE_REFUSALS_MAX ? gate->count - GATE_REFUSALS_MAX : 0;

	agent__list_refusals_response__init(ret);
	ret->count = gate->count;
	ret->refusals = at;
	for (uint64_t i = first; i < gate->count; i++) {
		struct gate_refusal *kept = &gate->refusals[i % GATE_REFUSALS_MAX];
		Agent__Refused *one = &refused[ret->n_refusals];

		agent__refused__init(one);
		one->method = kept->method;
		one->id = kept->id;
		one->code = kept->code;
		one->text = kept->text;
		one->uptime_us = kept->uptime_us;
		at[ret->n_refusals++] = one;
	}
}
