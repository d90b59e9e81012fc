// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "oci/bundle.h"

/* JSON is easier to read as it is written. */
/* clang-format off */
/* What `crun spec` of crun 1.8 and `runc spec` of runc 1.1 write, with little between them. */
#define DEFAULT_CAPS "[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]"
#define DEFAULT_PROCESS \
	"\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"]," \
	"\"env\":[\"PATH=/bin\",\"TERM=xterm\"],\"cwd\":\"/\"," \
	"\"capabilities\":{\"bounding\":" DEFAULT_CAPS ",\"effective\":" DEFAULT_CAPS "," \
	"\"inheritable\":[],\"permitted\":" DEFAULT_CAPS ",\"ambient\":" DEFAULT_CAPS "}," \
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}]," \
	"\"noNewPrivileges\":true"
#define MOUNT(to, type, options) \
	"{\"destination\":\"" to "\",\"type\":\"" type "\",\"source\":\"" type "\"," \
	"\"options\":[" options "]}"
#define DEFAULT_MOUNTS \
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}," \
	MOUNT("/dev", "tmpfs", "\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"") "," \
	MOUNT("/dev/pts", "devpts", "\"nosuid\",\"noexec\",\"newinstance\"," \
	      "\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"") "," \
	MOUNT("/dev/shm", "tmpfs", "\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\"," \
	      "\"size=65536k\"") "," \
	MOUNT("/dev/mqueue", "mqueue", "\"nosuid\",\"noexec\",\"nodev\"") "," \
	MOUNT("/sys", "sysfs", "\"nosuid\",\"noexec\",\"nodev\",\"ro\"") "," \
	MOUNT("/sys/fs/cgroup", "cgroup", \
	      "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"")
#define NS(type) "{\"type\":\"" type "\"}"
#define NEEDED_NS NS("pid") "," NS("network") "," NS("ipc") "," NS("uts") "," NS("mount")
#define DENY_ALL "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]"
#define DEFAULT_LINUX \
	"\"namespaces\":[" NEEDED_NS "]," \
	"\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\"," \
	"\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\"," \
	"\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"]," \
	"\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\"," \
	"\"/proc/sysrq-trigger\"]"
#define BUNDLE(process, root, mounts, linux, more) \
	"{\"ociVersion\":\"1.0.2-dev\",\"process\":{" process "},\"root\":{" root "}," \
	"\"hostname\":\"runc\",\"mounts\":[" mounts "],\"linux\":{" linux "}" more "}"
#define DEFAULT_ROOT "\"path\":\"rootfs\",\"readonly\":true"
#define WITH_PROCESS(process) \
	BUNDLE(process, DEFAULT_ROOT, "", "\"namespaces\":[" NEEDED_NS "]", "")
#define WITH_MORE_PROCESS(more) WITH_PROCESS("\"args\":[\"sh\"],\"cwd\":\"/\"," more)
#define WITH_MOUNT(mount) \
	BUNDLE("\"args\":[\"sh\"],\"cwd\":\"/\"", DEFAULT_ROOT, mount, \
	       "\"namespaces\":[" NEEDED_NS "]", "")
#define WITH_LINUX(linux) BUNDLE("\"args\":[\"sh\"],\"cwd\":\"/\"", DEFAULT_ROOT, "", linux, "")
#define WITH_MORE_LINUX(linux) WITH_LINUX("\"namespaces\":[" NEEDED_NS "]," linux)
#define WITH_RESOURCES(resources) WITH_MORE_LINUX("\"resources\":{" resources "}")
#define WITH_MORE(more) \
	BUNDLE("\"args\":[\"sh\"],\"cwd\":\"/\"", DEFAULT_ROOT, "", \
	       "\"namespaces\":[" NEEDED_NS "]", "," more)
