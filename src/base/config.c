// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define SECOND UINT64_C(1000)

static const char *const accel_words[] = { "auto", "kvm", "tcg", NULL };
static const char *const bool_words[] = { "false", "true", NULL };

static_assert(CONFIG_ACCEL_TCG == ARRAY_SIZE(accel_words) - 2, "accel_words follow the enum");

static const struct config_key_info keys[CONFIG_KEY_COUNT] = {
	[CONFIG_ACCEL] = {
		"accel", CONFIG_ENUM, true, 0, 0, accel_words, "auto",
		"What runs the guest's code: kvm, tcg (QEMU's translator), or kvm where it works.",
	},
	[CONFIG_START_TIMEOUT_KVM] = {
		"start_timeout_kvm", CONFIG_DURATION, false, SECOND, 3600 * SECOND, NULL, "30s",
		"How long a guest may take to come up with KVM.",
	},
	[CONFIG_START_TIMEOUT_TCG] = {
		"start_timeout_tcg", CONFIG_DURATION, false, SECOND, 3600 * SECOND, NULL, "2m",
		"How long a guest may take to come up with TCG.",
	},
	[CONFIG_DEFAULT_CPUS] = {
		"default_cpus", CONFIG_INT, false, 1, 1024, NULL, "1",
		"CPUs of a container that asks for none in particular.",
	},
	[CONFIG_DEFAULT_MEMORY] = {
		"default_memory", CONFIG_SIZE, false, 16 * MIB, 65536 * GIB, NULL, "512MiB",
		"Memory of a container that asks for none in particular.",
	},
	[CONFIG_DEFAULT_PIDS] = {
		/* podman's; up to Linux's PID_MAX_LIMIT */
		"default_pids", CONFIG_INT, false, 0, 4 << 20, NULL, "2048",
		"Processes, at most, of a container that asks for no limit in particular; 0: any number.",
	},
	[CONFIG_LAYER_MAX_SIZE] = {
		"layer_max_size", CONFIG_SIZE, false, MIB, 16384 * GIB, NULL, "16GiB",
		"The most that one layer of an image may store.",
	},
	[CONFIG_LAYER_MAX_ENTRIES] = {
		"layer_max_entries", CONFIG_INT, false, 1, 100000000, NULL, "4000000",
		"The most files and directories that one layer of an image may have.",
	},
	[CONFIG_LOG_SIZE] = {
		"log_size", CONFIG_SIZE, false, 64 * KIB, GIB, NULL, "8MiB",
		"What is kept of a detached container's output, the newest of it.",
	},
	[CONFIG_UID_FIRST] = {
		/*
		 * Between what login, systemd and subordinate users take: those end at 65535 and
		 * begin at 100000.
		 */
		"uid_first", CONFIG_INT, false, 1000, UINT32_MAX - 131072, NULL, "90000",
		"The first of the user ids that pods started by root run under, one for each.",
	},
	[CONFIG_UID_COUNT] = {
		"uid_count", CONFIG_INT, false, 1, 65536, NULL, "4096",
		"How many such user ids there are, and so how many pods at once.",
	},
	[CONFIG_GUEST_DIR] = {
		"guest_dir", CONFIG_PATH, false, 0, 0, NULL, "",
		"The directory of guest kernel and base image; empty: the one that came along.",
	},
	[CONFIG_QEMU] = {
		"qemu", CONFIG_PATH, false, 0, 0, NULL, "/usr/bin/qemu-system-x86_64",
		"The QEMU program.",
	},
	[CONFIG_FIRMWARE] = {
		"firmware", CONFIG_PATH, false, 0, 0, NULL, "/usr/share/qemu/qboot.rom",
		"The guest's firmware.",
	},
	[CONFIG_FIRMWARE_DEVICES] = {
		"firmware_devices", CONFIG_PATH, false, 0, 0, NULL, "/usr/share/seabios/bios-256k.bin",
		"The guest's firmware with passed-through devices: it numbers buses and places BARs.",
	},
	[CONFIG_KEEP_DRIVERS] = {
		"keep_drivers", CONFIG_WORDS, false, 0, 0, NULL,
		"ahci megaraid_sas mpt3sas smartpqi hpsa aacraid virtio_blk ast mgag200",
		"The host's drivers whose devices no pod takes.",
	},
	[CONFIG_PEER_TO_PEER] = {
		"peer_to_peer", CONFIG_BOOL, true, 0, 1, NULL, "true",
		"Whether a pod's devices can reach one another's BARs.",
	},
	[CONFIG_CACHE_DIR] = {
		"cache_dir", CONFIG_PATH, false, 0, 0, NULL, "",
		"Where built layers are kept; empty: /var/cache/casemate, or the user's cache.",
	},
	[CONFIG_RUN_DIR] = {
		"run_dir", CONFIG_PATH, false, 0, 0, NULL, "",
		"Where running pods are kept; empty: /run/casemate, or the user's run directory.",
	},
	[CONFIG_SIMTEE_SOCKET] = {
		"simtee_socket", CONFIG_PATH, false, 0, 0, NULL, "/run/casemate-simtee/socket",
		"Where the simulated secure processor listens.",
	},
	[CONFIG_SIMTEE] = {
		"simtee", CONFIG_PATH, false, 0, 0, NULL, "",
		"Its program, started by root where nobody listens; empty: the one that came along.",
	},
	[CONFIG_SIMTEE_DIR] = {
		"simtee_dir", CONFIG_PATH, false, 0, 0, NULL, "/var/lib/casemate-simtee",
		"Where it keeps its key, and its root certificate for all to read (root.pem).",
	},
	[CONFIG_SIMTEE_UID] = {
		/* just below the pods' */
		"simtee_uid", CONFIG_INT, false, 1, UINT32_MAX - 1, NULL, "89999",
		"The user id that alone may read its key.",
	},
};

