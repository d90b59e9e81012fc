/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc - the frames of containerd's ttrpc: what a stream of bytes says, and how to say it.
 *
 * A frame is a header of ten bytes (length of the body and stream id, 32 bits each, big-endian;
 * type; flags) and a body, which is a protobuf Request or Response (proto/ttrpc.proto) around
 * the payload, the caller's own message. A call is one request and one response with the same
 * stream id; ids of a client are odd. Streams of data frames are a later addition to ttrpc that
 * none of our services uses.
 *
 * Parsing copies nothing and allocates nothing: what a peer sends can't cost more memory than it
 * has bytes. All struct bytes that are returned point into the bytes given.
 */
#ifndef WIRE_TTRPC_H
#define WIRE_TTRPC_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/bytes.h"

enum {
	TTRPC_HEADER_SIZE = 10,
	TTRPC_BODY_MAX = 4 << 20, /* containerd's limit */
};

enum ttrpc_type {
	TTRPC_REQUEST = 1,
	TTRPC_RESPONSE = 2,
};

struct ttrpc_frame {
	enum ttrpc_type type;
	uint32_t stream;
	uint8_t flags;
	struct bytes body;
};

struct ttrpc_request {
	struct bytes service, method; /* unchecked: any bytes, not NUL-terminated */
	struct bytes payload;
	int64_t timeout_ns; /* 0: none */
};

struct ttrpc_response {
	int32_t code;	      /* a gRPC status code; 0: ok */
	struct bytes message; /* of a code above 0; as unchecked as the above */
	struct bytes payload;
};

/*
 * The frame at the head of in: 1, *ret_frame and its whole size in *ret_used; or 0 if it isn't
 * all there yet; or, as soon as the header is there, what is wrong with it, and the stream can't
 * be read any further: -EMSGSIZE: a body above TTRPC_BODY_MAX; -EPROTO: another type.
 */
int ttrpc_frame_next(struct bytes in, struct ttrpc_frame *ret_frame, size_t *ret_used);

/*
 * A frame's body: 0, or -EPROTO if it isn't protobuf. As protobuf has it, absent fields are
 * empty, the last of several counts, and unknown ones (metadata among them) are skipped.
 */
int ttrpc_request_parse(struct bytes body, struct ttrpc_request *ret_request);
int ttrpc_response_parse(struct bytes body, struct ttrpc_response *ret_response);

/*
 * Add a frame to out; message, which may be NULL for none, is packed in place. -EMSGSIZE: the
 * body would be above TTRPC_BODY_MAX; -ENOMEM. On failure out is as before.
 */
int ttrpc_request_add(struct buf *out, uint32_t stream, const char *service, const char *method,
		      int64_t timeout_ns, const ProtobufCMessage *message);
int ttrpc_response_add(struct buf *out, uint32_t stream, const ProtobufCMessage *message);
int ttrpc_status_add(struct buf *out, uint32_t stream, int32_t code, const char *message);

#endif
