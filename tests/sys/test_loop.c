// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "sys/loop.h"

enum { SOURCES = 8 };

/* Each test gets a loop and descriptors, all of them readable. */
static struct fixture {
	struct loop *loop;
	struct loop_source *sources[SOURCES];
	int fds[SOURCES];
	int calls, order[16];
	uint32_t events;
	int result;
} f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	for (int i = 0; i < SOURCES; i++)
		f.fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return loop_new(&f.loop);
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < SOURCES; i++) {
		loop_source_free(f.sources[i]);
		(void)close(f.fds[i]);
	}
	loop_free(f.loop);
	return 0;
}

static void count(void *data, uint32_t events)
{
	(void)data;
	f.events = events;
	f.calls++;
}

static void note_order(void *data)
{
	f.order[f.calls++] = *(const int *)data;
}

static void free_all(void *data, uint32_t events)
{
	(void)data;
	(void)events;
	for (int i = 0; i < SOURCES; i++)
		f.sources[i] = loop_source_free(f.sources[i]);
	f.calls++;
}

static void silence_all(void *data, uint32_t events)
{
	(void)data;
	(void)events;
	for (int i = 0; i < SOURCES; i++)
		assert_int_equal(loop_set(f.sources[i], 0), 0);
	f.calls++;
}

static void step_inside(void *data)
{
	(void)data;
	f.result = loop_step(f.loop, 0);
}

static void on_signal(int number)
{
	(void)number;
}

