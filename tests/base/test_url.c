// SPDX-License-Identifier: Apache-2.0
#include "base/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

static void parts_are_told_apart(void **state)
{
	static const struct {
		const char *text, *host, *path;
		unsigned port;
		bool is_ipv6;
	} urls[] = {
		{ "https://broker", "broker", "", 443, false },
		{ "https://broker/", "broker", "", 443, false },
		{ "https://b.example:8443/kbs//", "b.example", "/kbs", 8443, false },
		{ "https://192.0.2.1:1/a/b", "192.0.2.1", "/a/b", 1, false },
		{ "https://[::1]:65535", "::1", "", 65535, true },
		{ "https://[2001:db8::192.0.2.1]/x", "2001:db8::192.0.2.1", "/x", 443, true },
	};
	struct url url;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		if (url_parse(urls[i].text, &url) < 0)
			fail_msg("'%s' is refused", urls[i].text);
		assert_string_equal(url.host, urls[i].host);
		assert_string_equal(url.path, urls[i].path);
		assert_int_equal(url.port, urls[i].port);
		assert_int_equal(url.is_ipv6, urls[i].is_ipv6);
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const urls[] = {
		"",
		"broker",
		"http://broker",
		"HTTPS://broker",
		"https://",
		"https:///a",
		"https://-a",
		"https://.a",
		"https://user@broker",
		"https://broker:",
		"https://broker:0",
		"https://broker:65536",
		"https://broker:000443",
		"https://broker:80a",
		"https://broker:+1",
		"https://broker/a?b",
		"https://broker/a#b",
		"https://broker?",
		"https://broker a",
		"https://[::1",
		"https://[::1]a",
		"https://[127.0.0.1]",
		"https://[]",
		"https://::1",
		"https://broker/\n",
	};
	struct url url = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++)
		if (url_parse(urls[i], &url) != -EINVAL)
			fail_msg("'%s' is not refused", urls[i]);
	assert_int_equal(url.port, 7);
}

static void names_and_paths_have_an_end(void **state)
{
	char text[2048];
	struct url url;

	(void)state;
	(void)snprintf(text, sizeof(text), "https://%0*d", URL_HOST_MAX, 0);
	assert_int_equal(url_parse(text, &url), 0);
	(void)snprintf(text, sizeof(text), "https://%0*d", URL_HOST_MAX + 1, 0);
	assert_int_equal(url_parse(text, &url), -ENAMETOOLONG);
	(void)snprintf(text, sizeof(text), "https://a/%0*d", URL_PATH_MAX - 1, 0);
	assert_int_equal(url_parse(text, &url), 0);
	(void)snprintf(text, sizeof(text), "https://a/%0*d", URL_PATH_MAX, 0);
	assert_int_equal(url_parse(text, &url), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_told_apart),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(names_and_paths_have_an_end),
	};

	return cmocka_run_group_tests_name("base/url", tests, NULL, NULL);
}
