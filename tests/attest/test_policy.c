// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/policy.h"
#include "base/macro.h"
#include "base/privilege.h"
#include "base/text.h"

#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LAYERS "\"layers\":[{\"root\":\"" ROOT "\",\"data_blocks\":9,\"hash_start\":10}]"
#define CONTAINER(more) "{\"name\":\"main\"," LAYERS ",\"process\":{\"args\":[\"sh\"]}" more "}"
#define POLICY(containers) "{\"schema\":1,\"containers\":[" containers "]}"

/* A specification with something in every field. Made anew for each test, to be changed. */
struct made {
	Agent__ContainerSpec spec;
	Agent__Layer layer, second;
	Agent__Layer *layers[2];
	uint8_t root[32];
	Agent__Process process;
	char *args[3], *env[2];
	Agent__Resources resources;
	Agent__Capabilities capabilities;
	Agent__Rlimit limit;
	Agent__Rlimit *limits[1];
	Agent__Device device[3];
	Agent__Device *devices[3];
	char text[8][16];
};

static char *word(struct made *m, size_t place, const char *text)
{
	(void)snprintf(m->text[place], sizeof(m->text[place]), "%s", text);
	return m->text[place];
}

static void make(struct made *m)
{
	memset(m, 0, sizeof(*m));
	agent__container_spec__init(&m->spec);
	agent__layer__init(&m->layer);
	agent__layer__init(&m->second);
	agent__process__init(&m->process);
	agent__resources__init(&m->resources);
	agent__capabilities__init(&m->capabilities);
	agent__rlimit__init(&m->limit);
	memset(m->root, 0x5a, sizeof(m->root));
	m->layer.root = m->second.root = (ProtobufCBinaryData){ sizeof(m->root), m->root };
	m->layer.data_blocks = 9;
	m->layer.hash_start = 10;
	m->second.data_blocks = 1;
	m->second.hash_start = 1;
	m->layers[0] = &m->layer;
	m->layers[1] = &m->second;
	m->spec.layers = m->layers;
	m->spec.n_layers = 2;
	m->args[0] = word(m, 0, "sh");
	m->args[1] = word(m, 1, "-c");
	m->args[2] = word(m, 2, "it's \"a\\\n\x7f");
	m->env[0] = word(m, 3, "A=b");
	m->env[1] = word(m, 4, "B=\xc3\xa4");
	m->process.args = m->args;
	m->process.n_args = 3;
	m->process.env = m->env;
	m->process.n_env = 2;
	m->process.cwd = word(m, 5, "/home");
	m->process.user = word(m, 6, "1000:10");
	m->process.terminal = true;
	m->spec.process = &m->process;
	m->spec.hostname = word(m, 7, "host");
	m->spec.read_only = true;
	m->resources.cpu_milli = 1500;
	m->resources.memory_bytes = INT64_MAX;
	m->resources.pids = 77;
	m->spec.resources = &m->resources;
	m->capabilities.bounding = PRIVILEGE_ALL;
	m->capabilities.permitted = m->capabilities.effective = 5;
	m->spec.capabilities = &m->capabilities;
	m->spec.no_new_privileges = true;
	m->limit.type = AGENT__RLIMIT_TYPE__NOFILE;
	m->limit.soft = 1024;
	m->limit.hard = PRIVILEGE_UNLIMITED;
	m->limits[0] = &m->limit;
	m->spec.rlimits = m->limits;
	m->spec.n_rlimits = 1;
	for (size_t i = 0; i < 3; i++) {
		agent__device__init(&m->device[i]);
		m->device[i].vendor = 0x10de;
		m->device[i].device = i == 2 ? 0x22a3 : 0x2330;
		m->device[i].class_code = i == 2 ? 0x068000 : 0x030200;
		m->devices[i] = &m->device[i];
	}
	m->spec.devices = m->devices;
	m->spec.n_devices = 3;
}

static int parse(const char *text, struct attest_policy *policy, struct err *err)
{
	*err = (struct err){ 0 };
	*policy = (struct attest_policy){ 0 };
	return attest_policy_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, policy,
				   err);
}

static void parse_good(const char *text, struct attest_policy *policy)
{
	struct err err;

	if (parse(text, policy, &err) < 0)
		fail_msg("%s", err.msg);
}

