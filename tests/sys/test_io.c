// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "sys/io.h"

static struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void writes_and_reads_at_places(void **state)
{
	cleanup_close int fd = -1;
	char text[16] = "................";
	size_t len;

	(void)state;
	assert_int_equal(io_create(folder_fd, "f", &fd, NULL), 0);
	assert_int_equal(io_write_at(fd, 5, text_bytes("abc"), NULL), 0);
	assert_int_equal(io_write_at(fd, 0, text_bytes("01"), NULL), 0);
	assert_int_equal(io_read_at(fd, 0, text, 8, &len, NULL), 0);
	assert_int_equal(len, 8);
	assert_memory_equal(text, "01\0\0\0abc.", 9);
	assert_int_equal(io_read_at(fd, 6, text, 8, &len, NULL), 0);
	assert_int_equal(len, 2);
	assert_int_equal(io_read_at(fd, 100, text, 8, &len, NULL), 0);
	assert_int_equal(len, 0);
	assert_int_equal(io_read_at(-1, 0, text, 8, &len, NULL), -EBADF);
	assert_int_equal(io_write_at(-1, 0, text_bytes("x"), NULL), -EBADF);
}

static void finds_data_between_holes(void **state)
{
	cleanup_close int fd = -1;
	uint64_t start, end, offset = 0, stretches = 0;
	const uint64_t size = 64 << 20;

	(void)state;
	assert_int_equal(io_create(folder_fd, "f", &fd, NULL), 0);
	assert_int_equal(io_write_at(fd, 10 << 20, text_bytes("data"), NULL), 0);
	assert_int_equal(io_write_at(fd, 30 << 20, text_bytes("data"), NULL), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	while (offset < size) {
		assert_int_equal(io_next_data(fd, offset, size, &start, &end, NULL), 0);
		assert_true(start >= offset && start <= end && end <= size);
		stretches += end > start;
		offset = end;
	}
	assert_in_range(stretches, 1, 2); /* one where holes are not known */
	assert_int_equal(io_next_data(fd, size, size, &start, &end, NULL), 0);
	assert_true(start == size && end == size);
	/* what has grown since its size was asked is cut */
	assert_int_equal(io_next_data(fd, 10 << 20, (10 << 20) + 2, &start, &end, NULL), 0);
	assert_true(end == (10 << 20) + 2);
}

static void replaces_a_file_when_it_is_whole(void **state)
{
	cleanup_close int fd = -1, old_fd = -1;
	char text[8];
	size_t len;

	(void)state;
	assert_int_equal(io_create(folder_fd, "tmp", &fd, NULL), 0);
	assert_int_equal(io_write_at(fd, 0, text_bytes("old"), NULL), 0);
	assert_int_equal(io_publish(folder_fd, fd, "tmp", "name", NULL), 0);
	close(fd);
	assert_int_equal(io_open_own(folder_fd, "name", &old_fd, NULL), 0);
	assert_int_equal(io_create(folder_fd, "tmp", &fd, NULL), 0);
	assert_int_equal(io_write_at(fd, 0, text_bytes("half"), NULL), 0);
	close(fd);
	assert_int_equal(io_create(folder_fd, "tmp", &fd, NULL), 0); /* begins anew */
	assert_int_equal(io_write_at(fd, 0, text_bytes("new"), NULL), 0);
	assert_int_equal(io_publish(folder_fd, fd, "tmp", "name", NULL), 0);
	assert_int_equal(io_read_at(old_fd, 0, text, 8, &len, NULL), 0);
	assert_memory_equal(text, "old", 3);
	close(old_fd);
	assert_int_equal(io_open(folder_fd, "name", &old_fd, NULL), 0);
	assert_int_equal(io_read_at(old_fd, 0, text, 8, &len, NULL), 0);
	assert_memory_equal(text, "new", 3);
	assert_int_equal(io_open(folder_fd, "tmp", &fd, NULL), -ENOENT);
	assert_int_equal(io_publish(folder_fd, old_fd, "none", "name", NULL), -ENOENT);
	assert_int_equal(io_remove(folder_fd, "name", NULL), 0);
	assert_int_equal(io_remove(folder_fd, "name", NULL), 0);
}

static void trusts_only_its_own_files(void **state)
{
	cleanup_close int fd = -1;
	int none = -7;

	(void)state;
	assert_int_equal(io_create(folder_fd, "f", &fd, NULL), 0);
	assert_int_equal(fchmod(fd, 0620), 0);
	assert_int_equal(io_open_own(folder_fd, "f", &none, NULL), -EPERM);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(symlinkat("f", folder_fd, "link"), 0);
	assert_int_equal(io_open_own(folder_fd, "link", &none, NULL), -ELOOP);
	assert_int_equal(mkfifoat(folder_fd, "fifo", 0600), 0);
	assert_int_equal(io_open_own(folder_fd, "fifo", &none, NULL), -EPERM);
	assert_int_equal(io_open_own(folder_fd, ".", &none, NULL), -EPERM);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 1, 1), 0);
		assert_int_equal(io_open_own(folder_fd, "f", &none, NULL), -EPERM);
	}
	assert_int_equal(none, -7);
}

static void knows_a_lock_that_was_removed(void **state)
{
	cleanup_close int fd = -1, other = -1;

	(void)state;
	assert_int_equal(io_open_lock(folder_fd, "l", &fd, NULL), 0);
	assert_true(io_is_named(folder_fd, "l", fd));
	assert_int_equal(io_remove(folder_fd, "l", NULL), 0);
	assert_false(io_is_named(folder_fd, "l", fd));
	assert_int_equal(io_open_lock(folder_fd, "l", &other, NULL), 0);
	assert_false(io_is_named(folder_fd, "l", fd));
	assert_true(io_is_named(folder_fd, "l", other));
	assert_int_equal(symlinkat("l", folder_fd, "link"), 0);
	assert_int_equal(io_open_lock(folder_fd, "link", &other, NULL), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_and_reads_at_places, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(finds_data_between_holes, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(replaces_a_file_when_it_is_whole, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(trusts_only_its_own_files, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(knows_a_lock_that_was_removed, folder_set_up,
						folder_tear_down),
	};

	return cmocka_run_group_tests_name("sys/io", tests, NULL, NULL);
}
