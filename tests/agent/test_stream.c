// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/stream.h"
#include "base/buf.h"
#include "rpc/status.h"
#include "sys/sock.h"

enum { BIG = 3 << 20, CALLS = 64 };

/* A client and a server in one loop; the server hands its calls to the streams under test. */
static struct fixture {
	struct loop *loop;
	struct rpc_conn *server, *client;
	struct output out;
	struct input in;
	int peer_fd; /* the process' end of a pipe */
	struct buf read;
	size_t reads, ends;
	size_t written, refused;
	int32_t order[CALLS];
	size_t answered;
} f;

static void serve_read(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ReadRequest *request = agent__read_request__unpack(NULL, payload.len, payload.at);

	(void)data;
	output_ask(&f.out, call, request->max);
	agent__read_request__free_unpacked(request, NULL);
}

static void serve_write(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	input_write(&f.in, call, agent__write_request__unpack(NULL, payload.len, payload.at));
}

static const struct rpc_method methods[] = {
	{ "t", "Read", serve_read, NULL },
	{ "t", "Write", serve_write, NULL },
};

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .peer_fd = -1 };
	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds), 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[0],
				      &(struct rpc_conn_opts){
					      .methods = methods, .method_count = 2, .data = &f },
				      &f.server),
			 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[1], &(struct rpc_conn_opts){ 0 }, &f.client), 0);
	output_init(&f.out, f.loop);
	input_init(&f.in, f.loop, false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	output_close(&f.out);
	input_close(&f.in);
	f.server = rpc_conn_free(f.server);
	f.client = rpc_conn_free(f.client);
	f.loop = loop_free(f.loop);
	if (f.peer_fd >= 0)
		(void)close(f.peer_fd);
	buf_done(&f.read);
	return 0;
}

static void turn(void)
{
	while (loop_step(f.loop, 20) > 0)
		;
}

static void open_output(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	f.peer_fd = fds[1];
	output_open(&f.out, fds[0]);
}

static void open_input(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	f.peer_fd = fds[0];
	input_open(&f.in, fds[1]);
}

static void end_peer(void)
{
	(void)close(f.peer_fd);
	f.peer_fd = -1;
}

