/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crun - one run of crun beside the loop: started, and heard of again when it has ended.
 *
 * crun ends when the process it was asked to start has been exec'd, or couldn't be. What it has
 * to say about that it writes to a log, since its standard streams are the container's.
 */
#ifndef AGENT_CRUN_H
#define AGENT_CRUN_H

#include <stdint.h>

#include "agent/reaper.h"
#include "base/err.h"

enum {
	CRUN_ARGS_MAX = 16,
	CRUN_SAID_MAX = 4096,
	/* When memory runs out, it's a container's turn, never the agent's. */
	CRUN_OOM_SELF = -1000,
	CRUN_OOM_CONTAINER = 0,
};

/* status: crun's own; said: its last words, "" if it has none. */
typedef void crun_fn(void *data, uint32_t status, const char *said);

struct crun;

/* args: what comes after crun's global options; they end with NULL. */
struct crun_request {
	struct reaper *reaper;
	int dir_fd;	  /* where the log is put; stays the caller's and open */
	const char *dir;  /* and its path */
	const char *name; /* the log is NAME.log there, and goes when it was read */
	const char *const *args;
	int stdio_fds[3]; /* -1: /dev/null */
	crun_fn *fn;
	void *data;
};

/* *ret_crun lives until fn was called, or until crun_free(), after which it never is. */
int crun_start(const struct crun_request *request, struct crun **ret_crun, struct err *err);
struct crun *crun_free(struct crun *crun);

/*
 * What crun's words mean to who asked for a command: RPC_NOT_FOUND, there is none of that name;
 * RPC_FAILED_PRECONDITION, it can't be executed; RPC_INTERNAL, anything else.
 */
int32_t crun_status_code(const char *said);

#endif