static void refuses(const char *text, const char *reason)
{
	struct attest_policy policy;
	struct err err;

	assert_true(parse(text, &policy, &err) < 0);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(policy.container_count, 0);
	if (!strstr(err.msg, reason))
		fail_msg("'%s' does not say '%s'", err.msg, reason);
}

static void allows(const struct attest_policy *policy, const Agent__ContainerSpec *spec,
		   size_t place)
{
	struct attest_refusal refusal = { .text = "" };
	size_t container = SIZE_MAX;

	if (attest_policy_check(policy, spec, &container, &refusal) != 1)
		fail_msg("%s", refusal.text);
	assert_int_equal(container, place);
}

static void denies(const struct attest_policy *policy, const Agent__ContainerSpec *spec,
		   enum attest_reason reason)
{
	struct attest_refusal refusal = { .text = "" };
	size_t container = SIZE_MAX;

	assert_int_equal(attest_policy_check(policy, spec, &container, &refusal), 0);
	if (refusal.reason != reason)
		fail_msg("'%s' and not '%s': %s", attest_reason_name(refusal.reason),
			 attest_reason_name(reason), refusal.text);
	assert_true(refusal.text[0]);
	assert_int_equal(container, SIZE_MAX);
}

static void add(struct attest_policy *policy, const char *name, const Agent__ContainerSpec *spec)
{
	struct err err = { 0 };

	if (attest_policy_add(policy, name, spec, &err) < 0)
		fail_msg("%s", err.msg);
}

static void an_empty_policy_allows_nothing(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	make(&m);
	denies(&policy, &m.spec, ATTEST_POLICY_LAYERS);
	parse_good("{\"schema\":1}", &policy);
	denies(&policy, &m.spec, ATTEST_POLICY_LAYERS);
}

static void what_it_was_made_of_is_allowed(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 }, again = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	allows(&policy, &m.spec, 0);
	assert_int_equal(attest_policy_print(&policy, &text), 0);
	/* Its document puts it between two of these, and TOML has no way to escape one there. */
	assert_null(memchr(text.at, '\'', text.len));
	assert_int_equal(attest_policy_parse(buf_bytes(&text), &again, NULL), 0);
	allows(&again, &m.spec, 0);
}

/* One change each, to what is there and to what is not. */
#define DENIES(change, reason)                    \
	do {                                      \
		make(&m);                         \
		change;                           \
		denies(&policy, &m.spec, reason); \
	} while (0)

static void what_is_run_is_held_against_the_policy(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	DENIES(m.root[31] ^= 1, ATTEST_POLICY_LAYERS);
	DENIES(m.layer.data_blocks++, ATTEST_POLICY_LAYERS);
	DENIES(m.layer.hash_start++, ATTEST_POLICY_LAYERS);
	DENIES(m.spec.n_layers = 1, ATTEST_POLICY_LAYERS);
	DENIES((m.layers[0] = &m.second, m.layers[1] = &m.layer), ATTEST_POLICY_LAYERS);
	DENIES(m.text[1][1] = 'x', ATTEST_POLICY_ARGS);
	DENIES(m.process.n_args = 2, ATTEST_POLICY_ARGS);
	DENIES(m.process.n_args = 0, ATTEST_POLICY_ARGS);
	DENIES(m.text[3][0] = 'X', ATTEST_POLICY_ENV);
	DENIES(m.process.n_env = 0, ATTEST_POLICY_ENV);
	DENIES(m.text[5][1] = 'x', ATTEST_POLICY_CWD);
	DENIES(m.text[6][0] = '0', ATTEST_POLICY_USER);
	DENIES(m.text[6][0] = '\0', ATTEST_POLICY_USER);
	DENIES(m.process.terminal = false, ATTEST_POLICY_TERMINAL);
	DENIES(m.text[7][0] = 'x', ATTEST_POLICY_HOSTNAME);
	make(&m);
	allows(&policy, &m.spec, 0);
}

