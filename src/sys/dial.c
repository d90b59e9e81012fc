// SPDX-License-Identifier: Apache-2.0
#include "sys/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"

static bool is_address(struct bytes address, const struct sockaddr_storage *storage)
{
	return (storage->ss_family == AF_INET && address.len == sizeof(struct sockaddr_in)) ||
	       (storage->ss_family == AF_INET6 && address.len == sizeof(struct sockaddr_in6));
}

int dial_start(struct bytes address, int *ret_fd)
{
	struct sockaddr_storage storage = { 0 };
	cleanup_close int fd = -1;

	if (address.len > sizeof(storage))
		return -EAFNOSUPPORT;
	memcpy(&storage, address.at, address.len);
	if (!is_address(address, &storage))
		return -EAFNOSUPPORT;
	fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* a handshake's messages are short, and each waits for an answer */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(fd, (const struct sockaddr *)&storage, (socklen_t)address.len) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int dial_result(int fd)
{
	socklen_t len = sizeof(int);
	int num = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &num, &len) < 0)
		return -errno;
	return -num;
}

void dial_finish(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}
