/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container - the containers of the pod: made from a specification and disks, deleted without a
 * trace, and the processes in them found by name.
 *
 * A container is its first process (state/process.h); it has to have ended, or never begun, to be
 * deleted. All answers to calls are given here, sooner or later.
 */
#ifndef AGENT_CONTAINER_H
#define AGENT_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/crun.h"
#include "agent/devices.h"
#include "agent/gate.h"
#include "agent/layers.h"
#include "agent/prover.h"
#include "agent/reaper.h"
#include "agent/relay.h"
#include "rpc/conn.h"
#include "rpc/status.h"
#include "sys/loop.h"
#include "wire/proto/agent.pb-c.h"

enum {
	CONTAINER_MAX = 64,
	CONTAINER_EXECS_MAX = 256, /* of all containers, ended ones that were not deleted too */
	CONTAINER_PIDS_MAX = 4096, /* listed at once */
	/* for disks and passed-through devices, if the call doesn't say how long its maker waits */
	CONTAINER_HARDWARE_MS = 10000,
	CONTAINER_ANSWER_MS = 2000, /* of what it says, for all else */
};

struct process;

/* What containers share. */
struct container_table {
	struct loop *loop;
	struct reaper *reaper;
	int sysfs_fd;  /* /sys */
	int cgroup_fd; /* the directory of all containers' groups */
	int run_fd;    /* CONTAINER_DIR */
	int dm_fd;
	int dev_fd; /* /dev */
	int uevent_fd;
	struct loop_source *uevent_source;
	struct container *containers;
	size_t count;
	size_t exec_count;
	unsigned next_number;
	bool has_modules;   /* the profile's are loaded */
	struct gate *gate;  /* NULL: there is no TEE */
	struct relay relay; /* to the broker */
};

#define CONTAINER_DIR "/run/casemate"

struct container {
	struct container *next;
	struct container_table *table;
	char id[SPEC_ID_MAX + 1];
	char dir[sizeof(CONTAINER_DIR) + SPEC_ID_MAX + 1];
	int dir_fd;
	int root_fd; /* the root file system, for lookups in it */
	Agent__ContainerSpec *spec;
	Agent__CreateContainerRequest *request; /* while it is being made: its serials */
	char hostname[SPEC_HOSTNAME_MAX + 1];
	struct layers layers;
	struct devices devices;	   /* its, until it is deleted: nobody else may have them */
	struct process *processes; /* the first one last: its exec_id is "" */
	size_t allowed;		   /* with a gate: the policy's container that it is */
	bool has_secrets;	   /* files of them */
	bool is_going;		   /* it can't be found any more, but its name is taken */
	unsigned next_name;	   /* of files in dir */
	struct rpc_call *call;	   /* that makes or deletes it */
	struct loop_source *timer;
	struct crun *crun;
	struct prover *prover; /* while it gets the secrets */
	struct relay_link *link;
};

/* As rpc_errno_status(); what is wrong with a request, or isn't in the image, is the caller's. */
enum rpc_status container_status(int num);

/* Opens what containers need of the guest. */
int container_table_init(struct container_table *table, struct loop *loop, struct reaper *reaper,
			 struct err *err);

/*
 * Answers call when the container has been made, or couldn't be. Disks and devices are waited for as
 * long as the maker of the call waits, less what is needed to say which of them isn't there.
 */
void container_create(struct container_table *table, struct rpc_call *call,
		      Agent__CreateContainerRequest *take_request);

/* Answers call when nothing of it is left. */
void container_delete(struct container *container, struct rpc_call *call);

/* NULL: there is none of that name. */
struct container *container_find(struct container_table *table, const char *id);
struct process *container_process(const struct container *container, const char *exec_id);

/* To every process of the container. -ESRCH: there is none. */
int container_kill(struct container *container, int signal, struct err *err);

/* Answers call. */
void container_list(const struct container *container, struct rpc_call *call);

#endif
