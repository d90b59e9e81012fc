/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prover - one run of casemate-prover beside the loop: it has the guest's processor report on the
 * guest, and gets from a broker what is given for that.
 *
 * A program of its own: what reads certificates and a stranger's HTTP has none of the agent's
 * memory, and a guest without a TEE never loads the library for it. The question goes in, and the
 * answer comes back, on a file without a name in the guest's memory, which is overwritten when it
 * has been read; on its standard input and output is the relay.
 */
#ifndef AGENT_PROVER_H
#define AGENT_PROVER_H

#include "agent/reaper.h"
#include "base/err.h"
#include "wire/proto/prover.pb-c.h"

enum {
	PROVER_REPORT_MS = 10000,    /* for a report alone */
	PROVER_SECRETS_MS = 20000,   /* and for all secrets of a container */
	PROVER_SHEET_MAX = 72 << 20, /* bytes of an answer: 64 secrets of 1 MiB */
};

/* outcome is wiped when this returns. */
typedef void prover_fn(void *data, const Prover__Outcome *outcome);

struct prover;

struct prover_request {
	struct reaper *reaper;
	int run_fd; /* a directory in memory */
	const Prover__Job *job;
	int in_fd; /* from and to the broker; -1: there is none */
	int out_fd;
	prover_fn *fn;
	void *data;
};

/* *ret_prover lives until fn was called, or until prover_free(), after which it never is. */
int prover_start(const struct prover_request *request, struct prover **ret_prover, struct err *err);
struct prover *prover_free(struct prover *prover); /* NULL is fine */

#endif
