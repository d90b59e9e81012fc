/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle - an OCI runtime bundle's config.json (runtime-spec 1.x), as far as a pod can do it.
 *
 * A bundle says in detail how a container is to be set up on a host. Here it is set up in a
 * guest, by the agent's own fixed rules. So each entry is one of three:
 *
 * taken     process.args, env, cwd, terminal, user.uid, user.gid, capabilities, rlimits,
 *           noNewPrivileges; root.path, root.readonly; hostname; linux.resources: memory.limit,
 *           cpu.quota with cpu.period, pids.limit.
 *           No capabilities asked for are none. permitted and inheritable have to be within
 *           bounding, and effective within permitted; of ambient, what is not both permitted and
 *           inheritable is left out: Linux would, and `runc spec` and `crun spec` write it.
 * accepted  what `crun spec` and `runc spec` write by default, and what changes nothing here:
 *           their seven mounts with options from those lists; their masked and read-only paths;
 *           the namespaces pid, network, ipc, uts, mount (each has to be there, without a path)
 *           and cgroup, and user with one ID mapped to 0; the deny-all device rule; umask 0022;
 *           process.consoleSize (the client's own counts); annotations. With a user namespace,
 *           which is not made, capabilities out of podman's default set and AUDIT_WRITE.
 * refused   everything else, known to the runtime-spec or not, by its JSON pointer: bind and other
 *           mounts, hooks, devices, seccomp, AppArmor and SELinux labels, additional groups,
 *           sysctl, a host's namespaces, other resources... Only an entry that is null, "", 0,
 *           false, [] or {} asks for nothing and is accepted under any known or unknown name.
 */
#ifndef OCI_BUNDLE_H
#define OCI_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/privilege.h"
#include "oci/process.h"

enum {
	OCI_HOSTNAME_MAX = 64,	   /* Linux's */
	OCI_BUNDLE_LIST_MAX = 256, /* mounts, masked paths, capabilities... each */
	OCI_CPU_MILLI_MAX = 1024 * 1000,
	OCI_PIDS_MAX = 4 << 20, /* Linux's PID_MAX_LIMIT */
};

struct oci_bundle {
	struct oci_process_base process; /* cmd is process.args, user is "UID:GID" */
	bool terminal;			 /* what the bundle says; `run` goes by its own flag */
	const char *root_path; /* of the root file system; relative to the bundle's directory */
	bool read_only;
	struct privilege_sets capabilities; /* they are possible */
	struct privilege_limit limits[PRIVILEGE_LIMITS];
	bool no_new_privileges;
	const char *hostname;  /* "": none */
	uint32_t cpu_milli;    /* thousandths of a CPU, rounded up; 0: no limit */
	uint64_t memory_bytes; /* 0: no limit */
	uint32_t pids;	       /* 0: no limit */
	bool pids_set;	       /* it says so itself */
};

/*
 * What ret_bundle points at lives in arena. -EINVAL with ERR_IMAGE: not as the runtime-spec has
 * it; -EOPNOTSUPP with ERR_UNSUPPORTED: it asks for what is not there; -E2BIG with
 * ERR_IMAGE_LIMIT; -ENOMEM.
 */
int oci_bundle_parse(struct arena *arena, struct bytes text, const char *file,
		     struct oci_bundle *ret_bundle, struct err *err);

#endif
