/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals - those that come as something to read, so that a loop may wait for them.
 */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include <stddef.h>

#include "base/err.h"

/*
 * A non-blocking descriptor, readable when one of these has come; from then on they are blocked,
 * and do nothing else. One that comes again before it is read comes once.
 */
int signals_watch(const int *signals, size_t count, int *ret_fd, struct err *err);

/* The next that has come, or -EAGAIN. */
int signals_next(int fd);

#endif
