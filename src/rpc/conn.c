// SPDX-License-Identifier: Apache-2.0
/*
 * How this works. A connection is open until conn_shut(), which ends its calls; what is left is
 * memory, until rpc_conn_free(). Three things happen on the way:
 *
 *	gone	writing makes no more sense (an error, or EPOLLHUP), so what is queued is dropped,
 *		but answers may still wait to be read. The next turn of the loop reads on until
 *		nothing comes, then shuts.
 *	held	the peer doesn't read its answers: frames stay in `in`, and nothing is read
 *		from the peer. EPOLLOUT lets go.
 *	awaited	somebody is to be told of room in the queue: at an EPOLLOUT.
 *
 * Callbacks are called from on_event(), on_timeout(), and conn_shut() only. They may free the
 * connection: whoever calls them has counted up `busy`, and conn_leave() frees the memory.
 * Frames that are added meanwhile are written together, in conn_leave().
 */
#include "rpc/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "sys/sock.h"
#include "wire/ttrpc.h"

enum { WRITE_ENOUGH = 32 << 10 }; /* bytes that aren't worth waiting for more */

/* A call that we make. */
struct pending {
	struct rpc_conn *conn;
	struct pending *prev, *next;
	uint32_t id;
	struct loop_source *timer;
	rpc_reply_fn *fn;
	void *data;
};

/* A call that we serve. */
struct rpc_call {
	struct rpc_conn *conn; /* NULL: has ended, the answer goes nowhere */
	const struct rpc_method *method;
	void *data;
	struct rpc_call *prev, *next;
	uint32_t id;
	uint32_t timeout_ms;
};

struct rpc_conn {
	struct rpc_conn_opts opts;
	struct loop *loop;
	struct loop_source *source;
	int fd; /* -1: shut */
	struct buf in, out;
	size_t sent;		      /* so much at the head of out */
	struct pending *first, *last; /* oldest first: answers mostly come in order */
	struct rpc_call *calls;
	uint32_t call_count;
	uint32_t last_id;
	unsigned int busy;
	bool gone, held, awaited, freed;
};

static size_t conn_queued(const struct rpc_conn *conn)
{
	return conn->out.len - conn->sent;
}

static bool conn_is_full(const struct rpc_conn *conn)
{
	return conn_queued(conn) > RPC_QUEUE_MAX;
}

static bool conn_is_open(const struct rpc_conn *conn)
{
	return conn->fd >= 0 && !conn->gone;
}

static void give_back(struct buf *buf)
{
	if (buf->len == 0 && buf->cap > RPC_BUFFER_KEPT)
		buf_done(buf);
}

/* Has the loop call on_event() when there is something to do. */
static void conn_watch(struct rpc_conn *conn)
{
	uint32_t events = 0;

	if (!conn->held)
		events |= EPOLLIN;
	if (conn->held || conn->gone || conn->awaited || conn_queued(conn) > 0)
		events |= EPOLLOUT;
	(void)loop_set(conn->source, events);
}

static void conn_flush(struct rpc_conn *conn)
{
	ssize_t n = 0;

	while (!conn->gone && conn_queued(conn) > 0) {
		n = sock_write(conn->fd, conn->out.at + conn->sent, conn_queued(conn));
		if (n == -EAGAIN)
			break;
		if (n > 0)
			conn->sent += (size_t)n;
		else
			conn->gone = true;
	}
	if (conn->gone || conn_queued(conn) == 0) {
		conn->out.len = conn->sent = 0;
		give_back(&conn->out);
	}
	conn_watch(conn);
}

/* After a frame was added, or, with r < 0, couldn't be: then the peer waits in vain. */
static void conn_added(struct rpc_conn *conn, int r)
{
	if (r < 0)
		conn->gone = true;
	if (!conn->busy || conn_queued(conn) >= WRITE_ENOUGH)
		conn_flush(conn);
}

/* The queue, to add a frame to: what was sent goes when it's the larger part. */
static struct buf *conn_out(struct rpc_conn *conn)
{
	if (conn->sent > conn->out.len / 2) {
		buf_drop(&conn->out, conn->sent);
		conn->sent = 0;
	}
	return &conn->out;
}

static void conn_leave(struct rpc_conn *conn)
{
	if (--conn->busy > 0)
		return;
	if (conn->fd >= 0)
		conn_flush(conn);
	if (!conn->freed)
		return;
	buf_done(&conn->in);
	free(conn);
}

