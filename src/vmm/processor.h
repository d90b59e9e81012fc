/* SPDX-License-Identifier: Apache-2.0 */
/*
 * processor - asks a secure processor (casemate-simtee) to measure a VM and to start it.
 *
 * The processor starts QEMU, and so is its parent: here there are a pidfd, which tells QEMU's end
 * and can kill it, and the connection. The VM lives as long as that: closing it ends QEMU.
 */
#ifndef VMM_PROCESSOR_H
#define VMM_PROCESSOR_H

#include <stddef.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "sys/spawn.h"

enum {
	PROCESSOR_LAUNCH_MS = 10000, /* that an answer, or a part of one, may take */
	PROCESSOR_MESSAGE_MAX = 64 << 10,
	PROCESSOR_HOST_DATA = 32,
};

struct processor_launch {
	const struct spawn_request *spawn; /* argv, descriptors, IDs, memlock and nodes of it */
	int tee_target; /* where QEMU wants the guest's port to the processor, which makes it */
	struct bytes host_data; /* PROCESSOR_HOST_DATA bytes, signed with every report */
};

struct processor_vm {
	pid_t pid;
	int pidfd; /* the caller's */
	enum spawn_isolation isolation;
};

/*
 * Connects to the processor that listens at path, which is absolute. -ENOENT, -ECONNREFUSED: there
 * is none.
 */
int processor_connect(const char *path, int *ret_fd, struct err *err);

/*
 * fd is a connection, used for nothing before; it stays the caller's, and its reads and writes end
 * after PROCESSOR_LAUNCH_MS from now on. Waits for the answer that long. What the processor
 * refuses has its own errno, code and words; -EPROTO: it answers what it shouldn't; -ETIMEDOUT;
 * -EPIPE: it hung up.
 */
int processor_launch(int fd, const struct processor_launch *launch, struct processor_vm *ret,
		     struct err *err);

/*
 * Of a connection that has something to read: QEMU's exit status, or 128 and the signal. Any error:
 * the processor has gone, or makes no sense; so has QEMU, or it goes now.
 */
int processor_read_end(int fd, int *ret_status, struct err *err);

#endif
