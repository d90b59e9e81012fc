// SPDX-License-Identifier: Apache-2.0
/* protobuf-c, with the code generated from ttrpc.proto, is the oracle for our own reading. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/proto/task.pb-c.h"
#include "wire/proto/ttrpc.pb-c.h"
#include "wire/ttrpc.h"

#define BYTES(text) ((struct bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static void assert_bytes(struct bytes got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.at, want, got.len);
}

/* The only frame in buf. */
static struct ttrpc_frame only_frame(const struct buf *buf)
{
	struct ttrpc_frame frame;
	size_t used;

	assert_int_equal(ttrpc_frame_next(buf_bytes(buf), &frame, &used), 1);
	assert_int_equal(used, buf->len);
	return frame;
}

static void shows_a_frame_once_all_of_it_is_there(void **state)
{
	static const uint8_t raw[] = { 0, 0, 0, 3, 1, 2, 3, 4, 2, 9, 'a', 'b', 'c', 'X' };
	struct ttrpc_frame frame;
	size_t used = 77;

	(void)state;
	for (size_t len = 0; len < 13; len++)
		assert_int_equal(ttrpc_frame_next((struct bytes){ raw, len }, &frame, &used), 0);
	assert_int_equal(used, 77);
	assert_int_equal(ttrpc_frame_next((struct bytes){ raw, 14 }, &frame, &used), 1);
	assert_int_equal(used, 13);
	assert_int_equal(frame.type, TTRPC_RESPONSE);
	assert_int_equal(frame.stream, 0x01020304);
	assert_int_equal(frame.flags, 9);
	assert_bytes(frame.body, "abc");
}

static void refuses_a_bad_header_at_once(void **state)
{
	struct ttrpc_frame frame;
	size_t used;

	(void)state;
	assert_int_equal(ttrpc_frame_next(BYTES("\0\x40\0\0\0\0\0\1\1\0"), &frame, &used), 0);
	assert_int_equal(ttrpc_frame_next(BYTES("\0\x40\0\1\0\0\0\1\1\0"), &frame, &used),
			 -EMSGSIZE);
	assert_int_equal(ttrpc_frame_next(BYTES("\xff\xff\xff\xff\0\0\0\1\1\0"), &frame, &used),
			 -EMSGSIZE);
	for (int type = 0; type < 256; type++) {
		uint8_t raw[] = { 0, 0, 0, 0, 0, 0, 0, 1, (uint8_t)type, 0 };

		assert_int_equal(ttrpc_frame_next((struct bytes){ raw, sizeof(raw) }, &frame,
						  &used),
				 type == 1 || type == 2 ? 1 : -EPROTO);
	}
}

static void writes_requests_as_protobuf_reads_them(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	Task__KillRequest kill = TASK__KILL_REQUEST__INIT, *got;
	struct ttrpc_frame frame;
	struct ttrpc_request parsed;
	Ttrpc__Request *request;

	(void)state;
	kill.id = (char[]){ "c1" };
	kill.signal = 300;
	assert_int_equal(ttrpc_request_add(&buf, 5, "a.Service", "Kill", 1500000000000, &kill.base),
			 0);
	frame = only_frame(&buf);
	assert_int_equal(frame.type, TTRPC_REQUEST);
	assert_int_equal(frame.stream, 5);
	assert_int_equal(frame.flags, 0);

	request = ttrpc__request__unpack(NULL, frame.body.len, frame.body.at);
	assert_non_null(request);
	assert_string_equal(request->service, "a.Service");
	assert_string_equal(request->method, "Kill");
	assert_int_equal(request->timeout_nano, 1500000000000);
	got = task__kill_request__unpack(NULL, request->payload.len, request->payload.data);
	assert_non_null(got);
	assert_string_equal(got->id, "c1");
	assert_int_equal(got->signal, 300);

	assert_int_equal(ttrpc_request_parse(frame.body, &parsed), 0);
	assert_bytes(parsed.service, "a.Service");
	assert_bytes(parsed.method, "Kill");
	assert_int_equal(parsed.timeout_ns, 1500000000000);
	assert_int_equal(parsed.payload.len, request->payload.len);
	assert_memory_equal(parsed.payload.at, request->payload.data, parsed.payload.len);
	task__kill_request__free_unpacked(got, NULL);
	ttrpc__request__free_unpacked(request, NULL);
}

