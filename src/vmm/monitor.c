// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: operations wait in a queue; its head is at work. An operation goes through
 * phases, each a batch of commands sent together and then their replies, counted. Only one batch
 * is under way, since a descriptor sent to QEMU is taken by the next add-fd it looks at: two on
 * the way could be mixed up.
 *
 *	NEGOTIATE  qmp_capabilities                               -> done
 *	ADD        add-fd, blockdev-add, device_add, remove-fd    -> done, or UNDO
 *	UNDO       blockdev-del, if that was added                -> done, with ADD's error
 *	REMOVE     device_del                                     -> AWAIT
 *	AWAIT      no command, but the event DEVICE_DELETED       -> CLOSE
 *	CLOSE      blockdev-del                                   -> done
 *
 * QEMU greets first; NEGOTIATE is the queue's first from the start, and is sent then. remove-fd
 * takes the descriptor out of its set; the node has opened it by then and keeps what it opened. The
 * node of a disk is in use until DEVICE_DELETED: QEMU takes the device apart after its reply to
 * device_del.
 *
 * Callbacks may free the monitor: every way in from outside is between monitor_enter() and
 * monitor_leave(), monitor_free() leaves the memory to the last of them, and whatever follows a
 * callback looks at is_gone first, which is set by then.
 */
#include "vmm/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sys/sock.h"

enum {
	MONITOR_READ_MAX = 16 << 10, /* in one turn of the loop */
	MONITOR_DRAIN_MAX = 256 << 10,
};

enum monitor_phase {
	MONITOR_NEGOTIATE,
	MONITOR_ADD,
	MONITOR_UNDO,
	MONITOR_REMOVE,
	MONITOR_AWAIT,
	MONITOR_CLOSE,
};

/* The commands of ADD, in their order: bits of monitor_op.refused. */
enum { ADD_FD, ADD_BLOCKDEV, ADD_DEVICE, ADD_REMOVE_FD };

struct monitor_op {
	struct monitor_op *next;
	enum monitor_phase phase;
	bool is_begun;
	bool is_deleted; /* the event may come before the reply */
	uint16_t lun;
	char name[16]; /* of node and device: QEMU keeps the two apart */
	char serial[MONITOR_SERIAL_MAX + 1];
	int fd;		   /* to be sent with ADD, then -1 */
	uint64_t first_id; /* of the batch */
	uint64_t set;	   /* of descriptors, its own */
	unsigned int sent, answered, refused;
	int num; /* the first error, and QEMU's words for it */
	char text[QMP_TEXT_MAX + 1];
	monitor_reply_fn *fn;
	void *data;
};

struct monitor {
	struct loop *loop;
	const struct monitor_events *events;
	void *data;
	unsigned int depth;
	bool is_freed;
	bool is_gone;
	bool is_greeted;
	int fd; /* -1 once it is gone */
	struct loop_source *source;
	struct qmp_stream stream;
	struct buf out;
	uint64_t next_id;
	struct monitor_op *head, *tail;
	size_t waiting;
};

static void monitor_enter(struct monitor *monitor)
{
	monitor->depth++;
}

static void monitor_leave(struct monitor *monitor)
{
	if (--monitor->depth > 0 || !monitor->is_freed)
		return;
	qmp_stream_done(&monitor->stream);
	buf_done(&monitor->out);
	free(monitor);
}

/* --- the queue ------------------------------------------------------------------------------ */

static int monitor_push(struct monitor *monitor, const struct monitor_op *model)
{
	struct monitor_op *op = malloc(sizeof(*op));

	if (!op)
		return -ENOMEM;
	*op = *model;
	(void)snprintf(op->name, sizeof(op->name), "disk%u", op->lun);
	if (monitor->tail)
		monitor->tail->next = op;
	else
		monitor->head = op;
	monitor->tail = op;
	monitor->waiting++;
	return 0;
}

/* The head leaves the queue before its callback, which finds the queue as it will be. */
static void monitor_pop(struct monitor *monitor, int num, const char *text)
{
	struct monitor_op *op = monitor->head;

	monitor->head = op->next;
	if (!monitor->head)
		monitor->tail = NULL;
	monitor->waiting--;
	if (op->fd >= 0)
		(void)close(op->fd);
	if (op->fn)
		op->fn(op->data, num, text);
	free(op);
}

