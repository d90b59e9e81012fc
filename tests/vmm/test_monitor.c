// SPDX-License-Identifier: Apache-2.0
/* The test plays QEMU at the other end of a socket pair. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "vmm/monitor.h"

struct fixture {
	struct loop *loop;
	struct monitor *monitor;
	int fd;		/* QEMU's end */
	char log[1024]; /* what the callbacks were told */
	bool free_on_reply, free_on_gone;
	int passed_fd; /* by the last line() */
};

static void note(struct fixture *fixture, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct fixture *fixture, const char *fmt, ...)
{
	size_t len = strlen(fixture->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(fixture->log + len, sizeof(fixture->log) - len, fmt, ap);
	va_end(ap);
}

static void on_ready(void *data)
{
	note(data, "ready;");
}

static void on_event(void *data, const struct qmp_message *event)
{
	note(data, "event %s;", event->text);
}

static void on_gone(void *data, bool is_broken, const char *how)
{
	struct fixture *fixture = data;

	note(fixture, "gone %d %s;", is_broken, how);
	if (fixture->free_on_gone)
		fixture->monitor = monitor_free(fixture->monitor);
}

static void on_reply(void *data, int num, const char *text)
{
	struct fixture *fixture = data;

	note(fixture, "%d %s;", num, text);
	if (fixture->free_on_reply)
		fixture->monitor = monitor_free(fixture->monitor);
}

static const struct monitor_events events = {
	.on_ready = on_ready,
	.on_event = on_event,
	.on_gone = on_gone,
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int ends[2];

	assert_non_null(fixture);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	assert_int_equal(loop_new(&fixture->loop), 0);
	assert_int_equal(monitor_new(fixture->loop, ends[0], &events, fixture, &fixture->monitor),
			 0);
	fixture->fd = ends[1];
	fixture->passed_fd = -1;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	(void)monitor_free(fixture->monitor);
	(void)loop_free(fixture->loop);
	if (fixture->passed_fd >= 0)
		(void)close(fixture->passed_fd);
	if (fixture->fd >= 0)
		(void)close(fixture->fd);
	free(fixture);
	return 0;
}

static void turn(struct fixture *fixture)
{
	while (loop_step(fixture->loop, 0) > 0)
		;
}

static void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(write(fixture->fd, text, strlen(text)), strlen(text));
	turn(fixture);
}

/* What the monitor has sent; a descriptor that came with it is kept. */
static const char *heard(struct fixture *fixture)
{
	static char text[8192];
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec piece = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n;

	turn(fixture);
	n = recvmsg(fixture->fd, &message, MSG_CMSG_CLOEXEC);
	text[n > 0 ? n : 0] = '\0';
	if (n > 0 && message.msg_controllen) {
		if (fixture->passed_fd >= 0)
			(void)close(fixture->passed_fd);
		memcpy(&fixture->passed_fd, CMSG_DATA(&control.header), sizeof(int));
	}
	return text;
}

static void told(struct fixture *fixture, const char *expected)
{
	assert_string_equal(fixture->log, expected);
	fixture->log[0] = '\0';
}

static void negotiate(struct fixture *fixture)
{
	say(fixture, "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n");
	assert_string_equal(heard(fixture),
			    "{\"arguments\":{},\"execute\":\"qmp_capabilities\",\"id\":1}\n");
	say(fixture, "{\"return\": {}, \"id\": 1}\r\n");
	told(fixture, "ready;");
}

static int add(struct fixture *fixture, uint16_t lun)
{
	return monitor_add_disk(fixture->monitor, STDIN_FILENO, lun, "layer", on_reply, fixture);
}

static void says_nothing_before_the_greeting(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(add(fixture, 1), 0);
	assert_string_equal(heard(fixture), "");
	negotiate(fixture);
	assert_non_null(strstr(heard(fixture), "add-fd"));
}

