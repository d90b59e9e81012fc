/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial - a TCP connection to an address that is given as bytes, begun and waited for in the loop.
 *
 *	r = dial_start(address, &fd);
 *	... EPOLLOUT ...
 *	r = dial_result(fd);
 */
#ifndef SYS_DIAL_H
#define SYS_DIAL_H

#include "base/bytes.h"

/*
 * A stream socket that does not block and is close-on-exec, on its way to a struct sockaddr of
 * IPv4 or IPv6; the caller's. -EAFNOSUPPORT: another family, or bytes that are no address; else
 * what socket(2) or connect(2) say at once.
 */
int dial_start(struct bytes address, int *ret_fd);

/* Once fd can be written to: 0, it is connected; else why not, negative. */
int dial_result(int fd);

/* Nothing more will be written: the other side reads the end. */
void dial_finish(int fd);

#endif
