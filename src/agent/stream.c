// SPDX-License-Identifier: Apache-2.0
#include "agent/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "rpc/status.h"
#include "sys/sock.h"

static void on_output(void *data, uint32_t events);
static void on_input(void *data, uint32_t events);

void output_init(struct output *out, struct loop *loop)
{
	*out = (struct output){ .loop = loop, .state = STREAM_WAITING, .fd = -1 };
}

static void answer_read(struct output *out, struct bytes data, bool is_eof)
{
	Agent__ReadResponse response = AGENT__READ_RESPONSE__INIT;
	struct rpc_call *call = out->reads[0].call;
	union {
		const uint8_t *in;
		uint8_t *out;
	} at = { .in = data.at };

	out->read_count--;
	memmove(out->reads, out->reads + 1, out->read_count * sizeof(out->reads[0]));
	response.data.data = at.out;
	response.data.len = data.len;
	response.eof = is_eof;
	rpc_call_reply(call, &response.base);
}

/* Answers as many reads as there is data for; true if the stream has come to its end. */
static bool answer_reads(struct output *out)
{
	cleanup_free uint8_t *chunk = NULL;
	uint32_t max = 0;
	ssize_t got;

	while (out->read_count > 0) {
		if (max < out->reads[0].max) {
			max = out->reads[0].max;
			free(chunk);
			chunk = malloc(max);
			if (!chunk)
				return false;
		}
		got = sock_read(out->fd, chunk, out->reads[0].max);
		if (got == -EAGAIN)
			return out->is_last;
		/*
		 * A terminal's end is EIO, twice: the kernel (n_tty_read) looks for data first and
		 * for the other side's end then, and what was written between the two is there.
		 */
		if (got == -EIO)
			got = sock_read(out->fd, chunk, out->reads[0].max);
		if (got <= 0)
			return true;
		answer_read(out, (struct bytes){ chunk, (size_t)got }, false);
	}
	return false;
}

/* The loop is asked only while somebody waits: a pipe whose writers are gone is always ready. */
static void pump_output(struct output *out)
{
	if (out->state != STREAM_OPEN)
		return;
	if (answer_reads(out)) {
		output_close(out);
	} else if (out->read_count == 0) {
		out->source = loop_source_free(out->source);
	} else if (!out->source &&
		   loop_add(out->loop, out->fd, EPOLLIN, on_output, out, &out->source) < 0) {
		output_close(out);
	}
}

static void on_output(void *data, uint32_t events)
{
	(void)events;
	pump_output(data);
}

void output_open(struct output *out, int take_fd)
{
	out->fd = take_fd;
	out->state = STREAM_OPEN;
	pump_output(out);
}

void output_ask(struct output *out, struct rpc_call *call, uint32_t max)
{
	if (out->read_count == STREAM_CALLS_MAX) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "read output: too many reads wait");
		return;
	}
	if (max == 0 || max > STREAM_READ_MAX)
		max = STREAM_READ_MAX;
	out->reads[out->read_count++] = (struct output_read){ call, max };
	if (out->state == STREAM_CLOSED)
		answer_read(out, (struct bytes){ 0 }, true);
	else if (out->read_count == 1)
		pump_output(out);
}

void output_set_last(struct output *out)
{
	out->is_last = true;
	pump_output(out);
}

void output_close(struct output *out)
{
	out->state = STREAM_CLOSED;
	out->source = loop_source_free(out->source);
	if (out->fd >= 0)
		(void)close(out->fd);
	out->fd = -1;
	while (out->read_count > 0)
		answer_read(out, (struct bytes){ 0 }, true);
}

void input_init(struct input *in, struct loop *loop, bool is_terminal)
{
	*in = (struct input){
		.loop = loop, .state = STREAM_WAITING, .fd = -1, .is_terminal = is_terminal
	};
}

static void answer_write(struct input *in, bool is_done)
{
	struct input_write first = in->writes[0];
	Agent__Empty empty = AGENT__EMPTY__INIT;

	in->write_count--;
	memmove(in->writes, in->writes + 1, in->write_count * sizeof(in->writes[0]));
	agent__write_request__free_unpacked(first.request, NULL);
	if (is_done)
		rpc_call_reply(first.call, &empty.base);
	else
		rpc_call_fail(first.call, RPC_FAILED_PRECONDITION,
			      "write input: nobody reads it any more");
}

/* Writes what fits; false if there is no reader any more. */
static bool push_writes(struct input *in)
{
	while (in->write_count > 0) {
		struct input_write *w = &in->writes[0];
		struct bytes rest = { w->request->data.data + w->off,
				      w->request->data.len - w->off };
		ssize_t put = rest.len > 0 ? sock_write(in->fd, rest.at, rest.len) : 0;

		if (put == -EAGAIN)
			return true;
		if (put < 0)
			return false;
		w->off += (size_t)put;
		if (w->off == w->request->data.len)
			answer_write(in, true);
	}
	return true;
}

static void pump_input(struct input *in)
{
	if (in->state != STREAM_OPEN)
		return;
	if (!push_writes(in)) {
		input_close(in);
	} else if (in->write_count == 0) {
		in->source = loop_source_free(in->source);
		if (in->is_closing && !in->is_terminal)
			input_close(in);
	} else if (!in->source &&
		   loop_add(in->loop, in->fd, EPOLLOUT, on_input, in, &in->source) < 0) {
		input_close(in);
	}
}

static void on_input(void *data, uint32_t events)
{
	(void)events;
	pump_input(data);
}

void input_open(struct input *in, int take_fd)
{
	in->fd = take_fd;
	in->state = STREAM_OPEN;
	pump_input(in);
}

void input_write(struct input *in, struct rpc_call *call, Agent__WriteRequest *take_request)
{
	bool is_full = in->write_count == STREAM_CALLS_MAX;

	if (is_full || in->is_closing || in->state == STREAM_CLOSED) {
		agent__write_request__free_unpacked(take_request, NULL);
		if (is_full)
			rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED,
				      "write input: too many writes wait");
		else
			rpc_call_fail(call, RPC_FAILED_PRECONDITION, "write input: it is closed");
		return;
	}
	in->writes[in->write_count++] = (struct input_write){ call, take_request, 0 };
	if (in->write_count == 1)
		pump_input(in);
}

void input_finish(struct input *in)
{
	in->is_closing = true;
	pump_input(in);
}

void input_close(struct input *in)
{
	in->state = STREAM_CLOSED;
	in->source = loop_source_free(in->source);
	if (in->fd >= 0)
		(void)close(in->fd);
	in->fd = -1;
	while (in->write_count > 0)
		answer_write(in, false);
}
