// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/kvm.h"

static bool has_flag(const char *text)
{
	return kvm_cpuinfo_has_flag((struct bytes){ (const uint8_t *)text, strlen(text) });
}

#define HEAD "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) vmx svm CPU\n"
#define TAIL "vmx flags\t: vnmi ept\nbugs\t\t: spectre_v1\n\nprocessor\t: 1\nflags\t\t: fpu vmx\n"

static void finds_flags_as_words_only(void **state)
{
	(void)state;
	assert_true(has_flag(HEAD "flags\t\t: fpu vme vmx est\n" TAIL));
	assert_true(has_flag(HEAD "flags\t\t: svm\n"));
	assert_true(has_flag(HEAD "flags\t\t: fpu svm\n"));
	assert_false(has_flag(HEAD "flags\t\t: fpu xvmx svmx svm_lock vmxx\n" TAIL));
	assert_false(has_flag(HEAD "flags\t\t:\n" TAIL));
	assert_false(has_flag(HEAD "flags\t\t\n"));
	assert_false(has_flag("flags\t\t: fpu svm")); /* cut: not a whole line */
	assert_false(has_flag(HEAD));
	assert_false(has_flag(""));
	assert_false(has_flag("\n\n"));
}

struct tree {
	char path[64];
	int proc_fd, dev_fd;
};

/* Folders like /proc and /dev, with a cpuinfo that has svm; the test puts what it likes in dev. */
static int setup(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	int fd;

	assert_non_null(tree);
	(void)snprintf(tree->path, sizeof(tree->path), "/tmp/test-kvm-XXXXXX");
	assert_non_null(mkdtemp(tree->path));
	tree->proc_fd = open(tree->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	tree->dev_fd = tree->proc_fd;
	fd = openat(tree->proc_fd, "cpuinfo", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "flags\t\t: svm\n", 13), 13);
	(void)close(fd);
	*state = tree;
	return 0;
}

static int teardown(void **state)
{
	struct tree *tree = *state;

	(void)unlinkat(tree->proc_fd, "cpuinfo", 0);
	(void)unlinkat(tree->dev_fd, "kvm", 0);
	(void)close(tree->proc_fd);
	(void)rmdir(tree->path);
	free(tree);
	return 0;
}

static void says_no_without_the_flag(void **state)
{
	const struct tree *tree = *state;

	assert_int_equal(unlinkat(tree->proc_fd, "cpuinfo", 0), 0);
	assert_int_equal(kvm_probe(tree->proc_fd, tree->dev_fd, NULL), KVM_NO_FLAG);
}

static void says_no_without_the_node(void **state)
{
	const struct tree *tree = *state;

	assert_int_equal(kvm_probe(tree->proc_fd, tree->dev_fd, NULL), KVM_NO_DEVICE);
}

static void says_no_to_a_node_that_is_something_else(void **state)
{
	const struct tree *tree = *state;
	int ret_fd = -1;

	assert_int_equal(close(openat(tree->dev_fd, "kvm", O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(kvm_probe(tree->proc_fd, tree->dev_fd, &ret_fd), KVM_BAD_API);
	assert_int_equal(unlinkat(tree->dev_fd, "kvm", 0), 0);
	/* A FIFO would hold up whoever opens it. */
	assert_int_equal(mkfifoat(tree->dev_fd, "kvm", 0600), 0);
	assert_int_equal(kvm_probe(tree->proc_fd, tree->dev_fd, &ret_fd), KVM_BAD_API);
	assert_int_equal(ret_fd, -1);
}

/* Whatever this machine is, the answer comes soon, and agrees with the machine's own words. */
static void answers_in_time_on_this_machine(void **state)
{
	int proc_fd = open("/proc", O_PATH | O_CLOEXEC), dev_fd = open("/dev", O_PATH | O_CLOEXEC);
	struct timespec before, after;
	enum kvm_answer answer;
	int ret_fd = -1;

	(void)state;
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	answer = kvm_probe(proc_fd, dev_fd, &ret_fd);
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000 +
			    (after.tv_nsec - before.tv_nsec) / 1000000 <
		    (KVM_TRIES + 1) * KVM_DEADLINE_MS);
	print_message("%s\n", kvm_answer_text(answer));
	assert_int_equal(answer == KVM_USABLE, ret_fd >= 0);
	if (ret_fd >= 0)
		(void)close(ret_fd);
	(void)close(proc_fd);
	(void)close(dev_fd);
}

/* The flag is recorded from another machine: what the device does decides then. */
static void a_flag_alone_is_not_believed(void **state)
{
	const struct tree *tree = *state;
	int proc_fd = open("/proc", O_PATH | O_CLOEXEC), dev_fd = open("/dev", O_PATH | O_CLOEXEC);
	enum kvm_answer here = kvm_probe(proc_fd, dev_fd, NULL);
	enum kvm_answer lied = kvm_probe(tree->proc_fd, dev_fd, NULL);

	if (here == KVM_USABLE)
		assert_int_equal(lied, KVM_USABLE);
	else
		assert_int_not_equal(lied, KVM_USABLE);
	print_message("%s\n", kvm_answer_text(lied));
	(void)close(proc_fd);
	(void)close(dev_fd);
}

static void each_answer_has_its_own_text(void **state)
{
	(void)state;
	for (enum kvm_answer a = 0; a < KVM_ANSWERS; a++) {
		assert_true(strlen(kvm_answer_text(a)) > 5);
		for (enum kvm_answer b = 0; b < a; b++)
			assert_string_not_equal(kvm_answer_text(a), kvm_answer_text(b));
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_flags_as_words_only),
		TEST(says_no_without_the_flag),
		TEST(says_no_without_the_node),
		TEST(says_no_to_a_node_that_is_something_else),
		cmocka_unit_test(answers_in_time_on_this_machine),
		TEST(a_flag_alone_is_not_believed),
		cmocka_unit_test(each_answer_has_its_own_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
