// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>

#include "sys/module.h"

static void what_is_not_there_is_named(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(module_load(folder_fd, "none.ko", &err), -ENOENT);
	assert_string_equal(err.msg, "load module 'none.ko': No such file or directory");
}

/* As root the kernel looks at it, else it doesn't. */
static void what_is_no_module_is_refused(void **state)
{
	int fd = openat(folder_fd, "bad.ko", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), r;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	(void)close(fd);
	r = module_load(folder_fd, "bad.ko", NULL);
	assert_true(r == -ENOEXEC || r == -EPERM || r == -ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_is_named),
		cmocka_unit_test(what_is_no_module_is_refused),
	};

	return cmocka_run_group_tests(tests, folder_set_up, folder_tear_down);
}
