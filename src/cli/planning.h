/* SPDX-License-Identifier: Apache-2.0 */
/*
 * planning - from what was asked for, on this host or a captured one, to a plan: what `casemate
 * plan` shows is what `casemate run` does, since both come through here.
 */
#ifndef CLI_PLANNING_H
#define CLI_PLANNING_H

#include "base/arena.h"
#include "base/config.h"
#include "base/err.h"
#include "machine/machine.h"
#include "plan/devices.h"
#include "plan/manifest.h"
#include "wire/proto/casemate.pb-c.h"

struct planning_request {
	const struct config *config;
	uint32_t cpu_milli; /* 0: the default */
	uint64_t memory_bytes;
	enum layout_accel accel;
	enum layout_tee tee;
	const struct manifest *guest;
	const Casemate__DeviceRequest *devices; /* NULL: none */
	const char *from;			/* a capture's path; NULL: this host */
	int *ret_choice_fd; /* NULL: nothing will be leased; else lease_choice_begin()'s, or as it is */
};

struct planning {
	struct machine *machine; /* NULL where no device is asked for */
	struct plan plan;
};

/*
 * A plan that is not possible is one too: plan.reasons. In the arena. -EINVAL with ERR_USAGE for a
 * word or address that is none; otherwise what reading the machine, and plan_make(), says.
 */
int planning_make(const struct planning_request *request, struct arena *arena,
		  struct planning **ret, struct err *err);

/* Opens the guest's directory and reads its manifest; ret_path gets the directory, for errors. */
int planning_open_guest(const struct config *config, int *ret_fd, struct manifest *ret,
			struct err *err);

#endif
