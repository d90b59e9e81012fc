// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: three sockets and a pidfd in the loop. The pidfd alone says that QEMU has ended;
 * a monitor that is gone only starts a timer, after which QEMU is killed, and then ends by the
 * pidfd as well. At the end all that QEMU has written is read before on_exit is called.
 *
 * With a processor the pidfd is of a process that isn't our child: how it ended comes on the
 * connection, before or after the pidfd's event, and is waited for VMM_STATUS_MS. If the connection
 * ends otherwise, QEMU is killed: the processor does so too, if it lives.
 *
 * Callbacks may free the vmm: after one nothing of it is touched, but in vmm_on_exit(), which marks
 * itself by is_ending; then vmm_free() leaves the memory to it.
 */
#include "vmm/vmm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/sock.h"
#include "vmm/tail.h"

enum {
	VMM_READ_MAX = 16 << 10,   /* of one stream in one turn of the loop */
	VMM_DRAIN_MAX = 256 << 10, /* of what is left of it when QEMU has ended */
};

/* What QEMU, or the guest through it, writes and nobody answers. */
struct vmm_stream {
	int fd; /* -1 once it has ended */
	struct loop_source *source;
	struct tail tail;
};

struct vmm {
	struct loop *loop;
	const struct vmm_events *events;
	void *data;
	bool is_ending;
	bool is_freed;
	bool is_leaving; /* it has no monitor any more */
	pid_t pid;
	int pidfd; /* -1 once it was reaped */
	enum spawn_isolation isolation;
	struct loop_source *exit_source;
	struct loop_source *linger;
	int processor_fd; /* -1: none, or it has said how QEMU ended */
	struct loop_source *processor;
	int told_status; /* by the processor */
	struct monitor *monitor;
	struct vmm_stream console;
	struct vmm_stream dying; /* stderr */
};

/* --- console and stderr ----------------------------------------------------------------------- */

static void vmm_stream_close(struct vmm_stream *stream)
{
	stream->source = loop_source_free(stream->source);
	if (stream->fd >= 0)
		(void)close(stream->fd);
	stream->fd = -1;
}

/* True if there may be more to read. */
static bool vmm_stream_read(struct vmm_stream *stream)
{
	uint8_t piece[VMM_READ_MAX];
	ssize_t n = sock_read(stream->fd, piece, sizeof(piece));

	if (n > 0)
		tail_add(&stream->tail, (struct bytes){ piece, (size_t)n });
	else if (n != -EAGAIN)
		vmm_stream_close(stream);
	return n > 0;
}

static void vmm_on_stream(void *data, uint32_t events)
{
	(void)events;
	(void)vmm_stream_read(data);
}

static void vmm_stream_drain(struct vmm_stream *stream)
{
	for (int i = 0; i < VMM_DRAIN_MAX / VMM_READ_MAX && stream->fd >= 0; i++) {
		if (!vmm_stream_read(stream))
			break;
	}
	vmm_stream_close(stream);
}

/* --- monitor ---------------------------------------------------------------------------------- */

static void vmm_tell(struct vmm *vmm, enum vmm_event_kind kind, const char *detail)
{
	if (vmm->events->on_event)
		vmm->events->on_event(vmm->data, &(struct vmm_event){ kind, detail });
}

static void vmm_on_ready(void *data)
{
	vmm_tell(data, VMM_READY, "");
}

static void vmm_on_qmp_event(void *data, const struct qmp_message *event)
{
	static const struct {
		const char *name;
		enum vmm_event_kind kind;
		const char *key;
	} known[] = {
		{ "SHUTDOWN", VMM_SHUTDOWN, "reason" },
		{ "GUEST_PANICKED", VMM_PANICKED, "action" },
		{ "VSERPORT_CHANGE", VMM_PORT_OPENED, "id" },
	};
	char detail[VMM_DETAIL_MAX + 1] = "";

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *text = json_string_value(json_object_get(event->data, known[i].key));
		enum vmm_event_kind kind = known[i].kind;

		if (strcmp(event->text, known[i].name) != 0)
			continue;
		for (size_t at = 0; text && at < VMM_DETAIL_MAX && text[at]; at++)
			detail[at] = text[at] >= ' ' && text[at] <= '~' ? text[at] : '?';
		if (kind == VMM_PORT_OPENED && !json_is_true(json_object_get(event->data, "open")))
			kind = VMM_PORT_CLOSED;
		vmm_tell(data, kind, detail);
		return;
	}
}

static void vmm_on_linger(void *data)
{
	vmm_stop(data);
}

static void vmm_on_gone(void *data, bool is_broken, const char *how)
{
	struct vmm *vmm = data;

	vmm->is_leaving = true;
	if (is_broken) {
		vmm_stop(vmm);
		vmm_tell(vmm, VMM_BROKEN, how);
	} else if (vmm->pidfd >= 0 &&
		   loop_timer(vmm->loop, VMM_LINGER_MS, vmm_on_linger, vmm, &vmm->linger) < 0) {
		vmm_stop(vmm);
	}
}

