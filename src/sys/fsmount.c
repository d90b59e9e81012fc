// SPDX-License-Identifier: Apache-2.0
#include "sys/fsmount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/macro.h"

/* The kernel queues what it has to say at the context's descriptor: "e overlay: ...\n". */
static int fail_with_log(int fs_fd, const char *type, const char *step, struct err *err)
{
	int num = -errno;
	char said[256];
	ssize_t got;

	got = read(fs_fd, said, sizeof(said) - 1);
	if (got <= 2)
		return err_num(err, num, "mount %s: %s", type, step);
	said[got] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return err_set(err, num, "mount %s: %s: %s", type, step, said + 2);
}

int fsmount_make(const char *type, const struct fsmount_option *options, size_t count,
		 unsigned attrs, int *ret_fd, struct err *err)
{
	cleanup_close int fs_fd = -1;
	int fd, r;

	fs_fd = fsopen(type, FSOPEN_CLOEXEC);
	if (fs_fd < 0)
		return err_sys(err, "mount %s", type);
	for (size_t i = 0; i < count; i++) {
		const struct fsmount_option *o = &options[i];

		r = fsconfig(fs_fd, o->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o->key,
			     o->value, 0);
		if (r < 0)
			return fail_with_log(fs_fd, type, o->key, err);
	}
	if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fail_with_log(fs_fd, type, "open it", err);
	fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, attrs);
	if (fd < 0)
		return fail_with_log(fs_fd, type, "make a mount", err);
	*ret_fd = fd;
	return 0;
}

int fsmount_place(int mount_fd, int dir_fd, const char *path, struct err *err)
{
	if (move_mount(mount_fd, "", dir_fd, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount on '%s'", path);
	return 0;
}

int fsmount_remove(int dir_fd, const char *path, struct err *err)
{
	char at[4096];
	int len;

	/* umount2() has no form that takes a descriptor */
	len = snprintf(at, sizeof(at), "/proc/self/fd/%d/%s", dir_fd, path);
	if (len < 0 || (size_t)len >= sizeof(at))
		return err_set(err, -ENAMETOOLONG, "unmount '%s': the path is too long", path);
	if (umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_sys(err, "unmount '%s'", path);
	return 0;
}
