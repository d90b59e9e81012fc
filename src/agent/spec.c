// SPDX-License-Identifier: Apache-2.0
#include "agent/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

enum { ROOT_SIZE = 32 };

bool spec_id_is_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= SPEC_ID_MAX && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       len;
}

/* RFC 3629: no surrogate, nothing overlong, nothing above U+10FFFF. */
static bool is_utf8(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	while (*at) {
		unsigned more = *at < 0x80   ? 0
				: *at < 0xc2 ? 9
				: *at < 0xe0 ? 1
				: *at < 0xf0 ? 2
				: *at < 0xf5 ? 3
					     : 9;
		uint8_t low = *at == 0xe0 ? 0xa0 : *at == 0xf0 ? 0x90 : 0x80;
		uint8_t high = *at == 0xed ? 0x9f : *at == 0xf4 ? 0x8f : 0xbf;

		if (more == 9)
			return false;
		for (at++; more > 0; more--, at++, low = 0x80, high = 0xbf)
			if (*at < low || *at > high)
				return false;
	}
	return true;
}

static int check_strings(char *const *strings, size_t count, size_t max, const char *what,
			 struct err *err)
{
	if (count > max)
		return err_set(err, -E2BIG, "specification: %s: more than %zu", what, max);
	for (size_t i = 0; i < count; i++) {
		if (strlen(strings[i]) >= SPEC_STRING_MAX)
			return err_set(err, -E2BIG,
				       "specification: %s: entry %zu has more than %d "
				       "bytes",
				       what, i, SPEC_STRING_MAX - 1);
		if (!is_utf8(strings[i]))
			return err_set(err, -EINVAL, "specification: %s: entry %zu is not UTF-8",
				       what, i);
	}
	return 0;
}

int spec_check_process(const Agent__Process *p, struct err *err)
{
	int r;

	if (p->base.n_unknown_fields > 0)
		return err_set(err, -EBADMSG, "specification: process: a field that is not known");
	if (p->n_args == 0 || !p->args[0][0])
		return err_set(err, -EINVAL, "specification: process: no command");
	r = check_strings(p->args, p->n_args, SPEC_ARGS_MAX, "args", err);
	if (r == 0)
		r = check_strings(p->env, p->n_env, SPEC_ENV_MAX, "env", err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n_env; i++)
		if (p->env[i][0] == '=' || !strchr(p->env[i], '='))
			return err_set(err, -EINVAL,
				       "specification: env: entry %zu is not "
				       "NAME=VALUE",
				       i);
	if (strlen(p->cwd) > SPEC_PATH_MAX || (p->cwd[0] && p->cwd[0] != '/') || !is_utf8(p->cwd))
		return err_set(err, -EINVAL,
			       "specification: cwd: not an absolute path of at most "
			       "%d bytes",
			       SPEC_PATH_MAX);
	return 0;
}

static int check_layers(const Agent__ContainerSpec *spec, struct err *err)
{
	if (spec->n_layers == 0 || spec->n_layers > SPEC_LAYERS_MAX)
		return err_set(err, -E2BIG, "specification: layers: %zu of them, 1 to %d can be",
			       spec->n_layers, SPEC_LAYERS_MAX);
	for (size_t i = 0; i < spec->n_layers; i++) {
		const Agent__Layer *layer = spec->layers[i];

		if (layer->base.n_unknown_fields > 0)
			return err_set(err, -EBADMSG,
				       "specification: layer %zu: a field that is "
				       "not known",
				       i);
		if (layer->root.len != ROOT_SIZE)
			return err_set(err, -EINVAL,
				       "specification: layer %zu: a root hash of %zu "
				       "bytes, not %d",
				       i, layer->root.len, ROOT_SIZE);
		if (layer->data_blocks == 0 || layer->data_blocks > SPEC_BLOCKS_MAX ||
		    layer->hash_start < layer->data_blocks || layer->hash_start > SPEC_BLOCKS_MAX)
			return err_set(err, -EINVAL,
				       "specification: layer %zu: data and hashes "
				       "overlap, or no disk is that large",
				       i);
	}
	return 0;
}