static const struct monitor_events vmm_monitor_events = {
	.on_ready = vmm_on_ready,
	.on_event = vmm_on_qmp_event,
	.on_gone = vmm_on_gone,
};

/* --- end -------------------------------------------------------------------------------------- */

static void vmm_hang_up(struct vmm *vmm)
{
	vmm->processor = loop_source_free(vmm->processor);
	if (vmm->processor_fd >= 0)
		(void)close(vmm->processor_fd);
	vmm->processor_fd = -1;
}

static void vmm_forget_process(struct vmm *vmm)
{
	vmm->exit_source = loop_source_free(vmm->exit_source);
	vmm->linger = loop_source_free(vmm->linger);
	vmm_hang_up(vmm);
	if (vmm->pidfd >= 0)
		(void)close(vmm->pidfd);
	vmm->pidfd = -1;
}

static void vmm_finish(struct vmm *vmm, int status)
{
	vmm->is_ending = true;
	vmm_forget_process(vmm);
	vmm_stream_drain(&vmm->console);
	vmm_stream_drain(&vmm->dying);
	monitor_drain(vmm->monitor);
	if (!vmm->is_freed)
		vmm->events->on_exit(vmm->data, status);
	vmm->is_ending = false;
	if (vmm->is_freed)
		free(vmm);
}

static void vmm_on_untold(void *data)
{
	vmm_finish(data, VMM_STATUS_LOST);
}

/* QEMU has ended, and the processor has not yet said how. */
static void vmm_await_status(struct vmm *vmm)
{
	vmm->exit_source = loop_source_free(vmm->exit_source);
	vmm->linger = loop_source_free(vmm->linger);
	if (loop_timer(vmm->loop, VMM_STATUS_MS, vmm_on_untold, vmm, &vmm->linger) < 0)
		vmm_finish(vmm, VMM_STATUS_LOST);
}

static void vmm_on_exit(void *data, uint32_t events)
{
	struct vmm *vmm = data;
	int status = VMM_STATUS_LOST, r;

	(void)events;
	if (vmm->processor_fd >= 0) {
		vmm_await_status(vmm);
		return;
	}
	r = spawn_wait(vmm->pidfd, 0, &status, NULL);
	if (r < 0 && r != -ECHILD)
		return;
	vmm_finish(vmm, r == 0 ? status : vmm->told_status);
}

static void vmm_on_processor(void *data, uint32_t events)
{
	struct vmm *vmm = data;

	(void)events;
	if (processor_read_end(vmm->processor_fd, &vmm->told_status, NULL) < 0)
		vmm_stop(vmm);
	vmm_hang_up(vmm);
	if (!vmm->exit_source)
		vmm_finish(vmm, vmm->told_status);
}

struct vmm *vmm_free(struct vmm *vmm)
{
	int status;

	if (!vmm || vmm->is_freed)
		return NULL;
	vmm->is_freed = true;
	if (vmm->pidfd >= 0) {
		(void)spawn_kill(vmm->pidfd, SIGKILL);
		(void)spawn_wait(vmm->pidfd, VMM_FREE_MS, &status, NULL);
	}
	vmm_forget_process(vmm);
	vmm_stream_close(&vmm->console);
	vmm_stream_close(&vmm->dying);
	tail_done(&vmm->console.tail);
	tail_done(&vmm->dying.tail);
	vmm->monitor = monitor_free(vmm->monitor);
	if (!vmm->is_ending)
		free(vmm);
	return NULL;
}

void vmm_stop(struct vmm *vmm)
{
	if (vmm->pidfd >= 0)
		(void)spawn_kill(vmm->pidfd, SIGKILL);
}

/* --- start ------------------------------------------------------------------------------------ */

/* QEMU's ends of monitor, console and stderr, and ours of the first. */
struct vmm_ends {
	int far[3];
	int qmp_fd;
};

/* Our ends don't block; QEMU's are as QEMU likes. */
static int vmm_make_ends(struct vmm *vmm, struct vmm_ends *ends)
{
	int *const near[3] = { &ends->qmp_fd, &vmm->console.fd, &vmm->dying.fd };
	int pair[2], r = 0;

	for (int i = 0; r == 0 && i < 3; i++) {
		r = sock_pair(SOCK_STREAM, pair);
		if (r < 0)
			return r;
		*near[i] = pair[0];
		ends->far[i] = pair[1];
		r = sock_set_nonblock(pair[0]);
	}
	return r;
}

static int vmm_launch(struct vmm *vmm, const struct spawn_request *request,
		      const struct vmm_processor *processor, struct err *err)
{
	const struct processor_launch launch = {
		.spawn = request,
		.tee_target = processor->target,
		.host_data = processor->host_data,
	};
	struct processor_vm vm;
	int r = processor_launch(vmm->processor_fd, &launch, &vm, err);

	if (r < 0)
		return r;
	vmm->pid = vm.pid;
	vmm->pidfd = vm.pidfd;
	vmm->isolation = vm.isolation;
	return 0;
}

static int vmm_spawn(struct vmm *vmm, const struct vmm_opts *opts, const int far[3],
		     struct err *err)
{
	const int targets[3] = { opts->qmp_target, opts->console_target, STDERR_FILENO };
	struct spawn_request request = *opts->spawn;
	struct spawn_fd fds[SPAWN_FDS_MAX];
	int r;

