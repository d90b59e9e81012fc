// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plan/plan.h"

#define MIB (1ull << 20)

static const struct manifest guest = {
	.version = "1",
	.kernel_file = "vmlinux",
	.base_file = "base.img",
	.base_data_blocks = 1000,
	.base_hash_start = 1001,
	.base_root = "00ff",
};

static struct layout made(struct plan_request request)
{
	struct layout layout;
	struct err err = { 0 };

	request.guest = &guest;
	if (plan_make(&request, &layout, &err) < 0)
		fail_msg("%s", err.msg);
	return layout;
}

static void refuses(struct plan_request request, enum err_code code, const char *reason)
{
	struct layout layout;
	struct err err = { 0 };

	request.guest = &guest;
	assert_int_equal(plan_make(&request, &layout, &err), -ERANGE);
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, reason))
		fail_msg("'%s' does not say '%s'", err.msg, reason);
}

static void gives_defaults(void **state)
{
	const struct layout layout = made((struct plan_request){ .accel = LAYOUT_KVM });

	(void)state;
	assert_int_equal(layout.vcpus, 1);
	assert_int_equal(layout.memory_mib, 512 + 128 + 8);
	assert_int_equal(layout.accel, LAYOUT_KVM);
}

static void rounds_cpus_up(void **state)
{
	(void)state;
	assert_int_equal(made((struct plan_request){ .cpu_milli = 1 }).vcpus, 1);
	assert_int_equal(made((struct plan_request){ .cpu_milli = 1000 }).vcpus, 1);
	assert_int_equal(made((struct plan_request){ .cpu_milli = 1001 }).vcpus, 2);
	assert_int_equal(made((struct plan_request){ .cpu_milli = 2500, .host_cpus = 3 }).vcpus, 3);
	assert_int_equal(made((struct plan_request){ .cpu_milli = 255000 }).vcpus, PLAN_VCPUS_MAX);
}

static void refuses_cpus_that_are_not_there_with_numbers(void **state)
{
	(void)state;
	refuses((struct plan_request){ .cpu_milli = 2500, .host_cpus = 2 }, ERR_HOST,
		"2.500 CPUs: this host has 2");
	refuses((struct plan_request){ .cpu_milli = 255001 }, ERR_HOST,
		"255.001 CPUs: a VM has 255");
	refuses((struct plan_request){ .cpu_milli = UINT32_MAX, .host_cpus = 2 }, ERR_HOST,
		"at most");
}

static void adds_what_the_guest_needs_itself(void **state)
{
	(void)state;
	assert_int_equal(made((struct plan_request){ .memory_bytes = 4 * MIB }).memory_mib, 132);
	assert_int_equal(made((struct plan_request){ .memory_bytes = 4 * MIB + 1 }).memory_mib,
			 133);
	assert_int_equal(made((struct plan_request){ .memory_bytes = 6400 * MIB }).memory_mib,
			 6400 + 128 + 100);
	assert_int_equal(
		made((struct plan_request){ .memory_bytes = PLAN_MEMORY_MOST_MIB * MIB }).memory_mib,
		PLAN_MEMORY_MOST_MIB + 128 + PLAN_MEMORY_MOST_MIB / 64);
}

static void refuses_memory_that_is_too_little_or_not_there(void **state)
{
	(void)state;
	refuses((struct plan_request){ .memory_bytes = 4 * MIB - 1 }, ERR_USAGE,
		"4194303 bytes of memory: a container needs 4 MiB at least");
	refuses((struct plan_request){ .memory_bytes = PLAN_MEMORY_MOST_MIB * MIB + 1 }, ERR_HOST,
		"8388609 MiB of memory: a VM has 8388608 MiB at most");
	refuses((struct plan_request){ .memory_bytes = UINT64_MAX }, ERR_HOST, "at most");
	refuses((struct plan_request){ .memory_bytes = 1024 * MIB,
				       .host_memory_bytes = 1167 * MIB },
		ERR_HOST,
		"1024 MiB of memory, with the guest's own needs 1168: this host has 1167");
	assert_int_equal(made((struct plan_request){ .memory_bytes = 1024 * MIB,
						     .host_memory_bytes = 1168 * MIB })
				 .memory_mib,
			 1168);
}

