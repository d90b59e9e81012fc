// SPDX-License-Identifier: Apache-2.0
/* What a peer can do to a connection, and what it cannot. */
#include <signal.h>
#include <unistd.h>

#include "conn_fixture.h"

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
	static const struct {
		const char *raw;
		size_t len;
	} bad[] = {
		{ "\0\x40\0\1\0\0\0\1\1\0", 10 },   /* too long */
		{ "\0\0\0\0\0\0\0\1\3\0", 10 },	    /* a data frame */
		{ "\0\0\0\1\0\0\0\1\1\0\x0a", 11 }, /* no protobuf */
		{ "\0\0\0\1\0\0\0\1\2\0\x0a", 11 }, { "GET / HTTP/1.1\r\n\r\n", 18 },
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

static void a_call_has_the_time_that_its_caller_says(void **state)
{
	static const struct {
		int64_t ns;
		uint32_t ms;
	} told[] = { { 0, 0 },
		     { 1500000000, 1500 },
		     { 1, 1 },
		     { INT64_C(4294967295000000), UINT32_MAX },
		     { INT64_C(4294967295000001), 0 },
		     { INT64_MAX, 0 },
		     { -1, 0 },
		     { INT64_MIN, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		CLEANUP(buf_done) struct buf buf = { 0 };

		assert_int_equal(ttrpc_request_add(&buf, 1, SERVICE, "Later", told[i].ns, NULL), 0);
		assert_int_equal(sock_write(f.raw_fd, buf.at, buf.len), buf.len);
		turn_until(&f.kept_count, i + 1);
		assert_int_equal(rpc_call_timeout_ms(f.kept[i]), told[i].ms);
		rpc_call_reply(f.kept[i], NULL);
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
	struct ttrpc_response last = { 0 };
	size_t sent, answered = 0, before = memory();

	(void)state;
	f.answer_size = 64 << 10;
	sent = flood("Bulk");
	assert_in_range(f.served, 1, (RPC_QUEUE_MAX + socket_room()) / f.answer_size + 2);
	assert_true(sent > 10 * f.served); /* they wait in the socket */
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
	assert_in_range(made, RPC_CALLS_MAX / (33 << 10), 40 + socket_room() / (32 << 10));
	f.client = rpc_conn_free(f.client);
	assert_int_equal(f.replies, made);
}

static void read_all_there_is(void)
{
	static uint8_t bytes[64 << 10];

	while (sock_read(f.raw_fd, bytes, sizeof(bytes)) > 0)
		;
}

static void who_asked_in_vain_is_told_once_there_is_room(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		size_t told = f.told_room;

		assert_true(rpc_conn_has_room(f.client));
		while (rpc_conn_has_room(f.client))
			assert_int_equal(call("Echo", 16 << 10, 0), 0);
		assert_int_equal(call("Echo", 16 << 10, 0), 0); /* refused much later only */
		turn_until_quiet();
		assert_int_equal(f.told_room, told);
		read_all_there_is();
		if (round) /* what empties the queue is a call, and not the loop */
			while (!rpc_conn_has_room(f.client) && call("Echo", 1, 0) == 0)
				read_all_there_is();
		turn_until(&f.told_room, told + 1);
		read_all_there_is();
		turn_until_quiet();
		assert_int_equal(f.told_room, told + 1);
	}
}

static void who_never_asked_for_room_is_not_told(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(call("Echo", 16 << 10, 0), 0);
	for (int i = 0; i < 20; i++) {
		read_all_there_is();
		turn_until_quiet();
	}
	assert_int_equal(f.told_room, 0);
	/* nor is there anything to wait for once it has ended */
	while (rpc_conn_has_room(f.client))
		assert_int_equal(call("Echo", 16 << 10, 0), 0);
	(void)close(f.raw_fd);
	f.raw_fd = -1;
	turn_until(&f.closed, 1);
	assert_true(rpc_conn_has_room(f.client));
	assert_int_equal(f.told_room, 0);
}

#define CONN_TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONN_TEST(garbage_ends_a_connection, setup),
		CONN_TEST(a_call_has_the_time_that_its_caller_says, setup_server),
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
		CONN_TEST(who_asked_in_vain_is_told_once_there_is_room, setup_client),
		CONN_TEST(who_never_asked_for_room_is_not_told, setup_client),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("rpc/conn_peer", tests, NULL, NULL);
}
