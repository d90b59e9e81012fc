// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "sys/spawn.h"

enum { NOBODY = 65534, PATIENCE_MS = 10000 };

static char program[] = "/bin/sh", usr_program[] = "/usr/bin/sh", option[] = "-c";
static char *shell = program;

/* Runs a script, whose standard output is returned; *request gives what the test is about. */
static const char *output(struct spawn_request request, const char *script, int *ret_status)
{
	static char text[16384];
	char copy[1024];
	char *argv[] = { shell, option, copy, NULL };
	struct spawn_fd fds[16];
	size_t len = 0;
	struct err err = { 0 };
	int ends[2], pidfd, r;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)snprintf(copy, sizeof(copy), "%s", script);
	for (size_t i = 0; i < request.fd_count; i++)
		fds[i] = request.fds[i];
	fds[request.fd_count++] = (struct spawn_fd){ ends[1], 1 };
	request.fds = fds;
	request.argv = argv;
	r = spawn_start(&request, &pid, &pidfd, &err);
	(void)close(ends[1]);
	if (r < 0)
		fail_msg("%s", err.msg);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(ends[0]);
	assert_int_equal(spawn_wait(pidfd, PATIENCE_MS, ret_status, &err), 0);
	(void)close(pidfd);
	return text;
}

static void says(struct spawn_request request, const char *script, const char *expected)
{
	int status;

	assert_string_equal(output(request, script, &status), expected);
	assert_int_equal(status, 0);
}

static const struct spawn_request plain;

static void returns_the_exit_status_or_the_signal(void **state)
{
	int status;

	(void)state;
	assert_string_equal(output(plain, "exit 42", &status), "");
	assert_int_equal(status, 42);
	(void)output(plain, "kill -9 $$", &status);
	assert_int_equal(status, 128 + SIGKILL);
}

static int memory_with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void places_each_descriptor_where_it_was_wanted(void **state)
{
	cleanup_close int a = memory_with("a"), b = memory_with("b"), c = memory_with("c");
	/* The sources are numbers that are targets of others: a swap, and a chain. */
	const struct spawn_fd fds[] = { { a, b }, { b, a }, { c, c }, { c, 30 }, { a, 0 } };

	(void)state;
	/* Each is a file description of its own only if it was another source. */
	for (int i = 0; i < 2; i++) {
		char script[128], expected[8];

		(void)snprintf(script, sizeof(script),
			       "cat /proc/self/fd/%d /proc/self/fd/%d "
			       "/proc/self/fd/%d /proc/self/fd/30 /proc/self/fd/0",
			       b, a, c);
		(void)snprintf(expected, sizeof(expected), "abcca");
		says((struct spawn_request){ .fds = fds, .fd_count = ARRAY_SIZE(fds) }, script,
		     expected);
	}
}

/* Where the copies on the way would lie if they were not put above all targets. */
static void targets_may_be_the_next_free_numbers(void **state)
{
	cleanup_close int a = memory_with("a"), b = memory_with("b");
	struct spawn_fd fds[12];
	char script[256] = "cat", expected[ARRAY_SIZE(fds) + 1] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		size_t len = strlen(script);

		fds[i] = (struct spawn_fd){ i % 3 ? a : b, b + (int)(ARRAY_SIZE(fds) - i) };
		(void)snprintf(script + len, sizeof(script) - len, " /proc/self/fd/%d",
			       fds[i].target);
		expected[i] = i % 3 ? 'a' : 'b';
	}
	says((struct spawn_request){ .fds = fds, .fd_count = ARRAY_SIZE(fds) }, script, expected);
}

static void nothing_else_is_open(void **state)
{
	cleanup_close int open_fd = dup2(STDIN_FILENO, 100); /* without close-on-exec */
	cleanup_close int own_fd = memory_with("x");
	const struct spawn_fd fds[] = { { own_fd, 7 } };
	char expected[64];

	(void)state;
	assert_int_equal(open_fd, 100);
	/* ls has 3 for the folder it lists. */
	(void)snprintf(expected, sizeof(expected), "0\n1\n2\n3\n7\n");
	says((struct spawn_request){ .fds = fds, .fd_count = 1 }, "ls /proc/self/fd", expected);
	says(plain, "readlink /proc/self/fd/0 /proc/self/fd/2", "/dev/null\n/dev/null\n");
}

static void environment_is_what_was_given(void **state)
{
	char one[] = "ONE=1";
	char *envp[] = { one, NULL };

	(void)state;
	assert_int_equal(setenv("SECRET", "x", 1), 0);
	says(plain, "echo $SECRET$ONE.", ".\n");
	says((struct spawn_request){ .envp = envp }, "echo $SECRET$ONE.", "1.\n");
}

