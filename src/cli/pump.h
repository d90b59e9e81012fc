/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pump - carries bytes from one descriptor to another on the event loop, until the end.
 *
 * Neither side is made non-blocking: a terminal or pipe that is shared with others is only read
 * when it has something, and only written what it takes without blocking (PIPE_BUF bytes when
 * poll(2) says so; pipe(7)). A regular file, which cannot be waited for, is always ready.
 */
#ifndef CLI_PUMP_H
#define CLI_PUMP_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/loop.h"

enum { PUMP_BYTES = 32 << 10 };

struct pump {
	struct loop *loop;
	int from_fd, to_fd;	    /* borrowed */
	struct loop_source *source; /* of the side that is waited for */
	bool is_writing;
	bool from_is_ready, to_is_ready; /* always: cannot be waited for */
	bool over;
	int broken; /* why to_fd takes no more: a negative errno */
	void (*on_over)(void *data, struct pump *pump);
	void *data;
	size_t at, len;
	char bytes[PUMP_BYTES];
};

/* on_over is called once: from_fd is at its end, or to_fd takes no more. -errno of loop_add(). */
int pump_start(struct pump *pump, struct loop *loop, int from_fd, int to_fd,
	       void (*on_over)(void *data, struct pump *pump), void *data);
void pump_stop(struct pump *pump);

#endif
