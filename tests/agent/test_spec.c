// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/spec.h"
#include "base/buf.h"

enum { MANY = SPEC_ARGS_MAX + 1 };

/* A specification that is fine, for each test to spoil. */
static struct fixture {
	Agent__ContainerSpec spec;
	Agent__Process process;
	Agent__Resources resources;
	Agent__Layer layer;
	Agent__Layer *layers[SPEC_LAYERS_MAX + 1];
	Agent__Capabilities capabilities;
	Agent__Rlimit rlimit[PRIVILEGE_LIMITS + 1];
	Agent__Rlimit *rlimits[PRIVILEGE_LIMITS + 1];
	Agent__Device device;
	Agent__Device *devices[SPEC_DEVICES_MAX + 1];
	char *args[MANY];
	char *env[MANY];
	uint8_t root[33];
	char text[SPEC_STRING_MAX + 1];
} f;

static char command[] = "sh", variable[] = "A=b", hostname[] = "pod-1", cwd[] = "/work";

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	agent__container_spec__init(&f.spec);
	agent__process__init(&f.process);
	agent__resources__init(&f.resources);
	agent__layer__init(&f.layer);
	agent__capabilities__init(&f.capabilities);
	for (unsigned i = 0; i <= PRIVILEGE_LIMITS; i++) {
		agent__rlimit__init(&f.rlimit[i]);
		f.rlimit[i].type = (Agent__RlimitType)i;
		f.rlimit[i].hard = i;
		f.rlimits[i] = &f.rlimit[i];
	}
	f.spec.rlimits = f.rlimits;
	agent__device__init(&f.device);
	f.device.vendor = 0x10de;
	f.device.device = 0x2330;
	f.device.class_code = 0x030200;
	for (size_t i = 0; i < SPEC_DEVICES_MAX + 1; i++)
		f.devices[i] = &f.device;
	f.spec.devices = f.devices;
	f.layer.root.data = f.root;
	f.layer.root.len = 32;
	f.layer.data_blocks = f.layer.hash_start = 100;
	for (size_t i = 0; i < SPEC_LAYERS_MAX + 1; i++)
		f.layers[i] = &f.layer;
	for (size_t i = 0; i < MANY; i++) {
		f.args[i] = command;
		f.env[i] = variable;
	}
	memset(f.text, 'x', SPEC_STRING_MAX);
	f.process.args = f.args;
	f.process.env = f.env;
	f.process.n_args = f.process.n_env = 1;
	f.process.cwd = cwd;
	f.spec.layers = f.layers;
	f.spec.n_layers = 1;
	f.spec.process = &f.process;
	f.spec.resources = &f.resources;
	f.spec.hostname = hostname;
	return 0;
}

static int open_text(struct bytes text)
{
	Agent__ContainerSpec *spec;
	struct err err = { 0 };
	int r = spec_open(text, &spec, &err);

	if (r == 0)
		agent__container_spec__free_unpacked(spec, NULL);
	else
		assert_true(err.msg[0] != '\0');
	return r;
}

static void pack(struct buf *ret)
{
	ret->len = 0;
	assert_int_equal(buf_reserve(ret, agent__container_spec__get_packed_size(&f.spec)), 0);
	ret->len = agent__container_spec__pack(&f.spec, ret->at);
}

static int check(void)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	pack(&text);
	return open_text(buf_bytes(&text));
}

static void takes_what_is_right(void **state)
{
	(void)state;
	assert_int_equal(check(), 0);
	f.spec.resources = NULL;
	f.spec.hostname = (char *)"";
	f.process.cwd = (char *)"";
	f.process.n_env = 0;
	assert_int_equal(check(), 0);
}

