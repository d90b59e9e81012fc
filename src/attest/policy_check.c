// SPDX-License-Identifier: Apache-2.0
/*
 * How this works. What is asked for and what is allowed are both packed, as they go over the wire:
 * equal bytes are equal specifications, with nothing left out, also of what this file has never
 * heard of. Only when they differ are the fields looked at, one by one, to say which.
 *
 * Devices are the one exception: they are by model and count, so both sides are sorted first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attest/policy_priv.h"

/* What the fields are called in a refusal; a field that is not here is ATTEST_POLICY_FIELD. */
static const struct {
	const char *field;
	enum attest_reason reason;
} spec_reasons[] = {
	{ "layers", ATTEST_POLICY_LAYERS },
	{ "hostname", ATTEST_POLICY_HOSTNAME },
	{ "read_only", ATTEST_POLICY_READ_ONLY },
	{ "resources", ATTEST_POLICY_RESOURCES },
	{ "capabilities", ATTEST_POLICY_CAPABILITIES },
	{ "no_new_privileges", ATTEST_POLICY_NO_NEW_PRIVILEGES },
	{ "rlimits", ATTEST_POLICY_RLIMITS },
	{ "devices", ATTEST_POLICY_DEVICES },
}, process_reasons[] = {
	{ "args", ATTEST_POLICY_ARGS },
	{ "env", ATTEST_POLICY_ENV },
	{ "cwd", ATTEST_POLICY_CWD },
	{ "user", ATTEST_POLICY_USER },
	{ "terminal", ATTEST_POLICY_TERMINAL },
};

static int pack(const ProtobufCMessage *message, struct buf *ret)
{
	int r = buf_reserve(ret, protobuf_c_message_get_packed_size(message) + 1);

	if (r == 0)
		ret->len = protobuf_c_message_pack(message, ret->at);
	return r;
}

static bool is_same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

/* Two messages' bytes; packed by protobuf-c, so that what is walked here is well formed. */
struct pair {
	struct buf allowed, asked;
};

static void pair_done(struct pair *pair)
{
	buf_done(&pair->allowed);
	buf_done(&pair->asked);
}
CLEANUP_FUNC(struct pair, pair_done)

