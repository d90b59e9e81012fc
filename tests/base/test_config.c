// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/config.h"

static struct config cfg;

static int setup(void **state)
{
	(void)state;
	config_init(&cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_done(&cfg);
	return 0;
}

static void starts_with_the_defaults(void **state)
{
	(void)state;
	assert_int_equal(config_number(&cfg, CONFIG_ACCEL), CONFIG_ACCEL_AUTO);
	assert_int_equal(config_number(&cfg, CONFIG_START_TIMEOUT_KVM), 30000);
	assert_int_equal(config_number(&cfg, CONFIG_START_TIMEOUT_TCG), 120000);
	assert_int_equal(config_number(&cfg, CONFIG_DEFAULT_CPUS), 1);
	assert_int_equal(config_number(&cfg, CONFIG_DEFAULT_MEMORY), 512 << 20);
	assert_int_equal(config_number(&cfg, CONFIG_DEFAULT_PIDS), 2048);
	assert_int_equal(config_number(&cfg, CONFIG_LAYER_MAX_SIZE), UINT64_C(16) << 30);
	assert_int_equal(config_number(&cfg, CONFIG_LOG_SIZE), 8 << 20);
	assert_string_equal(config_text(&cfg, CONFIG_GUEST_DIR), "");
	assert_string_equal(config_text(&cfg, CONFIG_QEMU), "/usr/bin/qemu-system-x86_64");
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		assert_int_equal(cfg.values[i].source, CONFIG_DEFAULT);
}

static void describes_every_key_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		const struct config_key_info *key = config_key(i);

		assert_non_null(key->name);
		assert_non_null(key->doc);
		assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
		assert_int_equal(key->type == CONFIG_ENUM, key->words != NULL);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(key->name, config_key(j)->name);
	}
	assert_null(config_key(CONFIG_KEY_COUNT));
	assert_null(config_key(SIZE_MAX));
}

/* Their sum is a user id too, whatever both are set to. */
static void keeps_the_uids_below_the_last(void **state)
{
	(void)state;
	assert_true(config_key(CONFIG_UID_FIRST)->max + config_key(CONFIG_UID_COUNT)->max <
		    UINT32_MAX);
}

static void sets_values_of_every_type(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(config_set(&cfg, "accel", "tcg", CONFIG_NODE, &e), 0);
	assert_int_equal(config_number(&cfg, CONFIG_ACCEL), CONFIG_ACCEL_TCG);
	assert_int_equal(config_set(&cfg, "start_timeout_tcg", "3m", CONFIG_NODE, &e), 0);
	assert_int_equal(config_number(&cfg, CONFIG_START_TIMEOUT_TCG), 180000);
	assert_int_equal(config_set(&cfg, "default_memory", "1.5g", CONFIG_NODE, &e), 0);
	assert_int_equal(config_number(&cfg, CONFIG_DEFAULT_MEMORY), UINT64_C(3) << 29);
	assert_int_equal(config_set(&cfg, "uid_count", "1", CONFIG_NODE, &e), 0);
	assert_int_equal(config_number(&cfg, CONFIG_UID_COUNT), 1);
	assert_int_equal(config_set(&cfg, "run_dir", "/x/y", CONFIG_NODE, &e), 0);
	assert_string_equal(config_text(&cfg, CONFIG_RUN_DIR), "/x/y");
	assert_int_equal(config_set(&cfg, "qemu", "", CONFIG_NODE, &e), 0);
	assert_string_equal(config_text(&cfg, CONFIG_QEMU), "");
}

static void names_the_nearest_key(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(config_set(&cfg, "acel", "tcg", CONFIG_NODE, &e), -ENOENT);
	assert_string_equal(e.msg, "set 'acel': there is no such key; the nearest is 'accel'");
	assert_int_equal(e.code, ERR_CONFIG);
	assert_int_equal(config_set(&cfg, "xyz", "tcg", CONFIG_NODE, &e), -ENOENT);
	assert_string_equal(e.msg,
			    "set 'xyz': there is no such key; 'casemate config keys' lists them");
	/* A pod is not pointed to a key it may not set. */
	assert_int_equal(config_set(&cfg, "qemuu", "x", CONFIG_POD, &e), -ENOENT);
	assert_null(strstr(e.msg, "nearest"));
}

static void lets_a_pod_set_its_own_keys_only(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(config_set(&cfg, "accel", "tcg", CONFIG_POD, &e), 0);
	assert_int_equal(config_set(&cfg, "qemu", "/bin/sh", CONFIG_POD, &e), -EPERM);
	assert_string_equal(e.msg, "set 'qemu': only the node's configuration may, not a pod");
	assert_string_equal(config_text(&cfg, CONFIG_QEMU), "/usr/bin/qemu-system-x86_64");
	assert_int_equal(config_set(&cfg, "qemu", "/opt/qemu", CONFIG_FLAG, &e), 0);
	assert_string_equal(config_text(&cfg, CONFIG_QEMU), "/opt/qemu");
}

