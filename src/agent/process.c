// SPDX-License-Identifier: Apache-2.0
/*
 * How a start works. Pipes are made (or a socket for crun to send the terminal to), crun is
 * started with them as its streams, and the loop goes on. When crun has ended, its status says
 * whether the process runs; then its number is in a file, and it is the agent's child, since the
 * agent is a subreaper. It may even have ended: reaper.h.
 */
#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/command.h"
#include "agent/config.h"
#include "agent/secrets.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/sock.h"
#include "sys/tree.h"
#include "sys/tty.h"

static const Agent__Process *asked_for(const struct process *p)
{
	return p->request ? p->request->process : p->container->spec->process;
}

static int find_user(struct process *p, struct err *err)
{
	const Agent__Process *first = p->container->spec->process, *own = asked_for(p);
	CLEANUP(buf_done) struct buf passwd = { 0 };
	CLEANUP(buf_done) struct buf group = { 0 };
	int root_fd = p->container->root_fd, r;

	r = tree_read(root_fd, "/etc/passwd", USERS_FILE_MAX, &passwd, err);
	if (r == 0 || r == -ENOENT)
		r = tree_read(root_fd, "/etc/group", USERS_FILE_MAX, &group, err);
	if (r < 0 && r != -ENOENT)
		return r;
	return users_resolve(&p->arena, buf_bytes(&passwd), buf_bytes(&group),
			     own->user[0] ? own->user : first->user, &p->user, err);
}

int process_new(struct container *container, Agent__ExecRequest *take_request,
		struct process **ret_process, struct err *err)
{
	struct process *p = calloc(1, sizeof(*p));
	bool is_terminal;
	int r;

