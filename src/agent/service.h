/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service - the calls of casemate.agent.v1.Agent: what comes is taken apart and checked here,
 * what it asks is done elsewhere.
 */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/container.h"
#include "rpc/conn.h"

enum {
	SERVICE_VERSION = 1,	  /* of the protocol, in Hello */
	SERVICE_CALLS_MAX = 8192, /* served at once: reads and waits may be long */
	SERVICE_ENTROPY_MAX = 512,
};

struct service {
	struct container_table containers;
	struct loop *loop;
	uint64_t init_us;  /* CLOCK_BOOTTIME when init began */
	uint64_t agent_us; /* and when the port was open */
	bool is_greeted;
	struct loop_source *timer; /* the end, a moment after Shutdown's answer */
	/* While the policy is held against the guest's report. */
	Agent__SetPolicyRequest *policy;
	struct rpc_call *policy_call;
	struct prover *prover;
};

extern const struct rpc_method service_methods[];
extern const size_t service_method_count;

#endif
