/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol - messages between the broker's two processes, and what each of them checks.
 */
#ifndef BROKER_PROTOCOL_H
#define BROKER_PROTOCOL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/proto/broker.pb-c.h"

enum {
	BROKER_FRAME_MAX = (4 << 20) + (128 << 10), /* bytes of one message */
	BROKER_SESSION_SIZE = 16,
	BROKER_PEER_MAX = 63,
	BROKER_AUTH_MAX = 16 << 10, /* bytes of a body, by kind */
	BROKER_ATTEST_MAX = 4 << 20,
};

enum broker_kind { BROKER_AUTH, BROKER_ATTEST, BROKER_RESOURCE, BROKER_KIND_COUNT };

/*
 * The first whole message in in: 1, and *ret is what behind its length; 0: not all of it is there
 * yet; -EMSGSIZE: one that is too long, after which the stream is of no more use. It stays in in:
 * broker_frame_drop().
 */
int broker_frame_next(const struct buf *in, struct bytes *ret);
void broker_frame_drop(struct buf *in, struct bytes frame);

/* Adds it with its length. -EMSGSIZE, -ENOMEM. */
int broker_request_add(const Broker__Request *request, struct buf *out);
int broker_answer_add(const Broker__Answer *answer, struct buf *out);

/*
 * Whoever gets one frees it, broker__request__free_unpacked(). -EBADMSG: none, or with a part that
 * cannot be: an unknown kind, a session of another length, a body, token, resource or peer that is
 * too long, a token or peer that is no plain text; -ENOMEM is told as that, too.
 */
int broker_request_parse(struct bytes frame, Broker__Request **ret, struct err *err);
int broker_answer_parse(struct bytes frame, Broker__Answer **ret, struct err *err);

#endif
