// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/lockfile.h"

static int proc_fd = -1;

static int setup(void **state)
{
	assert_int_equal(file_open_dir(AT_FDCWD, "/proc", &proc_fd, NULL), 0);
	return folder_set_up(state);
}

static int teardown(void **state)
{
	(void)close(proc_fd);
	return folder_tear_down(state);
}

static struct bytes text(const char *s)
{
	return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

static void lets_one_have_it(void **state)
{
	struct err e = { 0 };
	int one_fd = -1, other_fd = -1;
	struct stat st;

	(void)state;
	assert_int_equal(lockfile_open(folder_fd, "a", false, 0, &one_fd, &e), -ENOENT);
	assert_int_equal(lockfile_open(folder_fd, "a", true, 0, &one_fd, &e), 0);
	assert_int_equal(fstat(one_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(one_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(lockfile_open(folder_fd, "a", true, 0, &other_fd, &e), -EWOULDBLOCK);
	assert_int_equal(lockfile_open(folder_fd, "a", false, 20, &other_fd, &e), -EWOULDBLOCK);
	assert_int_equal(other_fd, -1);
	(void)close(one_fd);
	assert_int_equal(lockfile_open(folder_fd, "a", false, 0, &other_fd, &e), 0);
	(void)close(other_fd);
	assert_int_equal(symlinkat("a", folder_fd, "link"), 0);
	assert_int_equal(lockfile_open(folder_fd, "link", true, 0, &other_fd, &e), -ELOOP);
}

/* A child waits for a file whose owner removes it: the child must end with a file of that name. */
static void never_ends_with_a_file_that_was_removed(void **state)
{
	int fd = -1, status = 0;
	pid_t child;

	assert_int_equal(lockfile_open(folder_fd, "a", true, 0, &fd, NULL), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct stat ours, named;
		int mine_fd = -1;

		(void)close(fd);
		if (lockfile_open(folder_fd, "a", true, 10000, &mine_fd, NULL) < 0)
			_exit(1);
		if (fstat(mine_fd, &ours) < 0 || fstatat(folder_fd, "a", &named, 0) < 0)
			_exit(2);
		_exit(ours.st_ino == named.st_ino ? 0 : 3);
	}
	(void)usleep(100000);
	assert_int_equal(unlinkat(folder_fd, "a", 0), 0);
	if (*state) /* another file has the name already */
		(void)close(openat(folder_fd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	(void)close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void never_ends_with_a_file_that_was_replaced(void **state)
{
	int yes = 1;
	void *replaced = &yes;

	(void)state;
	never_ends_with_a_file_that_was_removed(&replaced);
}

static void adds_at_the_end_or_not_at_all(void **state)
{
	struct rlimit small = { 6, RLIM_INFINITY }, old;
	CLEANUP(buf_done) struct buf b = { 0 };
	struct err e = { 0 };
	size_t len = 0;
	int fd = -1, r;

	(void)state;
	assert_int_equal(lockfile_open(folder_fd, "a", true, 0, &fd, &e), 0);
	assert_int_equal(lockfile_append(fd, text("abc\n"), &len, &e), 0);
	assert_int_equal(len, 4);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = lockfile_append(fd, text("defg\n"), &len, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_string_equal(e.msg, "write 5 bytes: File too large");
	assert_int_equal(len, 4);
	assert_int_equal(file_read(folder_fd, "a", 100, &b, NULL), 0);
	assert_int_equal(b.len, 4);
	assert_int_equal(lockfile_append(fd, text("x\n"), &len, &e), 0);
	b.len = 0;
	assert_int_equal(file_read(folder_fd, "a", 100, &b, NULL), 0);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.at, "abc\nx\n", 6);
	(void)close(fd);
}

static pid_t sleeping_child(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)sleep(60);
		_exit(0);
	}
	return child;
}

static void kills_who_holds_the_lock_and_nobody_else(void **state)
{
	int locked_fd = -1, other_fd = -1, plain_fd, status = 0;
	pid_t holder, other, reader;

	(void)state;
	assert_int_equal(lockfile_open(folder_fd, "other", true, 0, &other_fd, NULL), 0);
	other = sleeping_child();
	(void)close(other_fd);
	assert_int_equal(lockfile_open(folder_fd, "a", true, 0, &locked_fd, NULL), 0);
	holder = sleeping_child();
	(void)close(locked_fd);
	plain_fd = openat(folder_fd, "a", O_RDONLY | O_CLOEXEC);
	assert_true(plain_fd >= 0);
	reader = sleeping_child(); /* has it open, but not the lock */

	assert_int_equal(file_lock(plain_fd, true, 0), -EWOULDBLOCK);
	assert_int_equal(lockfile_kill_holders(proc_fd, plain_fd, NULL), 1);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(file_lock(plain_fd, true, 5000), 0);
	assert_int_equal(waitpid(other, &status, WNOHANG), 0);
	assert_int_equal(waitpid(reader, &status, WNOHANG), 0);
	(void)kill(other, SIGKILL);
	(void)kill(reader, SIGKILL);
	(void)waitpid(other, &status, 0);
	(void)waitpid(reader, &status, 0);
	assert_int_equal(lockfile_kill_holders(proc_fd, plain_fd, NULL), 0);
	(void)close(plain_fd);
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_DIRECTORY(lets_one_have_it),
		IN_A_DIRECTORY(never_ends_with_a_file_that_was_removed),
		IN_A_DIRECTORY(never_ends_with_a_file_that_was_replaced),
		IN_A_DIRECTORY(adds_at_the_end_or_not_at_all),
		IN_A_DIRECTORY(kills_who_holds_the_lock_and_nobody_else),
	};

	return cmocka_run_group_tests_name("sys/lockfile", tests, NULL, NULL);
}
