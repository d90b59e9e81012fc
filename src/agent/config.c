// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "agent/secrets.h"
#include "base/buf.h"
#include "base/privilege.h"

/* JSON with ' for ", which none of it needs otherwise. */
static const char fixed_container[] =
	"{"
	" 'ociVersion': '1.0.2',"
	" 'mounts': ["
	"  {'destination':'/proc','type':'proc','source':'proc','options':['nosuid','noexec','nodev']},"
	"  {'destination':'/dev','type':'tmpfs','source':'tmpfs',"
	"   'options':['nosuid','noexec','strictatime','mode=755','size=65536k']},"
	"  {'destination':'/dev/pts','type':'devpts','source':'devpts',"
	"   'options':['nosuid','noexec','newinstance','ptmxmode=0666','mode=0620','gid=5']},"
	"  {'destination':'/dev/shm','type':'tmpfs','source':'shm',"
	"   'options':['nosuid','noexec','nodev','mode=1777','size=65536k']},"
	"  {'destination':'/dev/mqueue','type':'mqueue','source':'mqueue',"
	"   'options':['nosuid','noexec','nodev']},"
	"  {'destination':'/sys','type':'sysfs','source':'sysfs',"
	"   'options':['nosuid','noexec','nodev','ro']},"
	"  {'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup',"
	"   'options':['nosuid','noexec','nodev','relatime','ro']}"
	" ],"
	" 'linux': {"
	"  'namespaces': [{'type':'pid'},{'type':'ipc'},{'type':'uts'},{'type':'mount'},"
	"   {'type':'cgroup'},{'type':'network'}],"
	"  'resources': {'devices':[{'allow':false,'access':'rwm'}]},"
	"  'maskedPaths': ['/proc/acpi','/proc/asound','/proc/interrupts','/proc/kcore','/proc/keys',"
	"   '/proc/latency_stats','/proc/timer_list','/proc/timer_stats','/proc/sched_debug',"
	"   '/proc/scsi','/sys/firmware','/sys/fs/selinux','/sys/dev/block',"
	"   '/sys/devices/virtual/powercap'],"
	"  'readonlyPaths': ['/proc/bus','/proc/fs','/proc/irq','/proc/sys',"
	"   '/proc/sysrq-trigger']"
	" }"
	"}";

enum { NOFILE_SOFT = 1024, NOFILE_HARD = 524288 }; /* unless the specification says */

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
};

/* NULL when there is no memory left: the texts are ours and well-formed. */
static json_t *load_fixed(const char *text)
{
	char *copy = strdup(text);
	json_t *json = NULL;

	for (char *quote = copy; quote && (quote = strchr(quote, '\''));)
		*quote = '"';
	if (copy)
		json = json_loads(copy, 0, NULL);
	free(copy);
	return json;
}

/* Puts a variable in its place: over one of its name, else at the end. */
static int set_env(struct strv *env, const char *variable)
{
	size_t name_len = strcspn(variable, "=") + 1;
	char *copy;

	for (size_t i = 0; i < env->len; i++) {
		if (strncmp(env->at[i], variable, name_len) != 0)
			continue;
		copy = strdup(variable);
		if (!copy)
			return -ENOMEM;
		free(env->at[i]);
		env->at[i] = copy;
		return 0;
	}
	return strv_add(env, variable);
}

static int add_env(struct strv *env, const Agent__Process *process)
{
	int r = 0;

	for (size_t i = 0; i < process->n_env && r == 0; i++)
		r = set_env(env, process->env[i]);
	return r;
}

static bool has_terminal(const struct config_process *p)
{
	return p->exec ? p->exec->terminal : p->spec->process->terminal;
}

static int make_env(const struct config_process *p, struct strv *env)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(default_env) / sizeof(default_env[0]) && r == 0; i++)
		r = strv_add(env, default_env[i]);
	if (r == 0 && has_terminal(p))
		r = strv_add(env, "TERM=xterm");
	if (r == 0)
		r = strv_addf(env, "HOSTNAME=%s", p->hostname);
	if (r == 0)
		r = strv_addf(env, "HOME=%s", p->user->home);
	if (r == 0)
		r = add_env(env, p->spec->process);
	if (r == 0 && p->exec)
		r = add_env(env, p->exec);
	return r;
}

