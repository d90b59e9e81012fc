/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - one process of a container that the host knows by name: its first one, or one that
 * was exec'd into it.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "agent/container.h"
#include "agent/stream.h"
#include "agent/users.h"
#include "base/arena.h"
#include "state/process.h"

enum { PROCESS_WAITS_MAX = 16 };

struct process {
	struct process *next;
	struct container *container;
	char exec_id[SPEC_ID_MAX + 1]; /* "": the container's first */
	enum process_state state;
	Agent__ExecRequest *request; /* NULL: the container's first */
	struct arena arena;
	struct user user;
	struct output outputs[2]; /* by Agent__Stream */
	struct input input;
	uint16_t width, height;
	int tty_fd;
	pid_t pid;
	uint32_t status;
	int64_t ended_ns; /* 0: it never ran, or still does */
	bool was_run;	  /* crun knows of it */
	struct rpc_call *waits[PROCESS_WAITS_MAX];
	size_t wait_count;
	/* While it is being started. */
	struct rpc_call *call;
	struct crun *crun;
	uint64_t mark;
	int listen_fd;
	char name[16]; /* of its files */
};

/*
 * A process that isn't started yet; its user is looked up in the container. take_request is NULL
 * for the first. Fails as users_resolve() does, and -ENOMEM.
 */
int process_new(struct container *container, Agent__ExecRequest *take_request,
		struct process **ret_process, struct err *err);

/* Who waits for it is told that it has gone. NULL is fine. */
struct process *process_free(struct process *process);

/* Each answers call, sooner or later. */
void process_start(struct process *process, struct rpc_call *call);
void process_wait(struct process *process, struct rpc_call *call);

/* -ESRCH: it has ended, or not begun. */
int process_signal(const struct process *process, int signal);

/* Remembered until it is started. -ENOTTY: it has no terminal. */
int process_resize(struct process *process, uint16_t width, uint16_t height);

#endif