/* Ends the conversation; with is_gone set, what callbacks ask for meanwhile is refused. */
static void monitor_hang_up(struct monitor *monitor)
{
	monitor->is_gone = true;
	monitor->source = loop_source_free(monitor->source);
	if (monitor->fd >= 0)
		(void)close(monitor->fd);
	monitor->fd = -1;
}

static void monitor_fail_all(struct monitor *monitor, const char *text)
{
	while (monitor->head)
		monitor_pop(monitor, -EPIPE, text);
}

static void monitor_end(struct monitor *monitor, bool is_broken, const char *how)
{
	if (monitor->is_gone)
		return;
	monitor_hang_up(monitor);
	monitor->events->on_gone(monitor->data, is_broken, how);
	monitor_fail_all(monitor, how);
}

/* --- a batch out ---------------------------------------------------------------------------- */

static json_t *monitor_set_args(const struct monitor_op *op)
{
	return json_pack("{s:I}", "fdset-id", (json_int_t)op->set);
}

static json_t *monitor_blockdev_args(const struct monitor_op *op)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/dev/fdset/%llu", (unsigned long long)op->set);
	return json_pack("{s:s, s:s, s:b, s:b, s:{s:s, s:s, s:b, s:b, s:s}}", "driver", "raw",
			 "node-name", op->name, "read-only", 1, "auto-read-only", 0, "file",
			 "driver", "file", "filename", path, "read-only", 1, "auto-read-only", 0,
			 "locking", "off");
}

static json_t *monitor_device_args(const struct monitor_op *op)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:s}", "driver", "scsi-hd", "id",
			 op->name, "bus", "scsi.0", "channel", 0, "scsi-id", 0, "lun", (int)op->lun,
			 "drive", op->name, "serial", op->serial);
}

/* Arguments are json_pack()'s: NULL is for want of memory. r is that of the command before. */
static int monitor_command(struct monitor *monitor, int r, const char *name, json_t *take_args)
{
	struct monitor_op *op = monitor->head;

	if (r < 0 || !take_args) {
		json_decref(take_args);
		return r < 0 ? r : -ENOMEM;
	}
	r = qmp_command(name, monitor->next_id, take_args, &monitor->out);
	if (r < 0)
		return r;
	if (op->sent++ == 0)
		op->first_id = monitor->next_id;
	monitor->next_id++;
	return 0;
}

static int monitor_write_batch(struct monitor *monitor)
{
	struct monitor_op *op = monitor->head;
	int r = 0;

	switch (op->phase) {
	case MONITOR_NEGOTIATE:
		return monitor_command(monitor, 0, "qmp_capabilities", json_object());
	case MONITOR_ADD:
		op->set = MONITOR_SET_FIRST + monitor->next_id;
		r = monitor_command(monitor, r, "add-fd", monitor_set_args(op));
		r = monitor_command(monitor, r, "blockdev-add", monitor_blockdev_args(op));
		r = monitor_command(monitor, r, "device_add", monitor_device_args(op));
		return monitor_command(monitor, r, "remove-fd", monitor_set_args(op));
	case MONITOR_REMOVE:
		return monitor_command(monitor, r, "device_del",
				       json_pack("{s:s}", "id", op->name));
	case MONITOR_AWAIT:
		return 0;
	case MONITOR_UNDO:
	case MONITOR_CLOSE:
		break;
	}
	if (op->refused & 1u << ADD_BLOCKDEV)
		return 0;
	return monitor_command(monitor, r, "blockdev-del",
			       json_pack("{s:s}", "node-name", op->name));
}

/*
 * The descriptor goes with the batch's first byte: nothing else is in out when ADD begins. What
 * can't be sent now goes when there is room; that the socket broke is for its reader to see.
 */
