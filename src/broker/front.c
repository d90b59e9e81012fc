// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: one thread, one select() for the library's sockets and the back's. A request
 * whose body is whole is sent to the back and its connection suspended; the answer finds the
 * exchange by its number and resumes it; the library then asks for the response.
 *
 * It is select() because the library (0.9.75), where it has TLS and an epoll of
 * its own, forgets that a read said "not yet", and spins until the peer goes on.
 */
#include "broker/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

#include "attest/kbs.h"
#include "base/text.h"
#include "broker/broker.h"
#include "broker/confine.h"
#include "broker/protocol.h"
#include "sys/sock.h"

enum {
	READ_SIZE = 64 << 10,
	TICK_MS = 1000,
	COOKIE_SIZE = 2 * BROKER_SESSION_SIZE + 160,
	BROKER_COOKIE_S = 300,
	HTTP_NOT_FOUND = 404,
	HTTP_TOO_LARGE = 413,
	HTTP_UNAVAILABLE = 503,
};

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:%SERVER_PRECEDENCE"
#define ERROR_BODY(variant, detail)                                                  \
	"{\"type\":\"https://github.com/confidential-containers/kbs/errors/" variant \
	"\",\"detail\":\"" detail "\"}"

/* A connection, to be cut off in time. */
struct client {
	struct client *next, **prev;
	int fd;
	int64_t until_s;
};

/* One request and its answer. */
struct exchange {
	struct exchange *next, **prev; /* while the back has it */
	struct MHD_Connection *connection;
	uint64_t id;
	enum broker_kind kind;
	char resource[ATTEST_KBS_RESOURCE_MAX + 1];
	unsigned failure; /* a status of our own; the rest of the body is not looked at */
	struct buf body;
	Broker__Answer *answer;
};

struct front {
	struct MHD_Daemon *daemon;
	int back_fd;
	struct client *clients;
	struct exchange *waiting;
	uint64_t last_id;
	size_t bodies; /* bytes */
	struct buf in, out;
};

static int64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info;
	struct front *front = data;
	struct client *client = *context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client) {
			*client->prev = client->next;
			if (client->next)
				client->next->prev = client->prev;
			free(client);
		}
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	client = info ? calloc(1, sizeof(*client)) : NULL;
	if (!client) /* it is never served: answer() sees to that */
		return;
	client->fd = info->connect_fd;
	client->until_s = now() + BROKER_REQUEST_S;
	client->next = front->clients;
	client->prev = &front->clients;
	if (client->next)
		client->next->prev = &client->next;
	front->clients = client;
	*context = client;
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void cut_off(const struct front *front)
{
	int64_t time_s = now();

	for (const struct client *client = front->clients; client; client = client->next)
		if (time_s >= client->until_s)
			(void)shutdown(client->fd, SHUT_RDWR);
}

static void leave_waiting(struct exchange *exchange)
{
	if (!exchange->prev)
		return;
	*exchange->prev = exchange->next;
	if (exchange->next)
		exchange->next->prev = exchange->prev;
	exchange->prev = NULL;
}

