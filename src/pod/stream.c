// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: output is pulled. Up to POD_STREAM_READS calls of ReadOutput are under way for
 * a stream, each for at most POD_STREAM_READ bytes, and another is made only when what was read
 * before has been written on: so at most POD_STREAM_WINDOW bytes of a stream are in flight or
 * held here, however fast the container writes and however slowly the client reads. The agent
 * answers in the order asked. A client that no longer reads loses the output; the container
 * goes on.
 *
 * Input goes one WriteInput at a time: its answer says that the process's pipe has taken it. And
 * it goes only while there is room on the agent's port: else a guest that takes nothing for a
 * while, and many processes with input, would have calls refused that nobody makes again. Who
 * finds no room stands in a queue, so that all have their turn.
 */
#include <errno.h>
#include <unistd.h>

#include "pod/pod_priv.h"
#include "sys/pipe.h"
#include "sys/sock.h"

static void out_pull(struct pod_out *out);
static void out_ready(void *data, uint32_t events);

static void out_close(struct pod_out *out)
{
	out->source = loop_source_free(out->source);
	if (out->fd >= 0)
		(void)close(out->fd);
	out->fd = -1;
	buf_done(&out->pending);
}

/* Writes on what it can; true if nothing is left to write. */
static bool out_flush(struct pod_out *out)
{
	ssize_t n;

	if (out->log) {
		logfile_add(out->log, buf_bytes(&out->pending));
		buf_drop(&out->pending, out->pending.len);
	}
	while (out->pending.len && out->fd >= 0) {
		n = sock_write(out->fd, out->pending.at, out->pending.len);
		if (n == -EAGAIN)
			return false;
		if (n < 0) {
			out_close(out);
			break;
		}
		buf_drop(&out->pending, (size_t)n);
	}
	out->pending.len = 0;
	return true;
}

/*
 * Has out_ready() called when fd takes more. Only for so long is it watched: a FIFO whose other
 * end is closed would wake us again and again.
 */
static int out_wait(struct pod_out *out)
{
	struct loop *loop = out->process->container->pod->opts.loop;
	int r = out->source ? 0 : loop_add(loop, out->fd, EPOLLOUT, out_ready, out, &out->source);

	if (r < 0)
		out_close(out);
	return r;
}

/* All that was read is written on: asks for more, or lets the reader see the end. */
static void out_next(struct pod_out *out)
{
	struct pod *pod = out->process->container->pod;

	if (!out->eof) {
		out_pull(out);
		return;
	}
	out_close(out);
	pod_settle(pod);
}

static void out_ready(void *data, uint32_t events)
{
	struct pod_out *out = data;

	(void)events;
	if (!out_flush(out))
		return;
	out->source = loop_source_free(out->source);
	out_next(out);
}

static void out_arrived(struct pod_out *out, const Agent__ReadResponse *response)
{
	if (response->data.len &&
	    buf_add(&out->pending, response->data.data, response->data.len) < 0)
		out->eof = true;
	if (response->eof)
		out->eof = true;
	if (out_flush(out) || out_wait(out) < 0)
		out_next(out);
}

static void out_read_answered(struct pod_call *call, const struct rpc_reply *reply,
			      Agent__Stream which)
{
	struct pod_process *process = pod_find_number(call->pod, call->number);
	Agent__ReadResponse *response;
	struct pod_out *out;

	free(call);
	if (!process)
		return;
	out = &process->out[which];
	out->asked--;
	response = reply->num == 0 ? agent__read_response__unpack(NULL, reply->payload.len,
								  reply->payload.at)
				   : NULL;
	if (response && response->data.len <= POD_STREAM_READ) {
		out_arrived(out, response);
	} else if (reply->num == 0) {
		pod_vm_lost(process->container->pod,
			    "the guest's agent broke the protocol: more output than was asked for");
	} else {
		/* The guest is gone: what is held is still written on. */
		out->eof = true;
		if (out->pending.len == 0)
			out_next(out);
	}
	if (response)
		agent__read_response__free_unpacked(response, NULL);
}

static void stdout_answered(void *data, const struct rpc_reply *reply)
{
	out_read_answered(data, reply, AGENT__STREAM__STDOUT);
}

static void stderr_answered(void *data, const struct rpc_reply *reply)
{
	out_read_answered(data, reply, AGENT__STREAM__STDERR);
}

static void out_pull(struct pod_out *out)
{
	struct pod_process *process = out->process;
	Agent__ReadRequest request = AGENT__READ_REQUEST__INIT;

	request.id = process->container->id;
	request.exec_id = process->exec_id;
	request.stream = out->which;
	request.max = POD_STREAM_READ;
	while (!out->eof && out->asked < POD_STREAM_READS) {
		out->asked++;
		pod_call_agent(process, "ReadOutput", &request.base,
			       out->which == AGENT__STREAM__STDOUT ? stdout_answered
								   : stderr_answered,
			       NULL, NULL);
	}
}

