// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
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

#include "agent/relay.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/sock.h"

enum { BIG = 200 << 10 };

/* A host and an agent in one loop; what the last calls of each kind came to. */
static struct fixture {
	struct loop *loop;
	struct rpc_conn *agent, *host;
	struct relay relay;
	unsigned accepted;
	uint32_t number; /* of the last link that was accepted */
	struct buf got;
	unsigned answers, ends;
	int32_t code; /* of the last answer */
} f;

static void serve_accept(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	relay_accept(&f.relay, call);
}

static void serve_read(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__RelayReadRequest *request =
		agent__relay_read_request__unpack(NULL, payload.len, payload.at);

	(void)data;
	relay_read(&f.relay, call, request);
	agent__relay_read_request__free_unpacked(request, NULL);
}

static void serve_write(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__RelayWriteRequest *request =
		agent__relay_write_request__unpack(NULL, payload.len, payload.at);

	(void)data;
	relay_write(&f.relay, call, request);
	agent__relay_write_request__free_unpacked(request, NULL);
}

static const struct rpc_method methods[] = {
	{ "t", "Accept", serve_accept, NULL },
	{ "t", "Read", serve_read, NULL },
	{ "t", "Write", serve_write, NULL },
};

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ 0 };
	assert_int_equal(loop_new(&f.loop), 0);
	f.relay.loop = f.loop;
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds), 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[0],
				      &(struct rpc_conn_opts){
					      .methods = methods, .method_count = 3, .data = &f },
				      &f.agent),
			 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[1], &(struct rpc_conn_opts){ 0 }, &f.host), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	while (f.relay.links)
		(void)relay_close(f.relay.links);
	assert_int_equal(f.relay.count, 0);
	if (f.relay.accept)
		rpc_call_fail(f.relay.accept, RPC_UNAVAILABLE, "");
	f.agent = rpc_conn_free(f.agent);
	f.host = rpc_conn_free(f.host);
	f.loop = loop_free(f.loop);
	buf_done(&f.got);
	return 0;
}

static void turn(void)
{
	while (loop_step(f.loop, 20) > 0)
		;
}

static void on_accepted(void *data, const struct rpc_reply *reply)
{
	Agent__RelayRef *ref;

	(void)data;
	f.code = reply->code;
	if (reply->num < 0)
		return;
	ref = agent__relay_ref__unpack(NULL, reply->payload.len, reply->payload.at);
	f.number = ref->connection;
	f.accepted++;
	agent__relay_ref__free_unpacked(ref, NULL);
}

static void accept_one(void)
{
	assert_int_equal(rpc_conn_call(f.host, "t", "Accept", 0, NULL, on_accepted, NULL), 0);
	turn();
}

static void on_read(void *data, const struct rpc_reply *reply)
{
	Agent__RelayData *answer;

	(void)data;
	f.code = reply->code;
	if (reply->num < 0)
		return;
	answer = agent__relay_data__unpack(NULL, reply->payload.len, reply->payload.at);
	assert_non_null(answer);
	assert_int_equal(answer->base.n_unknown_fields, 0);
	assert_int_equal(buf_add(&f.got, answer->data.data, answer->data.len), 0);
	f.ends += answer->eof;
	f.answers++;
	agent__relay_data__free_unpacked(answer, NULL);
}

static void read_some(uint32_t number, uint32_t max)
{
	Agent__RelayReadRequest request = AGENT__RELAY_READ_REQUEST__INIT;

	request.connection = number;
	request.max = max;
	assert_int_equal(rpc_conn_call(f.host, "t", "Read", 0, &request.base, on_read, NULL), 0);
	turn();
}

static void on_written(void *data, const struct rpc_reply *reply)
{
	(void)data;
	f.code = reply->code;
	f.answers++;
}

static void write_some(uint32_t number, const void *at, size_t len, bool eof)
{
	Agent__RelayWriteRequest request = AGENT__RELAY_WRITE_REQUEST__INIT;

	request.connection = number;
	memcpy(&request.data.data, &at, sizeof(at));
	request.data.len = len;
	request.eof = eof;
	assert_int_equal(rpc_conn_call(f.host, "t", "Write", 0, &request.base, on_written, NULL),
			 0);
	turn();
}

static struct relay_link *open_link(int *ret_in_fd, int *ret_out_fd)
{
	struct relay_link *link = NULL;
	struct err err = { 0 };

	assert_int_equal(relay_open(&f.relay, &link, ret_in_fd, ret_out_fd, &err), 0);
	return link;
}

static void a_link_is_accepted_whoever_comes_first(void **state)
{
	int a[2], b[2];

	(void)state;
	accept_one();
	assert_int_equal(f.accepted, 0);
	(void)open_link(&a[0], &a[1]);
	turn();
	assert_int_equal(f.accepted, 1);
	assert_int_equal(f.number, 1);
	(void)open_link(&b[0], &b[1]);
	accept_one();
	assert_int_equal(f.accepted, 2);
	assert_int_equal(f.number, 2);
	for (int i = 0; i < 2; i++) {
		(void)close(a[i]);
		(void)close(b[i]);
	}
}

