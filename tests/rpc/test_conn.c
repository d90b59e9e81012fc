// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "rpc/conn.h"
#include "sys/sock.h"
#include "wire/proto/agent.pb-c.h"
#include "wire/ttrpc.h"

#define SERVICE "test.Service"

enum {
	KEPT_MAX = 5000,
	/* of a body: the tags and lengths around Agent__ReadResponse.data, and around it */
	OVERHEAD = 2 * 5,
	DATA_MAX = TTRPC_BODY_MAX - OVERHEAD,
};

/* Both ends in one loop; raw_fd is the other end where a test plays the peer itself. */
static struct fixture {
	struct loop *loop;
	struct rpc_conn *server, *client;
	int raw_fd;
	struct rpc_call *kept[KEPT_MAX];
	size_t kept_count;
	size_t served, replies, closed;
	size_t answer_size;
	bool frees_client;
	/* of the last reply */
	int num;
	int32_t code;
	char message[RPC_MESSAGE_MAX + 1];
	struct buf payload;
} f;

static void on_close(void *data, struct rpc_conn *conn)
{
	assert_ptr_equal(data, &f);
	assert_true(conn == f.server || conn == f.client);
	f.closed++;
}

static void on_close_free(void *data, struct rpc_conn *conn)
{
	on_close(data, conn);
	if (conn == f.server)
		f.server = rpc_conn_free(f.server);
	else
		f.client = rpc_conn_free(f.client);
}

static void serve_echo(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ReadResponse *message = agent__read_response__unpack(NULL, payload.len, payload.at);

	assert_ptr_equal(data, &f);
	f.served++;
	assert_ptr_equal(rpc_call_conn(call), f.server);
	if (message)
		rpc_call_reply(call, &message->base);
	else
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "no message");
	agent__read_response__free_unpacked(message, NULL);
}

/* Answers with as many bytes as the test says. */
static void serve_bulk(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ReadResponse message = AGENT__READ_RESPONSE__INIT;

	(void)data;
	(void)payload;
	f.served++;
	message.data.len = f.answer_size;
	message.data.data = calloc(1, f.answer_size);
	assert_non_null(message.data.data);
	rpc_call_reply(call, &message.base);
	free(message.data.data);
}

static void serve_later(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	f.served++;
	assert_true(f.kept_count < KEPT_MAX);
	f.kept[f.kept_count++] = call;
}

static void serve_failure(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	rpc_call_fail(call, RPC_FAILED_PRECONDITION, "not \033[31mnow\n\xc3\xa9");
}

static void serve_long_failure(void *data, struct rpc_call *call, struct bytes payload)
{
	char text[RPC_MESSAGE_MAX + 100];

	(void)data;
	(void)payload;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	rpc_call_fail(call, -7 + 1000, text);
}

static void serve_end(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	f.server = rpc_conn_free(f.server);
	assert_null(rpc_call_conn(call));
	if (payload.len)
		assert_int_equal(payload.at[payload.len - 1], 'z');	/* still there */
	rpc_call_reply(call, NULL);
}

static void serve_wait(void *data, struct rpc_call *call, struct bytes payload)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)data;
	(void)payload;
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Echo", 0, NULL, &buf, NULL), -EBUSY);
	rpc_call_reply(call, NULL);
}

static const struct rpc_method methods[] = {
	{ "other.Service", "Echo", serve_failure },
	{ SERVICE, "Echo", serve_echo },
	{ SERVICE, "Bulk", serve_bulk },
	{ SERVICE, "Later", serve_later },
	{ SERVICE, "Fail", serve_failure },
	{ SERVICE, "FailLong", serve_long_failure },
	{ SERVICE, "End", serve_end },
	{ SERVICE, "Wait", serve_wait },
};

static void on_reply(void *data, const struct rpc_reply *reply)
{
	assert_ptr_equal(data, &f);
	f.replies++;
	f.num = reply->num;
	f.code = reply->code;
	assert_true(strlen(reply->message) <= RPC_MESSAGE_MAX);
	memcpy(f.message, reply->message, strlen(reply->message) + 1);
	f.payload.len = 0;
	assert_int_equal(buf_add(&f.payload, reply->payload.at, reply->payload.len), 0);
	if (f.frees_client)
		f.client = rpc_conn_free(f.client);
}

