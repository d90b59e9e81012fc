/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare - `casemate prepare`, the pod's short-lived child: image work and planning.
 *
 * It reads one casemate.PrepareRequest from descriptor 3 and writes one casemate.PrepareResult
 * with its descriptors back (wire/proto/casemate.proto). Everything that can be refused is
 * refused here, before the host is changed. prepare.c is the way in and the container's half,
 * prepare_vm.c the VM's, prepare_tee.c what a confidential one needs besides.
 */
#ifndef CLI_PREPARE_H
#define CLI_PREPARE_H

#include "base/arena.h"
#include "base/config.h"
#include "base/err.h"
#include "plan/layout.h"
#include "rootfs/image.h"
#include "wire/proto/agent.pb-c.h"
#include "wire/proto/casemate.pb-c.h"

enum {
	PREPARE_LAYERS = 128,
	PREPARE_FDS = PREPARE_LAYERS + 5,
};

/*
 * Zeroed, but for progress_fd (-1), request, and result, which is initialised: nothing prepared yet.
 * What it holds open goes with the process.
 */
struct prepare {
	struct arena arena;	    /* what result points at lives here */
	struct rootfs_image *image; /* and in here */
	struct config config;
	Casemate__PrepareRequest *request;
	Casemate__PrepareResult result;
	int fds[PREPARE_FDS];
	size_t fd_count;
	int progress_fd;
	uint64_t phase_us;
	enum layout_tee tee;
	Casemate__Tee *told_tee; /* by prepare_tee(); NULL: none */
	bool is_dry;		 /* it is not to be started: no policy is needed for it */
};

/* Closes what is open; request is the caller's. */
void prepare_done(struct prepare *prepare);
CLEANUP_FUNC(struct prepare, prepare_done)

/* The configuration, the image and its layers, the container's specification, the VM. */
int prepare_work(struct prepare *prepare, struct err *err);

/* The configuration and the VM, for a container with no more in it than the defaults. */
int prepare_vm_alone(struct prepare *prepare, struct err *err);

/*
 * What Vm.tee will say: the policy, the processor, the broker's addresses. Before the image is
 * worked on, which may take long: most of what is refused is refused here.
 */
int prepare_tee(struct prepare *prepare, struct err *err);

/* Adds the VM to the result, and what it is given of the host to the specification. */
int prepare_vm(struct prepare *prepare, Agent__ContainerSpec *spec, struct err *err);

/* A line for the user, said once, now. */
void prepare_note(struct prepare *prepare, const char *text);

#endif
