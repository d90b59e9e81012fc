// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "attest/policy.h"
#include "base/text.h"
#include "broker/broker.h"
#include "broker/rules.h"
#include "sys/file.h"

enum { FILE_MAX = 8 << 20, VERSION_MAX = 0xff };

/* What the files are, each told by its content. */
struct given {
	bool has_report, has_policy;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct attest_certs certs;
	struct strv resources;
	uint8_t digest[32]; /* the policy's */
};

static void given_done(struct given *given)
{
	attest_certs_done(&given->certs);
	strv_done(&given->resources);
}
CLEANUP_FUNC(struct given, given_done)

static int take_policy(struct given *given, struct bytes text, struct err *err)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	int r = attest_policy_parse(text, &policy, err);

	if (r == 0)
		r = attest_policy_digest(&policy, sizeof(given->digest), given->digest);
	for (size_t i = 0; r == 0 && i < policy.container_count; i++) {
		const struct attest_policy_container *c = &policy.containers[i];

		for (size_t k = 0; r == 0 && k < c->secret_count; k++) {
			const char *resource = attest_kbs_uri_resource(c->secrets[k].uri);

			r = resource ? strv_add(&given->resources, resource) : 0;
		}
	}
	given->has_policy = r == 0;
	return r;
}

/* An attestation request is evidence and policy at once. */
static int take_json(struct given *given, struct bytes text, struct err *err)
{
	CLEANUP(attest_kbs_request_done) struct attest_kbs_request request = { 0 };

	if (memmem(text.at, text.len, "\"tee-evidence\"", 14)) {
		int r = attest_kbs_request_parse(text, &request, err);

		if (r < 0)
			return r;
		memcpy(given->report, request.report, sizeof(given->report));
		attest_certs_done(&given->certs);
		given->certs = request.certs;
		request.certs = (struct attest_certs){ 0 };
		given->has_report = true;
		return request.init_data.len
			       ? take_policy(given, buf_bytes(&request.init_data), err)
			       : 0;
	}
	if (memmem(text.at, text.len, "\"attestation_report\"", 20)) {
		given->has_report = true;
		return attest_kbs_evidence_parse(text, given->report, &given->certs, err);
	}
	return take_policy(given, text, err);
}

static int take_report(struct given *given, struct bytes text, struct err *err)
{
	size_t len = ATTEST_SNP_REPORT_SIZE;

	memcpy(given->report, text.at, len);
	given->has_report = true;
	return text.len == len
		       ? 0
		       : attest_certs_add(&given->certs,
					  (struct bytes){ text.at + len, text.len - len }, err);
}

static int take_file(struct given *given, const char *path, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, path, FILE_MAX, &text, err);
	struct bytes bytes = buf_bytes(&text);

	if (r < 0)
		return r;
	if (bytes.len > 0 && bytes.at[0] == '{')
		r = take_json(given, bytes, err);
	else if (bytes.len >= ATTEST_SNP_REPORT_SIZE && bytes_le32(bytes, 0) <= VERSION_MAX)
		r = take_report(given, bytes, err);
	else if (memmem(bytes.at, bytes.len, "[data]", 6))
		r = take_policy(given, bytes, err);
	else
		r = attest_certs_add(&given->certs, bytes, err);
	return r < 0 ? err_wrap(err, r, "read '%s'", path) : 0;
}

static void print_refusal(const struct attest_refusal *refusal)
{
	CLEANUP(buf_done) struct buf shown = { 0 };

	if (text_quote(&shown, (struct bytes){ (const uint8_t *)refusal->text,
					       strlen(refusal->text) }) == 0)
		(void)printf("    %s: %.*s\n", attest_reason_name(refusal->reason), (int)shown.len,
			     (const char *)shown.at);
}

static void print_judgement(const struct broker_rule *rule, int r,
			    const struct attest_verdict *verdict,
			    const struct attest_refusal *refusal)
{
	bool is_told = false;

	(void)printf("  rule of line %zu: %s\n", rule->line, r == 1 ? "holds" : "does not hold");
	for (size_t i = 0; r == 0 && i < verdict->part_count; i++) {
		for (size_t k = 0; k < verdict->parts[i]->refusal_count; k++) {
			print_refusal(&verdict->parts[i]->refusals[k]);
			is_told = true;
		}
	}
	if (r == 0 && !is_told)
		print_refusal(refusal);
}

