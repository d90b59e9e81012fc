/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - the one event loop of a process: descriptors and timers, callbacks, no threads.
 *
 *	static void on_input(void *data, uint32_t events) { ... }
 *
 *	r = loop_new(&loop);
 *	r = loop_add(loop, fd, EPOLLIN, on_input, pod, &source);
 *	r = loop_run(loop);
 *	loop_source_free(source);
 *	loop_free(loop);
 *
 * Events are level-triggered, so a callback may leave work for the next turn. In a callback
 * everything is allowed but turning the loop and freeing it: freeing any source, its own
 * included, means that its callback isn't called again, not even for an event already fetched.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/macro.h"

struct loop;
struct loop_source;

/* events: EPOLLIN, EPOLLOUT, ... as asked for, and EPOLLHUP and EPOLLERR, asked for or not. */
typedef void loop_fn(void *data, uint32_t events);
typedef void loop_timer_fn(void *data);

int loop_new(struct loop **ret_loop); /* or what epoll_create1(2) says, or -ENOMEM */

/* Its sources are freed first, by those who own them. Returns NULL. */
struct loop *loop_free(struct loop *loop);

/*
 * Calls fn(data, events) whenever fd has one of those events. fd is borrowed: the source goes
 * before fd is closed. -EPERM: a kind of file that cannot be waited for; -EEXIST: fd has a
 * source in this loop; -ENOMEM, -ENOSPC.
 */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *data,
	     struct loop_source **ret_source);

/* From now on these events; 0 leaves EPOLLHUP and EPOLLERR. Not for timers. */
int loop_set(struct loop_source *source, uint32_t events);

/*
 * Calls fn(data) once, after_ms milliseconds (CLOCK_MONOTONIC) from now or soon after; 0 is the
 * loop's next turn. The source stays its owner's to free, also when it has fired. -ENOMEM.
 */
int loop_timer(struct loop *loop, uint64_t after_ms, loop_timer_fn *fn, void *data,
	       struct loop_source **ret_source);

/* Returns NULL; NULL is fine. */
struct loop_source *loop_source_free(struct loop_source *source);

/*
 * One turn: waits timeout_ms at most (-1: for ever), then calls what is due. Returns how many
 * callbacks were called: 0 after the timeout or a signal. -EBUSY: called in a callback, as
 * loop_is_turning() says; nothing else goes wrong.
 */
int loop_step(struct loop *loop, int timeout_ms);
bool loop_is_turning(const struct loop *loop);

/* Turns until loop_stop() was called, which may be before: 0, or -EBUSY. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

CLEANUP_PTR(struct loop, loop_free)
CLEANUP_PTR(struct loop_source, loop_source_free)

#endif
