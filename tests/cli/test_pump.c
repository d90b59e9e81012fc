// SPDX-License-Identifier: Apache-2.0
#include "cli/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MUCH = 300 * 1000 + 7 };

struct fixture {
	struct loop *loop;
	struct pump pump;
	int from[2], to[2]; /* pipes, the pump between them */
	unsigned int overs;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	(void)signal(SIGPIPE, SIG_IGN);
	if (!fixture || loop_new(&fixture->loop) < 0 || pipe2(fixture->from, O_CLOEXEC) < 0 ||
	    pipe2(fixture->to, O_CLOEXEC) < 0)
		return -1;
	return 0;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	pump_stop(&fixture->pump);
	(void)loop_free(fixture->loop);
	for (int i = 0; i < 2; i++) {
		shut(&fixture->from[i]);
		shut(&fixture->to[i]);
	}
	free(fixture);
	return 0;
}

static void on_over(void *data, struct pump *pump)
{
	struct fixture *fixture = data;

	assert_ptr_equal(pump, &fixture->pump);
	fixture->overs++;
}

static void start(struct fixture *fixture, int from_fd, int to_fd)
{
	assert_int_equal(
		pump_start(&fixture->pump, fixture->loop, from_fd, to_fd, on_over, fixture), 0);
}

/* Turns the loop until nothing is due; false if it never ends. */
static bool settle(struct fixture *fixture)
{
	for (int turn = 0; turn < 10000; turn++)
		if (loop_step(fixture->loop, 0) == 0)
			return true;
	return false;
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i % 251);
}

static void it_carries_bytes_and_ends_with_them(void **state)
{
	struct fixture *fixture = *state;
	char bytes[16];

	start(fixture, fixture->from[0], fixture->to[1]);
	assert_true(settle(fixture));
	assert_int_equal(write(fixture->from[1], "hello\0you", 9), 9);
	assert_true(settle(fixture));
	assert_int_equal(read(fixture->to[0], bytes, sizeof(bytes)), 9);
	assert_memory_equal(bytes, "hello\0you", 9);
	assert_int_equal(fixture->overs, 0);
	shut(&fixture->from[1]);
	assert_true(settle(fixture));
	assert_int_equal(fixture->overs, 1);
	assert_int_equal(fixture->pump.broken, 0);
}

static void what_is_not_taken_waits_without_a_turn_of_the_loop(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[4096];
	size_t in = 0, out = 0;

	assert_true(fcntl(fixture->from[1], F_SETFL, O_NONBLOCK) == 0);
	assert_true(fcntl(fixture->to[0], F_SETFL, O_NONBLOCK) == 0);
	start(fixture, fixture->from[0], fixture->to[1]);
	while (out < MUCH) {
		/* fill until it stands; it must stand still */
		for (;;) {
			size_t n = MUCH - in < sizeof(bytes) ? MUCH - in : sizeof(bytes);

			for (size_t i = 0; i < n; i++)
				bytes[i] = byte_at(in + i);
			if (n == 0 || write(fixture->from[1], bytes, n) != (ssize_t)n)
				break;
			in += n;
			assert_true(settle(fixture));
		}
		for (int i = 0; i < 3; i++) {
			ssize_t n = read(fixture->to[0], bytes, sizeof(bytes) - 1);

			for (ssize_t j = 0; j < n; j++)
				assert_int_equal(bytes[j], byte_at(out + (size_t)j));
			if (n > 0)
				out += (size_t)n;
		}
		assert_true(settle(fixture));
	}
	assert_int_equal(out, MUCH);
	assert_int_equal(fixture->overs, 0);
}

static void a_reader_that_has_gone_breaks_it(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, fixture->from[0], fixture->to[1]);
	shut(&fixture->to[0]);
	assert_true(settle(fixture));
	assert_int_equal(fixture->overs, 0);
	assert_int_equal(write(fixture->from[1], "x", 1), 1);
	assert_true(settle(fixture));
	assert_int_equal(fixture->overs, 1);
	assert_int_equal(fixture->pump.broken, -EPIPE);
}

static void a_file_serves_as_either_side(void **state)
{
	char in_path[] = "/tmp/casemate-test-XXXXXX", out_path[] = "/tmp/casemate-test-XXXXXX";
	int in_fd = mkstemp(in_path), out_fd = mkstemp(out_path);
	struct fixture *fixture = *state;
	uint8_t *bytes = malloc(MUCH);
	size_t out = 0;

	assert_true(in_fd >= 0 && out_fd >= 0);
	assert_non_null(bytes);
	(void)unlink(in_path);
	(void)unlink(out_path);
	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = byte_at(i);
	assert_int_equal(write(in_fd, bytes, MUCH), MUCH);
	assert_int_equal(lseek(in_fd, 0, SEEK_SET), 0);
	start(fixture, in_fd, fixture->to[1]);
	while (fixture->overs == 0 && out < MUCH) {
		uint8_t piece[8192];
		ssize_t n;

		(void)loop_step(fixture->loop, 1000);
		n = read(fixture->to[0], piece, sizeof(piece));
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(piece[i], byte_at(out + (size_t)i));
		out += (size_t)n;
	}
	pump_stop(&fixture->pump);
	assert_int_equal(out, MUCH);
	assert_int_equal(lseek(in_fd, 0, SEEK_END), MUCH);

	start(fixture, fixture->from[0], out_fd);
	assert_int_equal(write(fixture->from[1], bytes, 50000), 50000);
	assert_true(settle(fixture));
	assert_int_equal(lseek(out_fd, 0, SEEK_END), 50000);
	free(bytes);
	(void)close(in_fd);
	(void)close(out_fd);
}

static void once_stopped_it_carries_nothing(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	assert_true(fcntl(fixture->to[0], F_SETFL, O_NONBLOCK) == 0);
	start(fixture, fixture->from[0], fixture->to[1]);
	pump_stop(&fixture->pump);
	assert_int_equal(write(fixture->from[1], "x", 1), 1);
	assert_true(settle(fixture));
	assert_int_equal(read(fixture->to[0], &byte, 1), -1);
	assert_int_equal(fixture->overs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_carries_bytes_and_ends_with_them, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_not_taken_waits_without_a_turn_of_the_loop,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_has_gone_breaks_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_serves_as_either_side, setup, teardown),
		cmocka_unit_test_setup_teardown(once_stopped_it_carries_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
