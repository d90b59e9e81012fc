// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/qmp.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void tells_the_four_kinds_apart(void **state)
{
	struct qmp_message message;

	(void)state;
	assert_int_equal(qmp_parse(bytes_of("{\"QMP\": {\"version\": {}, \"capabilities\": []}}"),
				   &message),
			 0);
	assert_int_equal(message.kind, QMP_GREETING);
	qmp_message_done(&message);

	assert_int_equal(qmp_parse(bytes_of("{\"return\": {\"a\": 1}, \"id\": 7}"), &message), 0);
	assert_int_equal(message.kind, QMP_RETURN);
	assert_int_equal(message.id, 7);
	assert_int_equal(json_integer_value(json_object_get(message.data, "a")), 1);
	qmp_message_done(&message);

	assert_int_equal(qmp_parse(bytes_of("{\"id\": 8, \"error\": {\"class\": \"GenericError\", "
					    "\"desc\": \"no\\u0007 \\u00e9\"}}"),
				   &message),
			 0);
	assert_int_equal(message.kind, QMP_ERROR);
	assert_int_equal(message.id, 8);
	assert_string_equal(message.text, "no? ??");
	qmp_message_done(&message);

	assert_int_equal(qmp_parse(bytes_of("{\"timestamp\": {}, \"event\": \"SHUTDOWN\", "
					    "\"data\": {\"guest\": true}}"),
				   &message),
			 0);
	assert_int_equal(message.kind, QMP_EVENT);
	assert_int_equal(message.id, 0);
	assert_string_equal(message.text, "SHUTDOWN");
	assert_true(json_is_true(json_object_get(message.data, "guest")));
	qmp_message_done(&message);

	assert_int_equal(qmp_parse(bytes_of("{\"event\": \"RESUME\"}"), &message), 0);
	assert_null(message.data);
}

static void refuses_what_is_no_message(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"[]",
		"{}",
		"{\"return\": 1",
		"{\"return\": 1, \"return\": 2}",
		"{\"return\": 1, \"event\": \"A\"}",
		"{\"QMP\": 1}",
		"{\"error\": 1}",
		"{\"error\": {\"desc\": 1}}",
		"{\"event\": 1}",
		"{\"event\": \"\"}",
		"{\"event\": \"A B\"}",
		"{\"event\": \"A\", \"data\": []}",
		"{\"return\": 1} x",
	};
	struct qmp_message message = { .text = "untouched" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (qmp_parse(bytes_of(bad[i]), &message) != -EBADMSG)
			fail_msg("took '%s'", bad[i]);
	}
	assert_string_equal(message.text, "untouched");
}

static void ids_not_of_our_making_are_none(void **state)
{
	static const char *const odd[] = {
		"{\"return\": 1}",
		"{\"return\": 1, \"id\": \"1\"}",
		"{\"return\": 1, \"id\": -1}",
		"{\"return\": 1, \"id\": 0}",
		"{\"return\": 1, \"id\": 1.0}",
	};
	struct qmp_message message;

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(qmp_parse(bytes_of(odd[i]), &message), 0);
		assert_int_equal(message.id, 0);
		qmp_message_done(&message);
	}
}

static int parse_event(size_t len)
{
	CLEANUP(qmp_message_done) struct qmp_message message = { 0 };
	char text[256] = "{\"event\": \"", *at = text + strlen(text);

	memset(at, 'E', len);
	memcpy(at + len, "\"}", 3);
	return qmp_parse(bytes_of(text), &message);
}

static void event_names_have_a_limit(void **state)
{
	(void)state;
	assert_int_equal(parse_event(QMP_NAME_MAX), 0);
	assert_int_equal(parse_event(QMP_NAME_MAX + 1), -EBADMSG);
}

static void long_descriptions_are_cut(void **state)
{
	CLEANUP(qmp_message_done) struct qmp_message message = { 0 };
	char text[1024] = "{\"error\": {\"desc\": \"", *at = text + strlen(text);

	(void)state;
	memset(at, 'd', 600);
	memcpy(at + 600, "\"}}", 4);
	assert_int_equal(qmp_parse(bytes_of(text), &message), 0);
	assert_int_equal(strlen(message.text), QMP_TEXT_MAX);
}

/* The kinds that come out of text in pieces of that size, as digits. */
static unsigned int kinds_of(const char *text, size_t piece)
{
	CLEANUP(qmp_stream_done) struct qmp_stream stream = { 0 };
	const struct bytes all = bytes_of(text);
	struct qmp_message message;
	unsigned int seen = 0;

	for (size_t at = 0; at < all.len; at += piece) {
		struct bytes part = { all.at + at, all.len - at < piece ? all.len - at : piece };

		assert_int_equal(qmp_stream_feed(&stream, part), 0);
		while (qmp_stream_next(&stream, &message) > 0) {
			seen = seen * 10 + (unsigned int)message.kind + 1;
			qmp_message_done(&message);
		}
	}
	return seen;
}

