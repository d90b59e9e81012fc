// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: each object of the document has a table of the names that are known in it and
 * what reads them. A name that has no reader has to be empty. So nothing is passed over silently.
 */
#include "oci/bundle.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "oci/json.h"
#include "oci/privilege_priv.h"

struct reader {
	struct arena *arena;
	struct oci_bundle *bundle;
	uint64_t quota, period;
	bool has_user_namespace;
	struct err *err;
};

struct rule {
	const char *key;
	int (*read)(struct reader *reader, const struct oci_json *at);
	bool each; /* it is a list, and read is for its items */
};

/* clang-format off */
#define RULE(key, read) { key, read, false }
#define EACH(key, read) { key, read, true }
/* clang-format on */

static int refuse(const struct reader *reader, const struct oci_json *at, const char *why)
{
	return oci_json_fail(at, ERR_UNSUPPORTED, -EOPNOTSUPP, reader->err, "%s", why);
}

/* Shows each item of a list to fn. */
static int read_items(struct reader *reader, const struct oci_json *at,
		      int (*fn)(struct reader *reader, const struct oci_json *item))
{
	size_t count = 0;
	int r;

	r = oci_json_list(at, OCI_BUNDLE_LIST_MAX, &count, reader->err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		r = fn(reader, &item);
	}
	return r;
}

static int read_object(struct reader *reader, const struct oci_json *at, const struct rule *rules,
		       size_t rule_count)
{
	const char *key;
	json_t *value;
	int r;

	if (!oci_json_is_there(at))
		return 0;
	r = oci_json_object(at, reader->err);
	if (r < 0)
		return r;
	json_object_foreach(at->value, key, value) {
		struct oci_json item = oci_json_get(at, key);
		size_t i = 0;

		while (i < rule_count && strcmp(rules[i].key, key) != 0)
			i++;
		if (i < rule_count)
			r = rules[i].each ? read_items(reader, &item, rules[i].read)
					  : rules[i].read(reader, &item);
		else if (!oci_json_is_empty(&item))
			r = refuse(reader, &item, "is not supported");
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_listed(const char *text, const char *const *list)
{
	for (; text && *list; list++) {
		if (strcmp(*list, text) == 0)
			return true;
	}
	return false;
}

/* A list of strings, each out of allowed. */
static int check_strings(struct reader *reader, const struct oci_json *at,
			 const char *const *allowed, const char *why)
{
	size_t count;
	int r;

	r = oci_json_list(at, OCI_BUNDLE_LIST_MAX, &count, reader->err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);

		if (!is_listed(json_string_value(item.value), allowed))
			r = oci_json_fail(
				&item, ERR_UNSUPPORTED, -EOPNOTSUPP, reader->err, "'%.100s' %s",
				json_is_string(item.value) ? json_string_value(item.value) : "?",
				why);
	}
	return r;
}

static int accept(struct reader *reader, const struct oci_json *at)
{
	(void)reader;
	(void)at;
	return 0;
}

static int accept_bool(struct reader *reader, const struct oci_json *at)
{
	bool ignored;

	return oci_json_bool(at, &ignored, reader->err);
}

/* The document itself. */

static int read_version(struct reader *reader, const struct oci_json *at)
{
	const char *version = json_string_value(at->value);

	if (!version || strncmp(version, "1.", 2) != 0)
		return oci_json_fail(at, ERR_UNSUPPORTED, -EOPNOTSUPP, reader->err,
				     "is not a version 1 of the runtime-spec");
	return 0;
}

static int read_hostname(struct reader *reader, const struct oci_json *at)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-._";
	const char *name;
	int r;

	if (oci_json_is_empty(at))
		return 0;
	r = oci_json_string(reader->arena, at, OCI_HOSTNAME_MAX, &name, reader->err);
	if (r < 0)
		return r;
	if (name[strspn(name, allowed)])
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, reader->err, "is not a host name");
	reader->bundle->hostname = name;
	return 0;
}

/* process */

static int read_terminal(struct reader *reader, const struct oci_json *at)
{
	return oci_json_bool(at, &reader->bundle->terminal, reader->err);
}

static int read_args(struct reader *reader, const struct oci_json *at)
{
	return oci_json_strings(reader->arena, at, OCI_ARGS_MAX, OCI_STRING_MAX,
				&reader->bundle->process.cmd, reader->err);
}