static void is_closed(void **state)
{
	/* fields 99 of the whole and each message in it; a field twice; one cut off */
	static const char *const more[] = {
		"\x98\x06\x01",
		"\x0a\x03\x98\x06\x01",
		"\x12\x03\x98\x06\x01",
		"\x2a\x03\x98\x06\x01",
		"\x32\x03\x98\x06\x01",
		"\x42\x03\x98\x06\x01",
		"\x4a\x06\x08\xde\x21\x98\x06\x01",
		"\x1a\x05pod-1",
		"\x20",
	};
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t len;

	(void)state;
	pack(&text);
	len = text.len;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		text.len = len;
		assert_int_equal(buf_add(&text, more[i], strlen(more[i])), 0);
		assert_true(open_text(buf_bytes(&text)) < 0);
	}
	text.len = len;
	/* read_only: false is said by silence, not by a zero */
	assert_int_equal(buf_add(&text, "\x20\x00", 2), 0);
	assert_int_equal(open_text(buf_bytes(&text)), -EBADMSG);
	text.len = len;
	assert_int_equal(open_text(buf_bytes(&text)), 0);
	/* a NUL would hide the rest of a string */
	*(char *)memchr(text.at, 'p', text.len) = '\0';
	assert_int_equal(open_text(buf_bytes(&text)), -EBADMSG);
}

static void refuses_other_bytes(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t *huge = calloc(1, SPEC_BYTES_MAX + 1);

	(void)state;
	assert_int_equal(open_text((struct bytes){ (const uint8_t *)"", 0 }), -EINVAL);
	assert_int_equal(open_text((struct bytes){ (const uint8_t *)"\xff", 1 }), -EBADMSG);
	assert_non_null(huge);
	assert_int_equal(open_text((struct bytes){ huge, SPEC_BYTES_MAX + 1 }), -E2BIG);
	assert_int_equal(open_text((struct bytes){ huge, SPEC_BYTES_MAX }), -EBADMSG);
	free(huge);
	/* cut anywhere before its last field, it ends inside one that has to be there */
	f.spec.resources = NULL;
	f.spec.hostname = (char *)"";
	pack(&text);
	for (size_t len = 0; len < text.len; len++)
		assert_true(open_text((struct bytes){ text.at, len }) < 0);
}

static void a_process_has_limits(void **state)
{
	static char *const bad_env[] = { (char *)"A", (char *)"=b", (char *)"", (char *)"A=\xff" };

	(void)state;
	f.process.n_args = SPEC_ARGS_MAX;
	assert_int_equal(check(), 0);
	f.process.n_args = SPEC_ARGS_MAX + 1;
	assert_int_equal(check(), -E2BIG);
	f.process.n_args = 0;
	assert_int_equal(check(), -EINVAL);
	f.process.n_args = 2;
	f.args[0] = (char *)"";
	assert_int_equal(check(), -EINVAL);
	f.args[0] = command;
	f.args[1] = f.text;
	assert_int_equal(check(), -E2BIG);
	f.text[SPEC_STRING_MAX - 1] = '\0';
	assert_int_equal(check(), 0);
	f.process.n_env = SPEC_ENV_MAX;
	assert_int_equal(check(), 0);
	f.process.n_env = SPEC_ENV_MAX + 1;
	assert_int_equal(check(), -E2BIG);
	f.process.n_env = 1;
	for (size_t i = 0; i < 4; i++) {
		f.env[0] = bad_env[i];
		assert_int_equal(check(), -EINVAL);
	}
}

static void a_cwd_is_absolute(void **state)
{
	(void)state;
	f.process.cwd = (char *)"work";
	assert_int_equal(check(), -EINVAL);
	f.process.cwd = f.text;
	f.text[0] = '/';
	f.text[SPEC_PATH_MAX] = '\0';
	assert_int_equal(check(), 0);
	f.text[SPEC_PATH_MAX] = 'x';
	f.text[SPEC_PATH_MAX + 1] = '\0';
	assert_int_equal(check(), -EINVAL);
}

static void layers_have_limits(void **state)
{
	(void)state;
	f.spec.n_layers = SPEC_LAYERS_MAX;
	assert_int_equal(check(), 0);
	f.spec.n_layers = SPEC_LAYERS_MAX + 1;
	assert_int_equal(check(), -E2BIG);
	f.spec.n_layers = 0;
	assert_int_equal(check(), -E2BIG);
	f.spec.n_layers = 1;
	f.layer.root.len = 31;
	assert_int_equal(check(), -EINVAL);
	f.layer.root.len = 33;
	assert_int_equal(check(), -EINVAL);
	f.layer.root.len = 32;
	f.layer.hash_start = 99;
	assert_int_equal(check(), -EINVAL);
	f.layer.hash_start = SPEC_BLOCKS_MAX;
	assert_int_equal(check(), 0);
	f.layer.hash_start = SPEC_BLOCKS_MAX + 1;
	assert_int_equal(check(), -EINVAL);
	f.layer.hash_start = f.layer.data_blocks = 0;
	assert_int_equal(check(), -EINVAL);
}

