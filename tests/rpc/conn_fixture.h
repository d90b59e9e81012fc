/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a connection in one loop, or one end and a descriptor for a test that plays the
 * peer itself; a service to call; and what became of the last call.
 */
#ifndef TESTS_RPC_CONN_FIXTURE_H
#define TESTS_RPC_CONN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
	size_t served, replies, closed, told_room;
	size_t answer_size;
	bool frees_client;
	/* of the last reply */
	int num;
	int32_t code;
	char message[RPC_MESSAGE_MAX + 1];
	struct buf payload;
} f;

static inline void on_close(void *data, struct rpc_conn *conn)
{
	assert_ptr_equal(data, &f);
	assert_true(conn == f.server || conn == f.client);
	f.closed++;
}

static inline void on_close_free(void *data, struct rpc_conn *conn)
{
	on_close(data, conn);
	if (conn == f.server)
		f.server = rpc_conn_free(f.server);
	else
		f.client = rpc_conn_free(f.client);
}

static inline void on_room(void *data, struct rpc_conn *conn)
{
	assert_ptr_equal(data, &f);
	assert_ptr_equal(conn, f.client);
	f.told_room++;
}

static inline void serve_echo(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ReadResponse *message = agent__read_response__unpack(NULL, payload.len, payload.at);

	assert_ptr_equal(data, &f);
	f.served++;
	assert_ptr_equal(rpc_call_conn(call), f.server);
	assert_ptr_equal(rpc_call_data(call), &f);
	assert_string_equal(rpc_call_method(call)->with, "with Echo");
	if (message)
		rpc_call_reply(call, &message->base);
	else
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "no message");
	agent__read_response__free_unpacked(message, NULL);
}

/* Answers with as many bytes as the test says. */
static inline void serve_bulk(void *data, struct rpc_call *call, struct bytes payload)
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

static inline void serve_later(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	f.served++;
	assert_true(f.kept_count < KEPT_MAX);
	f.kept[f.kept_count++] = call;
}

static inline void serve_failure(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	rpc_call_fail(call, RPC_FAILED_PRECONDITION, "not \033[31mnow\n\xc3\xa9");
}

static inline void serve_long_failure(void *data, struct rpc_call *call, struct bytes payload)
{
	char text[RPC_MESSAGE_MAX + 100];

	(void)data;
	(void)payload;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	rpc_call_fail(call, -7 + 1000, text);
}

static inline void serve_end(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	f.server = rpc_conn_free(f.server);
	assert_null(rpc_call_conn(call));
	assert_ptr_equal(rpc_call_data(call), &f);
	assert_string_equal(rpc_call_method(call)->name, "End");
	if (payload.len)
		assert_int_equal(payload.at[payload.len - 1], 'z'); /* still there */
	rpc_call_reply(call, NULL);
}

static inline void serve_wait(void *data, struct rpc_call *call, struct bytes payload)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)data;
	(void)payload;
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Echo", 0, NULL, &buf, NULL), -EBUSY);
	rpc_call_reply(call, NULL);
}

static const struct rpc_method methods[] = {
	{ "other.Service", "Echo", serve_failure, NULL },
	{ SERVICE, "Echo", serve_echo, "with Echo" },
	{ SERVICE, "Bulk", serve_bulk, NULL },
	{ SERVICE, "Later", serve_later, NULL },
	{ SERVICE, "Fail", serve_failure, NULL },
	{ SERVICE, "FailLong", serve_long_failure, NULL },
	{ SERVICE, "End", serve_end, NULL },
	{ SERVICE, "Wait", serve_wait, NULL },
};

static inline void on_reply(void *data, const struct rpc_reply *reply)
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

static inline void make_server(int fd, void (*close_fn)(void *, struct rpc_conn *),
			       uint32_t max_calls)
{
	const struct rpc_conn_opts opts = {
		.methods = methods,
		.method_count = ARRAY_SIZE(methods),
		.data = &f,
		.on_close = close_fn,
		.max_calls = max_calls,
	};

	assert_int_equal(rpc_conn_new(f.loop, fd, &opts, &f.server), 0);
}

static inline void make_client(int fd, void (*close_fn)(void *, struct rpc_conn *))
{
	const struct rpc_conn_opts opts = { .data = &f, .on_close = close_fn, .on_room = on_room };

	assert_int_equal(rpc_conn_new(f.loop, fd, &opts, &f.client), 0);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.raw_fd = -1;
	return loop_new(&f.loop);
}

static inline int setup_both(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM, pair) < 0)
		return -1;
	make_server(pair[0], on_close, KEPT_MAX);
	make_client(pair[1], on_close);
	return 0;
}

static inline int setup_server(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair) < 0)
		return -1;
	make_server(pair[0], on_close, 4);
	f.raw_fd = pair[1];
	return 0;
}

static inline int setup_client(void **state)
{
	int pair[2];

	if (setup(state) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair) < 0)
		return -1;
	make_client(pair[0], on_close);
	f.raw_fd = pair[1];
	return 0;
}

static inline int teardown(void **state)
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

static inline int call(const char *method, size_t size, uint32_t timeout_ms)
{
	Agent__ReadResponse message = AGENT__READ_RESPONSE__INIT;
	cleanup_free uint8_t *data = malloc(size + 1);

	assert_non_null(data);
	memset(data, 'z', size);
	message.data.data = data;
	message.data.len = size;
	return rpc_conn_call(f.client, SERVICE, method, timeout_ms, &message.base, on_reply, &f);
}

static inline void turn_until(const size_t *count, size_t want)
{
	for (int i = 0; *count < want; i++) {
		assert_true(i < 100000);
		assert_true(loop_step(f.loop, 5000) > 0);
	}
	assert_int_equal(*count, want);
}

static inline void turn_until_quiet(void)
{
	for (int i = 0; loop_step(f.loop, 0) > 0; i++)
		assert_true(i < 100000);
}

/* What is allocated; a sanitizer's malloc doesn't say. */
static inline size_t memory(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static inline void call_and_turn(const char *method, size_t size)
{
	assert_int_equal(call(method, size, 0), 0);
	turn_until(&f.replies, f.replies + 1);
}

static inline void assert_status(int32_t code, const char *message)
{
	assert_int_equal(f.num, -EREMOTEIO);
	assert_int_equal(f.code, code);
	assert_string_equal(f.message, message);
	assert_int_equal(f.payload.len, 0);
}

#endif
