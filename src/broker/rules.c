// SPDX-License-Identifier: Apache-2.0
#include "broker/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attest/snp_verify.h"
#include "base/text.h"
#include "oci/yaml.h"

enum {
	RULES_TRIED_MAX = 16, /* of those that a guest could fit */
	FIELD_NAME_MAX = 32,
	VMPL_MAX = 3,
	LAUNCH_NEAR = 1,
	POLICY_NEAR = 2,
	ALL_NEAR = LAUNCH_NEAR | POLICY_NEAR,
};

void broker_rules_done(struct broker_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->at[i]);
	free(rules->at);
	*rules = (struct broker_rules){ 0 };
}

static int add_rule(struct broker_rules *rules, size_t line, struct err *err)
{
	struct broker_rule **at;
	struct broker_rule *rule;

	if (rules->count == BROKER_RULES_MAX)
		return err_set(err, -E2BIG, "more than %d rules", BROKER_RULES_MAX);
	at = reallocarray(rules->at, rules->count + 1, sizeof(*at));
	if (!at)
		return err_num(err, -ENOMEM, "read rules");
	rules->at = at;
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return err_num(err, -ENOMEM, "read rules");
	rule->line = line;
	rules->at[rules->count++] = rule;
	return 0;
}

/* A list of hex digits, by its name in the file. */
struct hexes {
	const char *name;
	size_t len;
	uint8_t *at;
	size_t *count;
};

enum { HEX_LISTS = 6 };

static void list_hexes(struct attest_expect *e, struct hexes ret[HEX_LISTS])
{
	const struct hexes lists[HEX_LISTS] = {
		{ "policies", ATTEST_SNP_HOST_DATA_SIZE, e->host_data[0], &e->host_data_count },
		{ "launch_digests", ATTEST_SNP_DIGEST_SIZE, e->launch_digests.at[0],
		  &e->launch_digests.count },
		{ "sim_roots", ATTEST_ROOT_SIZE, e->sim_roots[0], &e->sim_root_count },
		{ "chip_ids", ATTEST_SNP_CHIP_ID_SIZE, e->chip_ids[0], &e->chip_id_count },
		{ "id_key_digests", ATTEST_SNP_DIGEST_SIZE, e->id_key_digests.at[0],
		  &e->id_key_digests.count },
		{ "author_key_digests", ATTEST_SNP_DIGEST_SIZE, e->author_key_digests.at[0],
		  &e->author_key_digests.count },
	};

	memcpy(ret, lists, sizeof(lists));
}

static int set_hex(const struct hexes *list, const char *text, struct err *err)
{
	size_t max = strcmp(list->name, "sim_roots") == 0 ? ATTEST_EXPECT_SIM_ROOTS_MAX
							  : ATTEST_EXPECT_MAX;

	if (*list->count == max)
		return err_set(err, -E2BIG, "'%s' has more than %zu", list->name, max);
	if (text_unhex(text, list->len, list->at + *list->count * list->len) < 0)
		return err_set(err, -EINVAL, "'%s': '%.40s' is not %zu hex digits", list->name,
			       text, 2 * list->len);
	(*list->count)++;
	return 0;
}

static int set_word(const char *(*name)(size_t), const char *text, unsigned *ret, struct err *err)
{
	const char *words[16];
	const char *near;
	size_t count = 0;

	for (; name(count); count++) {
		words[count] = name(count);
		if (strcmp(words[count], text) == 0) {
			*ret |= 1U << count;
			return 0;
		}
	}
	near = text_nearest(text, words, count);
	return err_set(err, -EINVAL, "'%.40s' is not known%s%s%s", text,
		       near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int set_number(const char *text, uint64_t max, uint64_t *ret, struct err *err)
{
	if (text_parse_uint(text, max, ret) < 0)
		return err_set(err, -EINVAL, "'%.40s' is no number up to %llu", text,
			       (unsigned long long)max);
	return 0;
}

static int set_level(struct attest_snp_tcb *tcb, const char *name, const char *text,
		     struct err *err)
{
	const struct {
		const char *name;
		uint8_t *at;
	} levels[] = {
		{ "fmc", &tcb->fmc }, { "bootloader", &tcb->bootloader }, { "tee", &tcb->tee },
		{ "snp", &tcb->snp }, { "microcode", &tcb->microcode },
	};
	uint64_t value = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].name, name) != 0)
			continue;
		r = set_number(text, UINT8_MAX, &value, err);
		if (r == 0)
			*levels[i].at = (uint8_t)value;
		return r;
	}
	return err_set(err, -EINVAL, "'%.40s' is no part of a TCB", name);
}