static void drop_body(struct front *front, struct exchange *exchange)
{
	front->bodies -= exchange->body.cap;
	buf_done(&exchange->body);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct exchange *exchange = *context;
	struct client *client = client_of(connection);

	(void)why;
	if (client)
		client->until_s = now() + BROKER_REQUEST_S;
	if (!exchange)
		return;
	leave_waiting(exchange);
	drop_body(data, exchange);
	if (exchange->answer)
		broker__answer__free_unpacked(exchange->answer, NULL);
	free(exchange);
	*context = NULL;
}

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
				     const char *cookie, struct bytes body)
{
	/* the library copies it: its type has no const */
	struct MHD_Response *response = MHD_create_response_from_buffer(
		body.len, (void *)(uintptr_t)body.at, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", "application/json");
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	if (cookie)
		(void)MHD_add_response_header(response, "Set-Cookie", cookie);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result send_failure(struct MHD_Connection *connection, unsigned status)
{
	const char *body =
		status == HTTP_NOT_FOUND ? ERROR_BODY("InvalidRequestPath", "there is no such path")
		: status == HTTP_TOO_LARGE ? ERROR_BODY("PayloadTooLarge", "the body is too long")
					   : ERROR_BODY("Busy", "try again later");

	return send_response(connection, status, NULL,
			     (struct bytes){ (const uint8_t *)body, strlen(body) });
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
	const Broker__Answer *answer = exchange->answer;
	char hex[2 * BROKER_SESSION_SIZE + 1], cookie[COOKIE_SIZE];

	if (answer->session.len == BROKER_SESSION_SIZE) {
		text_hex(answer->session.data, BROKER_SESSION_SIZE, hex);
		(void)snprintf(cookie, sizeof(cookie),
			       ATTEST_KBS_COOKIE
			       "=%s; Path=/kbs/v0; Max-Age=%d; Secure; HttpOnly; SameSite=Strict",
			       hex, BROKER_COOKIE_S);
	}
	return send_response(exchange->connection, answer->status,
			     answer->session.len ? cookie : NULL,
			     (struct bytes){ answer->body.data, answer->body.len });
}

/* Which of the few things that can be asked for. */
static void begin(struct exchange *exchange, const char *url, const char *method)
{
	size_t prefix = strlen(ATTEST_KBS_RESOURCE);
	bool is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

	if (is_post && strcmp(url, ATTEST_KBS_AUTH) == 0) {
		exchange->kind = BROKER_AUTH;
	} else if (is_post && strcmp(url, ATTEST_KBS_ATTEST) == 0) {
		exchange->kind = BROKER_ATTEST;
	} else if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 &&
		   strncmp(url, ATTEST_KBS_RESOURCE, prefix) == 0 &&
		   attest_kbs_resource_valid(url + prefix)) {
		exchange->kind = BROKER_RESOURCE;
		(void)snprintf(exchange->resource, sizeof(exchange->resource), "%s", url + prefix);
	} else {
		exchange->failure = HTTP_NOT_FOUND;
	}
}

static size_t body_max(enum broker_kind kind)
{
	return kind == BROKER_AUTH     ? BROKER_AUTH_MAX
	       : kind == BROKER_ATTEST ? BROKER_ATTEST_MAX
				       : 0;
}

/* After a failure the rest is read and forgotten: else the peer would not read the answer. */
static void take_body(struct front *front, struct exchange *exchange, struct bytes part)
{
	size_t was = exchange->body.cap;

	if (exchange->failure)
		return;
	if (part.len > body_max(exchange->kind) - exchange->body.len)
		exchange->failure = HTTP_TOO_LARGE;
	else if (front->bodies + part.len > BROKER_BODIES_MAX ||
		 buf_add(&exchange->body, part.at, part.len) < 0)
		exchange->failure = HTTP_UNAVAILABLE;
	front->bodies += exchange->body.cap - was;
	if (exchange->failure)
		drop_body(front, exchange);
}

static void describe_peer(struct MHD_Connection *connection, char ret[BROKER_PEER_MAX + 1])
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;
	char text[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	(void)snprintf(ret, BROKER_PEER_MAX + 1, "?");
	if (address && address->sa_family == AF_INET) {
		memcpy(&four, address, sizeof(four));
		(void)inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
		(void)snprintf(ret, BROKER_PEER_MAX + 1, "%s:%u", text, ntohs(four.sin_port));
	} else if (address && address->sa_family == AF_INET6) {
		memcpy(&six, address, sizeof(six));
		(void)inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
		(void)snprintf(ret, BROKER_PEER_MAX + 1, "[%s]:%u", text, ntohs(six.sin6_port));
	}
}

static const char *bearer(struct MHD_Connection *connection)
{
	static const char scheme[] = "Bearer ";
	const char *text =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");

	return text && strncasecmp(text, scheme, sizeof(scheme) - 1) == 0
		       ? text + sizeof(scheme) - 1
		       : "";
}

/* To the back; what it cannot be asked is answered here. */
static int ask(struct front *front, struct exchange *exchange)
{
	struct MHD_Connection *connection = exchange->connection;
	const char *cookie =
		MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, ATTEST_KBS_COOKIE);
	const char *token = bearer(connection);
	Broker__Request request = BROKER__REQUEST__INIT;
	uint8_t session[BROKER_SESSION_SIZE];
	char peer[BROKER_PEER_MAX + 1];
	int r;

	describe_peer(connection, peer);
	request.id = exchange->id = ++front->last_id;
	request.kind = exchange->kind;
	request.peer = peer;
	request.resource = exchange->resource;
	request.token =
		(char *)(uintptr_t)(strlen(token) <= ATTEST_KBS_TOKEN_MAX && !strpbrk(token, " \t")
					    ? token
					    : "?");
	if (cookie && text_unhex(cookie, sizeof(session), session) == 0)
		request.session = (ProtobufCBinaryData){ .len = sizeof(session), .data = session };
	request.body =
		(ProtobufCBinaryData){ .len = exchange->body.len, .data = exchange->body.at };
	r = broker_request_add(&request, &front->out);
	drop_body(front, exchange);
	if (r < 0)
		return r;
	exchange->next = front->waiting;
	exchange->prev = &front->waiting;
	if (exchange->next)
		exchange->next->prev = &exchange->next;
	front->waiting = exchange;
	return 0;
}