static int check_rest(const Agent__ContainerSpec *spec, struct err *err)
{
	const Agent__Resources *res = spec->resources;
	size_t len = strlen(spec->hostname);

	if (len > SPEC_HOSTNAME_MAX ||
	    strspn(spec->hostname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_.-") != len)
		return err_set(err, -EINVAL,
			       "specification: hostname: not 0 to %d of "
			       "[a-zA-Z0-9_.-]",
			       SPEC_HOSTNAME_MAX);
	if (!res)
		return 0;
	if (res->base.n_unknown_fields > 0)
		return err_set(err, -EBADMSG,
			       "specification: resources: a field that is not known");
	if (res->cpu_milli &&
	    (res->cpu_milli < SPEC_CPU_MILLI_MIN || res->cpu_milli > SPEC_CPU_MILLI_MAX))
		return err_set(err, -EINVAL,
			       "specification: resources: %u thousandths of a CPU, "
			       "%d to %d can be",
			       res->cpu_milli, SPEC_CPU_MILLI_MIN, SPEC_CPU_MILLI_MAX);
	if (res->memory_bytes > INT64_MAX || res->pids > INT32_MAX)
		return err_set(err, -EINVAL, "specification: resources: no machine is that large");
	return 0;
}

static int check_capabilities(const Agent__Capabilities *c, struct err *err)
{
	struct privilege_sets sets;

	if (!c)
		return 0;
	if (c->base.n_unknown_fields > 0)
		return err_set(err, -EBADMSG,
			       "specification: capabilities: a field that is not known");
	sets = (struct privilege_sets){ { c->bounding, c->effective, c->permitted, c->inheritable,
					  c->ambient } };
	if (!privilege_sets_are_possible(&sets))
		return err_set(err, -EINVAL,
			       "specification: capabilities: one that is not known, or in a set "
			       "but not in the one around it");
	return 0;
}

static bool is_limit_value(uint64_t value)
{
	return value <= INT64_MAX || value == PRIVILEGE_UNLIMITED;
}

/* In their one order, so that none is there twice. */
static int check_rlimits(const Agent__ContainerSpec *spec, struct err *err)
{
	int before = -1;

	for (size_t i = 0; i < spec->n_rlimits; i++) {
		const Agent__Rlimit *limit = spec->rlimits[i];

		if (limit->base.n_unknown_fields > 0)
			return err_set(err, -EBADMSG,
				       "specification: rlimit %zu: a field that is not known", i);
		if ((int)limit->type <= before || (int)limit->type >= PRIVILEGE_LIMITS)
			return err_set(err, -EINVAL,
				       "specification: rlimit %zu: not known, or out of order", i);
		before = (int)limit->type;
		if (limit->soft > limit->hard || !is_limit_value(limit->soft) ||
		    !is_limit_value(limit->hard))
			return err_set(err, -EINVAL,
				       "specification: rlimit %zu: not a soft limit up to a hard "
				       "one",
				       i);
		if (limit->type == AGENT__RLIMIT_TYPE__NOFILE && limit->hard > SPEC_NOFILE_MAX)
			return err_set(err, -E2BIG,
				       "specification: rlimit %zu: more than %d descriptors", i,
				       SPEC_NOFILE_MAX);
	}
	return 0;
}

/* 0xffff is what a slot without a function answers (PCI 3.0, 6.1). */
static int check_devices(const Agent__ContainerSpec *spec, struct err *err)
{
	if (spec->n_devices > SPEC_DEVICES_MAX)
		return err_set(err, -E2BIG, "specification: devices: %zu of them, up to %d can be",
			       spec->n_devices, SPEC_DEVICES_MAX);
	for (size_t i = 0; i < spec->n_devices; i++) {
		const Agent__Device *device = spec->devices[i];

		if (device->base.n_unknown_fields > 0)
			return err_set(err, -EBADMSG,
				       "specification: device %zu: a field that is not known", i);
		if (device->vendor == 0 || device->vendor >= UINT16_MAX ||
		    device->device > UINT16_MAX || device->class_code > 0xffffff)
			return err_set(err, -EINVAL,
				       "specification: device %zu: no PCI function has such "
				       "numbers",
				       i);
	}
	return 0;
}

/* What was unpacked, packed again, has to be what came. */
static int check_one_to_one(const Agent__ContainerSpec *spec, struct bytes text, struct err *err)
{
	cleanup_free uint8_t *again = NULL;
	size_t len = agent__container_spec__get_packed_size(spec);

	if (len != text.len)
		return err_set(err, -EBADMSG, "specification: not in its one form");
	again = malloc(len + 1);
	if (!again)
		return err_num(err, -ENOMEM, "specification");
	(void)agent__container_spec__pack(spec, again);
	if (len > 0 && memcmp(again, text.at, len) != 0)
		return err_set(err, -EBADMSG, "specification: not in its one form");
	return 0;
}

static int check_all(const Agent__ContainerSpec *spec, struct bytes text, struct err *err)
{
	int r;

	if (spec->base.n_unknown_fields > 0)
		return err_set(err, -EBADMSG, "specification: a field that is not known");
	if (!spec->process)
		return err_set(err, -EINVAL, "specification: no process");
	r = spec_check_process(spec->process, err);
	if (r == 0)
		r = check_layers(spec, err);
	if (r == 0)
		r = check_rest(spec, err);
	if (r == 0)
		r = check_capabilities(spec->capabilities, err);
	if (r == 0)
		r = check_rlimits(spec, err);
	if (r == 0)
		r = check_devices(spec, err);
	return r < 0 ? r : check_one_to_one(spec, text, err);
}

int spec_open(struct bytes text, Agent__ContainerSpec **ret_spec, struct err *err)
{
	Agent__ContainerSpec *spec;
	int r;

	if (text.len > SPEC_BYTES_MAX)
		return err_set(err, -E2BIG, "specification: more than %d bytes", SPEC_BYTES_MAX);
	spec = agent__container_spec__unpack(NULL, text.len, text.at);
	if (!spec)
		return err_set(err, -EBADMSG, "specification: not a ContainerSpec");
	r = check_all(spec, text, err);
	if (r < 0) {
		agent__container_spec__free_unpacked(spec, NULL);
		return r;
	}
	*ret_spec = spec;
	return 0;
}
