// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "broker/confine.h"

/* In a process of its own: what it gives up is gone. Each gives 0 or the line that is wrong. */
typedef int inside_fn(void);

static void holds(inside_fn *fn)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(what)                             \
	do {                                    \
		if (!(what))                    \
			return __LINE__ & 0xff; \
	} while (0)

static bool is_denied(int r)
{
	return r < 0 && errno == EPERM;
}

static int without_connect(void)
{
	int fd;

	CHECK(confine_calls(CONFINE_CONNECT) == 0);
	CHECK(is_denied(socket(AF_UNIX, SOCK_STREAM, 0)));
	CHECK(is_denied(connect(0, NULL, 0)));
	CHECK(accept(-1, NULL, NULL) < 0 && errno == EBADF);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	return 0;
}

static int without_sockets(void)
{
	CHECK(confine_calls(CONFINE_SOCKETS) == 0);
	CHECK(is_denied(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK(is_denied(accept(-1, NULL, NULL)));
	CHECK(is_denied(accept4(-1, NULL, NULL, 0)));
	CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	return 0;
}

static int without_files(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK(confine_calls(CONFINE_FILES) == 0);
	CHECK(is_denied(open("/dev/null", O_RDONLY | O_CLOEXEC)));
	CHECK(is_denied(openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC)));
	CHECK(is_denied(unlink("/nothing")));
	CHECK(is_denied(rename("/nothing", "/none")));
	CHECK(write(fd, "x", 1) == 1);
	CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	return 0;
}

static int never_to_execute(void)
{
	char *const argv[] = { NULL };

	CHECK(confine_calls(0) == 0);
	CHECK(is_denied(execve("/bin/true", argv, argv)));
	return 0;
}

static int without_privileges(void)
{
	CHECK(confine_privileges() == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(is_denied(setuid(geteuid() + 1)));
	return 0;
}

static int without_network(void)
{
	char line[256];
	FILE *file;
	int count = 0;

	if (confine_network(geteuid(), getegid()) < 0)
		return 77;
	file = fopen("/proc/self/net/dev", "re");
	CHECK(file);
	while (fgets(line, sizeof(line), file))
		count++;
	CHECK(count <= 3); /* two lines of headings, lo */
	return 0;
}

static int as_another(void)
{
	if (geteuid() != 0)
		return confine_user(1, 1) == -EPERM ? 0 : __LINE__;
	CHECK(confine_user(12345, 12346) == 0);
	CHECK(getuid() == 12345 && geteuid() == 12345 && getgid() == 12346);
	CHECK(getgroups(0, NULL) == 0);
	CHECK(is_denied(setuid(0)));
	return 0;
}

#define IN_A_CHILD(name, fn)           \
	static void name(void **state) \
	{                              \
		(void)state;           \
		holds(fn);             \
	}

IN_A_CHILD(nobody_is_connected_to, without_connect)
IN_A_CHILD(no_socket_is_made_nor_accepted, without_sockets)
IN_A_CHILD(no_file_is_opened_or_removed, without_files)
IN_A_CHILD(nothing_is_executed, never_to_execute)
IN_A_CHILD(no_privilege_is_left, without_privileges)
IN_A_CHILD(the_network_is_empty, without_network)
IN_A_CHILD(another_user_has_no_way_back, as_another)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_connected_to),
		cmocka_unit_test(no_socket_is_made_nor_accepted),
		cmocka_unit_test(no_file_is_opened_or_removed),
		cmocka_unit_test(nothing_is_executed),
		cmocka_unit_test(no_privilege_is_left),
		cmocka_unit_test(the_network_is_empty),
		cmocka_unit_test(another_user_has_no_way_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
