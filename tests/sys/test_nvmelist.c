// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>

#include "sys/nvmelist.h"

/* A controller that answers is the lab's. */
static void what_is_no_controller_is_named(void **state)
{
	struct err err = { 0 };
	size_t count = 7;
	int fd = openat(folder_fd, "nvme1", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(nvmelist_count(folder_fd, "nvme0", &count, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "ask '/dev/nvme0' for its namespaces: No such file or directory");
	assert_int_equal(nvmelist_count(folder_fd, "nvme1", &count, NULL), -ENOTTY);
	assert_int_equal(count, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_controller_is_named),
	};

	return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
