/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request - what a launcher asks for (tee.proto's LaunchRequest), found sound, and whether he may.
 *
 * The arguments are QEMU's, and all of them are measured as they are. Four are looked into, since
 * what they name is measured too: each has to be there once, in one certain form:
 *
 *	-kernel /proc/self/fd/N, -bios /proc/self/fd/N    N is a descriptor of the table
 *	-append TEXT
 *	-smp cpus=N
 *
 * An -initrd is refused. So that no reading of QEMU's is another than ours, every argument that
 * begins with '-' is an option, and every other is the value of the option before it.
 */
#ifndef SIMTEE_REQUEST_H
#define SIMTEE_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"
#include "wire/proto/tee.pb-c.h"

enum {
	REQUEST_SIZE_MAX = 256 << 10, /* bytes of the message */
	REQUEST_ARGS_MAX = 4096,
	REQUEST_NODES_MAX = 256,
	REQUEST_NODE_NAME_MAX = 31,
	REQUEST_HOST_DATA = 32,
	REQUEST_FDS_MAX = 127, /* one of spawn's is the guest's port */
};

struct request {
	Tee__LaunchRequest *message;
	size_t kernel, firmware; /* which of the descriptors */
	const char *append;	 /* of the message's argv */
	unsigned vcpus;
};

void request_done(struct request *request);
CLEANUP_FUNC(struct request, request_done)

/*
 * qemu is the only program that may be asked for. -EPROTO: not a message of that kind; -EINVAL:
 * not as above, or beyond a limit; -ENOMEM.
 */
int request_open(struct bytes text, size_t fd_count, const char *qemu, struct request *ret,
		 struct err *err);

/* Who may be what. */
struct request_rules {
	uid_t key_uid;	 /* nobody's VM runs as this one */
	uid_t uid_first; /* root's VMs run as one of these, with the same group ID */
	uint32_t uid_count;
};

/*
 * A user may launch as himself, without locked memory and nodes of /dev; root only as one of the
 * users set aside for it. -EPERM.
 */
int request_allow(const struct request *request, const struct request_rules *rules, uid_t uid,
		  gid_t gid, struct err *err);

#endif