static void command_line_is_the_guests_alone(void **state)
{
	const struct layout small = made((struct plan_request){ .accel = LAYOUT_TCG });
	const struct layout large = made((struct plan_request){
		.accel = LAYOUT_KVM, .cpu_milli = 64000, .memory_bytes = 4096 * MIB });

	(void)state;
	assert_string_equal(small.cmdline, large.cmdline);
	assert_non_null(strstr(small.cmdline, "root=/dev/dm-0 rootfstype=erofs ro "));
	assert_non_null(strstr(small.cmdline, "init=/sbin/casemate-init"));
	assert_non_null(
		strstr(small.cmdline,
		       "dm-mod.create=\"base,,,ro,0 8000 verity 1 /dev/vda /dev/vda 4096 4096 "
		       "1000 1001 sha256 00ff -\" "));
}

static void several_processors_without_kvm_have_a_tick(void **state)
{
	const struct layout one = made((struct plan_request){ .accel = LAYOUT_TCG });
	const struct layout two =
		made((struct plan_request){ .accel = LAYOUT_TCG, .cpu_milli = 1001 });
	const size_t len = strlen(one.cmdline);

	(void)state;
	assert_memory_equal(two.cmdline, one.cmdline, len);
	assert_string_equal(two.cmdline + len, " nohz=off highres=off");
}

static void command_line_has_the_salt(void **state)
{
	struct manifest salted = guest;
	struct layout layout;

	(void)state;
	(void)snprintf(salted.base_salt, sizeof(salted.base_salt), "abcd");
	assert_int_equal(plan_make(&(struct plan_request){ .guest = &salted }, &layout, NULL), 0);
	assert_non_null(strstr(layout.cmdline, "sha256 00ff abcd\" "));
}

/* The longest of everything that a manifest may have still fits, so -E2BIG stays a check. */
static void longest_command_line_fits(void **state)
{
	struct manifest longest = guest;
	struct layout layout;

	(void)state;
	memset(longest.base_root, 'f', sizeof(longest.base_root) - 1);
	memset(longest.base_salt, 'f', sizeof(longest.base_salt) - 1);
	longest.base_data_blocks = longest.base_hash_start = MANIFEST_BLOCKS_MAX;
	assert_int_equal(plan_make(&(struct plan_request){ .guest = &longest,
							   .tee = LAYOUT_TEE_SIM,
							   .cpu_milli = 2000 },
				   &layout, NULL),
			 0);
}

static void same_request_gives_the_same_bytes(void **state)
{
	struct layout one, two;

	(void)state;
	memset(&one, 0x55, sizeof(one));
	memset(&two, 0xaa, sizeof(two));
	assert_int_equal(plan_make(&(struct plan_request){ .guest = &guest }, &one, NULL), 0);
	assert_int_equal(plan_make(&(struct plan_request){ .guest = &guest }, &two, NULL), 0);
	assert_int_equal(one.device_count, two.device_count);
	assert_string_equal(one.cmdline, two.cmdline);
	for (size_t i = 0; i < one.device_count; i++) {
		assert_int_equal(one.devices[i].slot, two.devices[i].slot);
		assert_int_equal(one.devices[i].kind, two.devices[i].kind);
		assert_true(one.devices[i].slot >= 1 && one.devices[i].slot <= 30);
		assert_true(i == 0 || one.devices[i].slot > one.devices[i - 1].slot);
	}
}

static bool has_device(const struct layout *layout, enum layout_kind kind)
{
	for (size_t i = 0; i < layout->device_count; i++)
		if (layout->devices[i].kind == kind)
			return true;
	return false;
}

static void a_tee_is_in_the_measured_command_line(void **state)
{
	const struct layout plain = made((struct plan_request){ 0 });
	const struct layout tee = made((struct plan_request){ .tee = LAYOUT_TEE_SIM });
	const size_t len = strlen(plain.cmdline);

	(void)state;
	assert_int_equal(plain.tee, LAYOUT_TEE_NONE);
	assert_int_equal(tee.tee, LAYOUT_TEE_SIM);
	assert_memory_equal(tee.cmdline, plain.cmdline, len);
	assert_string_equal(tee.cmdline + len, " swiotlb=16384,force casemate.tee=sim");
	assert_null(strstr(plain.cmdline, "casemate.tee"));
}

