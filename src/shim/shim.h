/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim - the pod's one process: serves the Task API for one pod, and outlives nobody it serves.
 *
 * It ends, and undoes the pod's lease, when it is told to (Shutdown, or SIGTERM, SIGINT, SIGHUP),
 * when the client of a foreground pod goes, when a pod that is to be removed has ended, and when
 * nobody ever came.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <stdbool.h>

#include "lease/lease.h"
#include "pod/pod.h"
#include "rpc/conn.h"
#include "sys/loop.h"

enum {
	/* a client for each process there may be, and some that ask about them */
	SHIM_CONNECTIONS = POD_MAX_CONTAINERS + POD_MAX_EXECS + 64,
	SHIM_REFUSALS = 64, /* described: an agent keeps no more */
};

struct shim {
	struct loop *loop;
	struct lease_opts host;
	struct lease *lease;
	struct pod *pod;
	int listen_fd, signal_fd;
	int starter_fd; /* hangs up when who started this goes; -1: that is not to be known */
	struct loop_source *accepting, *signals, *starter;
	struct loop_source *idle; /* fires when nobody came, or nobody is left to serve */
	struct rpc_conn *conns[SHIM_CONNECTIONS];
	char *program;	/* `casemate` */
	bool was_asked; /* a container was asked for, perhaps in vain */
	bool ending;	/* the pod is to be removed as soon as its VM is gone */
};

/* task.c: the methods served on every connection; data is a struct shim. */
extern const struct rpc_method shim_methods[];
extern const size_t shim_method_count;

/* main.c: the pod goes now, whatever runs in it. */
void shim_end(struct shim *shim);

/* main.c: looks whether there is anything left to serve. */
void shim_look(struct shim *shim);

#endif