const struct config_key_info *config_key(size_t i)
{
	return i < CONFIG_KEY_COUNT ? &keys[i] : NULL;
}

static int parse_word(const char *const *words, const char *text, uint64_t *ret)
{
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_path(const char *text)
{
	if (strlen(text) > CONFIG_TEXT_MAX)
		return -ERANGE;
	if (text[0] && text[0] != '/')
		return -EINVAL;
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return -EINVAL;
	}
	return 0;
}

static int parse_words(const char *text)
{
	if (strlen(text) > CONFIG_TEXT_MAX)
		return -ERANGE;
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_- ")])
		return -EINVAL;
	for (const char *c = text; *c; c++)
		if (*c == ' ' && (c == text || c[1] == ' ' || !c[1]))
			return -EINVAL;
	return 0;
}

static bool is_text(const struct config_key_info *key)
{
	return key->type == CONFIG_PATH || key->type == CONFIG_WORDS;
}

static int parse_value(const struct config_key_info *key, const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	int r = -EINVAL;

	switch (key->type) {
	case CONFIG_BOOL:
		return parse_word(bool_words, text, ret);
	case CONFIG_ENUM:
		return parse_word(key->words, text, ret);
	case CONFIG_PATH:
		return parse_path(text);
	case CONFIG_WORDS:
		return parse_words(text);
	case CONFIG_INT:
		r = text_parse_uint(text, UINT64_MAX, &value);
		break;
	case CONFIG_SIZE:
		r = text_parse_size(text, &value);
		break;
	case CONFIG_DURATION:
		r = text_parse_duration_ms(text, &value);
		break;
	}
	if (r < 0)
		return r;
	if (value < key->min || value > key->max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* The largest unit that leaves no rest. */
static int format_unit(uint64_t value, const uint64_t *units, const char *const *names,
		       struct buf *ret)
{
	while (value == 0 ? units[1] != 0 : value % *units != 0) {
		units++;
		names++;
	}
	return buf_addf(ret, "%llu%s", (unsigned long long)(value / *units), *names);
}

static int format_number(const struct config_key_info *key, uint64_t value, struct buf *ret)
{
	static const uint64_t sizes[] = { GIB, MIB, KIB, 1, 0 };
	static const char *const size_names[] = { "GiB", "MiB", "KiB", "", NULL };
	static const uint64_t durations[] = { 3600 * SECOND, 60 * SECOND, SECOND, 1, 0 };
	static const char *const duration_names[] = { "h", "m", "s", "ms", NULL };

	switch (key->type) {
	case CONFIG_BOOL:
		return buf_addf(ret, "%s", bool_words[value]);
	case CONFIG_ENUM:
		return buf_addf(ret, "%s", key->words[value]);
	case CONFIG_SIZE:
		return format_unit(value, sizes, size_names, ret);
	case CONFIG_DURATION:
		return format_unit(value, durations, duration_names, ret);
	case CONFIG_INT:
	case CONFIG_PATH:
	case CONFIG_WORDS:
		break;
	}
	return buf_addf(ret, "%llu", (unsigned long long)value);
}

void config_init(struct config *cfg)
{
	*cfg = (struct config){ 0 };
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		int r = parse_value(&keys[i], keys[i].fallback, &cfg->values[i].number);

		assert(r == 0);
	}
}

void config_done(struct config *cfg)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		free(cfg->values[i].text);
	*cfg = (struct config){ 0 };
}

