// SPDX-License-Identifier: Apache-2.0
#include "lease/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/file.h"

/* Others may have set the variable, or it may have come along with sudo. */
static bool is_users_own(const char *path, uid_t uid)
{
	cleanup_close int fd = -1;

	return path && path[0] == '/' && file_open_private_dir(AT_FDCWD, path, uid, &fd, NULL) == 0;
}

static int choose(const struct lease_run_dir_opts *opts, char **ret)
{
	int len;

	if (opts->configured[0])
		len = asprintf(ret, "%s", opts->configured);
	else if (opts->uid == 0)
		len = asprintf(ret, "%s/casemate", opts->system);
	else if (is_users_own(opts->user, opts->uid))
		len = asprintf(ret, "%s/casemate", opts->user);
	else
		len = asprintf(ret, "%s/casemate-%u", opts->tmp, (unsigned int)opts->uid);
	return len < 0 ? -ENOMEM : 0;
}

int lease_run_dir_find(const struct lease_run_dir_opts *opts, int *ret_fd, char **ret_path,
		       struct err *err)
{
	cleanup_free char *path = NULL;
	int r = choose(opts, &path);

	if (r < 0) {
		path = NULL; /* asprintf() leaves it undefined */
		return err_num(err, r, "open the run directory");
	}
	if (opts->must_exist && access(path, F_OK) < 0)
		return err_set(err, -ENOENT, "open the run directory: there is none");
	if (opts->configured[0] && !opts->must_exist)
		r = file_mkdir_p(AT_FDCWD, path, 0700, err);
	if (r == 0)
		r = file_open_private_dir(AT_FDCWD, path, opts->uid, ret_fd, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "open the run directory"), ERR_HOST);
	*ret_path = steal_ptr(&path);
	return 0;
}

static struct lease_run_dir_opts opts_of(const char *configured)
{
	return (struct lease_run_dir_opts){
		.configured = configured,
		.user = getenv("XDG_RUNTIME_DIR"),
		.system = "/run",
		.tmp = "/tmp",
		.uid = geteuid(),
	};
}

int lease_run_dir_open(const char *configured, int *ret_fd, char **ret_path, struct err *err)
{
	const struct lease_run_dir_opts opts = opts_of(configured);

	return lease_run_dir_find(&opts, ret_fd, ret_path, err);
}

int lease_run_dir_look(const char *configured, int *ret_fd, struct err *err)
{
	struct lease_run_dir_opts opts = opts_of(configured);
	cleanup_free char *path = NULL;

	opts.must_exist = true;
	return lease_run_dir_find(&opts, ret_fd, &path, err);
}