static struct exchange *new_exchange(struct MHD_Connection *connection)
{
	struct exchange *exchange = client_of(connection) ? calloc(1, sizeof(*exchange)) : NULL;

	if (exchange)
		exchange->connection = connection;
	return exchange;
}

/* Called at a request's begin, for each part of its body, at its end, and when it goes on. */
/* NOLINTNEXTLINE(readability-function-size): the form of libmicrohttpd's handler */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *part,
				  size_t *part_len, void **context)
{
	struct exchange *exchange = *context;
	struct front *front = data;

	(void)version;
	if (!exchange) {
		*context = exchange = new_exchange(connection);
		if (!exchange)
			return MHD_NO;
		begin(exchange, url, method);
		return MHD_YES;
	}
	if (*part_len > 0) {
		take_body(front, exchange, (struct bytes){ (const uint8_t *)part, *part_len });
		*part_len = 0;
		return MHD_YES;
	}
	if (exchange->answer)
		return send_answer(exchange);
	if (exchange->failure)
		return send_failure(connection, exchange->failure);
	if (ask(front, exchange) < 0)
		return send_failure(connection, HTTP_UNAVAILABLE);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void give_answer(struct front *front, Broker__Answer *take_answer)
{
	struct exchange *exchange = front->waiting;

	while (exchange && exchange->id != take_answer->id)
		exchange = exchange->next;
	if (!exchange) {
		broker__answer__free_unpacked(take_answer, NULL);
		return;
	}
	leave_waiting(exchange);
	exchange->answer = take_answer;
	MHD_resume_connection(exchange->connection);
}

/* 1: go on; 0: the back has ended. */
static int read_back(struct front *front, struct err *err)
{
	struct bytes frame;
	ssize_t n;
	int r;

	if (buf_reserve(&front->in, READ_SIZE) < 0)
		return err_num(err, -ENOMEM, "read the back's messages");
	n = sock_read(front->back_fd, front->in.at + front->in.len, READ_SIZE);
	if (n == -EAGAIN)
		return 1;
	if (n <= 0)
		return n < 0 ? err_num(err, (int)n, "read the back's messages") : 0;
	front->in.len += (size_t)n;
	while ((r = broker_frame_next(&front->in, &frame)) == 1) {
		Broker__Answer *answer = NULL;

		r = broker_answer_parse(frame, &answer, err);
		if (r < 0)
			return r;
		give_answer(front, answer);
		broker_frame_drop(&front->in, frame);
	}
	return r < 0 ? err_num(err, r, "read the back's messages") : 1;
}

static int write_back(struct front *front, struct err *err)
{
	ssize_t n = 0;

	while (front->out.len > 0) {
		n = sock_write_fd(front->back_fd, front->out.at, front->out.len, -1);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return err_num(err, (int)n, "write to the back");
		buf_drop(&front->out, (size_t)n);
	}
	return 0;
}

/* The back's socket and the library's. */
struct ready {
	fd_set in, out, other;
};

static int wait_for(struct front *front, struct ready *ret)
{
	MHD_UNSIGNED_LONG_LONG ms = TICK_MS;
	struct timeval limit;
	int most = front->back_fd;

	FD_ZERO(&ret->in);
	FD_ZERO(&ret->out);
	FD_ZERO(&ret->other);
	if (MHD_get_fdset(front->daemon, &ret->in, &ret->out, &ret->other, &most) != MHD_YES)
		return -EIO;
	if (MHD_get_timeout(front->daemon, &ms) != MHD_YES || ms > TICK_MS)
		ms = TICK_MS;
	FD_SET(front->back_fd, &ret->in);
	if (front->out.len > 0)
		FD_SET(front->back_fd, &ret->out);
	limit = (struct timeval){ .tv_sec = (time_t)(ms / 1000),
				  .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
	if (most < front->back_fd)
		most = front->back_fd;
	if (select(most + 1, &ret->in, &ret->out, &ret->other, &limit) >= 0)
		return 0;
	FD_ZERO(&ret->in);
	FD_ZERO(&ret->out);
	FD_ZERO(&ret->other);
	return errno == EINTR ? 0 : -errno;
}

static int loop(struct front *front, struct err *err)
{
	int64_t looked_s = now();
	struct ready ready;
	int r = 1;

	while (r == 1) {
		r = wait_for(front, &ready);
		if (r < 0)
			return err_num(err, r, "wait for requests");
		r = FD_ISSET(front->back_fd, &ready.in) ? read_back(front, err) : 1;
		if (r < 1)
			return r;
		(void)MHD_run_from_select(front->daemon, &ready.in, &ready.out, &ready.other);
		if (write_back(front, err) < 0)
			return err->num;
		if (now() != looked_s) {
			looked_s = now();
			cut_off(front);
		}
	}
	return r;
}

/* Nothing that can be asked for has a character to escape: what is, is no path of ours. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
	(void)data;
	(void)connection;
	return strlen(text);
}

static struct MHD_Daemon *start(struct front *front, int listen_fd, const struct broker_tls *tls)
{
	return MHD_start_daemon(MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
				front, MHD_OPTION_LISTEN_SOCKET, listen_fd,
				MHD_OPTION_HTTPS_MEM_KEY, (const char *)tls->key.at,
				MHD_OPTION_HTTPS_MEM_CERT, (const char *)tls->cert.at,
				MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)BROKER_CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)BROKER_REQUEST_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)BROKER_HEAD_MAX,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, front,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, front,
				MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
}

static_assert(BROKER_CONNECTIONS_MAX + 64 <= FD_SETSIZE, "all can be waited for");

static void front_done(struct front *front)
{
	if (front->daemon)
		MHD_stop_daemon(front->daemon);
	cleanup_close_fd(&front->back_fd);
	buf_done(&front->in);
	buf_done(&front->out);
}
CLEANUP_FUNC(struct front, front_done)

int broker_front_serve(int take_listen_fd, int take_back_fd, const struct broker_tls *tls,
		       struct err *err)
{
	CLEANUP(front_done) struct front front = { .back_fd = take_back_fd };
	int r;

	front.daemon = start(&front, take_listen_fd, tls);
	if (!front.daemon) {
		(void)close(take_listen_fd);
		return err_set(err, -EIO, "start the HTTPS server: the TLS library refuses it");
	}
	(void)sock_set_nonblock(take_back_fd);
	r = confine_privileges();
	if (r == 0)
		r = confine_calls(CONFINE_CONNECT | CONFINE_FILES);
	r = r < 0 ? err_num(err, r, "confine the process that faces the network")
		  : loop(&front, err);
	while (front.waiting) { /* the library must not be stopped with one suspended */
		struct exchange *exchange = front.waiting;

		leave_waiting(exchange);
		exchange->failure = HTTP_UNAVAILABLE;
		MHD_resume_connection(exchange->connection);
	}
	return r;
}
