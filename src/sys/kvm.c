// SPDX-License-Identifier: Apache-2.0
#include "sys/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"

enum {
	KVM_MEMORY = 0x10000,
	KVM_PML4 = 0x1000,
	KVM_PDPT = 0x2000,
	KVM_PD = 0x3000,
	KVM_CODE = 0x4000,
	KVM_CPUID_MAX = 256, /* the kernel's own limit */
	KVM_PORT = 0xe9,
	KVM_HALF = 0x25,
	KVM_REAP_MS = 20,     /* for a killed child; one that stays longer is left to init */
	KVM_STATUS_DONE = 42, /* the child's, so that no accident looks like success */
};

/*
 * What a kernel does first, in 64-bit mode with paging (reload the page tables, read and write a
 * model-specific register, ask for the processor's name), and then a sum in SSE2. There are kernels
 * whose KVM runs an unknown guest in the kernel's instruction emulator, gets through all the first,
 * and lets every true guest hang later; the emulator knows no SSE2 arithmetic.
 *
 *	mov %cr3, %rax; mov %rax, %cr3; mov $0xc0000080, %ecx; rdmsr; wrmsr; xor %eax, %eax; cpuid
 *	mov $HALF, %eax; movd %eax, %xmm0; paddd %xmm0, %xmm0; movd %xmm0, %eax
 *	out %al, $PORT; hlt; jmp .
 */
static const uint8_t kvm_guest[] = {
	0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xb9,     0x80, 0x00, 0x00,	    0xc0, 0x0f, 0x32, 0x0f,
	0x30, 0x31, 0xc0, 0x0f, 0xa2, 0xb8, KVM_HALF, 0,    0,	  0,	    0x66, 0x0f, 0x6e, 0xc0,
	0x66, 0x0f, 0xfe, 0xc0, 0x66, 0x0f, 0x7e,     0xc0, 0xe6, KVM_PORT, 0xf4, 0xeb, 0xfe,
};

static const char *const kvm_texts[] = {
	[KVM_USABLE] = "KVM works",
	[KVM_NO_FLAG] = "the processor has neither svm nor vmx",
	[KVM_NO_DEVICE] = "there is no /dev/kvm",
	[KVM_DENIED] = "/dev/kvm may not be opened by this user",
	[KVM_BAD_API] = "/dev/kvm is not KVM of version 12",
	[KVM_NO_GUEST] = "/dev/kvm ran no guest when tried",
	[KVM_HANGS] = "/dev/kvm let a guest hang when tried",
};
_Static_assert(ARRAY_SIZE(kvm_texts) == KVM_ANSWERS, "each answer has its text");

const char *kvm_answer_text(enum kvm_answer answer)
{
	return kvm_texts[answer];
}

static bool kvm_has_word(const char *at, size_t len, const char *word)
{
	const size_t word_len = strlen(word);

	while (len) {
		const char *space = memchr(at, ' ', len);
		size_t here = space ? (size_t)(space - at) : len;

		if (here == word_len && memcmp(at, word, here) == 0)
			return true;
		here += space ? 1 : 0;
		at += here;
		len -= here;
	}
	return false;
}

bool kvm_cpuinfo_has_flag(struct bytes cpuinfo)
{
	static const char key[] = "flags\t";
	const char *at = (const char *)cpuinfo.at, *end, *colon;

	for (size_t left = cpuinfo.len; left > 0;) {
		size_t len;

		end = memchr(at, '\n', left);
		if (!end)
			return false;
		len = (size_t)(end - at);
		colon = memchr(at, ':', len);
		if (colon && len > sizeof(key) && memcmp(at, key, sizeof(key) - 1) == 0) {
			size_t rest = (size_t)(end - colon) - 1;

			return kvm_has_word(colon + 1, rest, "svm") ||
			       kvm_has_word(colon + 1, rest, "vmx");
		}
		at = end + 1;
		left -= len + 1;
	}
	return false;
}