static void signals_and_mask_are_those_of_a_new_process(void **state)
{
	sigset_t set;
	int status;
	const char *text;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	text = output(plain, "grep -E '^Sig(Blk|Ign)' /proc/self/status", &status);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	/* The caller's own are as they were. */
	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	assert_false(sigismember(&set, SIGUSR1));
	assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
	assert_ptr_equal(signal(SIGINT, SIG_DFL), SIG_IGN);
}

static void has_a_session_a_folder_and_a_mask_of_its_own(void **state)
{
	(void)state;
	says(plain, "umask; pwd; test $(ps -o sid= -p $$) = $$ && echo leader",
	     "0077\n/\nleader\n");
}

static void gains_nothing_and_holds_nothing(void **state)
{
	(void)state;
	says(plain, "grep -E '^(NoNewPrivs|Cap(Inh|Prm|Eff|Amb))' /proc/self/status",
	     "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
	     "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
	if (geteuid() == 0)
		says(plain, "grep ^CapBnd /proc/self/status", "CapBnd:\t0000000000000000\n");
}

static void keeps_capabilities_if_told_to(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_string_not_equal(output((struct spawn_request){ .keep_caps = true },
				       "grep ^CapEff /proc/self/status", &status),
				"CapEff:\t0000000000000000\n");
}

static void becomes_another_user_for_good(void **state)
{
	const struct spawn_request request = { .uid = NOBODY, .gid = NOBODY, .set_ids = true };
	const gid_t group = 5;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(setgroups(1, &group), 0);
	says(request, "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status",
	     "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:\t \n"
	     "CapEff:\t0000000000000000\n");
}

static void keeps_to_limits(void **state)
{
	struct spawn_request request = {
		.limits = { .nofile = 40, .fsize_bytes = 1 << 20, .memlock_bytes = 1 << 16 }
	};

	(void)state;
	says(request, "ulimit -n; ulimit -Hn; ulimit -f; ulimit -l; ulimit -c",
	     "40\n40\n2048\n64\n0\n");
	request.limits.core_bytes = 512 * 7;
	if (geteuid() == 0)
		says(request, "ulimit -Hc", "7\n");
}

static void error_is(const struct spawn_request *request, int num, const char *text)
{
	struct err err = { 0 };
	int pidfd = -1;
	pid_t pid = -1;

	assert_int_equal(spawn_start(request, &pid, &pidfd, &err), num);
	assert_string_equal(err.msg, text);
	assert_int_equal(pidfd, -1);
	assert_int_equal(pid, -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child stays behind */
	assert_int_equal(errno, ECHILD);
}

static void says_which_step_went_wrong(void **state)
{
	char absent[] = "/no/such/program", folder[] = "/tmp";
	char *argv[] = { absent, NULL };
	struct spawn_request request = { .argv = argv };

	(void)state;
	error_is(&request, -ENOENT, "start '/no/such/program': exec: No such file or directory");
	request.isolate = true;
	error_is(&request, -ENOENT, "start '/no/such/program': exec: No such file or directory");
	argv[0] = folder;
	error_is(&request, -EACCES, "start '/tmp': exec: Permission denied");
	if (geteuid() != 0) {
		request = (struct spawn_request){ .argv = argv, .set_ids = true };
		error_is(&request, -EPERM,
			 "start '/tmp': leave all groups: Operation not permitted");
	}
}

static void refuses_a_table_that_cannot_be(void **state)
{
	struct spawn_fd fds[SPAWN_FDS_MAX + 1];
	char *argv[] = { program, NULL };
	struct spawn_request request = { .argv = argv, .fds = fds, .fd_count = 1 };

	(void)state;
	fds[0] = (struct spawn_fd){ 0, SPAWN_TARGET_MAX + 1 };
	error_is(&request, -EINVAL, "start '/bin/sh': target 256 of descriptor 0 is out of range");
	fds[0] = (struct spawn_fd){ 0, -1 };
	error_is(&request, -EINVAL, "start '/bin/sh': target -1 of descriptor 0 is out of range");
	fds[0] = (struct spawn_fd){ 9999, 3 };
	error_is(&request, -EBADF,
		 "start '/bin/sh': descriptor 9999 for target 3: Bad file descriptor");
	fds[0] = fds[1] = (struct spawn_fd){ 0, 3 };
	request.fd_count = 2;
	error_is(&request, -EINVAL, "start '/bin/sh': target 3 of descriptor 0 is taken");
	request.fd_count = SPAWN_FDS_MAX + 1;
	error_is(&request, -EINVAL, "start '/bin/sh': 129 descriptors are more than 128");
	request = (struct spawn_request){ 0 };
	error_is(&request, -EINVAL, "start a program: there is no program");
}

static void takes_a_table_at_its_limits(void **state)
{
	struct spawn_fd fds[SPAWN_FDS_MAX];
	char truth[] = "/bin/true";
	char *argv[] = { truth, NULL };
	const struct spawn_request request = { .argv = argv,
					       .fds = fds,
					       .fd_count = SPAWN_FDS_MAX };
	struct err err = { 0 };
	int pidfd, status;
	pid_t pid;

	(void)state;
	for (int i = 0; i < SPAWN_FDS_MAX; i++)
		fds[i] = (struct spawn_fd){ 0, SPAWN_TARGET_MAX - i };
	if (spawn_start(&request, &pid, &pidfd, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(spawn_wait(pidfd, PATIENCE_MS, &status, &err), 0);
	assert_int_equal(status, 0);
	(void)close(pidfd);
}

static void waiting_has_an_end(void **state)
{
	char sleeper[] = "/bin/sleep", time[] = "100";
	char *argv[] = { sleeper, time, NULL };
	const struct spawn_request request = { .argv = argv };
	struct err err = { 0 };
	int pidfd, status = -1;
	pid_t pid;

	(void)state;
	assert_int_equal(spawn_start(&request, &pid, &pidfd, &err), 0);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(spawn_wait(pidfd, 10, &status, &err), -ETIMEDOUT);
	assert_int_equal(status, -1);
	assert_int_equal(spawn_kill(pidfd, SIGTERM), 0);
	assert_int_equal(spawn_wait(pidfd, -1, &status, &err), 0);
	assert_int_equal(status, 128 + SIGTERM);
	assert_int_equal(spawn_wait(pidfd, -1, &status, &err), -ECHILD);
	assert_int_equal(spawn_kill(pidfd, SIGTERM), -ESRCH);
	(void)close(pidfd);
}

/* A parent that is killed takes its child with it, whatever namespaces the child is in. */
static void dies_with_its_parent(bool isolate, bool set_ids)
{
	char sleeper[] = "/bin/sleep", time[] = "100";
	char *argv[] = { sleeper, time, NULL };
	struct spawn_fd fds[1];
	const struct spawn_request request = { .argv = argv,
					       .fds = fds,
					       .fd_count = 1,
					       .isolate = isolate,
					       .die_with_parent = true,
					       .set_ids = set_ids,
					       .uid = NOBODY,
					       .gid = NOBODY };
	int ends[2], ready[2], pidfd, status;
	char byte;
	pid_t parent, pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	fds[0] = (struct spawn_fd){ ends[1], 5 };
	parent = fork();
	if (parent == 0) {
		if (spawn_start(&request, &pid, &pidfd, NULL) < 0)
			_exit(1);
		(void)close(ends[1]);
		_exit(write(ready[1], "x", 1) == 1 && pause() == 0 ? 0 : 1);
	}
	(void)close(ends[1]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = ends[0] }, 1, 50), 0); /* it lives */
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	/* The child alone has held the pipe's end. */
	assert_int_equal(poll(&(struct pollfd){ .fd = ends[0] }, 1, PATIENCE_MS), 1);
	(void)close(ends[0]);
	(void)close(ready[0]);
}

static void never_outlives_its_parent(void **state)
{
	(void)state;
	dies_with_its_parent(false, false);
	dies_with_its_parent(true, false);
	if (geteuid() == 0) {
		dies_with_its_parent(false, true);
		dies_with_its_parent(true, true);
	}
}

static void sees_only_its_own_namespaces(void **state)
{
	enum spawn_isolation isolation;
	struct spawn_request request = { .isolate = true, .ret_isolation = &isolation };
	int status;

	(void)state;
	if (geteuid() == 0) {
		request.set_ids = true;
		request.uid = request.gid = NOBODY;
	}
	/* What isn't there is no error, only less. */
	(void)output(request, "exit 0", &status);
	assert_int_equal(status, 0);
	print_message("isolation %d\n", (int)isolation);
	if (isolation == SPAWN_SHARED)
		skip();
	says(request, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; echo $$", "lo\n1\n");
	assert_true(isolation >= SPAWN_NAMESPACES);
}

static void sees_nothing_of_the_host_in_a_root_of_its_own(void **state)
{
	static char usr_sh[] = "/usr/bin/sh";
	char script[] = "cd /; echo *; echo /dev/*; touch /x /usr/x /dev/x; "
			"test -e /proc/self/exe && test ! -e /x -a ! -e /dev/x && "
			"test $(grep -c '^[^ ]* / ' /proc/mounts) = 1 && echo ok";
	char *argv[] = { usr_sh, option, script, NULL };
	enum spawn_isolation isolation;
	struct spawn_request request = {
		.argv = argv, .isolate = true, .fd_count = 1, .ret_isolation = &isolation
	};
	struct spawn_fd fds[1];
	struct err err = { 0 };
	char text[512] = "";
	int ends[2], pidfd, status;
	ssize_t n;
	pid_t pid;

	(void)state;
	if (access(usr_sh, X_OK) < 0)
		skip();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fds[0] = (struct spawn_fd){ ends[1], 1 };
	request.fds = fds;
	if (spawn_start(&request, &pid, &pidfd, &err) < 0)
		fail_msg("%s", err.msg);
	(void)close(ends[1]);
	for (size_t len = 0; (n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0;)
		len += (size_t)n;
	(void)close(ends[0]);
	assert_int_equal(spawn_wait(pidfd, PATIENCE_MS, &status, &err), 0);
	(void)close(pidfd);
	if (isolation != SPAWN_ROOT)
		skip();
	assert_int_equal(status, 0);
	assert_null(strstr(text, "home"));
	assert_null(strstr(text, "tmp"));
	assert_non_null(strstr(text, "proc"));
	assert_non_null(strstr(text, "/dev/null /dev/urandom\n"));
	assert_non_null(strstr(text, "ok\n"));
}

static void shows_devices_in_its_own_root_when_it_is_told_to(void **state)
{
	static const char *const nodes[] = { "zero", "no-such-folder/no-such-node", NULL };
	enum spawn_isolation isolation;
	struct spawn_request request = { .isolate = true,
					 .ret_isolation = &isolation,
					 .nodes = nodes };
	const char *text;
	int status;

	(void)state;
	if (access(usr_program, X_OK) < 0)
		skip();
	shell = usr_program; /* that is what it finds there */
	text = output(request,
		      "echo /dev/*; test -d /sys/devices && echo sys; head -c 2 /dev/zero | "
		      "wc -c; touch /sys/x || echo read-only",
		      &status);
	shell = program;
	if (isolation != SPAWN_ROOT)
		skip();
	assert_string_equal(text, "/dev/no-such-folder /dev/null /dev/urandom /dev/zero\n"
				  "sys\n2\nread-only\n");
}

static size_t read_mounts(char *ret, size_t size)
{
	cleanup_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, ret + len, size - len)) > 0)
		len += (size_t)n;
	return len;
}

/* Where mounts are shared, as systemd has it, what is mounted in a copy comes back. */
static void leaves_no_mount_on_the_host(void **state)
{
	static char before[65536], after[65536];
	size_t len;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0)
			(void)mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
		len = read_mounts(before, sizeof(before));
		(void)output((struct spawn_request){ .isolate = true }, "exit 0", &status);
		_exit(len > 0 && read_mounts(after, sizeof(after)) == len &&
				      memcmp(before, after, len) == 0
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returns_the_exit_status_or_the_signal),
		cmocka_unit_test(places_each_descriptor_where_it_was_wanted),
		cmocka_unit_test(targets_may_be_the_next_free_numbers),
		cmocka_unit_test(nothing_else_is_open),
		cmocka_unit_test(environment_is_what_was_given),
		cmocka_unit_test(signals_and_mask_are_those_of_a_new_process),
		cmocka_unit_test(has_a_session_a_folder_and_a_mask_of_its_own),
		cmocka_unit_test(gains_nothing_and_holds_nothing),
		cmocka_unit_test(keeps_capabilities_if_told_to),
		cmocka_unit_test(becomes_another_user_for_good),
		cmocka_unit_test(keeps_to_limits),
		cmocka_unit_test(says_which_step_went_wrong),
		cmocka_unit_test(refuses_a_table_that_cannot_be),
		cmocka_unit_test(takes_a_table_at_its_limits),
		cmocka_unit_test(waiting_has_an_end),
		cmocka_unit_test(never_outlives_its_parent),
		cmocka_unit_test(sees_only_its_own_namespaces),
		cmocka_unit_test(sees_nothing_of_the_host_in_a_root_of_its_own),
		cmocka_unit_test(shows_devices_in_its_own_root_when_it_is_told_to),
		cmocka_unit_test(leaves_no_mount_on_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
