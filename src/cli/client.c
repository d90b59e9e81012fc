// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lease/lease.h"
#include "lease/rundir.h"
#include "rpc/status.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/sock.h"
#include "sys/spawn.h"

enum {
	SHIM_OUTPUT_MAX = 8192,
	DESCRIBE_MS = 10000,
};

static void on_close(void *data, struct rpc_conn *conn)
{
	struct client *client = data;

	(void)conn;
	client->closed = true;
}

static int open_pod_dir(struct client *client, struct err *err)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "pods/%s", client->pod);
	return file_open_beneath(client->run_fd, path, O_RDONLY | O_DIRECTORY, &client->pod_fd,
				 err);
}

static int connect_shim(struct client *client, struct err *err)
{
	int fd, r;

	r = open_pod_dir(client, err);
	if (r < 0)
		return r;
	r = sock_connect(client->pod_fd, "shim.sock", &fd, err);
	if (r < 0)
		return r;
	client->journal_fd = lease_look(client->run_fd, client->pod);
	return rpc_conn_new(client->loop, fd,
			    &(struct rpc_conn_opts){ .data = client, .on_close = on_close },
			    &client->conn);
}

static int prepare(const struct config *config, const char *pod, struct client *client,
		   struct err *err)
{
	int r;

	*client = CLIENT_NONE;
	(void)snprintf(client->pod, sizeof(client->pod), "%s", pod);
	r = lease_run_dir_open(config_text(config, CONFIG_RUN_DIR), &client->run_fd,
			       &client->run_path, err);
	if (r < 0)
		return r;
	r = loop_new(&client->loop);
	return r < 0 ? err_num(err, r, "make the event loop") : 0;
}

int client_open(const struct config *config, const char *pod, struct client *ret, struct err *err)
{
	int r;

	r = prepare(config, pod, ret, err);
	if (r < 0)
		return r;
	r = connect_shim(ret, NULL);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_coded(err, ERR_NO_SUCH_POD, -ENOENT,
				 "there is no pod '%s': `casemate list` shows those there are",
				 pod);
	return r < 0 ? err_num(err, r, "connect to the shim of pod '%s'", pod) : 0;
}

static int read_all(int fd, struct buf *ret)
{
	char bytes[1024];
	ssize_t n;

	while (ret->len < SHIM_OUTPUT_MAX && (n = sock_read(fd, bytes, sizeof(bytes))) > 0)
		if (buf_add(ret, bytes, (size_t)n) < 0)
			return -ENOMEM;
	while (ret->len && ret->at[ret->len - 1] == '\n')
		ret->len--;
	return 0;
}

/* The shim goes if *ret_held_fd is closed before somebody has connected to it. */
static int run_shim(const struct client *client, int *ret_held_fd, struct err *err)
{
	char folder[3072], program[4096];
	char *argv[] = { program,    "-namespace", "casemate", "-id",	NULL,
			 "-run-dir", NULL,	   "-held",    "start", NULL };
	cleanup_close int out_fd = -1, in_fd = -1, pidfd = -1, held_fd = -1;
	CLEANUP(buf_done) struct buf said = { 0 };
	int pair[2], status, r;
	struct spawn_fd fds[3];
	pid_t pid;

	r = host_program_dir(folder, sizeof(folder), err);
	if (r < 0)
		return r;
	(void)snprintf(program, sizeof(program), "%s/containerd-shim-casemate-v2", folder);
	memcpy(&argv[4], &(const char *){ client->pod }, sizeof(argv[4]));
	argv[6] = client->run_path;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	in_fd = pair[0];
	out_fd = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	held_fd = pair[0];
	*ret_held_fd = pair[1];
	fds[0] = (struct spawn_fd){ held_fd, 0 };
	fds[1] = (struct spawn_fd){ out_fd, 1 };
	fds[2] = (struct spawn_fd){ out_fd, 2 };
	r = spawn_start(&(struct spawn_request){ .argv = argv,
						 .envp = environ,
						 .fds = fds,
						 .fd_count = ARRAY_SIZE(fds),
						 .keep_caps = true },
			&pid, &pidfd, err);
	if (r < 0)
		return err_wrap(err, r, "start the shim");
	(void)close(steal_fd(&out_fd));
	r = spawn_wait(pidfd, -1, &status, err);
	if (r < 0)
		return r;
	if (status == 0)
		return 0;
	r = read_all(in_fd, &said);
	return err_set(err, r < 0 ? r : -EIO, "%.*s", (int)said.len, (const char *)said.at);
}

