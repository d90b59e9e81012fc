// SPDX-License-Identifier: Apache-2.0
/*
 * plan_dump - what Casemate would start, so that a baseline can start the very same by hand.
 *
 *	plan_dump CASEMATE OUT IMAGE ACCEL CONFIG ROOT ARG...
 *
 * Asks `CASEMATE prepare` as a pod's shim does, and has the agent's own code write crun's
 * configuration for a root file system at ROOT. CONFIG is one KEY=VALUE. In the folder OUT go
 *
 *	fdN		what QEMU gets as descriptor N: kernel, firmware, base image
 *	config.json	crun's configuration
 *	plan.json	argv, which descriptors are which, and the layers
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"
#include "base/buf.h"
#include "base/macro.h"
#include "sys/sock.h"
#include "sys/spawn.h"
#include "wire/proto/casemate.pb-c.h"

enum {
	CHILD_FD = 3,
	RESULT_MAX = 1 << 20,
	HEX = 2,
};

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "plan_dump: %s\n", err->msg);
	exit(1);
}

static void check_sys(int r, const char *what)
{
	struct err err = { 0 };

	if (r < 0)
		check(err_sys(&err, "%s", what), &err);
}

static char *unconst(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(same));
	return same;
}

static Casemate__PrepareResult *ask(char *casemate, Casemate__Request *request, int *fds,
				    size_t *ret_count)
{
	Casemate__PrepareRequest prepare = CASEMATE__PREPARE_REQUEST__INIT;
	char *argv[] = { casemate, unconst("prepare"), NULL };
	CLEANUP(buf_done) struct buf payload = { 0 };
	Casemate__PrepareResult *result;
	struct err err = { 0 };
	uint8_t bytes[65536];
	int pair[2], pidfd;
	pid_t pid;

	prepare.request = request;
	prepare.pod = unconst("bench");
	prepare.container = unconst("main");
	prepare.with_vm = true;
	check_sys(sock_pair(SOCK_STREAM, pair), "make a socket");
	check(spawn_start(&(struct spawn_request){ .argv = argv,
						   .envp = environ,
						   .fds = &(struct spawn_fd){ pair[1], CHILD_FD },
						   .fd_count = 1,
						   .keep_caps = true },
			  &pid, &pidfd, &err),
	      &err);
	(void)close(pair[1]);
	check(casemate__prepare_request__get_packed_size(&prepare) > sizeof(bytes) ? -1 : 0, &err);
	check(sock_send_msg(pair[0],
			    (struct bytes){ bytes,
					    casemate__prepare_request__pack(&prepare, bytes) },
			    NULL, 0, &err),
	      &err);
	check(sock_recv_msg(pair[0], RESULT_MAX, &payload, fds, SOCK_FDS_MAX, ret_count, &err),
	      &err);
	result = casemate__prepare_result__unpack(NULL, payload.len, payload.at);
	if (!result)
		check(err_set(&err, -EPROTO, "read the answer of '%s prepare'", casemate), &err);
	if (result->failure)
		check(err_set(&err, -EIO, "%s", result->failure->text), &err);
	return result;
}

static void copy(int from_fd, int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	off_t at = 0;
	struct stat st;

	check_sys(fd, name);
	check_sys(fstat(from_fd, &st), name);
	while (at < st.st_size)
		check_sys((int)sendfile(fd, from_fd, &at, 1 << 24), name);
	check_sys(close(fd), name);
}

static json_t *layer_json(const Agent__Layer *layer, int fd)
{
	char link[64], path[4096], root[HEX * 64 + 1] = "";
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	check_sys((int)len, link);
	path[len] = '\0';
	for (size_t i = 0; i < layer->root.len && i < 64; i++)
		(void)snprintf(root + HEX * i, HEX + 1, "%02x", layer->root.data[i]);
	return json_pack("{s:s, s:s, s:I, s:I}", "path", path, "root", root, "data_blocks",
			 (json_int_t)layer->data_blocks, "hash_start",
			 (json_int_t)layer->hash_start);
}

static void write_plan(const Casemate__PrepareResult *result, const Agent__ContainerSpec *spec,
		       const int *fds, int out_fd)
{
	json_t *argv = json_array(), *layers = json_array(), *files = json_array(), *plan;
	const Casemate__Vm *vm = result->vm;
	char name[32];
	int fd;

	for (size_t i = 0; i < vm->n_argv; i++)
		(void)json_array_append_new(argv, json_string(vm->argv[i]));
	for (size_t i = 0; i < spec->n_layers; i++)
		(void)json_array_append_new(layers, layer_json(spec->layers[i], fds[i]));
	for (size_t i = 0; i < vm->n_targets; i++) {
		(void)snprintf(name, sizeof(name), "fd%u", vm->targets[i]);
		copy(fds[spec->n_layers + i], out_fd, name);
		(void)json_array_append_new(files, json_integer(vm->targets[i]));
	}
	plan = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "argv", argv, "layers", layers, "files",
			 files, "agent", (json_int_t)vm->agent_target, "qmp",
			 (json_int_t)vm->qmp_target, "console", (json_int_t)vm->console_target);
	fd = openat(out_fd, "plan.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	check_sys(plan && fd >= 0 ? json_dumpfd(plan, fd, JSON_INDENT(1)) : -1, "plan.json");
	json_decref(plan);
}

static void write_config(const Agent__ContainerSpec *spec, const char *root, int out_fd)
{
	const struct user user = { .home = "/root" };
	const struct config_container container = {
		.id = "main",
		.root = root,
		.process = { .spec = spec, .user = &user, .hostname = "bench" },
	};
	struct err err = { 0 };
	size_t len;
	char *text;
	int fd;

	check(config_create(&container, &text, &err), &err);
	len = strlen(text);
	fd = openat(out_fd, "config.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	check_sys(fd >= 0 && write(fd, text, len) == (ssize_t)len ? 0 : -1, "config.json");
	free(text);
}

int main(int argc, char **argv)
{
	Casemate__Request request = CASEMATE__REQUEST__INIT;
	int fds[SOCK_FDS_MAX], out_fd;
	Casemate__PrepareResult *result;
	Agent__ContainerSpec *spec;
	size_t count;

	if (argc < 8) {
		(void)fprintf(stderr,
			      "usage: plan_dump CASEMATE OUT IMAGE ACCEL CONFIG ROOT ARG...\n");
		return 2;
	}
	out_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check_sys(out_fd, argv[2]);
	request.image = argv[3];
	request.accel = argv[4];
	request.config = &argv[5];
	request.n_config = 1;
	request.user = unconst("0");
	request.args = &argv[7];
	request.n_args = (size_t)argc - 7;
	result = ask(argv[1], &request, fds, &count);
	spec = agent__container_spec__unpack(NULL, result->spec.len, result->spec.data);
	if (!spec || !result->vm || count != spec->n_layers + result->vm->n_targets) {
		(void)fprintf(stderr, "plan_dump: an answer of no use\n");
		return 1;
	}
	write_plan(result, spec, fds, out_fd);
	write_config(spec, argv[6], out_fd);
	return 0;
}