static void writes_responses_and_statuses_as_protobuf_reads_them(void **state)
{
	static const int32_t codes[] = { 1, 12, 127, 128, INT32_MAX, -1, INT32_MIN };
	Task__CreateTaskResponse created = TASK__CREATE_TASK_RESPONSE__INIT;
	struct ttrpc_response parsed;
	Ttrpc__Response *response;
	struct ttrpc_frame frame;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		CLEANUP(buf_done) struct buf buf = { 0 };

		assert_int_equal(ttrpc_status_add(&buf, 7, codes[i], "no such thing"), 0);
		frame = only_frame(&buf);
		assert_int_equal(frame.type, TTRPC_RESPONSE);
		assert_int_equal(frame.stream, 7);
		response = ttrpc__response__unpack(NULL, frame.body.len, frame.body.at);
		assert_non_null(response);
		assert_int_equal(response->status->code, codes[i]);
		assert_string_equal(response->status->message, "no such thing");
		ttrpc__response__free_unpacked(response, NULL);
		assert_int_equal(ttrpc_response_parse(frame.body, &parsed), 0);
		assert_int_equal(parsed.code, codes[i]);
		assert_bytes(parsed.message, "no such thing");
		assert_int_equal(parsed.payload.len, 0);
	}

	created.pid = 42;
	for (int with = 0; with < 2; with++) {
		CLEANUP(buf_done) struct buf buf = { 0 };

		assert_int_equal(ttrpc_response_add(&buf, 9, with ? &created.base : NULL), 0);
		frame = only_frame(&buf);
		assert_int_equal(ttrpc_response_parse(frame.body, &parsed), 0);
		assert_int_equal(parsed.code, 0);
		assert_bytes(parsed.payload, with ? "\x08\x2a" : "");
		assert_bytes(frame.body, with ? "\x12\x02\x08\x2a" : "");
	}
}

static void reads_what_others_write(void **state)
{
	Ttrpc__KeyValue pair = TTRPC__KEY_VALUE__INIT, *pairs[] = { &pair, &pair };
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	struct ttrpc_request parsed;
	uint8_t packed[256], payload[130] = { 1, 2, 3 };
	size_t len;

	(void)state;
	pair.key = (char[]){ "traceparent" };
	pair.value = (char[]){ "00-1" };
	request.service = (char[]){ "containerd.task.v2.Task" };
	request.method = (char[]){ "State" };
	request.payload.data = payload;
	request.payload.len = sizeof(payload);
	request.timeout_nano = -1;
	request.n_metadata = 2;
	request.metadata = pairs;
	len = ttrpc__request__pack(&request, packed);
	assert_true(len < sizeof(packed));
	assert_int_equal(ttrpc_request_parse((struct bytes){ packed, len }, &parsed), 0);
	assert_bytes(parsed.service, request.service);
	assert_bytes(parsed.method, request.method);
	assert_int_equal(parsed.payload.len, sizeof(payload));
	assert_memory_equal(parsed.payload.at, payload, sizeof(payload));
	assert_int_equal(parsed.timeout_ns, -1);
}