static int set_strings(json_t *object, const char *key, char *const *strings, size_t count)
{
	json_t *array = json_array();
	int r = array ? 0 : -1;

	for (size_t i = 0; i < count && r == 0; i++)
		r = json_array_append_new(array, json_string(strings[i]));
	if (r == 0)
		return json_object_set_new(object, key, array);
	json_decref(array);
	return r;
}

/*
 * The user's own group is among the supplementary ones too, as podman has it: a set-gid program
 * would else shed it, and with it what the group is forbidden (CVE-2022-2989).
 */
static int set_user(json_t *object, const struct user *user)
{
	json_t *groups = json_array();
	int r = groups ? json_array_append_new(groups, json_integer(user->gid)) : -1;

	for (size_t i = 0; i < user->group_count && r == 0; i++)
		if (user->groups[i] != user->gid)
			r = json_array_append_new(groups, json_integer(user->groups[i]));
	if (r < 0) {
		json_decref(groups);
		return r;
	}
	return json_object_set_new(object, "user",
				   json_pack("{s:I, s:I, s:i, s:o}", "uid", (json_int_t)user->uid,
					     "gid", (json_int_t)user->gid, "umask", 022,
					     "additionalGids", groups));
}

/* The last of that name, as in the environment; NULL: none. */
static const char *find_path(const Agent__Process *process)
{
	for (size_t i = process->n_env; i > 0; i--)
		if (strncmp(process->env[i - 1], "PATH=", 5) == 0)
			return process->env[i - 1] + 5;
	return NULL;
}

const char *config_path(const struct config_process *p)
{
	const char *path = p->exec ? find_path(p->exec) : NULL;

	if (!path)
		path = find_path(p->spec->process);
	return path ? path : default_env[0] + 5;
}

const char *config_cwd(const struct config_process *p)
{
	if (p->exec && p->exec->cwd[0])
		return p->exec->cwd;
	return p->spec->process->cwd[0] ? p->spec->process->cwd : "/";
}

static int set_terminal(json_t *object, const struct config_process *p)
{
	if (json_object_set_new(object, "terminal", json_boolean(has_terminal(p))) < 0)
		return -1;
	if (!has_terminal(p) || !p->width || !p->height)
		return 0;
	return json_object_set_new(object, "consoleSize",
				   json_pack("{s:i, s:i}", "width", p->width, "height", p->height));
}

/*
 * The container's own user has what the specification says. Another one, in an exec, is root with
 * all that the container may come to, or somebody with nothing but what set-uid programs give.
 */
static struct privilege_sets choose_capabilities(const struct config_process *p)
{
	const Agent__Capabilities *own = p->spec->capabilities;
	bool is_other = p->exec && p->exec->user[0] &&
			strcmp(p->exec->user, p->spec->process->user) != 0;
	uint64_t bounding = own ? own->bounding : PRIVILEGE_DEFAULT;
	uint64_t held = p->user->uid == 0 ? bounding : 0;

	if (own && !is_other)
		return (struct privilege_sets){ { own->bounding, own->effective, own->permitted,
						  own->inheritable, own->ambient } };
	return (struct privilege_sets){ { bounding, held, held, 0, 0 } };
}

static int set_capabilities(json_t *object, const struct config_process *p)
{
	const struct privilege_sets sets = choose_capabilities(p);
	json_t *json = json_object();
	int r = json ? 0 : -1;

	for (unsigned set = 0; set < PRIVILEGE_SETS && r == 0; set++) {
		json_t *names = json_array();

		r = json_object_set_new(json, privilege_set_name(set), names);
		for (unsigned i = 0; i < PRIVILEGE_CAPABILITIES && r == 0; i++)
			if (sets.mask[set] >> i & 1)
				r = json_array_append_new(
					names, json_string(privilege_capability_name(i)));
	}
	if (r == 0)
		return json_object_set_new(object, "capabilities", json);
	json_decref(json);
	return r;
}

/* print() has the last word about this one. */
static json_t *limit_value(uint64_t value)
{
	return json_integer(value == PRIVILEGE_UNLIMITED ? INT64_MIN : (json_int_t)value);
}

