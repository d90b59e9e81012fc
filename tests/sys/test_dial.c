// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/dial.h"

static struct sockaddr_in loopback;

static struct bytes bytes_of(const void *at, size_t len)
{
	return (struct bytes){ at, len };
}

/* Somebody listens on a port of the loopback's; loopback is where. */
static int listen_somewhere(void)
{
	socklen_t len = sizeof(loopback);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	loopback = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&loopback, &len), 0);
	return fd;
}

static int wait_for(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	assert_int_equal(poll(&poll_fd, 1, 5000), 1);
	return dial_result(fd);
}

static void a_connection_is_made_and_ended(void **state)
{
	int listen_fd = listen_somewhere(), fd = -1, peer_fd;
	char byte;

	(void)state;
	assert_int_equal(dial_start(bytes_of(&loopback, sizeof(loopback)), &fd), 0);
	assert_int_equal(wait_for(fd), 0);
	peer_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer_fd >= 0);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	dial_finish(fd);
	assert_int_equal(read(peer_fd, &byte, 1), 0);
	assert_int_equal(write(peer_fd, "a", 1), 1);
	(void)close(peer_fd);
	(void)close(fd);
	(void)close(listen_fd);
}

static void nobody_there_is_told_when_it_is_known(void **state)
{
	int fd = -1, r;

	(void)state;
	(void)close(listen_somewhere());
	r = dial_start(bytes_of(&loopback, sizeof(loopback)), &fd);
	if (r == 0)
		r = wait_for(fd);
	assert_int_equal(r, -ECONNREFUSED);
	if (fd >= 0)
		(void)close(fd);
}

static void bytes_that_are_no_address_are_refused(void **state)
{
	uint8_t bytes[sizeof(struct sockaddr_storage) + 1] = { 0 };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int fd;

	(void)state;
	loopback.sin_family = AF_INET;
	assert_int_equal(dial_start(bytes_of(bytes, sizeof(bytes)), &fd), -EAFNOSUPPORT);
	assert_int_equal(dial_start(bytes_of(bytes, 0), &fd), -EAFNOSUPPORT);
	assert_int_equal(dial_start(bytes_of(&loopback, sizeof(loopback) - 1), &fd), -EAFNOSUPPORT);
	assert_int_equal(dial_start(bytes_of(&six, sizeof(loopback)), &fd), -EAFNOSUPPORT);
	bytes[0] = AF_UNIX;
	assert_int_equal(dial_start(bytes_of(bytes, 16), &fd), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_made_and_ended),
		cmocka_unit_test(nobody_there_is_told_when_it_is_known),
		cmocka_unit_test(bytes_that_are_no_address_are_refused),
	};

	return cmocka_run_group_tests_name("sys/dial", tests, NULL, NULL);
}
