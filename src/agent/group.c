// SPDX-License-Identifier: Apache-2.0
/* What of container.h is about the processes in a container's cgroup, whoever started them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/container.h"
#include "agent/process.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/file.h"

enum { COMMAND_MAX = 256, GROUP_FILE_MAX = 1 << 20 };

static int read_group(const struct container *c, const char *name, struct buf *ret)
{
	char path[SPEC_ID_MAX + 32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", c->id, name);
	r = file_read(c->table->cgroup_fd, path, GROUP_FILE_MAX, ret, NULL);
	return r < 0 ? r : buf_add(ret, "", 1);
}

int container_kill(struct container *c, int signal, struct err *err)
{
	CLEANUP(buf_done) struct buf pids = { 0 };
	cleanup_close int fd = -1;
	char path[SPEC_ID_MAX + 32], *next;
	int r;

	/* in one step, and with no limit on their number */
	if (signal == SIGKILL) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.kill", c->id);
		fd = openat(c->table->cgroup_fd, path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) < 0)
			return err_set(err, -ESRCH, "signal '%s': it has no processes", c->id);
		return 0;
	}
	r = read_group(c, "cgroup.procs", &pids);
	if (r < 0 || pids.len <= 1)
		return err_set(err, -ESRCH, "signal '%s': it has no processes", c->id);
	next = (char *)pids.at;
	for (const char *pid; (pid = strsep(&next, "\n"));)
		if (pid[0])
			(void)kill((pid_t)strtol(pid, NULL, 10), signal);
	return 0;
}

/* The command line as one line of ASCII, else a question mark. */
static char *read_command(const char *pid)
{
	char path[64], line[COMMAND_MAX];
	cleanup_close int fd = -1;
	ssize_t len = 0;

	(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		len = read(fd, line, sizeof(line) - 1);
	while (len > 0 && line[len - 1] == '\0')
		len--;
	for (ssize_t i = 0; i < len; i++)
		line[i] = line[i] == '\0' ? ' ' : line[i] < ' ' || line[i] > '~' ? '?' : line[i];
	if (len > 0) {
		line[len] = '\0';
		return strdup(line);
	}
	return strdup("?");
}

static const char *exec_id_of(const struct container *c, pid_t pid)
{
	for (const struct process *p = c->processes; p; p = p->next)
		if (p->state == PROCESS_RUNNING && p->pid == pid)
			return p->exec_id;
	return "";
}

static int add_listed(const struct container *c, const char *pid, Agent__ListResponse *response)
{
	Agent__ListedProcess *listed = malloc(sizeof(*listed));

	if (!listed)
		return -ENOMEM;
	agent__listed_process__init(listed);
	listed->pid = (uint32_t)strtoul(pid, NULL, 10);
	listed->exec_id = strdup(exec_id_of(c, (pid_t)listed->pid));
	/* with a TEE the host is told no more than it needs for signals and numbers */
	listed->command = c->table->gate ? strdup("?") : read_command(pid);
	response->processes[response->n_processes++] = listed;
	return listed->exec_id && listed->command ? 0 : -ENOMEM;
}

void container_list(const struct container *c, struct rpc_call *call)
{
	Agent__ListResponse *response = malloc(sizeof(*response));
	CLEANUP(buf_done) struct buf pids = { 0 };
	char *next;
	int r = -ENOMEM;

	if (response) {
		agent__list_response__init(response);
		response->processes = calloc(CONTAINER_PIDS_MAX, sizeof(*response->processes));
		/* a container that has ended may have no group any more: that is an empty list */
		r = !response->processes ? -ENOMEM : 0;
	}
	next = r == 0 && read_group(c, "cgroup.procs", &pids) == 0 ? (char *)pids.at : NULL;
	for (const char *pid; r == 0 && (pid = strsep(&next, "\n"));)
		if (pid[0] && response->n_processes < CONTAINER_PIDS_MAX)
			r = add_listed(c, pid, response);
	if (r == 0)
		rpc_call_reply(call, &response->base);
	else
		rpc_call_fail(call, RPC_INTERNAL, "list: no memory left");
	if (response)
		agent__list_response__free_unpacked(response, NULL);
}