static void adds_a_disk_with_its_descriptor(void **state)
{
	struct fixture *fixture = *state;
	int pipe_fds[2];
	char byte;

	negotiate(fixture);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(
		monitor_add_disk(fixture->monitor, pipe_fds[1], 3, "a.B-9_", on_reply, fixture), 0);
	(void)close(pipe_fds[1]);
	assert_string_equal(
		heard(fixture),
		"{\"arguments\":{\"fdset-id\":1002},\"execute\":\"add-fd\",\"id\":2}\n"
		"{\"arguments\":{\"auto-read-only\":false,\"driver\":\"raw\",\"file\":{"
		"\"auto-read-only\":false,\"driver\":\"file\",\"filename\":\"/dev/fdset/1002\","
		"\"locking\":\"off\",\"read-only\":true},\"node-name\":\"disk3\",\"read-only\":true},"
		"\"execute\":\"blockdev-add\",\"id\":3}\n"
		"{\"arguments\":{\"bus\":\"scsi.0\",\"channel\":0,\"drive\":\"disk3\",\"driver\":\"scsi-hd\","
		"\"id\":\"disk3\",\"lun\":3,\"scsi-id\":0,\"serial\":\"a.B-9_\"},"
		"\"execute\":\"device_add\",\"id\":4}\n"
		"{\"arguments\":{\"fdset-id\":1002},\"execute\":\"remove-fd\",\"id\":5}\n");
	/* It is that descriptor, and no copy stayed behind: the pipe ends with it. */
	assert_true(fixture->passed_fd >= 0);
	assert_int_equal(write(fixture->passed_fd, "x", 1), 1);
	(void)close(fixture->passed_fd);
	fixture->passed_fd = -1;
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	(void)close(pipe_fds[0]);
	say(fixture, "{\"return\": {\"fdset-id\": 1002, \"fd\": 20}, \"id\": 2}\r\n"
		     "{\"return\": {}, \"id\": 3}\r\n{\"return\": {}, \"id\": 4}\r\n");
	told(fixture, "");
	say(fixture, "{\"return\": {}, \"id\": 5}\r\n");
	told(fixture, "0 ;");
}

static void one_operation_is_under_way_at_a_time(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(add(fixture, 1), 0);
	assert_int_equal(add(fixture, 2), 0);
	assert_null(strstr(heard(fixture), "disk2"));
	say(fixture,
	    "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n{\"return\":{},\"id\":4}\n"
	    "{\"return\":{},\"id\":5}\n");
	told(fixture, "0 ;");
	assert_non_null(strstr(heard(fixture), "disk2"));
}

static void takes_back_what_came_halfway(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(add(fixture, 1), 0);
	(void)heard(fixture);
	say(fixture, "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n"
		     "{\"error\":{\"class\":\"GenericError\",\"desc\":\"lun in use\"},\"id\":4}\n"
		     "{\"return\":{},\"id\":5}\n");
	told(fixture, "");
	assert_string_equal(
		heard(fixture),
		"{\"arguments\":{\"node-name\":\"disk1\"},\"execute\":\"blockdev-del\",\"id\":6}\n");
	say(fixture, "{\"error\":{\"desc\":\"other\"},\"id\":6}\n");
	told(fixture, "-121 lun in use;");

	/* Without a node there is nothing to take back. */
	assert_int_equal(add(fixture, 2), 0);
	(void)heard(fixture);
	say(fixture, "{\"return\":{},\"id\":7}\n{\"error\":{\"desc\":\"bad\"},\"id\":8}\n"
		     "{\"error\":{\"desc\":\"none\"},\"id\":9}\n{\"return\":{},\"id\":10}\n");
	told(fixture, "-121 bad;");
	assert_string_equal(heard(fixture), "");

	assert_int_equal(add(fixture, 3), 0);
	(void)heard(fixture);
	say(fixture,
	    "{\"error\":{\"desc\":\"no fd\"},\"id\":11}\n{\"error\":{\"desc\":\"b\"},\"id\":12}\n"
	    "{\"error\":{\"desc\":\"c\"},\"id\":13}\n{\"error\":{\"desc\":\"d\"},\"id\":14}\n");
	told(fixture, "-121 no fd;");
	assert_string_equal(heard(fixture), "");
}