static void lets_the_stronger_source_win_in_any_order(void **state)
{
	(void)state;
	assert_int_equal(config_set(&cfg, "accel", "tcg", CONFIG_FLAG, NULL), 0);
	assert_int_equal(config_set(&cfg, "accel", "kvm", CONFIG_POD, NULL), 0);
	assert_int_equal(config_set(&cfg, "accel", "bad", CONFIG_NODE, NULL), -EINVAL);
	assert_int_equal(config_number(&cfg, CONFIG_ACCEL), CONFIG_ACCEL_TCG);
	assert_int_equal(config_set(&cfg, "accel", "auto", CONFIG_FLAG, NULL), 0);
	assert_int_equal(config_number(&cfg, CONFIG_ACCEL), CONFIG_ACCEL_AUTO);
}

static void says_what_a_key_takes(void **state)
{
	struct err e = { 0 };
	char path[CONFIG_TEXT_MAX + 2];

	(void)state;
	assert_int_equal(config_set(&cfg, "accel", "xen", CONFIG_NODE, &e), -EINVAL);
	assert_string_equal(e.msg, "set 'accel' to 'xen': it takes one of 'auto' 'kvm' 'tcg'");
	assert_int_equal(config_set(&cfg, "default_cpus", "0", CONFIG_NODE, &e), -ERANGE);
	assert_string_equal(e.msg, "set 'default_cpus' to '0': it takes a number, from 1 to 1024");
	assert_int_equal(config_set(&cfg, "default_cpus", "1024", CONFIG_NODE, &e), 0);
	assert_int_equal(config_set(&cfg, "default_cpus", "1025", CONFIG_NODE, &e), -ERANGE);
	assert_int_equal(config_set(&cfg, "default_cpus", "two", CONFIG_NODE, &e), -EINVAL);
	assert_string_equal(e.msg, "set 'default_cpus' to 'two': it takes a number");
	assert_int_equal(config_set(&cfg, "log_size", "1k", CONFIG_NODE, &e), -ERANGE);
	assert_string_equal(
		e.msg, "set 'log_size' to '1k': it takes a size, as '512MiB', from 64KiB to 1GiB");
	assert_int_equal(config_set(&cfg, "start_timeout_kvm", "1s", CONFIG_NODE, &e), 0);
	assert_int_equal(config_set(&cfg, "start_timeout_kvm", "999ms", CONFIG_NODE, &e), -ERANGE);
	assert_string_equal(e.msg, "set 'start_timeout_kvm' to '999ms': it takes a duration, as "
				   "'30s', from 1s to 1h");
	assert_int_equal(config_set(&cfg, "qemu", "qemu", CONFIG_NODE, &e), -EINVAL);
	assert_string_equal(e.msg, "set 'qemu' to 'qemu': it takes an absolute path or nothing");
	assert_int_equal(config_set(&cfg, "qemu", "/a\nb", CONFIG_NODE, &e), -EINVAL);
	memset(path, '/', sizeof(path));
	path[CONFIG_TEXT_MAX + 1] = '\0';
	assert_int_equal(config_set(&cfg, "qemu", path, CONFIG_NODE, &e), -ERANGE);
	path[CONFIG_TEXT_MAX] = '\0';
	assert_int_equal(config_set(&cfg, "qemu", path, CONFIG_NODE, &e), 0);
}

static void writes_values_that_read_back_the_same(void **state)
{
	static const char *const sizes[] = { "64KiB", "65537", "8MiB", "1GiB", "100000KiB" };
	static const char *const durations[] = { "1s", "1001ms", "90s", "2m", "1h" };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		CLEANUP(buf_done) struct buf size = { 0 }, time = { 0 };

		assert_int_equal(config_set(&cfg, "log_size", sizes[i], CONFIG_NODE, NULL), 0);
		assert_int_equal(config_format(&cfg, CONFIG_LOG_SIZE, &size), 0);
		assert_int_equal(size.len, strlen(sizes[i]));
		assert_memory_equal(size.at, sizes[i], size.len);
		assert_int_equal(
			config_set(&cfg, "start_timeout_kvm", durations[i], CONFIG_NODE, NULL), 0);
		assert_int_equal(config_format(&cfg, CONFIG_START_TIMEOUT_KVM, &time), 0);
		assert_int_equal(time.len, strlen(durations[i]));
		assert_memory_equal(time.at, durations[i], time.len);
	}
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		CLEANUP(buf_done) struct buf b = { 0 };
		uint64_t number = cfg.values[i].number;

		assert_int_equal(config_format(&cfg, (enum config_key)i, &b), 0);
		assert_int_equal(buf_add(&b, "", 1), 0);
		assert_int_equal(
			config_set(&cfg, config_key(i)->name, (char *)b.at, CONFIG_FLAG, NULL), 0);
		assert_int_equal(cfg.values[i].number, number);
	}
}

#define WITH_DEFAULTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DEFAULTS(starts_with_the_defaults),
		WITH_DEFAULTS(describes_every_key_once),
		WITH_DEFAULTS(keeps_the_uids_below_the_last),
		WITH_DEFAULTS(sets_values_of_every_type),
		WITH_DEFAULTS(names_the_nearest_key),
		WITH_DEFAULTS(lets_a_pod_set_its_own_keys_only),
		WITH_DEFAULTS(lets_the_stronger_source_win_in_any_order),
		WITH_DEFAULTS(says_what_a_key_takes),
		WITH_DEFAULTS(writes_values_that_read_back_the_same),
	};

	return cmocka_run_group_tests_name("base/config", tests, NULL, NULL);
}