static void make_server(int fd, void (*close_fn)(void *, struct rpc_conn *), uint32_t max_calls)
{
	const struct rpc_conn_opts opts = {
		.methods = methods, .method_count = ARRAY_SIZE(methods),
		.data = &f, .on_close = close_fn, .max_calls = max_calls,
	};

	assert_int_equal(rpc_conn_new(f.loop, fd, &opts, &f.server), 0);
}

static void make_client(int fd, void (*close_fn)(void *, struct rpc_conn *))
{
	const struct rpc_conn_opts opts = { .data = &f, .on_close = close_fn };

	assert_int_equal(rpc_conn_new(f.loop, fd, &opts, &f.client), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.raw_fd = -1;
	return loop_new(&f.loop);
}

static int setup_both(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM, pair) < 0)
		return -1;
	make_server(pair[0], on_close, KEPT_MAX);
	make_client(pair[1], on_close);
	return 0;
}

static int setup_server(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair) < 0)
		return -1;
	make_server(pair[0], on_close, 4);
	f.raw_fd = pair[1];
	return 0;
}

static int setup_client(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair) < 0)
		return -1;
	make_client(pair[0], on_close);
	f.raw_fd = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_conn_free(f.server);
	rpc_conn_free(f.client);
	loop_free(f.loop);
	if (f.raw_fd >= 0)
		(void)close(f.raw_fd);
	buf_done(&f.payload);
	return 0;
}

static int call(const char *method, size_t size, uint32_t timeout_ms)
{
	Agent__ReadResponse message = AGENT__READ_RESPONSE__INIT;
	cleanup_free uint8_t *data = malloc(size + 1);

	assert_non_null(data);
	memset(data, 'z', size);
	message.data.data = data;
	message.data.len = size;
	return rpc_conn_call(f.client, SERVICE, method, timeout_ms, &message.base, on_reply, &f);
}

static void turn_until(const size_t *count, size_t want)
{
	for (int i = 0; *count < want; i++) {
		assert_true(i < 100000);
		assert_true(loop_step(f.loop, 5000) > 0);
	}
	assert_int_equal(*count, want);
}

static void turn_until_quiet(void)
{
	for (int i = 0; loop_step(f.loop, 0) > 0; i++)
		assert_true(i < 100000);
}

