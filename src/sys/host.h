/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - the few things a program asks of the machine it runs on: time, chance, names.
 */
#ifndef SYS_HOST_H
#define SYS_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Since boot, suspended or not (CLOCK_BOOTTIME): for phases and deadlines. */
uint64_t host_boottime_us(void);

/* Since 1970 (CLOCK_REALTIME). */
int64_t host_realtime_ns(void);

/* So long, or as long as it takes a signal to come. */
void host_sleep_ms(unsigned int ms);

/* len random bytes (at most 256); -EAGAIN never: waits until the kernel has some. */
int host_random(void *at, size_t len);

/* What `uname -r` prints; size 65 always suffices. */
void host_kernel(char *ret, size_t size);

/* Where the running program's file is: "/usr/bin/casemate" gives "/usr/bin". */
int host_program_dir(char *ret, size_t size, struct err *err);

/* From now on as many descriptors as the hard limit allows: for who holds some for each client. */
void host_raise_files(void);

#endif
