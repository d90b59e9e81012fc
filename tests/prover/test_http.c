// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "prover/http.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH "Content-Length: 5\r\n"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static int parse(const char *text, struct http_head *ret)
{
	size_t used = 0;
	int r = http_head_parse(bytes_of(text), "sid", ret, &used);

	if (r == 1)
		assert_int_equal(used, strstr(text, "\r\n\r\n") + 4 - text);
	return r;
}

static void an_answer_is_its_status_its_length_and_its_cookie(void **state)
{
	struct http_head head;

	(void)state;
	assert_int_equal(parse(OK "Date: now\r\nset-cookie:  sid=a-b; Path=/; Secure \r\n"
				  "Set-Cookie: other=1\r\ncontent-LENGTH: 5 \r\n\r\nhello",
			       &head),
			 1);
	assert_int_equal(head.status, 200);
	assert_int_equal(head.body_len, 5);
	assert_string_equal(head.cookie, "a-b");
	assert_false(head.is_last);
	assert_int_equal(
		parse("HTTP/1.1 401 \r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", &head), 1);
	assert_int_equal(head.status, 401);
	assert_int_equal(head.body_len, 0);
	assert_string_equal(head.cookie, "");
	assert_true(head.is_last);
}

static void an_answer_that_has_not_all_come_is_waited_for(void **state)
{
	static const char text[] = OK LENGTH "\r\n";
	struct http_head head;
	size_t used;

	(void)state;
	for (size_t len = 0; len < strlen(text); len++)
		assert_int_equal(http_head_parse((struct bytes){ (const uint8_t *)text, len },
						 "sid", &head, &used),
				 0);
	assert_int_equal(parse(text, &head), 1);
}

static void an_answer_that_can_be_read_two_ways_is_none(void **state)
{
	static const char *const bad[] = {
		OK "\r\n",
		OK LENGTH LENGTH "\r\n",
		OK "Content-Length: +5\r\n\r\n",
		OK "Content-Length: 5, 5\r\n\r\n",
		OK "Content-Length:\r\n\r\n",
		OK "Content-Length : 5\r\n\r\n",
		OK LENGTH "Transfer-Encoding: chunked\r\n\r\n",
		OK LENGTH "Content-Encoding: gzip\r\n\r\n",
		OK LENGTH " folded: 1\r\n\r\n",
		OK LENGTH "no colon\r\n\r\n",
		OK LENGTH ": no name\r\n\r\n",
		OK LENGTH "a: b\nc: d\r\n\r\n",
		OK LENGTH "a: b\rc: d\r\n\r\n",
		OK LENGTH "Set-Cookie: sid=\r\n\r\n",
		OK LENGTH "Set-Cookie: sid=a\"b\r\n\r\n",
		OK LENGTH "Set-Cookie: sid=a\r\nSet-Cookie: sid=b\r\n\r\n",
		"HTTP/1.0 200 OK\r\n" LENGTH "\r\n",
		"HTTP/1.1 100 Continue\r\n" LENGTH "\r\n",
		"HTTP/1.1 600 No\r\n" LENGTH "\r\n",
		"HTTP/1.1 20 OK\r\n" LENGTH "\r\n",
		"HTTP/1.1 2000 OK\r\n" LENGTH "\r\n",
		"HTTP/1.1 200OK\r\n" LENGTH "\r\n",
		"\r\n\r\n",
	};
	struct http_head head;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &head) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
}

static void a_nul_is_no_part_of_an_answer(void **state)
{
	static const char text[] = OK LENGTH "a: b\0c\r\n\r\n";
	struct http_head head;
	size_t used;

	(void)state;
	assert_int_equal(http_head_parse((struct bytes){ (const uint8_t *)text, sizeof(text) - 1 },
					 "sid", &head, &used),
			 -EBADMSG);
}

static void a_head_has_a_length_that_it_may_have(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct http_head head;
	size_t used;

	(void)state;
	assert_int_equal(buf_addf(&text, OK LENGTH "a: "), 0);
	while (text.len < HTTP_HEAD_MAX - 4)
		assert_int_equal(buf_add(&text, "b", 1), 0);
	assert_int_equal(buf_add(&text, "\r\n\r\n", 4), 0);
	assert_int_equal(http_head_parse(buf_bytes(&text), "sid", &head, &used), 1);
	assert_int_equal(used, HTTP_HEAD_MAX);
	text.len -= 4;
	assert_int_equal(buf_add(&text, "bbbb", 4), 0);
	assert_int_equal(http_head_parse(buf_bytes(&text), "sid", &head, &used), -E2BIG);
	text.len -= 4;
	assert_int_equal(buf_add(&text, "b\r\n\r\n", 5), 0);
	assert_int_equal(http_head_parse(buf_bytes(&text), "sid", &head, &used), -E2BIG);
}

static int parse_fields(size_t count)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct http_head head;
	size_t used;

	assert_int_equal(buf_addf(&text, OK LENGTH), 0);
	for (size_t i = 1; i < count; i++)
		assert_int_equal(buf_addf(&text, "f%zu: 1\r\n", i), 0);
	assert_int_equal(buf_addf(&text, "\r\n"), 0);
	return http_head_parse(buf_bytes(&text), "sid", &head, &used);
}

