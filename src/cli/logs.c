// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/sock.h"

enum { FOLLOW_MS = 100 };

static int copy(int from_fd)
{
	char bytes[65536];
	ssize_t n;

	while ((n = sock_read(from_fd, bytes, sizeof(bytes))) > 0)
		if (file_write_all(STDOUT_FILENO,
				   (struct bytes){ (const uint8_t *)bytes, (size_t)n }, NULL) < 0)
			return -EPIPE;
	return (int)n;
}

static int print_old(int pod_fd, const char *name)
{
	cleanup_close int fd = -1;

	if (file_open_beneath(pod_fd, name, O_RDONLY, &fd, NULL) < 0)
		return 0;
	return copy(fd);
}

static bool is_running(struct target *target)
{
	Task__StateRequest request = TASK__STATE_REQUEST__INIT;
	CLEANUP(buf_done) struct buf payload = { 0 };
	Task__StateResponse *state;
	bool running;

	request.id = target->name.container;
	if (client_call(&target->client, "State", &request.base, &payload, NULL) < 0)
		return false;
	state = task__state_response__unpack(NULL, payload.len, payload.at);
	running = state && state->status != TASK__STATUS__STOPPED;
	if (state)
		task__state_response__free_unpacked(state, NULL);
	return running;
}

/* The file that NAME means now is another one than the one open: it was begun anew. */
static bool was_replaced(int pod_fd, const char *name, int fd)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && fstatat(pod_fd, name, &named, 0) == 0 &&
	       open_file.st_ino != named.st_ino;
}

static int follow(struct target *target, const char *name, int *fd)
{
	bool last = false;
	int r;

	for (;;) {
		r = copy(*fd);
		if (r < 0)
			return r;
		if (was_replaced(target->client.pod_fd, name, *fd)) {
			(void)close(steal_fd(fd));
			r = file_open_beneath(target->client.pod_fd, name, O_RDONLY, fd, NULL);
			if (r < 0)
				return r;
			continue;
		}
		if (last)
			return 0;
		last = !is_running(target);
		if (!last)
			host_sleep_ms(FOLLOW_MS);
	}
}

static int logs(struct target *target, bool following, struct err *err)
{
	char name[TEXT_NAME_MAX + 8], old[TEXT_NAME_MAX + 12];
	cleanup_close int fd = -1;
	int r;

	(void)snprintf(name, sizeof(name), "%s.log", target->name.container);
	(void)snprintf(old, sizeof(old), "%s.log.1", target->name.container);
	r = file_open_beneath(target->client.pod_fd, name, O_RDONLY, &fd, NULL);
	if (r == -ENOENT)
		return err_coded(err, ERR_NO_SUCH_POD, r,
				 "'%s/%s' has no log: it is not there, or not detached",
				 target->name.pod, target->name.container);
	if (r < 0)
		return err_num(err, r, "open '%s'", name);
	r = print_old(target->client.pod_fd, old);
	if (r >= 0)
		r = following ? follow(target, name, &fd) : copy(fd);
	return r < 0 && r != -EPIPE ? err_num(err, r, "read '%s'", name) : 0;
}

int cli_logs_main(int argc, char **argv)
{
	CLEANUP(target_done) struct target target = { .client = { .run_fd = -1, .pod_fd = -1 } };
	CLEANUP(options_done) struct options options = { 0 };
	struct err err = { 0 };
	int r, status;

	if (!cli_parse(OPTIONS_LOGS, argc, argv, &options, &status))
		return status;
	if (options.word_count != 1)
		return cli_usage("logs", "one POD[/CONTAINER] is needed");
	r = target_open(&options, options.words[0], &target, &err);
	if (r >= 0)
		r = logs(&target, options.follow, &err);
	return r < 0 ? cli_fail("logs", &err, cli_status(&err)) : CLI_OK;
}
