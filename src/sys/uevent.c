// SPDX-License-Identifier: Apache-2.0
#include "sys/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"

enum {
	EVENT_MAX = 8192,
	GROUP_KERNEL = 1,
	RECEIVE_BUFFER = 1 << 20, /* a hundred disks that arrive together */
};

int uevent_open(int *ret_fd, struct err *err)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL };
	const int size = RECEIVE_BUFFER;
	cleanup_close int fd = -1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return err_sys(err, "listen for device events");
	/* a smaller buffer only makes uevent_drain() say "perhaps" more often */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, "listen for device events");
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* The message is "ACTION@PATH" and NAME=VALUE pairs, a NUL after each. */
static bool is_of(const char *at, size_t len, const char *subsystem)
{
	char want[64];
	size_t step;

	if (!subsystem)
		return true;
	(void)snprintf(want, sizeof(want), "SUBSYSTEM=%s", subsystem);
	for (size_t off = 0; off < len; off += step) {
		step = strnlen(at + off, len - off) + 1;
		if (off + step <= len && strcmp(at + off, want) == 0)
			return true;
	}
	return false;
}

bool uevent_drain(int fd, const char *subsystem)
{
	bool seen = false;
	char event[EVENT_MAX];
	ssize_t got;

	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof(from);

		got = recvfrom(fd, event, sizeof(event), 0, (struct sockaddr *)&from, &from_len);
		if (got < 0 && errno == ENOBUFS)
			seen = true;
		else if (got < 0 && errno != EINTR)
			return seen;
		else if (got > 0 && from.nl_pid == 0)
			seen = seen || is_of(event, (size_t)got, subsystem);
	}
}
