/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn - a ttrpc connection on the event loop: serves calls, makes calls, or both.
 *
 * Serving:
 *	static void on_hello(void *data, struct rpc_call *call, struct bytes payload)
 *	{
 *		...
 *		rpc_call_reply(call, &response.base);
 *	}
 *	static const struct rpc_method methods[] = {
 *		{ "casemate.agent.v1.Agent", "Hello", on_hello, NULL },
 *	};
 *	r = rpc_conn_new(loop, fd, &(struct rpc_conn_opts){ .methods = methods,
 *			 .method_count = ARRAY_SIZE(methods), .data = agent,
 *			 .on_close = on_close }, &conn);
 *
 * Calling:
 *	r = rpc_conn_call(conn, "casemate.agent.v1.Agent", "Hello", 5000, &request.base,
 *			  on_reply, pod);
 *
 * Any descriptor that can be polled, read and written will do: a stream socket, and the
 * character device of a virtio-serial port, once its other side is open (before, poll(2) says
 * EPOLLHUP, which is the end here). A peer that has gone is no SIGPIPE where it is a socket.
 *
 * The peer is not trusted. What it can make us hold is bounded: one frame that isn't complete,
 * max_calls calls, and RPC_QUEUE_MAX bytes of answers it hasn't read and the answers to those
 * calls; above RPC_QUEUE_MAX no more is read from it. (So two ends that both serve, and both
 * stop reading answers, wait for each other. Ours only ever serve at one end.) What breaks the
 * protocol ends the connection.
 *
 * Whoever has more to send than a few words asks rpc_conn_has_room() first: then calls that must
 * not be lost are never refused because of those that could have waited.
 *
 * In callbacks everything is allowed, rpc_conn_free() included, but rpc_conn_wait().
 */
#ifndef RPC_CONN_H
#define RPC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/loop.h"

enum {
	RPC_QUEUE_MAX = 256 << 10, /* bytes of answers not sent yet at which we serve no more */
	RPC_CALLS_MAX = 1 << 20,   /* bytes not sent yet at which a call that we make is refused */
	RPC_ROOM = 64 << 10,	   /* bytes not sent yet at which what can wait should */
	RPC_BUFFER_KEPT = 128 << 10, /* an empty buffer that is larger is given back */
	RPC_CALLS_DEFAULT = 256,
	RPC_MESSAGE_MAX = 4095, /* bytes of a status' words; the rest is cut off */
};

struct rpc_conn;
struct rpc_call;

/* A method's work. The call must be answered exactly once, now or later; payload ends now. */
typedef void rpc_handler(void *data, struct rpc_call *call, struct bytes payload);

struct rpc_method {
	const char *service, *name;
	rpc_handler *fn;
	const void *with; /* fn's own: with rpc_call_method() it may serve many */
};

struct rpc_conn_opts {
	const struct rpc_method *methods; /* borrowed; none: a request breaks the protocol */
	size_t method_count;
	void *data; /* for handlers and on_close */
	/* The connection has ended, and all its calls have; it's still to be freed. Once. */
	void (*on_close)(void *data, struct rpc_conn *conn);
	/* There is room again, for one that asked when there was none. May be NULL. */
	void (*on_room)(void *data, struct rpc_conn *conn);
	uint32_t max_calls; /* served at once; 0: RPC_CALLS_DEFAULT */
};

/* What became of a call. All of it ends with the callback. */
struct rpc_reply {
	int num;	      /* 0; -EREMOTEIO: a status; -ETIMEDOUT; -EPIPE: no connection */
	int32_t code;	      /* the status' code: one of enum rpc_status or any other */
	const char *message;  /* its words, fit for a terminal, in lines; never NULL */
	struct bytes payload; /* if num is 0; unchecked */
};

/* Called exactly once for a call that was made, at the latest in rpc_conn_free(). */
typedef void rpc_reply_fn(void *data, const struct rpc_reply *reply);

/* Owns take_fd, also on failure, and makes it non-blocking. loop and opts->methods outlive it. */
int rpc_conn_new(struct loop *loop, int take_fd, const struct rpc_conn_opts *opts,
		 struct rpc_conn **ret_conn);

/*
 * Ends the connection, without on_close; calls made get -EPIPE, calls served may still be
 * answered, to no avail. What wasn't sent is lost. Returns NULL; NULL is fine.
 */
struct rpc_conn *rpc_conn_free(struct rpc_conn *conn);

/*
 * Makes a call; fn gets the reply, later. request may be NULL: an empty message. timeout_ms 0:
 * none. On failure fn isn't called: -EPIPE: the connection has ended; -ENOBUFS: above
 * RPC_CALLS_MAX bytes wait to be sent; -EMSGSIZE: the request is larger than ttrpc allows;
 * -ENOMEM.
 */
int rpc_conn_call(struct rpc_conn *conn, const char *service, const char *method,
		  uint32_t timeout_ms, const ProtobufCMessage *request, rpc_reply_fn *fn,
		  void *data);

/* Whether a call that can wait should be made now. If not, on_room says when, unless it ends. */
bool rpc_conn_has_room(struct rpc_conn *conn);

/*
 * For a client that has nothing else to do: makes a call and turns the loop until it's answered.
 * The payload is added to ret_payload. Failures: those of rpc_conn_call() and of rpc_reply.num,
 * a status as rpc_status_errno() has it. -EBUSY: called in a callback of the loop.
 */
int rpc_conn_wait(struct rpc_conn *conn, const char *service, const char *method,
		  uint32_t timeout_ms, const ProtobufCMessage *request, struct buf *ret_payload,
		  struct err *err);

/*
 * Answer a call that is served, and end it. reply may be NULL: an empty message. One that is
 * larger than ttrpc allows becomes RPC_RESOURCE_EXHAUSTED.
 */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *reply);
void rpc_call_fail(struct rpc_call *call, int32_t code, const char *message);

/* The connection that call came in on; NULL if that has ended. */
struct rpc_conn *rpc_call_conn(const struct rpc_call *call);

/* How long the caller waits for its answer, from when he made it; 0: he doesn't say. */
uint32_t rpc_call_timeout_ms(const struct rpc_call *call);

/* The method that was called, and its connection's opts.data; also once that has ended. */
const struct rpc_method *rpc_call_method(const struct rpc_call *call);
void *rpc_call_data(const struct rpc_call *call);

CLEANUP_PTR(struct rpc_conn, rpc_conn_free)

#endif
