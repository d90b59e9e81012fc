// SPDX-License-Identifier: Apache-2.0
#include "rpc/status.h"

#include <errno.h>
#include <stddef.h>

#include "base/macro.h"

static const struct {
	enum rpc_status status;
	int num;
} pairs[] = {
	{ RPC_INVALID_ARGUMENT, -EINVAL },    { RPC_DEADLINE_EXCEEDED, -ETIMEDOUT },
	{ RPC_NOT_FOUND, -ENOENT },	      { RPC_NOT_FOUND, -ESRCH },
	{ RPC_ALREADY_EXISTS, -EEXIST },      { RPC_PERMISSION_DENIED, -EACCES },
	{ RPC_RESOURCE_EXHAUSTED, -ENOBUFS }, { RPC_FAILED_PRECONDITION, -EBUSY },
	{ RPC_UNIMPLEMENTED, -EOPNOTSUPP },   { RPC_UNAVAILABLE, -EPIPE },
};

enum rpc_status rpc_errno_status(int num)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (pairs[i].num == num)
			return pairs[i].status;
	return RPC_INTERNAL;
}

int rpc_status_errno(int32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if ((int32_t)pairs[i].status == code)
			return pairs[i].num;
	return -EREMOTEIO;
}
