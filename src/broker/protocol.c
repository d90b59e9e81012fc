// SPDX-License-Identifier: Apache-2.0
#include "broker/protocol.h"

#include <errno.h>
#include <string.h>

#include "attest/kbs.h"

enum { LENGTH_SIZE = 4, STATUS_LEAST = 200, STATUS_MOST = 599 };

int broker_frame_next(const struct buf *in, struct bytes *ret)
{
	struct bytes all = buf_bytes(in);
	size_t len;

	if (all.len < LENGTH_SIZE)
		return 0;
	len = bytes_be32(all, 0);
	if (len > BROKER_FRAME_MAX)
		return -EMSGSIZE;
	if (!bytes_has(all, LENGTH_SIZE, len))
		return 0;
	*ret = (struct bytes){ all.at + LENGTH_SIZE, len };
	return 1;
}

void broker_frame_drop(struct buf *in, struct bytes frame)
{
	buf_drop(in, LENGTH_SIZE + frame.len);
}

static int add_frame(const ProtobufCMessage *message, struct buf *out)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t head[LENGTH_SIZE] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16),
				      (uint8_t)(len >> 8), (uint8_t)len };

	if (len > BROKER_FRAME_MAX)
		return -EMSGSIZE;
	if (buf_reserve(out, len + LENGTH_SIZE) < 0)
		return -ENOMEM;
	(void)buf_add(out, head, sizeof(head));
	out->len += protobuf_c_message_pack(message, out->at + out->len);
	return 0;
}

int broker_request_add(const Broker__Request *request, struct buf *out)
{
	return add_frame(&request->base, out);
}

int broker_answer_add(const Broker__Answer *answer, struct buf *out)
{
	return add_frame(&answer->base, out);
}

/* Printable ASCII, so that it can be logged and compared. */
static bool is_plain(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len <= max;
}

static bool request_is_good(const Broker__Request *request)
{
	size_t body_max = request->kind == BROKER_AUTH	   ? BROKER_AUTH_MAX
			  : request->kind == BROKER_ATTEST ? BROKER_ATTEST_MAX
							   : 0;

	if (request->kind >= BROKER_KIND_COUNT || request->body.len > body_max)
		return false;
	if (request->session.len != 0 && request->session.len != BROKER_SESSION_SIZE)
		return false;
	if (request->kind == BROKER_RESOURCE && !attest_kbs_resource_valid(request->resource))
		return false;
	if (request->kind != BROKER_RESOURCE && request->resource[0])
		return false;
	return is_plain(request->token, ATTEST_KBS_TOKEN_MAX) &&
	       is_plain(request->peer, BROKER_PEER_MAX);
}

int broker_request_parse(struct bytes frame, Broker__Request **ret, struct err *err)
{
	Broker__Request *request = broker__request__unpack(NULL, frame.len, frame.at);

	if (!request)
		return err_set(err, -EBADMSG, "read the front's message: it is none");
	if (request->base.n_unknown_fields > 0 || !request_is_good(request)) {
		broker__request__free_unpacked(request, NULL);
		return err_set(err, -EBADMSG, "read the front's message: a part cannot be");
	}
	*ret = request;
	return 0;
}

int broker_answer_parse(struct bytes frame, Broker__Answer **ret, struct err *err)
{
	Broker__Answer *answer = broker__answer__unpack(NULL, frame.len, frame.at);

	if (!answer)
		return err_set(err, -EBADMSG, "read the back's message: it is none");
	if (answer->base.n_unknown_fields > 0 || answer->status < STATUS_LEAST ||
	    answer->status > STATUS_MOST ||
	    (answer->session.len != 0 && answer->session.len != BROKER_SESSION_SIZE)) {
		broker__answer__free_unpacked(answer, NULL);
		return err_set(err, -EBADMSG, "read the back's message: a part cannot be");
	}
	*ret = answer;
	return 0;
}
