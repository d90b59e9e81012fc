// SPDX-License-Identifier: Apache-2.0
#include "attest/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "attest/policy_priv.h"

/* The document's JSON has no ' in it (policy_print.c), so that TOML takes it as it is. */
static const char before[] = "algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n"
			     "[data]\n\"policy.json\" = '";
static const char after[] = "'\n";

void attest_policy_done(struct attest_policy *policy)
{
	arena_done(&policy->arena);
	*policy = (struct attest_policy){ 0 };
}

int attest_policy_document(const struct attest_policy *policy, struct buf *ret)
{
	int r = buf_add(ret, before, sizeof(before) - 1);

	if (r == 0)
		r = attest_policy_print(policy, ret);
	return r < 0 ? r : buf_add(ret, after, sizeof(after) - 1);
}

int attest_policy_digest(const struct attest_policy *policy, size_t len, uint8_t *ret)
{
	CLEANUP(buf_done) struct buf document = { 0 };
	int r = attest_policy_document(policy, &document);

	assert(len == 32 || len == 48);
	if (r < 0)
		return r;
	return EVP_Digest(document.at, document.len, ret, NULL,
			  len == 32 ? EVP_sha256() : EVP_sha384(), NULL) == 1
		       ? 0
		       : -EIO;
}

static bool is_document(struct bytes text)
{
	return text.len >= sizeof(before) + sizeof(after) - 2 &&
	       memcmp(text.at, before, sizeof(before) - 1) == 0;
}

static int parse_document(struct bytes text, struct attest_policy *policy, struct err *err)
{
	CLEANUP(buf_done) struct buf again = { 0 };
	struct bytes json = { text.at + sizeof(before) - 1,
			      text.len - (sizeof(before) + sizeof(after) - 2) };
	int r = attest_policy_parse_json(json, policy, err);

	if (r < 0)
		return r;
	r = attest_policy_document(policy, &again);
	if (r < 0)
		return err_num(err, r, "read the agent policy");
	if (again.len != text.len || memcmp(again.at, text.at, text.len) != 0)
		return err_set(err, -EBADMSG, "read the agent policy: not in its one form");
	return 0;
}

int attest_policy_parse(struct bytes text, struct attest_policy *policy, struct err *err)
{
	int r;

	assert(policy->container_count == 0);
	if (text.len > ATTEST_POLICY_TEXT_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG,
				 "read the agent policy: more than %d bytes",
				 ATTEST_POLICY_TEXT_MAX);
	r = is_document(text) ? parse_document(text, policy, err)
			      : attest_policy_parse_json(text, policy, err);
	if (r < 0) {
		if (err)
			err->code = ERR_USAGE;
		attest_policy_done(policy);
	}
	return r;
}

static void *take_memory(void *data, size_t size)
{
	return arena_alloc(data, size);
}

/* It dies with the arena. */
static void leave_memory(void *data, void *at)
{
	(void)data;
	(void)at;
}

ProtobufCMessage *attest_policy_copy(struct arena *arena, const ProtobufCMessage *message)
{
	ProtobufCAllocator allocator = { take_memory, leave_memory, arena };
	size_t len = protobuf_c_message_get_packed_size(message);
	cleanup_free uint8_t *packed = malloc(len + 1);

	if (!packed)
		return NULL;
	(void)protobuf_c_message_pack(message, packed);
	return protobuf_c_message_unpack(message->descriptor, &allocator, len, packed);
}

static int compare_devices(const void *a, const void *b)
{
	const Agent__Device *const *left = a, *const *right = b;
	const uint32_t l[] = { (*left)->vendor, (*left)->device, (*left)->class_code };
	const uint32_t r[] = { (*right)->vendor, (*right)->device, (*right)->class_code };

	for (size_t i = 0; i < ARRAY_SIZE(l); i++)
		if (l[i] != r[i])
			return l[i] < r[i] ? -1 : 1;
	return 0;
}

void attest_policy_sort_devices(Agent__Device **devices, size_t count)
{
	if (count > 1)
		qsort(devices, count, sizeof(devices[0]), compare_devices);
}

static bool is_utf8(const char *text)
{
	json_t *value = json_string(text);
	bool is = value != NULL;

	json_decref(value);
	return is;
}

bool attest_policy_is_name(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= ATTEST_POLICY_NAME_MAX && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       len;
}

/* A URL's characters, none of them a blank or quote. */
bool attest_policy_is_address(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("\"'<>\\^`{|}", text[i]))
			return false;
	return len <= ATTEST_POLICY_PATH_MAX && strstr(text, "://") && text[0] != ':';
}

static bool strings_are_utf8(char *const *strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!is_utf8(strings[i]))
			return false;
	return true;
}

static int check_process(const Agent__Process *p, struct err *err)
{
	if (p->n_args > ATTEST_POLICY_ARGS_MAX || p->n_env > ATTEST_POLICY_ENV_MAX)
		return err_set(err, -E2BIG, "make a policy: too many arguments or variables");
	if (p->base.n_unknown_fields > 0 || !strings_are_utf8(p->args, p->n_args) ||
	    !strings_are_utf8(p->env, p->n_env) || !is_utf8(p->cwd) || !is_utf8(p->user))
		return err_set(err, -EINVAL,
			       "make a policy: a process with fields that are not known, or with "
			       "text that is not UTF-8");
	return 0;
}