static void what_it_may_do_is_held_against_the_policy(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	DENIES(m.spec.read_only = false, ATTEST_POLICY_READ_ONLY);
	DENIES(m.resources.cpu_milli = 0, ATTEST_POLICY_RESOURCES);
	DENIES(m.resources.memory_bytes--, ATTEST_POLICY_RESOURCES);
	DENIES(m.resources.pids++, ATTEST_POLICY_RESOURCES);
	DENIES(m.spec.resources = NULL, ATTEST_POLICY_RESOURCES);
	DENIES(m.capabilities.ambient = 1, ATTEST_POLICY_CAPABILITIES);
	DENIES(m.capabilities.effective = 1, ATTEST_POLICY_CAPABILITIES);
	DENIES(m.spec.capabilities = NULL, ATTEST_POLICY_CAPABILITIES);
	DENIES(m.spec.no_new_privileges = false, ATTEST_POLICY_NO_NEW_PRIVILEGES);
	DENIES(m.limit.soft++, ATTEST_POLICY_RLIMITS);
	DENIES(m.limit.type = AGENT__RLIMIT_TYPE__CORE, ATTEST_POLICY_RLIMITS);
	DENIES(m.spec.n_rlimits = 0, ATTEST_POLICY_RLIMITS);
	DENIES(m.device[0].device++, ATTEST_POLICY_DEVICES);
	DENIES(m.spec.n_devices = 2, ATTEST_POLICY_DEVICES);
	DENIES(m.devices[0] = &m.device[2], ATTEST_POLICY_DEVICES);
	DENIES(m.spec.process = NULL, ATTEST_POLICY_FIELD);
	make(&m);
	allows(&policy, &m.spec, 0);
}

static void devices_have_no_order(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	m.devices[0] = &m.device[2];
	m.devices[2] = &m.device[0];
	allows(&policy, &m.spec, 0);
	assert_ptr_equal(m.devices[0], &m.device[2]); /* what was asked about stays as it was */
}

/* As a later version of the message would have it, at each depth. */
static void a_field_that_is_not_known_is_refused(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	uint8_t one = 1;
	ProtobufCMessageUnknownField field = { 999, PROTOBUF_C_WIRE_TYPE_VARINT, 1, &one };
	struct attest_refusal refusal;
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	for (int i = 0; i < 4; i++) {
		ProtobufCMessage *at = i == 0	? &m.spec.base
				       : i == 1 ? &m.process.base
				       : i == 2 ? &m.layer.base
						: &m.device[1].base;

		make(&m);
		at->n_unknown_fields = 1;
		at->unknown_fields = &field;
		denies(&policy, &m.spec,
		       i < 2	? ATTEST_POLICY_FIELD
		       : i == 2 ? ATTEST_POLICY_LAYERS
				: ATTEST_POLICY_DEVICES);
		assert_int_equal(attest_policy_add(&policy, "x", &m.spec, NULL), -EINVAL);
		assert_int_equal(policy.container_count, 1);
	}
	policy.containers[0].exec_any = true;
	make(&m);
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 1);
	m.process.base.n_unknown_fields = 1;
	m.process.base.unknown_fields = &field;
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 0);
}

/* A field that is added to the messages is refused until somebody teaches it to policies. */
static void the_messages_have_the_fields_that_policies_know(void **state)
{
	(void)state;
	assert_int_equal(agent__container_spec__descriptor.n_fields, 9);
	assert_int_equal(agent__process__descriptor.n_fields, 5);
	assert_int_equal(agent__layer__descriptor.n_fields, 3);
	assert_int_equal(agent__resources__descriptor.n_fields, 3);
	assert_int_equal(agent__capabilities__descriptor.n_fields, 5);
	assert_int_equal(agent__rlimit__descriptor.n_fields, 3);
	assert_int_equal(agent__device__descriptor.n_fields, 3);
}

static void the_nearest_container_is_named(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct attest_refusal refusal;
	size_t container;
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "first", &m.spec);
	m.layer.data_blocks = 100;
	m.layer.hash_start = 100;
	add(&policy, "second", &m.spec);
	m.spec.read_only = false;
	add(&policy, "third", &m.spec);
	allows(&policy, &m.spec, 2);
	m.text[6][0] = '0';
	assert_int_equal(attest_policy_check(&policy, &m.spec, &container, &refusal), 0);
	assert_int_equal(refusal.reason, ATTEST_POLICY_USER);
	assert_non_null(strstr(refusal.text, "'third'"));
	assert_null(strstr(refusal.text, "elsewhere"));
	m.spec.n_rlimits = 0;
	assert_int_equal(attest_policy_check(&policy, &m.spec, &container, &refusal), 0);
	assert_non_null(strstr(refusal.text, "elsewhere"));
}

