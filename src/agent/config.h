/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - crun's configuration, made of a container specification by fixed rules.
 *
 * The rules are those of podman's defaults where a VM does not change the reason for them:
 * namespaces of its own for process IDs, IPC, host name, mounts, cgroup and network (loopback
 * only), the usual paths of /proc and /sys masked or read-only, no device but the standard ones; a
 * read-only root leaves /run, /tmp and /var/tmp to write to. There is no seccomp filter: the kernel
 * behind these system calls is the pod's own.
 *
 * Capabilities are the specification's, for the container's process and for an exec that names no
 * other user. An exec as another user gets all of the bounding set as root, and else nothing in
 * effect. A specification without any means podman's: eleven for user 0, none in effect for
 * others. no_new_privileges and limits are those of the specification for every process, but that
 * without RLIMIT_NOFILE it is 1024, and 524288 at most.
 *
 * Of passed-through devices a container has the nodes, which all of its users may open, and the
 * network namespace where the interfaces are; of one without driver the files of its memory BARs
 * over those in /sys, to be written, and nothing else there.
 *
 * Secrets are files under /run/secrets that only the container's user may read, and nobody write.
 *
 * Environment, later ones winning: PATH, TERM with a terminal, HOSTNAME, HOME, then what the
 * container's specification says, then what the exec request says.
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdint.h>

#include "agent/devices.h"
#include "agent/users.h"
#include "base/err.h"
#include "wire/proto/agent.pb-c.h"

#define CONFIG_CGROUP "/casemate" /* of all containers */

struct config_process {
	const Agent__ContainerSpec *spec;
	const Agent__Process *exec; /* NULL: this is the container's own */
	const struct user *user;
	const char *hostname;
	uint16_t width; /* of the terminal; 0: not known */
	uint16_t height;
};

struct config_container {
	const char *id;
	const char *root;	       /* path of the root file system in the guest */
	const struct devices *devices; /* found and given; NULL: none */
	const char *secrets;	       /* path of the directory with its secrets; NULL: none */
	struct config_process process;
};

/*
 * JSON text that the caller frees: a "process" object for `crun exec --process`, and a whole
 * config.json. -ENOMEM; -EINVAL: a string that isn't UTF-8.
 */
int config_exec(const struct config_process *process, char **ret_text, struct err *err);
int config_create(const struct config_container *container, char **ret_text, struct err *err);

/* What a process is given as PATH. */
const char *config_path(const struct config_process *process);

/* Where a process begins: its own cwd, else the container's, else "/". */
const char *config_cwd(const struct config_process *process);

#endif
