// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: `casemate prepare` is started with one end of a socket as descriptor 3, reads
 * its request from it and writes one result to it, with the descriptors it opened. The child dies
 * with this process, and with the request: closing our end is what ends it early.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pod/pod_priv.h"
#include "sys/sock.h"
#include "sys/spawn.h"

enum {
	PREPARE_FD = 3,
	RESULT_MAX = 1 << 20,
	/* each layer, then kernel, firmware, base image, /dev/kvm and the choice of devices */
	RESULT_FDS = POD_MAX_LAYERS + 5,
};

struct pod_prepare {
	int fd;
	int pidfd;
	struct loop_source *source;
	pod_prepare_fn *done;
	void *data;
};

static void tell(struct pod_prepare *prepare, Casemate__PrepareResult *result, const int *fds,
		 size_t fd_count, const struct err *err)
{
	pod_prepare_fn *done = prepare->done;
	void *data = prepare->data;

	(void)pod_prepare_free(prepare);
	done(data, result, fds, fd_count, err);
}

static void answered(void *data, uint32_t events)
{
	struct pod_prepare *prepare = data;
	Casemate__PrepareResult *result = NULL;
	CLEANUP(buf_done) struct buf payload = { 0 };
	int fds[RESULT_FDS], status = 0, r;
	struct err err = { 0 };
	size_t fd_count = 0;

	(void)events;
	r = sock_recv_msg(prepare->fd, RESULT_MAX, &payload, fds, RESULT_FDS, &fd_count, &err);
	if (r >= 0) {
		result = casemate__prepare_result__unpack(NULL, payload.len, payload.at);
		if (!result)
			err_set(&err, -EPROTO, "read what the image child says: not a result");
	} else if (spawn_wait(prepare->pidfd, 1000, &status, NULL) >= 0) {
		err = (struct err){ 0 };
		err_set(&err, -ECHILD, "prepare the image: the child ended with status %d", status);
	}
	tell(prepare, result, fds, result ? fd_count : 0, result ? NULL : &err);
}

static int send_request(int fd, const Casemate__PrepareRequest *request, struct err *err)
{
	size_t len = casemate__prepare_request__get_packed_size(request);
	cleanup_free uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return err_num(err, -ENOMEM, "ask for the image");
	(void)casemate__prepare_request__pack(request, bytes);
	return sock_send_msg(fd, (struct bytes){ bytes, len }, NULL, 0, err);
}

int pod_prepare_start(struct loop *loop, const char *program,
		      const Casemate__PrepareRequest *request, pod_prepare_fn *done, void *data,
		      struct pod_prepare **ret, struct err *err)
{
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct pod_prepare *prepare;
	struct spawn_fd handed;
	int pair[2], r;
	pid_t pid;

	if (strv_add(&argv, program) < 0 || strv_add(&argv, "prepare") < 0)
		return err_num(err, -ENOMEM, "start '%s prepare'", program);
	prepare = calloc(1, sizeof(*prepare));
	if (!prepare)
		return err_num(err, -ENOMEM, "start '%s prepare'", program);
	prepare->pidfd = -1;
	prepare->done = done;
	prepare->data = data;
	r = sock_pair(SOCK_STREAM, pair);
	if (r < 0) {
		free(prepare);
		return err_num(err, r, "start '%s prepare'", program);
	}
	prepare->fd = pair[0];
	handed = (struct spawn_fd){ pair[1], PREPARE_FD };
	r = spawn_start(&(struct spawn_request){ .argv = argv.at,
						 .envp = environ,
						 .fds = &handed,
						 .fd_count = 1,
						 .die_with_parent = true,
						 .keep_caps = true },
			&pid, &prepare->pidfd, err);
	(void)close(pair[1]);
	if (r >= 0)
		r = send_request(prepare->fd, request, err);
	if (r >= 0)
		r = loop_add(loop, prepare->fd, EPOLLIN, answered, prepare, &prepare->source);
	if (r < 0) {
		(void)pod_prepare_free(prepare);
		return err_wrap(err, r, "start '%s prepare'", program);
	}
	*ret = prepare;
	return 0;
}

struct pod_prepare *pod_prepare_free(struct pod_prepare *prepare)
{
	if (!prepare)
		return NULL;
	(void)loop_source_free(prepare->source);
	if (prepare->fd >= 0)
		(void)close(prepare->fd);
	if (prepare->pidfd >= 0) {
		(void)spawn_kill(prepare->pidfd, SIGKILL);
		(void)spawn_wait(prepare->pidfd, 1000, &(int){ 0 }, NULL);
		(void)close(prepare->pidfd);
	}
	free(prepare);
	return NULL;
}
