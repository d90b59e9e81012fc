/* SPDX-License-Identifier: Apache-2.0 */
/* folder - a directory in /tmp of a test's own: the set-up makes it, the tear-down removes it. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/file.h"

static char folder_path[32];
static int folder_fd = -1;

static inline int folder_set_up(void **state)
{
	(void)state;
	(void)snprintf(folder_path, sizeof(folder_path), "/tmp/casemate-test-XXXXXX");
	assert_non_null(mkdtemp(folder_path));
	return file_open_dir(AT_FDCWD, folder_path, &folder_fd, NULL);
}

static inline int folder_tear_down(void **state)
{
	struct err err = { 0 };
	int tmp_fd;

	(void)state;
	(void)close(folder_fd);
	assert_int_equal(file_open_dir(AT_FDCWD, "/tmp", &tmp_fd, NULL), 0);
	if (file_remove_tree(tmp_fd, folder_path + strlen("/tmp/"), &err) < 0)
		fail_msg("%s", err.msg);
	return close(tmp_fd);
}

#endif
