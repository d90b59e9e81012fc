// SPDX-License-Identifier: Apache-2.0
#include "wire/ttrpc.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	REQUEST_SERVICE = 1,
	REQUEST_METHOD = 2,
	REQUEST_PAYLOAD = 3,
	REQUEST_TIMEOUT_NANO = 4,
	RESPONSE_STATUS = 1,
	RESPONSE_PAYLOAD = 2,
	STATUS_CODE = 1,
	STATUS_MESSAGE = 2,
};

/* protobuf's wire types; 3 and 4, groups, are in no version 3 message */
enum {
	WIRE_VARINT = 0,
	WIRE_64BIT = 1,
	WIRE_BYTES = 2,
	WIRE_32BIT = 5,
};

struct field {
	uint64_t number;
	unsigned int wire;
	uint64_t value;	   /* of WIRE_VARINT */
	struct bytes data; /* of WIRE_BYTES */
};

int ttrpc_frame_next(struct bytes in, struct ttrpc_frame *ret_frame, size_t *ret_used)
{
	uint32_t len;
	uint8_t type;

	if (!bytes_has(in, 0, TTRPC_HEADER_SIZE))
		return 0;
	len = bytes_be32(in, 0);
	type = bytes_u8(in, 8);
	if (len > TTRPC_BODY_MAX)
		return -EMSGSIZE;
	if (type != TTRPC_REQUEST && type != TTRPC_RESPONSE)
		return -EPROTO;
	if (!bytes_has(in, TTRPC_HEADER_SIZE, len))
		return 0;

	*ret_frame = (struct ttrpc_frame){
		.type = type,
		.stream = bytes_be32(in, 4),
		.flags = bytes_u8(in, 9),
		.body = { in.at + TTRPC_HEADER_SIZE, len },
	};
	*ret_used = TTRPC_HEADER_SIZE + len;
	return 1;
}

static void skip(struct bytes *in, size_t len)
{
	in->at += len;
	in->len -= len;
}

static int read_varint(struct bytes *in, uint64_t *ret_value)
{
	uint64_t value = 0;
	uint8_t byte;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (in->len == 0)
			return -EPROTO;
		byte = bytes_u8(*in, 0);
		skip(in, 1);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret_value = value;
			return 0;
		}
	}
	return -EPROTO;
}

/* Takes a field off the head of in: 1; 0 at the end; -EPROTO. */
static int read_field(struct bytes *in, struct field *ret_field)
{
	struct field field = { 0 };
	uint64_t tag, len = 0;
	int r = 0;

	if (in->len == 0)
		return 0;
	if (read_varint(in, &tag) < 0)
		return -EPROTO;
	field.number = tag >> 3;
	field.wire = tag & 7;

	if (field.wire == WIRE_VARINT)
		r = read_varint(in, &field.value);
	else if (field.wire == WIRE_BYTES)
		r = read_varint(in, &len);
	else if (field.wire == WIRE_64BIT || field.wire == WIRE_32BIT)
		len = field.wire == WIRE_64BIT ? 8 : 4;
	else
		r = -EPROTO;
	if (r < 0 || !bytes_has(*in, 0, len))
		return -EPROTO;
	field.data = (struct bytes){ in->at, len };
	skip(in, len);
	*ret_field = field;
	return 1;
}

static bool is_bytes(const struct field *field, unsigned int number)
{
	return field->number == number && field->wire == WIRE_BYTES;
}

static bool is_varint(const struct field *field, unsigned int number)
{
	return field->number == number && field->wire == WIRE_VARINT;
}

int ttrpc_request_parse(struct bytes body, struct ttrpc_request *ret_request)
{
	struct ttrpc_request request = { 0 };
	struct field field;
	int r;

	while ((r = read_field(&body, &field)) > 0) {
		if (is_bytes(&field, REQUEST_SERVICE))
			request.service = field.data;
		else if (is_bytes(&field, REQUEST_METHOD))
			request.method = field.data;
		else if (is_bytes(&field, REQUEST_PAYLOAD))
			request.payload = field.data;
		else if (is_varint(&field, REQUEST_TIMEOUT_NANO))
			request.timeout_ns = (int64_t)field.value;
	}
	if (r == 0)
		*ret_request = request;
	return r;
}

static int parse_status(struct bytes body, struct ttrpc_response *response)
{
	struct field field;
	int r;

	while ((r = read_field(&body, &field)) > 0) {
		if (is_varint(&field, STATUS_CODE))
			response->code = (int32_t)field.value;
		else if (is_bytes(&field, STATUS_MESSAGE))
			response->message = field.data;
	}
	return r;
}