/* The first processor's part is all that is needed: the file has one of each. */
static bool kvm_cpu_has_flag(int proc_fd)
{
	cleanup_free uint8_t *text = malloc(KVM_CPUINFO_MAX);
	cleanup_close int fd = -1;
	size_t len = 0;
	ssize_t n = 0;

	fd = openat(proc_fd, "cpuinfo", O_RDONLY | O_CLOEXEC);
	if (!text || fd < 0)
		return false;
	do {
		n = read(fd, text + len, KVM_CPUINFO_MAX - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return kvm_cpuinfo_has_flag((struct bytes){ text, len });
}

/* The processor is what KVM can offer: without the bit for 64-bit mode there is no such mode. */
static int kvm_child_name(int kvm_fd, int vcpu_fd)
{
	struct kvm_cpuid2 *cpuid;

	/* Never freed: the child ends soon. */
	cpuid = calloc(1, sizeof(*cpuid) + KVM_CPUID_MAX * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = KVM_CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
	    ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		return -errno;
	return 0;
}

/* 64-bit mode, at the start of its code; the tables map the first 2 MiB to themselves. */
static int kvm_child_set(int vcpu_fd, uint64_t *memory)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = KVM_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	memory[KVM_PML4 / 8] = KVM_PDPT | 3; /* present, writable */
	memory[KVM_PDPT / 8] = KVM_PD | 3;
	memory[KVM_PD / 8] = 0x83; /* and one large page */
	memcpy((uint8_t *)memory + KVM_CODE, kvm_guest, sizeof(kvm_guest));
	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
	sregs.cr3 = KVM_PML4;
	sregs.cr4 = 0x220;  /* OSFXSR, PAE */
	sregs.efer = 0x500; /* LMA, LME */
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int kvm_child_run(int vcpu_fd, const struct kvm_run *run)
{
	const uint8_t *said;

	if (ioctl(vcpu_fd, KVM_RUN, 0) < 0)
		return -errno;
	said = (const uint8_t *)run + run->io.data_offset;
	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT ||
	    run->io.port != KVM_PORT || *said != 2 * KVM_HALF)
		return -EPROTO;
	if (ioctl(vcpu_fd, KVM_RUN, 0) < 0)
		return -errno;
	return run->exit_reason == KVM_EXIT_HLT ? 0 : -EPROTO;
}

/* In the child, which lets the kernel clean up after it. */
static int kvm_child(int kvm_fd)
{
	struct kvm_userspace_memory_region region = { .memory_size = KVM_MEMORY };
	int vm_fd, vcpu_fd, size, r;
	void *memory, *run;

	memory = mmap(NULL, KVM_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (memory == MAP_FAILED || vm_fd < 0 || size < (int)sizeof(struct kvm_run))
		return -EIO;
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		return -errno;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	r = kvm_child_name(kvm_fd, vcpu_fd);
	if (r == 0)
		r = kvm_child_set(vcpu_fd, memory);
	return r < 0 ? r : kvm_child_run(vcpu_fd, run);
}

/* True if it ended within the time; then *ret says how. */
static bool kvm_reap(int pidfd, int timeout_ms, siginfo_t *ret)
{
	struct pollfd entry = { .fd = pidfd, .events = POLLIN };

	/* A signal cuts the time short at worst. */
	if (poll(&entry, 1, timeout_ms) <= 0)
		return false;
	return waitid(P_PIDFD, (id_t)pidfd, ret, WEXITED | WNOHANG) == 0 && ret->si_pid != 0;
}

static enum kvm_answer kvm_try(int kvm_fd)
{
	cleanup_close int pidfd = -1;
	siginfo_t info = { 0 };
	long pid;

	pid = syscall(SYS_clone, SIGCHLD | CLONE_PIDFD, NULL, &pidfd, NULL, NULL);
	if (pid == 0)
		_exit(kvm_child(kvm_fd) == 0 ? KVM_STATUS_DONE : 1);
	if (pid < 0)
		return KVM_NO_GUEST;
	if (!kvm_reap(pidfd, KVM_DEADLINE_MS, &info)) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		(void)kvm_reap(pidfd, KVM_REAP_MS, &info);
		return KVM_HANGS;
	}
	if (info.si_code == CLD_EXITED && info.si_status == KVM_STATUS_DONE)
		return KVM_USABLE;
	return KVM_NO_GUEST;
}

enum kvm_answer kvm_probe(int proc_fd, int dev_fd, int *ret_fd)
{
	cleanup_close int kvm_fd = -1;
	enum kvm_answer answer = KVM_HANGS;

	if (!kvm_cpu_has_flag(proc_fd))
		return KVM_NO_FLAG;
	kvm_fd = openat(dev_fd, "kvm", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (kvm_fd < 0)
		return errno == EACCES || errno == EPERM ? KVM_DENIED : KVM_NO_DEVICE;
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return KVM_BAD_API;
	for (int i = 0; i < KVM_TRIES && answer == KVM_HANGS; i++)
		answer = kvm_try(kvm_fd);
	if (answer == KVM_USABLE && ret_fd)
		*ret_fd = steal_fd(&kvm_fd);
	return answer;
}