/* clang-format on */

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct oci_bundle parse(const char *text)
{
	struct oci_bundle bundle;
	struct err err = { 0 };

	if (oci_bundle_parse(&arena, (struct bytes){ (const uint8_t *)text, strlen(text) },
			     "config.json", &bundle, &err) < 0)
		fail_msg("%s", err.msg);
	return bundle;
}

static void assert_refused(const char *text, int num, enum err_code code, const char *words)
{
	struct oci_bundle bundle = { .cpu_milli = 99 };
	struct err err = { 0 };

	assert_int_equal(oci_bundle_parse(&arena,
					  (struct bytes){ (const uint8_t *)text, strlen(text) },
					  "config.json", &bundle, &err),
			 num);
	if (!strstr(err.msg, words))
		fail_msg("'%s' is not in '%s'", words, err.msg);
	assert_int_equal(err.code, code);
	assert_int_equal(bundle.cpu_milli, 99);
}

static void assert_unsupported(const char *text, const char *words)
{
	assert_refused(text, -EOPNOTSUPP, ERR_UNSUPPORTED, words);
}

static void assert_wrong(const char *text, const char *words)
{
	assert_refused(text, -EINVAL, ERR_IMAGE, words);
}

static void assert_sets(const struct oci_bundle *bundle, uint64_t bounding, uint64_t effective,
			uint64_t permitted, uint64_t inheritable, uint64_t ambient)
{
	const uint64_t want[] = { bounding, effective, permitted, inheritable, ambient };

	for (unsigned i = 0; i < PRIVILEGE_SETS; i++)
		if (bundle->capabilities.mask[i] != want[i])
			fail_msg("%s is %llx", privilege_set_name(i),
				 (unsigned long long)bundle->capabilities.mask[i]);
}

static void takes_what_runtimes_write_by_default(void **state)
{
	struct oci_bundle bundle;

	(void)state;
	bundle = parse(BUNDLE(DEFAULT_PROCESS, DEFAULT_ROOT, DEFAULT_MOUNTS,
			      "\"resources\":{" DENY_ALL "}," DEFAULT_LINUX, ""));
	assert_int_equal(bundle.process.cmd.count, 1);
	assert_string_equal(bundle.process.cmd.at[0], "sh");
	assert_int_equal(bundle.process.entrypoint.count, 0);
	assert_int_equal(bundle.process.env.count, 2);
	assert_string_equal(bundle.process.cwd, "/");
	assert_string_equal(bundle.process.user, "0:0");
	assert_true(bundle.terminal);
	assert_string_equal(bundle.root_path, "rootfs");
	assert_true(bundle.read_only);
	assert_string_equal(bundle.hostname, "runc");
	assert_int_equal(bundle.cpu_milli, 0);
	assert_int_equal(bundle.memory_bytes, 0);
	assert_int_equal(bundle.pids, 0);
	assert_false(bundle.pids_set);
	assert_true(bundle.no_new_privileges);
	/* kill, net_bind_service, audit_write; ambient without inheritable comes to nothing */
	assert_sets(&bundle, 0x20000420, 0x20000420, 0x20000420, 0, 0);
	for (unsigned i = 0; i < PRIVILEGE_LIMITS; i++)
		assert_true(bundle.limits[i].is_set == (i == PRIVILEGE_NOFILE));
	assert_int_equal(bundle.limits[PRIVILEGE_NOFILE].soft, 1024);
	assert_int_equal(bundle.limits[PRIVILEGE_NOFILE].hard, 1024);
	/* `crun spec --rootless` */
	(void)parse(WITH_LINUX("\"namespaces\":[" NEEDED_NS "," NS("user") "," NS(
		"cgroup") "],"
			  "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}]"));
}