static int set_resource(struct broker_rule *rule, const char *text, struct err *err)
{
	if (!attest_kbs_resource_valid(text))
		return err_set(err, -EINVAL, "'%.40s' is no resource: it is 'repository/type/tag'",
			       text);
	(void)snprintf(rule->resource, sizeof(rule->resource), "%s", text);
	return 0;
}

/* name is a field of a rule that is no list. */
static int set_single(struct broker_rule *rule, const char *name, const char *text, struct err *err)
{
	uint64_t value = 0;
	int r;

	if (strcmp(name, "resource") == 0)
		return set_resource(rule, text, err);
	if (strncmp(name, "tcb.", 4) == 0)
		return set_level(&rule->expect.least_tcb, name + 4, text, err);
	if (strncmp(name, "launch_tcb.", 11) == 0)
		return set_level(&rule->expect.least_launch_tcb, name + 11, text, err);
	if (strcmp(name, "guest_svn") == 0) {
		r = set_number(text, UINT32_MAX, &value, err);
		rule->expect.least_guest_svn = (uint32_t)value;
		return r;
	}
	return err_set(err, -EINVAL, "'%.40s' is not known in a rule", name);
}

static int set_item(struct broker_rule *rule, const char *name, const char *text, struct err *err)
{
	struct hexes lists[HEX_LISTS];
	uint64_t level = 0;
	int r;

	if (strcmp(name, "allow") == 0)
		return set_word(attest_allow_name, text, &rule->expect.allow, err);
	if (strcmp(name, "require") == 0)
		return set_word(attest_require_name, text, &rule->expect.require, err);
	if (strcmp(name, "vmpl") == 0) {
		r = set_number(text, VMPL_MAX, &level, err);
		rule->expect.vmpls |= r < 0 ? 0 : 1U << level;
		return r;
	}
	list_hexes(&rule->expect, lists);
	for (size_t i = 0; i < HEX_LISTS; i++)
		if (strcmp(lists[i].name, name) == 0)
			return set_hex(&lists[i], text, err);
	return err_set(err, -EINVAL, "'%.40s' is no list of a rule", name);
}

/* "[12]" at *at, which goes behind it; false: something else. */
static bool skip_index(const char **at, size_t *ret)
{
	const char *from = *at + 1, *end = from;
	size_t value = 0;

	if (**at != '[')
		return false;
	while (*end >= '0' && *end <= '9' && end - from < 6)
		value = value * 10 + (size_t)(*end++ - '0');
	if (end == from || *end != ']')
		return false;
	*at = end + 1;
	*ret = value;
	return true;
}

static int set_field(struct broker_rule *rule, const char *field, const char *text, struct err *err)
{
	const char *bracket = strchr(field, '[');
	char name[FIELD_NAME_MAX];
	size_t index;

	if (!text)
		return err_set(err, -EINVAL, "'%.40s' is empty", field);
	if (!bracket)
		return set_single(rule, field, text, err);
	if ((size_t)(bracket - field) >= sizeof(name))
		return err_set(err, -EINVAL, "'%.40s' is not known in a rule", field);
	memcpy(name, field, (size_t)(bracket - field));
	name[bracket - field] = '\0';
	if (!skip_index(&bracket, &index) || *bracket)
		return err_set(err, -EINVAL, "'%.40s' is no list of a rule", field);
	return set_item(rule, name, text, err);
}

