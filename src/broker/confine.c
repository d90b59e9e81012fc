// SPDX-License-Identifier: Apache-2.0
#include "broker/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/macro.h"
#include "sys/jail.h"

int confine_network(uid_t uid, gid_t gid)
{
	const char *step;

	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	return jail_map_ids(uid, gid, &step);
}

int confine_user(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

int confine_privileges(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &head, none) < 0)
		return -errno;
	return 0;
}

/* With no bit: always denied. */
struct call {
	int number;
	unsigned bits;
};

static const struct call calls[] = {
	{ SCMP_SYS(socket), CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SCMP_SYS(socketpair), CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SCMP_SYS(connect), CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SCMP_SYS(bind), CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SCMP_SYS(listen), CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SCMP_SYS(accept), CONFINE_SOCKETS },
	{ SCMP_SYS(accept4), CONFINE_SOCKETS },
	{ SCMP_SYS(openat), CONFINE_FILES },
	{ SCMP_SYS(openat2), CONFINE_FILES },
	{ SCMP_SYS(unlinkat), CONFINE_FILES },
	{ SCMP_SYS(renameat), CONFINE_FILES },
	{ SCMP_SYS(renameat2), CONFINE_FILES },
	{ SCMP_SYS(linkat), CONFINE_FILES },
	{ SCMP_SYS(symlinkat), CONFINE_FILES },
	{ SCMP_SYS(mkdirat), CONFINE_FILES },
	{ SCMP_SYS(mknodat), CONFINE_FILES },
	{ SCMP_SYS(fchmodat), CONFINE_FILES },
	{ SCMP_SYS(fchownat), CONFINE_FILES },
	{ SCMP_SYS(truncate), CONFINE_FILES },
	{ SCMP_SYS(open), CONFINE_FILES },
	{ SCMP_SYS(creat), CONFINE_FILES },
	{ SCMP_SYS(unlink), CONFINE_FILES },
	{ SCMP_SYS(rename), CONFINE_FILES },
	{ SCMP_SYS(link), CONFINE_FILES },
	{ SCMP_SYS(symlink), CONFINE_FILES },
	{ SCMP_SYS(mkdir), CONFINE_FILES },
	{ SCMP_SYS(rmdir), CONFINE_FILES },
	{ SCMP_SYS(mknod), CONFINE_FILES },
	{ SCMP_SYS(chmod), CONFINE_FILES },
	{ SCMP_SYS(chown), CONFINE_FILES },
	{ SCMP_SYS(fork), 0 },
	{ SCMP_SYS(vfork), 0 },
	{ SCMP_SYS(execve), 0 },
	{ SCMP_SYS(execveat), 0 },
	{ SCMP_SYS(ptrace), 0 },
	{ SCMP_SYS(process_vm_readv), 0 },
	{ SCMP_SYS(process_vm_writev), 0 },
	{ SCMP_SYS(pidfd_getfd), 0 },
	{ SCMP_SYS(kcmp), 0 },
	{ SCMP_SYS(unshare), 0 },
	{ SCMP_SYS(setns), 0 },
	{ SCMP_SYS(mount), 0 },
	{ SCMP_SYS(umount2), 0 },
	{ SCMP_SYS(pivot_root), 0 },
	{ SCMP_SYS(chroot), 0 },
	{ SCMP_SYS(open_tree), 0 },
	{ SCMP_SYS(move_mount), 0 },
	{ SCMP_SYS(fsopen), 0 },
	{ SCMP_SYS(open_by_handle_at), 0 },
	{ SCMP_SYS(bpf), 0 },
	{ SCMP_SYS(perf_event_open), 0 },
	{ SCMP_SYS(userfaultfd), 0 },
	{ SCMP_SYS(io_uring_setup), 0 },
	{ SCMP_SYS(add_key), 0 },
	{ SCMP_SYS(request_key), 0 },
	{ SCMP_SYS(keyctl), 0 },
	{ SCMP_SYS(init_module), 0 },
	{ SCMP_SYS(finit_module), 0 },
	{ SCMP_SYS(kexec_load), 0 },
};

static void filter_done(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}
CLEANUP_FUNC(scmp_filter_ctx, filter_done)

/* Calls of another architecture, or of x32, kill: that is libseccomp's own default. */
int confine_calls(unsigned deny)
{
	CLEANUP(filter_done) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		if (!calls[i].bits || calls[i].bits & deny)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i].number, 0);
	return r < 0 ? r : seccomp_load(filter);
}