static void skips_what_it_does_not_know(void **state)
{
	struct ttrpc_request request;
	struct ttrpc_response response;

	(void)state;
	/* a method; a varint, 8 bytes, 3 bytes and 4 bytes in unknown fields; another method */
	assert_int_equal(ttrpc_request_parse(BYTES("\x12\1a"
						   "\x78\xff\1"
						   "\x79"
						   "12345678"
						   "\x7a\3abc"
						   "\x7d"
						   "1234"
						   "\x12\2bc"),
					     &request),
			 0);
	assert_bytes(request.method, "bc");
	assert_bytes(request.service, "");
	/* known numbers of another type */
	assert_int_equal(ttrpc_request_parse(BYTES("\x20\7"
						   "\x08\1"
						   "\x15"
						   "1234"
						   "\x19"
						   "12345678"
						   "\x22\1a"),
					     &request),
			 0);
	assert_int_equal(request.service.len + request.method.len + request.payload.len, 0);
	assert_int_equal(request.timeout_ns, 7);
	/* a status in two parts is one */
	assert_int_equal(ttrpc_response_parse(BYTES("\x0a\2\x08\5"
						    "\x0a\3\x12\1x"),
					      &response),
			 0);
	assert_int_equal(response.code, 5);
	assert_bytes(response.message, "x");
}

static void refuses_what_is_no_protobuf(void **state)
{
	static const struct bytes bad[] = {
		BYTES("\x0a"),	  /* no length */
		BYTES("\x0a\2a"), /* shorter than it says */
		BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
		BYTES("\x0b"),
		BYTES("\x0c"), /* groups */
		BYTES("\x0e"),
		BYTES("\x0f"), /* no wire type at all */
		BYTES("\x20\x80"),
		BYTES("\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"),
		BYTES("\x79"
		      "1234567"),
		BYTES("\x7d"
		      "123"),
		BYTES("\x80"),
	};
	struct ttrpc_request request = { .timeout_ns = 77 };
	struct ttrpc_response response = { .code = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ttrpc_request_parse(bad[i], &request), -EPROTO);
		assert_int_equal(ttrpc_response_parse(bad[i], &response), -EPROTO);
	}
	assert_int_equal(ttrpc_response_parse(BYTES("\x0a\1\x0a"), &response), -EPROTO);
	assert_int_equal(request.timeout_ns, 77);
	assert_int_equal(response.code, 77);
}

static void takes_bodies_up_to_the_limit(void **state)
{
	enum { OVERHEAD = 2 * 5 }; /* payload in a bytes field in a bytes field */
	CLEANUP(buf_done) struct buf buf = { 0 };
	cleanup_free uint8_t *data = calloc(1, TTRPC_BODY_MAX);
	Task__Any any = TASK__ANY__INIT;
	struct ttrpc_response response;

	(void)state;
	assert_non_null(data);
	assert_int_equal(buf_add(&buf, "before", 6), 0);
	any.value.data = data;
	any.value.len = TTRPC_BODY_MAX - OVERHEAD + 1;
	assert_int_equal(ttrpc_response_add(&buf, 1, &any.base), -EMSGSIZE);
	assert_int_equal(ttrpc_request_add(&buf, 1, "s", "m", 0, &any.base), -EMSGSIZE);
	assert_int_equal(buf.len, 6);

	buf.len = 0;
	any.value.len--;
	assert_int_equal(ttrpc_response_add(&buf, 1, &any.base), 0);
	assert_int_equal(buf.len, TTRPC_HEADER_SIZE + TTRPC_BODY_MAX);
	assert_int_equal(ttrpc_response_parse(only_frame(&buf).body, &response), 0);
	assert_int_equal(response.payload.len, TTRPC_BODY_MAX - OVERHEAD / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_a_frame_once_all_of_it_is_there),
		cmocka_unit_test(refuses_a_bad_header_at_once),
		cmocka_unit_test(writes_requests_as_protobuf_reads_them),
		cmocka_unit_test(writes_responses_and_statuses_as_protobuf_reads_them),
		cmocka_unit_test(reads_what_others_write),
		cmocka_unit_test(skips_what_it_does_not_know),
		cmocka_unit_test(refuses_what_is_no_protobuf),
		cmocka_unit_test(takes_bodies_up_to_the_limit),
	};

	return cmocka_run_group_tests_name("wire/ttrpc", tests, NULL, NULL);
}