static int add_limit(json_t *array, unsigned type, uint64_t soft, uint64_t hard)
{
	return json_array_append_new(
		array, json_pack("{s:s, s:o, s:o}", "type", privilege_limit_name(type), "soft",
				 limit_value(soft), "hard", limit_value(hard)));
}

static int set_limits(json_t *object, const Agent__ContainerSpec *spec)
{
	json_t *array = json_array();
	bool has_nofile = false;
	int r = array ? 0 : -1;

	for (size_t i = 0; i < spec->n_rlimits && r == 0; i++) {
		const Agent__Rlimit *limit = spec->rlimits[i];

		has_nofile = has_nofile || limit->type == AGENT__RLIMIT_TYPE__NOFILE;
		r = add_limit(array, limit->type, limit->soft, limit->hard);
	}
	if (r == 0 && !has_nofile)
		r = add_limit(array, PRIVILEGE_NOFILE, NOFILE_SOFT, NOFILE_HARD);
	if (r == 0)
		return json_object_set_new(object, "rlimits", array);
	json_decref(array);
	return r;
}

static json_t *make_process(const struct config_process *p)
{
	const Agent__Process *own = p->exec ? p->exec : p->spec->process;
	CLEANUP(strv_done) struct strv env = { 0 };
	json_t *json = json_object();

	if (json && make_env(p, &env) == 0 &&
	    set_strings(json, "args", own->args, own->n_args) == 0 &&
	    set_strings(json, "env", env.at, env.len) == 0 &&
	    json_object_set_new(json, "cwd", json_string(config_cwd(p))) == 0 &&
	    set_terminal(json, p) == 0 && set_user(json, p->user) == 0 &&
	    json_object_set_new(json, "noNewPrivileges",
				json_boolean(p->spec->no_new_privileges)) == 0 &&
	    set_capabilities(json, p) == 0 && set_limits(json, p->spec) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static int set_resources(json_t *config, const Agent__Resources *res)
{
	json_t *json = json_object_get(json_object_get(config, "linux"), "resources");
	int r = 0;

	if (res && res->cpu_milli)
		r = json_object_set_new(json, "cpu",
					json_pack("{s:I, s:i}", "quota",
						  (json_int_t)res->cpu_milli * 100, "period",
						  100000));
	if (r == 0 && res && res->memory_bytes)
		r = json_object_set_new(json, "memory",
					json_pack("{s:I}", "limit", (json_int_t)res->memory_bytes));
	if (r == 0 && res && res->pids)
		r = json_object_set_new(json, "pids",
					json_pack("{s:I}", "limit", (json_int_t)res->pids));
	return r;
}

/* As podman has it: what the image has there is copied, and what is written goes with the pod. */
static int set_writable(json_t *mounts, bool read_only)
{
	static const char *const paths[] = { "/run", "/tmp", "/var/tmp" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths) && read_only && r == 0; i++)
		r = json_array_append_new(mounts,
					  json_pack("{s:s, s:s, s:s, s:[s, s, s]}", "destination",
						    paths[i], "type", "tmpfs", "source", "tmpfs",
						    "options", "nosuid", "nodev", "tmpcopyup"));
	return r;
}

/* Behind what is mounted on /run. */
static int set_secrets(json_t *mounts, const char *path)
{
	if (!path)
		return 0;
	return json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:[s, s, s, s, s]}",
						       "destination", SECRETS_TARGET, "type",
						       "bind", "source", path, "options", "bind",
						       "ro", "nosuid", "nodev", "noexec"));
}

/* What a container may do with a node of its own; also what it may make one for. */
static int add_node(json_t *linux_json, const struct device_node *node)
{
	json_t *devices = json_object_get(linux_json, "devices");
	json_t *rules = json_object_get(json_object_get(linux_json, "resources"), "devices");
	const char *type = node->is_block ? "b" : "c";
	int r;

	r = json_array_append_new(rules, json_pack("{s:b, s:s, s:I, s:I, s:s}", "allow", 1, "type",
						   type, "major", (json_int_t)node->major, "minor",
						   (json_int_t)node->minor, "access", "rwm"));
	if (r < 0)
		return r;
	return json_array_append_new(
		devices, json_pack("{s:o, s:s, s:I, s:I, s:i, s:i, s:i}", "path",
				   json_sprintf("/dev/%s", node->name), "type", type, "major",
				   (json_int_t)node->major, "minor", (json_int_t)node->minor,
				   "fileMode", 0666, "uid", 0, "gid", 0));
}