static void say(const char *text)
{
	assert_int_equal(write(f.peer_fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void on_read(void *data, const struct rpc_reply *reply)
{
	Agent__ReadResponse *response;

	assert_int_equal(reply->num, 0);
	f.order[f.answered++ % CALLS] = (int32_t)(intptr_t)data;
	response = agent__read_response__unpack(NULL, reply->payload.len, reply->payload.at);
	assert_non_null(response);
	f.reads++;
	f.ends += response->eof;
	assert_true(response->eof == (response->data.len == 0));
	assert_int_equal(buf_add(&f.read, response->data.data, response->data.len), 0);
	agent__read_response__free_unpacked(response, NULL);
}

static void ask(uint32_t max, int number)
{
	Agent__ReadRequest request = AGENT__READ_REQUEST__INIT;

	request.max = max;
	assert_int_equal(rpc_conn_call(f.client, "t", "Read", 0, &request.base, on_read,
				       (void *)(intptr_t)number),
			 0);
}

static void expect_read(const char *want)
{
	assert_int_equal(f.read.len, strlen(want));
	if (f.read.len > 0)
		assert_memory_equal(f.read.at, want, f.read.len);
}

static void on_refused(void *data, const struct rpc_reply *reply)
{
	(void)data;
	assert_int_equal(reply->code, RPC_RESOURCE_EXHAUSTED);
	f.refused++;
}

static void on_written(void *data, const struct rpc_reply *reply)
{
	f.order[f.answered++ % CALLS] = (int32_t)(intptr_t)data;
	if (reply->num == 0)
		f.written++;
	else
		f.refused++;
	if (reply->num < 0)
		assert_int_equal(reply->code, RPC_FAILED_PRECONDITION);
}

static void put(const void *at, size_t len, int number)
{
	Agent__WriteRequest request = AGENT__WRITE_REQUEST__INIT;

	request.data.len = len;
	request.data.data = malloc(len + 1);
	assert_non_null(request.data.data);
	memcpy(request.data.data, at, len);
	assert_int_equal(rpc_conn_call(f.client, "t", "Write", 0, &request.base, on_written,
				       (void *)(intptr_t)number),
			 0);
	free(request.data.data);
}

static void reads_are_answered_in_order_with_what_is_there(void **state)
{
	(void)state;
	ask(3, 1);
	ask(100, 2);
	turn();
	assert_int_equal(f.reads, 0);
	open_output();
	turn();
	assert_int_equal(f.reads, 0);
	say("abcdef");
	turn();
	assert_int_equal(f.reads, 2);
	assert_int_equal(f.order[0], 1);
	assert_int_equal(f.order[1], 2);
	expect_read("abcdef");
	assert_int_equal(f.ends, 0);
}

static void the_end_comes_after_the_last_byte(void **state)
{
	(void)state;
	open_output();
	say("last");
	end_peer();
	for (int i = 0; i < 3; i++)
		ask(0, i);
	turn();
	expect_read("last");
	assert_int_equal(f.ends, 2);
	ask(0, 9);
	turn();
	assert_int_equal(f.ends, 3);
}

static void a_child_that_holds_the_pipe_does_not_delay_the_end(void **state)
{
	(void)state;
	open_output();
	say("left");
	output_set_last(&f.out);
	ask(2, 1);
	turn();
	assert_int_equal(f.ends, 0);
	ask(2, 2);
	ask(2, 3);
	turn();
	expect_read("left");
	assert_int_equal(f.ends, 1);
}

static void who_waits_gets_the_end_when_the_process_ends(void **state)
{
	(void)state;
	open_output();
	ask(0, 1);
	turn();
	assert_int_equal(f.reads, 0);
	output_set_last(&f.out);
	turn();
	assert_int_equal(f.ends, 1);
}

static void waiting_reads_are_counted(void **state)
{
	Agent__ReadRequest request = AGENT__READ_REQUEST__INIT;

	(void)state;
	open_output();
	for (int i = 0; i < STREAM_CALLS_MAX; i++)
		ask(1, i);
	turn();
	assert_int_equal(rpc_conn_call(f.client, "t", "Read", 0, &request.base, on_refused, NULL),
			 0);
	turn();
	assert_int_equal(f.refused, 1);
	assert_int_equal(f.reads, 0);
	end_peer();
	turn();
	assert_int_equal(f.ends, STREAM_CALLS_MAX);
}

/* Nobody asks: the loop must not be kept busy by a pipe that is ready. */
static void nothing_happens_unasked(void **state)
{
	(void)state;
	open_output();
	say("x");
	end_peer();
	assert_int_equal(loop_step(f.loop, 0), 0);
	ask(1, 1);
	turn();
	expect_read("x");
	assert_int_equal(loop_step(f.loop, 0), 0);
}

static void a_big_write_is_answered_when_all_of_it_is_in_the_pipe(void **state)
{
	uint8_t *sent = malloc(BIG), *got = malloc(BIG);
	size_t len = 0;
	ssize_t n;

	(void)state;
	assert_non_null(sent);
	assert_non_null(got);
	for (size_t i = 0; i < BIG; i++)
		sent[i] = (uint8_t)(i * 2654435761U >> 24);
	open_input();
	put(sent, BIG, 1);
	turn();
	assert_int_equal(f.answered, 0);
	while (len < BIG) {
		n = read(f.peer_fd, got + len, BIG - len);
		if (n > 0)
			len += (size_t)n;
		turn();
	}
	assert_memory_equal(sent, got, BIG);
	assert_int_equal(f.written, 1);
	free(sent);
	free(got);
}

static void closing_waits_for_the_writes_before_it(void **state)
{
	char got[8];

	(void)state;
	put("one", 3, 1);
	put("two", 3, 2);
	turn();
	input_finish(&f.in);
	put("three", 5, 3);
	turn();
	assert_int_equal(f.refused, 1);
	open_input();
	turn();
	assert_int_equal(f.written, 2);
	assert_int_equal(f.order[1], 1);
	assert_int_equal(f.order[2], 2);
	assert_int_equal(read(f.peer_fd, got, sizeof(got)), 6);
	assert_memory_equal(got, "onetwo", 6);
	assert_int_equal(read(f.peer_fd, got, sizeof(got)), 0);
}

static void writes_fail_when_the_reader_has_gone(void **state)
{
	uint8_t *much = calloc(1, BIG);

	(void)state;
	assert_non_null(much);
	open_input();
	put(much, BIG, 1);
	turn();
	put("x", 1, 2);
	turn();
	assert_int_equal(f.answered, 0);
	end_peer();
	turn();
	assert_int_equal(f.refused, 2);
	put("x", 1, 3);
	turn();
	assert_int_equal(f.refused, 3);
	free(much);
}

static void a_terminals_input_has_no_end(void **state)
{
	(void)state;
	input_init(&f.in, f.loop, true);
	open_input();
	input_finish(&f.in);
	turn();
	assert_int_equal(f.in.state, STREAM_OPEN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_are_answered_in_order_with_what_is_there),
		TEST(the_end_comes_after_the_last_byte),
		TEST(a_child_that_holds_the_pipe_does_not_delay_the_end),
		TEST(who_waits_gets_the_end_when_the_process_ends),
		TEST(waiting_reads_are_counted),
		TEST(nothing_happens_unasked),
		TEST(a_big_write_is_answered_when_all_of_it_is_in_the_pipe),
		TEST(closing_waits_for_the_writes_before_it),
		TEST(writes_fail_when_the_reader_has_gone),
		TEST(a_terminals_input_has_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