static struct pending *pending_find(const struct rpc_conn *conn, uint32_t id)
{
	struct pending *pending = conn->first;

	while (pending && pending->id != id)
		pending = pending->next;
	return pending;
}

static void pending_link(struct pending *pending)
{
	struct rpc_conn *conn = pending->conn;

	pending->prev = conn->last;
	*(pending->prev ? &pending->prev->next : &conn->first) = pending;
	conn->last = pending;
}

static void pending_free(struct pending *pending)
{
	struct rpc_conn *conn = pending->conn;

	*(pending->prev ? &pending->prev->next : &conn->first) = pending->next;
	*(pending->next ? &pending->next->prev : &conn->last) = pending->prev;
	loop_source_free(pending->timer);
	free(pending);
}

/* Out of the list before the callback: it may end all calls. */
static void pending_end(struct pending *pending, const struct rpc_reply *reply)
{
	rpc_reply_fn *fn = pending->fn;
	void *data = pending->data;

	pending_free(pending);
	fn(data, reply);
}

static void on_timeout(void *data)
{
	struct pending *pending = data;
	struct rpc_conn *conn = pending->conn;

	conn->busy++;
	pending_end(pending,
		    &(struct rpc_reply){ .num = -ETIMEDOUT, .message = "no answer in time" });
	conn_leave(conn);
}

static void call_unlink(struct rpc_conn *conn, struct rpc_call *call)
{
	*(call->prev ? &call->prev->next : &conn->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->conn = NULL;
	conn->call_count--;
}

/* May be entered again by a callback; when it returns, all callbacks have been called. */
static void conn_shut(struct rpc_conn *conn)
{
	assert(conn->busy);
	if (conn->fd >= 0) {
		conn->source = loop_source_free(conn->source);
		(void)close(conn->fd);
		conn->fd = -1;
		conn->sent = 0;
		buf_done(&conn->out);
	}
	while (conn->calls)
		call_unlink(conn, conn->calls);
	while (conn->first)
		pending_end(conn->first,
			    &(struct rpc_reply){ .num = -EPIPE,
						 .message = "the connection has ended" });
}

static bool is_text(struct bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.at, text, bytes.len) == 0;
}

static const struct rpc_method *find_method(const struct rpc_conn_opts *opts,
					    const struct ttrpc_request *request)
{
	for (size_t i = 0; i < opts->method_count; i++) {
		const struct rpc_method *method = &opts->methods[i];

		if (is_text(request->method, method->name) &&
		    is_text(request->service, method->service))
			return method;
	}
	return NULL;
}

static int conn_refuse(struct rpc_conn *conn, uint32_t id, int32_t code, const char *message)
{
	conn_added(conn, ttrpc_status_add(conn_out(conn), id, code, message));
	return 0;
}

/* What is none, or above what we can say, is no limit. */
static uint32_t to_timeout_ms(int64_t timeout_ns)
{
	const int64_t ns_in_ms = 1000000;

	if (timeout_ns <= 0 || timeout_ns > UINT32_MAX * ns_in_ms)
		return 0;
	return (uint32_t)((timeout_ns + ns_in_ms - 1) / ns_in_ms);
}

static int conn_request(struct rpc_conn *conn, const struct ttrpc_frame *frame)
{
	const struct rpc_method *method;
	struct ttrpc_request request;
	struct rpc_call *call;

	if (conn->opts.method_count == 0 || ttrpc_request_parse(frame->body, &request) < 0)
		return -EPROTO;
	if (frame->stream % 2 == 0)
		return conn_refuse(conn, frame->stream, RPC_INVALID_ARGUMENT,
				   "the stream id is even");
	method = find_method(&conn->opts, &request);
	if (!method)
		return conn_refuse(conn, frame->stream, RPC_UNIMPLEMENTED, "no such method");
	if (conn->call_count >= conn->opts.max_calls)
		return conn_refuse(conn, frame->stream, RPC_RESOURCE_EXHAUSTED,
				   "too many calls at once");

	call = malloc(sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct rpc_call){ .conn = conn,
				   .method = method,
				   .data = conn->opts.data,
				   .id = frame->stream,
				   .timeout_ms = to_timeout_ms(request.timeout_ns),
				   .next = conn->calls };
	if (call->next)
		call->next->prev = call;
	conn->calls = call;
	conn->call_count++;
	method->fn(conn->opts.data, call, request.payload);
	return 0;
}

