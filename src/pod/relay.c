// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a guest with a TEE has no network, and its agent wants the policy's broker. One
 * call of AcceptRelay is under way as long as fewer than POD_RELAY_LINKS links are open, and fewer
 * than that were begun within a second; its answer is a link's number. Then the addresses that the policy's broker has are tried, one after the
 * other, for POD_RELAY_DIAL_MS each: they are the plan's, and nothing that the guest says can
 * change them. What it sends is pulled, what comes for it is pushed, each direction one piece of
 * POD_RELAY_PIECE bytes at a time, so that is all a link can make us hold.
 *
 * Ends: the guest's (a ReadRelay's eof) closes the socket for writing once all is written. The
 * broker's goes to the guest as a WriteRelay with eof. When both have been said, or any step fails,
 * the link is closed; a failure says eof to the guest too, which is how it hears that nobody could
 * be reached. What it makes of the bytes is its own affair, they are TLS.
 */
#include <errno.h>
#include <unistd.h>

#include "pod/pod_priv.h"
#include "sys/dial.h"
#include "sys/sock.h"

struct pod_link {
	struct pod_link *next;
	struct pod *pod;
	uint32_t number; /* of the guest's */
	size_t address;	 /* which is being tried, or was reached */
	int fd;
	struct loop_source *source;
	struct loop_source *deadline; /* until it is connected */
	struct buf pending;	      /* read from the guest, not yet written on */
	unsigned int calls;	      /* to the agent, under way: they know the link */
	bool is_pulling;	      /* a ReadRelay is under way */
	bool is_pushing;	      /* a WriteRelay is */
	bool guest_ended;	      /* it has nothing more to say */
	bool broker_ended;
	bool is_closed; /* freed with the last call's answer */
};

static void accept_next(struct pod *pod);
static void link_watch(struct pod_link *link);

static void link_free(struct pod_link *link)
{
	struct pod_link **at = &link->pod->links;

	while (*at && *at != link)
		at = &(*at)->next;
	if (*at) {
		*at = link->next;
		link->pod->link_count--;
	}
	(void)loop_source_free(link->source);
	(void)loop_source_free(link->deadline);
	if (link->fd >= 0)
		(void)close(link->fd);
	buf_done(&link->pending);
	free(link);
}

static void link_disconnect(struct pod_link *link)
{
	link->source = loop_source_free(link->source);
	link->deadline = loop_source_free(link->deadline);
	if (link->fd >= 0)
		(void)close(link->fd);
	link->fd = -1;
}

/* A call's answer has come: false if that was the last thing the link was there for. */
static bool link_returned(struct pod_link *link)
{
	struct pod *pod = link->pod;

	link->calls--;
	if (!link->is_closed)
		return true;
	if (link->calls == 0) {
		link_free(link);
		accept_next(pod);
	}
	return false;
}

static int link_call(struct pod_link *link, const char *method, const ProtobufCMessage *request,
		     rpc_reply_fn *answered)
{
	int r = link->pod->agent ? rpc_conn_call(link->pod->agent, POD_AGENT, method, 0, request,
						 answered, link)
				 : -EPIPE;

	if (r == 0)
		link->calls++;
	return r;
}

static void end_said(void *data, const struct rpc_reply *reply)
{
	(void)reply;
	(void)link_returned(data);
}

/* Nothing more is carried; unless the guest knows of the end, it is told. */
static void link_close(struct pod_link *link)
{
	Agent__RelayWriteRequest request = AGENT__RELAY_WRITE_REQUEST__INIT;

	link_disconnect(link);
	link->is_closed = true;
	if (!link->broker_ended) {
		link->broker_ended = true;
		request.connection = link->number;
		request.eof = true;
		(void)link_call(link, "WriteRelay", &request.base, end_said);
	}
	if (link->calls == 0) {
		struct pod *pod = link->pod;

		link_free(link);
		accept_next(pod);
	}
}

/* Writes on what the guest said; false if the socket is of no more use. */
static bool link_flush(struct pod_link *link)
{
	ssize_t n;

	while (link->pending.len > 0) {
		n = sock_write(link->fd, link->pending.at, link->pending.len);
		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return false;
		buf_drop(&link->pending, (size_t)n);
	}
	if (link->guest_ended)
		dial_finish(link->fd);
	return true;
}

static void pulled(void *data, const struct rpc_reply *reply)
{
	struct pod_link *link = data;
	Agent__RelayData *answer = NULL;
	bool is_good;

	link->is_pulling = false;
	if (!link_returned(link))
		return;
	if (reply->num == 0)
		answer = agent__relay_data__unpack(NULL, reply->payload.len, reply->payload.at);
	is_good = answer && answer->data.len <= POD_RELAY_PIECE &&
		  buf_add(&link->pending, answer->data.data, answer->data.len) == 0;
	if (is_good)
		link->guest_ended = answer->eof;
	if (answer)
		agent__relay_data__free_unpacked(answer, NULL);
	if (is_good && link_flush(link))
		link_watch(link);
	else
		link_close(link);
}

static void pushed(void *data, const struct rpc_reply *reply)
{
	struct pod_link *link = data;

	link->is_pushing = false;
	if (!link_returned(link))
		return;
	if (reply->num == 0)
		link_watch(link);
	else
		link_close(link);
}