static void fields_bodies_and_cookies_have_limits(void **state)
{
	char text[1024], value[HTTP_COOKIE_MAX + 2];
	struct http_head head;

	(void)state;
	assert_int_equal(parse_fields(HTTP_FIELDS_MAX), 1);
	assert_int_equal(parse_fields(HTTP_FIELDS_MAX + 1), -E2BIG);
	(void)snprintf(text, sizeof(text), OK "Content-Length: %d\r\n\r\n", HTTP_BODY_MAX);
	assert_int_equal(parse(text, &head), 1);
	assert_int_equal(head.body_len, HTTP_BODY_MAX);
	(void)snprintf(text, sizeof(text), OK "Content-Length: %d\r\n\r\n", HTTP_BODY_MAX + 1);
	assert_int_equal(parse(text, &head), -E2BIG);
	memset(value, 'a', sizeof(value));
	(void)snprintf(text, sizeof(text), OK LENGTH "Set-Cookie: sid=%.*s\r\n\r\n",
		       HTTP_COOKIE_MAX, value);
	assert_int_equal(parse(text, &head), 1);
	(void)snprintf(text, sizeof(text), OK LENGTH "Set-Cookie: sid=%.*s\r\n\r\n",
		       HTTP_COOKIE_MAX + 1, value);
	assert_int_equal(parse(text, &head), -E2BIG);
}

static void a_url_is_a_host_and_what_is_before_its_paths(void **state)
{
	static const char *const bad[] = { "",
					   "http://a",
					   "https://",
					   "https:///a",
					   "https://u@a/",
					   "https://a?b",
					   "https://a#b",
					   "https://a b",
					   "https://a/\r\nX: y",
					   "HTTPS://a",
					   "https://a/\"",
					   "https://a\\b",
					   "https://a/b c" };
	struct http_url url;

	(void)state;
	assert_int_equal(http_url_parse("https://broker.example:8443/", &url), 0);
	assert_string_equal(url.host, "broker.example:8443");
	assert_string_equal(url.prefix, "");
	assert_int_equal(http_url_parse("https://[::1]:8443/kbs/here//", &url), 0);
	assert_string_equal(url.host, "[::1]:8443");
	assert_string_equal(url.prefix, "/kbs/here");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (http_url_parse(bad[i], &url) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void a_url_has_a_length_that_it_may_have(void **state)
{
	char text[HTTP_HOST_MAX + HTTP_PREFIX_MAX + 32];
	struct http_url url;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	text[8 + HTTP_HOST_MAX] = '/';
	text[8 + HTTP_HOST_MAX + HTTP_PREFIX_MAX] = '\0';
	assert_int_equal(http_url_parse(text, &url), 0);
	text[8 + HTTP_HOST_MAX + HTTP_PREFIX_MAX] = 'a';
	text[8 + HTTP_HOST_MAX + HTTP_PREFIX_MAX + 1] = '\0';
	assert_int_equal(http_url_parse(text, &url), -E2BIG);
	text[8 + HTTP_HOST_MAX] = 'a';
	text[8 + HTTP_HOST_MAX + 1] = '\0';
	assert_int_equal(http_url_parse(text, &url), -E2BIG);
}

static void only_a_name_is_told_in_tls(void **state)
{
	char name[HTTP_HOST_MAX + 1];
	struct http_url url;

	(void)state;
	assert_int_equal(http_url_parse("https://broker.example:8443", &url), 0);
	assert_true(http_url_name(&url, name));
	assert_string_equal(name, "broker.example");
	assert_int_equal(http_url_parse("https://10.0.0.1:8443", &url), 0);
	assert_false(http_url_name(&url, name));
	assert_int_equal(http_url_parse("https://[fe80::1]:8443", &url), 0);
	assert_false(http_url_name(&url, name));
}

static void a_request_is_one_text(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct http_request request = { .method = "GET", .path = "/a", .cookie = "" };
	struct http_url url;

	(void)state;
	assert_int_equal(http_url_parse("https://b:1/p", &url), 0);
	request.url = &url;
	assert_int_equal(http_request_print(&request, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_string_equal((const char *)text.at,
			    "GET /p/a HTTP/1.1\r\nHost: b:1\r\nAccept: application/json\r\n\r\n");
	text.len = 0;
	request.method = "POST";
	request.cookie = "sid=1";
	request.body = bytes_of("{}");
	assert_int_equal(http_request_print(&request, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_string_equal((const char *)text.at,
			    "POST /p/a HTTP/1.1\r\nHost: b:1\r\nAccept: application/json\r\n"
			    "Cookie: sid=1\r\nContent-Type: application/json\r\n"
			    "Content-Length: 2\r\n\r\n{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_its_status_its_length_and_its_cookie),
		cmocka_unit_test(an_answer_that_has_not_all_come_is_waited_for),
		cmocka_unit_test(an_answer_that_can_be_read_two_ways_is_none),
		cmocka_unit_test(a_nul_is_no_part_of_an_answer),
		cmocka_unit_test(a_head_has_a_length_that_it_may_have),
		cmocka_unit_test(fields_bodies_and_cookies_have_limits),
		cmocka_unit_test(a_url_is_a_host_and_what_is_before_its_paths),
		cmocka_unit_test(a_url_has_a_length_that_it_may_have),
		cmocka_unit_test(only_a_name_is_told_in_tls),
		cmocka_unit_test(a_request_is_one_text),
	};

	return cmocka_run_group_tests_name("prover/http", tests, NULL, NULL);
}
