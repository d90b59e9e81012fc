/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch - the digest that the simulated processor will have of a VM, from the same files and the
 * same arguments, but before anything is started.
 */
#ifndef CLI_LAUNCH_H
#define CLI_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "attest/launch.h"
#include "base/err.h"
#include "cli/prepare.h"

struct launch {
	int kernel_fd, firmware_fd;
	char *const *argv; /* QEMU's: -append and -smp are looked up in it */
	size_t argc;
};

/* -EINVAL: arguments without those two; what reading the files, and the ROMs of this host, says. */
int launch_measure(const struct launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err);

/* Of the VM in what was prepared. */
int launch_measure_prepared(const struct prepare *prepare, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			    struct err *err);

#endif