static void execs_are_those_listed(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct attest_refusal refusal;
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 0);
	assert_int_equal(refusal.reason, ATTEST_POLICY_EXEC);
	assert_int_equal(attest_policy_add_exec(&policy, &m.process, NULL), 0);
	m.process.n_args = 1;
	assert_int_equal(attest_policy_add_exec(&policy, &m.process, NULL), 0);
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 1);
	m.process.n_args = 3;
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 1);
	m.process.n_env = 0;
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 0);
	m.process.n_env = 2;
	m.process.terminal = false;
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 0);
	policy.containers[0].exec_any = true;
	assert_int_equal(attest_policy_check_exec(&policy, 0, &m.process, &refusal), 1);
}

static void secrets_are_given_by_name_and_address(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct attest_refusal refusal;
	struct made m;

	(void)state;
	make(&m);
	add(&policy, "main", &m.spec);
	assert_int_equal(attest_policy_add_secret(&policy, "key", "kbs:///a/b/c", NULL), 0);
	add(&policy, "other", &m.spec);
	assert_true(attest_policy_check_secret(&policy, 0, "key", "kbs:///a/b/c", &refusal));
	assert_false(attest_policy_check_secret(&policy, 0, "key", "kbs:///a/b/d", &refusal));
	assert_int_equal(refusal.reason, ATTEST_POLICY_SECRET);
	assert_false(attest_policy_check_secret(&policy, 0, "kez", "kbs:///a/b/c", &refusal));
	assert_false(attest_policy_check_secret(&policy, 1, "key", "kbs:///a/b/c", &refusal));
	assert_int_equal(attest_policy_add_secret(&policy, "../key", "kbs:///a", NULL), -EINVAL);
	assert_int_equal(attest_policy_add_secret(&policy, "key", "a b://", NULL), -EINVAL);
	assert_int_equal(attest_policy_add_secret(&policy, "key", "kbs", NULL), -EINVAL);
	assert_int_equal(attest_policy_add_secret(&policy, "key", "kbs://1", NULL), 0);
	assert_int_equal(attest_policy_add_secret(&policy, "key", "kbs://2", NULL), -EINVAL);
}

static void text_that_is_no_text_is_refused(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		make(&m);
		m.text[i][0] = '\xff';
		assert_int_equal(attest_policy_add(&policy, "main", &m.spec, NULL), -EINVAL);
	}
	make(&m);
	assert_int_equal(attest_policy_add(&policy, "", &m.spec, NULL), -EINVAL);
	assert_int_equal(attest_policy_add(&policy, "a b", &m.spec, NULL), -EINVAL);
	m.layer.root.len = 31;
	assert_int_equal(attest_policy_add(&policy, "main", &m.spec, NULL), -EINVAL);
	make(&m);
	m.limit.type = (Agent__RlimitType)PRIVILEGE_LIMITS;
	assert_int_equal(attest_policy_add(&policy, "main", &m.spec, NULL), -EINVAL);
	make(&m);
	m.capabilities.bounding = UINT64_C(1) << PRIVILEGE_CAPABILITIES;
	assert_int_equal(attest_policy_add(&policy, "main", &m.spec, NULL), -EINVAL);
	make(&m);
	m.device[0].class_code = 1 << 24;
	assert_int_equal(attest_policy_add(&policy, "main", &m.spec, NULL), -EINVAL);
	assert_int_equal(policy.container_count, 0);
}