int ttrpc_response_parse(struct bytes body, struct ttrpc_response *ret_response)
{
	struct ttrpc_response response = { 0 };
	struct field field;
	int r;

	while ((r = read_field(&body, &field)) > 0) {
		if (is_bytes(&field, RESPONSE_STATUS) && parse_status(field.data, &response) < 0)
			return -EPROTO;
		if (is_bytes(&field, RESPONSE_PAYLOAD))
			response.payload = field.data;
	}
	if (r == 0)
		*ret_response = response;
	return r;
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;

	while (value >>= 7)
		size++;
	return size;
}

/* All field numbers here are below 16: tags are one byte. Empty fields are left out. */
static size_t bytes_field_size(size_t len)
{
	return len ? 1 + varint_size(len) + len : 0;
}

static size_t varint_field_size(uint64_t value)
{
	return value ? 1 + varint_size(value) : 0;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *put_varint_field(uint8_t *at, unsigned int number, uint64_t value)
{
	if (value == 0)
		return at;
	*at++ = (uint8_t)(number << 3 | WIRE_VARINT);
	return put_varint(at, value);
}

/* Tag and length; the caller puts len bytes after them. */
static uint8_t *put_bytes_head(uint8_t *at, unsigned int number, size_t len)
{
	if (len == 0)
		return at;
	*at++ = (uint8_t)(number << 3 | WIRE_BYTES);
	return put_varint(at, len);
}

static uint8_t *put_text(uint8_t *at, unsigned int number, const char *text)
{
	size_t len = strlen(text);

	at = put_bytes_head(at, number, len);
	memcpy(at, text, len);
	return at + len;
}

static uint8_t *put_message(uint8_t *at, unsigned int number, const ProtobufCMessage *message)
{
	size_t len = message ? protobuf_c_message_get_packed_size(message) : 0;

	at = put_bytes_head(at, number, len);
	return len ? at + protobuf_c_message_pack(message, at) : at;
}

static size_t message_field_size(const ProtobufCMessage *message)
{
	return message ? bytes_field_size(protobuf_c_message_get_packed_size(message)) : 0;
}

static uint8_t *put_be32(uint8_t *at, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (uint8_t)(value >> shift);
	return at;
}

/* Adds the header and room for the body, which the caller then fills from *ret_body on. */
static int add_frame(struct buf *out, enum ttrpc_type type, uint32_t stream, size_t body_size,
		     uint8_t **ret_body)
{
	uint8_t *at;
	int r;

	if (body_size > TTRPC_BODY_MAX)
		return -EMSGSIZE;
	r = buf_reserve(out, TTRPC_HEADER_SIZE + body_size);
	if (r < 0)
		return r;
	at = put_be32(out->at + out->len, (uint32_t)body_size);
	at = put_be32(at, stream);
	*at++ = (uint8_t)type;
	*at++ = 0;
	*ret_body = at;
	out->len += TTRPC_HEADER_SIZE + body_size;
	return 0;
}

int ttrpc_request_add(struct buf *out, uint32_t stream, const char *service, const char *method,
		      int64_t timeout_ns, const ProtobufCMessage *message)
{
	size_t size = bytes_field_size(strlen(service)) + bytes_field_size(strlen(method)) +
		      message_field_size(message) + varint_field_size((uint64_t)timeout_ns);
	uint8_t *at;
	int r;

	r = add_frame(out, TTRPC_REQUEST, stream, size, &at);
	if (r < 0)
		return r;
	at = put_text(at, REQUEST_SERVICE, service);
	at = put_text(at, REQUEST_METHOD, method);
	at = put_message(at, REQUEST_PAYLOAD, message);
	at = put_varint_field(at, REQUEST_TIMEOUT_NANO, (uint64_t)timeout_ns);
	assert(at == out->at + out->len);
	return 0;
}

int ttrpc_response_add(struct buf *out, uint32_t stream, const ProtobufCMessage *message)
{
	uint8_t *at;
	int r;

	r = add_frame(out, TTRPC_RESPONSE, stream, message_field_size(message), &at);
	if (r < 0)
		return r;
	at = put_message(at, RESPONSE_PAYLOAD, message);
	assert(at == out->at + out->len);
	return 0;
}

int ttrpc_status_add(struct buf *out, uint32_t stream, int32_t code, const char *message)
{
	/* protobuf sign-extends an int32 to 64 bits */
	uint64_t value = (uint64_t)(int64_t)code;
	size_t size = varint_field_size(value) + bytes_field_size(strlen(message));
	uint8_t *at;
	int r;

	r = add_frame(out, TTRPC_RESPONSE, stream, bytes_field_size(size), &at);
	if (r < 0)
		return r;
	at = put_bytes_head(at, RESPONSE_STATUS, size);
	at = put_varint_field(at, STATUS_CODE, value);
	at = put_text(at, STATUS_MESSAGE, message);
	assert(at == out->at + out->len);
	return 0;
}