static int read_env(struct reader *reader, const struct oci_json *at)
{
	struct oci_strings *env = &reader->bundle->process.env;
	int r;

	r = oci_json_strings(reader->arena, at, OCI_ENV_MAX, OCI_STRING_MAX, env, reader->err);
	for (size_t i = 0; r == 0 && i < env->count; i++) {
		struct oci_json item = oci_json_item(at, i);

		if (!oci_process_is_variable(env->at[i]))
			r = oci_json_fail(&item, ERR_IMAGE, -EINVAL, reader->err,
					  "is not NAME=VALUE");
	}
	return r;
}

static int read_cwd(struct reader *reader, const struct oci_json *at)
{
	const char **cwd = &reader->bundle->process.cwd;
	int r;

	r = oci_json_string(reader->arena, at, OCI_CWD_MAX, cwd, reader->err);
	if (r == 0 && (*cwd)[0] != '/')
		r = oci_json_fail(at, ERR_IMAGE, -EINVAL, reader->err, "is not an absolute path");
	return r;
}

static int read_user(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("uid", accept),
		RULE("gid", accept),
		RULE("umask", accept),
	};
	struct oci_json uid = oci_json_get(at, "uid"), gid = oci_json_get(at, "gid");
	struct oci_json umask = oci_json_get(at, "umask");
	uint64_t uid_value = 0, gid_value = 0;
	int r;

	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	/* (uid_t)-1 means "leave it" to the kernel */
	r = oci_json_u64(&uid, 0, UINT32_MAX - 1, &uid_value, reader->err);
	if (r < 0)
		return r;
	r = oci_json_u64(&gid, 0, UINT32_MAX - 1, &gid_value, reader->err);
	if (r < 0)
		return r;
	if (oci_json_is_there(&umask) && json_integer_value(umask.value) != 022)
		return refuse(reader, &umask, "is not 18, the only umask supported");
	reader->bundle->process.user =
		arena_printf(reader->arena, "%u:%u", (uint32_t)uid_value, (uint32_t)gid_value);
	return reader->bundle->process.user ? 0 : err_num(reader->err, -ENOMEM, "read a bundle");
}

static int read_capabilities(struct reader *reader, const struct oci_json *at)
{
	return oci_privilege_read_capabilities(at, &reader->bundle->capabilities, reader->err);
}

static int read_rlimit(struct reader *reader, const struct oci_json *at)
{
	return oci_privilege_read_limit(at, reader->bundle->limits, reader->err);
}

static int read_no_new_privileges(struct reader *reader, const struct oci_json *at)
{
	return oci_json_bool(at, &reader->bundle->no_new_privileges, reader->err);
}

static int read_process(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("terminal", read_terminal),
		RULE("consoleSize", accept),
		RULE("user", read_user),
		RULE("args", read_args),
		RULE("env", read_env),
		RULE("cwd", read_cwd),
		RULE("capabilities", read_capabilities),
		EACH("rlimits", read_rlimit),
		RULE("noNewPrivileges", read_no_new_privileges),
	};
	struct oci_json args = oci_json_get(at, "args"), cwd = oci_json_get(at, "cwd");
	int r;

	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	if (oci_json_is_empty(&args))
		return oci_json_fail(&args, ERR_IMAGE, -EINVAL, reader->err, "names no command");
	if (oci_json_is_empty(&cwd))
		return oci_json_fail(&cwd, ERR_IMAGE, -EINVAL, reader->err, "is missing");
	return 0;
}

/* root */

static int read_root_path(struct reader *reader, const struct oci_json *at)
{
	return oci_json_string(reader->arena, at, OCI_CWD_MAX, &reader->bundle->root_path,
			       reader->err);
}

static int read_readonly(struct reader *reader, const struct oci_json *at)
{
	return oci_json_bool(at, &reader->bundle->read_only, reader->err);
}

static int read_root(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("path", read_root_path),
		RULE("readonly", read_readonly),
	};
	int r;

	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	if (!reader->bundle->root_path || !reader->bundle->root_path[0])
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, reader->err, "has no path");
	return 0;
}

/* mounts */

