/* SPDX-License-Identifier: Apache-2.0 */
/*
 * processor - asks a secure processor (casemate-simtee) to measure a VM and to start it.
 *
 * The processor starts QEMU, and so is its parent: here there are a pidfd, which tells QEMU's end
 * and can kill it, and the connection. The VM lives as long as that: closing it ends QEMU.
 *
 * All times of both sides are here: each step of the processor's has its own, and who launches waits
 * for the sum of them, so that he hears which step it was.
 */
#ifndef VMM_PROCESSOR_H
#define VMM_PROCESSOR_H

#include <stddef.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "sys/spawn.h"

enum {
	PROCESSOR_LOCK_MS = 5000,     /* that another processor may be busy with the same key */
	PROCESSOR_KEY_MS = 8000,      /* for the key to be there, if the processor has just begun */
	PROCESSOR_REQUEST_MS = 5000,  /* for a request to be there, from the connection on */
	PROCESSOR_MEASURE_MS = 20000, /* for measuring */
	PROCESSOR_START_MS = 5000,    /* for all else: processes that start, the answer's way */
	/* that an answer, or a part of one, may take */
	PROCESSOR_LAUNCH_MS =
		PROCESSOR_KEY_MS + PROCESSOR_REQUEST_MS + PROCESSOR_MEASURE_MS + PROCESSOR_START_MS,
	PROCESSOR_MESSAGE_MAX = 64 << 10,
	PROCESSOR_HOST_DATA = 32,
};

_Static_assert(PROCESSOR_LOCK_MS < PROCESSOR_KEY_MS, "who waits for the lock can still say so");

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
