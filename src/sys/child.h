/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child - programs of the guest's own, and the ends of all children.
 *
 * The counterpart of spawn for a process that trusts what it starts and keeps its rights: PID 1
 * and the agent in the guest. Who becomes a subreaper also gets the children of its children
 * that are left over, and has to collect those too.
 */
#ifndef SYS_CHILD_H
#define SYS_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Starts argv[0] (a path) with that environment, these three standard streams and no other
 * descriptor that isn't marked to stay; signals are default and none is blocked. -ENOENT,
 * -EACCES and so on: it could not be executed, and no child is left.
 */
int child_start(char *const *argv, char *const *envp, const int stdio_fds[3], pid_t *ret_pid,
		struct err *err);

/* A non-blocking descriptor, readable when a child has ended; SIGCHLD is blocked from then on. */
int child_watch(int *ret_fd, struct err *err);

/*
 * The next child that has ended: its exit status, or 128 and the signal. Call until it says
 * -EAGAIN (none now) or -ECHILD (there are no children); it also empties what child_watch() made.
 */
int child_next(int watch_fd, pid_t *ret_pid, uint32_t *ret_status);

/* Waits for any child, for a process that does nothing else. */
int child_wait(pid_t *ret_pid, uint32_t *ret_status);

/*
 * How soon this process dies when memory runs out, and each child that is started meanwhile:
 * -1000 (never) to 1000.
 */
void child_set_oom_score(int score);

/* Orphans below this process become its children. */
int child_become_subreaper(struct err *err);

#endif
