// SPDX-License-Identifier: Apache-2.0
#include "sys/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/host.h"

static unsigned int asleep_s; /* how long the library takes for a name */

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);

/* The library is asked, but for one name that no network is needed for. */
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	if (hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, service, hints, ret);
	(void)sleep(asleep_s);
	if (strcmp(host, "dies.example") == 0)
		_exit(3);
	if (strcmp(host, "here.example") == 0)
		return __real_getaddrinfo("192.0.2.7", service, hints, ret);
	return EAI_NONAME;
}

static struct sockaddr_in found(const char *host)
{
	struct resolve_address list[RESOLVE_MAX];
	struct sockaddr_in at;
	struct err err = { 0 };
	size_t count = 0;

	if (resolve_host(host, 8443, 5000, list, &count, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(count >= 1);
	assert_int_equal(list[0].len, sizeof(at));
	memcpy(&at, list[0].at, sizeof(at));
	assert_int_equal(at.sin_family, AF_INET);
	assert_int_equal(at.sin_port, htons(8443));
	return at;
}

static void an_address_is_itself(void **state)
{
	struct resolve_address list[RESOLVE_MAX];
	struct sockaddr_in6 at;
	size_t count = 0;

	(void)state;
	assert_int_equal(found("127.0.0.1").sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(resolve_host("::1", 443, 5000, list, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].len, sizeof(at));
	memcpy(&at, list[0].at, sizeof(at));
	assert_int_equal(at.sin6_family, AF_INET6);
	assert_memory_equal(&at.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
}

static void a_name_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(found("here.example").sin_addr.s_addr, htonl(0xc0000207));
}

static void what_is_not_found_is_said(void **state)
{
	struct resolve_address list[RESOLVE_MAX];
	struct err err = { 0 };
	size_t count = 7;

	(void)state;
	assert_int_equal(resolve_host("gone.example", 1, 5000, list, &count, &err), -EHOSTUNREACH);
	assert_non_null(strstr(err.msg, "find host 'gone.example': "));
	assert_int_equal(resolve_host("dies.example", 1, 5000, list, &count, &err), -ECHILD);
	assert_int_equal(count, 7);
}

static void waiting_has_an_end_and_leaves_no_child(void **state)
{
	struct resolve_address list[RESOLVE_MAX];
	uint64_t start_us = host_boottime_us();
	struct err err = { 0 };
	size_t count = 0;

	(void)state;
	asleep_s = 30;
	assert_int_equal(resolve_host("here.example", 1, 200, list, &count, &err), -ETIMEDOUT);
	asleep_s = 0;
	assert_true(host_boottime_us() - start_us < 10000000);
	assert_true(host_boottime_us() - start_us >= 200000);
	assert_string_equal(err.msg, "find host 'here.example': no answer in 0.2 s");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_itself),
		cmocka_unit_test(a_name_is_asked_for),
		cmocka_unit_test(what_is_not_found_is_said),
		cmocka_unit_test(waiting_has_an_end_and_leaves_no_child),
	};

	return cmocka_run_group_tests_name("sys/resolve", tests, NULL, NULL);
}