static int add_bars(json_t *mounts, const struct device *device)
{
	int r = 0;

	for (unsigned bar = 0; bar < DEVICE_BARS && r == 0; bar++) {
		json_t *path;

		if (!(device->bars >> bar & 1))
			continue;
		path = json_sprintf("/sys/%s/resource%u", device->path, bar);
		r = json_array_append_new(mounts, json_pack("{s:O, s:s, s:O, s:[s, s, s, s, s]}",
							    "destination", path, "type", "bind",
							    "source", path, "options", "bind", "rw",
							    "nosuid", "nodev", "noexec"));
		json_decref(path);
	}
	return r;
}

static int set_netns(json_t *linux_json, const char *path)
{
	json_t *namespaces = json_object_get(linux_json, "namespaces");
	json_t *namespace;
	size_t i;

	json_array_foreach(namespaces, i, namespace)
		if (strcmp(json_string_value(json_object_get(namespace, "type")), "network") == 0)
			return json_object_set_new(namespace, "path", json_string(path));
	return -1;
}

static int set_devices(json_t *json, const struct devices *devices)
{
	json_t *linux_json = json_object_get(json, "linux");
	int r = 0;

	if (!devices || devices->count == 0)
		return 0;
	if (json_object_set_new(linux_json, "devices", json_array()) < 0)
		return -1;
	for (size_t i = 0; i < devices->count && r == 0; i++) {
		const struct device *device = &devices->at[i];

		for (size_t n = 0; n < device->node_count && r == 0; n++)
			r = add_node(linux_json, &device->nodes[n]);
		if (r == 0)
			r = add_bars(json_object_get(json, "mounts"), device);
	}
	return r == 0 && devices->netns_fd >= 0 ? set_netns(linux_json, devices->netns) : r;
}

static json_t *make_container(const struct config_container *c)
{
	json_t *json = load_fixed(fixed_container);

	if (json && json_object_set_new(json, "process", make_process(&c->process)) == 0 &&
	    json_object_set_new(json, "hostname", json_string(c->process.hostname)) == 0 &&
	    json_object_set_new(json, "root",
				json_pack("{s:s, s:b}", "path", c->root, "readonly",
					  c->process.spec->read_only)) == 0 &&
	    json_object_set_new(json_object_get(json, "linux"), "cgroupsPath",
				json_sprintf(CONFIG_CGROUP "/%s", c->id)) == 0 &&
	    set_writable(json_object_get(json, "mounts"), c->process.spec->read_only) == 0 &&
	    set_secrets(json_object_get(json, "mounts"), c->secrets) == 0 &&
	    set_resources(json, c->process.spec->resources) == 0 &&
	    set_devices(json, c->devices) == 0)
		return json;
	json_decref(json);
	return NULL;
}

/*
 * jansson's integers end at 2^63-1. The number that stands for "unlimited" has as many digits, and
 * in a string the second quote of what is sought would have a backslash before it.
 */
static void write_unlimited(char *text)
{
	static const char *const sought[] = { "\"soft\":-9223372036854775808",
					      "\"hard\":-9223372036854775808" };
	static const char unlimited[] = "18446744073709551615";

	for (size_t i = 0; i < ARRAY_SIZE(sought); i++)
		for (char *at = text; (at = strstr(at, sought[i]));)
			memcpy(at + strlen("\"soft\":"), unlimited, sizeof(unlimited) - 1);
}

static int print(json_t *json, char **ret_text, struct err *err)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return err_set(err, -EINVAL,
			       "make crun's configuration: a string is not UTF-8, or "
			       "there is no memory left");
	write_unlimited(text);
	*ret_text = text;
	return 0;
}

int config_exec(const struct config_process *process, char **ret_text, struct err *err)
{
	return print(make_process(process), ret_text, err);
}

int config_create(const struct config_container *container, char **ret_text, struct err *err)
{
	return print(make_container(container), ret_text, err);
}
