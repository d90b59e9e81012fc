/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe - the FIFOs by which a client hands over the ends of a process's streams.
 */
#ifndef SYS_PIPE_H
#define SYS_PIPE_H

#include "base/err.h"

/*
 * Opens a FIFO that a client made, to read or to write, close-on-exec and not blocking: the
 * client has its own end open already. -ENXIO: nobody reads it. -EINVAL: the path is not a FIFO
 * (a client gets no other file written).
 */
int pipe_open_read(const char *path, int *ret_fd, struct err *err);
int pipe_open_write(const char *path, int *ret_fd, struct err *err);

#endif
