// SPDX-License-Identifier: Apache-2.0
#include "sys/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, LENGTH_SIZE = 4 };

/* Room for one control message with as many descriptors as the kernel lets through. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
};

int sock_pair(int type, int ret_fds[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

static int make_address(int dir_fd, const char *name, struct sockaddr_un *ret_addr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int len =
		snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);

	if (len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	*ret_addr = addr;
	return 0;
}

/*
 * Whoever finds the name can connect: so it is made under another one, which is nobody's but this
 * process's, and has its own once it listens and has its mode. link(2) takes no name that exists.
 */
static int listen_as(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct err *err)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	char made[NAME_MAX + 1];
	int r;

	(void)snprintf(made, sizeof(made), "%s.%d", name, (int)getpid());
	r = make_address(dir_fd, made, &addr);
	if (r < 0)
		return err_num(err, r, "listen on '%s'", name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "make a socket for '%s'", name);
	(void)unlinkat(dir_fd, made, 0); /* of one of our number, who died right here */
	/* bind(2) gives the name the mode of the socket: no moment with a wider one */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "listen on '%s'", name);
	if (listen(fd, BACKLOG) < 0 || fchmodat(dir_fd, made, mode, 0) < 0 ||
	    linkat(dir_fd, made, dir_fd, name, 0) < 0)
		r = errno == EEXIST ? -EADDRINUSE : -errno;
	(void)unlinkat(dir_fd, made, 0);
	if (r < 0)
		return err_num(err, r, "listen on '%s'", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int sock_listen(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	return listen_as(dir_fd, name, 0600, ret_fd, err);
}

int sock_listen_for_all(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	return listen_as(dir_fd, name, 0666, ret_fd, err);
}

int sock_connect(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = make_address(dir_fd, name, &addr);
	if (r < 0)
		return err_num(err, r, "connect to '%s'", name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "make a socket for '%s'", name);
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(err, "connect to '%s'", name);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int sock_accept(int listen_fd, int *ret_fd)
{
	int fd;

	do
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Sends what parts hold; the descriptors in control, if there is any, with the first byte. */
static int send_parts(int fd, struct iovec parts[2], union control *control, size_t control_len)
{
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	msg.msg_control = control_len ? control : NULL;
	msg.msg_controllen = control_len;
	while (parts[0].iov_len + parts[1].iov_len > 0) {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		for (int i = 0; i < 2; i++) {
			size_t sent = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;

			parts[i].iov_base = (char *)parts[i].iov_base + sent;
			parts[i].iov_len -= sent;
			n -= (ssize_t)sent;
		}
	}
	return 0;
}

int sock_send_msg(int fd, struct bytes payload, const int *fds, size_t count, struct err *err)
{
	uint8_t length[LENGTH_SIZE] = {
		(uint8_t)(payload.len >> 24),
		(uint8_t)(payload.len >> 16),
		(uint8_t)(payload.len >> 8),
		(uint8_t)payload.len,
	};
	struct iovec parts[2] = { { length, sizeof(length) }, { NULL, payload.len } };
	union control control;
	struct cmsghdr *cmsg = &control.align;
	int r;

	if (count > SOCK_FDS_MAX || payload.len > UINT32_MAX)
		return err_set(err, -E2BIG,
			       "send a message of %zu bytes and %zu descriptors: "
			       "too large",
			       payload.len, count);
	memset(&control, 0, sizeof(control));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	if (count)
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	/* iovec has no const; sendmsg(2) doesn't write there */
	memcpy(&parts[1].iov_base, &payload.at, sizeof(payload.at));
	r = send_parts(fd, parts, &control, count ? CMSG_SPACE(count * sizeof(int)) : 0);
	return r < 0 ? err_num(err, r, "send a message") : 0;
}

/* Fills all of at: 0, -EPIPE at an early end. Descriptors that come with it are dropped. */
static int recv_all(int fd, uint8_t *at, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = recv(fd, at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

/* The length, and with its first byte the descriptors, of which the caller owns *ret_count. */
static int recv_head(int fd, uint8_t length[static LENGTH_SIZE], int fds[static SOCK_FDS_MAX],
		     size_t *ret_count)
{
	union control control;
	struct iovec part = { length, LENGTH_SIZE };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t n;
	int r;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	*ret_count = 0;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		*ret_count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cmsg), *ret_count * sizeof(int));
	}
	r = recv_all(fd, length + n, LENGTH_SIZE - (size_t)n);
	if (r < 0)
		close_all(fds, *ret_count);
	return r;
}

static int recv_payload(int fd, size_t len, size_t max, struct buf *ret_payload, struct err *err)
{
	int r;

	if (len > max)
		return err_set(err, -EMSGSIZE,
			       "receive a message: %zu bytes, at most %zu are "
			       "taken",
			       len, max);
	r = buf_reserve(ret_payload, len);
	if (r == 0)
		r = recv_all(fd, ret_payload->at + ret_payload->len, len);
	if (r < 0)
		return err_num(err, r, "receive a message of %zu bytes", len);
	ret_payload->len += len;
	return 0;
}

int sock_recv_msg(int fd, size_t max, struct buf *ret_payload, int *fds, size_t max_fds,
		  size_t *ret_count, struct err *err)
{
	uint8_t length[LENGTH_SIZE];
	int got[SOCK_FDS_MAX];
	size_t count = 0;
	int r;

	r = recv_head(fd, length, got, &count);
	if (r < 0)
		return err_num(err, r, "receive a message");
	if (count > max_fds)
		r = err_set(err, -E2BIG,
			    "receive a message: %zu descriptors, at most %zu are "
			    "taken",
			    count, max_fds);
	else
		r = recv_payload(fd, bytes_be32((struct bytes){ length, sizeof(length) }, 0), max,
				 ret_payload, err);
	if (r < 0) {
		close_all(got, count);
		return r;
	}
	if (count)
		memcpy(fds, got, count * sizeof(int));
	*ret_count = count;
	return 0;
}

ssize_t sock_read(int fd, void *at, size_t size)
{
	ssize_t n;

	do
		n = read(fd, at, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sock_write(int fd, const void *at, size_t len)
{
	ssize_t n;

	do {
		n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, at, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sock_write_fd(int fd, const void *at, size_t len, int passed_fd)
{
	struct iovec part = { .iov_len = len };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		uint8_t room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	ssize_t n;

	memcpy(&part.iov_base, &at, sizeof(at));
	if (passed_fd >= 0) {
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.align), &passed_fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Those of one message, of which there may be several blocks; 0, or -E2BIG. */
static int take_fds(struct msghdr *msg, int *fds, size_t max, size_t *count)
{
	int got[SOCK_FDS_MAX], r = msg->msg_flags & MSG_CTRUNC ? -E2BIG : 0;
	struct cmsghdr *cmsg;
	size_t n = 0;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(got, CMSG_DATA(cmsg), n * sizeof(int));
	}
	if (n > max - *count)
		r = -E2BIG;
	if (r < 0)
		close_all(got, n);
	else if (n) {
		memcpy(fds + *count, got, n * sizeof(int));
		*count += n;
	}
	return r;
}

ssize_t sock_read_fds(int fd, void *at, size_t size, int *fds, size_t max, size_t *count)
{
	union control control;
	struct iovec part = { at, size };
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;
	int r;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = take_fds(&msg, fds, max, count);
	return r < 0 ? r : n;
}

int sock_peer(int fd, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret_pid = peer.pid;
	*ret_uid = peer.uid;
	*ret_gid = peer.gid;
	return 0;
}

int sock_set_timeout(int fd, unsigned int ms)
{
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = (long)(ms % 1000) * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0
		       ? -errno
		       : 0;
}

int sock_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}