/* How many hold. */
static int explain(const struct broker_rules *rules, const char *resource,
		   const struct broker_evidence *evidence)
{
	int holding = 0;

	for (size_t i = 0; i < rules->count; i++) {
		CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
		struct attest_refusal refusal;
		int r;

		if (strcmp(rules->at[i]->resource, resource) != 0)
			continue;
		r = broker_rule_judge(rules->at[i], evidence, &verdict, &refusal);
		if (r < 0)
			return r;
		print_judgement(rules->at[i], r, &verdict, &refusal);
		holding += r;
	}
	return holding;
}

static int read_all(const struct broker_args *args, struct broker_rules *rules, struct given *given,
		    struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, args->words[0], BROKER_RULES_TEXT_MAX, &text, err);

	if (r >= 0)
		r = broker_rules_parse(buf_bytes(&text), rules, err);
	if (r < 0)
		return err_wrap(err, r, "read '%s'", args->words[0]);
	if (!attest_kbs_resource_valid(args->words[1]))
		return err_set(err, -EINVAL, "'%s' is no resource: it is 'repository/type/tag'",
			       args->words[1]);
	for (int i = 2; r >= 0 && i < args->count; i++)
		r = take_file(given, args->words[i], err);
	if (r >= 0 && !given->has_report)
		r = err_set(err, -EINVAL, "there is no report in what was given");
	return r;
}

static void print_given(const struct given *given)
{
	char hex[2 * ATTEST_SNP_DIGEST_SIZE + 1];

	text_hex(given->report + ATTEST_SNP_DIGEST_AT, ATTEST_SNP_DIGEST_SIZE, hex);
	(void)printf("launch digest %s\n", hex);
	text_hex(given->report + ATTEST_SNP_HOST_DATA_AT, ATTEST_SNP_HOST_DATA_SIZE, hex);
	(void)printf("policy        %s\n", hex);
	if (given->has_policy && memcmp(given->digest, given->report + ATTEST_SNP_HOST_DATA_AT,
					sizeof(given->digest)) != 0)
		(void)printf("the policy that was given is another one\n");
}

/* By its family: the simulated processor has none. */
static enum attest_kbs_tee tee_of(const uint8_t *report)
{
	struct attest_snp_report facts;
	struct attest_refusal refusal;

	if (attest_snp_report_parse((struct bytes){ report, ATTEST_SNP_REPORT_SIZE }, &facts,
				    &refusal) < 0)
		return ATTEST_KBS_SNP;
	return attest_snp_report_product(&facts) == ATTEST_SNP_SIM ? ATTEST_KBS_SIM
								   : ATTEST_KBS_SNP;
}

int broker_explain_main(const struct broker_args *args)
{
	CLEANUP(broker_rules_done) struct broker_rules rules = { 0 };
	CLEANUP(given_done) struct given given = { 0 };
	struct broker_evidence evidence = { .report = given.report, .certs = &given.certs };
	uint64_t at = (uint64_t)time(NULL);
	struct err err = { 0 };
	int r = 0;

	if (args->at && text_parse_uint(args->at, INT64_MAX, &at) < 0)
		r = err_set(&err, -EINVAL, "--at '%s': it is seconds since 1970", args->at);
	if (r == 0)
		r = read_all(args, &rules, &given, &err);
	if (r < 0) {
		broker_say("explain: %s", err.msg);
		return BROKER_USAGE;
	}
	evidence.now_s = (int64_t)at;
	evidence.tee = tee_of(given.report);
	evidence.resources = given.has_policy ? &given.resources : NULL;
	(void)printf("resource      %s\n", args->words[1]);
	print_given(&given);
	r = explain(&rules, args->words[1], &evidence);
	if (r <= 0)
		(void)printf("%s\n", r < 0 ? "no memory" : "no rule holds: it is refused");
	return r > 0 ? BROKER_OK : BROKER_FAILED;
}
