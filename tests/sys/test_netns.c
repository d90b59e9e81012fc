// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/netns.h"

/* The test's own two; it is in the first. No interface of the machine is touched. */
static int first_fd = -1, second_fd = -1;

static int set_up(void **state)
{
	(void)state;
	/* without the right to have one there is nothing to test */
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	assert_int_equal(netns_own(&first_fd, NULL), 0);
	assert_int_equal(netns_new(&second_fd, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (first_fd >= 0)
		(void)close(first_fd);
	if (second_fd >= 0)
		(void)close(second_fd);
	return 0;
}

/* A TAP interface, as long as the descriptor is open; -1: this kernel has none. */
static int add_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static bool is_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	(void)close(fd);
	return request.ifr_flags & IFF_UP;
}

static ino_t here(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static bool is_in(int netns_fd, const char *name)
{
	bool is_there;

	assert_int_equal(setns(netns_fd, CLONE_NEWNET), 0);
	is_there = if_nametoindex(name) != 0;
	assert_int_equal(setns(first_fd, CLONE_NEWNET), 0);
	return is_there;
}

static void a_new_one_is_elsewhere_with_its_loopback_up(void **state)
{
	ino_t before;
	int fd;

	(void)state;
	if (second_fd < 0)
		skip();
	before = here();
	assert_int_equal(netns_new(&fd, NULL), 0);
	assert_int_equal(here(), before);
	assert_false(is_up("lo"));
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	assert_int_not_equal(here(), before);
	assert_true(is_up("lo"));
	assert_int_equal(setns(first_fd, CLONE_NEWNET), 0);
	(void)close(fd);
}

static void an_interface_goes_and_comes_back(void **state)
{
	cleanup_close int tap_fd = second_fd < 0 ? -1 : add_tap("cm-there");
	ino_t before;

	(void)state;
	if (tap_fd < 0)
		skip();
	before = here();
	assert_int_equal(netns_move(first_fd, second_fd, "cm-there", NULL), 0);
	assert_int_equal(here(), before);
	assert_false(is_in(first_fd, "cm-there"));
	assert_true(is_in(second_fd, "cm-there"));
	assert_int_equal(netns_move(first_fd, second_fd, "cm-there", NULL), -ENODEV);
	assert_int_equal(netns_move(second_fd, first_fd, "cm-there", NULL), 0);
	assert_true(is_in(first_fd, "cm-there"));
}

static void what_cannot_go_is_refused(void **state)
{
	cleanup_close int tap_fd = second_fd < 0 ? -1 : add_tap("cm-twice");
	cleanup_close int other_fd = -1;
	struct err err = { 0 };

	(void)state;
	if (tap_fd < 0)
		skip();
	assert_int_equal(netns_move(first_fd, second_fd, "lo", &err), -EINVAL);
	assert_string_equal(err.msg, "move the network interface 'lo': Invalid argument");
	assert_int_equal(netns_move(first_fd, second_fd, "", NULL), -EINVAL);
	assert_int_equal(netns_move(first_fd, second_fd, "0123456789012345", NULL), -EINVAL);
	assert_int_equal(netns_move(first_fd, second_fd, "012345678901234", NULL), -ENODEV);
	assert_int_equal(setns(second_fd, CLONE_NEWNET), 0);
	other_fd = add_tap("cm-twice");
	assert_int_equal(setns(first_fd, CLONE_NEWNET), 0);
	assert_true(other_fd >= 0);
	assert_int_equal(netns_move(first_fd, second_fd, "cm-twice", NULL), -EEXIST);
	assert_true(is_in(first_fd, "cm-twice"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_one_is_elsewhere_with_its_loopback_up),
		cmocka_unit_test(an_interface_goes_and_comes_back),
		cmocka_unit_test(what_cannot_go_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
