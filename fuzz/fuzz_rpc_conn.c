// SPDX-License-Identifier: Apache-2.0
/* A peer that may send anything, to one end that serves and calls: all calls must end. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "rpc/conn.h"
#include "sys/sock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rpc_call *kept;
static int replies;

static void serve(void *data, struct rpc_call *call, struct bytes payload)
{
	(void)data;
	if (!kept && payload.len > 3)
		kept = call;
	else if (payload.len % 2)
		rpc_call_fail(call, RPC_NOT_FOUND, "x");
	else
		rpc_call_reply(call, NULL);
}

static void on_reply(void *data, const struct rpc_reply *reply)
{
	(void)data;
	replies++;
	if ((reply->num == -EREMOTEIO) != (reply->code != 0))
		abort();
}

/* As it is, or, led by an odd byte, behind sound headers and the start of a sound body. */
static void send_input(struct loop *loop, int fd, struct bytes in)
{
	static const char *const starts[] = { "\x0a\1s\x12\1m\x1a", "\x0a\2\x08" };
	bool framed = in.len > 0 && in.at[0] % 2;

	for (size_t n; in.len > 3; in.at += n, in.len -= n) {
		uint8_t type = in.at[3] % 2, len = in.at[1] / 2;
		uint8_t start = (uint8_t)strlen(starts[type]);
		uint8_t header[10] = { [3] = start + len, [7] = in.at[2], [8] = type + 1 };

		n = framed && 4u + len < in.len ? 4u + len : in.len;
		if (framed && (sock_write(fd, header, sizeof(header)) < 0 ||
			       sock_write(fd, starts[type], start) < 0))
			break;
		(void)sock_write(fd, in.at + 4 * framed, n - 4 * framed);
		(void)loop_step(loop, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rpc_method methods[] = { { "s", "m", serve, NULL } };
	const struct rpc_conn_opts opts = { .methods = methods, .method_count = 1, .max_calls = 2 };
	struct rpc_conn *conn;
	struct loop *loop;
	int pair[2];

	(void)signal(SIGPIPE, SIG_IGN);
	if (loop_new(&loop) < 0 || sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair) < 0 ||
	    rpc_conn_new(loop, pair[0], &opts, &conn) < 0)
		abort();
	replies = 0;
	for (int i = 0; i < 3; i++)
		if (rpc_conn_call(conn, "s", "m", 0, NULL, on_reply, NULL) < 0)
			abort();
	send_input(loop, pair[1], (struct bytes){ data, size });
	(void)close(pair[1]);
	while (loop_step(loop, 0) > 0)
		continue;
	if (kept)
		rpc_call_reply(kept, NULL);
	kept = NULL;
	rpc_conn_free(conn);
	loop_free(loop);
	if (replies != 3)
		abort();
	return 0;
}
