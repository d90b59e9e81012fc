// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lease/rundir.h"

/* A user's own directories: as root the tests take another user's place. */
static char tmp[64], user[64], private_path[96];
static int run_fd = -1;
static char *run_path;
static struct err e;

static int setup(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	if (getuid() == 0) {
		assert_int_equal(chown(folder_path, 65533, 65533), 0);
		assert_int_equal(seteuid(65533), 0);
	}
	(void)snprintf(tmp, sizeof(tmp), "%s/tmp", folder_path);
	(void)snprintf(user, sizeof(user), "%s/user", folder_path);
	(void)snprintf(private_path, sizeof(private_path), "%s/casemate-%u", tmp, geteuid());
	assert_int_equal(mkdir(tmp, 0777), 0);
	assert_int_equal(mkdir(user, 0700), 0);
	e = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	if (run_fd >= 0)
		(void)close(run_fd);
	run_fd = -1;
	free(run_path);
	run_path = NULL;
	assert_int_equal(seteuid(getuid()), 0);
	return folder_tear_down(state);
}

static int find(const char *configured, const char *xdg)
{
	const struct lease_run_dir_opts opts = {
		.configured = configured,
		.user = xdg,
		.system = "/nowhere",
		.tmp = tmp,
		.uid = geteuid(),
	};

	return lease_run_dir_find(&opts, &run_fd, &run_path, &e);
}

static void assert_private(const char *path)
{
	struct stat st, opened;

	assert_string_equal(run_path, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(fstat(run_fd, &opened), 0);
	assert_int_equal(st.st_ino, opened.st_ino);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid());
}

static void makes_what_is_configured(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a/b", folder_path);
	assert_int_equal(find(path, user), 0);
	assert_private(path);
}

static void takes_the_users_run_directory(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/casemate", user);
	assert_int_equal(find("", user), 0);
	assert_private(path);
}

static void takes_root_to_the_systems_directory(void **state)
{
	const struct lease_run_dir_opts opts = {
		.configured = "",
		.user = user,
		.system = user,
		.tmp = tmp,
		.uid = 0,
	};
	char path[96];

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(seteuid(0), 0);
	(void)snprintf(path, sizeof(path), "%s/casemate", user);
	assert_int_equal(lease_run_dir_find(&opts, &run_fd, &run_path, &e), 0);
	assert_private(path);
}

static void falls_back_to_tmp(void **state)
{
	(void)state;
	assert_int_equal(find("", NULL), 0);
	assert_private(private_path);
}

static void does_not_trust_a_run_directory_of_somebody_else(void **state)
{
	(void)state;
	assert_int_equal(chmod(user, 0755), 0);
	assert_int_equal(find("", user), 0); /* not private */
	assert_private(private_path);
	(void)close(run_fd);
	free(run_path);
	assert_int_equal(find("", "relative"), 0);
	assert_private(private_path);
	(void)close(run_fd);
	free(run_path);
	assert_int_equal(find("", geteuid() ? "/root" : "/proc"), 0);
	assert_private(private_path);
}

static void refuses_a_link_in_tmp(void **state)
{
	(void)state;
	assert_int_equal(symlink(user, private_path), 0);
	assert_int_equal(find("", NULL), -ELOOP);
	assert_non_null(strstr(e.msg, "it is a link"));
	assert_int_equal(e.code, ERR_HOST);
	assert_int_equal(run_fd, -1);
	assert_null(run_path);
}

static void refuses_a_directory_that_others_may_enter(void **state)
{
	(void)state;
	assert_int_equal(mkdir(private_path, 0700), 0);
	assert_int_equal(chmod(private_path, 0701), 0);
	assert_int_equal(find("", NULL), -EPERM);
	assert_non_null(strstr(e.msg, "its mode is 0701; it must be 0700"));
}

static void refuses_a_directory_that_another_made_first(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(mkdir(private_path, 0700), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(private_path, 65532, 65532), 0);
	assert_int_equal(chmod(private_path, 0777), 0);
	assert_int_equal(seteuid(65533), 0);
	assert_int_equal(find("", NULL), -EPERM);
	assert_non_null(strstr(e.msg, "it is owned by user 65532, not 65533"));
}

#define AS_A_USER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AS_A_USER(makes_what_is_configured),
		AS_A_USER(takes_the_users_run_directory),
		AS_A_USER(takes_root_to_the_systems_directory),
		AS_A_USER(falls_back_to_tmp),
		AS_A_USER(does_not_trust_a_run_directory_of_somebody_else),
		AS_A_USER(refuses_a_link_in_tmp),
		AS_A_USER(refuses_a_directory_that_others_may_enter),
		AS_A_USER(refuses_a_directory_that_another_made_first),
	};

	return cmocka_run_group_tests_name("lease/rundir", tests, NULL, NULL);
}
