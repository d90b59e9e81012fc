/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream - the standard streams of one process, towards the calls that read and write them.
 *
 * Reads are answered in the order they were asked, each with what is there, at least a byte, or
 * with the end. The end comes when the last writer has closed, or, for a process that has ended
 * and left a child behind that holds the stream, when the pipe is empty. What nobody has asked
 * for stays in the pipe, so a process that floods waits in write(2).
 *
 * Writes are answered when all of their bytes are in the pipe, in order.
 *
 * Both may be asked of a process that hasn't been started: they wait.
 */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/conn.h"
#include "sys/loop.h"
#include "wire/proto/agent.pb-c.h"

enum {
	STREAM_CALLS_MAX = 16,	      /* waiting reads of a stream, and waiting writes */
	STREAM_READ_MAX = 256 << 10,  /* bytes of one answer; of one ask at most as many */
	STREAM_PIPE_SIZE = 256 << 10, /* what a process may be ahead of its reader */
};

enum stream_state {
	STREAM_WAITING, /* the process has not been started */
	STREAM_OPEN,
	STREAM_CLOSED, /* nothing more comes, or is taken */
};

struct output {
	struct loop *loop;
	enum stream_state state;
	int fd;
	bool is_last; /* the process has ended: what is in the pipe is all */
	struct loop_source *source;
	struct output_read {
		struct rpc_call *call;
		uint32_t max;
	} reads[STREAM_CALLS_MAX];
	size_t read_count;
};

void output_init(struct output *out, struct loop *loop);
void output_open(struct output *out, int take_fd);
void output_ask(struct output *out, struct rpc_call *call, uint32_t max);
void output_set_last(struct output *out);
void output_close(struct output *out); /* who waits, and who comes, gets the end */

struct input {
	struct loop *loop;
	enum stream_state state;
	int fd;
	bool is_terminal; /* has no end of its own: closing it does nothing */
	bool is_closing;  /* as soon as the queue is empty */
	struct loop_source *source;
	struct input_write {
		struct rpc_call *call;
		Agent__WriteRequest *request;
		size_t off;
	} writes[STREAM_CALLS_MAX];
	size_t write_count;
};

void input_init(struct input *in, struct loop *loop, bool is_terminal);
void input_open(struct input *in, int take_fd);
void input_write(struct input *in, struct rpc_call *call, Agent__WriteRequest *take_request);
void input_finish(struct input *in); /* CloseInput */
void input_close(struct input *in);  /* who waits, and who comes, fails */

#endif
