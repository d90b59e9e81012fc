// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
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

#include "base/macro.h"
#include "pod/pod_priv.h"
#include "sys/sock.h"

enum { BIG = 300 << 10, READS_MAX = 16 };

/* A pod's relay, an agent in the test's hands, and whoever listens at the broker's address. */
static struct fixture {
	struct loop *loop;
	struct rpc_conn *agent;
	struct pod pod;
	Casemate__Vm vm;
	Casemate__Tee tee;
	ProtobufCBinaryData addresses[2];
	struct sockaddr_in address[2];
	int listen_fd, fd;
	struct rpc_call *accept, *write;
	struct rpc_call *reads[READS_MAX];
	uint32_t read_of[READS_MAX];
	size_t read_count, accept_count;
	bool is_holding; /* writes are not answered */
	struct buf got;
	uint32_t got_for, max;
	unsigned ends;
} f;

static void serve_accept(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	(void)payload;
	assert_null(f.accept);
	f.accept = call;
	f.accept_count++;
}

static void serve_read(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__RelayReadRequest *request =
		agent__relay_read_request__unpack(NULL, payload.len, payload.at);

	(void)data;
	assert_true(f.read_count < READS_MAX);
	f.max = request->max;
	f.read_of[f.read_count] = request->connection;
	f.reads[f.read_count++] = call;
	agent__relay_read_request__free_unpacked(request, NULL);
}

static void serve_write(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__RelayWriteRequest *request =
		agent__relay_write_request__unpack(NULL, payload.len, payload.at);

	(void)data;
	assert_true(request->data.len <= POD_RELAY_PIECE);
	assert_int_equal(buf_add(&f.got, request->data.data, request->data.len), 0);
	f.got_for = request->connection;
	f.ends += request->eof;
	agent__relay_write_request__free_unpacked(request, NULL);
	if (f.is_holding)
		f.write = call;
	else
		rpc_call_reply(call, NULL);
}

static const struct rpc_method methods[] = {
	{ POD_AGENT, "AcceptRelay", serve_accept, NULL },
	{ POD_AGENT, "ReadRelay", serve_read, NULL },
	{ POD_AGENT, "WriteRelay", serve_write, NULL },
};

/* A port of the loopback's that somebody listens on, or nobody does. */
static void bind_address(size_t i, int *ret_fd)
{
	socklen_t len = sizeof(f.address[i]);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	f.address[i] = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (const struct sockaddr *)&f.address[i], len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f.address[i], &len), 0);
	f.addresses[i] = (ProtobufCBinaryData){ sizeof(f.address[i]), (uint8_t *)&f.address[i] };
	if (ret_fd) {
		assert_int_equal(listen(fd, 64), 0);
		*ret_fd = fd;
	} else {
		(void)close(fd);
	}
}

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .listen_fd = -1, .fd = -1 };
	assert_int_equal(loop_new(&f.loop), 0);
	bind_address(0, NULL);
	bind_address(1, &f.listen_fd);
	casemate__vm__init(&f.vm);
	casemate__tee__init(&f.tee);
	f.tee.broker = f.addresses;
	f.tee.n_broker = 2;
	f.vm.tee = &f.tee;
	f.pod.opts.loop = f.loop;
	f.pod.vm = &f.vm;
	assert_int_equal(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds), 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[0],
				      &(struct rpc_conn_opts){
					      .methods = methods, .method_count = 3, .data = &f },
				      &f.agent),
			 0);
	assert_int_equal(rpc_conn_new(f.loop, fds[1], &(struct rpc_conn_opts){ 0 }, &f.pod.agent),
			 0);
	return 0;
}

static void drop(struct rpc_call *call)
{
	if (call)
		rpc_call_fail(call, RPC_UNAVAILABLE, "");
}

static int tear_down(void **state)
{
	struct rpc_conn *agent = f.pod.agent;

	(void)state;
	drop(f.accept);
	drop(f.write);
	while (f.read_count > 0)
		drop(f.reads[--f.read_count]);
	f.pod.agent = NULL;
	(void)rpc_conn_free(agent);
	pod_relay_end(&f.pod);
	assert_int_equal(f.pod.link_count, 0);
	(void)rpc_conn_free(f.agent);
	(void)loop_free(f.loop);
	(void)close(f.listen_fd);
	if (f.fd >= 0)
		(void)close(f.fd);
	buf_done(&f.got);
	return 0;
}

