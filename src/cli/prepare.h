/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare - `casemate prepare`, the pod's short-lived child: image work and planning.
 *
 * It reads one casemate.PrepareRequest from descriptor 3 and writes one casemate.PrepareResult
 * with its descriptors back (wire/proto/casemate.proto). Everything that can be refused is
 * refused here, before the host is changed. prepare.c is the way in and the container's half,
 * prepare_vm.c the VM's.
 */
#ifndef CLI_PREPARE_H
#define CLI_PREPARE_H

#include "base/arena.h"
#include "base/config.h"
#include "base/err.h"
#include "wire/proto/agent.pb-c.h"
#include "wire/proto/casemate.pb-c.h"

enum {
	PREPARE_LAYERS = 128,
	PREPARE_FDS = PREPARE_LAYERS + 4,
};

struct prepare {
	struct arena arena; /* what result points at lives here */
	struct config config;
	Casemate__PrepareRequest *request;
	Casemate__PrepareResult result;
	int fds[PREPARE_FDS];
	size_t fd_count;
	int progress_fd;
	uint64_t phase_us;
};

/* Adds the VM to the result, and what it is given of the host to the specification. */
int prepare_vm(struct prepare *prepare, Agent__ContainerSpec *spec, struct err *err);

/* A line for the user, said once, now. */
void prepare_note(struct prepare *prepare, const char *text);

#endif
