/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stand_in - what stands in for QEMU and the guest in tests of pod, shim and cli: one small program
 * that takes QEMU's arguments and speaks QMP, the console and the agent's API, so that a whole
 * `casemate run` takes no VM, no kernel and some 50 ms.
 *
 * How it misbehaves is in the name it is started by, stand-in-WORD:
 *
 *	hang-exec      does nothing at all
 *	hang-qmp       never greets on QMP; die-qmp: ends at the first command; refuse-qmp: refuses
 *	               each disk; hang-disk: does not answer for a disk
 *	hang-hello     does not answer the agent's first call; die-hello, garbage-hello, old-hello
 *	hang-policy    nor SetPolicy
 *	hang-create    nor CreateContainer; die-create, refuse-create
 *	hang-start     nor StartProcess; die-start
 *	hang-exec-process, hang-kill, hang-refusals
 *	die-run        ends soon after the first process was started; garbage-run: writes what is
 *	               no frame to the port then; shutdown: as a guest that powers off
 *	slow-end       ends like die-run, but all it has open is closed long before
 *	refused        says that its policy has refused 70 calls, and one of them
 *	flood-port     sends answers that nobody asked for, and nothing else
 *	flood-console  writes to the console without an end
 *	long-output    answers ReadOutput with more than was asked for
 *
 * What a container or an exec does is its arguments, simulated:
 *
 *	exit N         ends with that status
 *	sleep          until a signal ends it
 *	deaf           until SIGKILL does
 *	cat            standard input to standard output
 *	write N, err N N bytes of a pattern to standard output, to standard error; then 0
 *	flood          the pattern without an end
 *	asked          says how many bytes of the first process's output were asked for and sent
 *	nonesuch, noexec   cannot be started
 */
#ifndef TESTS_POD_STAND_IN_H
#define TESTS_POD_STAND_IN_H

#include <stdbool.h>

#include "rpc/conn.h"
#include "sys/loop.h"

struct stand_in {
	struct loop *loop;
	const char *mode; /* "" behaves */
	int qmp_fd, console_fd, port_fd;
	struct loop_source *qmp, *flooding, *later;
	struct rpc_conn *conn;
	struct buf line; /* of QMP, not complete */
};

/* stand_in_agent.c: the methods served; data is a struct stand_in. */
extern const struct rpc_method stand_in_methods[];
extern const size_t stand_in_method_count;

/* stand_in.c: whether the mode is one of that step; dies there if it is "die-STEP". */
bool stand_in_hangs(struct stand_in *stand_in, const char *step);
/* The first process has been started: what is to come now comes soon. */
void stand_in_started(struct stand_in *stand_in);

#endif
