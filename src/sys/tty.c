// SPDX-License-Identifier: Apache-2.0
#include "sys/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "sys/sock.h"

/* The descriptor of a message, -1 if it has none or more than one. */
static int take_one(struct msghdr *msg)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	int fd;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(fd)) || msg->msg_flags & MSG_CTRUNC)
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

int tty_receive(int listen_fd, int *ret_fd, struct err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	cleanup_close int from_fd = -1, fd = -1;
	char text[256];
	struct iovec part = { text, sizeof(text) };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int r;

	r = sock_accept(listen_fd, &from_fd);
	if (r < 0)
		return err_num(err, r, "receive a terminal");
	if (recvmsg(from_fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return err_sys(err, "receive a terminal");
	fd = take_one(&msg);
	if (fd < 0 || !isatty(fd))
		return err_set(err, -EBADMSG, "receive a terminal: it is something else");
	*ret_fd = steal_fd(&fd);
	return 0;
}

int tty_own(int fd, uint32_t uid)
{
	cleanup_close int peer_fd = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	return peer_fd < 0 || fchown(peer_fd, uid, (gid_t)-1) < 0 ? -errno : 0;
}

int tty_resize(int fd, uint16_t width, uint16_t height)
{
	const struct winsize size = { .ws_col = width, .ws_row = height };

	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