	if (request.fd_count + ARRAY_SIZE(targets) > SPAWN_FDS_MAX)
		return err_set(err, -EINVAL, "start QEMU: %zu descriptors are too many",
			       request.fd_count);
	if (request.fd_count)
		memcpy(fds, request.fds, request.fd_count * sizeof(fds[0]));
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		fds[request.fd_count++] = (struct spawn_fd){ far[i], targets[i] };
	request.fds = fds;
	request.ret_isolation = &vmm->isolation;
	r = opts->processor ? vmm_launch(vmm, &request, opts->processor, err)
			    : spawn_start(&request, &vmm->pid, &vmm->pidfd, err);
	if (r == 0 && opts->spawn->ret_isolation)
		*opts->spawn->ret_isolation = vmm->isolation;
	return r;
}

static int vmm_watch(struct vmm *vmm, int *take_qmp_fd, struct err *err)
{
	int r;

	r = monitor_new(vmm->loop, steal_fd(take_qmp_fd), &vmm_monitor_events, vmm, &vmm->monitor);
	if (r == 0)
		r = loop_add(vmm->loop, vmm->pidfd, EPOLLIN, vmm_on_exit, vmm, &vmm->exit_source);
	if (r == 0 && vmm->processor_fd >= 0)
		r = loop_add(vmm->loop, vmm->processor_fd, EPOLLIN, vmm_on_processor, vmm,
			     &vmm->processor);
	if (r == 0)
		r = loop_add(vmm->loop, vmm->console.fd, EPOLLIN, vmm_on_stream, &vmm->console,
			     &vmm->console.source);
	if (r == 0)
		r = loop_add(vmm->loop, vmm->dying.fd, EPOLLIN, vmm_on_stream, &vmm->dying,
			     &vmm->dying.source);
	return r < 0 ? err_num(err, r, "watch QEMU") : 0;
}

static int vmm_init(struct vmm *vmm, struct vmm_ends *ends)
{
	int r;

	r = tail_init(&vmm->console.tail, VMM_CONSOLE_KEPT);
	if (r == 0)
		r = tail_init(&vmm->dying.tail, VMM_STDERR_KEPT);
	return r < 0 ? r : vmm_make_ends(vmm, ends);
}

int vmm_start(struct loop *loop, const struct vmm_opts *opts, struct vmm **ret, struct err *err)
{
	CLEANUP(vmm_free) struct vmm *vmm = malloc(sizeof(*vmm));
	struct vmm_ends ends = { .far = { -1, -1, -1 }, .qmp_fd = -1 };
	int r;

	if (!vmm) {
		if (opts->processor)
			(void)close(opts->processor->fd);
		return err_num(err, -ENOMEM, "start QEMU");
	}
	*vmm = (struct vmm){ .loop = loop,
			     .events = opts->events,
			     .data = opts->data,
			     .pidfd = -1,
			     .processor_fd = opts->processor ? opts->processor->fd : -1,
			     .told_status = VMM_STATUS_LOST,
			     .console.fd = -1,
			     .dying.fd = -1 };
	r = vmm_init(vmm, &ends);
	if (r < 0)
		(void)err_num(err, r, "start QEMU");
	else
		r = vmm_spawn(vmm, opts, ends.far, err);
	for (size_t i = 0; i < ARRAY_SIZE(ends.far); i++) {
		if (ends.far[i] >= 0)
			(void)close(ends.far[i]);
	}
	if (r == 0)
		r = vmm_watch(vmm, &ends.qmp_fd, err);
	if (ends.qmp_fd >= 0)
		(void)close(ends.qmp_fd);
	if (r < 0)
		return r;
	*ret = steal_ptr(&vmm);
	return 0;
}

/* --- what callers ask for --------------------------------------------------------------------- */

int vmm_add_disk(struct vmm *vmm, int fd, uint16_t lun, const char *serial, monitor_reply_fn *fn,
		 void *data)
{
	return monitor_add_disk(vmm->monitor, fd, lun, serial, fn, data);
}

int vmm_remove_disk(struct vmm *vmm, uint16_t lun, monitor_reply_fn *fn, void *data)
{
	return monitor_remove_disk(vmm->monitor, lun, fn, data);
}

bool vmm_is_alive(const struct vmm *vmm)
{
	return vmm->pidfd >= 0;
}

bool vmm_is_leaving(const struct vmm *vmm)
{
	return vmm->is_leaving;
}

pid_t vmm_pid(const struct vmm *vmm)
{
	return vmm->pid;
}

enum spawn_isolation vmm_isolation(const struct vmm *vmm)
{
	return vmm->isolation;
}

int vmm_console_tail(const struct vmm *vmm, size_t lines, struct buf *ret)
{
	return tail_text(&vmm->console.tail, lines, ret);
}

int vmm_stderr_tail(const struct vmm *vmm, size_t lines, struct buf *ret)
{
	return tail_text(&vmm->dying.tail, lines, ret);
}