static void takes_numbers(void **state)
{
	struct oci_bundle bundle;

	(void)state;
	bundle = parse(WITH_MORE_PROCESS("\"user\":{\"uid\":1000,\"gid\":4294967294,\"umask\":18,"
					 "\"additionalGids\":[]},\"terminal\":false"));
	assert_string_equal(bundle.process.user, "1000:4294967294");
	assert_false(bundle.terminal);
	bundle = parse(WITH_RESOURCES("\"memory\":{\"limit\":1073741824},\"pids\":{\"limit\":100},"
				      "\"cpu\":{\"quota\":150000,\"period\":100000}"));
	assert_int_equal(bundle.memory_bytes, 1073741824);
	assert_int_equal(bundle.pids, 100);
	assert_int_equal(bundle.cpu_milli, 1500);
	bundle = parse(WITH_RESOURCES("\"cpu\":{\"quota\":50001}"));
	assert_int_equal(bundle.cpu_milli, 501); /* up, and of the kernel's period */
	bundle = parse(WITH_RESOURCES("\"cpu\":{\"period\":100000}"));
	assert_int_equal(bundle.cpu_milli, 0);
	bundle = parse(WITH_RESOURCES("\"memory\":{\"limit\":-1},\"pids\":{\"limit\":-1},"
				      "\"cpu\":{\"quota\":-1,\"period\":50000}"));
	assert_int_equal(bundle.memory_bytes, 0);
	assert_int_equal(bundle.pids, 0);
	assert_true(bundle.pids_set);
	assert_int_equal(bundle.cpu_milli, 0);
}

static void accepts_what_asks_for_nothing(void **state)
{
	(void)state;
	(void)parse(WITH_MORE("\"hooks\":{},\"domainname\":\"\",\"vm\":null,\"future\":[]"));
	(void)parse(WITH_MORE_PROCESS("\"apparmorProfile\":\"\",\"selinuxLabel\":\"\","
				      "\"oomScoreAdj\":0,\"rlimits\":null,\"future\":false"));
	(void)parse(WITH_MORE_LINUX("\"sysctl\":{},\"seccomp\":null,\"devices\":[],"
				    "\"rootfsPropagation\":\"\",\"cgroupsPath\":\"\""));
	(void)parse(WITH_MORE("\"annotations\":{\"a\":\"b\"}"));
}

static void refuses_by_pointer_what_is_not_there(void **state)
{
	(void)state;
	assert_unsupported(WITH_MORE("\"hooks\":{\"prestart\":[{\"path\":\"/x\"}]}"),
			   "read 'config.json': /hooks: is not supported");
	assert_unsupported(WITH_MORE("\"solaris\":{\"a\":1}"), "/solaris");
	assert_unsupported(WITH_MORE("\"domainname\":\"x\""), "/domainname");
	assert_unsupported(WITH_MORE("\"future\":1"), "/future");
	assert_unsupported(WITH_MORE_PROCESS("\"apparmorProfile\":\"x\""),
			   "/process/apparmorProfile");
	assert_unsupported(WITH_MORE_PROCESS("\"selinuxLabel\":\"x\""), "/process/selinuxLabel");
	assert_unsupported(WITH_MORE_PROCESS("\"oomScoreAdj\":-500"), "/process/oomScoreAdj");
	assert_unsupported(WITH_MORE_PROCESS("\"user\":{\"additionalGids\":[5]}"),
			   "/process/user/additionalGids");
	assert_unsupported(WITH_MORE_PROCESS("\"user\":{\"umask\":63}"), "/process/user/umask");
	assert_unsupported(WITH_MORE_LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"),
			   "/linux/seccomp");
	assert_unsupported(WITH_MORE_LINUX("\"devices\":[{\"path\":\"/dev/x\"}]"),
			   "/linux/devices");
	assert_unsupported(WITH_MORE_LINUX("\"sysctl\":{\"a\":\"b\"}"), "/linux/sysctl");
	assert_unsupported(WITH_MORE_LINUX("\"cgroupsPath\":\"/x\""), "/linux/cgroupsPath");
	assert_unsupported(WITH_MORE_LINUX("\"maskedPaths\":[\"/proc/acpi\",\"/etc/shadow\"]"),
			   "/linux/maskedPaths/1: '/etc/shadow'");
	assert_unsupported(WITH_MORE_LINUX("\"readonlyPaths\":[\"/usr\"]"),
			   "/linux/readonlyPaths/0: '/usr'");
	assert_unsupported(WITH_MORE_LINUX("\"uidMappings\":[{\"containerID\":0,\"hostID\":0,"
					   "\"size\":65536}]"),
			   "/linux/uidMappings/0");
	assert_unsupported(WITH_RESOURCES("\"memory\":{\"swap\":1}"),
			   "/linux/resources/memory/swap");
	assert_unsupported(WITH_RESOURCES("\"cpu\":{\"shares\":512}"),
			   "/linux/resources/cpu/shares");
	assert_unsupported(WITH_RESOURCES("\"blockIO\":{\"weight\":1}"),
			   "/linux/resources/blockIO");
	assert_unsupported(WITH_RESOURCES("\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]"),
			   "/linux/resources/devices/0");
	assert_unsupported(WITH_RESOURCES("\"devices\":[{\"allow\":false,\"access\":\"rwm\","
					  "\"type\":\"c\"}]"),
			   "/linux/resources/devices/0/type");
}