static uint64_t take_varint(struct bytes *at)
{
	uint64_t value = 0;

	for (unsigned shift = 0; at->len > 0 && shift < 64; shift += 7) {
		uint8_t byte = *at->at++;

		at->len--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return value;
}

/* Moves at behind the value of a field. */
static void skip_value(struct bytes *at, unsigned wire_type)
{
	uint64_t len = wire_type == PROTOBUF_C_WIRE_TYPE_64BIT	 ? 8
		       : wire_type == PROTOBUF_C_WIRE_TYPE_32BIT ? 4
								 : 0;

	if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
		(void)take_varint(at);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		len = take_varint(at);
	if (len > at->len)
		len = at->len;
	at->at += len;
	at->len -= (size_t)len;
}

/* All of one field's bytes, which lie together: fields are packed in their order. */
static struct bytes field_bytes(const struct buf *message, uint32_t number)
{
	struct bytes at = buf_bytes(message), found = { message->at, 0 };

	while (at.len > 0) {
		const uint8_t *start = at.at;
		uint64_t tag = take_varint(&at);

		skip_value(&at, (unsigned)(tag & 7));
		if (tag >> 3 != number)
			continue;
		if (found.len == 0)
			found.at = start;
		found.len = (size_t)(at.at - found.at);
	}
	return found;
}

static bool field_is_same(const struct pair *pair, uint32_t number)
{
	struct bytes a = field_bytes(&pair->allowed, number);
	struct bytes b = field_bytes(&pair->asked, number);

	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Fields that differ, the first one's place in ret_first; SIZE_MAX: none that has a name. */
static unsigned count_different(const struct pair *pair,
				const ProtobufCMessageDescriptor *descriptor,
				const char **ret_first)
{
	unsigned count = 0;

	*ret_first = NULL;
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		if (field_is_same(pair, descriptor->fields[i].id))
			continue;
		if (!*ret_first)
			*ret_first = descriptor->fields[i].name;
		count++;
	}
	return count;
}

struct difference {
	enum attest_reason reason;
	const char *field; /* NULL: one that is not known */
	unsigned count;	   /* how many more or less */
};

static int compare_process(const Agent__Process *allowed, const Agent__Process *asked,
			   struct difference *ret)
{
	CLEANUP(pair_done) struct pair pair = { 0 };
	int r = pack(&allowed->base, &pair.allowed);

	if (r == 0)
		r = pack(&asked->base, &pair.asked);
	if (r < 0)
		return r;
	if (is_same(&pair.allowed, &pair.asked))
		return 1;
	*ret = (struct difference){ .reason = ATTEST_POLICY_FIELD };
	ret->count = count_different(&pair, &agent__process__descriptor, &ret->field);
	for (size_t i = 0; ret->field && i < ARRAY_SIZE(process_reasons); i++)
		if (strcmp(ret->field, process_reasons[i].field) == 0)
			ret->reason = process_reasons[i].reason;
	return 0;
}

/* Both have the same devices when sorted; the copy borrows all else. */
static int sort_asked(const Agent__ContainerSpec *spec, Agent__ContainerSpec *ret,
		      Agent__Device ***ret_devices)
{
	Agent__Device **devices = reallocarray(NULL, spec->n_devices + 1, sizeof(Agent__Device *));

	if (!devices)
		return -ENOMEM;
	if (spec->n_devices > 0)
		memcpy(devices, spec->devices, spec->n_devices * sizeof(Agent__Device *));
	attest_policy_sort_devices(devices, spec->n_devices);
	*ret = *spec;
	ret->devices = devices;
	*ret_devices = devices;
	return 0;
}

/* 1: the same; 0: *ret says what differs. asked has its devices sorted. */
static int compare(const Agent__ContainerSpec *allowed, const Agent__ContainerSpec *asked,
		   struct difference *ret)
{
	CLEANUP(pair_done) struct pair pair = { 0 };
	unsigned others;
	int r = pack(&allowed->base, &pair.allowed);

	if (r == 0)
		r = pack(&asked->base, &pair.asked);
	if (r < 0)
		return r;
	if (is_same(&pair.allowed, &pair.asked))
		return 1;
	*ret = (struct difference){ .reason = ATTEST_POLICY_FIELD };
	others = count_different(&pair, &agent__container_spec__descriptor, &ret->field);
	ret->count = others;
	for (size_t i = 0; ret->field && i < ARRAY_SIZE(spec_reasons); i++)
		if (strcmp(ret->field, spec_reasons[i].field) == 0)
			ret->reason = spec_reasons[i].reason;
	if (!ret->field || strcmp(ret->field, "process") != 0 || !asked->process)
		return 0;
	r = compare_process(allowed->process, asked->process, ret);
	ret->count += others - 1; /* the process itself was one */
	return r < 0 ? r : 0;
}

/* The same image first, then as many fields as can be. */
static bool is_nearer(const struct difference *a, const struct difference *b)
{
	bool a_image = a->reason != ATTEST_POLICY_LAYERS,
	     b_image = b->reason != ATTEST_POLICY_LAYERS;

	return a_image != b_image ? a_image : a->count < b->count;
}

static int find(const struct attest_policy *policy, const Agent__ContainerSpec *asked,
		size_t *ret_container, struct difference *ret_nearest)
{
	for (size_t i = 0; i < policy->container_count; i++) {
		struct difference difference = { 0 };
		int r = compare(policy->containers[i].spec, asked, &difference);

		if (r < 0)
			return r;
		if (r == 0 && i > 0 && !is_nearer(&difference, ret_nearest))
			continue;
		*ret_container = i;
		*ret_nearest = difference;
		if (r == 1)
			return 1;
	}
	return 0;
}

int attest_policy_check(const struct attest_policy *policy, const Agent__ContainerSpec *spec,
			size_t *ret_container, struct attest_refusal *ret_refusal)
{
	cleanup_free Agent__Device **devices = NULL;
	struct difference nearest = { .reason = ATTEST_POLICY_LAYERS };
	Agent__ContainerSpec sorted;
	size_t container = 0;
	int r = sort_asked(spec, &sorted, &devices);

	if (r == 0)
		r = find(policy, &sorted, &container, &nearest);
	if (r == 1)
		*ret_container = container;
	if (r != 0)
		return r;
	if (policy->container_count == 0)
		attest_refusal_set(ret_refusal, nearest.reason, "the policy allows no container");
	else if (nearest.field)
		attest_refusal_set(ret_refusal, nearest.reason,
				   "it differs from container '%s' of the policy in '%s'%s",
				   policy->containers[container].name, nearest.field,
				   nearest.count > 1 ? ", and elsewhere" : "");
	else
		attest_refusal_set(ret_refusal, nearest.reason,
				   "it has a field that is not known here");
	return 0;
}

int attest_policy_check_exec(const struct attest_policy *policy, size_t container,
			     const Agent__Process *process, struct attest_refusal *ret_refusal)
{
	const struct attest_policy_container *c = &policy->containers[container];
	struct difference difference;

	assert(container < policy->container_count);
	for (size_t i = 0; i < c->exec_count; i++) {
		int r = compare_process(c->execs[i], process, &difference);

		if (r != 0)
			return r;
	}
	if (c->exec_any && process->base.n_unknown_fields == 0)
		return 1;
	attest_refusal_set(ret_refusal, ATTEST_POLICY_EXEC,
			   c->exec_count > 0 ? "container '%s' may run other commands only"
					     : "container '%s' may run nothing beside its own",
			   c->name);
	return 0;
}

bool attest_policy_check_secret(const struct attest_policy *policy, size_t container,
				const char *name, const char *uri,
				struct attest_refusal *ret_refusal)
{
	const struct attest_policy_container *c = &policy->containers[container];

	assert(container < policy->container_count);
	for (size_t i = 0; i < c->secret_count; i++)
		if (strcmp(c->secrets[i].name, name) == 0 && strcmp(c->secrets[i].uri, uri) == 0)
			return true;
	attest_refusal_set(ret_refusal, ATTEST_POLICY_SECRET,
			   "container '%s' is not given '%.64s' from there", c->name, name);
	return false;
}
