/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - one connection to the processor: its request, the VM that comes of it, that guest's
 * reports, and the end of both.
 *
 * How it works. READING: the request comes in, in time and within its limits. MEASURING: a child
 * hashes what is going to be started. RUNNING: QEMU lives, its port to us is served, and the
 * launcher has its pidfd. If the connection ends, or anything more is said on it, QEMU is killed,
 * ENDING until it is gone. If QEMU ends first, the launcher is told how, and the session is over.
 */
#ifndef SIMTEE_SESSION_H
#define SIMTEE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "simtee/key.h"
#include "simtee/request.h"
#include "sys/loop.h"

enum {
	SESSIONS_MAX = 256,
	SESSIONS_OF_USER_MAX = 64, /* of one that isn't root */
	SESSION_STOP_MS = 2000,	   /* that QEMU's end is waited for as the processor ends */
};

struct session;

/* What all sessions share; it outlives them. */
struct session_table {
	struct loop *loop;
	struct key *key;
	struct request_rules rules;
	const char *qemu;
	int root_fd;
	uint64_t nofile;	      /* descriptors that QEMU may have; ours are more */
	void (*on_empty)(void *data); /* the last session has gone; NULL: nobody cares */
	void *data;
	struct session *sessions;
	size_t count;
};

/* Owns take_fd, which doesn't block. A connection that is one too many is closed. */
void session_new(struct session_table *table, int take_fd);

/* Kills all VMs, and waits for their ends. */
void session_end_all(struct session_table *table);

/* Answers a connection with a refusal, for what goes wrong before there is a session. */
void session_refuse(int fd, const struct err *err);

#endif
