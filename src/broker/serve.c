// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: the TLS key is read (or made) first and the socket opened; then the process
 * parts in two, and the one that faces the network is the child: it never had the store open, and
 * loses it by its user, or by not being able to open anything. The parent has the rest, and no
 * socket but the pair between them. Either of them ends with the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "broker/back.h"
#include "broker/broker.h"
#include "broker/confine.h"
#include "broker/front.h"
#include "broker/tls.h"
#include "sys/file.h"
#include "sys/sock.h"

enum {
	BACKLOG = 256,
	FRONT_UID = 89998, /* when it is root's to choose */
	PORT_MAX = 8,
	HOST_MAX = 64,
	END_TRIES = 200, /* of 10 ms */
};

#define LISTEN "127.0.0.1:8443"

/* "ADDRESS:PORT", "[ADDRESS]:PORT"; addresses as numbers. */
static int split_address(const char *text, char host[HOST_MAX], char port[PORT_MAX])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (len == 0 || len >= HOST_MAX || strlen(colon + 1) >= PORT_MAX)
		return -EINVAL;
	if (text[0] == '[') {
		if (text[len - 1] != ']')
			return -EINVAL;
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	(void)snprintf(port, PORT_MAX, "%s", colon + 1);
	return 0;
}

static int open_listener(const struct addrinfo *info, int *ret_fd)
{
	cleanup_close int fd =
		socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int start_listening(const char *address, int *ret_fd, struct err *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
					.ai_socktype = SOCK_STREAM };
	char host[HOST_MAX], port[PORT_MAX];
	struct addrinfo *found = NULL;
	int r;

	if (split_address(address, host, port) < 0 || getaddrinfo(host, port, &hints, &found) != 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--listen '%s': it is ADDRESS:PORT, in numbers", address);
	r = open_listener(found, ret_fd);
	freeaddrinfo(found);
	return r < 0 ? err_num(err, r, "listen on '%s'", address) : 0;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	memcpy(&six, &address, sizeof(six));
	memcpy(&four, &address, sizeof(four));
	return ntohs(address.ss_family == AF_INET6 ? six.sin6_port : four.sin_port);
}

static int fill_random(void *at, size_t len)
{
	return getrandom(at, len, 0) == (ssize_t)len ? 0 : -EIO;
}

struct serve {
	const struct broker_args *args;
	struct broker_tls tls;
	struct broker_back back;
	char digest[2 * BROKER_TLS_DIGEST + 1];
	int listen_fd;
	int fds[2]; /* front, back */
};

static void serve_done(struct serve *serve)
{
	broker_tls_done(&serve->tls);
	broker_back_done(&serve->back);
	cleanup_close_fd(&serve->listen_fd);
	cleanup_close_fd(&serve->fds[0]);
	cleanup_close_fd(&serve->fds[1]);
}
CLEANUP_FUNC(struct serve, serve_done)

/* Does not return. */
static void be_front(struct serve *serve, pid_t parent)
{
	struct err err = { 0 };
	int r = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(BROKER_FAILED);
	(void)signal(SIGPIPE, SIG_IGN);
	cleanup_close_fd(&serve->fds[1]);
	if (geteuid() == 0) {
		unsigned uid = serve->args->has_front_uid ? serve->args->front_uid : FRONT_UID;

		r = confine_user(uid, uid);
		if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* the change has undone it */
			r = -errno;
		if (r < 0)
			broker_say("become user %u: %s", uid, strerrordesc_np(-r));
	}
	if (r == 0)
		r = broker_front_serve(serve->listen_fd, serve->fds[0], &serve->tls, &err);
	if (r < 0 && err.msg[0])
		broker_say("%s", err.msg);
	_exit(r < 0 ? BROKER_FAILED : BROKER_OK);
}

/* Secrets pass through its memory: it stays out of swap where no limit is in the way of that. */
static void lock_memory(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 &&
	    (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY))
		return;
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* That there are no namespaces is only said: a container often allows none. */
static int confine_back(struct err *err)
{
	int r;

	lock_memory();
	r = confine_network(geteuid(), getegid());
	if (r < 0)
		broker_say("leave the network's namespace: %s", strerrordesc_np(-r));
	r = confine_privileges();
	if (r == 0)
		r = confine_calls(CONFINE_SOCKETS);
	return r < 0 ? err_num(err, r, "confine the process that has the secrets") : 0;
}

static int read_rules(const char *path, struct broker_rules *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, path, BROKER_RULES_TEXT_MAX, &text, err);

	if (r >= 0)
		r = broker_rules_parse(buf_bytes(&text), ret, err);
	return r < 0 ? err_wrap(err, r, "read '%s'", path) : 0;
}