/* What a peer says may end up on a terminal: lines are kept, and nothing that moves a cursor. */
static int copy_printable(struct buf *text, struct bytes message)
{
	size_t len = message.len < RPC_MESSAGE_MAX ? message.len : RPC_MESSAGE_MAX, start = 0;
	int r = 0;

	for (size_t i = 0; i <= len && r == 0; i++) {
		if (i < len && message.at[i] != '\n')
			continue;
		r = text_quote(text, (struct bytes){ message.at + start, i - start });
		if (r == 0 && i < len)
			r = buf_add(text, "\n", 1);
		start = i + 1;
	}
	return r < 0 ? r : buf_add(text, "", 1);
}

static int conn_response(struct rpc_conn *conn, const struct ttrpc_frame *frame)
{
	struct pending *pending = pending_find(conn, frame->stream);
	CLEANUP(buf_done) struct buf text = { 0 };
	struct ttrpc_response response;

	if (ttrpc_response_parse(frame->body, &response) < 0)
		return -EPROTO;
	if (!pending)
		return 0; /* too late an answer */
	if (response.message.len && copy_printable(&text, response.message) < 0)
		return -ENOMEM;
	pending_end(pending, &(struct rpc_reply){ .num = response.code ? -EREMOTEIO : 0,
						  .code = response.code,
						  .message = text.len ? (const char *)text.at : "",
						  .payload = response.payload });
	return 0;
}

/* All frames that are there, unless the peer doesn't read: 0, or what is wrong with one. */
static int conn_frames(struct rpc_conn *conn)
{
	struct bytes rest = buf_bytes(&conn->in);
	struct ttrpc_frame frame;
	size_t used;
	int r = 0;

	while (conn->fd >= 0) {
		conn->held = conn->opts.method_count > 0 && conn_is_full(conn);
		if (conn->held)
			break;
		r = ttrpc_frame_next(rest, &frame, &used);
		if (r <= 0)
			break;
		rest.at += used;
		rest.len -= used;
		r = frame.type == TTRPC_REQUEST ? conn_request(conn, &frame)
						: conn_response(conn, &frame);
		if (r < 0)
			break;
	}
	buf_drop(&conn->in, conn->in.len - rest.len);
	give_back(&conn->in);
	return r;
}

/* Reads once: 1; 0 if nothing is there now; less at the end. */
static int conn_fill(struct rpc_conn *conn)
{
	struct buf *in = &conn->in;
	ssize_t n;
	int r = 0;

	/* full of one frame that isn't complete; it grows as its bytes come, not as it says */
	if (in->len == in->cap)
		r = buf_reserve(in, in->cap ? in->cap : RPC_BUFFER_KEPT);
	if (r < 0)
		return r;
	n = sock_read(conn->fd, in->at + in->len, in->cap - in->len);
	if (n <= 0)
		return n == -EAGAIN ? 0 : -EPIPE;
	in->len += (size_t)n;
	return 1;
}

static void conn_tell_room(struct rpc_conn *conn)
{
	if (!conn->awaited || conn->gone || conn_queued(conn) > RPC_ROOM)
		return;
	conn->awaited = false;
	if (conn->opts.on_room)
		conn->opts.on_room(conn->opts.data, conn);
}

static void on_event(void *data, uint32_t events)
{
	struct rpc_conn *conn = data;
	int r;

	conn->busy++;
	if (events & (EPOLLHUP | EPOLLERR))
		conn->gone = true;
	conn_flush(conn);
	conn_tell_room(conn);
	r = conn_frames(conn);
	if (r == 0 && conn->fd >= 0 && !conn->held && (conn->gone || events & EPOLLIN)) {
		r = conn_fill(conn);
		if (r > 0)
			r = conn_frames(conn);
		else if (r == 0 && conn->gone)
			r = -EPIPE;
	}
	if (r < 0 && conn->fd >= 0) {
		conn_shut(conn);
		if (conn->opts.on_close && !conn->freed)
			conn->opts.on_close(conn->opts.data, conn);
	}
	conn_leave(conn);
}

int rpc_conn_new(struct loop *loop, int take_fd, const struct rpc_conn_opts *opts,
		 struct rpc_conn **ret_conn)
{
	cleanup_close int fd = take_fd;
	cleanup_free struct rpc_conn *conn = calloc(1, sizeof(*conn));
	int r;