static void stop(void *data)
{
	(void)data;
	loop_stop(f.loop);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void add_all(loop_fn *fn)
{
	for (int i = 0; i < SOURCES; i++)
		assert_int_equal(loop_add(f.loop, f.fds[i], EPOLLIN, fn, NULL, &f.sources[i]), 0);
}

static void calls_for_the_events_asked_for(void **state)
{
	(void)state;
	assert_int_equal(loop_add(f.loop, f.fds[0], EPOLLIN, count, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(f.events, EPOLLIN);
	assert_int_equal(loop_step(f.loop, -1), 1); /* it's still readable */
	assert_int_equal(loop_set(f.sources[0], EPOLLIN | EPOLLOUT), 0);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(f.events, EPOLLIN | EPOLLOUT);
	assert_int_equal(loop_set(f.sources[0], 0), 0);
	assert_int_equal(loop_step(f.loop, 0), 0);
	f.sources[0] = loop_source_free(f.sources[0]);
	assert_int_equal(loop_step(f.loop, 0), 0);
	assert_int_equal(f.calls, 3);
}

static void shows_hang_up_unasked(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(loop_add(f.loop, fds[0], 0, count, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_step(f.loop, 0), 0);
	(void)close(fds[1]);
	assert_int_equal(loop_step(f.loop, 0), 1);
	assert_int_equal(f.events, EPOLLHUP);
	f.sources[0] = loop_source_free(f.sources[0]);
	(void)close(fds[0]);
}

static void says_what_cannot_be_waited_for(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(loop_add(f.loop, fd, EPOLLIN, count, NULL, &f.sources[0]), -EPERM);
	(void)close(fd);
	assert_int_equal(loop_add(f.loop, fd, EPOLLIN, count, NULL, &f.sources[0]), -EBADF);
	assert_int_equal(loop_add(f.loop, f.fds[0], EPOLLIN, count, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_add(f.loop, f.fds[0], EPOLLIN, count, NULL, &f.sources[1]), -EEXIST);
}

static void a_freed_source_is_not_called_in_the_same_turn(void **state)
{
	(void)state;
	add_all(free_all);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(f.calls, 1);
	assert_int_equal(loop_step(f.loop, 0), 0);
}

static void a_silenced_source_is_not_called_in_the_same_turn(void **state)
{
	(void)state;
	add_all(silence_all);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(loop_step(f.loop, 0), 0);
}

static void timers_fire_once_soonest_first(void **state)
{
	static const uint64_t after_ms[] = { 30, 10, 20, 10, 0 };
	static const int names[] = { 0, 1, 2, 3, 4 }, want[] = { 4, 1, 3, 2, 0 };
	uint64_t began;

	(void)state;
	do { /* made so quickly that the delays alone give the order */
		began = now_ms();
		for (int i = 0; i < 5; i++) {
			loop_source_free(f.sources[i]);
			assert_int_equal(loop_timer(f.loop, after_ms[i], note_order,
						    (int *)(uintptr_t)&names[i], &f.sources[i]),
					 0);
		}
	} while (now_ms() - began >= 9);
	while (f.calls < 5)
		assert_true(loop_step(f.loop, -1) >= 0);
	assert_in_range(now_ms() - began, 29, 1000);
	assert_memory_equal(f.order, want, sizeof(want));
	assert_int_equal(loop_step(f.loop, 0), 0);
}

static void a_freed_timer_does_not_fire(void **state)
{
	static int name;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_timer(f.loop, 1, note_order, &name, &f.sources[i]), 0);
	f.sources[1] = loop_source_free(f.sources[1]);
	f.sources[2] = loop_source_free(f.sources[2]);
	while (f.calls == 0)
		(void)loop_step(f.loop, -1);
	f.sources[0] = loop_source_free(f.sources[0]);
	assert_int_equal(loop_step(f.loop, 5), 0);
	assert_int_equal(f.calls, 1);
}

static void a_timer_that_has_fired_takes_none_along(void **state)
{
	static const int names[] = { 0, 1 };

	(void)state;
	assert_int_equal(
		loop_timer(f.loop, 0, note_order, (int *)(uintptr_t)&names[0], &f.sources[0]), 0);
	assert_int_equal(loop_timer(f.loop, 60000, stop, NULL, &f.sources[1]), 0);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(
		loop_timer(f.loop, 0, note_order, (int *)(uintptr_t)&names[1], &f.sources[2]), 0);
	f.sources[0] = loop_source_free(f.sources[0]);
	assert_int_equal(loop_step(f.loop, 100), 1);
}

/* A timer that frees itself and the next, and makes two more. */
static void churn(void *data)
{
	(void)data;
	f.sources[0] = loop_source_free(f.sources[0]);
	f.sources[1] = loop_source_free(f.sources[1]);
	assert_int_equal(loop_timer(f.loop, 0, stop, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_timer(f.loop, UINT64_MAX, stop, NULL, &f.sources[1]), 0);
	assert_int_equal(loop_timer(f.loop, UINT64_MAX / 1000000, stop, NULL, &f.sources[2]), 0);
}

static void timers_may_be_made_and_freed_in_callbacks(void **state)
{
	(void)state;
	assert_int_equal(loop_timer(f.loop, 0, churn, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_timer(f.loop, 0, churn, NULL, &f.sources[1]), 0);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(loop_step(f.loop, 1), 0);
}

static void a_wait_ends_at_its_timeout(void **state)
{
	uint64_t began = now_ms();

	(void)state;
	assert_int_equal(loop_timer(f.loop, 60000, stop, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_step(f.loop, 10), 0);
	assert_in_range(now_ms() - began, 9, 1000);
	/* and at a timer's, not a little before */
	for (int i = 1; i < 5; i++) {
		assert_int_equal(loop_timer(f.loop, 3, stop, NULL, &f.sources[i]), 0);
		assert_int_equal(loop_step(f.loop, -1), 1);
	}
}

static void a_signal_ends_a_wait_of_weeks(void **state)
{
	const struct sigaction action = { .sa_handler = on_signal };
	/* again and again: the first may come before the wait */
	const struct itimerval soon = { .it_value.tv_usec = 50000, .it_interval.tv_usec = 50000 };
	const struct itimerval never = { 0 };
	uint64_t began = now_ms();

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	/* as an int, that's 5 */
	assert_int_equal(loop_timer(f.loop, (UINT64_C(1) << 32) + 5, stop, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_step(f.loop, -1), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_in_range(now_ms() - began, 40, 5000);
}

static void refuses_to_turn_within_a_turn(void **state)
{
	(void)state;
	assert_int_equal(loop_timer(f.loop, 0, step_inside, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_step(f.loop, -1), 1);
	assert_int_equal(f.result, -EBUSY);
	assert_false(loop_is_turning(f.loop));
}

static void runs_until_stopped(void **state)
{
	(void)state;
	assert_int_equal(loop_timer(f.loop, 5, stop, NULL, &f.sources[0]), 0);
	assert_int_equal(loop_run(f.loop), 0);
	loop_stop(f.loop);
	assert_int_equal(loop_run(f.loop), 0); /* at once */
}

static void serves_more_sources_than_one_batch(void **state)
{
	enum { MANY = 300 };
	struct loop_source *sources[MANY];
	int fds[MANY], called = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		fds[i] = eventfd(1, EFD_CLOEXEC);
		assert_int_equal(loop_add(f.loop, fds[i], EPOLLIN, count, NULL, &sources[i]), 0);
	}
	while (called < MANY)
		called += loop_step(f.loop, -1);
	for (int i = 0; i < MANY; i++) {
		loop_source_free(sources[i]);
		(void)close(fds[i]);
	}
	assert_int_equal(f.calls, called);
	loop_source_free(NULL);
	loop_free(NULL);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(calls_for_the_events_asked_for),
		LOOP_TEST(shows_hang_up_unasked),
		LOOP_TEST(says_what_cannot_be_waited_for),
		LOOP_TEST(a_freed_source_is_not_called_in_the_same_turn),
		LOOP_TEST(a_silenced_source_is_not_called_in_the_same_turn),
		LOOP_TEST(timers_fire_once_soonest_first),
		LOOP_TEST(a_freed_timer_does_not_fire),
		LOOP_TEST(a_timer_that_has_fired_takes_none_along),
		LOOP_TEST(timers_may_be_made_and_freed_in_callbacks),
		LOOP_TEST(a_wait_ends_at_its_timeout),
		LOOP_TEST(a_signal_ends_a_wait_of_weeks),
		LOOP_TEST(refuses_to_turn_within_a_turn),
		LOOP_TEST(runs_until_stopped),
		LOOP_TEST(serves_more_sources_than_one_batch),
	};

	return cmocka_run_group_tests_name("sys/loop", tests, NULL, NULL);
}