static void devices_have_limits(void **state)
{
	(void)state;
	f.spec.n_devices = SPEC_DEVICES_MAX;
	assert_int_equal(check(), 0);
	f.spec.n_devices = SPEC_DEVICES_MAX + 1;
	assert_int_equal(check(), -E2BIG);
	f.spec.n_devices = 1;
	f.device.vendor = 0;
	assert_int_equal(check(), -EINVAL);
	f.device.vendor = 0xffff;
	assert_int_equal(check(), -EINVAL);
	f.device.vendor = 0xfffe;
	f.device.device = 0xffff;
	f.device.class_code = 0xffffff;
	assert_int_equal(check(), 0);
	f.device.device = 0x10000;
	assert_int_equal(check(), -EINVAL);
	f.device.device = 0;
	f.device.class_code = 0x1000000;
	assert_int_equal(check(), -EINVAL);
	f.device.class_code = 0;
	assert_int_equal(check(), 0);
}

static void the_rest_has_limits(void **state)
{
	(void)state;
	f.spec.hostname = f.text;
	f.text[SPEC_HOSTNAME_MAX] = '\0';
	assert_int_equal(check(), 0);
	f.text[0] = '/';
	assert_int_equal(check(), -EINVAL);
	f.text[0] = f.text[SPEC_HOSTNAME_MAX] = 'x';
	f.text[SPEC_HOSTNAME_MAX + 1] = '\0';
	assert_int_equal(check(), -EINVAL);
	f.spec.hostname = hostname;
	f.resources.cpu_milli = SPEC_CPU_MILLI_MIN;
	f.resources.memory_bytes = INT64_MAX;
	f.resources.pids = INT32_MAX;
	assert_int_equal(check(), 0);
	f.resources.cpu_milli = SPEC_CPU_MILLI_MIN - 1;
	assert_int_equal(check(), -EINVAL);
	f.resources.cpu_milli = SPEC_CPU_MILLI_MAX + 1;
	assert_int_equal(check(), -EINVAL);
	f.resources.cpu_milli = SPEC_CPU_MILLI_MAX;
	f.resources.memory_bytes = (uint64_t)INT64_MAX + 1;
	assert_int_equal(check(), -EINVAL);
	f.resources.memory_bytes = 0;
	f.resources.pids = (uint32_t)INT32_MAX + 1;
	assert_int_equal(check(), -EINVAL);
}

