// SPDX-License-Identifier: Apache-2.0
#include "lease/kind_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "sys/file.h"
#include "sys/lockfile.h"

int lease_open_dir(const struct lease_site *site, const char *path, int *ret, struct err *err)
{
	return file_open_beneath(site->run_fd, path, O_RDONLY | O_DIRECTORY, ret, err);
}

void lease_site_step(const struct lease_site *site, const char *where)
{
	if (site->after_step)
		site->after_step(site->data, where);
}

/* Of a step that may never have been taken: what is not there needs no undoing. */
static int unless_absent(int r)
{
	return r == -ENOENT ? 0 : r;
}

/* dir: the pod's run directory, pods/POD. The argument is the pod's name, for the reader. */

static int undo_dir(const struct lease_site *site, const char *arg, struct err *err)
{
	cleanup_close int pods_fd = -1;
	int r;

	(void)arg;
	r = lease_open_dir(site, "pods", &pods_fd, err);
	if (r < 0)
		return unless_absent(r);
	return file_remove_tree(pods_fd, site->pod, err);
}

static int apply_dir(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	cleanup_free char *path = NULL;
	int r;

	/* Whoever holds the name's lock has no run directory yet: what is there is nobody's. */
	r = undo_dir(site, arg, err);
	if (r < 0)
		return r;
	if (asprintf(&path, "pods/%s", site->pod) < 0)
		return err_num(err, -ENOMEM, "make the run directory");
	r = file_mkdir_p(site->run_fd, path, 0700, err);
	return r < 0 ? r : lease_open_dir(site, path, ret_fd, err);
}

/* uid: a claim of a user id, uids/N. */

static int apply_uid(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	cleanup_close int uids_fd = -1;
	int r = file_mkdir_p(site->run_fd, "uids", 0700, err);

	(void)ret_fd;
	if (r == 0)
		r = lease_open_dir(site, "uids", &uids_fd, err);
	if (r < 0)
		return r;
	r = file_claim(uids_fd, arg, site->pod);
	return r < 0 ? err_num(err, r, "claim user id %s", arg) : 0;
}

static int undo_uid(const struct lease_site *site, const char *arg, struct err *err)
{
	cleanup_close int uids_fd = -1;
	int r = lease_open_dir(site, "uids", &uids_fd, err);

	if (r < 0)
		return unless_absent(r);
	r = file_unclaim(uids_fd, arg, site->pod);
	return r < 0 ? err_num(err, r, "free user id %s", arg) : 0;
}

/* file: a file to be made in the run directory, by its path. */

static int apply_file(const struct lease_site *site, const char *arg, int *ret_fd, struct err *err)
{
	(void)site;
	(void)arg;
	(void)ret_fd;
	(void)err;
	return 0; /* the caller makes it */
}

static int undo_file(const struct lease_site *site, const char *arg, struct err *err)
{
	const char *slash = strrchr(arg, '/'), *name = slash ? slash + 1 : arg;
	cleanup_free char *above = slash ? strndup(arg, (size_t)(slash - arg)) : strdup(".");
	cleanup_close int dir_fd = -1;
	int r;

	if (!above)
		return err_num(err, -ENOMEM, "remove '%s'", arg);
	r = lease_open_dir(site, above, &dir_fd, err);
	if (r < 0)
		return unless_absent(r);
	return file_remove_tree(dir_fd, name, err);
}

/* process: a lock file pods/POD/NAME.lock, held by the process and all that it starts. */

static int open_lock_dir(const struct lease_site *site, int *ret, struct err *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "pods/%s", site->pod) < 0)
		return err_num(err, -ENOMEM, "open the run directory");
	return lease_open_dir(site, path, ret, err);
}

static int apply_process(const struct lease_site *site, const char *arg, int *ret_fd,
			 struct err *err)
{
	cleanup_close int dir_fd = -1;
	cleanup_free char *name = NULL;
	int r;

	if (asprintf(&name, "%s.lock", arg) < 0)
		return err_num(err, -ENOMEM, "make a lock file");
	r = open_lock_dir(site, &dir_fd, err);
	return r < 0 ? r : lockfile_open(dir_fd, name, true, 0, ret_fd, err);
}

static int undo_process(const struct lease_site *site, const char *arg, struct err *err)
{
	cleanup_close int dir_fd = -1, fd = -1;
	cleanup_free char *name = NULL;
	int r;

	if (asprintf(&name, "%s.lock", arg) < 0)
		return err_num(err, -ENOMEM, "open a lock file");
	r = open_lock_dir(site, &dir_fd, err);
	if (r == 0)
		r = file_open_beneath(dir_fd, name, O_RDONLY | O_NOFOLLOW, &fd, err);
	if (r < 0)
		return unless_absent(r);
	/* The kernel kills it when its parent dies; it may take a while to be gone. */
	r = file_lock(fd, true, site->grace_ms);
	if (r == -EWOULDBLOCK) {
		r = lockfile_kill_holders(site->proc_fd, fd, err);
		if (r < 0)
			return r;
		r = file_lock(fd, true, site->kill_ms);
	}
	if (r < 0)
		return err_num(err, r, "wait for the end of '%s'", arg);
	return file_remove_tree(dir_fd, name, err);
}

static const struct lease_kind kind_dir = { "dir", true, false, apply_dir, undo_dir };
static const struct lease_kind kind_uid = { "uid", true, false, apply_uid, undo_uid };
static const struct lease_kind kind_file = { "file", true, false, apply_file, undo_file };
static const struct lease_kind kind_process = { "process", false, true, apply_process,
						undo_process };

static const struct lease_kind *const kinds[] = {
	&kind_dir,	    &kind_uid,	       &kind_file,	&kind_process,
	&lease_kind_device, &lease_kind_group, &lease_kind_vfs, &lease_kind_acs,
};

const struct lease_kind *lease_kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	return NULL;
}
