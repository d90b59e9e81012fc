// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../folder.h"
#include "broker/store.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void path_of(const char *name, char ret[4096])
{
	(void)snprintf(ret, 4096, "%s/%s", folder_path, name);
}

static void what_is_put_is_got_by_another_who_reads(void **state)
{
	CLEANUP(broker_store_close) struct broker_store *writer = NULL, *reader = NULL;
	CLEANUP(buf_done) struct buf value = { 0 };
	char path[4096];

	(void)state;
	path_of("s", path);
	assert_int_equal(broker_store_open(path, true, &writer, NULL), 0);
	assert_int_equal(broker_store_put(writer, "a/b/c", bytes_of("one"), NULL), 0);
	assert_int_equal(broker_store_open(path, false, &reader, NULL), 0);
	assert_int_equal(broker_store_get(reader, "a/b/c", &value, NULL), 1);
	assert_int_equal(value.len, 3);
	assert_memory_equal(value.at, "one", 3);
	assert_int_equal(broker_store_get(reader, "a/b/d", &value, NULL), 0);
	assert_int_equal(broker_store_put(writer, "a/b/c", bytes_of("2"), NULL), 0);
	assert_int_equal(broker_store_put(writer, "a/b/d", (struct bytes){ 0 }, NULL), 0);
	value.len = 0;
	assert_int_equal(broker_store_get(reader, "a/b/c", &value, NULL), 1);
	assert_int_equal(value.len, 1);
	assert_int_equal(broker_store_get(reader, "a/b/d", &value, NULL), 1);
	assert_int_equal(value.len, 1);
	assert_int_equal(broker_store_put(reader, "a/b/e", bytes_of("3"), NULL), -EIO);
	assert_int_equal(broker_store_remove(writer, "a/b/c", NULL), 1);
	assert_int_equal(broker_store_remove(writer, "a/b/c", NULL), 0);
	assert_int_equal(broker_store_get(reader, "a/b/c", &value, NULL), 0);
}

static void a_value_has_a_limit_and_a_name_a_form(void **state)
{
	CLEANUP(broker_store_close) struct broker_store *store = NULL;
	cleanup_free uint8_t *large = calloc(1, BROKER_SECRET_MAX + 1);
	char path[4096];

	(void)state;
	path_of("s", path);
	assert_non_null(large);
	assert_int_equal(broker_store_open(path, true, &store, NULL), 0);
	assert_int_equal(broker_store_put(store, "a/b/c",
					  (struct bytes){ large, BROKER_SECRET_MAX }, NULL),
			 0);
	assert_int_equal(broker_store_put(store, "a/b/c",
					  (struct bytes){ large, BROKER_SECRET_MAX + 1 }, NULL),
			 -E2BIG);
	assert_int_equal(broker_store_put(store, "a/b", bytes_of("x"), NULL), -EINVAL);
	assert_int_equal(broker_store_put(store, "a/b/c'; DROP TABLE secret; --", bytes_of("x"),
					  NULL),
			 -EINVAL);
}

static void a_store_of_another_kind_or_open_to_others_is_refused(void **state)
{
	struct broker_store *store = NULL;
	char path[4096], file[8192];
	FILE *made;

	(void)state;
	path_of("none", path);
	assert_int_equal(broker_store_open(path, false, &store, NULL), -ENOENT);
	path_of("s", path);
	assert_int_equal(broker_store_open(path, true, &store, NULL), 0);
	store = broker_store_close(store);
	(void)snprintf(file, sizeof(file), "%s/" BROKER_STORE_FILE, path);
	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(broker_store_open(path, false, &store, NULL), -EPERM);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(chmod(path, 0710), 0);
	assert_int_equal(broker_store_open(path, false, &store, NULL), -EPERM);
	assert_int_equal(broker_store_open(path, true, &store, NULL), -EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	made = fopen(file, "we");
	assert_non_null(made);
	(void)fputs(
		"this is text, and much of it, to be more than a header is: 100 bytes or so .....",
		made);
	(void)fputs(
		"this is text, and much of it, to be more than a header is: 100 bytes or so .....",
		made);
	assert_int_equal(fclose(made), 0);
	assert_true(broker_store_open(path, false, &store, NULL) < 0);
	assert_null(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_is_got_by_another_who_reads,
						folder_set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(a_value_has_a_limit_and_a_name_a_form,
						folder_set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(a_store_of_another_kind_or_open_to_others_is_refused,
						folder_set_up, folder_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