static void a_tee_has_a_port_to_the_processor_and_no_random_numbers(void **state)
{
	const struct layout plain = made((struct plan_request){ 0 });
	const struct layout tee = made((struct plan_request){ .tee = LAYOUT_TEE_SIM });

	(void)state;
	assert_int_equal(plain.port_count, 1);
	assert_true(has_device(&plain, LAYOUT_RNG));
	assert_int_equal(tee.port_count, 2);
	assert_int_equal(tee.ports[0].role, LAYOUT_ROLE_AGENT);
	assert_string_equal(tee.ports[0].name, "casemate.agent");
	assert_int_equal(tee.ports[1].role, LAYOUT_ROLE_TEE);
	assert_int_equal(tee.ports[1].number, 2);
	assert_string_equal(tee.ports[1].name, "casemate.tee");
	assert_false(has_device(&tee, LAYOUT_RNG));
	for (size_t i = 0; i < tee.device_count; i++)
		assert_int_equal(tee.devices[i].slot, plain.devices[i].slot);
}

/* 16384 slabs of 2 KiB are 32 MiB, which the container's own limit does not count. */
static void a_tee_needs_memory_to_bounce_in(void **state)
{
	(void)state;
	assert_int_equal(made((struct plan_request){ .tee = LAYOUT_TEE_SIM }).memory_mib,
			 512 + 128 + 8 + 32);
	refuses((struct plan_request){ .memory_bytes = 1024 * MIB,
				       .tee = LAYOUT_TEE_SIM,
				       .host_memory_bytes = 1199 * MIB },
		ERR_HOST,
		"1024 MiB of memory, with the guest's own needs 1200: this host has 1199");
}

static void chooses_a_tee(void **state)
{
	enum layout_tee tee = LAYOUT_TEE_SIM;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(plan_tee_choose("", &tee, NULL), 0);
	assert_int_equal(tee, LAYOUT_TEE_NONE);
	assert_int_equal(plan_tee_choose("sim", &tee, NULL), 0);
	assert_int_equal(tee, LAYOUT_TEE_SIM);
	assert_string_equal(plan_tee_name(tee), "sim");
	assert_int_equal(plan_tee_choose("none", &tee, NULL), 0);
	assert_int_equal(tee, LAYOUT_TEE_NONE);
	assert_string_equal(plan_tee_name(tee), "none");
	assert_int_equal(plan_tee_choose("sev-snp", &tee, &err), -EOPNOTSUPP);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "--tee sev-snp: not launched yet: it needs a firmware"));
	assert_int_equal(plan_tee_choose("tdx", &tee, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "--tee tdx: not launched yet: QEMU 10.0 has no tdx-guest"));
	assert_int_equal(plan_tee_choose("sgx", &tee, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(tee, LAYOUT_TEE_NONE);
}

static void chooses_an_accelerator(void **state)
{
	enum layout_accel accel = LAYOUT_KVM;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(plan_accel_choose("auto", "it hangs", &accel, NULL), 0);
	assert_int_equal(accel, LAYOUT_TCG);
	assert_int_equal(plan_accel_choose("auto", NULL, &accel, NULL), 0);
	assert_int_equal(accel, LAYOUT_KVM);
	assert_int_equal(plan_accel_choose("tcg", NULL, &accel, NULL), 0);
	assert_int_equal(accel, LAYOUT_TCG);
	assert_int_equal(plan_accel_choose("kvm", NULL, &accel, NULL), 0);
	assert_int_equal(accel, LAYOUT_KVM);
	assert_int_equal(plan_accel_choose("", "it hangs", &accel, NULL), 0);
	assert_string_equal(plan_accel_name(accel), "tcg");
	assert_int_equal(plan_accel_choose("kvm", "it hangs", &accel, &err), -ENODEV);
	assert_int_equal(err.code, ERR_HOST);
	assert_string_equal(err.msg, "run a VM with KVM: it hangs");
	assert_int_equal(plan_accel_choose("hvf", NULL, &accel, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_defaults),
		cmocka_unit_test(rounds_cpus_up),
		cmocka_unit_test(refuses_cpus_that_are_not_there_with_numbers),
		cmocka_unit_test(adds_what_the_guest_needs_itself),
		cmocka_unit_test(refuses_memory_that_is_too_little_or_not_there),
		cmocka_unit_test(command_line_is_the_guests_alone),
		cmocka_unit_test(several_processors_without_kvm_have_a_tick),
		cmocka_unit_test(command_line_has_the_salt),
		cmocka_unit_test(longest_command_line_fits),
		cmocka_unit_test(same_request_gives_the_same_bytes),
		cmocka_unit_test(a_tee_is_in_the_measured_command_line),
		cmocka_unit_test(a_tee_has_a_port_to_the_processor_and_no_random_numbers),
		cmocka_unit_test(a_tee_needs_memory_to_bounce_in),
		cmocka_unit_test(chooses_a_tee),
		cmocka_unit_test(chooses_an_accelerator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