/* What is allocated; a sanitizer's malloc doesn't say. */
static size_t memory(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void call_and_turn(const char *method, size_t size)
{
	assert_int_equal(call(method, size, 0), 0);
	turn_until(&f.replies, f.replies + 1);
}

static void assert_status(int32_t code, const char *message)
{
	assert_int_equal(f.num, -EREMOTEIO);
	assert_int_equal(f.code, code);
	assert_string_equal(f.message, message);
	assert_int_equal(f.payload.len, 0);
}

static void answers_a_call(void **state)
{
	(void)state;
	call_and_turn("Echo", 3);
	assert_int_equal(f.num, 0);
	assert_int_equal(f.code, 0);
	assert_string_equal(f.message, "");
	assert_int_equal(f.payload.len, 5);
	assert_memory_equal(f.payload.at, "\x0a\3zzz", 5);
	assert_int_equal(rpc_conn_call(f.client, SERVICE, "Echo", 0, NULL, on_reply, &f), 0);
	turn_until(&f.replies, 2);
	assert_int_equal(f.num, 0);
	assert_int_equal(f.payload.len, 0);
}

/* Each caller has its number; an answer must reach the one who asked. */
struct numbered {
	uint32_t number;
	bool is_answered;
};

static void on_numbered(void *data, const struct rpc_reply *reply)
{
	struct numbered *numbered = data;
	Agent__StartResponse *message = agent__start_response__unpack(NULL, reply->payload.len,
								      reply->payload.at);

	assert_int_equal(reply->num, 0);
	assert_non_null(message);
	assert_int_equal(message->pid, numbered->number);
	assert_false(numbered->is_answered);
	numbered->is_answered = true;
	f.replies++;
	agent__start_response__free_unpacked(message, NULL);
}

static void thousands_of_calls_are_answered_in_any_order(void **state)
{
	static struct numbered callers[KEPT_MAX];
	Agent__StartResponse message = AGENT__START_RESPONSE__INIT;
	uint32_t seed = 1, order[KEPT_MAX];

	(void)state;
	for (uint32_t i = 0; i < KEPT_MAX; i++) {
		callers[i] = (struct numbered){ .number = i + 1 };
		order[i] = i;
		while (rpc_conn_call(f.client, SERVICE, "Later", i % 3 ? 0 : 60000, NULL,
				     on_numbered, &callers[i]) == -ENOBUFS)
			(void)loop_step(f.loop, 0);
	}
	turn_until(&f.kept_count, KEPT_MAX);
	for (uint32_t i = KEPT_MAX - 1; i > 0; i--) {
		uint32_t other = ((seed = seed * 1664525 + 1013904223) >> 8) % (i + 1);
		uint32_t kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
	for (uint32_t i = 0; i < KEPT_MAX; i++) {
		message.pid = order[i] + 1;
		rpc_call_reply(f.kept[order[i]], &message.base);
		if (i % 100 == 0)
			(void)loop_step(f.loop, 0);
	}
	turn_until(&f.replies, KEPT_MAX);
}

static void a_status_reaches_the_caller_in_printable_form(void **state)
{
	char want[RPC_MESSAGE_MAX + 1];

	(void)state;
	call_and_turn("Fail", 0);
	assert_status(RPC_FAILED_PRECONDITION, "not ?[31mnow???");
	memset(want, 'x', RPC_MESSAGE_MAX);
	want[RPC_MESSAGE_MAX] = '\0';
	call_and_turn("FailLong", 0);
	assert_status(993, want);
}

static void an_unknown_method_is_unimplemented(void **state)
{
	static const char *const calls[][2] = {
		{ SERVICE, "Ech" }, { SERVICE, "Echoo" }, { SERVICE, "" },
		{ "test.Servic", "Echo" }, { "", "Echo" }, { "other.Service", "Later" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_int_equal(rpc_conn_call(f.client, calls[i][0], calls[i][1], 0, NULL,
					       on_reply, &f), 0);
		turn_until(&f.replies, i + 1);
		assert_status(RPC_UNIMPLEMENTED, "no such method");
	}
}

static void requests_and_answers_may_be_as_large_as_ttrpc_allows(void **state)
{
	/* a request names its service and method too */
	const size_t request_max = DATA_MAX - 2 - strlen(SERVICE) - 2 - strlen("Echo");

	(void)state;
	assert_int_equal(call("Echo", request_max + 1, 0), -EMSGSIZE);
	call_and_turn("Echo", request_max);
	assert_int_equal(f.num, 0);
	assert_int_equal(f.payload.len, request_max + OVERHEAD / 2);

	f.answer_size = DATA_MAX;
	call_and_turn("Bulk", 0);
	assert_int_equal(f.num, 0);
	assert_int_equal(f.payload.len, DATA_MAX + OVERHEAD / 2);
	f.answer_size = DATA_MAX + 1;
	call_and_turn("Bulk", 0);
	assert_status(RPC_RESOURCE_EXHAUSTED, "the answer is too large");
}

static void memory_for_large_messages_is_given_back(void **state)
{
	size_t before;

	(void)state;
	call_and_turn("Echo", 1);
	before = memory();
	call_and_turn("Echo", 4 << 20 >> 1);
	buf_done(&f.payload);
	turn_until_quiet();
	assert_true(memory() < before + 4 * RPC_BUFFER_KEPT);
}

static void calls_above_the_limit_are_refused(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	make_server(pair[0], on_close, 2);
	make_client(pair[1], on_close);
	for (int i = 0; i < 2; i++)
		assert_int_equal(call("Later", 0, 0), 0);
	turn_until(&f.kept_count, 2);
	call_and_turn("Echo", 0);
	assert_status(RPC_RESOURCE_EXHAUSTED, "too many calls at once");
	rpc_call_reply(f.kept[0], NULL);
	turn_until(&f.replies, 2);
	call_and_turn("Echo", 0);
	assert_int_equal(f.num, 0);
	rpc_call_fail(f.kept[1], RPC_NOT_FOUND, "gone");
	turn_until(&f.replies, 4);
	assert_status(RPC_NOT_FOUND, "gone");
}

static void calls_end_when_the_server_goes(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(call("Later", 0, 60000), 0);
	turn_until(&f.kept_count, 3);
	f.server = rpc_conn_free(f.server);
	assert_int_equal(f.closed, 0);
	turn_until(&f.closed, 1);
	assert_int_equal(f.replies, 3);
	assert_int_equal(f.num, -EPIPE);
	assert_string_equal(f.message, "the connection has ended");
	assert_int_equal(call("Echo", 0, 0), -EPIPE);
	for (int i = 0; i < 3; i++) {
		assert_null(rpc_call_conn(f.kept[i]));
		if (i == 0)
			rpc_call_fail(f.kept[i], RPC_INTERNAL, "x");
		else
			rpc_call_reply(f.kept[i], NULL);
	}
	turn_until_quiet();
	assert_int_equal(f.replies, 3);
	assert_int_equal(f.closed, 1);
}

static void the_server_sees_a_client_go(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(call("Later", 0, 0), 0);
	turn_until(&f.kept_count, 2);
	f.client = rpc_conn_free(f.client);
	assert_int_equal(f.replies, 2);		/* at once */
	assert_int_equal(f.num, -EPIPE);
	rpc_call_reply(f.kept[0], NULL);	/* nobody's there, which isn't known yet */
	assert_int_equal(f.closed, 0);
	turn_until(&f.closed, 1);
	rpc_call_reply(f.kept[1], NULL);
	turn_until_quiet();
	assert_int_equal(f.closed, 1);
}

static void answers_sent_before_the_end_are_read(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(call("Later", 0, 0), 0);
	turn_until(&f.kept_count, 2);
	rpc_call_reply(f.kept[0], NULL);
	f.server = rpc_conn_free(f.server);
	rpc_call_reply(f.kept[1], NULL);
	assert_int_equal(call("Echo", 100, 0), 0);	/* its write says that nobody is there */
	assert_int_equal(call("Echo", 100, 0), -EPIPE);
	turn_until(&f.replies, 1);
	assert_int_equal(f.num, 0);
	turn_until(&f.closed, 1);
	assert_int_equal(f.replies, 3);
	assert_int_equal(f.num, -EPIPE);
}

static void an_unanswered_call_times_out(void **state)
{
	(void)state;
	assert_int_equal(call("Later", 0, 20), 0);
	assert_int_equal(call("Later", 0, 0), 0);
	turn_until(&f.replies, 1);
	assert_int_equal(f.num, -ETIMEDOUT);
	assert_string_equal(f.message, "no answer in time");
	rpc_call_reply(f.kept[0], NULL);	/* too late: nobody's told */
	rpc_call_fail(f.kept[1], RPC_NOT_FOUND, "x");
	turn_until(&f.replies, 2);
	assert_status(RPC_NOT_FOUND, "x");
	turn_until_quiet();
	assert_int_equal(f.replies, 2);
	assert_int_equal(f.closed, 0);
}

static void a_handler_may_free_its_connection(void **state)
{
	(void)state;
	assert_int_equal(call("Later", 0, 0), 0);
	assert_int_equal(call("End", 100, 0), 0);
	assert_int_equal(call("Echo", 0, 0), 0);	/* in the same read, isn't served */
	turn_until(&f.closed, 1);
	assert_null(f.server);
	assert_int_equal(f.replies, 3);
	assert_int_equal(f.served, 1);
	rpc_call_reply(f.kept[0], NULL);
}

static void a_reply_callback_may_free_its_connection(void **state)
{
	(void)state;
	f.frees_client = true;
	assert_int_equal(call("Later", 0, 30000), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(call("Echo", 0, 0), 0);
	turn_until(&f.closed, 1);		/* the server's */
	assert_null(f.client);
	assert_int_equal(f.replies, 4);		/* the first, and in it the others */
	assert_int_equal(f.num, -EPIPE);
	rpc_call_reply(f.kept[0], NULL);
}

static void a_reply_callback_may_free_what_is_being_freed(void **state)
{
	(void)state;
	f.frees_client = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(call("Later", 0, 0), 0);
	rpc_conn_free(f.client);
	assert_int_equal(f.replies, 3);
	assert_null(f.client);
	turn_until(&f.closed, 1);
	for (size_t i = 0; i < f.kept_count; i++)
		rpc_call_reply(f.kept[i], NULL);
}

static void a_timeout_may_free_its_connection(void **state)
{
	(void)state;
	f.frees_client = true;
	assert_int_equal(call("Later", 0, 5), 0);
	assert_int_equal(call("Later", 0, 5), 0);
	turn_until(&f.closed, 1);
	assert_null(f.client);
	assert_int_equal(f.replies, 2);
	rpc_call_reply(f.kept[0], NULL);
	rpc_call_reply(f.kept[1], NULL);
}

static void the_last_words_may_free_the_connection(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	make_server(pair[0], on_close_free, 0);
	make_client(pair[1], on_close_free);
	assert_int_equal(call("End", 0, 0), 0);
	turn_until(&f.closed, 1);
	assert_null(f.client);

	/* or the callbacks of its calls: then nobody's left to be told */
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	make_server(pair[0], on_close_free, 0);
	make_client(pair[1], on_close_free);
	f.frees_client = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(call("Later", 0, 0), 0);
	assert_int_equal(call("End", 0, 0), 0);
	turn_until(&f.replies, 5);
	assert_null(f.client);
	turn_until_quiet();
	assert_int_equal(f.closed, 1);
	for (int i = 0; i < 3; i++)
		rpc_call_reply(f.kept[i], NULL);
}

/* What the peer reads, until there's nothing for it: frames, of which the last is shown. */
static size_t drain(struct ttrpc_response *ret_last)
{
	static uint8_t raw[TTRPC_BODY_MAX];
	static size_t len;
	struct bytes rest = { raw, 0 };
	struct ttrpc_frame frame;
	size_t used, count = 0;
	ssize_t n;

	while ((n = sock_read(f.raw_fd, raw + len, sizeof(raw) - len)) > 0)
		len += (size_t)n;
	rest.len = len;
	while (ttrpc_frame_next(rest, &frame, &used) > 0) {
		assert_int_equal(frame.type, TTRPC_RESPONSE);
		assert_int_equal(ttrpc_response_parse(frame.body, ret_last), 0);
		rest.at += used;
		rest.len -= used;
		count++;
	}
	/* the last one's payload has been moved away by then: its length is all that is used */
	memmove(raw, rest.at, rest.len);
	len = rest.len;
	return count;
}

static void garbage_ends_a_connection(void **state)
{
	static const struct { const char *raw; size_t len; } bad[] = {
		{ "\0\x40\0\1\0\0\0\1\1\0", 10 },		/* too long */
		{ "\0\0\0\0\0\0\0\1\3\0", 10 },			/* a data frame */
		{ "\0\0\0\1\0\0\0\1\1\0\x0a", 11 },		/* no protobuf */
		{ "\0\0\0\1\0\0\0\1\2\0\x0a", 11 },
		{ "GET / HTTP/1.1\r\n\r\n", 18 },
	};
	int pair[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
		make_server(pair[0], on_close, 0);
		assert_int_equal(sock_write(pair[1], bad[i].raw, bad[i].len), bad[i].len);
		turn_until(&f.closed, i + 1);
		turn_until_quiet();
		assert_int_equal(recv(pair[1], &(char){ 0 }, 1, 0), 0);
		assert_int_equal(f.closed, i + 1);
		(void)close(pair[1]);
		f.server = rpc_conn_free(f.server);
	}
}

static void a_request_to_a_client_ends_the_connection(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(call("Echo", 0, 0), 0);
	assert_int_equal(ttrpc_request_add(&buf, 1, SERVICE, "Echo", 0, NULL), 0);
	assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
	turn_until(&f.closed, 1);
	assert_int_equal(f.replies, 1);
	assert_int_equal(f.num, -EPIPE);
}

static void answers_to_nothing_are_ignored(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(call("Echo", 0, 0), 0);
	for (uint32_t id = 0; id < 5; id++)
		assert_int_equal(ttrpc_status_add(&buf, id, 77, "x"), 0);
	assert_int_equal(ttrpc_status_add(&buf, 1, 78, "again"), 0);
	assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
	turn_until(&f.replies, 1);
	turn_until_quiet();
	assert_int_equal(f.replies, 1);
	assert_int_equal(f.closed, 0);
	assert_status(77, "x");
}

static void an_even_stream_id_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct ttrpc_response last;

	(void)state;
	assert_int_equal(ttrpc_request_add(&buf, 2, SERVICE, "Echo", 0, NULL), 0);
	assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
	turn_until_quiet();
	assert_int_equal(drain(&last), 1);
	assert_int_equal(last.code, RPC_INVALID_ARGUMENT);
	assert_int_equal(f.served, 0);
}

static void requests_may_come_byte_by_byte(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct ttrpc_response last;

	(void)state;
	for (uint32_t id = 1; id < 20; id += 2)
		assert_int_equal(ttrpc_request_add(&buf, id, SERVICE, "Echo", 0, NULL), 0);
	for (size_t i = 0; i < buf.len; i++) {
		assert_int_equal(sock_write(f.raw_fd, buf.at + i, 1), 1);
		turn_until_quiet();
	}
	assert_int_equal(f.served, 10);
	assert_int_equal(drain(&last), 10);
	assert_int_equal(last.code, 0);
}

/* Sends calls, reading nothing, until no more is taken: how many were. */
static size_t flood(const char *method)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	size_t done = 0, count = 0;

	for (int idle = 0; idle < 10;) {
		ssize_t n;

		if (done == buf.len) {
			buf.len = done = 0;
			assert_int_equal(ttrpc_request_add(&buf, 1, SERVICE, method, 0, NULL), 0);
			count++;
		}
		n = sock_write(f.raw_fd, buf.at + done, buf.len - done);
		if (n < 0)
			idle++;
		else
			done += (size_t)n;
		turn_until_quiet();
	}
	return count - 1;
}

/* The kernel's own queue between the two ends holds so much at most. */
static size_t socket_room(void)
{
	socklen_t len = sizeof(int);
	int size = 0;

	assert_int_equal(getsockopt(f.raw_fd, SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	return (size_t)size;
}

static void who_reads_no_answers_is_not_served_any_more(void **state)
{
	struct ttrpc_response last;
	size_t sent, answered = 0, before = memory();

	(void)state;
	f.answer_size = 64 << 10;
	sent = flood("Bulk");
	assert_in_range(f.served, 1, (RPC_QUEUE_MAX + socket_room()) / f.answer_size + 2);
	assert_true(sent > 10 * f.served);	/* they wait in the socket */
	for (int i = 0; answered < sent; i++) {
		assert_true(i < 100000);
		answered += drain(&last);
		turn_until_quiet();
		assert_true(memory() < before + 4 * RPC_QUEUE_MAX);
	}
	assert_int_equal(answered, sent);
	assert_int_equal(last.payload.len, f.answer_size + 4);
	assert_int_equal(f.closed, 0);
}

static void serving_goes_on_however_the_queue_was_emptied(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct ttrpc_response last;
	size_t served;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ttrpc_request_add(&buf, 1, SERVICE, "Later", 0, NULL), 0);
	assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
	turn_until(&f.kept_count, 3);
	f.answer_size = 64 << 10;
	(void)flood("Bulk");
	served = f.served;
	/* an answer is written at once, behind what the socket has room for now */
	for (int i = 0; i < 3; i++) {
		(void)drain(&last);
		rpc_call_reply(f.kept[i], NULL);
	}
	(void)drain(&last);
	turn_until_quiet();
	assert_true(f.served > served);
}

static void refusals_are_bounded_as_answers_are(void **state)
{
	enum { REFUSAL_SIZE = 10 + 20 };
	size_t sent, before = memory();

	(void)state;
	sent = flood("None");
	assert_in_range(sent, RPC_QUEUE_MAX / REFUSAL_SIZE, (2 << 20) / REFUSAL_SIZE);
	assert_true(memory() < before + 4 * RPC_QUEUE_MAX);
	(void)close(f.raw_fd);
	f.raw_fd = -1;
	turn_until(&f.closed, 1);
}

static void a_peer_that_stops_reading_and_goes_is_seen(void **state)
{
	(void)state;
	f.answer_size = 64 << 10;
	(void)flood("Bulk");
	assert_int_equal(f.closed, 0);
	(void)close(f.raw_fd);
	f.raw_fd = -1;
	turn_until(&f.closed, 1);
	turn_until_quiet();
	assert_int_equal(f.closed, 1);
}

static void a_peer_that_shuts_one_way_only_is_seen(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(shutdown(f.raw_fd, SHUT_RD), 0);
	turn_until_quiet();
	assert_int_equal(ttrpc_request_add(&buf, 1, SERVICE, "Echo", 0, NULL), 0);
	assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
	turn_until(&f.closed, 1);
}

static void calls_are_refused_while_too_much_is_queued(void **state)
{
	size_t made = 0;
	int r;

	(void)state;
	while ((r = call("Echo", 32 << 10, 0)) == 0)
		assert_true(++made < 100);
	assert_int_equal(r, -ENOBUFS);
	assert_in_range(made, RPC_QUEUE_MAX / (33 << 10), 20 + socket_room() / (32 << 10));
	f.client = rpc_conn_free(f.client);
	assert_int_equal(f.replies, made);
}

static void simple_clients_wait_for_the_answer(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Later", 5, NULL, &buf, &err),
			 -ETIMEDOUT);
	assert_string_equal(err.msg, "call 'Later': no answer in time");
	rpc_call_reply(f.kept[0], NULL);
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Fail", 0, NULL, &buf, &err), -EBUSY);
	assert_string_equal(err.msg, "call 'Fail': not ?[31mnow???");
	assert_int_equal(buf.len, 0);
	f.answer_size = 100;
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Bulk", 0, NULL, &buf, &err), 0);
	assert_int_equal(buf.len, 102);
	call_and_turn("Wait", 0);		/* in which waiting is refused */
	assert_int_equal(f.num, 0);
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "End", 0, NULL, &buf, &err), -EPIPE);
	assert_string_equal(err.msg, "call 'End': the connection has ended");
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "End", 0, NULL, &buf, &err), -EPIPE);
	assert_string_equal(err.msg, "call 'End': Broken pipe");
}