	if (!p) {
		if (take_request)
			agent__exec_request__free_unpacked(take_request, NULL);
		return err_num(err, -ENOMEM, "make a process");
	}
	p->container = container;
	p->request = take_request;
	p->tty_fd = p->listen_fd = -1;
	p->state = PROCESS_CREATED;
	if (take_request)
		(void)snprintf(p->exec_id, sizeof(p->exec_id), "%s", take_request->exec_id);
	is_terminal = asked_for(p)->terminal;
	output_init(&p->outputs[AGENT__STREAM__STDOUT], container->table->loop);
	output_init(&p->outputs[AGENT__STREAM__STDERR], container->table->loop);
	input_init(&p->input, container->table->loop, is_terminal);
	if (is_terminal)
		output_close(&p->outputs[AGENT__STREAM__STDERR]);
	r = find_user(p, err);
	if (r < 0) {
		(void)process_free(p);
		return r;
	}
	*ret_process = p;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void answer_waits(struct process *p)
{
	Agent__WaitResponse response = AGENT__WAIT_RESPONSE__INIT;

	response.status = p->status;
	response.exited_at_ns = p->ended_ns;
	while (p->wait_count > 0) {
		struct rpc_call *call = p->waits[--p->wait_count];

		if (p->ended_ns)
			rpc_call_reply(call, &response.base);
		else
			rpc_call_fail(call, RPC_FAILED_PRECONDITION, "wait: it was never started");
	}
}

struct process *process_free(struct process *p)
{
	if (!p)
		return NULL;
	reaper_forget(p->container->table->reaper, p);
	if (p->crun)
		reaper_unmark(p->container->table->reaper);
	p->crun = crun_free(p->crun);
	if (p->call)
		rpc_call_fail(p->call, RPC_UNAVAILABLE, "start: the container has gone");
	answer_waits(p);
	output_close(&p->outputs[0]);
	output_close(&p->outputs[1]);
	input_close(&p->input);
	close_fd(&p->tty_fd);
	close_fd(&p->listen_fd);
	if (p->request)
		agent__exec_request__free_unpacked(p->request, NULL);
	arena_done(&p->arena);
	free(p);
	return NULL;
}

static void on_process_end(void *data, uint32_t status)
{
	struct process *p = data;

	p->state = PROCESS_STOPPED;
	p->status = status;
	p->ended_ns = host_realtime_ns();
	answer_waits(p);
	input_close(&p->input);
	output_set_last(&p->outputs[0]);
	output_set_last(&p->outputs[1]);
}

/* Also the end of a start that never came to crun. */
static void fail_start(struct process *p, int32_t code, const char *said)
{
	struct rpc_call *call = p->call;

	p->call = NULL;
	p->state = PROCESS_STOPPED;
	close_fd(&p->listen_fd);
	close_fd(&p->tty_fd);
	output_close(&p->outputs[0]);
	output_close(&p->outputs[1]);
	input_close(&p->input);
	answer_waits(p);
	rpc_call_fail(call, code, said);
}

static int open_terminal(struct process *p, struct err *err)
{
	cleanup_close int out_fd = -1, in_fd = -1;
	int r;

	r = tty_receive(p->listen_fd, &p->tty_fd, err);
	if (r < 0)
		return r;
	/* one open file: so the loop can wait for both directions by descriptors of their own */
	out_fd = fcntl(p->tty_fd, F_DUPFD_CLOEXEC, 3);
	in_fd = fcntl(p->tty_fd, F_DUPFD_CLOEXEC, 3);
	if (out_fd < 0 || in_fd < 0 || sock_set_nonblock(p->tty_fd) < 0)
		return err_sys(err, "open the terminal");
	(void)tty_own(p->tty_fd, p->user.uid);
	if (p->width && p->height)
		(void)tty_resize(p->tty_fd, p->width, p->height);
	output_open(&p->outputs[AGENT__STREAM__STDOUT], steal_fd(&out_fd));
	input_open(&p->input, steal_fd(&in_fd));
	return 0;
}

static int read_pid(const struct process *p, pid_t *ret_pid, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char file[32];
	long pid;
	int r;

	(void)snprintf(file, sizeof(file), "%s.pid", p->name);
	r = file_read(p->container->dir_fd, file, 32, &text, err);
	if (r == 0)
		r = buf_add(&text, "", 1);
	if (r < 0)
		return r;
	pid = strtol((const char *)text.at, NULL, 10);
	if (pid <= 1)
		return err_set(err, -EBADMSG, "read '%s': no process", file);
	*ret_pid = (pid_t)pid;
	return 0;
}

/* The process runs, or has: from here on its end is what matters. */
static int adopt(struct process *p, struct err *err)
{
	Agent__StartResponse response = AGENT__START_RESPONSE__INIT;
	struct rpc_call *call = p->call;
	uint32_t status;
	int r;

	r = read_pid(p, &p->pid, err);
	if (r == 0 && p->listen_fd >= 0)
		r = open_terminal(p, err);
	if (r < 0)
		return r;
	r = reaper_expect(p->container->table->reaper, p->pid, p->mark, on_process_end, p, &status);
	if (r < 0)
		return err_num(err, r, "wait for the process");
	p->state = PROCESS_RUNNING;
	p->call = NULL;
	close_fd(&p->listen_fd);
	response.pid = (uint32_t)p->pid;
	rpc_call_reply(call, &response.base);
	if (r == 1)
		on_process_end(p, status);
	return 0;
}

/* It runs and can't be served. */
static void abandon(struct process *p, const struct err *err)
{
	if (p->pid > 0)
		(void)kill(p->pid, SIGKILL);
	fail_start(p, RPC_INTERNAL, err->msg);
}

static void remove_files(const struct process *p)
{
	static const char *const ends[] = { "json", "pid", "sock" };
	char file[32];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		(void)snprintf(file, sizeof(file), "%s.%s", p->name, ends[i]);
		(void)unlinkat(p->container->dir_fd, file, 0);
	}
}

