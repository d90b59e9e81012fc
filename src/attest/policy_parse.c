// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "attest/closed_priv.h"
#include "attest/policy_priv.h"
#include "base/privilege.h"
#include "base/text.h"

enum { ROOT_SIZE = 32 };
#define BLOCKS_MAX (UINT64_C(1) << 40)

struct reader {
	struct arena *arena;
	struct err *err;
};

static int no_memory(struct reader *in)
{
	return err_num(in->err, -ENOMEM, "read the agent policy");
}

static int refuse(struct reader *in, const struct oci_json *at, const char *what)
{
	return oci_json_fail(at, ERR_USAGE, -EINVAL, in->err, "%s", what);
}

/* Absent is "". */
static int read_text(struct reader *in, const struct oci_json *at, size_t max, char **ret)
{
	const char *text = oci_json_is_there(at) ? json_string_value(at->value) : "";
	char *copy;

	if (!text)
		return refuse(in, at, "is not a string");
	if (strlen(text) > max)
		return oci_json_fail(at, ERR_USAGE, -E2BIG, in->err, "has more than %zu bytes",
				     max);
	copy = arena_strdup(in->arena, text);
	if (!copy)
		return no_memory(in);
	*ret = copy;
	return 0;
}

static int read_texts(struct reader *in, const struct oci_json *at, size_t max, char ***ret,
		      size_t *ret_count)
{
	size_t count = 0;
	char **list;
	int r = oci_json_list(at, max, &count, in->err);

	if (r < 0)
		return r;
	list = arena_array(in->arena, count + 1, sizeof(*list));
	if (!list)
		return no_memory(in);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		if (!oci_json_is_there(&item))
			return refuse(in, &item, "is not a string");
		r = read_text(in, &item, ATTEST_POLICY_STRING_MAX, &list[i]);
	}
	*ret = list;
	*ret_count = count;
	return r;
}

static int read_process(struct reader *in, const struct oci_json *at, Agent__Process **ret)
{
	static const char *const names[] = { "args", "env", "cwd", "user", "terminal" };
	Agent__Process *p = arena_alloc(in->arena, sizeof(*p));
	struct oci_json args = oci_json_get(at, "args"), env = oci_json_get(at, "env");
	struct oci_json cwd = oci_json_get(at, "cwd"), user = oci_json_get(at, "user");
	struct oci_json terminal = oci_json_get(at, "terminal");
	bool has_terminal = false;
	int r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r < 0)
		return r;
	if (!p)
		return no_memory(in);
	agent__process__init(p);
	r = read_texts(in, &args, ATTEST_POLICY_ARGS_MAX, &p->args, &p->n_args);
	if (r == 0 && p->n_args == 0)
		r = refuse(in, &args, "no command");
	if (r == 0)
		r = read_texts(in, &env, ATTEST_POLICY_ENV_MAX, &p->env, &p->n_env);
	if (r == 0)
		r = read_text(in, &cwd, ATTEST_POLICY_PATH_MAX, &p->cwd);
	if (r == 0)
		r = read_text(in, &user, ATTEST_POLICY_PATH_MAX, &p->user);
	if (r == 0)
		r = oci_json_bool(&terminal, &has_terminal, in->err);
	p->terminal = has_terminal;
	*ret = p;
	return r;
}

static int read_layer(struct reader *in, const struct oci_json *at, Agent__Layer **ret)
{
	static const char *const names[] = { "root", "data_blocks", "hash_start" };
	Agent__Layer *layer = arena_alloc(in->arena, sizeof(*layer));
	uint8_t *root = arena_alloc(in->arena, ROOT_SIZE);
	struct oci_json hex = oci_json_get(at, "root");
	struct oci_json blocks = oci_json_get(at, "data_blocks");
	struct oci_json start = oci_json_get(at, "hash_start");
	uint64_t data_blocks = 0, hash_start = 0;
	int r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r < 0)
		return r;
	if (!layer || !root)
		return no_memory(in);
	if (!json_is_string(hex.value) ||
	    text_unhex(json_string_value(hex.value), ROOT_SIZE, root) < 0)
		return refuse(in, &hex, "is not a string of 64 hex digits");
	r = oci_json_u64(&blocks, 1, BLOCKS_MAX, &data_blocks, in->err);
	if (r == 0)
		r = oci_json_u64(&start, 1, BLOCKS_MAX, &hash_start, in->err);
	if (r < 0)
		return r;
	agent__layer__init(layer);
	layer->root = (ProtobufCBinaryData){ ROOT_SIZE, root };
	layer->data_blocks = data_blocks;
	layer->hash_start = hash_start;
	*ret = layer;
	return 0;
}

