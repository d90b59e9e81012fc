// SPDX-License-Identifier: Apache-2.0
#include "cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "simtee/measure.h"

enum { FIRMWARE = 2 * ATTEST_PAGE_SIZE, ARGS = 11 };

static uint8_t firmware[FIRMWARE] = "firmware", kernel[1000] = "kernel";

struct files {
	int kernel_fd, firmware_fd;
};

static int memfd(const uint8_t *at, size_t len)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, at, len), (ssize_t)len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
			       F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
			 0);
	return fd;
}

static int set_up(void **state)
{
	static struct files files;

	files.kernel_fd = memfd(kernel, sizeof(kernel));
	files.firmware_fd = memfd(firmware, sizeof(firmware));
	*state = &files;
	return 0;
}

static int tear_down(void **state)
{
	struct files *files = *state;

	(void)close(files->kernel_fd);
	(void)close(files->firmware_fd);
	return 0;
}

/* Words of one line; the caller's for as long as it wants them. */
static size_t split(char *line, char *ret[ARGS])
{
	size_t count = 0;
	char *word;

	while (count < ARGS && (word = strsep(&line, " ")))
		ret[count++] = word;
	return count;
}

static int measure(const struct files *files, const char *line, uint8_t *ret, struct err *err)
{
	char words[256], *argv[ARGS];
	struct launch launch = { .kernel_fd = files->kernel_fd,
				 .firmware_fd = files->firmware_fd,
				 .argv = argv };

	(void)snprintf(words, sizeof(words), "%s", line);
	launch.argc = split(words, argv);
	return launch_measure(&launch, ret, err);
}

/* The other side's own code, over the same descriptors and arguments. */
static void it_is_what_the_processor_measures(void **state)
{
	static const char line[] = "/usr/bin/qemu -append a=b -bios /proc/self/fd/4 -kernel "
				   "/proc/self/fd/3 -smp cpus=3";
	const struct files *files = *state;
	const int fds[] = { files->kernel_fd, files->firmware_fd };
	Tee__LaunchRequest message = TEE__LAUNCH_REQUEST__INIT;
	struct request request = { .message = &message, .firmware = 1, .append = "a=b", .vcpus = 3 };
	uint8_t ours[ATTEST_LAUNCH_DIGEST], theirs[ATTEST_LAUNCH_DIGEST];
	char words[256], *argv[ARGS];
	struct err err = { 0 };
	int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(root_fd >= 0);
	(void)snprintf(words, sizeof(words), "%s", line);
	message.argv = argv;
	message.n_argv = split(words, argv);
	if (measure(files, line, ours, &err) < 0)
		fail_msg("%s", err.msg);
	if (measure_launch(&request, fds, root_fd, theirs, &err) < 0)
		fail_msg("%s", err.msg);
	assert_memory_equal(ours, theirs, sizeof(ours));
	assert_int_equal(close(root_fd), 0);
}

static void every_part_counts(void **state)
{
	static const char *const lines[] = {
		"q -append a -smp cpus=1",	"q -append b -smp cpus=1",
		"q -append a -smp cpus=2",	"r -append a -smp cpus=1",
		"q -append a -m 1 -smp cpus=1",
	};
	uint8_t digests[ARRAY_SIZE(lines)][ATTEST_LAUNCH_DIGEST], other[ATTEST_LAUNCH_DIGEST];
	const struct files *files = *state;
	struct files swapped = { files->firmware_fd, files->firmware_fd };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(measure(files, lines[i], digests[i], NULL), 0);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], ATTEST_LAUNCH_DIGEST);
	}
	assert_int_equal(measure(files, lines[0], other, NULL), 0);
	assert_memory_equal(other, digests[0], sizeof(other));
	assert_int_equal(measure(&swapped, lines[0], other, NULL), 0);
	assert_memory_not_equal(other, digests[0], sizeof(other));
}

static void arguments_that_are_no_plans_are_refused(void **state)
{
	static const char *const lines[] = {
		"q -smp cpus=1",
		"q -append a",
		"q -append a -append b -smp cpus=1",
		"q -append a -smp cpus=1 -smp cpus=1",
		"q -append a -smp 1",
		"q -append a -smp cpus=1,cores=1",
		"q -append a -smp cpus=4097",
		"q -append a -smp",
		"q",
	};
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(measure(*state, lines[i], digest, &err), -EINVAL);
		assert_int_equal(err.code, ERR_USAGE);
	}
	/* what is a value is not an option */
	assert_int_equal(measure(*state, "q -append -smp -smp cpus=1", digest, NULL), -EINVAL);
	assert_int_equal(measure(*state, "q -append a -smp cpus=0", digest, NULL), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_what_the_processor_measures),
		TEST(every_part_counts),
		TEST(arguments_that_are_no_plans_are_refused),
	};

	return cmocka_run_group_tests_name("cli/launch", tests, NULL, NULL);
}
