// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a descriptor's source is registered with epoll by its address; a timer's
 * source stands in a list, soonest first, and bounds how long epoll waits. So a timer costs no
 * descriptor, and one with the same delay as those before it is put in place at once.
 *
 * During a turn epoll's answer holds addresses of sources. A source that is freed then only
 * loses its callback and waits in `dead` until the turn is over.
 */
#include "sys/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <time.h>

enum { BATCH = 64, NS_PER_MS = 1000000 };

struct loop_source {
	struct loop *loop;
	int fd; /* -1: a timer */
	uint32_t events;
	loop_fn *fn;
	loop_timer_fn *timer_fn;
	bool is_waiting; /* a timer that has not fired */
	void *data;
	uint64_t due_ns;
	struct loop_source *prev, *next; /* in timers; next also in dead */
};

struct loop {
	int epoll_fd;
	bool turning, stopped;
	struct loop_source *first, *last; /* timers */
	struct loop_source *dead;
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	int r = clock_gettime(CLOCK_MONOTONIC, &ts);

	assert(r == 0);
	(void)r;
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec;
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return -errno;
	}
	*ret_loop = loop;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	assert(!loop->turning);
	(void)close(loop->epoll_fd);
	free(loop);
	return NULL;
}

static int source_ctl(struct loop_source *source, int op, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(source->loop->epoll_fd, op, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *data,
	     struct loop_source **ret_source)
{
	struct loop_source *source = malloc(sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	*source = (struct loop_source){
		.loop = loop,
		.fd = fd,
		.events = events,
		.fn = fn,
		.data = data,
	};
	r = source_ctl(source, EPOLL_CTL_ADD, events);
	if (r < 0) {
		free(source);
		return r;
	}
	*ret_source = source;
	return 0;
}

int loop_set(struct loop_source *source, uint32_t events)
{
	int r;

	assert(source->fd >= 0);
	if (events == source->events)
		return 0;
	r = source_ctl(source, EPOLL_CTL_MOD, events);
	if (r == 0)
		source->events = events;
	return r;
}

static void timer_link(struct loop_source *timer)
{
	struct loop *loop = timer->loop;
	struct loop_source *prev = loop->last;

	while (prev && prev->due_ns > timer->due_ns)
		prev = prev->prev;
	timer->prev = prev;
	timer->next = prev ? prev->next : loop->first;
	*(timer->prev ? &timer->prev->next : &loop->first) = timer;
	*(timer->next ? &timer->next->prev : &loop->last) = timer;
	timer->is_waiting = true;
}

static void timer_unlink(struct loop_source *timer)
{
	struct loop *loop = timer->loop;

	*(timer->prev ? &timer->prev->next : &loop->first) = timer->next;
	*(timer->next ? &timer->next->prev : &loop->last) = timer->prev;
	timer->is_waiting = false;
}

int loop_timer(struct loop *loop, uint64_t after_ms, loop_timer_fn *fn, void *data,
	       struct loop_source **ret_source)
{
	struct loop_source *timer = malloc(sizeof(*timer));
	uint64_t now = now_ns();

	if (!timer)
		return -ENOMEM;
	*timer = (struct loop_source){ .loop = loop, .fd = -1, .timer_fn = fn, .data = data };
	if (__builtin_mul_overflow(after_ms, (uint64_t)NS_PER_MS, &timer->due_ns) ||
	    __builtin_add_overflow(timer->due_ns, now, &timer->due_ns))
		timer->due_ns = UINT64_MAX;
	timer_link(timer);
	*ret_source = timer;
	return 0;
}

struct loop_source *loop_source_free(struct loop_source *source)
{
	if (!source)
		return NULL;
	if (source->fd >= 0)
		(void)source_ctl(source, EPOLL_CTL_DEL, 0);
	else if (source->is_waiting)
		timer_unlink(source);
	source->fn = NULL;
	if (source->loop->turning) {
		source->next = source->loop->dead;
		source->loop->dead = source;
	} else {
		free(source);
	}
	return NULL;
}

/* Until the first timer is due, if that is sooner; rounded up, or we'd wake too early. */
static int wait_ms(const struct loop *loop, int timeout_ms)
{
	uint64_t now, ms;

	if (!loop->first)
		return timeout_ms;
	now = now_ns();
	if (loop->first->due_ns <= now)
		return 0;
	ms = (loop->first->due_ns - now - 1) / NS_PER_MS + 1;
	if (timeout_ms >= 0 && (uint64_t)timeout_ms < ms)
		return timeout_ms;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int call_sources(const struct epoll_event *events, int count)
{
	int called = 0;

	for (int i = 0; i < count; i++) {
		struct loop_source *source = events[i].data.ptr;
		/* an earlier callback of this turn may have changed what is wanted */
		uint32_t wanted = events[i].events & (source->events | EPOLLHUP | EPOLLERR);

		if (!source->fn || !wanted)
			continue;
		source->fn(source->data, wanted);
		called++;
	}
	return called;
}

static int call_timers(struct loop *loop)
{
	uint64_t now = loop->first ? now_ns() : 0;
	int called = 0;

	while (loop->first && loop->first->due_ns <= now) {
		struct loop_source *timer = loop->first;

		timer_unlink(timer);
		timer->timer_fn(timer->data);
		called++;
	}
	return called;
}

int loop_step(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int count, called;

	if (loop->turning)
		return -EBUSY;
	count = epoll_wait(loop->epoll_fd, events, BATCH, wait_ms(loop, timeout_ms));
	if (count < 0)
		return errno == EINTR ? 0 : -errno;

	loop->turning = true;
	called = call_sources(events, count);
	called += call_timers(loop);
	loop->turning = false;

	while (loop->dead) {
		struct loop_source *source = loop->dead;

		loop->dead = source->next;
		free(source);
	}
	return called;
}

bool loop_is_turning(const struct loop *loop)
{
	return loop->turning;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (!loop->stopped && r >= 0)
		r = loop_step(loop, -1);
	loop->stopped = false;
	return r < 0 ? r : 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
