// SPDX-License-Identifier: Apache-2.0
#include "sys/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/jail.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

enum { X32_BIT = 0x40000000, FILTER_MAX = 512 };

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
	long number;
	unsigned bits;
};

static const struct call calls[] = {
	{ SYS_socket, CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SYS_socketpair, CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SYS_connect, CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SYS_bind, CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SYS_listen, CONFINE_CONNECT | CONFINE_SOCKETS },
	{ SYS_accept, CONFINE_SOCKETS },
	{ SYS_accept4, CONFINE_SOCKETS },
	{ SYS_openat, CONFINE_FILES },
	{ SYS_openat2, CONFINE_FILES },
	{ SYS_unlinkat, CONFINE_FILES },
	{ SYS_renameat, CONFINE_FILES },
	{ SYS_renameat2, CONFINE_FILES },
	{ SYS_linkat, CONFINE_FILES },
	{ SYS_symlinkat, CONFINE_FILES },
	{ SYS_mkdirat, CONFINE_FILES },
	{ SYS_mknodat, CONFINE_FILES },
	{ SYS_fchmodat, CONFINE_FILES },
	{ SYS_fchownat, CONFINE_FILES },
	{ SYS_truncate, CONFINE_FILES },
#ifdef SYS_open
	{ SYS_open, CONFINE_FILES },
	{ SYS_creat, CONFINE_FILES },
	{ SYS_unlink, CONFINE_FILES },
	{ SYS_rename, CONFINE_FILES },
	{ SYS_link, CONFINE_FILES },
	{ SYS_symlink, CONFINE_FILES },
	{ SYS_mkdir, CONFINE_FILES },
	{ SYS_rmdir, CONFINE_FILES },
	{ SYS_mknod, CONFINE_FILES },
	{ SYS_chmod, CONFINE_FILES },
	{ SYS_chown, CONFINE_FILES },
	{ SYS_fork, 0 },
	{ SYS_vfork, 0 },
#endif
	{ SYS_execve, 0 },
	{ SYS_execveat, 0 },
	{ SYS_ptrace, 0 },
	{ SYS_process_vm_readv, 0 },
	{ SYS_process_vm_writev, 0 },
	{ SYS_pidfd_getfd, 0 },
	{ SYS_kcmp, 0 },
	{ SYS_unshare, 0 },
	{ SYS_setns, 0 },
	{ SYS_mount, 0 },
	{ SYS_umount2, 0 },
	{ SYS_pivot_root, 0 },
	{ SYS_chroot, 0 },
	{ SYS_open_tree, 0 },
	{ SYS_move_mount, 0 },
	{ SYS_fsopen, 0 },
	{ SYS_open_by_handle_at, 0 },
	{ SYS_bpf, 0 },
	{ SYS_perf_event_open, 0 },
	{ SYS_userfaultfd, 0 },
	{ SYS_io_uring_setup, 0 },
	{ SYS_add_key, 0 },
	{ SYS_request_key, 0 },
	{ SYS_keyctl, 0 },
	{ SYS_init_module, 0 },
	{ SYS_finit_module, 0 },
	{ SYS_kexec_load, 0 },
};

#ifdef OWN_ARCH
static size_t add(struct sock_filter *filter, size_t at, uint16_t code, uint32_t k, uint8_t skip)
{
	/* a jump goes on where it holds, and skips the next where not */
	filter[at] = (struct sock_filter){ .code = code, .jt = 0, .jf = skip, .k = k };
	return at + 1;
}

static size_t make_filter(unsigned deny, struct sock_filter filter[FILTER_MAX])
{
	const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
	size_t n = 0;

	n = add(filter, n, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0);
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
	n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0);
	n = add(filter, n, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0);
	n = add(filter, n, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 1);
	n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].bits && !(calls[i].bits & deny))
			continue;
		n = add(filter, n, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, 1);
		n = add(filter, n, BPF_RET | BPF_K, refuse, 0);
	}
	return add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0);
}

_Static_assert(2 * ARRAY_SIZE(calls) + 8 <= FILTER_MAX, "all fit");

int confine_calls(unsigned deny)
{
	struct sock_filter filter[FILTER_MAX];
	struct sock_fprog program = { .filter = filter };

	program.len = (unsigned short)make_filter(deny, filter);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}
#else
int confine_calls(unsigned deny)
{
	(void)deny;
	return -ENOTSUP;
}
#endif
