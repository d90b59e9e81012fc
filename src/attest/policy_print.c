// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "attest/policy_priv.h"
#include "base/privilege.h"
#include "base/text.h"

enum { ROOT_SIZE = 32 };

/* The first failure stays. */
struct out {
	struct buf *buf;
	int r;
};

static PRINTF_LIKE(2, 3) void put(struct out *out, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < sizeof(text));
	if (out->r == 0)
		out->r = buf_add(out->buf, text, (size_t)n);
}

/* ' and DEL are escaped, too: the whole is a literal string of TOML's (policy.c). */
static void put_string(struct out *out, const char *text)
{
	put(out, "\"");
	for (; *text; text++) {
		size_t plain = 0;

		while ((unsigned char)text[plain] >= ' ' && !strchr("\"'\\\x7f", text[plain]))
			plain++;
		if (plain > 0 && out->r == 0)
			out->r = buf_add(out->buf, text, plain);
		text += plain;
		if (!*text)
			break;
		if (*text == '"' || *text == '\\')
			put(out, "\\%c", *text);
		else
			put(out, "\\u%04x", (unsigned)(unsigned char)*text);
	}
	put(out, "\"");
}

static void put_strings(struct out *out, char *const *strings, size_t count)
{
	put(out, "[");
	for (size_t i = 0; i < count; i++) {
		put(out, i > 0 ? "," : "");
		put_string(out, strings[i]);
	}
	put(out, "]");
}

static const char *truth(int is)
{
	return is ? "true" : "false";
}

static void put_process(struct out *out, const Agent__Process *p)
{
	put(out, "{\"args\":");
	put_strings(out, p->args, p->n_args);
	put(out, ",\"env\":");
	put_strings(out, p->env, p->n_env);
	put(out, ",\"cwd\":");
	put_string(out, p->cwd);
	put(out, ",\"user\":");
	put_string(out, p->user);
	put(out, ",\"terminal\":%s}", truth(p->terminal));
}

static void put_layers(struct out *out, const Agent__ContainerSpec *spec)
{
	char hex[2 * ROOT_SIZE + 1];

	put(out, "\"layers\":[");
	for (size_t i = 0; i < spec->n_layers; i++) {
		const Agent__Layer *layer = spec->layers[i];
		size_t len = layer->root.len < ROOT_SIZE ? layer->root.len : ROOT_SIZE;

		text_hex(layer->root.data, len, hex);
		put(out, "%s{\"root\":\"%s\"", i > 0 ? "," : "", hex);
		put(out, ",\"data_blocks\":%llu,\"hash_start\":%llu}",
		    (unsigned long long)layer->data_blocks, (unsigned long long)layer->hash_start);
	}
	put(out, "],");
}

static void put_capabilities(struct out *out, const Agent__Capabilities *c)
{
	const uint64_t masks[PRIVILEGE_SETS] = { c->bounding, c->effective, c->permitted,
						 c->inheritable, c->ambient };

	for (int set = 0; set < PRIVILEGE_SETS; set++) {
		const char *comma = "";

		put(out, "%s\"%s\":[", set > 0 ? "," : "{",
		    privilege_set_name((enum privilege_set)set));
		for (unsigned i = 0; i < PRIVILEGE_CAPABILITIES; i++) {
			if (!(masks[set] >> i & 1))
				continue;
			put(out, "%s\"%s\"", comma, privilege_capability_name(i));
			comma = ",";
		}
		put(out, "]");
	}
	put(out, "}");
}

static void put_limit(struct out *out, const char *name, uint64_t value)
{
	if (value == PRIVILEGE_UNLIMITED)
		put(out, ",\"%s\":\"unlimited\"", name);
	else
		put(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void put_rlimits(struct out *out, const Agent__ContainerSpec *spec)
{
	put(out, ",\"rlimits\":[");
	for (size_t i = 0; i < spec->n_rlimits; i++) {
		const char *name = privilege_limit_name((unsigned)spec->rlimits[i]->type);

		put(out, "%s{\"type\":\"%s\"", i > 0 ? "," : "", name ? name : "");
		put_limit(out, "soft", spec->rlimits[i]->soft);
		put_limit(out, "hard", spec->rlimits[i]->hard);
		put(out, "}");
	}
	put(out, "]");
}

static bool is_same_model(const Agent__Device *a, const Agent__Device *b)
{
	return a->vendor == b->vendor && a->device == b->device && a->class_code == b->class_code;
}

/* Sorted: those of a model lie together. */
static void put_devices(struct out *out, const Agent__ContainerSpec *spec)
{
	put(out, ",\"devices\":[");
	for (size_t i = 0; i < spec->n_devices;) {
		const Agent__Device *device = spec->devices[i];
		size_t next = i + 1;

		while (next < spec->n_devices && is_same_model(device, spec->devices[next]))
			next++;
		put(out,
		    "%s{\"vendor\":\"%04x\",\"device\":\"%04x\",\"class\":\"%06x\",\"count\":%zu}",
		    i > 0 ? "," : "", device->vendor, device->device, device->class_code, next - i);
		i = next;
	}
	put(out, "]");
}

static void put_spec(struct out *out, const Agent__ContainerSpec *spec)
{
	const Agent__Resources *res = spec->resources;

	put_layers(out, spec);
	put(out, "\"process\":");
	put_process(out, spec->process);
	put(out, ",\"hostname\":");
	put_string(out, spec->hostname);
	put(out, ",\"read_only\":%s,\"no_new_privileges\":%s", truth(spec->read_only),
	    truth(spec->no_new_privileges));
	put(out, ",\"resources\":");
	if (res)
		put(out, "{\"cpu_milli\":%u,\"memory_bytes\":%llu,\"pids\":%u}", res->cpu_milli,
		    (unsigned long long)res->memory_bytes, res->pids);
	else
		put(out, "null");
	put(out, ",\"capabilities\":");
	if (spec->capabilities)
		put_capabilities(out, spec->capabilities);
	else
		put(out, "null");
	put_rlimits(out, spec);
	put_devices(out, spec);
}

static void put_container(struct out *out, const struct attest_policy_container *c)
{
	put(out, "{\"name\":");
	put_string(out, c->name);
	put(out, ",");
	put_spec(out, c->spec);
	put(out, c->exec_any ? ",\"exec\":\"any\"" : ",\"exec\":[");
	for (size_t i = 0; !c->exec_any && i < c->exec_count; i++) {
		put(out, i > 0 ? "," : "");
		put_process(out, c->execs[i]);
	}
	put(out, c->exec_any ? ",\"secrets\":[" : "],\"secrets\":[");
	for (size_t i = 0; i < c->secret_count; i++) {
		put(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		put_string(out, c->secrets[i].name);
		put(out, ",\"uri\":");
		put_string(out, c->secrets[i].uri);
		put(out, "}");
	}
	put(out, "]}");
}

int attest_policy_print(const struct attest_policy *policy, struct buf *ret)
{
	char key[2 * ATTEST_POLICY_KEY_SIZE + 1];
	struct out out = { .buf = ret };

	put(&out, "{\"schema\":1,\"broker\":");
	if (policy->broker_url) {
		text_hex(policy->broker_key, sizeof(policy->broker_key), key);
		put(&out, "{\"url\":");
		put_string(&out, policy->broker_url);
		put(&out, ",\"key\":\"%s\"}", key);
	} else {
		put(&out, "null");
	}
	put(&out, ",\"containers\":[");
	for (size_t i = 0; i < policy->container_count; i++) {
		put(&out, i > 0 ? "," : "");
		put_container(&out, &policy->containers[i]);
	}
	put(&out, "]}");
	return out.r;
}
