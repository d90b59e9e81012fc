// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "base/macro.h"
#include "sys/signals.h"

static void what_is_watched_is_read_and_does_nothing_else(void **state)
{
	static const int watched[] = { SIGUSR1, SIGTERM };
	cleanup_close int fd = -1;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(signals_watch(watched, ARRAY_SIZE(watched), &fd, &err), 0);
	assert_int_equal(signals_next(fd), -EAGAIN);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 1);
	assert_int_equal(signals_next(fd) + signals_next(fd), SIGTERM + SIGUSR1);
	assert_int_equal(signals_next(fd), -EAGAIN);
}

static void what_was_ignored_is_read_too(void **state)
{
	cleanup_close int fd = -1;
	struct err err = { 0 };

	(void)state;
	assert_ptr_not_equal(signal(SIGHUP, SIG_IGN), SIG_ERR);
	assert_int_equal(signals_watch(&(const int){ SIGHUP }, 1, &fd, &err), 0);
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(signals_next(fd), SIGHUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_watched_is_read_and_does_nothing_else),
		cmocka_unit_test(what_was_ignored_is_read_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
