// SPDX-License-Identifier: Apache-2.0
#include "wire/qmp.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

void qmp_message_done(struct qmp_message *message)
{
	json_decref(message->data);
	message->data = NULL;
}

static void qmp_copy_text(struct qmp_message *message, const char *text)
{
	size_t i;

	for (i = 0; i < QMP_TEXT_MAX && text[i]; i++)
		message->text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	message->text[i] = '\0';
}

static bool qmp_is_name(const char *name)
{
	const size_t len = strlen(name);

	return len > 0 && len <= QMP_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
		       len;
}

static uint64_t qmp_id(const json_t *root)
{
	const json_t *id = json_object_get(root, "id");

	if (!json_is_integer(id) || json_integer_value(id) <= 0)
		return 0;
	return (uint64_t)json_integer_value(id);
}

static int qmp_parse_event(const json_t *root, const char *name, struct qmp_message *message)
{
	json_t *data = json_object_get(root, "data");

	if (!qmp_is_name(name) || (data && !json_is_object(data)))
		return -EBADMSG;
	message->kind = QMP_EVENT;
	qmp_copy_text(message, name);
	message->data = json_incref(data);
	return 0;
}

/* Exactly one of the four keys tells which kind of message it is. */
static int qmp_parse_root(const json_t *root, struct qmp_message *message)
{
	json_t *greeting = json_object_get(root, "QMP"), *result = json_object_get(root, "return");
	const json_t *event = json_object_get(root, "event");
	const json_t *error = json_object_get(root, "error"), *desc;

	if (!!greeting + !!result + !!event + !!error != 1)
		return -EBADMSG;
	if (event)
		return json_is_string(event)
			       ? qmp_parse_event(root, json_string_value(event), message)
			       : -EBADMSG;
	if (greeting) {
		message->kind = QMP_GREETING;
		return json_is_object(greeting) ? 0 : -EBADMSG;
	}
	message->id = qmp_id(root);
	if (result) {
		message->kind = QMP_RETURN;
		message->data = json_incref(result);
		return 0;
	}
	desc = json_object_get(error, "desc");
	if (!json_is_string(desc))
		return -EBADMSG;
	message->kind = QMP_ERROR;
	qmp_copy_text(message, json_string_value(desc));
	return 0;
}

int qmp_parse(struct bytes line, struct qmp_message *ret)
{
	struct qmp_message message = { 0 };
	json_error_t at;
	json_t *root;
	int r;

	root = json_loadb((const char *)line.at, line.len, JSON_REJECT_DUPLICATES, &at);
	if (!root)
		return json_error_code(&at) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	r = json_is_object(root) ? qmp_parse_root(root, &message) : -EBADMSG;
	json_decref(root);
	if (r == 0)
		*ret = message;
	return r;
}

void qmp_stream_done(struct qmp_stream *stream)
{
	buf_done(&stream->buf);
	*stream = (struct qmp_stream){ 0 };
}

int qmp_stream_feed(struct qmp_stream *stream, struct bytes bytes)
{
	const uint8_t *end = NULL;
	size_t unfinished;

	buf_drop(&stream->buf, stream->done);
	stream->done = 0;
	/* What is now whole is bounded by the caller's piece; what stays open is here, with its CR. */
	if (bytes.len)
		end = memrchr(bytes.at, '\n', bytes.len);
	unfinished = end ? bytes.len - (size_t)(end - bytes.at) - 1 : stream->buf.len + bytes.len;
	if (unfinished > QMP_LINE_MAX + 1)
		return -EMSGSIZE;
	return buf_add(&stream->buf, bytes.at, bytes.len);
}

/* Lines end with CR LF; an empty one says nothing. */
static bool qmp_stream_line(struct qmp_stream *stream, struct bytes *ret)
{
	while (stream->buf.len > stream->done) {
		const uint8_t *at = stream->buf.at + stream->done;
		const size_t left = stream->buf.len - stream->done;
		const uint8_t *end = NULL;

		if (left > stream->seen)
			end = memchr(at + stream->seen, '\n', left - stream->seen);
		if (!end) {
			stream->seen = left;
			return false;
		}
		stream->done += (size_t)(end - at) + 1;
		stream->seen = 0;
		if (end > at && end[-1] == '\r')
			end--;
		if (end > at) {
			*ret = (struct bytes){ at, (size_t)(end - at) };
			return true;
		}
	}
	return false;
}

int qmp_stream_next(struct qmp_stream *stream, struct qmp_message *ret)
{
	struct bytes line;
	int r;

	if (!qmp_stream_line(stream, &line))
		return 0;
	if (line.len > QMP_LINE_MAX)
		return -EMSGSIZE;
	r = qmp_parse(line, ret);
	return r < 0 ? r : 1;
}

static json_t *qmp_command_json(const char *name, uint64_t id, json_t *take_arguments)
{
	json_t *root = json_object();
	bool is_set;

	is_set = root && json_object_set_new(root, "execute", json_string(name)) == 0 &&
		 json_object_set_new(root, "id", json_integer((json_int_t)id)) == 0;
	if (!is_set) {
		json_decref(take_arguments);
	} else if (take_arguments) {
		is_set = json_object_set_new(root, "arguments", take_arguments) == 0;
	}
	if (is_set)
		return root;
	json_decref(root);
	return NULL;
}

int qmp_command(const char *name, uint64_t id, json_t *take_arguments, struct buf *ret)
{
	char *text;
	json_t *root;
	int r;

	assert(id > 0 && id <= INT64_MAX);
	if (!qmp_is_name(name)) {
		json_decref(take_arguments);
		return -EINVAL;
	}
	root = qmp_command_json(name, id, take_arguments);
	if (!root)
		return -ENOMEM;
	text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(root);
	if (!text)
		return -ENOMEM;
	r = buf_addf(ret, "%s\n", text);
	free(text);
	return r;
}
