/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the flags of all subcommands, from one table: parsed, refused by name, shown by --help.
 * Those of `run` and `exec` mean what they mean in podman.
 *
 * A flag is its whole name, or its letter: what is only the beginning of a name is refused, since
 * it would mean something else as soon as there is another flag that begins so.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/proto/casemate.pb-c.h"

struct options {
	bool interactive, terminal, detach, remove, read_only, entrypoint_set, help;
	bool all, force, follow, json;
	bool pids_set, vf, tune_acs, all_pairs;
	const char *name; /* NULL: not given; all borrowed from argv */
	const char *pod;
	const char *workdir;
	const char *user;
	const char *entrypoint;
	const char *hostname;
	const char *accel;
	const char *near;
	const char *mode;
	const char *from;
	const char *format;
	const char *save;
	const char *tee;
	const char *vcpu_type;
	const char *firmware;
	const char *firmware_hash;
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *guest_features;
	const char *vmm;
	const char *evidence;
	const char *at;
	const char *nonce;
	const char *policy;
	const char *broker;
	const char *broker_key;
	const char *reference;
	const char *add;
	const char *plan;
	struct strv collateral;
	struct strv secrets;   /* NAME=URI */
	struct strv execs;     /* "any", or a JSON array of strings */
	struct strv devices;   /* PCI addresses */
	struct strv env;       /* NAME=VALUE, files' first; NAME alone was looked up */
	struct strv env_files; /* empty after options_parse() */
	struct strv config;    /* KEY=VALUE */
	uint32_t cpu_milli;
	uint32_t pids; /* 0: no limit, if pids_set */
	uint32_t gpus, nics, nvme;
	uint32_t vcpus; /* 0: not given */
	uint64_t memory_bytes;
	char **words; /* what is no flag, in argv; NULL at the end */
	int word_count;
};

enum options_command {
	OPTIONS_RUN = 1 << 0,
	OPTIONS_EXEC = 1 << 1,
	OPTIONS_LIST = 1 << 2,
	OPTIONS_STATE = 1 << 3,
	OPTIONS_PS = 1 << 4,
	OPTIONS_LOGS = 1 << 5,
	OPTIONS_KILL = 1 << 6,
	OPTIONS_DELETE = 1 << 7,
	OPTIONS_RECOVER = 1 << 8,
	OPTIONS_CONFIG = 1 << 9,
	OPTIONS_EXPLAIN = 1 << 10,
	OPTIONS_PLAN = 1 << 11,
	OPTIONS_TOPOLOGY = 1 << 12,
	OPTIONS_MEASURE = 1 << 13,
	OPTIONS_VERIFY = 1 << 14,
	OPTIONS_POLICY = 1 << 15,
	OPTIONS_DEVICES = 1 << 16,
};

/*
 * argv[0] is the subcommand, argv[argc] is NULL. The first word that is no flag ends the flags of
 * run, exec and policy; with the others they may stand anywhere before a "--", and argv is put in order.
 *
 * -EINVAL with ERR_USAGE, or -EOPNOTSUPP with ERR_UNSUPPORTED for what is not there yet.
 */
int options_parse(enum options_command command, int argc, char **argv, struct options *ret,
		  struct err *err);
/* Borrows from options. */
void options_fill_devices(const struct options *options, Casemate__DeviceRequest *ret);

void options_done(struct options *options);
CLEANUP_FUNC(struct options, options_done)

/* The table as text for --help; free() it. NULL: out of memory. */
char *options_help(enum options_command command);

#endif
