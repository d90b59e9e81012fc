// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent/config.h"
#include "base/buf.h"
#include "base/privilege.h"

static uint32_t groups[] = { 50, 52 };
static const struct user root = { 0, 0, NULL, 0, "/root" };
static const struct user web = { 33, 44, groups, 2, "/var/www" };
static char *args[] = { (char *)"sh", (char *)"-c", (char *)"echo \"$1\" \\ é" };
static char *env[] = { (char *)"A=1", (char *)"PATH=/bin", (char *)"A=2", (char *)"AB=3" };
static char *exec_env[] = { (char *)"A=exec", (char *)"TERM=dumb" };

static Agent__Process process(void)
{
	Agent__Process p = AGENT__PROCESS__INIT;

	p.args = args;
	p.n_args = 3;
	return p;
}

static json_t *parse(char *take_text)
{
	json_t *json = json_loads(take_text, JSON_REJECT_DUPLICATES, NULL);

	free(take_text);
	assert_non_null(json);
	return json;
}

static json_t *make(const Agent__ContainerSpec *spec, const struct user *user)
{
	const struct config_container c = {
		.id = "main",
		.root = "/run/x/rootfs",
		.process = { .spec = spec, .user = user, .hostname = "pod" },
	};
	char *text;

	assert_int_equal(config_create(&c, &text, NULL), 0);
	return parse(text);
}

/* A value by its path: names and indices, a '/' between. */
static const json_t *at(const json_t *json, const char *path)
{
	char part[64];

	while (json && *path) {
		size_t len = strcspn(path, "/");

		memcpy(part, path, len);
		part[len] = '\0';
		path += len + (path[len] == '/');
		json = json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10))
					   : json_object_get(json, part);
	}
	return json;
}

/* The strings of an array, a blank between. */
static void expect_strings(const json_t *array, const char *want)
{
	CLEANUP(buf_done) struct buf got = { 0 };
	const json_t *value;
	size_t i;

	assert_true(json_is_array(array));
	json_array_foreach(array, i, value)
		assert_int_equal(buf_addf(&got, "%s%s", i ? " " : "", json_string_value(value)), 0);
	assert_int_equal(buf_add(&got, "", 1), 0);
	assert_string_equal((const char *)got.at, want);
}