/* clang-format off */
#define WITH_CAPS(sets) WITH_MORE_PROCESS("\"capabilities\":{" sets "}")
#define SET(name, list) "\"" name "\":[" list "]"
#define WITH_LIMITS(limits) WITH_MORE_PROCESS("\"rlimits\":[" limits "]")
#define LIMIT(type, soft, hard) \
	"{\"type\":\"" type "\",\"soft\":" soft ",\"hard\":" hard "}"
/* clang-format on */

static void takes_the_capabilities_that_are_named_and_no_other(void **state)
{
	CLEANUP(buf_done) struct buf all = { 0 };
	struct oci_bundle bundle;

	(void)state;
	bundle = parse(WITH_MORE_PROCESS("\"noNewPrivileges\":false"));
	assert_sets(&bundle, 0, 0, 0, 0, 0);
	assert_false(bundle.no_new_privileges);
	bundle = parse(WITH_MORE_PROCESS("\"capabilities\":null"));
	assert_sets(&bundle, 0, 0, 0, 0, 0);
	bundle = parse(WITH_CAPS(""));
	assert_sets(&bundle, 0, 0, 0, 0, 0);
	/* the order of the sets, and a name twice, say nothing */
	bundle = parse(WITH_CAPS(
		SET("ambient", "\"CAP_CHOWN\",\"CAP_KILL\"") "," SET("effective", "\"CAP_CHOWN\"") "," SET(
			"inheritable",
			"\"CAP_KILL\"") "," SET("permitted",
						"\"CAP_KILL\",\"CAP_CHOWN\"") "," SET("bounding",
										      "\"CAP_KILL\",\"CAP_CHOWN\",\"CAP_KILL\",\"CAP_SYS_ADMIN\"")));
	assert_sets(&bundle, 0x200021, 1, 0x21, 0x20, 0x20);
	assert_int_equal(buf_addf(&all, "%s",
				  "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},"
				  "\"linux\":{\"namespaces\":[" NEEDED_NS "]},"
				  "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\","
				  "\"capabilities\":{\"bounding\":[\"CAP_KILL\""),
			 0);
	for (unsigned i = 0; i < PRIVILEGE_CAPABILITIES; i++)
		assert_int_equal(buf_addf(&all, ",\"%s\"", privilege_capability_name(i)), 0);
	assert_int_equal(buf_addf(&all, "]}}}%c", 0), 0);
	bundle = parse((char *)all.at);
	assert_sets(&bundle, PRIVILEGE_ALL, 0, 0, 0, 0);
}