/* A terminal stands in for a virtio-serial port: no socket, and it hangs up. */
static void a_character_device_will_do(void **state)
{
	int master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave_fd;
	struct termios raw;

	(void)state;
	if (master_fd < 0 || grantpt(master_fd) < 0 || unlockpt(master_fd) < 0)
		skip();
	slave_fd = open(ptsname(master_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave_fd < 0)
		skip();
	assert_int_equal(tcgetattr(slave_fd, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave_fd, TCSANOW, &raw), 0);
	make_server(slave_fd, on_close, 0);
	make_client(master_fd, on_close);
	call_and_turn("Echo", 100000);
	assert_int_equal(f.num, 0);
	assert_int_equal(f.payload.len, 100004);
	call_and_turn("End", 0);
	assert_int_equal(f.num, -EPIPE);
	turn_until(&f.closed, 1);
}

static void takes_the_descriptor_also_on_failure(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct rpc_conn *conn = NULL;

	(void)state;
	assert_int_equal(rpc_conn_new(f.loop, fd, &(struct rpc_conn_opts){ 0 }, &conn), -EPERM);
	assert_null(conn);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_null(rpc_conn_free(NULL));
}

#define CONN_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONN_TEST(answers_a_call, setup_both),
		CONN_TEST(thousands_of_calls_are_answered_in_any_order, setup_both),
		CONN_TEST(a_status_reaches_the_caller_in_printable_form, setup_both),
		CONN_TEST(an_unknown_method_is_unimplemented, setup_both),
		CONN_TEST(requests_and_answers_may_be_as_large_as_ttrpc_allows, setup_both),
		CONN_TEST(memory_for_large_messages_is_given_back, setup_both),
		CONN_TEST(calls_above_the_limit_are_refused, setup),
		CONN_TEST(calls_end_when_the_server_goes, setup_both),
		CONN_TEST(the_server_sees_a_client_go, setup_both),
		CONN_TEST(answers_sent_before_the_end_are_read, setup_both),
		CONN_TEST(an_unanswered_call_times_out, setup_both),
		CONN_TEST(a_handler_may_free_its_connection, setup_both),
		CONN_TEST(a_reply_callback_may_free_its_connection, setup_both),
		CONN_TEST(a_reply_callback_may_free_what_is_being_freed, setup_both),
		CONN_TEST(a_timeout_may_free_its_connection, setup_both),
		CONN_TEST(the_last_words_may_free_the_connection, setup),
		CONN_TEST(garbage_ends_a_connection, setup),
		CONN_TEST(a_request_to_a_client_ends_the_connection, setup_client),
		CONN_TEST(answers_to_nothing_are_ignored, setup_client),
		CONN_TEST(an_even_stream_id_is_refused, setup_server),
		CONN_TEST(requests_may_come_byte_by_byte, setup_server),
		CONN_TEST(who_reads_no_answers_is_not_served_any_more, setup_server),
		CONN_TEST(serving_goes_on_however_the_queue_was_emptied, setup_server),
		CONN_TEST(refusals_are_bounded_as_answers_are, setup_server),
		CONN_TEST(a_peer_that_stops_reading_and_goes_is_seen, setup_server),
		CONN_TEST(a_peer_that_shuts_one_way_only_is_seen, setup_server),
		CONN_TEST(calls_are_refused_while_too_much_is_queued, setup_client),
		CONN_TEST(simple_clients_wait_for_the_answer, setup_both),
		CONN_TEST(a_character_device_will_do, setup),
		CONN_TEST(takes_the_descriptor_also_on_failure, setup),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("rpc/conn", tests, NULL, NULL);
}
