// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/refusal.h"
#include "rpc/status.h"
#include "sys/file.h"
#include "sys/signals.h"
#include "sys/sock.h"

#define SHIM_HAS_ENDED "the pod's shim has ended"

static const int caught[] = { SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT, SIGUSR1,
			      SIGUSR2, SIGALRM, SIGCONT, SIGWINCH };

/* A FIFO of ours: both ends open here, so that neither side's open waits or fails. */
static int make_fifo(struct session *session, const char *name, char *ret_path, size_t size,
		     int *ret_fd, struct err *err)
{
	char below[64];
	int len;

	(void)snprintf(below, sizeof(below), "%s/%s", session->dir, name);
	len = snprintf(ret_path, size, "%s/pods/%s/%s", session->client->run_path,
		       session->client->pod, below);
	if (len < 0 || (size_t)len >= size)
		return err_set(err, -ENAMETOOLONG, "make '%s': the run directory's path is long",
			       below);
	if (mkfifoat(session->client->pod_fd, below, 0600) < 0)
		return err_sys(err, "make '%s'", ret_path);
	*ret_fd = openat(session->client->pod_fd, below,
			 O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? err_sys(err, "open '%s'", ret_path) : 0;
}

static int make_fifos(struct session *session, struct err *err)
{
	static unsigned int made;
	int r;

	(void)snprintf(session->dir, sizeof(session->dir), "io-%d-%u", (int)getpid(), made++);
	if (mkdirat(session->client->pod_fd, session->dir, 0700) < 0)
		return err_sys(err, "make '%s' in the run directory of pod '%s'", session->dir,
			       session->client->pod);
	r = make_fifo(session, "progress", session->progress, sizeof(session->progress),
		      &session->progress_fd, err);
	if (r < 0 || session->opts.detach)
		return r;
	r = make_fifo(session, "out", session->out, sizeof(session->out), &session->out_fd, err);
	if (r >= 0 && !session->opts.terminal)
		r = make_fifo(session, "err", session->err, sizeof(session->err), &session->err_fd,
			      err);
	if (r >= 0 && session->opts.interactive)
		r = make_fifo(session, "in", session->in, sizeof(session->in), &session->in_fd,
			      err);
	return r;
}

static void forget(void *data, const struct rpc_reply *reply)
{
	(void)data;
	(void)reply;
}

static void send_resize(struct session *session)
{
	Task__ResizePtyRequest request = TASK__RESIZE_PTY_REQUEST__INIT;
	struct winsize size;

	if (!session->opts.terminal || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	memcpy(&request.id, &session->id, sizeof(request.id));
	memcpy(&request.exec_id, &session->exec_id, sizeof(request.exec_id));
	request.width = size.ws_col;
	request.height = size.ws_row;
	(void)rpc_conn_call(session->client->conn, CLIENT_TASK, "ResizePty", 0, &request.base,
			    forget, NULL);
}

static void send_signal(struct session *session, uint32_t signal)
{
	Task__KillRequest request = TASK__KILL_REQUEST__INIT;

	memcpy(&request.id, &session->id, sizeof(request.id));
	memcpy(&request.exec_id, &session->exec_id, sizeof(request.exec_id));
	request.signal = signal;
	(void)rpc_conn_call(session->client->conn, CLIENT_TASK, "Kill", 0, &request.base, forget,
			    NULL);
}

static void on_signal(void *data, uint32_t events)
{
	struct session *session = data;
	int signal = signals_next(session->signal_fd);

	(void)events;
	if (signal < 0)
		return;
	if (signal == SIGWINCH)
		send_resize(session);
	else if (session->is_started)
		send_signal(session, (uint32_t)signal);
	else if (signal != SIGCONT)
		session->interrupted = signal;
}

static int catch_signals(struct session *session, struct err *err)
{
	int r = signals_watch(caught, ARRAY_SIZE(caught), &session->signal_fd, err);

	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	r = loop_add(session->client->loop, session->signal_fd, EPOLLIN, on_signal, session,
		     &session->signals);
	return r < 0 ? err_num(err, r, "watch for signals") : 0;
}

/*
 * Lines of the image child's: "note TEXT" is said, "progress TEXT" shown while it lasts, on a
 * terminal only.
 */
static void show_line(struct session *session, const char *line, size_t len)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t skip = strcspn(line, " ") + 1;

	if (skip > len ||
	    text_quote(&text, (struct bytes){ (const uint8_t *)line + skip, len - skip }) < 0)
		return;
	if (strncmp(line, "note ", 5) == 0) {
		cli_note("%.*s", (int)text.len, (const char *)text.at);
	} else if (isatty(STDERR_FILENO)) {
		(void)fprintf(stderr, "\r\033[K%.*s", (int)text.len, (const char *)text.at);
		(void)fflush(stderr);
		session->progress_shown = true;
	}
}

static void clear_progress(struct session *session)
{
	if (session->progress_shown)
		(void)fputs("\r\033[K", stderr);
	session->progress_shown = false;
}

static void on_progress(void *data, uint32_t events)
{
	struct session *session = data;
	char bytes[PIPE_BUF + 1], *line, *end;
	ssize_t n;

	(void)events;
	n = sock_read(session->progress_fd, bytes, PIPE_BUF);
	if (n <= 0)
		return;
	bytes[n] = '\0';
	for (line = bytes; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		show_line(session, line, (size_t)(end - line));
	}
}

int session_open(struct session *session, struct client *client, const char *id,
		 const char *exec_id, const struct session_opts *opts, struct err *err)
{
	int r;

	*session = (struct session){ .client = client,
				     .id = id,
				     .exec_id = exec_id,
				     .opts = *opts,
				     .in_fd = -1,
				     .out_fd = -1,
				     .err_fd = -1,
				     .progress_fd = -1,
				     .signal_fd = -1 };
	r = make_fifos(session, err);
	if (r >= 0)
		r = catch_signals(session, err);
	if (r >= 0)
		r = loop_add(client->loop, session->progress_fd, EPOLLIN, on_progress, session,
			     &session->progress_source);
	return r;
}

static void on_called(void *data, const struct rpc_reply *reply)
{
	struct session_called *called = data;

	called->done = true;
	called->num = reply->num == -EREMOTEIO ? rpc_status_errno(reply->code) : reply->num;
	if (reply->num == -EPIPE)
		(void)snprintf(called->text, sizeof(called->text), SHIM_HAS_ENDED);
	else
		(void)snprintf(called->text, sizeof(called->text), "%s", reply->message);
}

/* What it said, whole: the guest's console may follow the first line. */
static int report(const struct session_called *called, struct err *err)
{
	const char *rest = strchr(called->text, '\n');
	size_t first = rest ? (size_t)(rest - called->text) : strlen(called->text);

	char line[sizeof(called->text)];

	if (rest && err)
		cli_note("%s", rest + 1);
	(void)snprintf(line, sizeof(line), "%.*s", (int)first, called->text);
	/* what err holds, so that the code at its end is kept */
	refusal_rewrite(line, err ? sizeof(err->msg) : sizeof(line));
	return err_set(err, called->num, "%s", line);
}

static int not_asked(int num, struct err *err)
{
	return num == -EPIPE ? err_set(err, num, SHIM_HAS_ENDED)
			     : err_num(err, num, "ask the pod's shim");
}

int session_call(struct session *session, const char *method, const ProtobufCMessage *request,
		 struct err *err)
{
	struct session_called *called = &session->called;
	int r;

	called->done = false;
	r = rpc_conn_call(session->client->conn, CLIENT_TASK, method, 0, request, on_called,
			  called);
	if (r < 0)
		return not_asked(r, err);
	while (!called->done && !session->interrupted)
		if (loop_step(session->client->loop, -1) < 0)
			break;
	clear_progress(session);
	if (!called->done)
		return err_set(err, -EINTR, "ended by signal %d", session->interrupted);
	return called->num < 0 ? report(called, err) : 0;
}

static void on_over(void *data, struct pump *pump)
{
	struct session *session = data;
	int *fd = pump == session->pump_in    ? &session->in_fd
		  : pump == session->pump_out ? &session->out_fd
					      : &session->err_fd;

	/* the end of our input is the end of its: our end of the FIFO was the only one */
	(void)close(*fd);
	*fd = -1;
	/* who read our output has gone, and a program in a pipe ends then */
	if (pump->broken == -EPIPE && pump != session->pump_in)
		session->interrupted = SIGPIPE;
	else if (pump->broken < 0 && pump != session->pump_in)
		session->out_num = pump->broken;
}

/* The FIFO's write end was ours too, so that the shim could open it: now the end can be seen. */
static int reopen_to_read(struct session *session, const char *name, int *fd)
{
	char below[64];
	int read_fd;

	(void)snprintf(below, sizeof(below), "%s/%s", session->dir, name);
	read_fd = openat(session->client->pod_fd, below, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (read_fd < 0)
		return -errno;
	(void)close(*fd);
	*fd = read_fd;
	return 0;
}

static int start_pump(struct session *session, struct pump **ret, int from_fd, int to_fd)
{
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	return pump_start(*ret, session->client->loop, from_fd, to_fd, on_over, session);
}

static int start_pumps(struct session *session, struct err *err)
{
	int r = 0;

	if (session->out_fd >= 0)
		r = reopen_to_read(session, "out", &session->out_fd);
	if (r >= 0 && session->err_fd >= 0)
		r = reopen_to_read(session, "err", &session->err_fd);
	if (r >= 0 && session->out_fd >= 0)
		r = start_pump(session, &session->pump_out, session->out_fd, STDOUT_FILENO);
	if (r >= 0 && session->err_fd >= 0)
		r = start_pump(session, &session->pump_err, session->err_fd, STDERR_FILENO);
	if (r >= 0 && session->in_fd >= 0)
		r = start_pump(session, &session->pump_in, STDIN_FILENO, session->in_fd);
	return r < 0 ? err_num(err, r, "carry the container's streams") : 0;
}

static void go_raw(struct session *session)
{
	struct termios raw;

	if (!session->opts.terminal || tcgetattr(STDIN_FILENO, &session->old_termios) < 0)
		return;
	raw = session->old_termios;
	cfmakeraw(&raw);
	session->is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void on_waited(void *data, const struct rpc_reply *reply)
{
	struct session *session = data;
	Task__WaitResponse *response = NULL;
	struct session_called called = { 0 };

	session->has_ended = true;
	if (reply->num == 0)
		response = task__wait_response__unpack(NULL, reply->payload.len, reply->payload.at);
	if (response) {
		session->status = response->exit_status;
		task__wait_response__free_unpacked(response, NULL);
		return;
	}
	on_called(&called, reply);
	session->start_num = report(&called, session->failure);
}

static bool is_over(const struct session *session)
{
	return session->has_ended &&
	       (session->start_num < 0 || (session->out_fd < 0 && session->err_fd < 0));
}

/* Once the shim has opened the FIFOs nobody needs their names: a client that is killed leaves none. */
static void remove_names(struct session *session)
{
	if (session->dir[0] && session->client->pod_fd >= 0)
		(void)file_remove_tree(session->client->pod_fd, session->dir, NULL);
	session->dir[0] = '\0';
}

int session_run(struct session *session, uint32_t *ret_status, struct err *err)
{
	Task__StartRequest start = TASK__START_REQUEST__INIT;
	Task__WaitRequest wait = TASK__WAIT_REQUEST__INIT;
	int r;

	memcpy(&start.id, &session->id, sizeof(start.id));
	memcpy(&start.exec_id, &session->exec_id, sizeof(start.exec_id));
	wait.id = start.id;
	wait.exec_id = start.exec_id;
	r = start_pumps(session, err);
	if (r < 0)
		return r;
	remove_names(session);
	send_resize(session);
	session->was_asked = true;
	r = session_call(session, "Start", &start.base, err);
	if (r < 0 || session->opts.detach)
		return r;
	session->is_started = true;
	session->failure = err;
	go_raw(session);
	r = rpc_conn_call(session->client->conn, CLIENT_TASK, "Wait", 0, &wait.base, on_waited,
			  session);
	if (r < 0)
		return not_asked(r, err);
	while (!is_over(session)) {
		r = loop_step(session->client->loop, -1);
		if (r < 0)
			return err_num(err, r, "wait for the container");
		if (session->interrupted)
			return -EPIPE;
		if (session->out_num < 0)
			return err_num(err, session->out_num, "write the container's output");
	}
	*ret_status = session->status;
	return session->start_num;
}

static void free_pump(struct pump *pump)
{
	if (pump)
		pump_stop(pump);
	free(pump);
}

void session_done(struct session *session)
{
	const int fds[] = { session->in_fd, session->out_fd, session->err_fd, session->progress_fd,
			    session->signal_fd };

	clear_progress(session);
	if (session->is_raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &session->old_termios);
	free_pump(session->pump_in);
	free_pump(session->pump_out);
	free_pump(session->pump_err);
	(void)loop_source_free(session->signals);
	(void)loop_source_free(session->progress_source);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	remove_names(session);
}

int session_failed(const struct session *session, const char *command, int num,
		   const struct err *err)
{
	int status = CLI_RUN_FAILED;

	if (session->interrupted)
		status = 128 + session->interrupted;
	else if (session->was_asked && num == -ENOENT)
		status = CLI_NOT_FOUND;
	else if (session->was_asked && num == -EBUSY)
		status = CLI_NOT_EXECUTABLE;
	return session->interrupted == SIGPIPE ? status : cli_fail(command, err, status);
}
