// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "agent/secrets.h"
#include "base/buf.h"
#include "sys/file.h"

#define CANARY "a secret that is longer than nothing"

static struct secrets_file file_of(const char *name)
{
	return (struct secrets_file){ name, { (const uint8_t *)CANARY, strlen(CANARY) } };
}

static void a_secret_is_for_its_user_alone(void **state)
{
	const struct secrets_file file = file_of("key");
	CLEANUP(buf_done) struct buf text = { 0 };
	struct err err = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(secrets_write(folder_fd, &file, getuid(), getgid(), &err), 0);
	assert_int_equal(fstatat(folder_fd, "key", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_uid, getuid());
	assert_int_equal(file_read(folder_fd, "key", 100, &text, &err), 0);
	assert_int_equal(text.len, strlen(CANARY));
	assert_memory_equal(text.at, CANARY, text.len);
	assert_int_equal(secrets_write(folder_fd, &file, getuid(), getgid(), &err), -EEXIST);
}

static void what_is_overwritten_is_zeros_of_the_same_length(void **state)
{
	static uint8_t large[4096 + 4096 + 1];
	const struct secrets_file files[] = { file_of("key"),
					      { "large", { large, sizeof(large) } },
					      { "none", { large, 0 } } };
	struct err err = { 0 };

	(void)state;
	memset(large, 0x5a, sizeof(large));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(secrets_write(folder_fd, &files[i], getuid(), getgid(), &err), 0);
	/* its own user could not open it for writing; the agent is root */
	if (getuid() != 0)
		skip();
	assert_int_equal(secrets_overwrite(folder_fd, &err), 0);
	for (size_t i = 0; i < 3; i++) {
		CLEANUP(buf_done) struct buf text = { 0 };

		assert_int_equal(file_read(folder_fd, files[i].name, 1 << 20, &text, &err), 0);
		assert_int_equal(text.len, files[i].data.len);
		for (size_t at = 0; at < text.len; at++)
			assert_int_equal(text.at[at], 0);
	}
}

static void too_many_and_too_long_ones_are_refused_before_anything_is_made(void **state)
{
	static uint8_t large[SECRETS_BYTES_MAX + 1];
	struct secrets_file files[SECRETS_MAX + 1];
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < SECRETS_MAX + 1; i++)
		files[i] = file_of("key");
	assert_int_equal(secrets_mount(folder_fd, files, SECRETS_MAX + 1, 0, 0, &err), -E2BIG);
	files[0].data = (struct bytes){ large, sizeof(large) };
	assert_int_equal(secrets_mount(folder_fd, files, 1, 0, 0, &err), -E2BIG);
	assert_int_equal(faccessat(folder_fd, SECRETS_DIR, F_OK, 0), -1);
	secrets_wipe(folder_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_secret_is_for_its_user_alone, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(what_is_overwritten_is_zeros_of_the_same_length,
						folder_set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(
			too_many_and_too_long_ones_are_refused_before_anything_is_made,
			folder_set_up, folder_tear_down),
	};

	return cmocka_run_group_tests_name("agent/secrets", tests, NULL, NULL);
}
