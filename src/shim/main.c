// SPDX-License-Identifier: Apache-2.0
/*
 * containerd-shim-casemate-v2 -id NAME [-namespace NS] [-run-dir DIR] [-held] start
 *
 * Makes the pod's run directory and socket, leaves a process that serves them, and prints the
 * socket's address (containerd, runtime/v2/README.md, "start"). What goes wrong before that is on
 * stderr, one line, with status 1. With -held standard input is a pipe whose other end the starter
 * holds until it has connected: killed before that, it leaves nothing behind.
 *
 * How this works: the pod's client, if it is in the foreground, owns the pod by its connection.
 * shim_end() ends the VM; when it is gone, on_end() undoes the lease and the loop stops. A client
 * that waits for the connection to close then knows that nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lease/rundir.h"
#include "shim/shim.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/signals.h"
#include "sys/sock.h"

enum {
	NOBODY_CAME_MS = 30000,
	NOBODY_ASKED_MS = 2000, /* after one who came and asked for no container */
	MMAP_FROM = 128 << 10,
};

#define SOCKET_NAME "shim.sock"

struct args {
	const char *id;
	const char *run_dir;
	const char *program; /* casemate; NULL: beside this program */
	bool held;
};

void shim_end(struct shim *shim)
{
	shim->ending = true;
	pod_end(shim->pod);
}

static bool has_connections(const struct shim *shim)
{
	for (size_t i = 0; i < SHIM_CONNECTIONS; i++)
		if (shim->conns[i])
			return true;
	return false;
}

static void look(void *data)
{
	struct shim *shim = data;

	shim->idle = loop_source_free(shim->idle);
	if (pod_is_empty(shim->pod) && !has_connections(shim))
		shim_end(shim);
}

void shim_look(struct shim *shim)
{
	shim->idle = loop_source_free(shim->idle);
	(void)loop_timer(shim->loop, shim->was_asked ? 0 : NOBODY_ASKED_MS, look, shim,
			 &shim->idle);
}

static void on_pod_end(void *data)
{
	struct shim *shim = data;

	if (shim->ending || pod_is_removable(shim->pod))
		loop_stop(shim->loop);
	else
		shim_look(shim);
}

static void on_accept(void *data, uint32_t events);

static int watch_clients(struct shim *shim)
{
	return shim->accepting ? 0
			       : loop_add(shim->loop, shim->listen_fd, EPOLLIN, on_accept, shim,
					  &shim->accepting);
}

static void on_conn_close(void *data, struct rpc_conn *conn)
{
	struct shim *shim = data;

	for (size_t i = 0; i < SHIM_CONNECTIONS; i++)
		if (shim->conns[i] == conn)
			shim->conns[i] = NULL;
	(void)rpc_conn_free(conn);
	if (pod_owner_gone(shim->pod, conn))
		shim->ending = true;
	shim_look(shim);
	(void)watch_clients(shim);
}

/* Who comes when there is no room, or no descriptor, waits until somebody has gone. */
static void on_accept(void *data, uint32_t events)
{
	struct shim *shim = data;
	struct rpc_conn_opts opts = { .methods = shim_methods,
				      .method_count = shim_method_count,
				      .data = shim,
				      .on_close = on_conn_close };
	size_t i = 0;
	int fd, r;

	(void)events;
	while (i < SHIM_CONNECTIONS && shim->conns[i])
		i++;
	r = i < SHIM_CONNECTIONS ? sock_accept(shim->listen_fd, &fd) : -EMFILE;
	if (r == 0)
		(void)rpc_conn_new(shim->loop, fd, &opts, &shim->conns[i]);
	else if (r != -EAGAIN && has_connections(shim))
		shim->accepting = loop_source_free(shim->accepting);
}

/* It may have connected before: that one is not to be overlooked. */
static void on_starter_gone(void *data, uint32_t events)
{
	struct shim *shim = data;

	shim->starter = loop_source_free(shim->starter);
	(void)close(shim->starter_fd);
	shim->starter_fd = -1;
	on_accept(shim, events);
	if (!has_connections(shim))
		look(shim);
}

static void on_signal(void *data, uint32_t events)
{
	struct shim *shim = data;

	(void)events;
	if (signals_next(shim->signal_fd) > 0)
		shim_end(shim);
}

static int watch(struct shim *shim, struct err *err)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	int r = signals_watch(ends, ARRAY_SIZE(ends), &shim->signal_fd, err);

	if (r < 0)
		return r;
	r = loop_add(shim->loop, shim->signal_fd, EPOLLIN, on_signal, shim, &shim->signals);
	if (r >= 0)
		r = watch_clients(shim);
	if (r >= 0 && shim->starter_fd >= 0)
		r = loop_add(shim->loop, shim->starter_fd, EPOLLIN, on_starter_gone, shim,
			     &shim->starter);
	if (r >= 0)
		r = loop_timer(shim->loop, NOBODY_CAME_MS, look, shim, &shim->idle);
	return r < 0 ? err_num(err, r, "watch the socket") : 0;
}

