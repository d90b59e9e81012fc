// SPDX-License-Identifier: Apache-2.0
#include "agent/prover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attest/reason.h"
#include "base/buf.h"
#include "base/macro.h"
#include "sys/child.h"
#include "sys/file.h"

#define PROVER_PATH "/usr/lib/casemate/prover"

struct prover {
	struct reaper *reaper;
	int sheet_fd;
	prover_fn *fn;
	void *data;
};

/* What has been on it does not stay in memory that will be somebody else's. */
static void wipe_sheet(int fd)
{
	static const uint8_t zeros[4096];
	struct stat st;

	if (fstat(fd, &st) == 0)
		for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros))
			(void)!pwrite(fd, zeros, sizeof(zeros), at);
	(void)close(fd);
}

static void wipe(void *at, size_t len)
{
	if (len > 0)
		explicit_bzero(at, len);
}

/* NULL: there is no answer on it. */
static Prover__Outcome *read_sheet(int fd)
{
	Prover__Outcome *outcome = NULL;
	uint8_t *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= PROVER_SHEET_MAX)
		text = malloc((size_t)st.st_size);
	if (!text)
		return NULL;
	while (len < (size_t)st.st_size && n > 0) {
		n = pread(fd, text + len, (size_t)st.st_size - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	}
	outcome = prover__outcome__unpack(NULL, len, text);
	wipe(text, (size_t)st.st_size);
	free(text);
	if (outcome && !outcome->is_whole) {
		prover__outcome__free_unpacked(outcome, NULL);
		outcome = NULL;
	}
	return outcome;
}

static void free_outcome(Prover__Outcome *outcome)
{
	for (size_t i = 0; i < outcome->n_secrets; i++)
		wipe(outcome->secrets[i].data, outcome->secrets[i].len);
	prover__outcome__free_unpacked(outcome, NULL);
}

/* It has ended in the middle of it, by a signal or an assertion: who asked is told that. */
static void set_unfinished(Prover__Outcome *ret, char *code, size_t code_size, char *text,
			   size_t text_size, uint32_t status)
{
	prover__outcome__init(ret);
	(void)snprintf(code, code_size, "%s", attest_reason_name(ATTEST_REPORT_UNAVAILABLE));
	(void)snprintf(text, text_size, "the guest's prover ended with status %u", status);
	ret->code = code;
	ret->text = text;
}

static void on_end(void *data, uint32_t status)
{
	struct prover *prover = data;
	Prover__Outcome *outcome = status == 0 ? read_sheet(prover->sheet_fd) : NULL, unfinished;
	prover_fn *fn = prover->fn;
	void *fn_data = prover->data;
	char code[48], text[96];

	wipe_sheet(prover->sheet_fd);
	free(prover);
	if (outcome) {
		fn(fn_data, outcome);
		free_outcome(outcome);
		return;
	}
	set_unfinished(&unfinished, code, sizeof(code), text, sizeof(text), status);
	fn(fn_data, &unfinished);
}

static int write_sheet(int run_fd, const Prover__Job *job, int *ret_fd, struct err *err)
{
	size_t len = prover__job__get_packed_size(job);
	cleanup_free uint8_t *text = malloc(len + 1);
	cleanup_close int fd = -1;
	int r;

	if (!text)
		return err_num(err, -ENOMEM, "ask the prover");
	(void)prover__job__pack(job, text);
	fd = openat(run_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "make a file for the prover");
	r = file_write_all(fd, (struct bytes){ text, len }, err);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static int start(const struct prover_request *request, int sheet_fd, pid_t *ret_pid,
		 struct err *err)
{
	cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), passed_fd = -1;
	int stdio_fds[3] = { request->in_fd, request->out_fd, STDERR_FILENO };
	char path[] = PROVER_PATH, argument[16];
	char *const argv[] = { path, argument, NULL };
	char *const envp[] = { NULL };

	if (null_fd < 0)
		return err_sys(err, "open '/dev/null'");
	for (int i = 0; i < 2; i++)
		if (stdio_fds[i] < 0)
			stdio_fds[i] = null_fd;
	/* the one descriptor that is to stay: nothing else is started before it is closed again */
	passed_fd = fcntl(sheet_fd, F_DUPFD, 3);
	if (passed_fd < 0)
		return err_sys(err, "pass a file to the prover");
	(void)snprintf(argument, sizeof(argument), "%d", passed_fd);
	return child_start(argv, envp, stdio_fds, ret_pid, err);
}

int prover_start(const struct prover_request *request, struct prover **ret_prover, struct err *err)
{
	struct prover *prover = calloc(1, sizeof(*prover));
	uint32_t status;
	pid_t pid = -1;
	int r;

	if (!prover)
		return err_num(err, -ENOMEM, "start the prover");
	*prover = (struct prover){ request->reaper, -1, request->fn, request->data };
	r = write_sheet(request->run_fd, request->job, &prover->sheet_fd, err);
	if (r == 0)
		r = start(request, prover->sheet_fd, &pid, err);
	if (r == 0) {
		/* its end is noticed by the loop, at the earliest: it can't have been yet */
		r = reaper_expect(prover->reaper, pid, UINT64_MAX, on_end, prover, &status);
		if (r < 0)
			err_num(err, r, "start the prover");
	}
	if (r < 0) {
		if (prover->sheet_fd >= 0)
			(void)close(prover->sheet_fd);
		free(prover);
		return r;
	}
	*ret_prover = prover;
	return 0;
}

struct prover *prover_free(struct prover *prover)
{
	if (!prover)
		return NULL;
	reaper_forget(prover->reaper, prover);
	(void)close(prover->sheet_fd);
	free(prover);
	return NULL;
}