static int be_back(struct serve *serve, unsigned port, struct err *err)
{
	const char *folder = serve->args->words[0];
	struct broker_back *back = &serve->back;
	int r;

	broker_tls_done(&serve->tls);
	back->random = fill_random;
	r = confine_back(err);
	if (r == 0)
		r = broker_store_open(folder, false, &back->store, err);
	if (r == 0)
		r = broker_audit_open(folder, BROKER_AUDIT_MAX, &back->audit, err);
	if (r == 0 && (broker_sessions_new(&back->sessions) < 0 ||
		       broker_token_key_new(&back->token_key) < 0))
		r = err_num(err, -ENOMEM, "begin");
	if (r < 0)
		return r;
	(void)printf("serving on port %u, %zu rules, key %s\n", port, back->rules.count,
		     serve->digest);
	(void)fflush(stdout);
	return broker_back_serve(back, serve->fds[1], serve->args->words[1], err);
}

/* A store that is not there yet is made, so that `serve` can come before the first `put`. */
static int prepare(struct serve *serve, struct err *err)
{
	const char *folder = serve->args->words[0];
	CLEANUP(broker_store_close) struct broker_store *store = NULL;
	uint8_t digest[BROKER_TLS_DIGEST];
	int r = broker_tls_load(folder, &serve->tls, err);

	if (r == 0)
		r = broker_tls_digest(&serve->tls, digest, err);
	if (r == 0)
		r = broker_store_open(folder, true, &store, err);
	if (r == 0)
		r = read_rules(serve->args->words[1], &serve->back.rules, err);
	if (r == 0)
		r = start_listening(serve->args->listen ? serve->args->listen : LISTEN,
				    &serve->listen_fd, err);
	if (r == 0) {
		text_hex(digest, sizeof(digest), serve->digest);
		r = sock_pair(SOCK_STREAM, serve->fds);
		r = r < 0 ? err_num(err, r, "make a socket pair") : 0;
	}
	return r;
}

/*
 * The front ends when its socket does. Root without its capabilities cannot kill the other user's
 * process: who does not end by himself is left to whoever started this program.
 */
static int end_front(struct serve *serve, pid_t pid, int r, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	int status = 0;
	pid_t ended = 0;

	cleanup_close_fd(&serve->fds[1]);
	serve->fds[1] = -1;
	for (int i = 0; i < END_TRIES && ended == 0; i++) {
		ended = waitpid(pid, &status, WNOHANG);
		if (ended == 0)
			(void)nanosleep(&pause, NULL);
	}
	if (ended == 0)
		(void)kill(pid, SIGKILL);
	if (r == 0 && ended == pid && status != 0)
		return err_set(err, -EPIPE, "the process that faces the network has ended");
	return r;
}

int broker_serve_main(const struct broker_args *args)
{
	CLEANUP(serve_done)
	struct serve serve = { .args = args, .listen_fd = -1, .fds = { -1, -1 } };
	pid_t parent = getpid(), pid;
	struct err err = { 0 };
	unsigned port;
	sigset_t ends;
	int r;

	(void)umask(077);
	r = prepare(&serve, &err);
	if (r < 0) {
		broker_say("serve: %s", err.msg);
		return BROKER_FAILED;
	}
	port = port_of(serve.listen_fd);
	/*
	 * Those of a terminal, or of who ends a service, are for the back, which waits for them; the
	 * front, which ends with it, never unblocks them.
	 */
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGHUP);
	(void)sigaddset(&ends, SIGINT);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	pid = fork();
	if (pid == 0)
		be_front(&serve, parent);
	if (pid < 0) {
		broker_say("serve: start the front: %s", strerrordesc_np(errno));
		return BROKER_FAILED;
	}
	cleanup_close_fd(&serve.listen_fd);
	cleanup_close_fd(&serve.fds[0]);
	serve.listen_fd = serve.fds[0] = -1;
	(void)signal(SIGPIPE, SIG_IGN);
	r = be_back(&serve, port, &err);
	r = end_front(&serve, pid, r, &err);
	if (r < 0)
		broker_say("serve: %s", err.msg);
	return r < 0 ? BROKER_FAILED : BROKER_OK;
}