static void text_is_utf8(void **state)
{
	static char *const good[] = { (char *)"é", (char *)"€", (char *)"\xf0\x9f\x98\x80",
				      (char *)"\xed\x9f\xbf", (char *)"\xf4\x8f\xbf\xbf" };
	static char *const bad[] = { (char *)"\x80",
				     (char *)"\xc0\xaf",
				     (char *)"\xc3",
				     (char *)"\xe0\x9f\xbf",
				     (char *)"\xed\xa0\x80",
				     (char *)"\xf0\x8f\xbf\xbf",
				     (char *)"\xf4\x90\x80\x80",
				     (char *)"\xf5\x80\x80\x80",
				     (char *)"\xe2\x82x" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		f.args[0] = good[i];
		assert_int_equal(check(), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f.args[0] = bad[i];
		assert_int_equal(check(), -EINVAL);
	}
}

static void capabilities_are_possible_ones(void **state)
{
	Agent__Capabilities *c = &f.capabilities;

	(void)state;
	f.spec.capabilities = c;
	assert_int_equal(check(), 0);
	c->bounding = c->effective = c->permitted = c->inheritable = c->ambient = PRIVILEGE_ALL;
	assert_int_equal(check(), 0);
	c->bounding = PRIVILEGE_ALL + 1;
	assert_int_equal(check(), -EINVAL);
	c->bounding = PRIVILEGE_ALL | (PRIVILEGE_ALL + 1);
	assert_int_equal(check(), -EINVAL);
	c->bounding = PRIVILEGE_ALL - 1;
	assert_int_equal(check(), -EINVAL);
	c->permitted = c->inheritable = c->bounding;
	assert_int_equal(check(), -EINVAL);
	c->effective = c->bounding;
	assert_int_equal(check(), -EINVAL);
	c->ambient = 2;
	assert_int_equal(check(), 0);
	c->inheritable = 4;
	assert_int_equal(check(), -EINVAL);
}

static void limits_are_known_and_in_order(void **state)
{
	(void)state;
	f.spec.n_rlimits = PRIVILEGE_LIMITS;
	assert_int_equal(check(), 0);
	f.spec.n_rlimits = PRIVILEGE_LIMITS + 1;
	assert_int_equal(check(), -EINVAL);
	f.spec.n_rlimits = 2;
	f.rlimits[1] = &f.rlimit[0];
	assert_int_equal(check(), -EINVAL);
	f.rlimits[0] = &f.rlimit[1];
	assert_int_equal(check(), -EINVAL);
	f.spec.n_rlimits = 1;
	assert_int_equal(check(), 0);
	f.rlimit[1].type = (Agent__RlimitType)-1;
	assert_int_equal(check(), -EINVAL);
}

static void limits_have_values_that_can_be(void **state)
{
	Agent__Rlimit *limit = &f.rlimit[0];

	(void)state;
	f.spec.n_rlimits = 1;
	limit->soft = limit->hard = INT64_MAX;
	assert_int_equal(check(), 0);
	limit->hard++;
	assert_int_equal(check(), -EINVAL);
	limit->hard = PRIVILEGE_UNLIMITED;
	assert_int_equal(check(), 0);
	limit->soft++;
	assert_int_equal(check(), -EINVAL);
	limit->soft = PRIVILEGE_UNLIMITED;
	assert_int_equal(check(), 0);
	limit->hard = 5;
	limit->soft = 6;
	assert_int_equal(check(), -EINVAL);
	limit->type = AGENT__RLIMIT_TYPE__NOFILE;
	limit->hard = SPEC_NOFILE_MAX;
	assert_int_equal(check(), 0);
	limit->hard = SPEC_NOFILE_MAX + 1;
	assert_int_equal(check(), -E2BIG);
}

static void names_have_a_form(void **state)
{
	char longest[SPEC_ID_MAX + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[SPEC_ID_MAX + 1] = '\0';
	assert_false(spec_id_is_valid(longest));
	longest[SPEC_ID_MAX] = '\0';
	assert_true(spec_id_is_valid(longest));
	assert_true(spec_id_is_valid("Main_1.a-b"));
	assert_false(spec_id_is_valid(""));
	assert_false(spec_id_is_valid("."));
	assert_false(spec_id_is_valid(".."));
	assert_false(spec_id_is_valid("a/b"));
	assert_false(spec_id_is_valid("a b"));
	assert_false(spec_id_is_valid("\xc3\xa9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(takes_what_is_right, set_up),
		cmocka_unit_test_setup(is_closed, set_up),
		cmocka_unit_test_setup(refuses_other_bytes, set_up),
		cmocka_unit_test_setup(a_process_has_limits, set_up),
		cmocka_unit_test_setup(a_cwd_is_absolute, set_up),
		cmocka_unit_test_setup(layers_have_limits, set_up),
		cmocka_unit_test_setup(devices_have_limits, set_up),
		cmocka_unit_test_setup(the_rest_has_limits, set_up),
		cmocka_unit_test_setup(text_is_utf8, set_up),
		cmocka_unit_test_setup(capabilities_are_possible_ones, set_up),
		cmocka_unit_test_setup(limits_are_known_and_in_order, set_up),
		cmocka_unit_test_setup(limits_have_values_that_can_be, set_up),
		cmocka_unit_test(names_have_a_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