/* Whatever the spelling, one form, and one digest. */
static void one_meaning_has_one_form(void **state)
{
	static const char short_form[] = POLICY(CONTAINER(""));
	static const char long_form[] =
		"{ \"containers\" : [ {\n\"secrets\":[], \"exec\":[],\"devices\":[],\"rlimits\":null,"
		"\"capabilities\":null,\"resources\":null,\"no_new_privileges\":false,"
		"\"read_only\":false,\"hostname\":\"\",\"process\":{\"terminal\":false,\"user\":\"\","
		"\"cwd\":\"\",\"env\":[],\"args\":[\"s\\u0068\"]}," LAYERS ",\"name\":\"main\"}],"
		"\"broker\":null,\"schema\":1}";
	static const char canonical[] =
		"algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n[data]\n\"policy.json\" = '"
		"{\"schema\":1,\"broker\":null,\"containers\":[{\"name\":\"main\"," LAYERS ","
		"\"process\":{\"args\":[\"sh\"],\"env\":[],\"cwd\":\"\",\"user\":\"\","
		"\"terminal\":false},\"hostname\":\"\",\"read_only\":false,"
		"\"no_new_privileges\":false,\"resources\":null,\"capabilities\":null,"
		"\"rlimits\":[],\"devices\":[],\"exec\":[],\"secrets\":[]}]}'\n";
	static const char *const forms[] = { short_form, long_form, canonical };
	uint8_t digest[48];
	char hex[97];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
		CLEANUP(buf_done) struct buf text = { 0 };

		parse_good(forms[i], &policy);
		assert_int_equal(attest_policy_document(&policy, &text), 0);
		assert_int_equal(buf_add(&text, "", 1), 0);
		assert_string_equal((char *)text.at, canonical);
		/* printf '...' | sha256sum, sha384sum */
		assert_int_equal(attest_policy_digest(&policy, 32, digest), 0);
		text_hex(digest, 32, hex);
		assert_string_equal(
			hex, "d71e915f83733adb5f135d171b6d1692f182a3bd3be311e6d42e5602a3a229d1");
		assert_int_equal(attest_policy_digest(&policy, 48, digest), 0);
		text_hex(digest, 48, hex);
		assert_string_equal(hex, "bf77ad0d80ee02931de28b8493619cc5a45c8045fec570aa"
					 "3bd8c6f742730199b1eacb868c3f0c9875253a38b7ccd47a");
	}
}

static void a_document_is_canonical_or_none(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 }, altered = { 0 };
	struct attest_policy other;
	struct err err;

	(void)state;
	parse_good(POLICY(CONTAINER("")), &policy);
	assert_int_equal(attest_policy_document(&policy, &text), 0);
	for (size_t i = 0; i < text.len; i++) {
		altered.len = 0;
		other = (struct attest_policy){ 0 };
		assert_int_equal(buf_add(&altered, text.at, i), 0);
		assert_int_equal(buf_add(&altered, " ", 1), 0);
		assert_int_equal(buf_add(&altered, text.at + i, text.len - i), 0);
		if (attest_policy_parse(buf_bytes(&altered), &other, &err) == 0) {
			/* Text within a string: another policy, and canonical. */
			uint8_t one[32], two[32];

			assert_int_equal(attest_policy_digest(&policy, 32, one), 0);
			assert_int_equal(attest_policy_digest(&other, 32, two), 0);
			assert_memory_not_equal(one, two, 32);
		}
		attest_policy_done(&other);
	}
	text.len--;
	other = (struct attest_policy){ 0 };
	assert_true(attest_policy_parse(buf_bytes(&text), &other, &err) < 0);
}