static void only_one_call_waits_for_a_link(void **state)
{
	(void)state;
	accept_one();
	accept_one();
	assert_int_equal(f.code, RPC_RESOURCE_EXHAUSTED);
}

static void bytes_go_both_ways_and_each_end_is_said(void **state)
{
	char text[16] = { 0 };
	int in_fd, out_fd;

	(void)state;
	(void)open_link(&in_fd, &out_fd);
	accept_one();
	read_some(1, 3);
	assert_int_equal(write(out_fd, "hello", 5), 5);
	turn();
	assert_int_equal(f.got.len, 3);
	read_some(1, 100);
	assert_int_equal(f.got.len, 5);
	assert_memory_equal(f.got.at, "hello", 5);
	assert_int_equal(f.ends, 0);
	(void)close(out_fd);
	read_some(1, 100);
	assert_int_equal(f.ends, 1);
	write_some(1, "abc", 3, false);
	write_some(1, "de", 2, true);
	assert_int_equal(f.code, 0);
	assert_int_equal(read(in_fd, text, sizeof(text)), 5);
	assert_string_equal(text, "abcde");
	assert_int_equal(read(in_fd, text, sizeof(text)), 0);
	write_some(1, "f", 1, false);
	assert_int_equal(f.code, RPC_FAILED_PRECONDITION);
	(void)close(in_fd);
}

static void an_end_without_bytes_is_nobody_there(void **state)
{
	int in_fd, out_fd;
	char byte;

	(void)state;
	(void)open_link(&in_fd, &out_fd);
	accept_one();
	write_some(1, NULL, 0, true);
	assert_int_equal(read(in_fd, &byte, 1), 0);
	(void)close(in_fd);
	(void)close(out_fd);
}

static void what_nobody_reads_is_not_taken(void **state)
{
	static uint8_t zeros[RELAY_WRITE_MAX + 1];
	int in_fd, out_fd;

	(void)state;
	(void)open_link(&in_fd, &out_fd);
	accept_one();
	write_some(1, zeros, BIG, false);
	assert_int_equal(f.answers, 0);
	/* too many at once is no question of who reads */
	write_some(1, zeros, RELAY_WRITE_MAX + 1, false);
	assert_int_equal(f.code, RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(f.answers, 1);
	for (size_t rest = BIG; rest > 0;) {
		ssize_t n = read(in_fd, zeros, sizeof(zeros));

		assert_true(n > 0);
		rest -= (size_t)n;
		turn();
	}
	assert_int_equal(f.answers, 2);
	assert_int_equal(f.code, 0);
	(void)close(in_fd);
	(void)close(out_fd);
}

static void a_closed_link_answers_who_waits_and_is_gone(void **state)
{
	int in_fd, out_fd;
	struct relay_link *link = open_link(&in_fd, &out_fd);

	(void)state;
	accept_one();
	read_some(1, 10);
	(void)relay_close(link);
	turn();
	assert_int_equal(f.ends, 1);
	read_some(1, 10);
	assert_int_equal(f.code, RPC_NOT_FOUND);
	write_some(1, "a", 1, false);
	assert_int_equal(f.code, RPC_NOT_FOUND);
	(void)close(in_fd);
	(void)close(out_fd);
}

static void a_link_that_was_not_accepted_cannot_be_used(void **state)
{
	int in_fd, out_fd;

	(void)state;
	(void)open_link(&in_fd, &out_fd);
	read_some(1, 10);
	assert_int_equal(f.code, RPC_NOT_FOUND);
	(void)close(in_fd);
	(void)close(out_fd);
}

static void there_are_no_more_links_than_the_limit(void **state)
{
	struct relay_link *link, *last = NULL;
	struct err err = { 0 };
	int in_fd, out_fd;

	(void)state;
	for (int i = 0; i < RELAY_LINKS_MAX; i++) {
		last = open_link(&in_fd, &out_fd);
		(void)close(in_fd);
		(void)close(out_fd);
	}
	assert_int_equal(relay_open(&f.relay, &link, &in_fd, &out_fd, &err), -ENOBUFS);
	(void)relay_close(last);
	(void)open_link(&in_fd, &out_fd);
	(void)close(in_fd);
	(void)close(out_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_link_is_accepted_whoever_comes_first, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(only_one_call_waits_for_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_go_both_ways_and_each_end_is_said, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_end_without_bytes_is_nobody_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_nobody_reads_is_not_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_link_answers_who_waits_and_is_gone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_link_that_was_not_accepted_cannot_be_used, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(there_are_no_more_links_than_the_limit, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("agent/relay", tests, NULL, NULL);
}
