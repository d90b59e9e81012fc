// SPDX-License-Identifier: Apache-2.0
#include "sys/resolve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/host.h"

static_assert(sizeof(struct sockaddr_in6) == RESOLVE_ADDRESS_MAX, "the larger of the two");

/* What the child sends: all of it fits into a pipe, and is written at once. */
struct answer {
	int num; /* of getaddrinfo() */
	uint32_t count;
	struct resolve_address at[RESOLVE_MAX];
};

static_assert(sizeof(struct answer) <= 4096, "one write to a pipe");

static void ask(const char *host, uint16_t port, int flags, struct answer *ret)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char service[8];

	*ret = (struct answer){ 0 };
	(void)snprintf(service, sizeof(service), "%u", port);
	ret->num = getaddrinfo(host, service, &hints, &list);
	for (struct addrinfo *at = list; at && ret->count < RESOLVE_MAX; at = at->ai_next) {
		if (at->ai_addrlen > RESOLVE_ADDRESS_MAX)
			continue;
		memcpy(ret->at[ret->count].at, at->ai_addr, at->ai_addrlen);
		ret->at[ret->count++].len = (uint8_t)at->ai_addrlen;
	}
	if (list)
		freeaddrinfo(list);
}

static int start(const char *host, uint16_t port, pid_t *ret_pid, int *ret_fd)
{
	const pid_t parent = getpid();
	struct answer answer = { 0 };
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		ask(host, port, AI_ADDRCONFIG, &answer);
		_exit(write(ends[1], &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
	}
	(void)close(ends[1]);
	if (pid < 0) {
		int num = -errno;

		(void)close(ends[0]);
		return num;
	}
	*ret_pid = pid;
	*ret_fd = ends[0];
	return 0;
}

static int collect(int fd, int timeout_ms, struct answer *ret)
{
	const uint64_t end_us = host_boottime_us() + (uint64_t)timeout_ms * 1000;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t now_us;
	ssize_t len;
	int r;

	do {
		now_us = host_boottime_us();
		r = now_us < end_us ? poll(&poll_fd, 1, (int)((end_us - now_us + 999) / 1000)) : 0;
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	do
		len = read(fd, ret, sizeof(*ret));
	while (len < 0 && errno == EINTR);
	return len == sizeof(*ret) ? 0 : -ECHILD;
}

static int ask_child(const char *host, uint16_t port, int timeout_ms, struct answer *ret)
{
	pid_t pid = -1;
	int fd = -1, r;

	r = start(host, port, &pid, &fd);
	if (r < 0)
		return r;
	r = collect(fd, timeout_ms, ret);
	(void)close(fd);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

int resolve_host(const char *host, uint16_t port, int timeout_ms,
		 struct resolve_address ret[RESOLVE_MAX], size_t *ret_count, struct err *err)
{
	struct answer answer = { 0 };
	int r = 0;

	ask(host, port, AI_NUMERICHOST, &answer);
	if (answer.num != 0)
		r = ask_child(host, port, timeout_ms, &answer);
	if (r == -ETIMEDOUT)
		return err_set(err, r, "find host '%s': no answer in %g s", host,
			       timeout_ms / 1000.0);
	if (r < 0)
		return err_num(err, r, "find host '%s'", host);
	if (answer.num != 0 || answer.count == 0)
		return err_set(err, -EHOSTUNREACH, "find host '%s': %s", host,
			       answer.num ? gai_strerror(answer.num) : "it has no address");
	memcpy(ret, answer.at, sizeof(answer.at));
	*ret_count = answer.count;
	return 0;
}