static void removal_waits_for_the_device_to_go(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(monitor_remove_disk(fixture->monitor, 7, on_reply, fixture), 0);
	assert_string_equal(
		heard(fixture),
		"{\"arguments\":{\"id\":\"disk7\"},\"execute\":\"device_del\",\"id\":2}\n");
	say(fixture, "{\"return\":{},\"id\":2}\n");
	say(fixture,
	    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"disk8\",\"path\":\"/\"}}\n");
	say(fixture, "{\"event\":\"DEVICE_DELETED\",\"data\":{\"path\":\"/\"}}\n");
	assert_string_equal(heard(fixture), "");
	say(fixture,
	    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"disk7\",\"path\":\"/\"}}\n");
	assert_string_equal(
		heard(fixture),
		"{\"arguments\":{\"node-name\":\"disk7\"},\"execute\":\"blockdev-del\",\"id\":3}\n");
	say(fixture, "{\"return\":{},\"id\":3}\n");
	told(fixture, "0 ;");
}

static void the_event_may_come_before_the_reply(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(monitor_remove_disk(fixture->monitor, 7, on_reply, fixture), 0);
	(void)heard(fixture);
	say(fixture,
	    "{\"event\":\"DEVICE_DELETED\",\"data\":{\"device\":\"disk7\",\"path\":\"/\"}}\n"
	    "{\"return\":{},\"id\":2}\n");
	assert_non_null(strstr(heard(fixture), "blockdev-del"));
	say(fixture, "{\"return\":{},\"id\":3}\n");
	told(fixture, "0 ;");

	assert_int_equal(monitor_remove_disk(fixture->monitor, 9, on_reply, fixture), 0);
	(void)heard(fixture);
	say(fixture, "{\"error\":{\"desc\":\"Device 'disk9' not found\"},\"id\":4}\n");
	told(fixture, "-121 Device 'disk9' not found;");
}

static void passes_events_on(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	say(fixture,
	    "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}\n");
	told(fixture, "event SHUTDOWN;");
}

static void ends_with_the_socket_and_answers_all(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(add(fixture, 1), 0);
	assert_int_equal(add(fixture, 2), 0);
	turn(fixture);
	(void)close(fixture->fd);
	fixture->fd = -1;
	turn(fixture);
	told(fixture, "gone 0 QEMU closed its monitor;-32 QEMU closed its monitor;"
		      "-32 QEMU closed its monitor;");
	assert_int_equal(monitor_remove_disk(fixture->monitor, 1, on_reply, fixture), -EPIPE);
}

static void ends_when_the_other_side_lies(void **state)
{
	static const char *const lies[] = {
		"{\"return\":{},\"id\":2}\n", /* nothing was asked */
		"{\"return\":{}}\n",
		"{\"QMP\":{}}\n",
		"junk\n",
		"{\"return\":{},\"id\":18446744073709551615}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		void *own = NULL;
		struct fixture *fixture;

		assert_int_equal(setup(&own), 0);
		fixture = own;
		negotiate(fixture);
		say(fixture, lies[i]);
		if (strncmp(fixture->log, "gone 1 ", 7) != 0)
			fail_msg("took '%s': '%s'", lies[i], fixture->log);
		assert_int_equal(add(fixture, 1), -EPIPE);
		assert_int_equal(teardown(&own), 0);
	}
}

static void replies_come_in_order_or_are_lies(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(add(fixture, 1), 0);
	(void)heard(fixture);
	say(fixture, "{\"return\":{},\"id\":3}\n");
	told(fixture, "gone 1 QEMU answered what nobody had asked;"
		      "-32 QEMU answered what nobody had asked;");
}

static void nothing_is_answered_while_an_event_is_awaited(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(monitor_remove_disk(fixture->monitor, 7, on_reply, fixture), 0);
	(void)heard(fixture);
	say(fixture, "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n");
	told(fixture, "gone 1 QEMU answered what nobody had asked;"
		      "-32 QEMU answered what nobody had asked;");
}