static int read_layers(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	size_t count = 0;
	int r = oci_json_list(at, ATTEST_POLICY_LAYERS_MAX, &count, in->err);

	if (r < 0)
		return r;
	spec->layers = arena_array(in->arena, count + 1, sizeof(Agent__Layer *));
	if (!spec->layers)
		return no_memory(in);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = read_layer(in, &item, &spec->layers[i]);
	}
	spec->n_layers = count;
	return r;
}

static int read_resources(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	static const char *const names[] = { "cpu_milli", "memory_bytes", "pids" };
	struct oci_json cpu = oci_json_get(at, "cpu_milli"), pids = oci_json_get(at, "pids");
	struct oci_json memory = oci_json_get(at, "memory_bytes");
	uint64_t milli = 0, bytes = 0, tasks = 0;
	int r;

	if (!oci_json_is_there(at))
		return 0;
	r = attest_closed(at, names, ARRAY_SIZE(names), in->err);
	if (r == 0)
		r = oci_json_u64(&cpu, 0, UINT32_MAX, &milli, in->err);
	if (r == 0)
		r = oci_json_u64(&memory, 0, INT64_MAX, &bytes, in->err);
	if (r == 0)
		r = oci_json_u64(&pids, 0, UINT32_MAX, &tasks, in->err);
	if (r < 0)
		return r;
	spec->resources = arena_alloc(in->arena, sizeof(*spec->resources));
	if (!spec->resources)
		return no_memory(in);
	agent__resources__init(spec->resources);
	spec->resources->cpu_milli = (uint32_t)milli;
	spec->resources->memory_bytes = bytes;
	spec->resources->pids = (uint32_t)tasks;
	return 0;
}

static int read_mask(struct reader *in, const struct oci_json *at, uint64_t *ret)
{
	size_t count = 0;
	int r = oci_json_list(at, PRIVILEGE_CAPABILITIES, &count, in->err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);
		const char *name = json_is_string(item.value) ? json_string_value(item.value) : "";
		int number = privilege_capability_number(name);

		if (number < 0 || *ret >> number & 1)
			return refuse(in, &item, "is no capability's name, or there twice");
		*ret |= UINT64_C(1) << number;
	}
	return r;
}

static int read_capabilities(struct reader *in, const struct oci_json *at,
			     Agent__ContainerSpec *spec)
{
	const char *names[PRIVILEGE_SETS];
	uint64_t masks[PRIVILEGE_SETS] = { 0 };
	Agent__Capabilities *c;
	int r;

	if (!oci_json_is_there(at))
		return 0;
	for (int i = 0; i < PRIVILEGE_SETS; i++)
		names[i] = privilege_set_name((enum privilege_set)i);
	r = attest_closed(at, names, PRIVILEGE_SETS, in->err);
	for (int i = 0; r == 0 && i < PRIVILEGE_SETS; i++) {
		struct oci_json set = oci_json_get(at, names[i]);

		r = read_mask(in, &set, &masks[i]);
	}
	if (r < 0)
		return r;
	c = arena_alloc(in->arena, sizeof(*c));
	if (!c)
		return no_memory(in);
	agent__capabilities__init(c);
	c->bounding = masks[PRIVILEGE_BOUNDING];
	c->effective = masks[PRIVILEGE_EFFECTIVE];
	c->permitted = masks[PRIVILEGE_PERMITTED];
	c->inheritable = masks[PRIVILEGE_INHERITABLE];
	c->ambient = masks[PRIVILEGE_AMBIENT];
	spec->capabilities = c;
	return 0;
}

static int read_limit_value(struct reader *in, const struct oci_json *at, uint64_t *ret)
{
	if (!oci_json_is_there(at))
		return refuse(in, at, "is missing");
	if (json_is_string(at->value)) {
		*ret = PRIVILEGE_UNLIMITED;
		return strcmp(json_string_value(at->value), "unlimited") == 0
			       ? 0
			       : refuse(in, at, "is neither a number nor 'unlimited'");
	}
	return oci_json_u64(at, 0, INT64_MAX, ret, in->err);
}

static int read_rlimit(struct reader *in, const struct oci_json *at, Agent__Rlimit **ret)
{
	static const char *const names[] = { "type", "soft", "hard" };
	struct oci_json type = oci_json_get(at, "type"), soft = oci_json_get(at, "soft");
	struct oci_json hard = oci_json_get(at, "hard");
	Agent__Rlimit *limit = arena_alloc(in->arena, sizeof(*limit));
	int number, r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r < 0)
		return r;
	if (!limit)
		return no_memory(in);
	agent__rlimit__init(limit);
	number = json_is_string(type.value) ? privilege_limit_number(json_string_value(type.value))
					    : -ENOENT;
	if (number < 0)
		return refuse(in, &type, "is no limit's name");
	limit->type = (Agent__RlimitType)number;
	r = read_limit_value(in, &soft, &limit->soft);
	if (r == 0)
		r = read_limit_value(in, &hard, &limit->hard);
	*ret = limit;
	return r;
}