/* The nearest key of those that this source may set. */
static const char *nearest_key(const char *name, enum config_source source)
{
	const char *names[CONFIG_KEY_COUNT];
	size_t count = 0;

	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		if (source != CONFIG_POD || keys[i].pod_may_set)
			names[count++] = keys[i].name;
	}
	return text_nearest(name, names, count);
}

static int refuse_key(const char *name, enum config_source source, struct err *err)
{
	const char *near = nearest_key(name, source);

	if (near)
		return err_coded(err, ERR_CONFIG, -ENOENT,
				 "set '%.64s': there is no such key; the nearest is '%s'", name,
				 near);
	return err_coded(err, ERR_CONFIG, -ENOENT,
			 "set '%.64s': there is no such key; 'casemate config keys' lists them",
			 name);
}

/* Says what the key takes. */
static int refuse_value(const struct config_key_info *key, const char *value, int num,
			struct err *err)
{
	static const char *const form[] = {
		[CONFIG_BOOL] = "true or false",
		[CONFIG_INT] = "a number",
		[CONFIG_SIZE] = "a size, as '512MiB'",
		[CONFIG_DURATION] = "a duration, as '30s'",
		[CONFIG_ENUM] = "one of",
		[CONFIG_PATH] = "an absolute path or nothing",
		[CONFIG_WORDS] = "words with single blanks between",
	};
	CLEANUP(buf_done) struct buf more = { 0 };

	if (key->type == CONFIG_ENUM) {
		for (size_t i = 0; key->words[i]; i++)
			(void)buf_addf(&more, " '%s'", key->words[i]);
	} else if (num == -ERANGE && is_text(key)) {
		(void)buf_addf(&more, ", of at most %d bytes", CONFIG_TEXT_MAX);
	} else if (num == -ERANGE) {
		(void)buf_addf(&more, ", from ");
		(void)format_number(key, key->min, &more);
		(void)buf_addf(&more, " to ");
		(void)format_number(key, key->max, &more);
	}
	return err_coded(err, ERR_CONFIG, num, "set '%s' to '%.64s': it takes %s%.*s", key->name,
			 value, form[key->type], (int)more.len, more.at ? (char *)more.at : "");
}

int config_set(struct config *cfg, const char *name, const char *value, enum config_source source,
	       struct err *err)
{
	const struct config_key_info *key = NULL;
	struct config_value *slot = NULL;
	uint64_t number = 0;
	char *text = NULL;
	int r;

	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		if (strcmp(keys[i].name, name) == 0) {
			key = &keys[i];
			slot = &cfg->values[i];
		}
	}
	if (!key)
		return refuse_key(name, source, err);
	if (source == CONFIG_POD && !key->pod_may_set)
		return err_coded(err, ERR_CONFIG, -EPERM,
				 "set '%s': only the node's configuration may, not a pod", name);
	r = parse_value(key, value, &number);
	if (r < 0)
		return refuse_value(key, value, r, err);
	if (slot->source > source)
		return 0;
	if (is_text(key)) {
		text = strdup(value);
		if (!text)
			return err_num(err, -ENOMEM, "set '%s'", name);
	}
	free(slot->text);
	*slot = (struct config_value){ number, text, source };
	return 0;
}

uint64_t config_number(const struct config *cfg, enum config_key key)
{
	assert(key < CONFIG_KEY_COUNT && !is_text(&keys[key]));
	return cfg->values[key].number;
}

const char *config_text(const struct config *cfg, enum config_key key)
{
	assert(key < CONFIG_KEY_COUNT && is_text(&keys[key]));
	return cfg->values[key].text ? cfg->values[key].text : keys[key].fallback;
}

int config_format(const struct config *cfg, enum config_key key, struct buf *ret)
{
	if (is_text(&keys[key]))
		return buf_addf(ret, "%s", config_text(cfg, key));
	return format_number(&keys[key], cfg->values[key].number, ret);
}
