/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor - what QEMU is told to do, and what it tells, over its QMP socket.
 *
 * Operations are done one by one in the order of the calls; they may be asked for before QEMU has
 * greeted. Callbacks come from the loop, from monitor_drain() or, for what is still open, from
 * monitor_free(), and may call anything here, monitor_free() too.
 *
 * The other side may be in the hands of a guest: a reply to no command, a second greeting, a line
 * too long or no QMP at all ends the conversation.
 */
#ifndef VMM_MONITOR_H
#define VMM_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "sys/loop.h"
#include "wire/qmp.h"

enum {
	MONITOR_WAITING_MAX = 512, /* operations */
	MONITOR_SERIAL_MAX = 36,   /* what a guest sees of a SCSI disk's serial */
	MONITOR_LUN_MAX = 255,	   /* above, Linux misreads the event of an added disk */
	MONITOR_SET_FIRST = 1000,  /* of descriptors: the command line's own are below */
};

struct monitor;

struct monitor_events {
	void (*on_ready)(void *data); /* QEMU takes commands; once */
	void (*on_event)(void *data, const struct qmp_message *event);
	/*
	 * The socket was closed by QEMU, or (is_broken) here, since QEMU broke the protocol; once,
	 * before open operations are answered. how is for a person.
	 */
	void (*on_gone)(void *data, bool is_broken, const char *how);
};

/*
 * Exactly once for each operation that was taken: num is 0, or a negative errno and text says more.
 * -EREMOTEIO: QEMU refused, and nothing is left of the operation; text is QEMU's own; -EPIPE: QEMU
 * or its monitor is gone; -ENOMEM.
 */
typedef void monitor_reply_fn(void *data, int num, const char *text);

/* Negotiates by itself. events lives as long as the monitor. -ENOMEM, or what loop_add() says. */
int monitor_new(struct loop *loop, int take_fd, const struct monitor_events *events, void *data,
		struct monitor **ret);
struct monitor *monitor_free(struct monitor *monitor);
CLEANUP_PTR(struct monitor, monitor_free)

/*
 * Adds or removes a disk of the controller "scsi", channel 0, target 0. fd, a raw image for
 * reading, is duplicated. -EINVAL: lun or serial (letters, digits, '-', '_', '.'); -EAGAIN:
 * MONITOR_WAITING_MAX; -EPIPE: QEMU is gone; -EBADF, -EMFILE, -ENOMEM: then fn is not called.
 */
int monitor_add_disk(struct monitor *monitor, int fd, uint16_t lun, const char *serial,
		     monitor_reply_fn *fn, void *data);
int monitor_remove_disk(struct monitor *monitor, uint16_t lun, monitor_reply_fn *fn, void *data);

/* Takes in what has come already, and ends the conversation: for when QEMU has ended. */
void monitor_drain(struct monitor *monitor);

#endif
