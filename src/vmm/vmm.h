/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm - a running QEMU: started by one spawn request, talked to by QMP, and seen to its end.
 *
 *	const struct vmm_opts opts = {
 *		.spawn = &request, .qmp_target = 8, .console_target = 9, .events = &events, .data = pod,
 *	};
 *	r = vmm_start(loop, &opts, &vmm, err);
 *	r = vmm_add_disk(vmm, layer_fd, 1, "layer1", added, pod);
 *	...
 *	vmm_stop(vmm);			on_exit follows from the loop
 *	vmm = vmm_free(vmm);
 *
 * With a secure processor QEMU is started by that (processor.h), and lives as long as the
 * connection to it does.
 *
 * No function waits for QEMU, apart from its start (until exec; with a processor until that has
 * measured and answered: some 100 ms, PROCESSOR_LAUNCH_MS at most).
 *
 * Operations are done one by one in the order of the calls, and may be given before QEMU answers at
 * all. Callbacks come from the loop or, for what is still open, from vmm_free(), and may call
 * anything here, vmm_free() too.
 *
 * The guest's console and QEMU's stderr are read as they come, a bounded piece each turn, and
 * only their ends are kept: a guest that floods neither blocks, nor costs memory, nor holds up
 * the loop.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "sys/loop.h"
#include "sys/spawn.h"
#include "vmm/monitor.h"
#include "vmm/processor.h"

enum {
	VMM_CONSOLE_KEPT = 16 << 10,
	VMM_STDERR_KEPT = 2 << 10,
	VMM_DETAIL_MAX = 63,
	VMM_LINGER_MS = 1000,  /* that QEMU may live without a monitor: it is at its end */
	VMM_STATUS_LOST = 255, /* somebody else has reaped QEMU, and does not tell */
	VMM_FREE_MS = 2000,    /* that vmm_free() waits for QEMU's end */
	VMM_STATUS_MS = 1000,  /* that the processor may take to tell how QEMU ended */
};

struct vmm;

/* What QEMU told by itself. */
enum vmm_event_kind {
	VMM_READY,	 /* QMP is there: QEMU is up (not the guest) */
	VMM_SHUTDOWN,	 /* detail: guest-shutdown, guest-reset, host-signal, ... */
	VMM_PANICKED,	 /* the guest's kernel said so; detail: what QEMU does then */
	VMM_PORT_OPENED, /* detail: the port's id; the guest opened or closed it */
	VMM_PORT_CLOSED,
	VMM_BROKEN, /* QEMU broke the protocol, and was killed; detail: how */
};

struct vmm_event {
	enum vmm_event_kind kind;
	const char *detail; /* printable; "" if nothing came with it; dies with the callback */
};

struct vmm_events {
	void (*on_event)(void *data, const struct vmm_event *event); /* may be NULL */
	/* Once, when QEMU has ended and was reaped: exit status, or 128 and the signal. */
	void (*on_exit)(void *data, int status);
};

/* Who starts QEMU, if it is not this process. */
struct vmm_processor {
	int fd;	    /* processor_connect()'s: the vmm's from now on, also on failure */
	int target; /* where QEMU wants the guest's port to the processor */
	struct bytes host_data;
};

struct vmm_opts {
	const struct spawn_request *spawn; /* borrowed until vmm_start() returns */
	int qmp_target;	    /* where QEMU wants its ends of QMP and console: the sockets are */
	int console_target; /* made here and added to the request's table, as is stderr */
	const struct vmm_processor *processor; /* NULL: none; borrowed as the request is */
	const struct vmm_events *events;       /* borrowed as long as the vmm lives */
	void *data;
};

/* Errors are those of spawn_start() or processor_launch(), sock_pair(), loop_add(), or -ENOMEM. */
int vmm_start(struct loop *loop, const struct vmm_opts *opts, struct vmm **ret, struct err *err);

/*
 * Kills QEMU if it lives, waits for its end (VMM_FREE_MS at most) and answers what is open; on_exit
 * is not called any more. NULL is fine; returns NULL.
 */
struct vmm *vmm_free(struct vmm *vmm);
CLEANUP_PTR(struct vmm, vmm_free)

/*
 * Adds fd, a read-only raw image, as LUN lun of target 0 of the controller "scsi"; a guest knows it
 * by its serial. fd is duplicated. Removes it again, once the guest has let go of it. Errors, and
 * when fn is called with what, are those of monitor_add_disk().
 *
 * Disks are added once the agent's port is open (VMM_PORT_OPENED): before that the guest's kernel
 * still looks for its base image as the first disk, and finds disks in no certain order.
 */
int vmm_add_disk(struct vmm *vmm, int fd, uint16_t lun, const char *serial, monitor_reply_fn *fn,
		 void *data);
int vmm_remove_disk(struct vmm *vmm, uint16_t lun, monitor_reply_fn *fn, void *data);

/* SIGKILL: nothing in a VM is worth saving. on_exit comes from the loop. */
void vmm_stop(struct vmm *vmm);

bool vmm_is_alive(const struct vmm *vmm);
/*
 * QEMU has hung up on its monitor, or broken its protocol: it ends, or is killed within
 * VMM_LINGER_MS. Its end is told once the kernel has taken its memory and devices apart.
 */
bool vmm_is_leaving(const struct vmm *vmm);
pid_t vmm_pid(const struct vmm *vmm); /* also after its end */
enum spawn_isolation vmm_isolation(const struct vmm *vmm);

/*
 * Adds the last lines, at most that many, of the guest's console or of QEMU's stderr to *ret, made
 * fit for a terminal as tail_text() says. 0 or -ENOMEM.
 */
int vmm_console_tail(const struct vmm *vmm, size_t lines, struct buf *ret);
int vmm_stderr_tail(const struct vmm *vmm, size_t lines, struct buf *ret);

#endif
