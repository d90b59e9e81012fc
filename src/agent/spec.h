/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec - bytes from the host to a container specification that can be acted on.
 *
 * The specification is closed: a field that isn't known, a field twice or out of order, a string
 * with a NUL in it are refused, so that the bytes and what they mean are one to one, and a digest
 * of the bytes is one of the meaning.
 */
#ifndef AGENT_SPEC_H
#define AGENT_SPEC_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/privilege.h"
#include "wire/proto/agent.pb-c.h"

enum {
	SPEC_BYTES_MAX = 1 << 20,
	SPEC_LAYERS_MAX = 128,
	SPEC_ARGS_MAX = 16384,
	SPEC_ENV_MAX = 4096,
	SPEC_STRING_MAX = 128 << 10, /* one argument or variable: the kernel's own limit */
	SPEC_PATH_MAX = 4095,
	SPEC_HOSTNAME_MAX = 63,
	SPEC_ID_MAX = 64,
	SPEC_CPU_MILLI_MAX = 1024 * 1000,
	SPEC_CPU_MILLI_MIN = 10, /* a millisecond of each hundred, the kernel's least */
	SPEC_NOFILE_MAX = PRIVILEGE_NOFILE_MAX,
	SPEC_DEVICES_MAX = 128,
};
#define SPEC_BLOCKS_MAX (UINT64_C(1) << 40) /* of 4096 bytes */

/*
 * The caller frees *ret_spec with agent__container_spec__free_unpacked(). -EBADMSG: not these
 * bytes (see above); -EINVAL: a value that can't be; -E2BIG: more than a limit above.
 */
int spec_open(struct bytes text, Agent__ContainerSpec **ret_spec, struct err *err);

/*
 * A process to exec: as in a specification, but user and cwd may be empty there: they are the
 * container's then. Closed too. -EBADMSG, -EINVAL, -E2BIG.
 */
int spec_check_process(const Agent__Process *process, struct err *err);

/* 1 to SPEC_ID_MAX of [a-zA-Z0-9_.-], not beginning with a dot. */
bool spec_id_is_valid(const char *id);

#endif
