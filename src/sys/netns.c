// SPDX-License-Identifier: Apache-2.0
#include "sys/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "sys/guest.h"

#define OWN "/proc/self/ns/net"

/* What is asked of the kernel: an interface by name, and where it goes. */
struct move_request {
	struct nlmsghdr header;
	struct ifinfomsg info;
	struct rtattr name_attr;
	char name[IFNAMSIZ];
	struct rtattr fd_attr;
	uint32_t fd;
};

struct move_answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
	uint8_t more[256]; /* the kernel's own words, and the request again */
};

int netns_own(int *ret_fd, struct err *err)
{
	int fd = open(OWN, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open '" OWN "'");
	*ret_fd = fd;
	return 0;
}

static int set_up(int *ret_fd, struct err *err)
{
	int r = guest_loopback_up(err);

	return r < 0 ? r : netns_own(ret_fd, err);
}

int netns_new(int *ret_fd, struct err *err)
{
	cleanup_close int own_fd = -1, new_fd = -1;
	int r;

	r = netns_own(&own_fd, err);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(err, "make a network namespace");
	r = set_up(&new_fd, err);
	if (setns(own_fd, CLONE_NEWNET) < 0)
		return err_sys(err, "come back from a network namespace");
	if (r == 0)
		*ret_fd = steal_fd(&new_fd);
	return r;
}

/* A socket stays in the namespace where it was made. */
static int open_socket(int netns_fd, int *ret_fd, struct err *err)
{
	cleanup_close int own_fd = -1;
	int r, fd;

	r = netns_own(&own_fd, err);
	if (r < 0)
		return r;
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_sys(err, "enter a network namespace");
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	r = fd < 0 ? err_sys(err, "open a socket for rtnetlink") : 0;
	if (setns(own_fd, CLONE_NEWNET) < 0) {
		r = err_sys(err, "come back from a network namespace");
		if (fd >= 0)
			(void)close(fd);
	}
	if (r == 0)
		*ret_fd = fd;
	return r;
}

int netns_move(int from_fd, int to_fd, const char *name, struct err *err)
{
	struct move_request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_SETLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.name_attr = { .rta_len = RTA_LENGTH(IFNAMSIZ), .rta_type = IFLA_IFNAME },
		.fd_attr = { .rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_NET_NS_FD },
		.fd = (uint32_t)to_fd,
	};
	struct move_answer answer = { 0 };
	cleanup_close int fd = -1;
	size_t len = strlen(name);
	ssize_t got;
	int r;

	if (len == 0 || len >= sizeof(request.name))
		return err_set(err, -EINVAL, "move the network interface '%.40s': no name", name);
	memcpy(request.name, name, len);
	r = open_socket(from_fd, &fd, err);
	if (r < 0)
		return r;
	if (send(fd, &request, sizeof(request), 0) < 0)
		return err_sys(err, "move the network interface '%s'", name);
	do
		got = recv(fd, &answer, sizeof(answer), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(err, "move the network interface '%s'", name);
	if ((size_t)got < sizeof(answer.header) + sizeof(answer.error.error) ||
	    answer.header.nlmsg_type != NLMSG_ERROR)
		return err_set(err, -EBADMSG, "move the network interface '%s': no answer", name);
	if (answer.error.error < 0)
		return err_num(err, answer.error.error, "move the network interface '%s'", name);
	return 0;
}
