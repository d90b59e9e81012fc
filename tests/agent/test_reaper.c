// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/reaper.h"

static struct fixture {
	struct loop *loop;
	struct reaper *reaper;
	int calls;
	uint32_t status;
} f;

static int set_up(void **state)
{
	(void)state;
	f = (struct fixture){ 0 };
	assert_int_equal(loop_new(&f.loop), 0);
	return reaper_new(f.loop, &f.reaper, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	f.reaper = reaper_free(f.reaper);
	f.loop = loop_free(f.loop);
	return 0;
}

static void on_end(void *data, uint32_t status)
{
	assert_ptr_equal(data, &f);
	f.calls++;
	f.status = status;
}

/* A child that ends as told: an exit status, or 128 and a signal. */
static pid_t start(int end)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (end < 128)
		_exit(end);
	(void)raise(end - 128);
	_exit(99);
}

/* Until nothing is left to collect. */
static void turn(void)
{
	for (int i = 0;
	     i < 100 && waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
		assert_true(loop_step(f.loop, 100) >= 0);
}

static void an_end_that_is_expected_is_told(void **state)
{
	uint32_t status;

	(void)state;
	assert_int_equal(reaper_expect(f.reaper, start(7), UINT64_MAX, on_end, &f, &status), 0);
	turn();
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.status, 7);
	assert_int_equal(
		reaper_expect(f.reaper, start(128 + SIGKILL), UINT64_MAX, on_end, &f, &status), 0);
	turn();
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.status, 137);
}

static void an_end_after_the_mark_is_remembered(void **state)
{
	uint64_t since = reaper_mark(f.reaper);
	pid_t pid = start(5);
	uint32_t status = 0;

	(void)state;
	turn();
	assert_int_equal(reaper_expect(f.reaper, pid, since, on_end, &f, &status), 1);
	assert_int_equal(status, 5);
	assert_int_equal(f.calls, 0);
	reaper_unmark(f.reaper);
}

/* The number may have been given to another process since. */
static void an_end_before_the_mark_is_not(void **state)
{
	pid_t early, late;
	uint32_t status;
	uint64_t since;

	(void)state;
	(void)reaper_mark(f.reaper);
	early = start(5);
	turn();
	since = reaper_mark(f.reaper);
	assert_int_equal(reaper_expect(f.reaper, early, since, on_end, &f, &status), 0);
	reaper_forget(f.reaper, &f);
	reaper_unmark(f.reaper);
	reaper_unmark(f.reaper);
	late = start(6);
	turn();
	(void)reaper_mark(f.reaper);
	assert_int_equal(reaper_expect(f.reaper, late, 0, on_end, &f, &status), 0);
	reaper_unmark(f.reaper);
}

static void who_is_forgotten_is_not_told(void **state)
{
	uint32_t status;

	(void)state;
	assert_int_equal(reaper_expect(f.reaper, start(1), UINT64_MAX, on_end, &f, &status), 0);
	reaper_forget(f.reaper, &f);
	turn();
	assert_int_equal(f.calls, 0);
}

static void many_ends_at_once_are_all_told(void **state)
{
	uint32_t status;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(reaper_expect(f.reaper, start(0), UINT64_MAX, on_end, &f, &status),
				 0);
	turn();
	assert_int_equal(f.calls, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_end_that_is_expected_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_end_after_the_mark_is_remembered, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_end_before_the_mark_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_forgotten_is_not_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_ends_at_once_are_all_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