/* What the JSON can't say can't be in a policy: it is made, and read again. */
static int check_round_trip(const struct attest_policy *policy, struct err *err)
{
	CLEANUP(attest_policy_done) struct attest_policy again = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_refusal refusal;
	size_t last = policy->container_count - 1, found;
	struct err why = { 0 };
	int r = attest_policy_document(policy, &text);

	if (r == 0)
		r = attest_policy_parse(buf_bytes(&text), &again, &why);
	if (r < 0)
		return err_set(err, r, "make a policy: %s",
			       why.msg[0] ? why.msg : "no memory for it");
	r = attest_policy_check(&again, policy->containers[last].spec, &found, &refusal);
	if (r <= 0)
		return err_set(
			err, r < 0 ? r : -EINVAL,
			"make a policy: the specification has a part that policies do not know");
	return 0;
}

int attest_policy_set_broker(struct attest_policy *policy, const char *url,
			     const uint8_t key[ATTEST_POLICY_KEY_SIZE], struct err *err)
{
	const char *copy;

	if (!attest_policy_is_address(url))
		return err_set(err, -EINVAL, "make a policy: '%s' is no URL", url);
	copy = arena_strdup(&policy->arena, url);
	if (!copy)
		return err_num(err, -ENOMEM, "make a policy");
	policy->broker_url = copy;
	memcpy(policy->broker_key, key, sizeof(policy->broker_key));
	return 0;
}

int attest_policy_add(struct attest_policy *policy, const char *name,
		      const Agent__ContainerSpec *spec, struct err *err)
{
	struct attest_policy_container *c = &policy->containers[policy->container_count];
	ProtobufCMessage *copy;
	int r;

	if (policy->container_count == ATTEST_POLICY_CONTAINERS_MAX)
		return err_set(err, -E2BIG, "make a policy: more than %d containers",
			       ATTEST_POLICY_CONTAINERS_MAX);
	if (!spec->process || !attest_policy_is_name(name) || !is_utf8(spec->hostname))
		return err_set(err, -EINVAL, "make a policy: no process, or a name that can't be");
	r = check_process(spec->process, err);
	if (r < 0)
		return r;
	*c = (struct attest_policy_container){ .name = arena_strdup(&policy->arena, name) };
	copy = attest_policy_copy(&policy->arena, &spec->base);
	if (!c->name || !copy)
		return err_num(err, -ENOMEM, "make a policy");
	c->spec = (Agent__ContainerSpec *)copy;
	attest_policy_sort_devices(c->spec->devices, c->spec->n_devices);
	policy->container_count++;
	r = check_round_trip(policy, err);
	if (r < 0)
		policy->container_count--;
	return r;
}

static struct attest_policy_container *last(struct attest_policy *policy)
{
	assert(policy->container_count > 0);
	return &policy->containers[policy->container_count - 1];
}

int attest_policy_add_exec(struct attest_policy *policy, const Agent__Process *process,
			   struct err *err)
{
	struct attest_policy_container *c = last(policy);
	ProtobufCMessage *copy;
	Agent__Process **more;
	int r = check_process(process, err);

	if (r < 0)
		return r;
	if (c->exec_count == ATTEST_POLICY_EXECS_MAX)
		return err_set(err, -E2BIG, "make a policy: more than %d execs",
			       ATTEST_POLICY_EXECS_MAX);
	more = arena_array(&policy->arena, c->exec_count + 1, sizeof(Agent__Process *));
	copy = attest_policy_copy(&policy->arena, &process->base);
	if (!more || !copy)
		return err_num(err, -ENOMEM, "make a policy");
	if (c->exec_count > 0)
		memcpy(more, c->execs, c->exec_count * sizeof(Agent__Process *));
	more[c->exec_count++] = (Agent__Process *)copy;
	c->execs = more;
	return 0;
}

int attest_policy_add_secret(struct attest_policy *policy, const char *name, const char *uri,
			     struct err *err)
{
	struct attest_policy_container *c = last(policy);
	struct attest_policy_secret *more;

	if (!attest_policy_is_name(name) || !attest_policy_is_address(uri))
		return err_set(err, -EINVAL, "make a policy: no secret can be '%s' from '%s'", name,
			       uri);
	for (size_t i = 0; i < c->secret_count; i++)
		if (strcmp(c->secrets[i].name, name) == 0)
			return err_set(err, -EINVAL, "make a policy: secret '%s' is there twice",
				       name);
	if (c->secret_count == ATTEST_POLICY_SECRETS_MAX)
		return err_set(err, -E2BIG, "make a policy: more than %d secrets",
			       ATTEST_POLICY_SECRETS_MAX);
	more = arena_array(&policy->arena, c->secret_count + 1, sizeof(*more));
	if (!more)
		return err_num(err, -ENOMEM, "make a policy");
	if (c->secret_count > 0)
		memcpy(more, c->secrets, c->secret_count * sizeof(*more));
	more[c->secret_count].name = arena_strdup(&policy->arena, name);
	more[c->secret_count].uri = arena_strdup(&policy->arena, uri);
	if (!more[c->secret_count].name || !more[c->secret_count].uri)
		return err_num(err, -ENOMEM, "make a policy");
	c->secrets = more;
	c->secret_count++;
	return 0;
}