static int on_scalar(void *data, const struct oci_yaml_scalar *scalar, struct err *err)
{
	struct broker_rules *rules = data;
	const char *at = scalar->path;
	size_t index = 0;
	int r = 0;

	if (strncmp(at, "rules", 5) != 0 || (at[5] != '[' && at[5] != '\0'))
		return err_set(err, -EINVAL, "'%.40s' is not known: there is 'rules' only", at);
	at += 5;
	if (*at == '\0')
		return scalar->text ? err_set(err, -EINVAL, "'rules' is no list") : 0;
	if (!skip_index(&at, &index) || *at != '.' || index > rules->count ||
	    index + 1 < rules->count)
		return err_set(err, -EINVAL, "a rule is a mapping");
	if (index == rules->count)
		r = add_rule(rules, scalar->line, err);
	return r < 0 ? r : set_field(rules->at[index], at + 1, scalar->text, err);
}

static int check_rule(const struct broker_rule *rule, struct err *err)
{
	const struct attest_expect *expect = &rule->expect;
	const char *what = NULL;

	if (!rule->resource[0])
		what = "it has no 'resource'";
	else if (expect->host_data_count == 0)
		what = "it has no 'policies'";
	else if (expect->launch_digests.count == 0)
		what = "it has no 'launch_digests'";
	else if (!(expect->allow & ATTEST_ALLOW_SIMULATED) && expect->sim_root_count > 0)
		what = "it has 'sim_roots', and does not allow simulated ones";
	else if (expect->allow & ATTEST_ALLOW_SIMULATED && expect->sim_root_count == 0)
		what = "it allows simulated ones, and has no 'sim_roots'";
	return what ? err_set(err, -EINVAL, "%zu: this rule: %s", rule->line, what) : 0;
}

int broker_rules_parse(struct bytes text, struct broker_rules *ret, struct err *err)
{
	int r = oci_yaml_parse(text, on_scalar, ret, err);

	for (size_t i = 0; r == 0 && i < ret->count; i++)
		r = check_rule(ret->at[i], err);
	if (r < 0)
		broker_rules_done(ret);
	return r;
}

static bool names_root(const struct broker_rules *rules, const uint8_t digest[ATTEST_ROOT_SIZE])
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct attest_expect *expect = &rules->at[i]->expect;

		for (size_t k = 0; k < expect->sim_root_count; k++)
			if (memcmp(expect->sim_roots[k], digest, ATTEST_ROOT_SIZE) == 0)
				return true;
	}
	return false;
}

void broker_rules_roots(const struct broker_rules *rules, const struct attest_certs *certs,
			struct attest_roots *ret)
{
	*ret = (struct attest_roots){ 0 };
	for (size_t i = 0; i < certs->count && ret->count < ATTEST_ROOTS_MAX; i++) {
		struct attest_root *root = &ret->at[ret->count];
		unsigned len = 0;

		root->product = ATTEST_SNP_SIM;
		if (X509_digest(certs->at[i], EVP_sha256(), root->sha256, &len) == 1 &&
		    len == ATTEST_ROOT_SIZE && names_root(rules, root->sha256))
			ret->count++;
	}
}

/* Only what the rule names, and nothing else's: AMD's roots vouch for "snp" alone. */
static void pick_roots(const struct attest_expect *expect, enum attest_kbs_tee tee,
		       struct attest_roots *ret)
{
	struct attest_roots all;

	*ret = (struct attest_roots){ 0 };
	attest_expect_roots(expect, &all);
	for (size_t i = 0; i < all.count; i++)
		if ((all.at[i].product == ATTEST_SNP_SIM) == (tee == ATTEST_KBS_SIM))
			ret->at[ret->count++] = all.at[i];
}

static const struct attest_refusal *find_simulated(const struct attest_part *part)
{
	for (size_t i = 0; i < part->refusal_count; i++)
		if (part->refusals[i].reason == ATTEST_SIMULATED)
			return &part->refusals[i];
	return NULL;
}

void broker_refusal_pick(const struct attest_verdict *verdict, struct attest_refusal *ret)
{
	const struct attest_refusal *picked = NULL;

	for (size_t i = 0; !picked && i < verdict->part_count; i++)
		picked = find_simulated(verdict->parts[i]);
	if (!picked)
		picked = attest_verdict_first(verdict);
	if (picked)
		*ret = *picked;
	else
		attest_refusal_set(ret, ATTEST_EVIDENCE_MALFORMED, "there is no verdict");
}

static bool is_listed(const struct strv *resources, const char *resource)
{
	for (size_t i = 0; i < resources->len; i++)
		if (strcmp(resources->at[i], resource) == 0)
			return true;
	return false;
}