static void in_hold(struct pod *pod, struct pod_in *in)
{
	struct pod_in **at = &pod->held;

	while (*at)
		at = &(*at)->next_held;
	in->held = true;
	in->next_held = NULL;
	*at = in;
}

static void in_let_go(struct pod *pod, struct pod_in *in)
{
	struct pod_in **at = &pod->held;

	if (!in->held)
		return;
	while (*at != in)
		at = &(*at)->next_held;
	*at = in->next_held;
	in->held = false;
}

static void in_close(struct pod_in *in)
{
	in_let_go(in->process->container->pod, in);
	in->source = loop_source_free(in->source);
	if (in->fd >= 0)
		(void)close(in->fd);
	in->fd = -1;
}

static void input_closed(void *data, const struct rpc_reply *reply)
{
	(void)reply;
	free(data);
}

void pod_stream_close_input(struct pod_process *process)
{
	Agent__ProcessRef request = AGENT__PROCESS_REF__INIT;
	struct pod_in *in = &process->in;

	in_close(in);
	/* A write under way is first: its answer comes back here. */
	if (in->closed || in->busy)
		return;
	in->closed = true;
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	pod_call_agent(process, "CloseInput", &request.base, input_closed, NULL, NULL);
}

static void in_ready(void *data, uint32_t events);

/* Watched only while input is wanted: one that has ended would wake us again and again. */
static void in_wait(struct pod_in *in)
{
	struct loop *loop = in->process->container->pod->opts.loop;

	if (loop_add(loop, in->fd, EPOLLIN, in_ready, in, &in->source) < 0)
		pod_stream_close_input(in->process);
}

static void input_written(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);

	free(call);
	if (!process)
		return;
	process->in.busy = false;
	if (reply->num < 0 || process->in.fd < 0)
		pod_stream_close_input(process);
	else
		in_wait(&process->in);
}

/* With nothing watched: what is there, or the end. */
static void in_push(struct pod_in *in)
{
	Agent__WriteRequest request = AGENT__WRITE_REQUEST__INIT;
	uint8_t bytes[POD_STREAM_READ];
	ssize_t n;

	n = sock_read(in->fd, bytes, sizeof(bytes));
	if (n == -EAGAIN) {
		in_wait(in);
		return;
	}
	if (n <= 0) {
		pod_stream_close_input(in->process);
		return;
	}
	in->busy = true;
	request.id = in->process->container->id;
	request.exec_id = in->process->exec_id;
	request.data.data = bytes;
	request.data.len = (size_t)n;
	pod_call_agent(in->process, "WriteInput", &request.base, input_written, NULL, NULL);
}

static void in_ready(void *data, uint32_t events)
{
	struct pod_in *in = data;
	struct pod *pod = in->process->container->pod;

	(void)events;
	in->source = loop_source_free(in->source);
	if (pod->agent && (pod->held || !rpc_conn_has_room(pod->agent)))
		in_hold(pod, in);
	else
		in_push(in);
}

void pod_stream_go_on(struct pod *pod)
{
	struct pod_in *in;

	while ((in = pod->held) && pod->agent && rpc_conn_has_room(pod->agent)) {
		in_let_go(pod, in);
		in_push(in);
	}
}

static int open_out(struct pod_out *out, const char *path, struct err *err)
{
	int r;

	if (!path || !path[0])
		return 0;
	r = pipe_open_write(path, &out->fd, err);
	return r < 0 ? err_wrap(err, r, "connect the output") : 0;
}

int pod_stream_open(struct pod_process *process, const struct pod_io *io, struct logfile *log,
		    struct err *err)
{
	int r;

	process->out[0].log = log;
	process->out[1].log = log;
	r = open_out(&process->out[0], io->out, err);
	if (r < 0)
		return r;
	r = open_out(&process->out[1], io->terminal ? NULL : io->err, err);
	if (r < 0)
		return r;
	if (!io->in || !io->in[0])
		return 0;
	r = pipe_open_read(io->in, &process->in.fd, err);
	return r < 0 ? err_wrap(err, r, "connect the input") : 0;
}

bool pod_stream_is_drained(const struct pod_process *process)
{
	for (int i = 0; i < POD_STREAMS; i++)
		if (!process->out[i].eof || process->out[i].pending.len)
			return false;
	return true;
}

void pod_stream_start(struct pod_process *process)
{
	process->out[0].eof = false;
	process->out[1].eof = process->terminal;
	out_pull(&process->out[0]);
	if (!process->terminal)
		out_pull(&process->out[1]);
	if (process->in.fd >= 0)
		in_wait(&process->in);
	else
		pod_stream_close_input(process);
}

void pod_stream_close(struct pod_process *process)
{
	for (int i = 0; i < POD_STREAMS; i++) {
		process->out[i].eof = true;
		out_close(&process->out[i]);
	}
	in_close(&process->in);
}