static void refuses_capabilities_that_cannot_be(void **state)
{
	(void)state;
	assert_unsupported(WITH_CAPS(SET("bounding", "\"CAP_KILL\",\"CAP_NEWER\"")),
			   "/process/capabilities/bounding/1: 'CAP_NEWER' is not a capability");
	assert_unsupported(WITH_CAPS(SET("ambient", "\"kill\"")),
			   "/process/capabilities/ambient/0: 'kill'");
	assert_unsupported(WITH_CAPS(SET("permitted", "7")),
			   "/process/capabilities/permitted/0: '?'");
	assert_unsupported(WITH_CAPS(SET("future", "\"CAP_KILL\"")),
			   "/process/capabilities/future: is not supported");
	(void)parse(WITH_CAPS(SET("future", "")));
	assert_wrong(WITH_CAPS(SET("permitted", "\"CAP_KILL\"")),
		     "/process/capabilities/permitted/0: 'CAP_KILL' is not in");
	assert_wrong(WITH_CAPS(SET("bounding", "\"CAP_KILL\"") "," SET(
			     "inheritable", "\"CAP_KILL\",\"CAP_CHOWN\"")),
		     "/process/capabilities/inheritable/1: 'CAP_CHOWN' is not in");
	assert_wrong(
		WITH_CAPS(SET("bounding", "\"CAP_KILL\"") "," SET("effective", "\"CAP_KILL\"")),
		"/process/capabilities/effective/0: 'CAP_KILL' is not in");
	assert_wrong(WITH_CAPS("\"bounding\":\"CAP_KILL\""),
		     "/process/capabilities/bounding: is a string");
	assert_wrong(WITH_MORE_PROCESS("\"capabilities\":[]"),
		     "/process/capabilities: is a list, not an object");
	assert_wrong(WITH_MORE_PROCESS("\"noNewPrivileges\":1"),
		     "/process/noNewPrivileges: is a number");
}

/* What is harmless over a namespace of the user's own is not over the guest. */
static void capabilities_for_a_user_namespace_are_the_default_ones(void **state)
{
#define ROOTLESS(name)                                                                       \
	BUNDLE("\"args\":[\"sh\"],\"cwd\":\"/\",\"capabilities\":{" SET("bounding",          \
									"\"" name "\"") "}", \
	       DEFAULT_ROOT, "", "\"namespaces\":[" NEEDED_NS "," NS("user") "]", "")
	struct oci_bundle bundle;

	(void)state;
	bundle = parse(ROOTLESS("CAP_AUDIT_WRITE"));
	assert_sets(&bundle, 1 << 29, 0, 0, 0, 0);
	bundle = parse(ROOTLESS("CAP_SETFCAP"));
	assert_sets(&bundle, UINT64_C(1) << 31, 0, 0, 0, 0);
	assert_unsupported(ROOTLESS("CAP_NET_RAW"), "/process/capabilities: are more than");
}

static void takes_limits(void **state)
{
	struct oci_bundle bundle;

	(void)state;
	bundle = parse(WITH_LIMITS(LIMIT("RLIMIT_RTTIME", "0", "9223372036854775807") "," LIMIT(
		"RLIMIT_NOFILE", "1",
		"1048576") "," LIMIT("RLIMIT_CPU", "5",
				     "5") "," LIMIT("RLIMIT_CORE", "0",
						    "18446744073709551615") "," LIMIT("RLIMIT_AS",
										      "18446744073709551615",
										      "18446744073709551615")));
	assert_true(bundle.limits[0].is_set && bundle.limits[0].hard == 5);
	assert_true(bundle.limits[15].hard == INT64_MAX && bundle.limits[15].soft == 0);
	assert_true(bundle.limits[4].hard == PRIVILEGE_UNLIMITED && bundle.limits[4].soft == 0);
	assert_true(bundle.limits[9].soft == PRIVILEGE_UNLIMITED);
	assert_int_equal(bundle.limits[PRIVILEGE_NOFILE].hard, PRIVILEGE_NOFILE_MAX);
	assert_false(bundle.limits[1].is_set);
	/* the same digits elsewhere are what they are */
	bundle = parse(WITH_MORE_PROCESS(
		"\"env\":[\"A=18446744073709551615\",\"B=\\\"18446744073709551615\"],"
		"\"rlimits\":[" LIMIT("RLIMIT_CORE", "1", "18446744073709551615") "]"));
	assert_string_equal(bundle.process.env.at[0], "A=18446744073709551615");
	assert_string_equal(bundle.process.env.at[1], "B=\"18446744073709551615");
	assert_true(bundle.limits[4].hard == PRIVILEGE_UNLIMITED);
}