static void on_crun(void *data, uint32_t status, const char *said)
{
	struct process *p = data;
	struct err err = { 0 };
	char message[512];
	int r = 0;

	p->crun = NULL;
	p->was_run = status == 0;
	if (p->was_run)
		r = adopt(p, &err);
	remove_files(p);
	reaper_unmark(p->container->table->reaper);
	if (!p->was_run) {
		(void)snprintf(message, sizeof(message), "run '%.128s': %.300s",
			       asked_for(p)->args[0], said[0] ? said : "crun said nothing");
		fail_start(p, crun_status_code(said), message);
	} else if (r < 0) {
		abandon(p, &err);
	}
}

static int make_pipe(int *ret_read_fd, int *ret_write_fd, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	*ret_read_fd = fds[0];
	*ret_write_fd = fds[1];
	return 0;
}

/* child_fds: what crun gets, the caller's to close; the other ends are the streams' at once. */
static int make_pipes(struct process *p, int child_fds[3], struct err *err)
{
	cleanup_close int in_fd = -1, out_fd = -1, err_fd = -1;
	int r = 0;

	/* input that is closed before the start is /dev/null, as if nobody had ever offered any */
	if (!p->input.is_closing || p->input.write_count > 0)
		r = make_pipe(&child_fds[0], &in_fd, err);
	if (r == 0)
		r = make_pipe(&out_fd, &child_fds[1], err);
	if (r == 0)
		r = make_pipe(&err_fd, &child_fds[2], err);
	if (r < 0)
		return r;
	/* more than the default only costs throughput if refused */
	(void)fcntl(out_fd, F_SETPIPE_SZ, STREAM_PIPE_SIZE);
	if (sock_set_nonblock(out_fd) < 0 || sock_set_nonblock(err_fd) < 0 ||
	    (in_fd >= 0 && sock_set_nonblock(in_fd) < 0))
		return err_sys(err, "set up pipes");
	if (in_fd >= 0)
		input_open(&p->input, steal_fd(&in_fd));
	else
		input_close(&p->input);
	output_open(&p->outputs[AGENT__STREAM__STDOUT], steal_fd(&out_fd));
	output_open(&p->outputs[AGENT__STREAM__STDERR], steal_fd(&err_fd));
	return 0;
}

/* config.json for the first process, NAME.json for others. */
static int write_config(const struct process *p, struct err *err)
{
	const struct container *c = p->container;
	struct config_container config = {
		.id = c->id,
		.devices = &c->devices,
		.process = {
			.spec = c->spec,
			.exec = p->request ? p->request->process : NULL,
			.user = &p->user,
			.hostname = c->hostname,
			.width = p->width,
			.height = p->height,
		},
	};
	cleanup_free char *text = NULL;
	char root[sizeof(c->dir) + sizeof(LAYERS_ROOT)], file[32];
	char secrets[sizeof(c->dir) + sizeof(SECRETS_DIR)];
	int r;

	(void)snprintf(root, sizeof(root), "%s/" LAYERS_ROOT, c->dir);
	config.root = root;
	(void)snprintf(secrets, sizeof(secrets), "%s/" SECRETS_DIR, c->dir);
	config.secrets = c->has_secrets ? secrets : NULL;
	(void)snprintf(file, sizeof(file), "%s.json", p->request ? p->name : "config");
	r = p->request ? config_exec(&config.process, &text, err)
		       : config_create(&config, &text, err);
	return r < 0 ? r : tree_write(c->dir_fd, file, text, 0600, err);
}

static int start_crun(struct process *p, const int child_fds[3], struct err *err)
{
	const struct container *c = p->container;
	const char *args[CRUN_ARGS_MAX] = { p->request ? "exec" : "run", "--detach" };
	char pid_arg[128], sock_arg[128], file_arg[128];
	struct crun_request request = {
		.reaper = c->table->reaper,
		.dir_fd = c->dir_fd,
		.dir = c->dir,
		.name = p->name,
		.args = args,
		.fn = on_crun,
		.data = p,
		.stdio_fds = { child_fds[0], child_fds[1], child_fds[2] },
	};
	size_t n = 2;

	(void)snprintf(pid_arg, sizeof(pid_arg), "--pid-file=%s/%s.pid", c->dir, p->name);
	(void)snprintf(sock_arg, sizeof(sock_arg), "--console-socket=%s/%s.sock", c->dir, p->name);
	if (p->request)
		(void)snprintf(file_arg, sizeof(file_arg), "--process=%s/%s.json", c->dir, p->name);
	else
		(void)snprintf(file_arg, sizeof(file_arg), "--bundle=%s", c->dir);
	args[n++] = pid_arg;
	args[n++] = file_arg;
	if (p->listen_fd >= 0)
		args[n++] = sock_arg;
	args[n++] = c->id;
	return crun_start(&request, &p->crun, err);
}