static void what_is_not_understood_is_refused(void **state)
{
	(void)state;
	refuses("", "empty");
	refuses("{}", "/schema");
	refuses("{\"schema\":2}", "/schema");
	refuses("{\"schema\":1,\"container\":[]}", "did you mean 'containers'");
	refuses(POLICY("{}"), "/containers/0/name");
	refuses(POLICY("{\"name\":\"a\"}"), "/process");
	refuses(POLICY(CONTAINER(",\"mounts\":[]")), "/containers/0/mounts: is not known");
	refuses(POLICY(CONTAINER(",\"read_only\":1")), "/read_only");
	refuses(POLICY(CONTAINER(",\"hostname\":1")), "/hostname");
	refuses(POLICY(CONTAINER(",\"resources\":{\"cpus\":1}")), "/resources/cpus");
	refuses(POLICY(CONTAINER(",\"resources\":{\"pids\":4294967296}")), "/resources/pids");
	refuses(POLICY(CONTAINER(",\"capabilities\":{\"bounding\":[\"CHOWN\"]}")), "/bounding/0");
	refuses(POLICY(CONTAINER(",\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_CHOWN\"]}")),
		"/bounding/1");
	refuses(POLICY(CONTAINER(",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1}]")), "/hard");
	refuses(POLICY(CONTAINER(",\"rlimits\":[{\"type\":\"CORE\",\"soft\":1,\"hard\":1}]")),
		"/type");
	refuses(POLICY(CONTAINER(
			",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":\"x\"}]")),
		"/hard");
	refuses(POLICY(CONTAINER(",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1},"
				 "{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1}]")),
		"/rlimits/1");
	refuses(POLICY(CONTAINER(",\"devices\":[{\"vendor\":\"10DE\",\"device\":\"2330\"}]")),
		"/class");
	refuses(POLICY(CONTAINER(",\"devices\":[{\"vendor\":\"de\",\"device\":\"2330\","
				 "\"class\":\"030200\"}]")),
		"/vendor");
	refuses(POLICY(CONTAINER(",\"exec\":\"all\"")), "/exec");
	refuses(POLICY(CONTAINER(",\"exec\":[[\"sh\"]]")), "/exec/0");
	refuses(POLICY(CONTAINER(",\"exec\":[{\"args\":[]}]")), "/exec/0/args");
	refuses(POLICY(CONTAINER(",\"exec\":[{\"args\":[null]}]")), "/exec/0/args/0");
	refuses(POLICY(CONTAINER(",\"secrets\":[{\"name\":\"a\"}]")), "/secrets/0");
	refuses(POLICY(CONTAINER(",\"secrets\":[{\"name\":\"/\",\"uri\":\"kbs://x\"}]")),
		"/secrets/0");
	refuses("{\"schema\":1,\"broker\":{\"url\":\"https://x\"}}", "/broker/key");
	refuses("{\"schema\":1,\"broker\":{\"url\":\"x\",\"key\":\"" ROOT "\"}}", "/broker/url");
}

static void broker_and_devices_survive(void **state)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct made m;

	(void)state;
	parse_good("{\"schema\":1,\"broker\":{\"url\":\"https://x:1/\",\"key\":\"" ROOT "\"},"
		   "\"containers\":[" CONTAINER(
			   ",\"devices\":[{\"vendor\":\"10de\",\"device\":"
			   "\"2330\",\"class\":\"030200\",\"count\":8},"
			   "{\"vendor\":\"0bad\",\"device\":\"0001\",\"class\":"
			   "\"000000\"}]") "]}",
		   &policy);
	assert_string_equal(policy.broker_url, "https://x:1/");
	assert_int_equal(policy.broker_key[1], 0x11);
	assert_int_equal(policy.containers[0].spec->n_devices, 9);
	assert_int_equal(policy.containers[0].spec->devices[0]->vendor, 0x0bad);
	assert_int_equal(policy.containers[0].spec->devices[8]->class_code, 0x030200);
	make(&m);
	assert_int_equal(attest_policy_set_broker(&policy, "nowhere", m.root, NULL), -EINVAL);
	assert_int_equal(attest_policy_set_broker(&policy, "https://y", m.root, NULL), 0);
	assert_string_equal(policy.broker_url, "https://y");
}

/* An '@' is the item's place. */
static void repeat(struct buf *text, const char *head, const char *what, size_t count,
		   const char *tail)
{
	text->len = 0;
	assert_int_equal(buf_add(text, head, strlen(head)), 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(buf_addf(text, "%s", i > 0 ? "," : ""), 0);
		for (const char *at = what; *at; at++)
			assert_int_equal(
				*at == '@' ? buf_addf(text, "%zu", i) : buf_add(text, at, 1), 0);
	}
	assert_int_equal(buf_add(text, tail, strlen(tail) + 1), 0);
}