int client_start(const struct config *config, const char *pod, struct client *ret, struct err *err)
{
	cleanup_close int held_fd = -1;
	int r;

	r = prepare(config, pod, ret, err);
	if (r < 0)
		return r;
	r = run_shim(ret, &held_fd, err);
	if (r < 0)
		return r;
	r = connect_shim(ret, err);
	return r < 0 ? err_wrap(err, r, "connect to the shim of pod '%s'", pod) : 0;
}

void client_done(struct client *client)
{
	(void)rpc_conn_free(client->conn);
	(void)loop_free(client->loop);
	if (client->pod_fd >= 0)
		(void)close(client->pod_fd);
	if (client->run_fd >= 0)
		(void)close(client->run_fd);
	if (client->journal_fd >= 0)
		(void)close(client->journal_fd);
	free(client->run_path);
	*client = CLIENT_NONE;
}

/* A shim that ends hangs up last, on those too who came while it was giving back what it held. */
static int answered(struct client *client, int r, struct err *err)
{
	/* it did between our last look and what was to be sent */
	if (r == -EPIPE)
		client->closed = true;
	if (r >= 0 || !client->closed)
		return r;
	return err_coded(err, ERR_NO_SUCH_POD, -ENOENT, "pod '%s' has just ended", client->pod);
}

int client_call(struct client *client, const char *method, const ProtobufCMessage *request,
		struct buf *ret_payload, struct err *err)
{
	CLEANUP(buf_done) struct buf unwanted = { 0 };
	int r;

	r = rpc_conn_wait(client->conn, CLIENT_TASK, method, 0, request,
			  ret_payload ? ret_payload : &unwanted, err);
	return answered(client, r, err);
}

int client_describe(struct client *client, Casemate__DescribeResponse **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf payload = { 0 };
	Casemate__DescribeRequest request = CASEMATE__DESCRIBE_REQUEST__INIT;
	int r;

	r = rpc_conn_wait(client->conn, CLIENT_POD, "Describe", DESCRIBE_MS, &request.base,
			  &payload, err);
	if (r < 0)
		return answered(client, r, err);
	*ret = casemate__describe_response__unpack(NULL, payload.len, payload.at);
	return *ret ? 0 : err_set(err, -EPROTO, "read what the shim says: not a description");
}

int client_gone(const struct client *client, struct err *err)
{
	if (!lease_is_held(client->journal_fd))
		return 0;
	return err_coded(err, ERR_HOST, -EIO,
			 "end pod '%s': it has ended, but not all that it held could be given "
			 "back: `casemate recover` says what, and tries again",
			 client->pod);
}

int client_shutdown(struct client *client, struct err *err)
{
	Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
	int r, step = 0;

	memcpy(&request.id, &(const char *){ client->pod }, sizeof(request.id));
	request.now = true;
	r = client_call(client, "Shutdown", &request.base, NULL, err);
	if (r < 0 && !client->closed)
		return r;
	/* each step of giving back has its limit; how many there are, the pod's devices say */
	while (!client->closed && step >= 0)
		step = loop_step(client->loop, -1);
	if (!client->closed)
		return err_num(err, step, "wait for the end of pod '%s'", client->pod);
	/* a shim that was killed has others to say so */
	return r < 0 ? 0 : client_gone(client, err);
}