static void refuses_limits_that_cannot_be(void **state)
{
	(void)state;
	assert_unsupported(WITH_LIMITS(LIMIT("RLIMIT_NEWER", "1", "1")),
			   "/process/rlimits/0/type: 'RLIMIT_NEWER' is not a limit");
	assert_unsupported(WITH_LIMITS("{\"soft\":1,\"hard\":1}"), "/process/rlimits/0/type: '?'");
	assert_unsupported(WITH_LIMITS("{\"type\":\"RLIMIT_AS\",\"soft\":1,\"hard\":1,\"x\":1}"),
			   "/process/rlimits/0/x: is not supported");
	assert_wrong(WITH_LIMITS("7"), "/process/rlimits/0: is a number");
	assert_wrong(WITH_LIMITS("{\"type\":\"RLIMIT_AS\",\"hard\":1}"),
		     "/process/rlimits/0/soft: is missing");
	assert_wrong(WITH_LIMITS("{\"type\":\"RLIMIT_AS\",\"soft\":1}"),
		     "/process/rlimits/0/hard: is missing");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "\"1\"", "1")),
		     "/process/rlimits/0/soft: is a string");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "1.5", "2")),
		     "/process/rlimits/0/soft: is a fraction");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "-1", "2")), "/process/rlimits/0/soft: is -1");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "2", "1")),
		     "/process/rlimits/0/soft: is above 'hard'");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "18446744073709551615", "1")),
		     "/process/rlimits/0/soft: is above 'hard'");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "1", "9223372036854775808")), "too big");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "1", "-18446744073709551615")), "too big");
	assert_wrong(WITH_LIMITS(LIMIT("RLIMIT_AS", "1", "2") "," LIMIT("RLIMIT_AS", "1", "2")),
		     "/process/rlimits/1/type: 'RLIMIT_AS' is there twice");
	assert_refused(WITH_LIMITS(LIMIT("RLIMIT_NOFILE", "1", "1048577")), -E2BIG, ERR_IMAGE_LIMIT,
		       "/process/rlimits/0/hard: is above 1048576");
	assert_refused(WITH_LIMITS(LIMIT("RLIMIT_NOFILE", "1", "18446744073709551615")), -E2BIG,
		       ERR_IMAGE_LIMIT, "/process/rlimits/0/hard: is above 1048576");
	assert_wrong(WITH_RESOURCES("\"memory\":{\"limit\":18446744073709551615}"),
		     "/linux/resources/memory/limit: is a fraction");
}

static void refuses_mounts_of_its_own(void **state)
{
	(void)state;
	assert_unsupported(WITH_MOUNT(DEFAULT_MOUNTS "," MOUNT("/data", "bind", "\"rbind\"")),
			   "/mounts/7: a mount of 'bind' on '/data' is not there yet");
	assert_unsupported(WITH_MOUNT(MOUNT("/sys", "none", "\"rbind\"")),
			   "/mounts/0: a mount of 'none' on '/sys'");
	assert_unsupported(WITH_MOUNT(MOUNT("/proc", "proc", "\"hidepid=2\"")),
			   "/mounts/0/options/0: 'hidepid=2'");
	assert_unsupported(WITH_MOUNT(MOUNT("/dev/shm", "tmpfs", "\"size=1g\"")),
			   "/mounts/0/options/0: 'size=1g'");
	assert_unsupported(WITH_MOUNT("{\"destination\":\"/proc\",\"type\":\"proc\","
				      "\"uidMappings\":[1]}"),
			   "/mounts/0/uidMappings");
	assert_wrong(WITH_MOUNT("{\"destination\":\"/proc\"}"), "/mounts/0: has no destination");
	assert_wrong(WITH_MOUNT("7"), "/mounts/0: is a number");
}

