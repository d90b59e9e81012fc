/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - the gRPC status codes that answers carry, and what they are as an errno.
 *
 * One errno stands for each code, and comes back from the other side as itself; what has no
 * counterpart becomes RPC_INTERNAL on one side and -EREMOTEIO on the other.
 */
#ifndef RPC_STATUS_H
#define RPC_STATUS_H

#include <stdint.h>

enum rpc_status {
	RPC_OK = 0,
	RPC_INVALID_ARGUMENT = 3,    /* EINVAL */
	RPC_DEADLINE_EXCEEDED = 4,   /* ETIMEDOUT */
	RPC_NOT_FOUND = 5,	     /* ENOENT; ESRCH too */
	RPC_ALREADY_EXISTS = 6,	     /* EEXIST */
	RPC_PERMISSION_DENIED = 7,   /* EACCES */
	RPC_RESOURCE_EXHAUSTED = 8,  /* ENOBUFS */
	RPC_FAILED_PRECONDITION = 9, /* EBUSY */
	RPC_UNIMPLEMENTED = 12,	     /* EOPNOTSUPP */
	RPC_INTERNAL = 13,	     /* EREMOTEIO, and all others */
	RPC_UNAVAILABLE = 14,	     /* EPIPE */
};

/* num below 0: never RPC_OK. */
enum rpc_status rpc_errno_status(int num);

/* The negative errno for any code but 0. */
int rpc_status_errno(int32_t code);

#endif