static int serve(struct shim *shim, const struct args *args, uint64_t began_us, struct err *err)
{
	char folder[3072];
	int r;

	r = host_program_dir(folder, sizeof(folder), err);
	if (r < 0)
		return r;
	/* the process's own for good: the pod borrows it */
	if (asprintf(&shim->program, "%s/casemate", folder) < 0)
		return err_num(err, -ENOMEM, "serve");
	r = loop_new(&shim->loop);
	if (r < 0)
		return err_num(err, r, "make the event loop");
	r = pod_new(&(struct pod_opts){ .loop = shim->loop,
					.lease = shim->lease,
					.name = args->id,
					.program = args->program ? args->program : shim->program,
					.began_us = began_us,
					.on_end = on_pod_end,
					.data = shim },
		    &shim->pod, err);
	return r < 0 ? r : watch(shim, err);
}

/* The pod first: what it still has to say goes out on the connections. */
static void shut(struct shim *shim, struct err *err)
{
	(void)loop_source_free(shim->idle);
	(void)loop_source_free(shim->accepting);
	(void)loop_source_free(shim->signals);
	(void)loop_source_free(shim->starter);
	(void)pod_free(shim->pod);
	(void)lease_undo(shim->lease, err);
	for (size_t i = 0; i < SHIM_CONNECTIONS; i++)
		(void)rpc_conn_free(shim->conns[i]);
	(void)loop_free(shim->loop);
	(void)lease_free(shim->lease);
}

/* What dead pods left goes first: whoever next starts undoes it. */
static int take_lease(struct shim *shim, const struct args *args, char **ret_path, struct err *err)
{
	int r;

	r = lease_run_dir_open(args->run_dir, &shim->host.run_fd, ret_path, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/proc", &shim->host.proc_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/sys", &shim->host.sysfs_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/dev", &shim->host.dev_fd, err);
	if (r < 0)
		return r;
	(void)lease_recover(&shim->host, NULL, NULL, NULL);
	r = lease_open(&shim->host, args->id, &shim->lease, err);
	if (r < 0)
		return r;
	return sock_listen(lease_dir(shim->lease), SOCKET_NAME, &shim->listen_fd, err);
}

/* The server's half of the fork; the starter's has printed the address and gone. */
static int detach(void)
{
	cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || setsid() < 0 || chdir("/") < 0)
		return -errno;
	(void)prctl(PR_SET_NAME, "casemate-shim");
	for (int i = 0; i < 3; i++)
		if (dup2(null_fd, i) < 0)
			return -errno;
	return 0;
}

static int start(const struct args *args, struct err *err)
{
	struct shim shim = { .listen_fd = -1,
			     .signal_fd = -1,
			     .starter_fd = -1,
			     .host = {
				     .run_fd = -1, .proc_fd = -1, .sysfs_fd = -1, .dev_fd = -1 } };
	uint64_t began_us = host_boottime_us();
	cleanup_free char *path = NULL;
	pid_t pid;
	int r;

	r = take_lease(&shim, args, &path, err);
	if (r < 0) {
		if (shim.lease) {
			(void)lease_undo(shim.lease, NULL);
			(void)lease_free(shim.lease);
		}
		return r;
	}
	pid = fork();
	if (pid < 0)
		return err_sys(err, "fork");
	if (pid > 0) {
		/* all there is belongs to the other half now */
		(void)printf("unix://%s/pods/%s/" SOCKET_NAME "\n", path, args->id);
		_exit(fflush(stdout) != 0);
	}
	/* what a large message needed goes back when it is over */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
	host_raise_files();
	(void)signal(SIGPIPE, SIG_IGN);
	/* until it has left the client's terminal: there they are the client's */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	if (args->held)
		shim.starter_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	r = detach();
	if (r >= 0)
		r = serve(&shim, args, began_us, err);
	if (r >= 0)
		r = loop_run(shim.loop);
	shut(&shim, NULL);
	_exit(r < 0);
}

static int parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{ "id", required_argument, NULL, 'i' },
		{ "namespace", required_argument, NULL, 'n' },
		{ "address", required_argument, NULL, 'a' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "casemate", required_argument, NULL, 'c' },
		{ "held", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
		if (c == 'i')
			args->id = optarg;
		else if (c == 'r')
			args->run_dir = optarg;
		else if (c == 'c')
			args->program = optarg;
		else if (c == 'h')
			args->held = true;
		else if (c == '?')
			return -EINVAL;
	}
	if (!args->id || optind + 1 != argc || strcmp(argv[optind], "start") != 0)
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct args args = { .run_dir = "" };
	struct err err = { 0 };

	if (parse(argc, argv, &args) < 0) {
		(void)fputs("usage: containerd-shim-casemate-v2 -id NAME [-run-dir DIR] start\n",
			    stderr);
		return 2;
	}
	if (start(&args, &err) < 0) {
		(void)fprintf(stderr, "%s (%s)\n", err.msg, err_code_name(err.code));
		return 1;
	}
	return 0;
}
