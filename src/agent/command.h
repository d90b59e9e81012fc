/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - whether the guest's kernel can execute what is to be run, as far as its first bytes say.
 *
 * crun looks that there is a file that may be executed; what the kernel makes of it, crun finds out
 * only when it has said that the process runs, and then its complaint is output of the container.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include "base/err.h"

enum {
	COMMAND_HEAD_MAX = 256,	 /* of a file; the kernel reads as much (BINPRM_BUF_SIZE) */
	COMMAND_PATH_MAX = 4095, /* of a file's path, its end not counted */
};

struct command {
	const char *name;
	const char *cwd;  /* absolute: where a name with a '/' in it begins, unless at the root */
	const char *path; /* of folders, a ':' between; for a name without '/' */
};

/*
 * Looks below root_fd, as a process chrooted there would. -ENOEXEC: the file is neither an x86-64
 * ELF program nor a script; -ENOENT: it is a script whose interpreter is not there. 0 also for what
 * is not there, is no file or may not be executed: crun tells these.
 */
int command_check(int root_fd, const struct command *command, struct err *err);

#endif
