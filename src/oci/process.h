/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - the command a container runs, of what its image says and what was asked for.
 *
 * The rules are podman's and docker's:
 * - arguments replace the image's Cmd; an entry point replaces the image's Entrypoint and drops
 *   its Cmd; the command is the one followed by the other;
 * - the environment is the image's, each name overridden in its place, new names after it in the
 *   order asked, of a name that is asked twice the last; PATH is OCI_PROCESS_PATH if nobody
 *   says, and with a terminal TERM is xterm;
 * - HOME is not set here: it comes from the image's passwd, which only the agent reads.
 */
#ifndef OCI_PROCESS_H
#define OCI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "oci/json.h"

#define OCI_PROCESS_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum {
	OCI_ARGS_MAX = 4096,	 /* of Entrypoint, Cmd and args each, and together */
	OCI_ENV_MAX = 4096,	 /* of the image and of the request each, and together */
	OCI_STRING_MAX = 131071, /* the kernel's MAX_ARG_STRLEN without the NUL */
	OCI_USER_MAX = 255,
	OCI_CWD_MAX = 4095,
	OCI_PROCESS_BYTES_MAX = 1 << 20, /* all strings together, with their NULs */
};

/* What an image or a bundle brings along. All zeros: a plain directory. */
struct oci_process_base {
	struct oci_strings entrypoint;
	struct oci_strings cmd;
	struct oci_strings env; /* NAME=VALUE */
	const char *cwd;	/* NULL or "": "/" */
	const char *user;	/* NULL or "": root */
};

struct oci_process_request {
	struct oci_strings args;
	bool entrypoint_set; /* with an empty entrypoint: none */
	struct oci_strings entrypoint;
	struct oci_strings env; /* NAME=VALUE */
	const char *cwd;	/* NULL or "": the base's */
	const char *user;	/* NULL or "": the base's */
	bool terminal;
};

struct oci_process {
	struct oci_strings args; /* one at least */
	struct oci_strings env;	 /* no name twice */
	const char *cwd;	 /* absolute */
	const char *user;	 /* "", USER or USER:GROUP, each a name or a number */
	bool terminal;
};

/*
 * What ret_process points at lives in arena, or where base and request do.
 * -EINVAL with ERR_USAGE: no command, a variable without '=' or name, a relative cwd, a user
 * that can't be one; with ERR_IMAGE the same from the base. -E2BIG with ERR_IMAGE_LIMIT: more
 * than the limits above. -ENOMEM.
 */
int oci_process_make(struct arena *arena, const struct oci_process_base *base,
		     const struct oci_process_request *request, struct oci_process *ret_process,
		     struct err *err);

/* NAME=VALUE with a name. */
bool oci_process_is_variable(const char *text);

/* "", USER or USER:GROUP, of at most OCI_USER_MAX bytes, without blanks or control characters. */
bool oci_process_is_user(const char *text);

#endif
