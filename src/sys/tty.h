/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty - the side of a terminal that a program isn't on.
 */
#ifndef SYS_TTY_H
#define SYS_TTY_H

#include <stdint.h>

#include "base/err.h"

/*
 * Takes a terminal from who connected to a listening socket that doesn't block and sent it: what
 * OCI runtimes do with a console socket. It must have been sent already: -EAGAIN. -EBADMSG: what
 * came isn't one terminal.
 */
int tty_receive(int listen_fd, int *ret_fd, struct err *err);

/* Gives the program's side to a user, who may then open it by name. -errno. */
int tty_own(int fd, uint32_t uid);

int tty_resize(int fd, uint16_t width, uint16_t height); /* -errno */

#endif