static void a_line_without_end_is_cut_off(void **state)
{
	struct fixture *fixture = *state;
	char piece[4096];
	size_t sent = 0;
	ssize_t n;

	negotiate(fixture);
	memset(piece, ' ', sizeof(piece));
	while (!fixture->log[0] && sent < 4 * QMP_LINE_MAX) {
		n = send(fixture->fd, piece, sizeof(piece), MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		turn(fixture);
	}
	told(fixture, "gone 1 QEMU said what is no QMP;");
	assert_true(sent <= QMP_LINE_MAX + sizeof(piece) * 4);
}

static void may_be_freed_in_any_callback(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	fixture->free_on_reply = true;
	assert_int_equal(add(fixture, 1), 0);
	assert_int_equal(add(fixture, 2), 0);
	turn(fixture);
	say(fixture,
	    "{\"return\":{},\"id\":2}\n{\"return\":{},\"id\":3}\n{\"return\":{},\"id\":4}\n"
	    "{\"return\":{},\"id\":5}\n{\"event\":\"STOP\"}\n");
	told(fixture, "0 ;-32 QEMU was stopped;");
	assert_null(fixture->monitor);
}

static void may_be_freed_when_it_is_gone(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	fixture->free_on_gone = true;
	assert_int_equal(add(fixture, 1), 0);
	say(fixture, "junk\n{\"event\":\"STOP\"}\n");
	told(fixture, "gone 1 QEMU said what is no QMP;-32 QEMU was stopped;");
	assert_null(fixture->monitor);
}

static void drains_what_had_been_said(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture);
	assert_int_equal(write(fixture->fd, "{\"event\":\"STOP\"}\n", 17), 17);
	monitor_drain(fixture->monitor);
	told(fixture, "event STOP;gone 0 QEMU has ended;");
	monitor_drain(fixture->monitor);
	told(fixture, "");
}

static void keeps_the_limits_of_operations(void **state)
{
	static const char serial[] = "123456789012345678901234567890123456";
	struct fixture *fixture = *state;
	struct monitor *monitor = fixture->monitor;
	int waiting = 1; /* the negotiation */

	assert_int_equal(sizeof(serial) - 1, MONITOR_SERIAL_MAX);
	assert_int_equal(monitor_add_disk(monitor, 0, 256, "a", on_reply, fixture), -EINVAL);
	assert_int_equal(monitor_remove_disk(monitor, 256, on_reply, fixture), -EINVAL);
	assert_int_equal(monitor_add_disk(monitor, 0, 1, "", on_reply, fixture), -EINVAL);
	assert_int_equal(monitor_add_disk(monitor, 0, 1, "a,b", on_reply, fixture), -EINVAL);
	assert_int_equal(monitor_add_disk(monitor, 0, 1, "1234567890123456789012345678901234567",
					  on_reply, fixture),
			 -EINVAL);
	assert_int_equal(monitor_add_disk(monitor, -1, 1, "a", on_reply, fixture), -EBADF);
	assert_int_equal(monitor_add_disk(monitor, fixture->fd, 255, serial, on_reply, fixture), 0);
	while (monitor_remove_disk(monitor, 255, NULL, NULL) == 0)
		waiting++;
	assert_int_equal(waiting + 1, MONITOR_WAITING_MAX);
	assert_int_equal(monitor_remove_disk(monitor, 255, NULL, NULL), -EAGAIN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_nothing_before_the_greeting),
		TEST(adds_a_disk_with_its_descriptor),
		TEST(one_operation_is_under_way_at_a_time),
		TEST(takes_back_what_came_halfway),
		TEST(removal_waits_for_the_device_to_go),
		TEST(the_event_may_come_before_the_reply),
		TEST(passes_events_on),
		TEST(ends_with_the_socket_and_answers_all),
		TEST(ends_when_the_other_side_lies),
		TEST(replies_come_in_order_or_are_lies),
		TEST(nothing_is_answered_while_an_event_is_awaited),
		TEST(a_line_without_end_is_cut_off),
		TEST(may_be_freed_in_any_callback),
		TEST(may_be_freed_when_it_is_gone),
		TEST(drains_what_had_been_said),
		TEST(keeps_the_limits_of_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