	if (!conn)
		return -ENOMEM;
	conn->opts = *opts;
	if (conn->opts.max_calls == 0)
		conn->opts.max_calls = RPC_CALLS_DEFAULT;
	conn->loop = loop;
	conn->last_id = UINT32_MAX; /* the first is 1 */
	r = sock_set_nonblock(fd);
	if (r == 0)
		r = loop_add(loop, fd, EPOLLIN, on_event, conn, &conn->source);
	if (r < 0)
		return r;
	conn->fd = steal_fd(&fd);
	*ret_conn = steal_ptr(&conn);
	return 0;
}

struct rpc_conn *rpc_conn_free(struct rpc_conn *conn)
{
	if (!conn)
		return NULL;
	conn->freed = true;
	conn->busy++;
	conn_shut(conn);
	conn_leave(conn);
	return NULL;
}

int rpc_conn_call(struct rpc_conn *conn, const char *service, const char *method,
		  uint32_t timeout_ms, const ProtobufCMessage *request, rpc_reply_fn *fn,
		  void *data)
{
	struct pending *pending;
	uint32_t id = conn->last_id;
	int r = 0;

	if (!conn_is_open(conn))
		return -EPIPE;
	if (conn_queued(conn) > RPC_CALLS_MAX)
		return -ENOBUFS;
	do
		id += 2; /* comes round after 2^31 calls */
	while (pending_find(conn, id));

	pending = malloc(sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){ .conn = conn, .id = id, .fn = fn, .data = data };
	if (timeout_ms)
		r = loop_timer(conn->loop, timeout_ms, on_timeout, pending, &pending->timer);
	if (r == 0)
		r = ttrpc_request_add(conn_out(conn), id, service, method,
				      (int64_t)timeout_ms * 1000000, request);
	if (r < 0) {
		loop_source_free(pending->timer);
		free(pending);
		return r;
	}
	conn->last_id = id;
	pending_link(pending);
	conn_added(conn, 0);
	return 0;
}

bool rpc_conn_has_room(struct rpc_conn *conn)
{
	if (!conn_is_open(conn) || conn_queued(conn) <= RPC_ROOM)
		return true;
	conn->awaited = true; /* something is queued, so EPOLLOUT will come */
	return false;
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *reply)
{
	struct rpc_conn *conn = call->conn;
	int r;

	if (conn && conn_is_open(conn)) {
		r = ttrpc_response_add(conn_out(conn), call->id, reply);
		if (r == -EMSGSIZE)
			r = ttrpc_status_add(&conn->out, call->id, RPC_RESOURCE_EXHAUSTED,
					     "the answer is too large");
		conn_added(conn, r);
	}
	if (conn)
		call_unlink(conn, call);
	free(call);
}

void rpc_call_fail(struct rpc_call *call, int32_t code, const char *message)
{
	struct rpc_conn *conn = call->conn;

	assert(code > 0);
	if (conn && conn_is_open(conn))
		(void)conn_refuse(conn, call->id, code, message);
	if (conn)
		call_unlink(conn, call);
	free(call);
}

struct rpc_conn *rpc_call_conn(const struct rpc_call *call)
{
	return call->conn;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
	return call->method;
}

uint32_t rpc_call_timeout_ms(const struct rpc_call *call)
{
	return call->timeout_ms;
}

void *rpc_call_data(const struct rpc_call *call)
{
	return call->data;
}

struct wait {
	bool is_over;
	int num;
	const char *method;
	struct buf *payload;
	struct err *err;
};

static void on_waited(void *data, const struct rpc_reply *reply)
{
	struct wait *wait = data;

	wait->is_over = true;
	if (reply->num == 0)
		wait->num = buf_add(wait->payload, reply->payload.at, reply->payload.len);
	else
		wait->num = err_set(wait->err,
				    reply->num == -EREMOTEIO ? rpc_status_errno(reply->code)
							     : reply->num,
				    "call '%s': %s", wait->method, reply->message);
}

int rpc_conn_wait(struct rpc_conn *conn, const char *service, const char *method,
		  uint32_t timeout_ms, const ProtobufCMessage *request, struct buf *ret_payload,
		  struct err *err)
{
	struct wait wait = { .method = method, .payload = ret_payload, .err = err };
	struct loop *loop = conn->loop;
	int r = -EBUSY;

	if (!loop_is_turning(loop))
		r = rpc_conn_call(conn, service, method, timeout_ms, request, on_waited, &wait);
	if (r < 0)
		return err_num(err, r, "call '%s'", method);
	while (!wait.is_over) {
		r = loop_step(loop, -1);
		assert(r >= 0);
	}
	return wait.num;
}