/* What has come from the broker, its end too; only while nothing else is on its way. */
static int link_push(struct pod_link *link)
{
	Agent__RelayWriteRequest request = AGENT__RELAY_WRITE_REQUEST__INIT;
	uint8_t piece[POD_RELAY_PIECE];
	ssize_t n = sock_read(link->fd, piece, sizeof(piece));
	int r;

	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return (int)n;
	link->broker_ended = n == 0;
	request.connection = link->number;
	request.data.data = piece;
	request.data.len = (size_t)n;
	request.eof = n == 0;
	r = link_call(link, "WriteRelay", &request.base, pushed);
	link->is_pushing = r == 0;
	return r;
}

static int link_pull(struct pod_link *link)
{
	Agent__RelayReadRequest request = AGENT__RELAY_READ_REQUEST__INIT;
	int r;

	request.connection = link->number;
	request.max = POD_RELAY_PIECE;
	r = link_call(link, "ReadRelay", &request.base, pulled);
	link->is_pulling = r == 0;
	return r;
}

static void link_ready(void *data, uint32_t events)
{
	struct pod_link *link = data;
	int r = 0;

	if (link->pending.len > 0 && !link_flush(link))
		r = -EPIPE;
	if (r == 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !link->is_pushing &&
	    !link->broker_ended)
		r = link_push(link);
	if (r < 0)
		link_close(link);
	else
		link_watch(link);
}

/* Asks for what can be used now, and only for that: an end would wake us again and again. */
static void link_watch(struct pod_link *link)
{
	uint32_t events = 0;

	if (!link->guest_ended && !link->is_pulling && link->pending.len == 0 &&
	    link_pull(link) < 0) {
		link_close(link);
		return;
	}
	if (link->guest_ended && link->broker_ended && link->pending.len == 0 &&
	    !link->is_pushing) {
		link_close(link);
		return;
	}
	if (link->pending.len > 0)
		events |= EPOLLOUT;
	if (!link->is_pushing && !link->broker_ended)
		events |= EPOLLIN;
	link->source = loop_source_free(link->source);
	if (events &&
	    loop_add(link->pod->opts.loop, link->fd, events, link_ready, link, &link->source) < 0)
		link_close(link);
}

static void dial_next(struct pod_link *link);

static void link_dialled(void *data, uint32_t events)
{
	struct pod_link *link = data;
	int r = dial_result(link->fd);

	(void)events;
	if (r < 0) {
		dial_next(link);
		return;
	}
	link->deadline = loop_source_free(link->deadline);
	link_watch(link);
}

static void dial_late(void *data)
{
	dial_next(data);
}

static int dial(struct pod_link *link, size_t address)
{
	const Casemate__Tee *tee = link->pod->vm->tee;
	struct loop *loop = link->pod->opts.loop;
	int r;

	r = dial_start((struct bytes){ tee->broker[address].data, tee->broker[address].len },
		       &link->fd);
	if (r == 0)
		r = loop_add(loop, link->fd, EPOLLOUT, link_dialled, link, &link->source);
	if (r == 0)
		r = loop_timer(loop, POD_RELAY_DIAL_MS, dial_late, link, &link->deadline);
	return r;
}

/* The next address that does not fail at once; with none left, the guest is told. */
static void dial_next(struct pod_link *link)
{
	int r = -EHOSTUNREACH;

	while (r < 0 && link->address < link->pod->vm->tee->n_broker) {
		link_disconnect(link);
		r = dial(link, link->address++);
	}
	if (r < 0)
		link_close(link);
}

static void turn_over(void *data)
{
	struct pod *pod = data;

	pod->link_turn = loop_source_free(pod->link_turn);
	pod->links_begun = 0;
	accept_next(pod);
}

/* Whatever a guest does, the broker is not knocked at all the time. */
static void count_link(struct pod *pod)
{
	if (pod->link_turn ||
	    loop_timer(pod->opts.loop, POD_RELAY_TURN_MS, turn_over, pod, &pod->link_turn) == 0)
		pod->links_begun++;
}

static void accepted(void *data, const struct rpc_reply *reply)
{
	struct pod *pod = data;
	Agent__RelayRef *ref = NULL;
	struct pod_link *link;

	pod->is_accepting = false;
	if (reply->num == 0)
		ref = agent__relay_ref__unpack(NULL, reply->payload.len, reply->payload.at);
	link = ref ? calloc(1, sizeof(*link)) : NULL;
	if (link) {
		*link = (struct pod_link){
			.next = pod->links, .pod = pod, .number = ref->connection, .fd = -1
		};
		pod->links = link;
		pod->link_count++;
		count_link(pod);
		dial_next(link);
		accept_next(pod);
	}
	if (ref)
		agent__relay_ref__free_unpacked(ref, NULL);
}

static void accept_next(struct pod *pod)
{
	if (!pod->agent || pod->is_accepting || pod->link_count >= POD_RELAY_LINKS ||
	    pod->links_begun >= POD_RELAY_LINKS)
		return;
	pod->is_accepting =
		rpc_conn_call(pod->agent, POD_AGENT, "AcceptRelay", 0, NULL, accepted, pod) == 0;
}

void pod_relay_start(struct pod *pod)
{
	if (pod->vm->tee->n_broker > 0)
		accept_next(pod);
}

void pod_relay_end(struct pod *pod)
{
	pod->link_turn = loop_source_free(pod->link_turn);
	while (pod->links)
		link_free(pod->links);
}
