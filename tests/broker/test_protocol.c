// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/protocol.h"

static void messages_are_found_in_a_stream_as_they_come(void **state)
{
	Broker__Request request = BROKER__REQUEST__INIT;
	CLEANUP(buf_done) struct buf whole = { 0 }, in = { 0 };
	size_t found = 0;

	(void)state;
	for (request.id = 1; request.id <= 3; request.id++)
		assert_int_equal(broker_request_add(&request, &whole), 0);
	for (size_t i = 0; i < whole.len; i++) {
		Broker__Request *read = NULL;
		struct bytes frame;
		int r;

		assert_int_equal(buf_add(&in, whole.at + i, 1), 0);
		r = broker_frame_next(&in, &frame);
		if (r == 0)
			continue;
		assert_int_equal(r, 1);
		assert_int_equal(broker_request_parse(frame, &read, NULL), 0);
		assert_int_equal(read->id, ++found);
		broker__request__free_unpacked(read, NULL);
		broker_frame_drop(&in, frame);
		assert_int_equal(in.len, 0);
	}
	assert_int_equal(found, 3);
}

static void a_message_has_a_limit(void **state)
{
	uint8_t head[4] = { BROKER_FRAME_MAX >> 24, BROKER_FRAME_MAX >> 16 & 0xff,
			    BROKER_FRAME_MAX >> 8 & 0xff, BROKER_FRAME_MAX & 0xff };
	CLEANUP(buf_done) struct buf in = { 0 };
	struct bytes frame;

	(void)state;
	assert_int_equal(buf_add(&in, head, sizeof(head)), 0);
	assert_int_equal(broker_frame_next(&in, &frame), 0);
	in.at[3]++;
	assert_int_equal(broker_frame_next(&in, &frame), -EMSGSIZE);
}

/* 0, or the refusal. */
static int parse(const Broker__Request *request)
{
	CLEANUP(buf_done) struct buf in = { 0 };
	Broker__Request *read = NULL;
	struct err err = { 0 };
	struct bytes frame;
	int r;

	assert_int_equal(broker_request_add(request, &in), 0);
	assert_int_equal(broker_frame_next(&in, &frame), 1);
	r = broker_request_parse(frame, &read, &err);
	if (r == 0)
		broker__request__free_unpacked(read, NULL);
	else
		assert_true(err.msg[0]);
	return r;
}

static void what_a_broken_front_could_say_is_refused(void **state)
{
	static uint8_t bytes[BROKER_ATTEST_MAX + 1];
	Broker__Request request = BROKER__REQUEST__INIT;
	char peer[] = "1.2.3.4:5", spaced[] = "a b", resource[] = "a/b/c", wrong[] = "a/b";

	(void)state;
	request.peer = peer;
	request.body = (ProtobufCBinaryData){ .len = BROKER_AUTH_MAX, .data = bytes };
	assert_int_equal(parse(&request), 0);
	request.body.len++;
	assert_int_equal(parse(&request), -EBADMSG);
	request.kind = BROKER_ATTEST;
	assert_int_equal(parse(&request), 0);
	request.body.len = BROKER_ATTEST_MAX;
	assert_int_equal(parse(&request), 0);
	request.body.len++;
	assert_int_equal(parse(&request), -EBADMSG);
	request.body.len = 0;
	request.session = (ProtobufCBinaryData){ .len = BROKER_SESSION_SIZE, .data = bytes };
	assert_int_equal(parse(&request), 0);
	request.session.len--;
	assert_int_equal(parse(&request), -EBADMSG);
	request.session.len += 2;
	assert_int_equal(parse(&request), -EBADMSG);
	request.session.len = 0;
	request.resource = resource;
	assert_int_equal(parse(&request), -EBADMSG);
	request.kind = BROKER_RESOURCE;
	assert_int_equal(parse(&request), 0);
	request.body = (ProtobufCBinaryData){ .len = 1, .data = bytes };
	assert_int_equal(parse(&request), -EBADMSG);
	request.body.len = 0;
	request.resource = wrong;
	assert_int_equal(parse(&request), -EBADMSG);
	request.resource = resource;
	request.peer = spaced;
	assert_int_equal(parse(&request), -EBADMSG);
	request.peer = peer;
	request.token = spaced;
	assert_int_equal(parse(&request), -EBADMSG);
	request.token = peer;
	request.kind = BROKER_KIND_COUNT;
	assert_int_equal(parse(&request), -EBADMSG);
}

static void texts_have_limits(void **state)
{
	Broker__Request request = BROKER__REQUEST__INIT;
	char peer[BROKER_PEER_MAX + 2];

	(void)state;
	memset(peer, 'a', sizeof(peer));
	peer[BROKER_PEER_MAX + 1] = '\0';
	request.peer = peer;
	assert_int_equal(parse(&request), -EBADMSG);
	peer[BROKER_PEER_MAX] = '\0';
	assert_int_equal(parse(&request), 0);
}

static void an_answer_is_checked_too(void **state)
{
	static const struct {
		size_t session;
		uint32_t status;
		int want;
	} cases[] = { { 0, 200, 0 },	    { 16, 200, 0 },	  { 0, 599, 0 },
		      { 0, 199, -EBADMSG }, { 0, 600, -EBADMSG }, { 15, 200, -EBADMSG } };
	uint8_t session[BROKER_SESSION_SIZE] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Broker__Answer answer = BROKER__ANSWER__INIT, *read = NULL;
		CLEANUP(buf_done) struct buf in = { 0 };
		struct bytes frame;

		answer.status = cases[i].status;
		answer.session = (ProtobufCBinaryData){ .len = cases[i].session, .data = session };
		assert_int_equal(broker_answer_add(&answer, &in), 0);
		assert_int_equal(broker_frame_next(&in, &frame), 1);
		assert_int_equal(broker_answer_parse(frame, &read, NULL), cases[i].want);
		if (read)
			broker__answer__free_unpacked(read, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_found_in_a_stream_as_they_come),
		cmocka_unit_test(a_message_has_a_limit),
		cmocka_unit_test(what_a_broken_front_could_say_is_refused),
		cmocka_unit_test(texts_have_limits),
		cmocka_unit_test(an_answer_is_checked_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
