/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure - what a VM is going to be started with, as a launch digest (attest/sim_launch.h).
 *
 * Kernel and firmware are read from the very descriptors that QEMU gets, which have to be memory
 * files that nobody can change any more (F_SEAL_WRITE, GROW, SHRINK and SEAL); the ROMs from where
 * QEMU finds them, which is root's.
 */
#ifndef SIMTEE_MEASURE_H
#define SIMTEE_MEASURE_H

#include <stdint.h>

#include "attest/launch.h"
#include "base/err.h"
#include "simtee/request.h"

enum { MEASURE_KERNEL_MAX = 256 << 20 };

/*
 * fds are the request's; root_fd is the root directory. -EPERM: not a sealed memory file; -E2BIG:
 * too large; -EINVAL: firmware that is not of whole pages; and what mmap(2), vmm_roms_read() and
 * attest_sim_launch_digest() say. Takes its time (some 10 ms): for a process of its own.
 */
int measure_launch(const struct request *request, const int *fds, int root_fd,
		   uint8_t ret_digest[ATTEST_LAUNCH_DIGEST], struct err *err);

#endif