static void a_plain_container_is_podmans(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process p = process();
	json_t *json;

	(void)state;
	spec.process = &p;
	json = make(&spec, &root);
	assert_string_equal(json_string_value(at(json, "root/path")), "/run/x/rootfs");
	assert_true(json_is_false(at(json, "root/readonly")));
	assert_int_equal(json_array_size(at(json, "mounts")), 7);
	assert_string_equal(json_string_value(at(json, "hostname")), "pod");
	assert_string_equal(json_string_value(at(json, "linux/cgroupsPath")), "/casemate/main");
	assert_int_equal(json_array_size(at(json, "linux/namespaces")), 6);
	assert_string_equal(json_string_value(at(json, "process/args/2")), args[2]);
	assert_string_equal(json_string_value(at(json, "process/cwd")), "/");
	assert_true(json_is_false(at(json, "process/terminal")));
	assert_null(at(json, "process/consoleSize"));
	assert_null(at(json, "linux/resources/cpu"));
	assert_null(at(json, "linux/resources/memory"));
	assert_null(at(json, "linux/resources/pids"));
	assert_true(json_is_false(at(json, "linux/resources/devices/0/allow")));
	expect_strings(at(json, "process/env"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
						"/usr/bin:/sbin:/bin HOSTNAME=pod HOME=/root");
	json_decref(json);
}

/* A device of each kind; names are as device.h has them. */
static void devices_are_nodes_or_memory(void **state)
{
	static struct device two[2] = {
		{ .driver = "nvme",
		  .nodes = { { .name = "nvme0", .major = 240, .minor = 3 },
			     { .name = "dri/card0", .is_block = true, .major = 259, .minor = 7 } },
		  .node_count = 2 },
		{ .path = "devices/pci0000:00/0000:00:05.0", .bars = 1 << 2 | 1 << 5 },
	};
	struct devices devices = { .at = two, .count = 2, .netns_fd = -1, .netns = "/proc/9/fd/8" };
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process p = process();
	struct config_container c = {
		.id = "main",
		.root = "/run/x/rootfs",
		.devices = &devices,
		.process = { .spec = &spec, .user = &web, .hostname = "pod" },
	};
	char *text;
	json_t *json;

	(void)state;
	spec.process = &p;
	assert_int_equal(config_create(&c, &text, NULL), 0);
	json = parse(text);
	assert_int_equal(json_array_size(at(json, "linux/devices")), 2);
	assert_string_equal(json_string_value(at(json, "linux/devices/0/path")), "/dev/nvme0");
	assert_string_equal(json_string_value(at(json, "linux/devices/0/type")), "c");
	assert_int_equal(json_integer_value(at(json, "linux/devices/0/major")), 240);
	assert_int_equal(json_integer_value(at(json, "linux/devices/0/minor")), 3);
	assert_int_equal(json_integer_value(at(json, "linux/devices/0/fileMode")), 0666);
	assert_string_equal(json_string_value(at(json, "linux/devices/1/path")), "/dev/dri/card0");
	assert_string_equal(json_string_value(at(json, "linux/devices/1/type")), "b");
	/* all is forbidden first, then these two are allowed */
	assert_int_equal(json_array_size(at(json, "linux/resources/devices")), 3);
	assert_true(json_is_false(at(json, "linux/resources/devices/0/allow")));
	assert_true(json_is_true(at(json, "linux/resources/devices/1/allow")));
	assert_int_equal(json_integer_value(at(json, "linux/resources/devices/2/major")), 259);
	assert_int_equal(json_integer_value(at(json, "linux/resources/devices/2/minor")), 7);
	assert_string_equal(json_string_value(at(json, "linux/resources/devices/2/type")), "b");
	/* two files over /sys, which is read-only before and after */
	assert_int_equal(json_array_size(at(json, "mounts")), 9);
	assert_string_equal(json_string_value(at(json, "mounts/7/destination")),
			    "/sys/devices/pci0000:00/0000:00:05.0/resource2");
	assert_string_equal(json_string_value(at(json, "mounts/7/source")),
			    "/sys/devices/pci0000:00/0000:00:05.0/resource2");
	expect_strings(at(json, "mounts/7/options"), "bind rw nosuid nodev noexec");
	assert_string_equal(json_string_value(at(json, "mounts/8/destination")),
			    "/sys/devices/pci0000:00/0000:00:05.0/resource5");
	assert_null(at(json, "linux/namespaces/5/path"));
	json_decref(json);
	devices.netns_fd = 8;
	assert_int_equal(config_create(&c, &text, NULL), 0);
	json = parse(text);
	assert_string_equal(json_string_value(at(json, "linux/namespaces/5/type")), "network");
	assert_string_equal(json_string_value(at(json, "linux/namespaces/5/path")), "/proc/9/fd/8");
	json_decref(json);
}

/* The names, to a mask again. */
static uint64_t mask_at(const json_t *process, const char *set)
{
	const json_t *names = at(at(process, "capabilities"), set), *name;
	uint64_t mask = 0;
	size_t i;

	assert_true(json_is_array(names));
	json_array_foreach(names, i, name) {
		int number = privilege_capability_number(json_string_value(name));

		assert_true(number >= 0);
		mask |= UINT64_C(1) << number;
	}
	return mask;
}

static void assert_sets(const json_t *process, uint64_t bounding, uint64_t effective,
			uint64_t permitted, uint64_t inheritable, uint64_t ambient)
{
	assert_true(mask_at(process, "bounding") == bounding);
	assert_true(mask_at(process, "effective") == effective);
	assert_true(mask_at(process, "permitted") == permitted);
	assert_true(mask_at(process, "inheritable") == inheritable);
	assert_true(mask_at(process, "ambient") == ambient);
}

static void only_root_has_capabilities_by_default(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process p = process();
	json_t *json;

	(void)state;
	spec.process = &p;
	for (int is_root = 0; is_root < 2; is_root++) {
		uint64_t held = is_root ? PRIVILEGE_DEFAULT : 0;

		json = make(&spec, is_root ? &root : &web);
		assert_sets(at(json, "process"), PRIVILEGE_DEFAULT, held, held, 0, 0);
		assert_true(json_is_false(at(json, "process/noNewPrivileges")));
		json_decref(json);
	}
}

static json_t *make_exec(const Agent__ContainerSpec *spec, const char *name,
			 const struct user *user)
{
	Agent__Process exec = process();
	const struct config_process p = {
		.spec = spec, .exec = &exec, .user = user, .hostname = "pod"
	};
	char *text;

	memcpy(&exec.user, &name, sizeof(name));
	assert_int_equal(config_exec(&p, &text, NULL), 0);
	return parse(text);
}

static void the_capabilities_specified_are_those_given(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Capabilities none = AGENT__CAPABILITIES__INIT, some = none;
	Agent__Process p = process();
	json_t *json;

	(void)state;
	some.bounding = UINT64_C(1) << 40 | 0x27;
	some.effective = 1;
	some.permitted = 3;
	some.inheritable = 6;
	some.ambient = 2;
	spec.process = &p;
	spec.capabilities = &some;
	for (int is_root = 0; is_root < 2; is_root++) {
		json = make(&spec, is_root ? &root : &web);
		assert_sets(at(json, "process"), some.bounding, 1, 3, 6, 2);
		json_decref(json);
	}
	spec.capabilities = &none;
	json = make(&spec, &root);
	assert_sets(at(json, "process"), 0, 0, 0, 0, 0);
	json_decref(json);
}

static void an_exec_has_what_the_container_may_have(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Capabilities some = AGENT__CAPABILITIES__INIT;
	Agent__Process p = process();
	json_t *json;

	(void)state;
	some.bounding = some.inheritable = 7;
	some.permitted = 3;
	some.effective = some.ambient = 1;
	p.user = (char *)"33:44";
	spec.process = &p;
	spec.capabilities = &some;
	spec.no_new_privileges = true;
	json = make_exec(&spec, "", &web);
	assert_sets(json, 7, 1, 3, 7, 1);
	assert_true(json_is_true(at(json, "noNewPrivileges")));
	json_decref(json);
	json = make_exec(&spec, "33:44", &web);
	assert_sets(json, 7, 1, 3, 7, 1);
	json_decref(json);
	json = make_exec(&spec, "root", &root);
	assert_sets(json, 7, 7, 7, 0, 0);
	assert_true(json_is_true(at(json, "noNewPrivileges")));
	json_decref(json);
	json = make_exec(&spec, "www", &web);
	assert_sets(json, 7, 0, 0, 0, 0);
	json_decref(json);
	spec.capabilities = NULL;
	json = make_exec(&spec, "", &web);
	assert_sets(json, PRIVILEGE_DEFAULT, 0, 0, 0, 0);
	json_decref(json);
	json = make_exec(&spec, "0", &root);
	assert_sets(json, PRIVILEGE_DEFAULT, PRIVILEGE_DEFAULT, PRIVILEGE_DEFAULT, 0, 0);
	json_decref(json);
}

static void assert_limit(const json_t *array, size_t i, const char *type, json_int_t soft,
			 json_int_t hard)
{
	const json_t *limit = json_array_get(array, i);

	assert_string_equal(json_string_value(at(limit, "type")), type);
	assert_true(json_integer_value(at(limit, "soft")) == soft);
	assert_true(json_integer_value(at(limit, "hard")) == hard);
}

static void limits_of_a_process_are_the_specifications(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Rlimit cpu = AGENT__RLIMIT__INIT, nofile = cpu;
	Agent__Rlimit *limits[] = { &cpu, &nofile };
	Agent__Process p = process();
	json_t *json;

	(void)state;
	spec.process = &p;
	json = make(&spec, &root);
	assert_int_equal(json_array_size(at(json, "process/rlimits")), 1);
	assert_limit(at(json, "process/rlimits"), 0, "RLIMIT_NOFILE", 1024, 524288);
	json_decref(json);

	cpu.hard = INT64_MAX;
	nofile.type = AGENT__RLIMIT_TYPE__NOFILE;
	nofile.soft = nofile.hard = 64;
	spec.rlimits = limits;
	spec.n_rlimits = 1;
	json = make(&spec, &root);
	assert_int_equal(json_array_size(at(json, "process/rlimits")), 2);
	assert_limit(at(json, "process/rlimits"), 0, "RLIMIT_CPU", 0, INT64_MAX);
	assert_limit(at(json, "process/rlimits"), 1, "RLIMIT_NOFILE", 1024, 524288);
	json_decref(json);

	spec.n_rlimits = 2;
	json = make_exec(&spec, "www", &web);
	assert_int_equal(json_array_size(at(json, "rlimits")), 2);
	assert_limit(at(json, "rlimits"), 1, "RLIMIT_NOFILE", 64, 64);
	json_decref(json);
}

/* jansson can't read such numbers, so this one reads the text. */
static void unlimited_is_written_out(void **state)
{
	static char *tricky[] = { (char *)"\"soft\":-9223372036854775808" };
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Rlimit core = AGENT__RLIMIT__INIT;
	Agent__Rlimit *limits[] = { &core };
	Agent__Process p = process();
	const struct config_process c = { .spec = &spec, .user = &root, .hostname = "pod" };
	char *text;

	(void)state;
	p.args = tricky;
	p.n_args = 1;
	core.type = AGENT__RLIMIT_TYPE__CORE;
	core.soft = core.hard = UINT64_MAX;
	spec.process = &p;
	spec.rlimits = limits;
	spec.n_rlimits = 1;
	assert_int_equal(config_exec(&c, &text, NULL), 0);
	assert_non_null(strstr(text, "\"soft\":18446744073709551615,"));
	assert_non_null(strstr(text, "\"hard\":18446744073709551615}"));
	assert_non_null(strstr(text, "\"\\\"soft\\\":-9223372036854775808\""));
	free(text);
}

static void the_user_is_the_one_resolved(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process p = process();
	json_t *json;

	(void)state;
	spec.process = &p;
	json = make(&spec, &web);
	assert_int_equal(json_integer_value(at(json, "process/user/uid")), 33);
	assert_int_equal(json_integer_value(at(json, "process/user/gid")), 44);
	/* the primary one is among them, once */
	assert_int_equal(json_array_size(at(json, "process/user/additionalGids")), 3);
	assert_int_equal(json_integer_value(at(json, "process/user/additionalGids/0")), 44);
	assert_int_equal(json_integer_value(at(json, "process/user/additionalGids/2")), 52);
	json_decref(json);
}

static void the_last_variable_of_a_name_wins(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process first = process(), exec = process();
	const struct config_process p = {
		.spec = &spec,
		.exec = &exec,
		.user = &web,
		.hostname = "pod",
	};
	json_t *json;
	char *text;

	(void)state;
	first.env = env;
	first.n_env = 4;
	spec.process = &first;
	json = make(&spec, &root);
	expect_strings(at(json, "process/env"), "PATH=/bin HOSTNAME=pod HOME=/root A=2 AB=3");
	json_decref(json);

	exec.env = exec_env;
	exec.n_env = 2;
	exec.terminal = true;
	assert_int_equal(config_exec(&p, &text, NULL), 0);
	json = parse(text);
	expect_strings(at(json, "env"),
		       "PATH=/bin TERM=dumb HOSTNAME=pod HOME=/var/www A=exec AB=3");
	json_decref(json);
}

static void an_exec_begins_where_the_container_does(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process first = process(), exec = process();
	const struct config_process p = {
		.spec = &spec,
		.exec = &exec,
		.user = &root,
		.hostname = "pod",
	};

	(void)state;
	spec.process = &first;
	assert_string_equal(config_cwd(&p), "/");
	first.cwd = (char *)"/srv";
	assert_string_equal(config_cwd(&p), "/srv");
	exec.cwd = (char *)"/tmp";
	assert_string_equal(config_cwd(&p), "/tmp");
}

static void commands_are_looked_for_where_PATH_says(void **state)
{
	char *own[] = { (char *)"PATH=/a", (char *)"PATHS=/b", (char *)"PATH=/c" };
	char *other[] = { (char *)"PATH=" };
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process first = process(), exec = process();
	struct config_process p = { .spec = &spec };

	(void)state;
	spec.process = &first;
	first.n_env = 0;
	assert_string_equal(config_path(&p),
			    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	first.env = own;
	first.n_env = 3;
	p.exec = &exec;
	exec.n_env = 0;
	assert_string_equal(config_path(&p), "/c");
	exec.env = other;
	exec.n_env = 1;
	assert_string_equal(config_path(&p), "");
}

static void limits_and_terminal_are_passed_on(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Resources resources = AGENT__RESOURCES__INIT;
	Agent__Process p = process();
	struct config_container c = {
		.id = "main",
		.root = "/",
		.process = { .spec = &spec,
			     .user = &root,
			     .hostname = "h",
			     .width = 80,
			     .height = 25 },
	};
	json_t *json;
	char *text;

	(void)state;
	resources.cpu_milli = 1500;
	resources.memory_bytes = UINT64_C(5) << 30;
	resources.pids = 7;
	spec.resources = &resources;
	spec.read_only = true;
	spec.process = &p;
	p.terminal = true;
	assert_int_equal(config_create(&c, &text, NULL), 0);
	json = parse(text);
	assert_true(json_is_true(at(json, "root/readonly")));
	assert_int_equal(json_array_size(at(json, "mounts")), 10);
	assert_string_equal(json_string_value(at(json, "mounts/8/destination")), "/tmp");
	assert_int_equal(json_integer_value(at(json, "linux/resources/cpu/quota")), 150000);
	assert_int_equal(json_integer_value(at(json, "linux/resources/cpu/period")), 100000);
	assert_int_equal(json_integer_value(at(json, "linux/resources/memory/limit")),
			 INT64_C(5) << 30);
	assert_int_equal(json_integer_value(at(json, "linux/resources/pids/limit")), 7);
	assert_true(json_is_true(at(json, "process/terminal")));
	assert_int_equal(json_integer_value(at(json, "process/consoleSize/width")), 80);
	assert_int_equal(json_integer_value(at(json, "process/consoleSize/height")), 25);
	json_decref(json);
}

static void secrets_are_mounted_over_run_and_never_to_be_written(void **state)
{
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process p = process();
	struct config_container c = {
		.id = "c",
		.root = "/",
		.secrets = "/run/casemate/c/secrets",
		.process = { .spec = &spec, .user = &root, .hostname = "h" },
	};
	bool is_read_only = false;
	const json_t *option, *last;
	json_t *json;
	char *text;
	size_t i;

	(void)state;
	spec.read_only = true;
	spec.process = &p;
	assert_int_equal(config_create(&c, &text, NULL), 0);
	json = parse(text);
	assert_int_equal(json_array_size(at(json, "mounts")), 11);
	last = at(json, "mounts/10");
	assert_string_equal(json_string_value(at(last, "destination")), "/run/secrets");
	assert_string_equal(json_string_value(at(last, "source")), "/run/casemate/c/secrets");
	json_array_foreach(at(last, "options"), i, option)
		is_read_only = is_read_only || strcmp(json_string_value(option), "ro") == 0;
	assert_true(is_read_only);
	json_decref(json);
}

static void what_json_cannot_say_is_refused(void **state)
{
	static char *bad[] = { (char *)"\xff" };
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Process first = process();
	const struct config_process p = { .spec = &spec, .user = &root, .hostname = "pod" };
	char *text;

	(void)state;
	spec.process = &first;
	first.args = bad;
	first.n_args = 1;
	assert_int_equal(config_exec(&p, &text, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_container_is_podmans),
		cmocka_unit_test(devices_are_nodes_or_memory),
		cmocka_unit_test(only_root_has_capabilities_by_default),
		cmocka_unit_test(the_capabilities_specified_are_those_given),
		cmocka_unit_test(an_exec_has_what_the_container_may_have),
		cmocka_unit_test(limits_of_a_process_are_the_specifications),
		cmocka_unit_test(unlimited_is_written_out),
		cmocka_unit_test(the_user_is_the_one_resolved),
		cmocka_unit_test(the_last_variable_of_a_name_wins),
		cmocka_unit_test(an_exec_begins_where_the_container_does),
		cmocka_unit_test(commands_are_looked_for_where_PATH_says),
		cmocka_unit_test(limits_and_terminal_are_passed_on),
		cmocka_unit_test(secrets_are_mounted_over_run_and_never_to_be_written),
		cmocka_unit_test(what_json_cannot_say_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
