// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: only the side that the next step needs is watched: the one read while the
 * buffer is empty, the one written while it isn't. So a pipe that was hung up does not wake us
 * while there is nothing to do about it. One of the two is a FIFO, so one can always be waited
 * for.
 */
#include "cli/pump.h"

#include <errno.h>
#include <limits.h>

#include "sys/sock.h"

static void watch(struct pump *pump);

void pump_stop(struct pump *pump)
{
	pump->over = true;
	pump->source = loop_source_free(pump->source);
}

static void over(struct pump *pump)
{
	pump_stop(pump);
	pump->on_over(pump->data, pump);
}

static void fill(struct pump *pump)
{
	ssize_t n = sock_read(pump->from_fd, pump->bytes, sizeof(pump->bytes));

	if (n == -EAGAIN)
		return;
	if (n <= 0) { /* a terminal whose other side is gone says EIO */
		over(pump);
		return;
	}
	pump->at = 0;
	pump->len = (size_t)n;
}

/* What a pipe or terminal takes without blocking, once poll(2) says it takes something. */
static void drain(struct pump *pump)
{
	size_t n = pump->len > PIPE_BUF && !pump->to_is_ready ? PIPE_BUF : pump->len;
	ssize_t done = sock_write(pump->to_fd, pump->bytes + pump->at, n);

	if (done == -EAGAIN)
		return;
	if (done < 0) {
		pump->broken = (int)done;
		over(pump);
		return;
	}
	pump->at += (size_t)done;
	pump->len -= (size_t)done;
}

static void on_readable(void *data, uint32_t events)
{
	struct pump *pump = data;

	(void)events;
	fill(pump);
	while (pump->to_is_ready && pump->len && !pump->over)
		drain(pump);
	watch(pump);
}

static void on_writable(void *data, uint32_t events)
{
	struct pump *pump = data;

	(void)events;
	if (pump->len == 0 && pump->from_is_ready)
		fill(pump);
	if (pump->len && !pump->over)
		drain(pump);
	watch(pump);
}

static void watch(struct pump *pump)
{
	bool writing = pump->len > 0 || pump->from_is_ready;

	if (pump->over || (pump->source && writing == pump->is_writing))
		return;
	pump->source = loop_source_free(pump->source);
	pump->is_writing = writing;
	if (loop_add(pump->loop, writing ? pump->to_fd : pump->from_fd,
		     writing ? EPOLLOUT : EPOLLIN, writing ? on_writable : on_readable, pump,
		     &pump->source) < 0)
		over(pump);
}

/* Whether fd cannot be waited for: then it is always ready. */
static int probe(struct pump *pump, int fd, bool *ret_is_ready)
{
	struct loop_source *source;
	int r = loop_add(pump->loop, fd, 0, on_readable, pump, &source);

	*ret_is_ready = r == -EPERM;
	if (r == 0)
		(void)loop_source_free(source);
	return r == -EPERM ? 0 : r;
}

int pump_start(struct pump *pump, struct loop *loop, int from_fd, int to_fd,
	       void (*on_over)(void *data, struct pump *pump), void *data)
{
	int r;

	pump->loop = loop;
	pump->from_fd = from_fd;
	pump->to_fd = to_fd;
	pump->on_over = on_over;
	pump->data = data;
	pump->source = NULL;
	pump->over = false;
	pump->broken = 0;
	pump->at = pump->len = 0;
	r = probe(pump, from_fd, &pump->from_is_ready);
	if (r == 0)
		r = probe(pump, to_fd, &pump->to_is_ready);
	if (r < 0)
		return r;
	watch(pump);
	return 0;
}
