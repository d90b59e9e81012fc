/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request - from a command line to a casemate.Request: what `casemate run` asks the shim for, and
 * `casemate policy generate` prepares without asking anybody.
 */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/options.h"
#include "plan/layout.h"
#include "wire/proto/casemate.pb-c.h"

/* Zeroed: none. The message lives in the arena, and borrows from the options. */
struct request {
	struct arena arena;
	Casemate__Request message;
};

void request_done(struct request *request);
CLEANUP_FUNC(struct request, request_done)

/*
 * The first of options->words is the image, the others the command. Paths are made absolute: who
 * is asked has another working directory. -EINVAL with ERR_USAGE: no image, or what cannot be.
 */
int request_make(const struct options *options, struct request *ret, struct err *err);

/* The VM's part alone, of a command that has no image. -ENOMEM. */
int request_make_vm(const struct options *options, struct request *ret, struct err *err);

/* A JSON array of strings, into the arena. -EINVAL: it is none; -ENOMEM. */
int request_read_strings(struct arena *arena, const char *text, char ***ret, size_t *ret_count);

/*
 * Whether TEE, policy and secrets go together. is_first: the pod is made with it; a container that
 * comes later brings secrets only. Refuses by the flag's name, -EINVAL (ERR_USAGE) or -EOPNOTSUPP
 * (ERR_UNSUPPORTED).
 */
int request_check_tee(const Casemate__Request *request, bool is_first, enum layout_tee *ret,
		      struct err *err);

#endif