static void lists_have_limits(void **state)
{
#define HEAD "{\"schema\":1,\"containers\":[{\"name\":\"a\","
	const struct {
		const char *head, *what, *tail;
		size_t max;
	} lists[] = {
		{ "{\"schema\":1,\"containers\":[", CONTAINER(""), "]}",
		  ATTEST_POLICY_CONTAINERS_MAX },
		{ HEAD "\"layers\":[", "{\"root\":\"" ROOT "\",\"data_blocks\":1,\"hash_start\":1}",
		  "],\"process\":{\"args\":[\"x\"]}}]}", ATTEST_POLICY_LAYERS_MAX },
		{ HEAD "\"process\":{\"args\":[", "\"x\"", "]}}]}", ATTEST_POLICY_ARGS_MAX },
		{ HEAD "\"process\":{\"args\":[\"x\"],\"env\":[", "\"A=\"", "]}}]}",
		  ATTEST_POLICY_ENV_MAX },
		{ HEAD "\"exec\":[", "{\"args\":[\"x\"]}", "],\"process\":{\"args\":[\"x\"]}}]}",
		  ATTEST_POLICY_EXECS_MAX },
		{ HEAD "\"secrets\":[", "{\"name\":\"s@\",\"uri\":\"kbs://x\"}",
		  "],\"process\":{\"args\":[\"x\"]}}]}", ATTEST_POLICY_SECRETS_MAX },
		{ HEAD "\"devices\":[",
		  "{\"vendor\":\"0001\",\"device\":\"0001\",\"class\":\"000001\"}",
		  "],\"process\":{\"args\":[\"x\"]}}]}", ATTEST_POLICY_DEVICES_MAX },
	};
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_policy policy;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		repeat(&text, lists[i].head, lists[i].what, lists[i].max, lists[i].tail);
		parse_good((const char *)text.at, &policy);
		attest_policy_done(&policy);
		repeat(&text, lists[i].head, lists[i].what, lists[i].max + 1, lists[i].tail);
		assert_int_equal(parse((const char *)text.at, &policy, &err), -E2BIG);
	}
	refuses(POLICY(CONTAINER(
			",\"devices\":[{\"vendor\":\"0001\",\"device\":\"0001\",\"class\":"
			"\"000001\",\"count\":127},{\"vendor\":\"0001\",\"device\":\"0001\","
			"\"class\":\"000001\",\"count\":2}]")),
		"more than 128");
}

static void strings_have_limits(void **state)
{
	static const struct {
		const char *head, *tail;
		size_t max;
	} strings[] = {
		{ HEAD "\"process\":{\"args\":[\"", "\"]}}]}", ATTEST_POLICY_STRING_MAX },
		{ HEAD "\"process\":{\"args\":[\"x\"],\"env\":[\"", "\"]}}]}",
		  ATTEST_POLICY_STRING_MAX },
		{ HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"", "\"}}]}",
		  ATTEST_POLICY_PATH_MAX },
		{ HEAD "\"process\":{\"args\":[\"x\"],\"user\":\"", "\"}}]}",
		  ATTEST_POLICY_PATH_MAX },
	};
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_policy policy;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		for (size_t len = strings[i].max; len <= strings[i].max + 1; len++) {
			text.len = 0;
			assert_int_equal(buf_addf(&text, "%s", strings[i].head), 0);
			for (size_t j = 0; j < len; j++)
				assert_int_equal(buf_add(&text, "x", 1), 0);
			assert_int_equal(
				buf_add(&text, strings[i].tail, strlen(strings[i].tail) + 1), 0);
			assert_int_equal(parse((const char *)text.at, &policy, &err),
					 len > strings[i].max ? -E2BIG : 0);
			attest_policy_done(&policy);
		}
	}
	text.len = 0;
	assert_int_equal(buf_reserve(&text, ATTEST_POLICY_TEXT_MAX + 1), 0);
	memset(text.at, ' ', ATTEST_POLICY_TEXT_MAX + 1);
	text.len = ATTEST_POLICY_TEXT_MAX + 1;
	policy = (struct attest_policy){ 0 };
	assert_int_equal(attest_policy_parse(buf_bytes(&text), &policy, &err), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_policy_allows_nothing),
		cmocka_unit_test(what_it_was_made_of_is_allowed),
		cmocka_unit_test(what_is_run_is_held_against_the_policy),
		cmocka_unit_test(what_it_may_do_is_held_against_the_policy),
		cmocka_unit_test(devices_have_no_order),
		cmocka_unit_test(a_field_that_is_not_known_is_refused),
		cmocka_unit_test(the_messages_have_the_fields_that_policies_know),
		cmocka_unit_test(the_nearest_container_is_named),
		cmocka_unit_test(execs_are_those_listed),
		cmocka_unit_test(secrets_are_given_by_name_and_address),
		cmocka_unit_test(text_that_is_no_text_is_refused),
		cmocka_unit_test(one_meaning_has_one_form),
		cmocka_unit_test(a_document_is_canonical_or_none),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(broker_and_devices_survive),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(strings_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
