/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp - QEMU's monitor protocol: one JSON object a line, each way.
 *
 *	qmp_stream_feed(&stream, bytes);
 *	while ((r = qmp_stream_next(&stream, &message)) > 0) {
 *		...
 *		qmp_message_done(&message);
 *	}
 *
 * QEMU is treated as hostile: a guest may have taken it over.
 */
#ifndef WIRE_QMP_H
#define WIRE_QMP_H

#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/macro.h"

enum {
	QMP_LINE_MAX = 64 << 10, /* without its end, CR LF; what we ask for is far shorter */
	QMP_NAME_MAX = 63,	 /* of a command, an event */
	QMP_TEXT_MAX = 255,	 /* of an error's description: cut there */
};

enum qmp_kind {
	QMP_GREETING, /* the first line: negotiate now */
	QMP_RETURN,   /* id; data is what was returned */
	QMP_ERROR,    /* id; text says why */
	QMP_EVENT,    /* text is its name; data what came with it, an object or NULL */
};

struct qmp_message {
	enum qmp_kind kind;
	uint64_t id;		     /* 0: a message without, or with one not of our making */
	char text[QMP_TEXT_MAX + 1]; /* printable ASCII; other bytes are '?' */
	json_t *data;		     /* of whatever type was sent */
};

void qmp_message_done(struct qmp_message *message);
CLEANUP_FUNC(struct qmp_message, qmp_message_done)

/* One line, without its end. -EBADMSG: not JSON (keys twice too), or no message; -ENOMEM. */
int qmp_parse(struct bytes line, struct qmp_message *ret);

struct qmp_stream {
	struct buf buf;
	size_t done; /* bytes of it that were handed out */
	size_t seen; /* bytes behind those that have no line's end */
};

void qmp_stream_done(struct qmp_stream *stream);
CLEANUP_FUNC(struct qmp_stream, qmp_stream_done)

/* 0; -EMSGSIZE: an unfinished line longer than QMP_LINE_MAX; -ENOMEM. */
int qmp_stream_feed(struct qmp_stream *stream, struct bytes bytes);

/* 1 and a message; 0: none is whole yet; or as qmp_parse(), the line skipped. */
int qmp_stream_next(struct qmp_stream *stream, struct qmp_message *ret);

/*
 * Adds a command's line to *ret. take_arguments may be NULL: none. id is not 0. -EINVAL: a name
 * that is empty, too long or has more than letters, digits, '-' and '_'; -ENOMEM.
 */
int qmp_command(const char *name, uint64_t id, json_t *take_arguments, struct buf *ret);

#endif
