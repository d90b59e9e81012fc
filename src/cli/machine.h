/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - the machine that a command is about: this host, or what --from names.
 */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include "base/arena.h"
#include "base/err.h"
#include "machine/machine.h"

/*
 * Reads this host (from NULL), or the capture at a path. The capture is given to who keeps it too
 * (ret_capture may be NULL); the machine lives in arena, with names out of the host's pci.ids file
 * where there is one. Errors are those of capture/capture.h and machine_decode().
 */
int cli_machine_load(const char *from, struct arena *arena, struct machine_capture *ret_capture,
		     struct machine **ret, struct err *err);

#endif
