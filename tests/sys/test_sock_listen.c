// SPDX-License-Identifier: Apache-2.0
/* What others see of a name before somebody listens there, and after. */
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

#include "sys/file.h"
#include "sys/sock.h"

static char dir_path[] = "/tmp/test-sock-listen-XXXXXX";
static int dir_fd = -1;
static int listened; /* so often */

int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);

int __wrap_listen(int fd, int backlog)
{
	int client_fd = -1;

	/* -ECONNREFUSED would say that nobody will */
	assert_int_equal(sock_connect(dir_fd, "s", &client_fd, NULL), -ENOENT);
	listened++;
	return __real_listen(fd, backlog);
}

static int setup(void **state)
{
	(void)state;
	memcpy(strrchr(dir_path, '-') + 1, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir_path));
	listened = 0;
	return file_open_dir(AT_FDCWD, dir_path, &dir_fd, NULL);
}

static int teardown(void **state)
{
	(void)state;
	(void)close(dir_fd);
	return rmdir(dir_path); /* which has nothing in it */
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode;
}

static void a_name_is_there_once_somebody_listens(void **state)
{
	int fd, client_fd = -1;

	(void)state;
	assert_int_equal(sock_listen(dir_fd, "s", &fd, NULL), 0);
	assert_int_equal(listened, 1);
	assert_int_equal(mode_of("s"), S_IFSOCK | 0600);
	assert_int_equal(sock_connect(dir_fd, "s", &client_fd, NULL), 0);
	(void)close(client_fd);
	(void)close(fd);
	assert_int_equal(unlinkat(dir_fd, "s", 0), 0);
}

static void one_for_all_is_so_whatever_the_umask(void **state)
{
	const mode_t mask = umask(077);
	int fd;

	(void)state;
	assert_int_equal(sock_listen_for_all(dir_fd, "s", &fd, NULL), 0);
	(void)umask(mask);
	assert_int_equal(mode_of("s"), S_IFSOCK | 0666);
	(void)close(fd);
	assert_int_equal(unlinkat(dir_fd, "s", 0), 0);
}

#define WITH_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_FOLDER(a_name_is_there_once_somebody_listens),
		WITH_A_FOLDER(one_for_all_is_so_whatever_the_umask),
	};

	return cmocka_run_group_tests_name("sys/sock_listen", tests, NULL, NULL);
}