static void refuses_to_share_the_hosts_namespaces(void **state)
{
	(void)state;
	assert_unsupported(WITH_LINUX("\"namespaces\":[" NS("pid") "," NS("ipc") "," NS(
				   "uts") "," NS("mount") "]"),
			   "/linux/namespaces: leaves out 'network'");
	assert_unsupported(WITH_LINUX(""), "/linux/namespaces: leaves out 'pid'");
	assert_unsupported(WITH_LINUX("\"namespaces\":[{\"type\":\"pid\",\"path\":\"/proc/1\"}]"),
			   "/linux/namespaces/0/path");
	assert_unsupported(WITH_LINUX("\"namespaces\":[" NEEDED_NS "," NS("time") "]"),
			   "/linux/namespaces/5");
}

static void refuses_what_is_no_bundle(void **state)
{
	(void)state;
	assert_wrong("{}", "/ociVersion: is missing");
	assert_wrong("[]", "is a list, not an object");
	assert_wrong("{\"ociVersion\":\"1.0.0\"}", "/process: is missing");
	assert_wrong("{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/\"}}",
		     "/root: is missing");
	assert_unsupported("{\"ociVersion\":\"2.0.0\"}", "/ociVersion");
	assert_wrong(WITH_PROCESS("\"cwd\":\"/\""), "/process/args: names no command");
	assert_wrong(WITH_PROCESS("\"args\":[],\"cwd\":\"/\""), "/process/args: names no command");
	assert_wrong(WITH_PROCESS("\"args\":[\"x\"]"), "/process/cwd: is missing");
	assert_wrong(WITH_PROCESS("\"args\":[\"x\"],\"cwd\":\"x\""), "/process/cwd: is not an abs");
	assert_wrong(WITH_MORE_PROCESS("\"env\":[\"A\"]"), "/process/env/0: is not NAME=VALUE");
	assert_wrong(WITH_MORE_PROCESS("\"user\":{\"uid\":4294967295}"), "/process/user/uid");
	assert_wrong(WITH_MORE_PROCESS("\"user\":{\"gid\":\"x\"}"),
		     "/process/user/gid: is a string");
	assert_wrong(WITH_MORE_PROCESS("\"terminal\":1"), "/process/terminal: is a number");
	assert_wrong(BUNDLE("\"args\":[\"x\"],\"cwd\":\"/\"", "\"readonly\":true", "",
			    "\"namespaces\":[" NEEDED_NS "]", ""),
		     "/root: has no path");
	assert_wrong(WITH_RESOURCES("\"memory\":{\"limit\":-2}"), "/linux/resources/memory/limit");
	assert_wrong("{\"ociVersion\":\"1.0.0\",\"hostname\":\"a b\"}", "/hostname");
}

