// SPDX-License-Identifier: Apache-2.0
/* kvm_probe() with a KVM that hangs as often as a test says, and else does as it should. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "sys/kvm.h"

enum {
	PAGE = 4096,
	SLACK_MS = 1400, /* beside the deadlines */
	SAID = 0x4a,	 /* what the guest comes to, and says on the port */
	PORT = 0xe9,
};

/* Shared with the children that try. */
static struct kernel {
	int hangs; /* so many guests, the first ones */
	int vms;
	bool is_halting;
	int vcpu_fd;
	uint8_t run[PAGE]; /* the vCPU's page, written when it exits */
} * kernel;

static int enter(void)
{
	struct kvm_run *run = (struct kvm_run *)kernel->run;

	while (kernel->vms <= kernel->hangs)
		(void)pause();
	run->exit_reason = kernel->is_halting ? KVM_EXIT_HLT : KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.port = PORT;
	run->io.data_offset = PAGE / 2;
	kernel->run[PAGE / 2] = SAID;
	kernel->is_halting = true;
	return pwrite(kernel->vcpu_fd, kernel->run, PAGE, 0) == PAGE ? 0 : -1;
}

static int make(int *ret_fd, const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, PAGE) < 0)
		return -1;
	*ret_fd = fd;
	return fd;
}

int __wrap_ioctl(int fd, unsigned long what, ...);

int __wrap_ioctl(int fd, unsigned long what, ...)
{
	int unused_fd;

	(void)fd;
	switch (what) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CREATE_VM:
		kernel->vms++;
		kernel->is_halting = false;
		return make(&unused_fd, "vm");
	case KVM_GET_VCPU_MMAP_SIZE:
		return PAGE;
	case KVM_CREATE_VCPU:
		return make(&kernel->vcpu_fd, "vcpu");
	case KVM_RUN:
		return enter();
	default:
		return 0;
	}
}

static int setup(void **state)
{
	(void)state;
	kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return kernel == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(kernel, sizeof(*kernel));
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In a folder with a cpuinfo that has svm, and a file for the node. */
static enum kvm_answer probe(int *ret_fd)
{
	char path[] = "/tmp/test-kvm-XXXXXX";
	cleanup_close int dir_fd = -1;
	enum kvm_answer answer;
	int fd;

	assert_non_null(mkdtemp(path));
	dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir_fd, "cpuinfo", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "flags\t\t: svm\n", 13), 13);
	(void)close(fd);
	(void)close(openat(dir_fd, "kvm", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	answer = kvm_probe(dir_fd, dir_fd, ret_fd);
	(void)unlinkat(dir_fd, "cpuinfo", 0);
	(void)unlinkat(dir_fd, "kvm", 0);
	(void)rmdir(path);
	return answer;
}

static void one_that_works_is_tried_once(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(probe(&fd), KVM_USABLE);
	assert_int_equal(kernel->vms, 1);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void one_that_stood_still_once_is_usable(void **state)
{
	int fd = -1;

	(void)state;
	kernel->hangs = 1;
	assert_int_equal(probe(&fd), KVM_USABLE);
	assert_int_equal(kernel->vms, 2);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void one_that_hangs_is_found_out_in_time(void **state)
{
	const int64_t began = now_ms();
	int fd = -1;

	(void)state;
	kernel->hangs = KVM_TRIES;
	assert_int_equal(probe(&fd), KVM_HANGS);
	assert_true(now_ms() - began < KVM_TRIES * KVM_DEADLINE_MS + SLACK_MS);
	assert_int_equal(kernel->vms, KVM_TRIES);
	assert_int_equal(fd, -1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_works_is_tried_once),
		TEST(one_that_stood_still_once_is_usable),
		TEST(one_that_hangs_is_found_out_in_time),
	};

	return cmocka_run_group_tests_name("sys/kvm_hangs", tests, NULL, NULL);
}
