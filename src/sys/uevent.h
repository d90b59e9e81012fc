/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uevent - what the kernel says about devices that come and go.
 *
 * Open first, then look for the device, then wait: nothing is missed in between.
 */
#ifndef SYS_UEVENT_H
#define SYS_UEVENT_H

#include <stdbool.h>

#include "base/err.h"

/* A non-blocking descriptor that is readable when there is an event. */
int uevent_open(int *ret_fd, struct err *err);

/*
 * Takes all events that are there. True if one of them was of that subsystem ("block",
 * "virtio-ports"; NULL: any), or if the kernel had to drop some.
 */
bool uevent_drain(int fd, const char *subsystem);

#endif