static void holds_its_limits(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	char name[OCI_HOSTNAME_MAX + 2];

	(void)state;
	memset(name, 'h', sizeof(name));
	name[OCI_HOSTNAME_MAX] = '\0';
	assert_int_equal(buf_addf(&buf, "{\"hostname\":\"%s\"}%c", name, 0), 0);
	assert_wrong((char *)buf.at, "/ociVersion: is missing");
	name[OCI_HOSTNAME_MAX] = 'h';
	name[OCI_HOSTNAME_MAX + 1] = '\0';
	buf.len = 0;
	assert_int_equal(buf_addf(&buf, "{\"hostname\":\"%s\"}%c", name, 0), 0);
	assert_refused((char *)buf.at, -E2BIG, ERR_IMAGE_LIMIT, "/hostname: has more than 64");

	for (size_t more = 0; more < 2; more++) {
		buf.len = 0;
		assert_int_equal(buf_addf(&buf, "{\"linux\":{\"namespaces\":[" NEEDED_NS "],"
						"\"maskedPaths\":["),
				 0);
		for (size_t i = 0; i < OCI_BUNDLE_LIST_MAX + more; i++)
			assert_int_equal(buf_addf(&buf, "%s\"/proc/keys\"", i ? "," : ""), 0);
		assert_int_equal(buf_addf(&buf, "]}}%c", 0), 0);
		if (more)
			assert_refused((char *)buf.at, -E2BIG, ERR_IMAGE_LIMIT,
				       "/linux/maskedPaths: has 257 entries, more than 256");
		else
			assert_wrong((char *)buf.at, "/ociVersion: is missing");
	}
	for (size_t more = 0; more < 2; more++) {
		buf.len = 0;
		assert_int_equal(buf_addf(&buf, "{\"process\":{\"args\":[\"x\"],\"cwd\":\"/\","
						"\"capabilities\":{\"bounding\":["),
				 0);
		for (size_t i = 0; i < OCI_BUNDLE_LIST_MAX + more; i++)
			assert_int_equal(buf_addf(&buf, "%s\"CAP_KILL\"", i ? "," : ""), 0);
		assert_int_equal(buf_addf(&buf, "]}}}%c", 0), 0);
		if (more)
			assert_refused((char *)buf.at, -E2BIG, ERR_IMAGE_LIMIT,
				       "/process/capabilities/bounding: has 257 entries");
		else
			assert_wrong((char *)buf.at, "/ociVersion: is missing");
	}
	assert_int_equal(
		parse(WITH_RESOURCES("\"cpu\":{\"quota\":1024000,\"period\":1000}")).cpu_milli,
		OCI_CPU_MILLI_MAX);
	assert_refused(WITH_RESOURCES("\"cpu\":{\"quota\":1024001,\"period\":1000}"), -E2BIG,
		       ERR_IMAGE_LIMIT, "/linux/resources/cpu: asks for more than 1024");
	assert_int_equal(parse(WITH_RESOURCES("\"pids\":{\"limit\":4194304}")).pids, OCI_PIDS_MAX);
	assert_wrong(WITH_RESOURCES("\"pids\":{\"limit\":4194305}"), "/linux/resources/pids/limit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(takes_what_runtimes_write_by_default, teardown),
		cmocka_unit_test_teardown(takes_numbers, teardown),
		cmocka_unit_test_teardown(accepts_what_asks_for_nothing, teardown),
		cmocka_unit_test_teardown(refuses_by_pointer_what_is_not_there, teardown),
		cmocka_unit_test_teardown(takes_the_capabilities_that_are_named_and_no_other,
					  teardown),
		cmocka_unit_test_teardown(refuses_capabilities_that_cannot_be, teardown),
		cmocka_unit_test_teardown(capabilities_for_a_user_namespace_are_the_default_ones,
					  teardown),
		cmocka_unit_test_teardown(takes_limits, teardown),
		cmocka_unit_test_teardown(refuses_limits_that_cannot_be, teardown),
		cmocka_unit_test_teardown(refuses_mounts_of_its_own, teardown),
		cmocka_unit_test_teardown(refuses_to_share_the_hosts_namespaces, teardown),
		cmocka_unit_test_teardown(refuses_what_is_no_bundle, teardown),
		cmocka_unit_test_teardown(holds_its_limits, teardown),
	};

	return cmocka_run_group_tests_name("oci/bundle", tests, NULL, NULL);
}
