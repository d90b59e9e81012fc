// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "conn_fixture.h"

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
	Agent__StartResponse *message =
		agent__start_response__unpack(NULL, reply->payload.len, reply->payload.at);

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
	assert_status(RPC_FAILED_PRECONDITION, "not \\x1b[31mnow\n\xc3\xa9");
	memset(want, 'x', RPC_MESSAGE_MAX);
	want[RPC_MESSAGE_MAX] = '\0';
	call_and_turn("FailLong", 0);
	assert_status(993, want);
}

static void an_unknown_method_is_unimplemented(void **state)
{
	static const char *const calls[][2] = {
		{ SERVICE, "Ech" },	   { SERVICE, "Echoo" }, { SERVICE, "" },
		{ "test.Servic", "Echo" }, { "", "Echo" },	 { "other.Service", "Later" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_int_equal(rpc_conn_call(f.client, calls[i][0], calls[i][1], 0, NULL,
					       on_reply, &f),
				 0);
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
	assert_int_equal(f.replies, 2); /* at once */
	assert_int_equal(f.num, -EPIPE);
	rpc_call_reply(f.kept[0], NULL); /* nobody's there, which isn't known yet */
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
	assert_int_equal(call("Echo", 100, 0), 0); /* its write says that nobody is there */
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
	rpc_call_reply(f.kept[0], NULL); /* too late: nobody's told */
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
	assert_int_equal(call("Echo", 0, 0), 0); /* in the same read, isn't served */
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
	turn_until(&f.closed, 1); /* the server's */
	assert_null(f.client);
	assert_int_equal(f.replies, 4); /* the first, and in it the others */
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
	assert_string_equal(err.msg, "call 'Fail': not \\x1b[31mnow\n\xc3\xa9");
	assert_int_equal(buf.len, 0);
	f.answer_size = 100;
	assert_int_equal(rpc_conn_wait(f.client, SERVICE, "Bulk", 0, NULL, &buf, &err), 0);
	assert_int_equal(buf.len, 102);
	call_and_turn("Wait", 0); /* in which waiting is refused */
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
		CONN_TEST(simple_clients_wait_for_the_answer, setup_both),
		CONN_TEST(a_character_device_will_do, setup),
		CONN_TEST(takes_the_descriptor_also_on_failure, setup),
	};

	return cmocka_run_group_tests_name("rpc/conn", tests, NULL, NULL);
}