static void monitor_flush(struct monitor *monitor)
{
	struct monitor_op *op = monitor->head;

	while (monitor->out.len) {
		int fd = op && op->is_begun && op->phase == MONITOR_ADD ? op->fd : -1;
		ssize_t n = sock_write_fd(monitor->fd, monitor->out.at, monitor->out.len, fd);

		if (n < 0)
			break;
		if (fd >= 0) {
			(void)close(op->fd);
			op->fd = -1;
		}
		buf_drop(&monitor->out, (size_t)n);
	}
	(void)loop_set(monitor->source, monitor->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* All of a batch goes out or nothing, so that what QEMU holds is known. */
static int monitor_begin(struct monitor *monitor, enum monitor_phase phase)
{
	struct monitor_op *op = monitor->head;
	const size_t before = monitor->out.len;
	int r;

	op->phase = phase;
	op->is_begun = true;
	op->sent = 0;
	op->answered = 0;
	r = monitor_write_batch(monitor);
	if (r < 0)
		monitor->out.len = before;
	else
		monitor_flush(monitor);
	return r;
}

/* --- replies in ----------------------------------------------------------------------------- */

/*
 * The head's batch is answered, or could not be sent (num): goes on to the next phase, or ends the
 * operation. A phase without a command is answered at once.
 */
static void monitor_finish_phase(struct monitor *monitor, int num)
{
	struct monitor_op *op = monitor->head;
	char text[sizeof(op->text)];
	int r = num;

	if (r == 0 && op->phase == MONITOR_ADD && op->num < 0) {
		r = monitor_begin(monitor, MONITOR_UNDO);
		if (r == 0 && op->sent > 0)
			return;
	}
	if (r == 0 && op->phase == MONITOR_REMOVE && op->num == 0)
		op->phase = MONITOR_AWAIT;
	if (r == 0 && op->phase == MONITOR_AWAIT) {
		if (op->is_deleted)
			r = monitor_begin(monitor, MONITOR_CLOSE);
		if (r == 0)
			return;
	}
	(void)snprintf(text, sizeof(text), "%s", op->num < 0 ? op->text : r < 0 ? "no memory" : "");
	r = op->num < 0 ? op->num : r;
	if (op->phase == MONITOR_NEGOTIATE && r < 0)
		monitor_end(monitor, true, "QEMU would not negotiate");
	else if (op->phase == MONITOR_NEGOTIATE)
		monitor->events->on_ready(monitor->data);
	if (!monitor->is_gone)
		monitor_pop(monitor, r, text);
}

/* Begins the head if it isn't at work, and the next if that one ends without QEMU. */
static void monitor_advance(struct monitor *monitor)
{
	while (!monitor->is_gone && monitor->is_greeted && monitor->head &&
	       !monitor->head->is_begun) {
		int r = monitor_begin(monitor, monitor->head->phase);

		if (r < 0)
			monitor_finish_phase(monitor, r);
	}
}

static void monitor_on_deleted(struct monitor *monitor, const struct qmp_message *message)
{
	struct monitor_op *op = monitor->head;
	const char *name = json_string_value(json_object_get(message->data, "device"));

	if (!op || !name || !op->is_begun || strcmp(name, op->name) != 0 ||
	    (op->phase != MONITOR_REMOVE && op->phase != MONITOR_AWAIT))
		return;
	op->is_deleted = true;
	if (op->phase == MONITOR_AWAIT)
		monitor_finish_phase(monitor, 0);
}

/* QEMU answers in order. A reply that nobody asked for is an attempt at confusion. */
static void monitor_on_reply(struct monitor *monitor, const struct qmp_message *message)
{
	struct monitor_op *op = monitor->head;

	if (!op || !op->is_begun || op->answered == op->sent ||
	    message->id != op->first_id + op->answered) {
		monitor_end(monitor, true, "QEMU answered what nobody had asked");
		return;
	}
	/* remove-fd is refused only if add-fd was. */
	if (message->kind == QMP_ERROR &&
	    !(op->phase == MONITOR_ADD && op->answered == ADD_REMOVE_FD)) {
		if (op->phase == MONITOR_ADD)
			op->refused |= 1u << op->answered;
		if (op->num == 0)
			(void)snprintf(op->text, sizeof(op->text), "%s", message->text);
		op->num = -EREMOTEIO;
	}
	if (++op->answered == op->sent)
		monitor_finish_phase(monitor, 0);
}

static void monitor_on_message(struct monitor *monitor, const struct qmp_message *message)
{
	switch (message->kind) {
	case QMP_GREETING:
		if (monitor->is_greeted)
			monitor_end(monitor, true, "QEMU greeted twice");
		monitor->is_greeted = true;
		break;
	case QMP_RETURN:
	case QMP_ERROR:
		monitor_on_reply(monitor, message);
		break;
	case QMP_EVENT:
		if (strcmp(message->text, "DEVICE_DELETED") == 0)
			monitor_on_deleted(monitor, message);
		else
			monitor->events->on_event(monitor->data, message);
		break;
	}
}

static void monitor_take(struct monitor *monitor, struct bytes bytes)
{
	struct qmp_message message;
	int r;

	r = qmp_stream_feed(&monitor->stream, bytes);
	while (r >= 0 && !monitor->is_gone &&
	       (r = qmp_stream_next(&monitor->stream, &message)) > 0) {
		monitor_on_message(monitor, &message);
		qmp_message_done(&message);
		monitor_advance(monitor);
	}
	if (r < 0)
		monitor_end(monitor, true,
			    r == -ENOMEM ? "no memory for what QEMU said"
					 : "QEMU said what is no QMP");
}

/* True if there may be more to read. */
static bool monitor_read(struct monitor *monitor)
{
	uint8_t piece[MONITOR_READ_MAX];
	ssize_t n = sock_read(monitor->fd, piece, sizeof(piece));

	if (n > 0)
		monitor_take(monitor, (struct bytes){ piece, (size_t)n });
	else if (n != -EAGAIN)
		monitor_end(monitor, false, "QEMU closed its monitor");
	return n > 0 && !monitor->is_gone;
}

static void monitor_on_socket(void *data, uint32_t events)
{
	struct monitor *monitor = data;

	monitor_enter(monitor);
	if (events & EPOLLOUT)
		monitor_flush(monitor);
	if (events & ~(uint32_t)EPOLLOUT)
		(void)monitor_read(monitor);
	monitor_advance(monitor);
	monitor_leave(monitor);
}

/* --- for the caller ------------------------------------------------------------------------- */

int monitor_new(struct loop *loop, int take_fd, const struct monitor_events *events, void *data,
		struct monitor **ret)
{
	struct monitor *monitor = malloc(sizeof(*monitor));
	int r = -ENOMEM;

	if (!monitor) {
		(void)close(take_fd);
		return r;
	}
	*monitor = (struct monitor){
		.loop = loop, .events = events, .data = data, .fd = take_fd, .next_id = 1
	};
	r = monitor_push(monitor, &(struct monitor_op){ .phase = MONITOR_NEGOTIATE, .fd = -1 });
	if (r == 0)
		r = sock_set_nonblock(take_fd);
	if (r == 0)
		r = loop_add(loop, take_fd, EPOLLIN, monitor_on_socket, monitor, &monitor->source);
	if (r < 0) {
		(void)monitor_free(monitor);
		return r;
	}
	*ret = monitor;
	return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
	if (!monitor || monitor->is_freed)
		return NULL;
	monitor_enter(monitor);
	monitor->is_freed = true;
	monitor_hang_up(monitor);
	monitor_fail_all(monitor, "QEMU was stopped");
	monitor_leave(monitor);
	return NULL;
}

void monitor_drain(struct monitor *monitor)
{
	monitor_enter(monitor);
	for (int i = 0; i < MONITOR_DRAIN_MAX / MONITOR_READ_MAX && !monitor->is_gone; i++) {
		if (!monitor_read(monitor))
			break;
	}
	monitor_end(monitor, false, "QEMU has ended");
	monitor_leave(monitor);
}

/* Nobody gets an answer before this returns: what can be sent at once is sent from the loop. */
static int monitor_request(struct monitor *monitor, const struct monitor_op *model)
{
	int r;

	if (monitor->is_gone)
		return -EPIPE;
	if (monitor->waiting >= MONITOR_WAITING_MAX)
		return -EAGAIN;
	r = monitor_push(monitor, model);
	if (r == 0 && monitor->head == monitor->tail)
		(void)loop_set(monitor->source, EPOLLIN | EPOLLOUT);
	return r;
}

static bool monitor_is_serial(const char *text)
{
	const size_t len = strlen(text);

	return len > 0 && len <= MONITOR_SERIAL_MAX &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
		       len;
}

int monitor_add_disk(struct monitor *monitor, int fd, uint16_t lun, const char *serial,
		     monitor_reply_fn *fn, void *data)
{
	struct monitor_op op = { .phase = MONITOR_ADD, .lun = lun, .fn = fn, .data = data };
	int r;

	if (lun > MONITOR_LUN_MAX || !monitor_is_serial(serial))
		return -EINVAL;
	(void)snprintf(op.serial, sizeof(op.serial), "%s", serial);
	op.fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (op.fd < 0)
		return -errno;
	r = monitor_request(monitor, &op);
	if (r < 0)
		(void)close(op.fd);
	return r;
}

int monitor_remove_disk(struct monitor *monitor, uint16_t lun, monitor_reply_fn *fn, void *data)
{
	const struct monitor_op op = {
		.phase = MONITOR_REMOVE, .lun = lun, .fd = -1, .fn = fn, .data = data
	};

	return lun > MONITOR_LUN_MAX ? -EINVAL : monitor_request(monitor, &op);
}
