/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the flags of `run` and `exec`, from one table: parsed, refused by name, shown by
 * --help. They mean what they mean in podman.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct options {
	bool interactive, terminal, detach, remove, read_only, entrypoint_set, help;
	const char *name; /* NULL: not given; all borrowed from argv */
	const char *pod;
	const char *workdir;
	const char *user;
	const char *entrypoint;
	const char *hostname;
	const char *accel;
	struct strv env;       /* NAME=VALUE, files' first; NAME alone was looked up */
	struct strv env_files; /* empty after options_parse() */
	struct strv config;    /* KEY=VALUE */
	uint32_t cpu_milli;
	uint64_t memory_bytes;
	int first; /* argv[first] is the first that is no flag */
};

enum options_command {
	OPTIONS_RUN = 1,
	OPTIONS_EXEC = 2,
};

/* -EINVAL with ERR_USAGE, or -EOPNOTSUPP with ERR_UNSUPPORTED for what is not there yet. */
int options_parse(enum options_command command, int argc, char **argv, struct options *ret,
		  struct err *err);
void options_done(struct options *options);
CLEANUP_FUNC(struct options, options_done)

/* The table as text for --help; free() it. NULL: out of memory. */
char *options_help(enum options_command command);

#endif