static const struct {
	const char *destination, *type;
	const char *const options[9];
} default_mounts[] = {
	{ "/proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", { "nosuid", "noexec", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts",
	  "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
	{ "/sys", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
	{ "/sys/fs/cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro", "rw" } },
	{ "/sys/fs/cgroup", "cgroup2", { "nosuid", "noexec", "nodev", "relatime", "ro", "rw" } },
};

static int check_mount(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("destination", accept),
		RULE("type", accept),
		RULE("source", accept),
		RULE("options", accept),
	};
	struct oci_json options = oci_json_get(at, "options");
	const char *to = json_string_value(oci_json_get(at, "destination").value);
	const char *type = json_string_value(oci_json_get(at, "type").value);
	int r;

	r = oci_json_object(at, reader->err);
	if (r < 0)
		return r;
	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	if (!to || !type)
		return oci_json_fail(at, ERR_IMAGE, -EINVAL, reader->err,
				     "has no destination and type");
	for (size_t i = 0; i < ARRAY_SIZE(default_mounts); i++) {
		if (strcmp(default_mounts[i].destination, to) == 0 &&
		    strcmp(default_mounts[i].type, type) == 0)
			return check_strings(reader, &options, default_mounts[i].options,
					     "is not an option of this mount that is supported");
	}
	return oci_json_fail(at, ERR_UNSUPPORTED, -EOPNOTSUPP, reader->err,
			     "a mount of '%.60s' on '%.100s' is not there yet", type, to);
}

/* linux */

static const char *const namespaces[] = {
	"pid",	  "network", "ipc", "uts", "mount", /* have to be there */
	"cgroup", "user",    NULL,		    /* may be */
};

enum { NAMESPACES_NEEDED = 5, NAMESPACE_USER = 6 };

static int check_namespaces(struct reader *reader, const struct oci_json *at)
{
	bool seen[ARRAY_SIZE(namespaces)] = { false };
	size_t count;
	int r;

	r = oci_json_list(at, OCI_BUNDLE_LIST_MAX, &count, reader->err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(at, i);
		struct oci_json path = oci_json_get(&item, "path");
		const char *type = json_string_value(oci_json_get(&item, "type").value);

		if (!is_listed(type, namespaces))
			return refuse(reader, &item, "is not a namespace that is supported");
		if (!oci_json_is_empty(&path))
			return refuse(reader, &path, "a namespace of the host can't be joined");
		for (size_t n = 0; namespaces[n]; n++)
			seen[n] = seen[n] || strcmp(namespaces[n], type) == 0;
	}
	for (size_t n = 0; n < NAMESPACES_NEEDED; n++) {
		if (!seen[n])
			return oci_json_fail(at, ERR_UNSUPPORTED, -EOPNOTSUPP, reader->err,
					     "leaves out '%s': the host's can't be shared",
					     namespaces[n]);
	}
	reader->has_user_namespace = seen[NAMESPACE_USER];
	return 0;
}

/* `crun spec --rootless` maps one ID to 0; the IDs of the files are mapped when they are read. */
static int check_mapping(struct reader *reader, const struct oci_json *at)
{
	json_int_t to = json_integer_value(oci_json_get(at, "containerID").value);
	json_int_t size = json_integer_value(oci_json_get(at, "size").value);

	if (at->index > 0 || to != 0 || size != 1)
		return refuse(reader, at, "maps other than one ID to 0");
	return 0;
}

static int check_masked(struct reader *reader, const struct oci_json *at)
{
	static const char *const allowed[] = {
		"/proc/acpi",
		"/proc/asound",
		"/proc/interrupts",
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/sys/devices/virtual/powercap",
		"/sys/firmware",
		"/sys/fs/selinux",
		NULL,
	};

	return check_strings(reader, at, allowed, "is not a path that can be masked here");
}

static int check_readonly_paths(struct reader *reader, const struct oci_json *at)
{
	static const char *const allowed[] = {
		"/proc/asound", "/proc/bus",	       "/proc/fs", "/proc/irq",
		"/proc/sys",	"/proc/sysrq-trigger", NULL,
	};

	return check_strings(reader, at, allowed, "is not a path that can be made read-only here");
}

/* -1 is the runtime-spec's "no limit". */
static int read_limit(struct reader *reader, const struct oci_json *at, uint64_t most,
		      uint64_t *ret)
{
	if (json_integer_value(at->value) == -1)
		return 0;
	return oci_json_u64(at, 0, most, ret, reader->err);
}

static int read_memory_limit(struct reader *reader, const struct oci_json *at)
{
	return read_limit(reader, at, INT64_MAX, &reader->bundle->memory_bytes);
}

static int read_memory(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = { RULE("limit", read_memory_limit) };

	return read_object(reader, at, rules, ARRAY_SIZE(rules));
}

static int read_quota(struct reader *reader, const struct oci_json *at)
{
	return read_limit(reader, at, INT64_MAX / 1000, &reader->quota);
}

static int read_period(struct reader *reader, const struct oci_json *at)
{
	return oci_json_u64(at, 0, 1000000, &reader->period, reader->err);
}

static int read_cpu(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = { RULE("quota", read_quota),
					     RULE("period", read_period) };
	uint64_t milli;
	int r;

	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	if (reader->period == 0)
		reader->period = 100000; /* the kernel's default */
	milli = (reader->quota * 1000 + reader->period - 1) / reader->period;
	if (milli > OCI_CPU_MILLI_MAX)
		return oci_json_fail(at, ERR_IMAGE_LIMIT, -E2BIG, reader->err,
				     "asks for more than %d CPUs", OCI_CPU_MILLI_MAX / 1000);
	reader->bundle->cpu_milli = (uint32_t)milli;
	return 0;
}

static int read_pids_limit(struct reader *reader, const struct oci_json *at)
{
	uint64_t pids = 0;
	int r = read_limit(reader, at, OCI_PIDS_MAX, &pids);

	if (r == 0) {
		reader->bundle->pids = (uint32_t)pids;
		reader->bundle->pids_set = true;
	}
	return r;
}

static int read_pids(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = { RULE("limit", read_pids_limit) };

	return read_object(reader, at, rules, ARRAY_SIZE(rules));
}

/* Denying all is where every runtime begins; the default devices come back by themselves. */
static int check_device_rule(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = { RULE("allow", accept_bool), RULE("access", accept) };
	struct oci_json allow = oci_json_get(at, "allow");
	const char *access = json_string_value(oci_json_get(at, "access").value);

	if (json_is_true(allow.value) || !access || strcmp(access, "rwm") != 0)
		return refuse(reader, at, "is a device rule other than denying all");
	return read_object(reader, at, rules, ARRAY_SIZE(rules));
}

static int read_resources(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("memory", read_memory),
		RULE("cpu", read_cpu),
		RULE("pids", read_pids),
		EACH("devices", check_device_rule),
	};

	return read_object(reader, at, rules, ARRAY_SIZE(rules));
}