int broker_rule_judge(const struct broker_rule *rule, const struct broker_evidence *evidence,
		      struct attest_verdict *verdict, struct attest_refusal *ret_refusal)
{
	struct attest_expect expect = rule->expect;
	struct attest_snp_report report;
	struct attest_roots roots;
	struct attest_snp_question question = {
		.report = { evidence->report, ATTEST_SNP_REPORT_SIZE },
		.certs = evidence->certs,
		.roots = &roots,
		.expect = &expect,
		.memo = evidence->memo,
		.now_s = evidence->now_s,
	};
	int r;

	if (evidence->report_data) {
		expect.has_report_data = true;
		memcpy(expect.report_data, evidence->report_data, sizeof(expect.report_data));
	}
	pick_roots(&expect, evidence->tee, &roots);
	r = attest_snp_verify(&question, &report, verdict);
	if (r < 0)
		return r;
	if (!attest_verdict_is_ok(verdict)) {
		broker_refusal_pick(verdict, ret_refusal);
		return 0;
	}
	if (verdict->is_simulated != (evidence->tee == ATTEST_KBS_SIM)) {
		attest_refusal_set(ret_refusal, ATTEST_PRODUCT_MISMATCH,
				   "the evidence is not that of '%s'",
				   attest_kbs_tee_name(evidence->tee));
		return 0;
	}
	if (evidence->resources && !is_listed(evidence->resources, rule->resource)) {
		attest_refusal_set(ret_refusal, ATTEST_POLICY_SECRET,
				   "the agent policy lists '%s' for no container", rule->resource);
		return 0;
	}
	return 1;
}

/* How much of what tells one guest from the others is the rule's. */
static unsigned nearness(const struct broker_rule *rule, const uint8_t *report)
{
	const struct attest_expect *expect = &rule->expect;
	unsigned near = 0;

	for (size_t i = 0; i < expect->host_data_count; i++)
		if (memcmp(expect->host_data[i], report + ATTEST_SNP_HOST_DATA_AT,
			   ATTEST_SNP_HOST_DATA_SIZE) == 0)
			near |= POLICY_NEAR;
	for (size_t i = 0; i < expect->launch_digests.count; i++)
		if (memcmp(expect->launch_digests.at[i], report + ATTEST_SNP_DIGEST_AT,
			   ATTEST_SNP_DIGEST_SIZE) == 0)
			near |= LAUNCH_NEAR;
	return near;
}

/* What is judged, for one resource. */
struct search {
	const struct broker_rules *rules;
	const char *resource;
	const struct broker_evidence *evidence;
	size_t tried;
};

/* The rules of that nearness, up to the first that holds; those not alike at all, one of them. */
static int try_rules(struct search *s, unsigned near, const struct broker_rule **ret_rule,
		     struct attest_verdict *verdict, struct attest_refusal *ret_refusal)
{
	size_t most = near == ALL_NEAR ? RULES_TRIED_MAX : 1;

	for (size_t i = 0; i < s->rules->count && s->tried < most; i++) {
		const struct broker_rule *rule = s->rules->at[i];
		int r;

		if (strcmp(rule->resource, s->resource) != 0 ||
		    nearness(rule, s->evidence->report) != near)
			continue;
		s->tried++;
		attest_verdict_done(verdict);
		r = broker_rule_judge(rule, s->evidence, verdict, ret_refusal);
		if (r == 1)
			*ret_rule = rule;
		if (r != 0)
			return r;
	}
	return 0;
}

int broker_rules_judge(const struct broker_rules *rules, const char *resource,
		       const struct broker_evidence *evidence, const struct broker_rule **ret_rule,
		       struct attest_verdict *verdict, struct attest_refusal *ret_refusal)
{
	struct search s = { .rules = rules, .resource = resource, .evidence = evidence };
	int r = 0;

	attest_refusal_set(ret_refusal, ATTEST_RESOURCE_DENIED, BROKER_DENIED);
	for (unsigned near = ALL_NEAR + 1; r == 0 && s.tried == 0 && near-- > 0;)
		r = try_rules(&s, near, ret_rule, verdict, ret_refusal);
	return r;
}