/* In the specification's one order, so that there is one form. */
static int read_rlimits(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	size_t count = 0;
	int r = oci_json_list(at, PRIVILEGE_LIMITS, &count, in->err);

	if (r < 0)
		return r;
	spec->rlimits = arena_array(in->arena, count + 1, sizeof(Agent__Rlimit *));
	if (!spec->rlimits)
		return no_memory(in);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = read_rlimit(in, &item, &spec->rlimits[i]);
		if (r == 0 && i > 0 && spec->rlimits[i]->type <= spec->rlimits[i - 1]->type)
			r = refuse(in, &item, "is out of order, or there twice");
	}
	spec->n_rlimits = count;
	return r;
}

/* "10de": hex digits, as many as there have to be. */
static int read_id(struct reader *in, const struct oci_json *at, size_t digits, uint32_t *ret)
{
	const char *text = json_is_string(at->value) ? json_string_value(at->value) : "";
	uint8_t raw[3] = { 0 };
	uint32_t value = 0;

	if (text_unhex(text, digits / 2, raw) < 0)
		return oci_json_fail(at, ERR_USAGE, -EINVAL, in->err,
				     "is not a string of %zu hex digits", digits);
	for (size_t i = 0; i < digits / 2; i++)
		value = value << 8 | raw[i];
	*ret = value;
	return 0;
}

/* One model: count of them. */
static int read_device(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	static const char *const names[] = { "vendor", "device", "class", "count" };
	struct oci_json vendor = oci_json_get(at, "vendor"), id = oci_json_get(at, "device");
	struct oci_json class = oci_json_get(at, "class"), number = oci_json_get(at, "count");
	Agent__Device *device = arena_alloc(in->arena, sizeof(*device));
	uint64_t count = 1;
	int r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r < 0)
		return r;
	if (!device)
		return no_memory(in);
	agent__device__init(device);
	r = read_id(in, &vendor, 4, &device->vendor);
	if (r == 0)
		r = read_id(in, &id, 4, &device->device);
	if (r == 0)
		r = read_id(in, &class, 6, &device->class_code);
	if (r == 0)
		r = oci_json_u64(&number, 1, ATTEST_POLICY_DEVICES_MAX, &count, in->err);
	if (r == 0 && count > ATTEST_POLICY_DEVICES_MAX - spec->n_devices)
		r = oci_json_fail(at, ERR_USAGE, -E2BIG, in->err, "makes more than %d devices",
				  ATTEST_POLICY_DEVICES_MAX);
	for (uint64_t i = 0; r == 0 && i < count; i++)
		spec->devices[spec->n_devices++] = device;
	return r;
}

static int read_devices(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	size_t count = 0;
	int r = oci_json_list(at, ATTEST_POLICY_DEVICES_MAX, &count, in->err);

	if (r < 0)
		return r;
	spec->devices = arena_array(in->arena, ATTEST_POLICY_DEVICES_MAX, sizeof(Agent__Device *));
	if (!spec->devices)
		return no_memory(in);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = read_device(in, &item, spec);
	}
	attest_policy_sort_devices(spec->devices, spec->n_devices);
	return r;
}

static int read_flags(struct reader *in, const struct oci_json *at, Agent__ContainerSpec *spec)
{
	struct oci_json only = oci_json_get(at, "read_only");
	struct oci_json none = oci_json_get(at, "no_new_privileges");
	bool read_only = false, no_new_privileges = false;
	int r = oci_json_bool(&only, &read_only, in->err);

	if (r == 0)
		r = oci_json_bool(&none, &no_new_privileges, in->err);
	spec->read_only = read_only;
	spec->no_new_privileges = no_new_privileges;
	return r;
}

static int read_spec(struct reader *in, const struct oci_json *at, Agent__ContainerSpec **ret)
{
	Agent__ContainerSpec *spec = arena_alloc(in->arena, sizeof(*spec));
	struct oci_json layers = oci_json_get(at, "layers"), limits = oci_json_get(at, "rlimits");
	struct oci_json process = oci_json_get(at, "process"),
			devices = oci_json_get(at, "devices");
	struct oci_json host = oci_json_get(at, "hostname"), res = oci_json_get(at, "resources");
	struct oci_json capabilities = oci_json_get(at, "capabilities");
	int r;

	if (!spec)
		return no_memory(in);
	agent__container_spec__init(spec);
	r = read_layers(in, &layers, spec);
	if (r == 0)
		r = read_process(in, &process, &spec->process);
	if (r == 0)
		r = read_text(in, &host, ATTEST_POLICY_PATH_MAX, &spec->hostname);
	if (r == 0)
		r = read_flags(in, at, spec);
	if (r == 0)
		r = read_resources(in, &res, spec);
	if (r == 0)
		r = read_capabilities(in, &capabilities, spec);
	if (r == 0)
		r = read_rlimits(in, &limits, spec);
	if (r == 0)
		r = read_devices(in, &devices, spec);
	*ret = spec;
	return r;
}