/* Whatever pieces the bytes come in, the messages are the same. */
static void pieces_do_not_matter(void **state)
{
	static const char text[] = "{\"QMP\": {}}\r\n\r\n{\"return\": {}, \"id\": 1}\r\n\n"
				   "{\"event\": \"STOP\"}\n{\"return\"";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++)
		assert_int_equal(kinds_of(text, piece), 124);
}

static void a_bad_line_is_skipped(void **state)
{
	CLEANUP(qmp_stream_done) struct qmp_stream stream = { 0 };
	struct qmp_message message;

	(void)state;
	assert_int_equal(qmp_stream_feed(&stream, bytes_of("junk\n{\"event\": \"STOP\"}\n")), 0);
	assert_int_equal(qmp_stream_next(&stream, &message), -EBADMSG);
	assert_int_equal(qmp_stream_next(&stream, &message), 1);
	assert_int_equal(message.kind, QMP_EVENT);
	assert_int_equal(qmp_stream_next(&stream, &message), 0);
}

/* An event whose padding makes the line that long, fed in pieces of that size. */
static int feed_line(size_t len, size_t piece)
{
	static const char head[] = "{\"event\": \"STOP\"}";
	CLEANUP(qmp_stream_done) struct qmp_stream stream = { 0 };
	struct qmp_message message;
	char *line = malloc(len + 1);
	int r = 0;

	assert_non_null(line);
	memset(line, ' ', len);
	memcpy(line, head, sizeof(head) - 1);
	line[len] = '\n';
	for (size_t at = 0; r == 0 && at < len + 1; at += piece) {
		size_t now = len + 1 - at < piece ? len + 1 - at : piece;

		r = qmp_stream_feed(&stream, (struct bytes){ (const uint8_t *)line + at, now });
		if (r == 0)
			r = qmp_stream_next(&stream, &message);
	}
	free(line);
	return r;
}

static void lines_have_a_limit(void **state)
{
	(void)state;
	assert_int_equal(feed_line(QMP_LINE_MAX, 4096), 1);
	assert_int_equal(feed_line(QMP_LINE_MAX + 1, 4096), -EMSGSIZE);
	assert_int_equal(feed_line(QMP_LINE_MAX, 1 << 20), 1);
	assert_int_equal(feed_line(QMP_LINE_MAX + 1, 1 << 20), -EMSGSIZE);
}

static void lines_without_end_have_a_limit(void **state)
{
	CLEANUP(qmp_stream_done) struct qmp_stream stream = { 0 };
	struct qmp_message message;
	char *line = malloc(QMP_LINE_MAX + 1);

	(void)state;
	assert_non_null(line);
	memset(line, ' ', QMP_LINE_MAX + 1);
	memcpy(line, "{\"event\": \"STOP\"}", 17);
	line[QMP_LINE_MAX] = '\r';
	assert_int_equal(qmp_stream_feed(&stream,
					 (struct bytes){ (const uint8_t *)line, QMP_LINE_MAX + 1 }),
			 0);
	assert_int_equal(qmp_stream_next(&stream, &message), 0);
	assert_int_equal(qmp_stream_feed(&stream, bytes_of("x")), -EMSGSIZE);
	assert_int_equal(qmp_stream_feed(&stream, bytes_of("\n")), 0);
	assert_int_equal(qmp_stream_next(&stream, &message), 1);
	free(line);
}

static void commands_are_one_line_each(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(qmp_command("qmp_capabilities", 1, NULL, &buf), 0);
	assert_int_equal(qmp_command("device_del", 2, json_pack("{s:s}", "id", "a\"b\n"), &buf), 0);
	assert_int_equal(buf_add(&buf, "", 1), 0);
	assert_string_equal(
		(const char *)buf.at,
		"{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
		"{\"arguments\":{\"id\":\"a\\\"b\\n\"},\"execute\":\"device_del\",\"id\":2}\n");
}

static void command_names_are_checked(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	char name[QMP_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(qmp_command(name, 1, json_object(), &buf), -EINVAL);
	assert_int_equal(qmp_command("", 1, NULL, &buf), -EINVAL);
	assert_int_equal(qmp_command("a\"", 1, NULL, &buf), -EINVAL);
	assert_int_equal(buf.len, 0);
	name[QMP_NAME_MAX] = '\0';
	assert_int_equal(qmp_command(name, 1, NULL, &buf), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_the_four_kinds_apart),
		cmocka_unit_test(refuses_what_is_no_message),
		cmocka_unit_test(ids_not_of_our_making_are_none),
		cmocka_unit_test(event_names_have_a_limit),
		cmocka_unit_test(long_descriptions_are_cut),
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(a_bad_line_is_skipped),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(lines_without_end_have_a_limit),
		cmocka_unit_test(commands_are_one_line_each),
		cmocka_unit_test(command_names_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
