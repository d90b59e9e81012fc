// SPDX-License-Identifier: Apache-2.0
#include "agent/crun.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/child.h"
#include "sys/file.h"

#define CRUN_PATH "/usr/bin/crun"

struct crun {
	struct reaper *reaper;
	int dir_fd;
	char log[64];
	crun_fn *fn;
	void *data;
};

int32_t crun_status_code(const char *said)
{
	static const char *const not_executable[] = {
		"Permission denied", "Exec format error",	"Is a directory",
		"Not a directory",   "Operation not permitted", "Text file busy",
	};

	/* a working directory that is not there is no missing command */
	if (strstr(said, "chdir"))
		return RPC_FAILED_PRECONDITION;
	if (strstr(said, "not found") || strstr(said, "No such file or directory"))
		return RPC_NOT_FOUND;
	for (size_t i = 0; i < ARRAY_SIZE(not_executable); i++)
		if (strstr(said, not_executable[i]))
			return RPC_FAILED_PRECONDITION;
	return RPC_INTERNAL;
}

/* The log's last line without the time that crun puts before it. */
static void read_said(const struct crun *crun, char *ret, size_t size)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t start, len;

	ret[0] = '\0';
	if (file_read(crun->dir_fd, crun->log, CRUN_SAID_MAX, &text, NULL) < 0)
		return;
	(void)unlinkat(crun->dir_fd, crun->log, 0);
	len = text.len;
	while (len > 0 && text.at[len - 1] == '\n')
		len--;
	start = len;
	while (start > 0 && text.at[start - 1] != '\n')
		start--;
	(void)snprintf(ret, size, "%.*s", (int)(len - start), (const char *)text.at + start);
}

static const char *skip_time(const char *said)
{
	const char *after = said + strspn(said, "0123456789-T:.Z");

	return after > said + 10 ? after + strspn(after, " :") : said;
}

static void on_end(void *data, uint32_t status)
{
	struct crun *crun = data;
	char said[CRUN_SAID_MAX];
	crun_fn *fn = crun->fn;
	void *fn_data = crun->data;

	read_said(crun, said, sizeof(said));
	free(crun);
	fn(fn_data, status, skip_time(said));
}

static int start(const struct crun_request *request, const char *log, pid_t *ret_pid,
		 struct err *err)
{
	static const char *const global[] = { CRUN_PATH, "--cgroup-manager=cgroupfs",
					      "--root=/run/crun" };
	cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEANUP(strv_done) struct strv argv = { 0 };
	char *const envp[] = { NULL };
	int stdio_fds[3], r = 0;

	if (null_fd < 0)
		return err_sys(err, "open '/dev/null'");
	for (int i = 0; i < 3; i++)
		stdio_fds[i] = request->stdio_fds[i] < 0 ? null_fd : request->stdio_fds[i];
	for (size_t i = 0; i < ARRAY_SIZE(global) && r == 0; i++)
		r = strv_add(&argv, global[i]);
	if (r == 0)
		r = strv_addf(&argv, "--log=%s/%s", request->dir, log);
	for (size_t i = 0; request->args[i] && r == 0; i++)
		r = strv_add(&argv, request->args[i]);
	if (r < 0)
		return err_num(err, r, "start crun");
	child_set_oom_score(CRUN_OOM_CONTAINER);
	r = child_start(argv.at, envp, stdio_fds, ret_pid, err);
	child_set_oom_score(CRUN_OOM_SELF);
	return r;
}

int crun_start(const struct crun_request *request, struct crun **ret_crun, struct err *err)
{
	struct crun *crun = calloc(1, sizeof(*crun));
	uint32_t status;
	pid_t pid = -1;
	int r;

	if (!crun)
		return err_num(err, -ENOMEM, "start crun");
	crun->reaper = request->reaper;
	crun->dir_fd = request->dir_fd;
	crun->fn = request->fn;
	crun->data = request->data;
	(void)snprintf(crun->log, sizeof(crun->log), "%s.log", request->name);
	r = start(request, crun->log, &pid, err);
	if (r == 0) {
		/* its end is noticed by the loop, at the earliest: it can't have been yet */
		r = reaper_expect(crun->reaper, pid, UINT64_MAX, on_end, crun, &status);
		if (r < 0)
			err_num(err, r, "start crun");
	}
	if (r < 0) {
		free(crun);
		return r;
	}
	*ret_crun = crun;
	return 0;
}

struct crun *crun_free(struct crun *crun)
{
	if (crun)
		reaper_forget(crun->reaper, crun);
	free(crun);
	return NULL;
}
