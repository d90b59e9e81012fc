// SPDX-License-Identifier: Apache-2.0
#include "sys/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

static int jail_write(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

int jail_map_ids(uid_t uid, gid_t gid, const char **ret_step)
{
	char line[48];
	int r;

	*ret_step = "give up other groups";
	r = jail_write("/proc/self/setgroups", "deny");
	if (r < 0)
		return r;
	*ret_step = "map the group ID";
	(void)snprintf(line, sizeof(line), "%u %u 1", gid, gid);
	r = jail_write("/proc/self/gid_map", line);
	if (r < 0)
		return r;
	*ret_step = "map the user ID";
	(void)snprintf(line, sizeof(line), "%u %u 1", uid, uid);
	return jail_write("/proc/self/uid_map", line);
}

/* Adds flags to a mount and what lies below; those that a mount has can't be lost this way. */
static int jail_restrict(const char *path, unsigned int flags, uint64_t attributes)
{
	struct mount_attr attr = { .attr_set = attributes };

	return mount_setattr(AT_FDCWD, path, flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int jail_bind_tree(const char *from, const char *to)
{
	if (mkdir(to, 0755) < 0 || mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	return jail_restrict(to, AT_RECURSIVE,
			     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* A file that isn't there on the host isn't there inside either. */
static int jail_bind_file(const char *from, const char *to, uint64_t attributes)
{
	cleanup_close int fd = -1;

	if (access(from, F_OK) < 0)
		return 0;
	fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return jail_restrict(to, 0, attributes);
}

/* Links stay links (/lib is one to usr/lib), folders are bound, what isn't there stays away. */
static int jail_copy_name(const char *from, const char *to)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t len;

	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISLNK(st.st_mode))
		return jail_bind_tree(from, to);
	len = readlink(from, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	return symlink(target, to) < 0 ? -errno : 0;
}

/* Any folder will do to build on: in this namespace nobody else sees what covers it. */
static int jail_mount_base(void)
{
	static const char *const bases[] = { "/tmp", "/run", "/mnt" };

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (mount("casemate", bases[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "mode=0755,size=64k,nr_inodes=256") == 0)
			return chdir(bases[i]) < 0 ? -errno : 0;
		if (errno != ENOENT)
			break;
	}
	return -errno;
}

static int jail_mount_proc(void)
{
	if (mkdir("proc", 0755) < 0)
		return -errno;
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) == 0)
		return 0;
	if (mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	return jail_restrict("proc", AT_RECURSIVE,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static int jail_bind_node(const char *node)
{
	const char *slash = strchr(node, '/');
	char from[64], to[64];

	if (snprintf(from, sizeof(from), "/dev/%s", node) >= (int)sizeof(from))
		return -ENAMETOOLONG;
	if (slash) {
		(void)snprintf(to, sizeof(to), "dev/%.*s", (int)(slash - node), node);
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return jail_bind_file(from, from + 1, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

static int jail_show_devices(const char *const *nodes, const char **ret_step)
{
	int r = 0;

	*ret_step = "show device nodes";
	for (size_t i = 0; r == 0 && nodes[i]; i++)
		r = jail_bind_node(nodes[i]);
	if (r < 0)
		return r;
	*ret_step = "show '/sys'";
	return jail_bind_tree("/sys", "sys");
}

static int jail_fill(const char **ret_step)
{
	static const char *const libraries[] = { "lib", "lib32", "lib64", "libx32" };
	char from[16];
	int r;

	*ret_step = "show /usr";
	r = jail_bind_tree("/usr", "usr");
	*ret_step = r < 0 ? *ret_step : "show the libraries";
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(libraries); i++) {
		(void)snprintf(from, sizeof(from), "/%s", libraries[i]);
		r = jail_copy_name(from, libraries[i]);
	}
	if (r < 0)
		return r;
	*ret_step = "show single files";
	if (mkdir("etc", 0755) < 0 || mkdir("dev", 0755) < 0)
		return -errno;
	r = jail_bind_file("/etc/ld.so.cache", "etc/ld.so.cache",
			   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (r == 0)
		r = jail_bind_file("/dev/null", "dev/null", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (r == 0)
		r = jail_bind_file("/dev/urandom", "dev/urandom",
				   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (r < 0)
		return r;
	*ret_step = "show processes";
	return jail_mount_proc();
}

int jail_enter_root(const char *const *nodes, const char **ret_step)
{
	int r;

	/* Else what is mounted here would be seen in the namespace this one was copied from. */
	*ret_step = "part with the host's mounts";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	*ret_step = "mount a root";
	r = jail_mount_base();
	if (r < 0)
		return r;
	r = jail_fill(ret_step);
	if (r == 0 && nodes)
		r = jail_show_devices(nodes, ret_step);
	if (r < 0)
		return r;
	*ret_step = "make the root read-only";
	r = jail_restrict(".", 0, MOUNT_ATTR_RDONLY);
	if (r < 0)
		return r;
	/* The old root ends up on top of the new one, and goes from there. */
	*ret_step = "enter the root";
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}
