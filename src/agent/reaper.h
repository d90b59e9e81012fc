/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reaper - who waits for which process's end.
 *
 * crun starts a container's process and goes; the process becomes the agent's child, its number
 * is known only from a file that crun leaves behind, and by then it may have ended. So a start
 * is bracketed:
 *
 *	since = reaper_mark(reaper);
 *	... crun runs and says the number ...
 *	r = reaper_expect(reaper, pid, since, on_end, data, &status);
 *	reaper_unmark(reaper);
 *
 * Ends of processes nobody expects are kept while there is a mark, and only then.
 */
#ifndef AGENT_REAPER_H
#define AGENT_REAPER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sys/loop.h"

struct reaper;
typedef void reaper_fn(void *data, uint32_t status); /* exit status, or 128 + signal */

int reaper_new(struct loop *loop, struct reaper **ret_reaper, struct err *err);
struct reaper *reaper_free(struct reaper *reaper);

uint64_t reaper_mark(struct reaper *reaper);
void reaper_unmark(struct reaper *reaper);

/*
 * Calls fn once, in the loop, when pid has ended. 1: it has, since the mark; *ret_status is how,
 * fn is not called. -ENOMEM.
 */
int reaper_expect(struct reaper *reaper, pid_t pid, uint64_t since, reaper_fn *fn, void *data,
		  uint32_t *ret_status);

/* fn is not called any more for what was expected with that data. */
void reaper_forget(struct reaper *reaper, const void *data);

#endif