static int try_start(struct process *p, struct err *err)
{
	int child_fds[3] = { -1, -1, -1 };
	char sock[32];
	int r;

	(void)snprintf(p->name, sizeof(p->name), "p%u", p->container->next_name++);
	(void)snprintf(sock, sizeof(sock), "%s.sock", p->name);
	r = write_config(p, err);
	if (r == 0)
		r = asked_for(p)->terminal
			    ? sock_listen(p->container->dir_fd, sock, &p->listen_fd, err)
			    : make_pipes(p, child_fds, err);
	if (r == 0)
		r = start_crun(p, child_fds, err);
	for (int i = 0; i < 3; i++)
		close_fd(&child_fds[i]);
	return r;
}

/* An exec sees what has been mounted in the container since. */
static int check_command(const struct process *p, struct err *err)
{
	const struct config_process at = {
		.spec = p->container->spec,
		.exec = p->request ? p->request->process : NULL,
	};
	const struct command command = {
		.name = asked_for(p)->args[0],
		.cwd = config_cwd(&at),
		.path = config_path(&at),
	};
	cleanup_close int root_fd = -1;
	char root[32];

	if (!p->request)
		return command_check(p->container->root_fd, &command, err);
	(void)snprintf(root, sizeof(root), "/proc/%d/root",
		       (int)container_process(p->container, "")->pid);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root_fd < 0 ? 0 : command_check(root_fd, &command, err);
}

void process_start(struct process *p, struct rpc_call *call)
{
	struct container *c = p->container;
	const struct process *first = container_process(c, "");
	enum process_state next;
	struct err err = { 0 };
	int r;

	if (state_process_next(p->state, PROCESS_START, &next) < 0) {
		rpc_call_fail(call, RPC_ALREADY_EXISTS, "start: it was started before");
		return;
	}
	if (p != first && (!first || first->state != PROCESS_RUNNING)) {
		rpc_call_fail(call, RPC_UNAVAILABLE, "start: the container is not running");
		return;
	}
	p->state = next;
	p->call = call;
	r = check_command(p, &err);
	if (r < 0) {
		fail_start(p, r == -ENOENT ? RPC_NOT_FOUND : RPC_FAILED_PRECONDITION, err.msg);
		return;
	}
	p->mark = reaper_mark(c->table->reaper);
	if (try_start(p, &err) < 0) {
		reaper_unmark(c->table->reaper);
		remove_files(p);
		fail_start(p, RPC_INTERNAL, err.msg);
	}
}

void process_wait(struct process *p, struct rpc_call *call)
{
	if (p->wait_count == PROCESS_WAITS_MAX) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "wait: too many wait already");
		return;
	}
	p->waits[p->wait_count++] = call;
	if (p->state == PROCESS_STOPPED)
		answer_waits(p);
}

int process_signal(const struct process *p, int signal)
{
	enum process_state next;
	int r = state_process_next(p->state, PROCESS_SIGNAL, &next);

	/* not yet collected, so the number is still its own */
	if (r < 0)
		return r;
	return kill(p->pid, signal) < 0 ? -errno : 0;
}

int process_resize(struct process *p, uint16_t width, uint16_t height)
{
	if (!asked_for(p)->terminal)
		return -ENOTTY;
	p->width = width;
	p->height = height;
	return p->tty_fd >= 0 ? tty_resize(p->tty_fd, width, height) : 0;
}
