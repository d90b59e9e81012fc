// SPDX-License-Identifier: Apache-2.0
#include "agent/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/macro.h"
#include "sys/file.h"
#include "sys/fsmount.h"

enum { PAGE = 4096 };

int secrets_write(int dir_fd, const struct secrets_file *file, uid_t uid, gid_t gid,
		  struct err *err)
{
	cleanup_close int fd = openat(dir_fd, file->name,
				      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	int r;

	if (fd < 0)
		return err_sys(err, "make secret '%s'", file->name);
	r = file_write_all(fd, file->data, err);
	if (r == 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, 0400) < 0))
		r = err_sys(err, "give secret '%s' to its user", file->name);
	return r;
}

/* What they need and no more: the size is bounded by what was given. */
static int make(const struct secrets_file *files, size_t count, int *ret_fd, struct err *err)
{
	char size[32], inodes[32];
	size_t pages = 0;

	if (count > SECRETS_MAX)
		return err_set(err, -E2BIG, "give secrets: more than %d", SECRETS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (files[i].data.len > SECRETS_BYTES_MAX)
			return err_set(err, -E2BIG, "give secret '%s': more than %d bytes",
				       files[i].name, SECRETS_BYTES_MAX);
		pages += (files[i].data.len + PAGE - 1) / PAGE;
	}
	(void)snprintf(size, sizeof(size), "%zu", (pages + 1) * PAGE);
	(void)snprintf(inodes, sizeof(inodes), "%zu", count + 1);
	return fsmount_make("tmpfs",
			    (struct fsmount_option[]){
				    { "size", size }, { "nr_inodes", inodes }, { "mode", "0755" } },
			    3, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, ret_fd,
			    err);
}

int secrets_mount(int dir_fd, const struct secrets_file *files, size_t count, uid_t uid, gid_t gid,
		  struct err *err)
{
	cleanup_close int mount_fd = -1;
	int r = make(files, count, &mount_fd, err);

	for (size_t i = 0; i < count && r == 0; i++)
		r = secrets_write(mount_fd, &files[i], uid, gid, err);
	if (r == 0 && mkdirat(dir_fd, SECRETS_DIR, 0700) < 0)
		r = err_sys(err, "make directory '" SECRETS_DIR "'");
	if (r == 0)
		r = fsmount_place(mount_fd, dir_fd, SECRETS_DIR, err);
	if (r < 0 && mount_fd >= 0)
		(void)secrets_overwrite(mount_fd, NULL);
	return r;
}

static int overwrite(int dir_fd, const char *name, struct err *err)
{
	static const uint8_t zeros[PAGE];
	cleanup_close int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open secret '%s'", name);
	for (off_t at = 0; at < st.st_size;) {
		off_t rest = st.st_size - at;
		ssize_t n = pwrite(fd, zeros, rest < PAGE ? (size_t)rest : PAGE, at);

		if (n <= 0)
			return err_sys(err, "overwrite secret '%s'", name);
		at += n;
	}
	return 0;
}

int secrets_overwrite(int dir_fd, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	int r = file_list(dir_fd, ".", &names, err);

	for (size_t i = 0; i < names.len && r == 0; i++)
		r = overwrite(dir_fd, names.at[i], err);
	return r;
}

void secrets_wipe(int dir_fd)
{
	cleanup_close int mount_fd = -1;

	if (file_open_dir(dir_fd, SECRETS_DIR, &mount_fd, NULL) < 0)
		return;
	(void)secrets_overwrite(mount_fd, NULL);
	(void)fsmount_remove(dir_fd, SECRETS_DIR, NULL);
	(void)unlinkat(dir_fd, SECRETS_DIR, AT_REMOVEDIR);
}
