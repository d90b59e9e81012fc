// SPDX-License-Identifier: Apache-2.0
/*
 * casemate-init - the guest's PID 1: mounts what programs expect, starts the agent, collects the
 * dead, and powers off when the agent has ended, however that came about.
 *
 * It has no configuration. Nothing here is worth a guest that hangs: a step that doesn't succeed
 * is a line on the console and the end, and the host has the console's last lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "sys/child.h"
#include "sys/guest.h"
#include "sys/host.h"

#define AGENT "/usr/lib/casemate/agent"
#define CGROUP "/sys/fs/cgroup"

struct init_mount {
	const char *type;
	const char *at;
	unsigned long flags;
	const char *options;
	mode_t make; /* the directory, if it isn't there */
};

static const struct init_mount mounts[] = {
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0 },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0 },
	{ "devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755", 0 },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5", 0755 },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", 01777 },
	{ "mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0755 },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", 0 },
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", 0 },
	{ "cgroup2", CGROUP, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, 0 },
};

static PRINTF_LIKE(1, 2) void say(const char *fmt, ...)
{
	char line[768];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	len = len > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : len;
	memcpy(line + len, "\r\n", 2);
	(void)!write(STDERR_FILENO, line, (size_t)len + 2);
}

static _Noreturn void power_off(void)
{
	int r = guest_power_off();

	errno = -r;
	say("casemate-init: power off: %m");
	for (;;)
		(void)pause();
}

/* What assert() calls: an end with a reason, not a PID 1 that the kernel panics about. */
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *fn);
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *fn)
{
	say("casemate-init: %s:%u: %s: assertion '%s' does not hold", file, line, fn, what);
	power_off();
}

static int mount_one(const struct init_mount *m, struct err *err)
{
	if (m->make && mkdir(m->at, m->make) < 0 && errno != EEXIST)
		return err_sys(err, "make directory '%s'", m->at);
	/* a kernel with DEVTMPFS_MOUNT has done /dev */
	if (mount(m->type, m->at, m->type, m->flags, m->options) < 0 && errno != EBUSY)
		return err_sys(err, "mount '%s'", m->at);
	return 0;
}

/* Makes the controllers that are there available to containers: "+cpu +memory +pids ...". */
static int enable_controllers(struct err *err)
{
	char names[256], enable[sizeof(names) * 2], *next = names;
	cleanup_close int from_fd = -1, to_fd = -1;
	const char *name;
	size_t len = 0;
	ssize_t got;

	from_fd = open(CGROUP "/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	got = from_fd < 0 ? -1 : read(from_fd, names, sizeof(names) - 1);
	if (got < 0)
		return err_sys(err, "read '" CGROUP "/cgroup.controllers'");
	names[got] = '\0';
	names[strcspn(names, "\n")] = '\0';
	while ((name = strsep(&next, " ")) && len < sizeof(enable))
		len += (size_t)snprintf(enable + len, sizeof(enable) - len, "+%s ", name);
	to_fd = open(CGROUP "/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	if (to_fd < 0 || write(to_fd, enable, len) < 0)
		return err_sys(err, "write '" CGROUP "/cgroup.subtree_control'");
	return 0;
}

static int set_up(struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mounts) && r == 0; i++)
		r = mount_one(&mounts[i], err);
	if (r == 0)
		r = enable_controllers(err);
	if (r == 0 && sethostname("casemate", strlen("casemate")) < 0)
		r = err_sys(err, "set the host name");
	return r < 0 ? r : guest_loopback_up(err);
}

static int run_agent(const char *began, uint32_t *ret_status, struct err *err)
{
	const int stdio_fds[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	char agent[] = AGENT, argument[32];
	char *const argv[] = { agent, argument, NULL };
	char *const envp[] = { NULL };
	pid_t pid, ended = -1;
	int r;

	(void)snprintf(argument, sizeof(argument), "%s", began);
	r = child_start(argv, envp, stdio_fds, &pid, err);
	while (r == 0 && ended != pid)
		r = child_wait(&ended, ret_status);
	return r;
}

int main(void)
{
	struct err err = { 0 };
	uint32_t status = 0;
	char began[32];
	int r;

	(void)snprintf(began, sizeof(began), "%llu", (unsigned long long)host_boottime_us());
	if (getpid() != 1) {
		say("casemate-init: this is the guest's PID 1 and nothing else");
		return 2;
	}
	r = set_up(&err);
	if (r == 0)
		r = run_agent(began, &status, &err);
	if (r < 0)
		say("casemate-init: %s: power off", err.msg);
	else
		say("casemate-init: the agent ended with status %u: power off", status);
	power_off();
}
