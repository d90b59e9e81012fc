// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/sim_launch.h"
#include "base/macro.h"
#include "base/text.h"

static uint8_t firmware[2 * ATTEST_PAGE_SIZE];
static const char *const args[] = { "qemu", "-m", "1G" };
static struct attest_sim_rom roms[] = { { "a.bin", { 1 } }, { "b.bin", { 2 } } };

static struct attest_sim_launch base(void)
{
	return (struct attest_sim_launch){
		.firmware = { firmware, sizeof(firmware) },
		.boot = { .kernel = { 1 }, .initrd = { 2 }, .cmdline = { 3 } },
		.args = args,
		.arg_count = ARRAY_SIZE(args),
		.roms = roms,
		.rom_count = ARRAY_SIZE(roms),
		.vcpus = 2,
	};
}

static void measure(const struct attest_sim_launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST])
{
	assert_int_equal(attest_sim_launch_digest(launch, ret, NULL), 0);
}

/* The man page describes it: another implementation has to come to the same. */
static void the_digest_is_a_fixed_one(void **state)
{
	struct attest_sim_launch launch = base();
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	char hex[2 * ATTEST_LAUNCH_DIGEST + 1];

	(void)state;
	measure(&launch, digest);
	text_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, "9264890ef245428ffa3c5745f23a86863e0e494d6ee4a4cd"
				 "360f9295c6f0e8a0cf169e767ccdeeb91cadd483e2a7dedf");
}

static void everything_that_is_launched_is_measured(void **state)
{
	static const char *const other[] = { "qemu", "-m", "2G" };
	static const char *const joined[] = { "qemu", "-m1G", "" };
	struct attest_sim_rom altered[] = { roms[0], roms[1] };
	uint8_t digests[12][ATTEST_LAUNCH_DIGEST];
	struct attest_sim_launch launch = base();
	size_t n = 0;

	(void)state;
	measure(&launch, digests[n++]);
	firmware[sizeof(firmware) - 1] ^= 1;
	measure(&launch, digests[n++]);
	firmware[sizeof(firmware) - 1] ^= 1;
	launch.boot.kernel[0] ^= 1;
	measure(&launch, digests[n++]);
	launch = base();
	launch.boot.initrd[0] ^= 1;
	measure(&launch, digests[n++]);
	launch = base();
	launch.boot.cmdline[0] ^= 1;
	measure(&launch, digests[n++]);
	launch = base();
	launch.vcpus = 1;
	measure(&launch, digests[n++]);
	launch = base();
	launch.args = other;
	measure(&launch, digests[n++]);
	launch.args = joined;
	measure(&launch, digests[n++]);
	launch = base();
	launch.arg_count = 2;
	measure(&launch, digests[n++]);
	launch = base();
	launch.roms = altered;
	altered[1].sha256[31] ^= 1;
	measure(&launch, digests[n++]);
	altered[1] = roms[1];
	altered[0].name = "c.bin";
	measure(&launch, digests[n++]);
	launch.rom_count = 0;
	measure(&launch, digests[n++]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], ATTEST_LAUNCH_DIGEST);
}

static void roms_have_no_order(void **state)
{
	struct attest_sim_rom turned[] = { roms[1], roms[0] };
	uint8_t one[ATTEST_LAUNCH_DIGEST], two[ATTEST_LAUNCH_DIGEST];
	struct attest_sim_launch launch = base();

	(void)state;
	measure(&launch, one);
	launch.roms = turned;
	measure(&launch, two);
	assert_memory_equal(one, two, sizeof(one));
	turned[0].name = "a.bin";
	assert_int_equal(attest_sim_launch_digest(&launch, two, NULL), -EINVAL);
}

static void what_cannot_be_launched_is_refused(void **state)
{
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct attest_sim_launch launch = base();
	struct attest_sim_rom *many = calloc(ATTEST_SIM_ROMS_MAX + 1, sizeof(*many));
	char(*names)[8] = calloc(ATTEST_SIM_ROMS_MAX + 1, sizeof(*names));

	(void)state;
	launch.vcpus = 0;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -EINVAL);
	launch.vcpus = ATTEST_VCPUS_MAX + 1;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -EINVAL);
	launch.vcpus = ATTEST_VCPUS_MAX;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), 0);
	launch = base();
	launch.firmware.len = 0;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -EINVAL);
	launch.firmware.len = sizeof(firmware) - 1;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -EINVAL);
	launch = base();
	for (size_t i = 0; i <= ATTEST_SIM_ROMS_MAX; i++) {
		text_hex(&(uint16_t){ (uint16_t)i }, 2, names[i]);
		many[i].name = names[i];
	}
	launch.roms = many;
	launch.rom_count = ATTEST_SIM_ROMS_MAX;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), 0);
	launch.rom_count++;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -E2BIG);
	launch = base();
	launch.arg_count = ATTEST_SIM_ARGS_MAX + 1;
	assert_int_equal(attest_sim_launch_digest(&launch, digest, NULL), -E2BIG);
	free(many);
	free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_digest_is_a_fixed_one),
		cmocka_unit_test(everything_that_is_launched_is_measured),
		cmocka_unit_test(roms_have_no_order),
		cmocka_unit_test(what_cannot_be_launched_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
