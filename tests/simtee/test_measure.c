// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <errno.h>
#include <sys/mman.h>

#include "attest/sim_launch.h"
#include "base/macro.h"
#include "simtee/measure.h"
#include "vmm/roms.h"

enum { FIRMWARE = 2 * ATTEST_PAGE_SIZE, SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };

static uint8_t firmware[FIRMWARE], kernel[1000];
static char qemu[] = "/usr/bin/qemu", option[] = "-m", value[] = "1G", cmdline[] = "a=b";

static int set_up(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "usr/share/qemu", 0755, NULL), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "usr/share/seabios", 0755, NULL), 0);
	return 0;
}

static void put_rom(const char *path, const char *text)
{
	int fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static int memfd(const uint8_t *at, size_t len, int seals)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, at, len), (ssize_t)len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int measure_fds(int kernel_fd, int firmware_fd, unsigned vcpus, uint8_t *ret,
		       struct err *err)
{
	char *argv[] = { qemu, option, value };
	Tee__LaunchRequest message = TEE__LAUNCH_REQUEST__INIT;
	const struct request request = {
		.message = &message, .kernel = 1, .firmware = 0, .append = cmdline, .vcpus = vcpus
	};
	const int fds[] = { firmware_fd, kernel_fd };
	int r;

	message.argv = argv;
	message.n_argv = ARRAY_SIZE(argv);
	r = measure_launch(&request, fds, folder_fd, ret, err);
	assert_int_equal(close(kernel_fd), 0);
	assert_int_equal(close(firmware_fd), 0);
	return r;
}

static void measure(unsigned vcpus, uint8_t *ret)
{
	struct err err = { 0 };

	if (measure_fds(memfd(kernel, sizeof(kernel), SEALS | F_SEAL_SEAL),
			memfd(firmware, sizeof(firmware), SEALS | F_SEAL_SEAL), vcpus, ret,
			&err) < 0)
		fail_msg("%s", err.msg);
}

/* The same from what is there, without a file. */
static void expected(unsigned vcpus, const struct attest_sim_rom *roms, size_t rom_count,
		     uint8_t *ret)
{
	const char *const args[] = { qemu, option, value };
	struct attest_sim_launch launch = { .firmware = { firmware, sizeof(firmware) },
					    .args = args,
					    .arg_count = ARRAY_SIZE(args),
					    .roms = roms,
					    .rom_count = rom_count,
					    .vcpus = vcpus };

	assert_int_equal(attest_boot_hash((struct bytes){ kernel, sizeof(kernel) },
					  (struct bytes){ 0 }, cmdline, &launch.boot),
			 0);
	assert_int_equal(attest_sim_launch_digest(&launch, ret, NULL), 0);
}

static void matches(unsigned vcpus, const struct attest_sim_rom *roms, size_t rom_count)
{
	uint8_t one[ATTEST_LAUNCH_DIGEST], two[ATTEST_LAUNCH_DIGEST];

	measure(vcpus, one);
	expected(vcpus, roms, rom_count, two);
	assert_memory_equal(one, two, sizeof(one));
}

static struct attest_sim_rom rom(const char *name, const char *text)
{
	struct attest_sim_rom hashed;

	assert_int_equal(attest_sim_rom_hash(name,
					     (struct bytes){ (const uint8_t *)text, strlen(text) },
					     &hashed),
			 0);
	return hashed;
}

static void every_part_is_measured(void **state)
{
	(void)state;
	matches(1, NULL, 0);
	matches(2, NULL, 0);
	kernel[999] ^= 1;
	matches(2, NULL, 0);
	firmware[FIRMWARE - 1] ^= 1;
	matches(2, NULL, 0);
	cmdline[2] = 'c';
	matches(2, NULL, 0);
	value[0] = '2';
	matches(2, NULL, 0);
}

static void a_byte_of_a_rom_is_measured(void **state)
{
	uint8_t digests[4][ATTEST_LAUNCH_DIGEST];
	struct attest_sim_rom roms[2];

	(void)state;
	measure(1, digests[0]);
	put_rom("usr/share/qemu/pvh.bin", "pvh");
	put_rom("usr/share/seabios/vgabios.bin", "vga");
	roms[0] = rom("pvh.bin", "pvh");
	roms[1] = rom("vgabios.bin", "vga");
	matches(1, roms, 2);
	measure(1, digests[1]);
	put_rom("usr/share/qemu/pvh.bin", "pvi");
	measure(1, digests[2]);
	roms[0] = rom("pvh.bin", "pvi");
	matches(1, roms, 2);
	/* QEMU takes the one from its first directory */
	put_rom("usr/share/qemu/vgabios.bin", "vga2");
	roms[1] = rom("vgabios.bin", "vga2");
	matches(1, roms, 2);
	measure(1, digests[3]);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], ATTEST_LAUNCH_DIGEST);
}

static void only_what_nobody_can_change_is_measured(void **state)
{
	static const int missing[] = { F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL };
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct err err = { 0 };
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		const int seals = (SEALS | F_SEAL_SEAL) & ~missing[i];

		assert_int_equal(measure_fds(memfd(kernel, sizeof(kernel), seals),
					     memfd(firmware, FIRMWARE, SEALS | F_SEAL_SEAL), 1,
					     digest, &err),
				 -EPERM);
		assert_non_null(strstr(err.msg, "kernel: it is not a sealed memory file"));
		assert_int_equal(measure_fds(memfd(kernel, sizeof(kernel), SEALS | F_SEAL_SEAL),
					     memfd(firmware, FIRMWARE, seals), 1, digest, &err),
				 -EPERM);
		assert_non_null(strstr(err.msg, "firmware: it is not a sealed memory file"));
	}
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(measure_fds(fd, memfd(firmware, FIRMWARE, SEALS | F_SEAL_SEAL), 1, digest,
				     &err),
			 -EPERM);
}

static void sizes_have_limits(void **state)
{
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(ftruncate(fd, MEASURE_KERNEL_MAX + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL), 0);
	assert_int_equal(measure_fds(fd, memfd(firmware, FIRMWARE, SEALS | F_SEAL_SEAL), 1, digest,
				     NULL),
			 -E2BIG);
	assert_int_equal(measure_fds(memfd(kernel, 0, SEALS | F_SEAL_SEAL),
				     memfd(firmware, FIRMWARE, SEALS | F_SEAL_SEAL), 1, digest,
				     NULL),
			 -E2BIG);
	assert_int_equal(measure_fds(memfd(kernel, 1, SEALS | F_SEAL_SEAL),
				     memfd(firmware, FIRMWARE - 1, SEALS | F_SEAL_SEAL), 1, digest,
				     NULL),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_part_is_measured, set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(a_byte_of_a_rom_is_measured, set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(only_what_nobody_can_change_is_measured, set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(sizes_have_limits, set_up, folder_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
