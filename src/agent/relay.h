/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay - bytes between a prover and the policy's broker, which the host carries.
 *
 * A guest has no network. Who needs the broker has two pipes, and the host is told that a link is
 * wanted (AcceptRelay, of which one call may wait); then it reads what goes out and writes what
 * comes in, as it does with a process's streams. Where to is not said: the host knows the policy's
 * broker and connects nowhere else. What is carried is TLS, and ends in the prover.
 *
 * An end is said once for each direction. Out: a read is answered with eof when the prover has
 * closed its pipe. In: a write with eof is the last, and also says that no connection could be
 * made. A link that is closed here answers its reads with eof and its writes with a failure; after
 * that it is unknown (RPC_NOT_FOUND), which is what the host may take for a reset.
 */
#ifndef AGENT_RELAY_H
#define AGENT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/stream.h"
#include "base/err.h"
#include "rpc/conn.h"
#include "sys/loop.h"
#include "wire/proto/agent.pb-c.h"

enum {
	RELAY_LINKS_MAX = 8,	     /* at once: containers being given secrets */
	RELAY_WRITE_MAX = 256 << 10, /* bytes of one write */
};

struct relay_link {
	struct relay_link *next;
	struct relay *relay;
	uint32_t number;
	bool is_accepted;
	struct output out;
	struct input in;
};

/* Zeroed but for its loop, there is no link. */
struct relay {
	struct loop *loop;
	struct relay_link *links; /* the oldest first */
	unsigned count;
	uint32_t last_number;
	struct rpc_call *accept; /* waits for a link */
};

/*
 * A link that the host is to accept; the prover's ends of the pipes are the caller's. -ENOBUFS:
 * RELAY_LINKS_MAX.
 */
int relay_open(struct relay *relay, struct relay_link **ret_link, int *ret_in_fd, int *ret_out_fd,
	       struct err *err);

/* NULL is fine. */
struct relay_link *relay_close(struct relay_link *link);

/* Each answers call, sooner or later. */
void relay_accept(struct relay *relay, struct rpc_call *call);
void relay_read(struct relay *relay, struct rpc_call *call, const Agent__RelayReadRequest *request);
void relay_write(struct relay *relay, struct rpc_call *call,
		 const Agent__RelayWriteRequest *request);

#endif
