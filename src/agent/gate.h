/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate - in a guest with a TEE: what the host may ask for, by the tenant's policy, and what it
 * asked for in vain.
 *
 * Until the policy is there nothing is asked for but that, and the end. What is checked is what is
 * executed: the very message that was opened from the bytes that came, which has one form for each
 * meaning (spec.h), and it is compared whole.
 *
 * A container of the policy may be made any number of times, under any name: each is the same
 * program in the same file system, and what it may be given, it may be given again. How many there
 * are never was the tenant's to say; a host can end a pod and begin it anew. Secrets that are
 * listed and not asked for are not given: a host can always give less.
 *
 * What the policy does not know, since it is no part of the specification, is the host's in a TEE
 * too, and can do no harm or is held to what can do none:
 *
 *	names of containers and processes   [a-zA-Z0-9_.-], in paths of ours and cgroups only
 *	the pod's name                      not taken: a container without a host name of its own has
 *	                                    the guest's, or the host would choose $HOSTNAME
 *	serials of disks                    the wrong disk does not have the layer's root hash
 *	addresses of devices                the model there has to be the specification's; but a device
 *	                                    is not evidence, and may be an impostor of that model
 *	time, entropy                       not taken: the guest has its own, or none
 *	input, and when it ends             the container's to distrust
 *	output                              the host sees it
 *	signals, the size of a terminal     any; a host can end a container anyway
 *	names of what runs                  only told by number: a command line may hold a secret
 */
#ifndef AGENT_GATE_H
#define AGENT_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/spec.h"
#include "attest/policy.h"
#include "attest/reason.h"
#include "base/err.h"
#include "wire/proto/agent.pb-c.h"

enum {
	GATE_REFUSALS_MAX = 64, /* kept; the oldest goes first */
	GATE_METHOD_MAX = 23,
	GATE_CODE_MAX = 47,
};

#define GATE_HOSTNAME "casemate" /* of a container that has none of its own */

struct gate_refusal {
	char method[GATE_METHOD_MAX + 1];
	char id[SPEC_ID_MAX + 1];
	char code[GATE_CODE_MAX + 1];
	char text[ATTEST_REFUSAL_TEXT];
	int64_t uptime_us;
};

struct gate {
	bool is_open;
	struct attest_policy policy;
	struct buf document;
	struct gate_refusal refusals[GATE_REFUSALS_MAX]; /* number i at i % GATE_REFUSALS_MAX */
	uint64_t count;					 /* of all */
	/* Where each is said as well, in a line; NULL: nowhere. */
	void (*say)(const struct gate_refusal *refusal);
};

/* What the kernel's command line says: a word "casemate.tee=sim". */
bool gate_is_wanted(const char *cmdline);

/* A closed one, NULL if there is no memory left. */
struct gate *gate_new(void);
struct gate *gate_free(struct gate *gate);

/*
 * The policy, once it is known that the guest's reports have its digest: that is for the caller to
 * find out first. -EBUSY: there is one; -EACCES: not a policy's canonical document, with the code
 * before the text as below; -ENOMEM.
 */
int gate_check_document(const struct gate *gate, struct bytes document, struct err *err);
int gate_open(struct gate *gate, struct bytes document, struct err *err);

/*
 * Who asks, for the record: a method and a container's valid name. In all of these -EACCES is a
 * refusal, which has been written down, and err's message is "CODE: text"; also -ENOMEM.
 */
struct gate_ask {
	const char *method;
	const char *id;
	int64_t uptime_us;
};

int gate_refuse(struct gate *gate, const struct gate_ask *ask, const struct attest_refusal *refusal,
		struct err *err);

/* *ret_container is the policy's, for what is asked about the container later. */
int gate_check_create(struct gate *gate, const struct gate_ask *ask,
		      const Agent__ContainerSpec *spec, size_t *ret_container, struct err *err);
/* Each listed for the container, none twice. */
int gate_check_secrets(struct gate *gate, const struct gate_ask *ask, size_t container,
		       Agent__Secret *const *secrets, size_t count, struct err *err);
int gate_check_exec(struct gate *gate, const struct gate_ask *ask, size_t container,
		    const Agent__Process *process, struct err *err);

/*
 * Fills in a response that borrows from the gate, the oldest that is kept first; at and refused are
 * the caller's, of GATE_REFUSALS_MAX each.
 */
void gate_list(struct gate *gate, Agent__Refused *refused, Agent__Refused **at,
	       Agent__ListRefusalsResponse *ret);

#endif
