// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a link is an output and an input as a process has them (stream.h). Their answers
 * are ReadResponse and Empty; a RelayData is a ReadResponse, field by field.
 */
#include "agent/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "rpc/status.h"
#include "sys/sock.h"

static void accept_next(struct relay *relay)
{
	Agent__RelayRef response = AGENT__RELAY_REF__INIT;
	struct relay_link *link = relay->links;
	struct rpc_call *call = relay->accept;

	while (link && link->is_accepted)
		link = link->next;
	if (!link || !call)
		return;
	link->is_accepted = true;
	relay->accept = NULL;
	response.connection = link->number;
	rpc_call_reply(call, &response.base);
}

static int make_pipes(int ret_in[2], int ret_out[2], struct err *err)
{
	if (pipe2(ret_in, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	if (pipe2(ret_out, O_CLOEXEC) < 0) {
		(void)close(ret_in[0]);
		(void)close(ret_in[1]);
		return err_sys(err, "make a pipe");
	}
	(void)sock_set_nonblock(ret_in[1]);
	(void)sock_set_nonblock(ret_out[0]);
	return 0;
}

int relay_open(struct relay *relay, struct relay_link **ret_link, int *ret_in_fd, int *ret_out_fd,
	       struct err *err)
{
	struct relay_link *link, **at;
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, r;

	if (relay->count == RELAY_LINKS_MAX)
		return err_set(err, -ENOBUFS, "ask for the broker: %d links are open",
			       RELAY_LINKS_MAX);
	link = calloc(1, sizeof(*link));
	if (!link)
		return err_num(err, -ENOMEM, "ask for the broker");
	r = make_pipes(in, out, err);
	if (r < 0) {
		free(link);
		return r;
	}
	link->relay = relay;
	link->number = ++relay->last_number;
	output_init(&link->out, relay->loop);
	output_open(&link->out, out[0]);
	input_init(&link->in, relay->loop, false);
	input_open(&link->in, in[1]);
	for (at = &relay->links; *at;)
		at = &(*at)->next;
	*at = link;
	relay->count++;
	*ret_link = link;
	*ret_in_fd = in[0];
	*ret_out_fd = out[1];
	accept_next(relay);
	return 0;
}

struct relay_link *relay_close(struct relay_link *link)
{
	struct relay_link **at;

	if (!link)
		return NULL;
	for (at = &link->relay->links; *at != link;)
		at = &(*at)->next;
	*at = link->next;
	link->relay->count--;
	output_close(&link->out);
	input_close(&link->in);
	free(link);
	return NULL;
}

void relay_accept(struct relay *relay, struct rpc_call *call)
{
	if (relay->accept) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "accept relay: a call waits already");
		return;
	}
	relay->accept = call;
	accept_next(relay);
}

/* NULL once call was answered. */
static struct relay_link *find(struct relay *relay, struct rpc_call *call, uint32_t number)
{
	struct relay_link *link = relay->links;

	while (link && (link->number != number || !link->is_accepted))
		link = link->next;
	if (!link)
		rpc_call_fail(call, RPC_NOT_FOUND, "relay: there is no such connection");
	return link;
}

void relay_read(struct relay *relay, struct rpc_call *call, const Agent__RelayReadRequest *request)
{
	struct relay_link *link = find(relay, call, request->connection);

	if (link)
		output_ask(&link->out, call, request->max);
}

/* The same bytes as a write to a process's input, which is the caller's. */
static Agent__WriteRequest *as_write(const Agent__RelayWriteRequest *request)
{
	Agent__WriteRequest *write = malloc(sizeof(*write));

	if (!write)
		return NULL;
	agent__write_request__init(write);
	write->data.len = request->data.len;
	write->data.data = malloc(request->data.len + 1);
	if (!write->data.data) {
		agent__write_request__free_unpacked(write, NULL);
		return NULL;
	}
	if (request->data.len > 0)
		memcpy(write->data.data, request->data.data, request->data.len);
	return write;
}

void relay_write(struct relay *relay, struct rpc_call *call,
		 const Agent__RelayWriteRequest *request)
{
	struct relay_link *link = find(relay, call, request->connection);
	Agent__WriteRequest *write;

	if (!link)
		return;
	write = request->data.len <= RELAY_WRITE_MAX ? as_write(request) : NULL;
	if (!write) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "relay: too many bytes at once");
		return;
	}
	input_write(&link->in, call, write);
	if (request->eof)
		input_finish(&link->in);
}