static int read_linux(struct reader *reader, const struct oci_json *at)
{
	static const struct rule rules[] = {
		RULE("resources", read_resources),  RULE("namespaces", check_namespaces),
		EACH("uidMappings", check_mapping), EACH("gidMappings", check_mapping),
		RULE("maskedPaths", check_masked),  RULE("readonlyPaths", check_readonly_paths),
	};
	struct oci_json list = oci_json_get(at, "namespaces");
	int r;

	r = read_object(reader, at, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	/* an absent list asks for all of the host's: said like an incomplete one */
	return check_namespaces(reader, &list);
}

/*
 * In a user namespace a capability is one over that namespace only, and here there is none: what
 * was meant for it must not become one over the guest.
 */
static int check_user_namespace(const struct reader *reader, const struct oci_json *doc)
{
	enum { AUDIT_WRITE = 29 };
	static const uint64_t harmless = PRIVILEGE_DEFAULT | UINT64_C(1) << AUDIT_WRITE;
	struct oci_json process = oci_json_get(doc, "process");
	struct oci_json capabilities = oci_json_get(&process, "capabilities");

	if (!reader->has_user_namespace ||
	    !(reader->bundle->capabilities.mask[PRIVILEGE_BOUNDING] & ~harmless))
		return 0;
	return refuse(reader, &capabilities,
		      "are more than containers get by default, and meant for a user namespace, "
		      "which there is not yet");
}

int oci_bundle_parse(struct arena *arena, struct bytes text, const char *file,
		     struct oci_bundle *ret_bundle, struct err *err)
{
	static const struct rule rules[] = {
		RULE("ociVersion", read_version), RULE("process", read_process),
		RULE("root", read_root),	  RULE("hostname", read_hostname),
		EACH("mounts", check_mount),	  RULE("annotations", accept),
		RULE("linux", read_linux),
	};
	static const char *const needed[] = { "ociVersion", "process", "root", "linux" };
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct oci_bundle bundle = { .hostname = "", .process = { .user = "0:0" } };
	struct reader reader = { .arena = arena, .bundle = &bundle, .err = err };
	struct oci_json doc;
	int r;

	r = oci_privilege_load_unlimited(arena, text, &text, err);
	if (r == 0)
		r = oci_json_load(text, file, &root, err);
	if (r < 0)
		return r;
	doc = oci_json_root(root, file);
	r = read_object(&reader, &doc, rules, ARRAY_SIZE(rules));
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct oci_json item = oci_json_get(&doc, needed[i]);

		if (!oci_json_is_there(&item))
			return oci_json_fail(&item, ERR_IMAGE, -EINVAL, err, "is missing");
	}
	r = check_user_namespace(&reader, &doc);
	if (r < 0)
		return r;
	*ret_bundle = bundle;
	return 0;
}