static int read_execs(struct reader *in, const struct oci_json *at,
		      struct attest_policy_container *c)
{
	size_t count = 0;
	int r;

	if (json_is_string(at->value)) {
		c->exec_any = strcmp(json_string_value(at->value), "any") == 0;
		return c->exec_any ? 0 : refuse(in, at, "is neither a list nor 'any'");
	}
	r = oci_json_list(at, ATTEST_POLICY_EXECS_MAX, &count, in->err);
	if (r < 0)
		return r;
	c->execs = arena_array(in->arena, count + 1, sizeof(Agent__Process *));
	if (!c->execs)
		return no_memory(in);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = read_process(in, &item, &c->execs[i]);
	}
	c->exec_count = count;
	return r;
}

static int read_secret(struct reader *in, const struct oci_json *at, struct attest_policy *policy)
{
	static const char *const names[] = { "name", "uri" };
	struct oci_json name = oci_json_get(at, "name"), uri = oci_json_get(at, "uri");
	struct err why = { 0 };
	int r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r < 0)
		return r;
	if (!json_is_string(name.value) || !json_is_string(uri.value))
		return refuse(in, at, "has no name, or no uri");
	r = attest_policy_add_secret(policy, json_string_value(name.value),
				     json_string_value(uri.value), &why);
	return r < 0 ? oci_json_fail(at, ERR_USAGE, r, in->err, "%s", why.msg) : 0;
}

static int read_container(struct reader *in, const struct oci_json *at,
			  struct attest_policy *policy)
{
	static const char *const names[] = {
		"name",	     "layers",	     "process",
		"hostname",  "read_only",    "no_new_privileges",
		"resources", "capabilities", "rlimits",
		"devices",   "exec",	     "secrets",
	};
	struct attest_policy_container *c = &policy->containers[policy->container_count];
	struct oci_json name = oci_json_get(at, "name"), exec = oci_json_get(at, "exec");
	struct oci_json secrets = oci_json_get(at, "secrets");
	char *text = NULL;
	size_t count = 0;
	int r = attest_closed(at, names, ARRAY_SIZE(names), in->err);

	if (r == 0)
		r = read_text(in, &name, ATTEST_POLICY_NAME_MAX, &text);
	if (r == 0 && !attest_policy_is_name(text))
		r = refuse(in, &name, "is no name");
	c->name = text;
	if (r == 0)
		r = read_spec(in, at, &c->spec);
	if (r == 0)
		r = read_execs(in, &exec, c);
	if (r == 0)
		r = oci_json_list(&secrets, ATTEST_POLICY_SECRETS_MAX, &count, in->err);
	if (r < 0)
		return r;
	policy->container_count++;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(&secrets, i);

		r = read_secret(in, &item, policy);
	}
	return r;
}

static int read_broker(struct reader *in, const struct oci_json *at, struct attest_policy *policy)
{
	static const char *const names[] = { "url", "key" };
	struct oci_json url = oci_json_get(at, "url"), key = oci_json_get(at, "key");
	uint8_t digest[ATTEST_POLICY_KEY_SIZE];
	int r;

	if (!oci_json_is_there(at))
		return 0;
	r = attest_closed(at, names, ARRAY_SIZE(names), in->err);
	if (r < 0)
		return r;
	if (!json_is_string(key.value) ||
	    text_unhex(json_string_value(key.value), sizeof(digest), digest) < 0)
		return refuse(in, &key, "is not a string of 64 hex digits");
	if (!json_is_string(url.value) || !attest_policy_is_address(json_string_value(url.value)))
		return refuse(in, &url, "is no URL");
	return attest_policy_set_broker(policy, json_string_value(url.value), digest, in->err);
}

int attest_policy_parse_json(struct bytes text, struct attest_policy *policy, struct err *err)
{
	static const char *const names[] = { "schema", "broker", "containers" };
	struct reader in = { .arena = &policy->arena, .err = err };
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, schema, broker, containers;
	uint64_t version = 0;
	size_t count = 0;
	int r = oci_json_load(text, "agent policy", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "agent policy");
	schema = oci_json_get(&root, "schema");
	broker = oci_json_get(&root, "broker");
	containers = oci_json_get(&root, "containers");
	r = attest_closed(&root, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = oci_json_u64(&schema, 1, 1, &version, err);
	if (r == 0 && version != 1)
		r = refuse(&in, &schema, "is missing");
	if (r == 0)
		r = read_broker(&in, &broker, policy);
	if (r == 0)
		r = oci_json_list(&containers, ATTEST_POLICY_CONTAINERS_MAX, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(&containers, i);

		r = read_container(&in, &item, policy);
	}
	return r;
}
