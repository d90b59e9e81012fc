// SPDX-License-Identifier: Apache-2.0
#include "vmm/processor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/sock.h"
#include "wire/proto/tee.pb-c.h"

enum { STATUS_MAX = 255 };

static int no_answer(int r)
{
	/* what a socket with a time limit says when that is over */
	if (r == -EAGAIN)
		return -ETIMEDOUT;
	return r == -ENODATA || r == -ECONNRESET ? -EPIPE : r;
}

int processor_connect(const char *path, int *ret_fd, struct err *err)
{
	cleanup_free char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	cleanup_close int folder_fd = -1;
	int r;

	if (!folder)
		return err_num(err, -ENOMEM, "connect to '%s'", path);
	if (path[0] != '/' || !slash[1])
		return err_set(err, -EINVAL, "connect to '%s': not an absolute path", path);
	*slash = '\0';
	r = file_open_dir(AT_FDCWD, slash == folder ? "/" : folder, &folder_fd, err);
	if (r < 0)
		return r;
	return sock_connect(folder_fd, slash + 1, ret_fd, err);
}

/* The caller frees the two lists; what they hold is spawn's. */
static int fill(const struct processor_launch *launch, Tee__LaunchRequest *request, int *fds)
{
	const struct spawn_request *spawn = launch->spawn;

	for (request->n_argv = 0; spawn->argv[request->n_argv];)
		request->n_argv++;
	request->targets = calloc(spawn->fd_count + 1, sizeof(request->targets[0]));
	request->argv = calloc(request->n_argv + 1, sizeof(request->argv[0]));
	for (request->n_nodes = 0; spawn->nodes && spawn->nodes[request->n_nodes];)
		request->n_nodes++;
	request->nodes = calloc(request->n_nodes + 1, sizeof(request->nodes[0]));
	if (!request->targets || !request->argv || !request->nodes)
		return -ENOMEM;
	memcpy(request->argv, spawn->argv, request->n_argv * sizeof(request->argv[0]));
	if (request->n_nodes)
		memcpy(request->nodes, spawn->nodes, request->n_nodes * sizeof(request->nodes[0]));
	for (size_t i = 0; i < spawn->fd_count; i++) {
		request->targets[request->n_targets++] = (uint32_t)spawn->fds[i].target;
		fds[i] = spawn->fds[i].fd;
	}
	request->tee_target = (uint32_t)launch->tee_target;
	request->host_data.len = launch->host_data.len;
	memcpy(&request->host_data.data, &launch->host_data.at, sizeof(launch->host_data.at));
	request->uid = spawn->set_ids ? spawn->uid : geteuid();
	request->gid = spawn->set_ids ? spawn->gid : getegid();
	request->memlock_bytes = spawn->limits.memlock_bytes;
	return 0;
}

static int send_request(int fd, const struct processor_launch *launch, struct err *err)
{
	Tee__LaunchRequest request = TEE__LAUNCH_REQUEST__INIT;
	cleanup_free uint8_t *packed = NULL;
	int fds[SPAWN_FDS_MAX], r;
	size_t len = 0;

	if (launch->spawn->fd_count > SPAWN_FDS_MAX)
		return err_set(err, -EINVAL, "ask the processor: %zu descriptors are too many",
			       launch->spawn->fd_count);
	r = fill(launch, &request, fds);
	if (r == 0) {
		len = tee__launch_request__get_packed_size(&request);
		packed = malloc(len);
		r = packed ? 0 : -ENOMEM;
	}
	if (r == 0)
		(void)tee__launch_request__pack(&request, packed);
	free(request.targets);
	free(request.argv);
	free(request.nodes);
	if (r < 0)
		return err_num(err, r, "ask the processor");
	r = sock_send_msg(fd, (struct bytes){ packed, len }, fds, launch->spawn->fd_count, err);
	return r < 0 ? err_wrap(err, no_answer(r), "ask the processor") : 0;
}

static int refused(const Tee__LaunchResponse *response, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int num = response->num < 0 && response->num > -4096 ? response->num : -EPROTO;

	if (text_quote(&text, (struct bytes){ (const uint8_t *)response->text,
					      strlen(response->text) }) < 0)
		return err_num(err, -ENOMEM, "read the processor's answer");
	return err_coded(err, (enum err_code)response->code, num, "%.*s", (int)text.len,
			 text.len ? (const char *)text.at : "");
}

static int read_answer(struct bytes text, int pidfd, struct processor_vm *ret, struct err *err)
{
	Tee__LaunchResponse *response = tee__launch_response__unpack(NULL, text.len, text.at);
	int r = 0;

	if (!response)
		return err_set(err, -EPROTO, "read the processor's answer: it is none");
	if (response->num != 0)
		r = refused(response, err);
	else if (pidfd < 0 || response->pid <= 0 || response->isolation > SPAWN_ROOT)
		r = err_set(err, -EPROTO, "read the processor's answer: it names no process");
	else
		*ret = (struct processor_vm){ .pid = response->pid,
					      .pidfd = pidfd,
					      .isolation =
						      (enum spawn_isolation)response->isolation };
	tee__launch_response__free_unpacked(response, NULL);
	return r;
}

int processor_launch(int fd, const struct processor_launch *launch, struct processor_vm *ret,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf answer = { 0 };
	cleanup_close int pidfd = -1;
	size_t fd_count = 0;
	int r;

	r = sock_set_timeout(fd, PROCESSOR_LAUNCH_MS);
	if (r < 0)
		return err_num(err, r, "limit the wait for the processor");
	r = send_request(fd, launch, err);
	/* one that has hung up may have said why */
	if (r < 0 && r != -EPIPE)
		return r;
	r = sock_recv_msg(fd, PROCESSOR_MESSAGE_MAX, &answer, &pidfd, 1, &fd_count, err);
	if (r < 0)
		return err_set(err, no_answer(r), "wait for the processor: %s",
			       no_answer(r) == -ETIMEDOUT ? "it doesn't answer" : "it hung up");
	r = read_answer(buf_bytes(&answer), pidfd, ret, err);
	if (r == 0)
		pidfd = -1;
	return r;
}

int processor_read_end(int fd, int *ret_status, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	Tee__LaunchEnd *end;
	int none[1], r;
	size_t fd_count;

	r = sock_recv_msg(fd, PROCESSOR_MESSAGE_MAX, &text, none, 0, &fd_count, err);
	if (r < 0)
		return no_answer(r);
	end = tee__launch_end__unpack(NULL, text.len, text.at);
	if (!end || end->status > STATUS_MAX)
		r = err_set(err, -EPROTO, "read the processor's message: it is no VM's end");
	else
		*ret_status = (int)end->status;
	if (end)
		tee__launch_end__free_unpacked(end, NULL);
	return r;
}