static void turn(void)
{
	while (loop_step(f.loop, 50) > 0)
		;
}

/* The agent wants a link. */
static void want(uint32_t number)
{
	Agent__RelayRef ref = AGENT__RELAY_REF__INIT;
	struct rpc_call *call = f.accept;

	assert_non_null(call);
	f.accept = NULL;
	ref.connection = number;
	rpc_call_reply(call, &ref.base);
	turn();
}

/* The agent says something, or that this was all. */
static void say(size_t read, const void *at, size_t len, bool eof)
{
	Agent__RelayData answer = AGENT__RELAY_DATA__INIT;
	struct rpc_call *call = f.reads[read];

	assert_true(read < f.read_count);
	f.read_count--;
	memmove(&f.reads[read], &f.reads[read + 1], (f.read_count - read) * sizeof(f.reads[0]));
	memmove(&f.read_of[read], &f.read_of[read + 1],
		(f.read_count - read) * sizeof(f.read_of[0]));
	memcpy(&answer.data.data, &at, sizeof(at));
	answer.data.len = len;
	answer.eof = eof;
	rpc_call_reply(call, &answer.base);
	turn();
}

static void connect_one(void)
{
	pod_relay_start(&f.pod);
	turn();
	want(7);
	f.fd = accept4(f.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(f.fd >= 0);
	assert_int_equal(f.read_count, 1);
	assert_int_equal(f.read_of[0], 7);
	assert_int_equal(f.max, POD_RELAY_PIECE);
}

static void a_link_is_to_the_first_address_that_answers(void **state)
{
	(void)state;
	connect_one();
	/* the next one may come */
	assert_int_equal(f.accept_count, 2);
}

static void bytes_go_both_ways(void **state)
{
	char text[16] = { 0 };

	(void)state;
	connect_one();
	say(0, "hello", 5, false);
	assert_int_equal(read(f.fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(f.read_count, 1);
	assert_int_equal(write(f.fd, "answer", 6), 6);
	turn();
	assert_int_equal(f.got.len, 6);
	assert_memory_equal(f.got.at, "answer", 6);
	assert_int_equal(f.got_for, 7);
	assert_int_equal(f.ends, 0);
}

static void both_ends_are_said_and_the_link_goes_with_the_second(void **state)
{
	char byte;

	(void)state;
	connect_one();
	say(0, "x", 1, true);
	assert_int_equal(read(f.fd, &byte, 1), 1);
	assert_int_equal(read(f.fd, &byte, 1), 0);
	assert_int_equal(f.read_count, 0);
	assert_int_equal(f.pod.link_count, 1);
	assert_int_equal(write(f.fd, "y", 1), 1);
	(void)shutdown(f.fd, SHUT_WR);
	turn();
	assert_int_equal(f.got.len, 1);
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.pod.link_count, 0);
}

static void a_broker_that_ends_first_is_still_written_to(void **state)
{
	char text[16];

	(void)state;
	connect_one();
	(void)shutdown(f.fd, SHUT_WR);
	turn();
	assert_int_equal(f.ends, 1);
	say(0, "late", 4, false);
	assert_int_equal(read(f.fd, text, sizeof(text)), 4);
	say(0, NULL, 0, true);
	assert_int_equal(read(f.fd, text, sizeof(text)), 0);
	assert_int_equal(f.pod.link_count, 0);
	assert_int_equal(f.ends, 1);
}

static void nobody_there_is_an_end(void **state)
{
	(void)state;
	f.tee.n_broker = 1;
	pod_relay_start(&f.pod);
	turn();
	want(3);
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.got_for, 3);
	assert_int_equal(f.pod.link_count, 0);
	/* and the next may try */
	assert_non_null(f.accept);
}

static void without_a_broker_no_link_is_taken(void **state)
{
	(void)state;
	f.tee.n_broker = 0;
	pod_relay_start(&f.pod);
	turn();
	assert_null(f.accept);
}

static void one_piece_at_a_time_is_taken_from_the_broker(void **state)
{
	static uint8_t zeros[BIG];
	ssize_t n = 0;
	size_t sent = 0;

	(void)state;
	connect_one();
	f.is_holding = true;
	while (sent < BIG && n >= 0) {
		n = write(f.fd, zeros, BIG - sent);
		sent += n > 0 ? (size_t)n : 0;
		turn();
		assert_true(f.got.len <= POD_RELAY_PIECE);
	}
	while (f.write) {
		struct rpc_call *call = f.write;

		f.write = NULL;
		rpc_call_reply(call, NULL);
		turn();
	}
	assert_int_equal(f.got.len, sent);
}

static void more_than_was_asked_for_ends_the_link(void **state)
{
	static const uint8_t zeros[POD_RELAY_PIECE + 1];
	char byte;

	(void)state;
	connect_one();
	say(0, zeros, sizeof(zeros), false);
	assert_int_equal(f.pod.link_count, 0);
	assert_int_equal(f.ends, 1);
	assert_int_equal(read(f.fd, &byte, 1), 0);
}

static void a_guest_that_is_gone_ends_the_link(void **state)
{
	char byte;

	(void)state;
	connect_one();
	drop(f.reads[--f.read_count]);
	turn();
	assert_int_equal(read(f.fd, &byte, 1), 0);
	assert_int_equal(f.pod.link_count, 0);
}

static void wait_for_accept(void)
{
	for (int i = 0; i < 100 && !f.accept; i++)
		(void)loop_step(f.loop, 50);
	assert_non_null(f.accept);
}

static void there_are_no_more_links_than_the_limit(void **state)
{
	(void)state;
	pod_relay_start(&f.pod);
	turn();
	for (uint32_t i = 0; i < POD_RELAY_LINKS; i++)
		want(i + 1);
	assert_int_equal(f.pod.link_count, POD_RELAY_LINKS);
	assert_null(f.accept);
	/* one ends, and there is room, in the next turn */
	drop(f.reads[--f.read_count]);
	wait_for_accept();
	assert_int_equal(f.pod.link_count, POD_RELAY_LINKS - 1);
}

static void no_more_links_than_that_are_begun_in_a_turn(void **state)
{
	(void)state;
	f.tee.n_broker = 1; /* nobody is there: each ends at once */
	pod_relay_start(&f.pod);
	turn();
	for (uint32_t i = 0; i < POD_RELAY_LINKS; i++)
		want(i + 1);
	assert_int_equal(f.pod.link_count, 0);
	assert_null(f.accept);
	wait_for_accept();
	want(POD_RELAY_LINKS + 1);
	assert_non_null(f.accept);
}

static void a_pod_that_ends_takes_its_links_along(void **state)
{
	struct rpc_conn *agent;
	char byte;

	(void)state;
	connect_one();
	agent = f.pod.agent;
	f.pod.agent = NULL;
	(void)rpc_conn_free(agent);
	pod_relay_end(&f.pod);
	assert_int_equal(f.pod.link_count, 0);
	assert_int_equal(read(f.fd, &byte, 1), 0);
}

/* Nobody takes connections from the queue, and it is full: one more waits to be connected. */
static void a_link_that_is_still_being_connected_goes_with_the_pod(void **state)
{
	int fds[8];

	(void)state;
	assert_int_equal(listen(f.listen_fd, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (const struct sockaddr *)&f.address[1], sizeof(f.address[1]));
	}
	pod_relay_start(&f.pod);
	turn();
	want(1);
	assert_int_equal(f.pod.link_count, 1);
	assert_int_equal(f.read_count, 0);
	pod_relay_end(&f.pod);
	assert_int_equal(f.pod.link_count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_link_is_to_the_first_address_that_answers),
		TEST(bytes_go_both_ways),
		TEST(both_ends_are_said_and_the_link_goes_with_the_second),
		TEST(a_broker_that_ends_first_is_still_written_to),
		TEST(nobody_there_is_an_end),
		TEST(without_a_broker_no_link_is_taken),
		TEST(one_piece_at_a_time_is_taken_from_the_broker),
		TEST(more_than_was_asked_for_ends_the_link),
		TEST(a_guest_that_is_gone_ends_the_link),
		TEST(there_are_no_more_links_than_the_limit),
		TEST(no_more_links_than_that_are_begun_in_a_turn),
		TEST(a_pod_that_ends_takes_its_links_along),
		TEST(a_link_that_is_still_being_connected_goes_with_the_pod),
	};

	return cmocka_run_group_tests_name("pod/relay", tests, NULL, NULL);
}
