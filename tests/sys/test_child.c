// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/child.h"

static char shell[] = "/bin/sh", option[] = "-c";

static pid_t start(char *script, int out_fd)
{
	const int stdio_fds[3] = { STDIN_FILENO, out_fd, STDERR_FILENO };
	char *const argv[] = { shell, option, script, NULL };
	static char variable[] = "GREETING=hello";
	char *const envp[] = { variable, NULL };
	pid_t pid = -1;

	assert_int_equal(child_start(argv, envp, stdio_fds, &pid, NULL), 0);
	assert_true(pid > 0);
	return pid;
}

static void ends_are_told_with_their_status(void **state)
{
	char seven[] = "exit 7", killed[] = "kill -9 $$";
	uint32_t status = 0;
	pid_t pid, ended;

	(void)state;
	pid = start(seven, STDOUT_FILENO);
	assert_int_equal(child_wait(&ended, &status), 0);
	assert_int_equal(ended, pid);
	assert_int_equal(status, 7);
	pid = start(killed, STDOUT_FILENO);
	assert_int_equal(child_wait(&ended, &status), 0);
	assert_int_equal(ended, pid);
	assert_int_equal(status, 137);
	assert_int_equal(child_wait(&ended, &status), -ECHILD);
}

static void a_child_gets_its_streams_and_environment_only(void **state)
{
	char script[] = "echo $GREETING; test -e /proc/$$/fd/77; echo $?";
	int fds[2], extra_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 77);
	char said[64] = { 0 };
	uint32_t status;
	pid_t ended;

	(void)state;
	assert_int_equal(extra_fd, 77);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)start(script, fds[1]);
	(void)close(fds[1]);
	assert_int_equal(child_wait(&ended, &status), 0);
	assert_true(read(fds[0], said, sizeof(said) - 1) > 0);
	assert_string_equal(said, "hello\n1\n");
	(void)close(fds[0]);
	(void)close(extra_fd);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
	const int stdio_fds[3] = { 0, 1, 2 };
	char none[] = "/nonexistent";
	char *const argv[] = { none, NULL };
	char *const envp[] = { NULL };
	struct err err = { 0 };
	pid_t pid = -1;

	(void)state;
	assert_int_equal(child_start(argv, envp, stdio_fds, &pid, &err), -ENOENT);
	assert_int_equal(pid, -1);
	assert_string_equal(err.msg, "start '/nonexistent': No such file or directory");
}

static void watching_sees_every_end_and_children_see_signals(void **state)
{
	char quick[] = "exit 1", ignored[] = "kill -PIPE $$; exit 3";
	struct pollfd wait = { .events = POLLIN };
	uint32_t status = 0;
	int fd, seen = 0;
	pid_t pid;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(child_watch(&fd, NULL), 0);
	assert_int_equal(child_next(fd, &pid, &status), -ECHILD);
	for (int i = 0; i < 5; i++)
		(void)start(quick, STDOUT_FILENO);
	wait.fd = fd;
	while (seen < 5) {
		assert_int_equal(poll(&wait, 1, 5000), 1);
		while (child_next(fd, &pid, &status) == 0) {
			assert_int_equal(status, 1);
			seen++;
		}
	}
	/* what this process ignores, its children don't */
	(void)start(ignored, STDERR_FILENO);
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(child_next(fd, &pid, &status), 0);
	assert_int_equal(status, 128 + SIGPIPE);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_told_with_their_status),
		cmocka_unit_test(a_child_gets_its_streams_and_environment_only),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error),
		cmocka_unit_test(watching_sees_every_end_and_children_see_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
