// SPDX-License-Identifier: Apache-2.0
#include "attest/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *const kinds[] = {
	[ATTEST_PART_SNP_REPORT] = "snp-report",
	[ATTEST_PART_SNP_CERTIFICATES] = "snp-certificates",
	[ATTEST_PART_SNP_SIGNATURE] = "snp-signature",
	[ATTEST_PART_SNP_TCB] = "snp-tcb",
	[ATTEST_PART_SNP_GUEST] = "snp-guest",
	[ATTEST_PART_SNP_BINDING] = "snp-binding",
};

static_assert(ARRAY_SIZE(kinds) == ATTEST_PART_KIND_COUNT, "one for each");

const char *attest_part_kind_name(enum attest_part_kind kind)
{
	assert((size_t)kind < ATTEST_PART_KIND_COUNT);
	return kinds[kind];
}

static struct attest_part *part_free(struct attest_part *part)
{
	if (!part)
		return NULL;
	json_decref(part->claims);
	free(part->refusals);
	free(part->subject);
	free(part);
	return NULL;
}
CLEANUP_PTR(struct attest_part, part_free)

static void value_free(json_t *value)
{
	json_decref(value);
}
CLEANUP_PTR(json_t, value_free)

void attest_verdict_done(struct attest_verdict *verdict)
{
	for (size_t i = 0; i < verdict->part_count; i++)
		(void)part_free(verdict->parts[i]);
	*verdict = (struct attest_verdict){ 0 };
}

static bool part_is_ok(const struct attest_part *part)
{
	return part->is_done && !part->is_refused;
}

bool attest_verdict_is_ok(const struct attest_verdict *verdict)
{
	if (verdict->is_broken || verdict->part_count == 0)
		return false;
	for (size_t i = 0; i < verdict->part_count; i++)
		if (!part_is_ok(verdict->parts[i]))
			return false;
	return true;
}

const struct attest_refusal *attest_verdict_first(const struct attest_verdict *verdict)
{
	for (size_t i = 0; i < verdict->part_count; i++)
		if (verdict->parts[i]->refusal_count > 0)
			return &verdict->parts[i]->refusals[0];
	return NULL;
}

bool attest_verdict_has(const struct attest_verdict *verdict, enum attest_reason reason)
{
	for (size_t i = 0; i < verdict->part_count; i++)
		for (size_t j = 0; j < verdict->parts[i]->refusal_count; j++)
			if (verdict->parts[i]->refusals[j].reason == reason)
				return true;
	return false;
}

struct attest_part *attest_verdict_part(struct attest_verdict *verdict, enum attest_part_kind kind,
					const char *subject)
{
	CLEANUP(part_free) struct attest_part *part = calloc(1, sizeof(*part));

	if (part) {
		part->kind = kind;
		part->subject = strdup(subject);
		part->claims = json_object();
	}
	if (!part || !part->subject || !part->claims || verdict->part_count == ATTEST_PARTS_MAX) {
		verdict->is_broken = true;
		return NULL;
	}
	verdict->parts[verdict->part_count++] = part;
	return steal_ptr(&part);
}

void attest_part_refuse(struct attest_part *part, enum attest_reason reason, const char *fmt, ...)
{
	struct attest_refusal *more, *refusal;
	va_list ap;

	if (!part)
		return;
	part->is_refused = true;
	if (part->refusal_count == ATTEST_REFUSALS_MAX)
		return;
	more = reallocarray(part->refusals, part->refusal_count + 1, sizeof(*more));
	if (!more)
		return;
	part->refusals = more;
	refusal = &more[part->refusal_count++];
	refusal->reason = reason;
	va_start(ap, fmt);
	(void)vsnprintf(refusal->text, sizeof(refusal->text), fmt, ap);
	va_end(ap);
}

void attest_part_done(struct attest_part *part)
{
	if (part)
		part->is_done = true;
}

void attest_part_claim_json(struct attest_part *part, const char *name, json_t *take_value)
{
	if (!part)
		json_decref(take_value);
	else if (json_object_set_new(part->claims, name, take_value) < 0)
		part->is_refused = true;
}

void attest_part_claim_text(struct attest_part *part, const char *name, const char *text)
{
	attest_part_claim_json(part, name, json_string(text));
}

void attest_part_claim_hex(struct attest_part *part, const char *name, struct bytes value)
{
	cleanup_free char *hex = malloc(2 * value.len + 1);

	if (hex)
		text_hex(value.at, value.len, hex);
	attest_part_claim_json(part, name, hex ? json_string(hex) : NULL);
}

/* JSON's integers here are signed: what is larger is said in hex. */
void attest_part_claim_number(struct attest_part *part, const char *name, uint64_t value)
{
	char text[19];

	(void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	attest_part_claim_json(part, name,
			       value <= INT64_MAX ? json_integer((json_int_t)value)
						  : json_string(text));
}

void attest_part_claim_bool(struct attest_part *part, const char *name, bool value)
{
	attest_part_claim_json(part, name, value ? json_true() : json_false());
}

/* In parts and in all: the text is from elsewhere in places, and JSON is UTF-8. */
static json_t *refusal_json(const struct attest_refusal *refusal)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct bytes raw = { (const uint8_t *)refusal->text, strlen(refusal->text) };

	if (text_quote(&text, raw) < 0 || buf_add(&text, "", 1) < 0)
		return NULL;
	return json_pack("{s:s, s:s}", "code", attest_reason_name(refusal->reason), "text",
			 (const char *)text.at);
}

/* Each list takes one of its own. */
static int add_refusals(const struct attest_part *part, json_t *list)
{
	for (size_t i = 0; i < part->refusal_count; i++)
		if (json_array_append_new(list, refusal_json(&part->refusals[i])) < 0)
			return -ENOMEM;
	return 0;
}

static json_t *part_json(const struct attest_part *part)
{
	CLEANUP(value_free) json_t *refusals = json_array();
	CLEANUP(value_free) json_t *object = NULL;

	if (!refusals || add_refusals(part, refusals) < 0)
		return NULL;
	object = json_pack("{s:s, s:b, s:O, s:O}", "kind", attest_part_kind_name(part->kind), "ok",
			   part_is_ok(part), "claims", part->claims, "refusals", refusals);
	if (object && part->subject[0] &&
	    json_object_set_new(object, "subject", json_string(part->subject)) < 0)
		return NULL;
	return steal_ptr(&object);
}

int attest_verdict_json(const struct attest_verdict *verdict, char **ret_text)
{
	CLEANUP(value_free) json_t *parts = json_array();
	CLEANUP(value_free) json_t *refusals = json_array();
	CLEANUP(value_free) json_t *root = NULL;
	char *text;

	if (!parts || !refusals || verdict->is_broken)
		return -ENOMEM;
	for (size_t i = 0; i < verdict->part_count; i++)
		if (json_array_append_new(parts, part_json(verdict->parts[i])) < 0 ||
		    add_refusals(verdict->parts[i], refusals) < 0)
			return -ENOMEM;
	root = json_pack("{s:i, s:b, s:b, s:s, s:s, s:O, s:O}", "schema", 1, "ok",
			 attest_verdict_is_ok(verdict), "simulated", verdict->is_simulated,
			 "freshness", verdict->freshness_checked ? "checked" : "unchecked",
			 "policy", verdict->policy_applied ? "applied" : "none", "parts", parts,
			 "refusals", refusals);
	if (!root)
		return -ENOMEM;
	text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}
