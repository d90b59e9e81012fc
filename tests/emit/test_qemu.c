// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "emit/qemu.h"
#include "plan/plan.h"

static const struct manifest guest = {
	.version = "1",
	.kernel_file = "vmlinux",
	.base_file = "base.img",
	.base_data_blocks = 1000,
	.base_hash_start = 1000,
	.base_root = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
};

static struct layout planned(enum layout_accel accel)
{
	struct layout layout;

	assert_int_equal(plan_make(&(struct plan_request){ .guest = &guest,
							   .accel = accel,
							   .cpu_milli = 2000 },
				   &layout, NULL),
			 0);
	return layout;
}

static struct layout confidential(enum layout_accel accel)
{
	struct layout layout;

	assert_int_equal(plan_make(&(struct plan_request){ .guest = &guest,
							   .accel = accel,
							   .tee = LAYOUT_TEE_SIM,
							   .cpu_milli = 2000 },
				   &layout, NULL),
			 0);
	return layout;
}

static void emitted(const struct layout *layout, struct emit_qemu *ret)
{
	struct err err = { 0 };

	if (emit_qemu(layout, "/usr/bin/qemu-system-x86_64", ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void text_of(const struct emit_qemu *emit, struct buf *ret)
{
	for (size_t i = 0; i < emit->argv.len; i++)
		assert_int_equal(buf_addf(ret, "%s\n", emit->argv.at[i]), 0);
	for (size_t i = 0; i < emit->fd_count; i++)
		assert_int_equal(buf_addf(ret, "role %d at %d\n", (int)emit->fds[i].role,
					  emit->fds[i].target),
				 0);
}

/* A root complex with a switch and two devices on it, one of two functions; a port on bus 0. */
static struct layout with_devices(void)
{
	static const struct layout_bridge bridges[] = {
		{ LAYOUT_PXB, LAYOUT_NONE, 8, 0, 2, 0, 0 },
		{ LAYOUT_ROOT_PORT, 0, 1, 0, 3, LAYOUT_NONE, 0 },
		{ LAYOUT_UPSTREAM, 1, 0, 0, 4, LAYOUT_NONE, 0 },
		{ LAYOUT_DOWNSTREAM, 2, 0, 0, 5, LAYOUT_NONE, 0 },
		{ LAYOUT_DOWNSTREAM, 2, 1, 0, 6, LAYOUT_NONE, 0 },
		{ LAYOUT_ROOT_PORT, LAYOUT_NONE, 9, 0, 1, LAYOUT_NONE, 0 },
	};
	static const struct layout_passed passed[] = {
		{ .host = { .bus = 0x21 },
		  .parent = 3,
		  .is_multifunction = true,
		  .has_peers = true,
		  .clique = 3,
		  .has_rom = true },
		{ .host = { .bus = 0x21, .fn = 1 },
		  .parent = 3,
		  .function = 1,
		  .is_multifunction = true,
		  .has_peers = true,
		  .clique = LAYOUT_NONE },
		{ .host = { .domain = 0x10000, .bus = 0x22 }, .parent = 4, .clique = LAYOUT_NONE },
		{ .host = { .bus = 0x80, .dev = 0x1f },
		  .parent = 5,
		  .has_peers = true,
		  .clique = LAYOUT_NONE },
	};
	struct layout layout = planned(LAYOUT_KVM);

	memcpy(layout.bridges, bridges, sizeof(bridges));
	layout.bridge_count = ARRAY_SIZE(bridges);
	memcpy(layout.passed, passed, sizeof(passed));
	layout.passed_count = ARRAY_SIZE(passed);
	layout.mode = LAYOUT_REPLICATE;
	layout.node_count = 2;
	layout.nodes[0] = (struct layout_node){ layout.memory_mib / 2, 0, 2, 1 };
	layout.nodes[1] = (struct layout_node){ layout.memory_mib / 2, 2, 0, 0 };
	return layout;
}

/* With UPDATE_GOLDEN=1 the file is written instead. */
static void is_golden(const struct layout *layout, const char *name)
{
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	const char *dir = getenv("TEST_DATA");
	char path[4096], golden[16384];
	size_t len;
	FILE *file;

	emitted(layout, &emit);
	text_of(&emit, &text);
	(void)snprintf(path, sizeof(path), "%s/%s", dir ? dir : "tests/data", name);
	if (getenv("UPDATE_GOLDEN")) {
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(text.at, 1, text.len, file), text.len);
		assert_int_equal(fclose(file), 0);
	}
	file = fopen(path, "r");
	if (!file)
		fail_msg("open '%s'", path);
	len = fread(golden, 1, sizeof(golden) - 1, file);
	golden[len] = '\0';
	assert_int_equal(fclose(file), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_string_equal((const char *)text.at, golden);
}

static void arguments_are_the_recorded_ones(void **state)
{
	const struct layout tcg = planned(LAYOUT_TCG), kvm = planned(LAYOUT_KVM);
	const struct layout tee = confidential(LAYOUT_TCG);
	const struct layout devices = with_devices();

	(void)state;
	is_golden(&tcg, "qemu-tcg.argv");
	is_golden(&kvm, "qemu-kvm.argv");
	is_golden(&devices, "qemu-devices.argv");
	is_golden(&tee, "qemu-tee.argv");
}

static bool has(const struct emit_qemu *emit, const char *option, const char *value)
{
	for (size_t i = 1; i + 1 < emit->argv.len; i++) {
		if (strcmp(emit->argv.at[i], option) == 0 &&
		    (!value || strcmp(emit->argv.at[i + 1], value) == 0))
			return true;
	}
	return false;
}

static void sandbox_denies_every_class(void **state)
{
	for (enum layout_accel accel = LAYOUT_TCG; accel <= LAYOUT_KVM; accel++) {
		const struct layout layout = planned(accel);
		CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };

		(void)state;
		emitted(&layout, &emit);
		assert_true(has(&emit, "-sandbox",
				"on,obsolete=deny,elevateprivileges=deny,"
				"spawn=deny,resourcecontrol=deny"));
		assert_true(has(&emit, "-nodefaults", NULL));
		assert_true(has(&emit, "-no-user-config", NULL));
		assert_true(has(&emit, "-no-reboot", NULL));
	}
}

/* A path in an argument is one that a descriptor of the table stands behind. */
static void names_no_file_of_the_host(void **state)
{
	const struct layout layout = planned(LAYOUT_KVM);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };

	(void)state;
	emitted(&layout, &emit);
	for (size_t i = 1; i < emit.argv.len; i++) {
		const char *at = emit.argv.at[i];

		if (strcmp(emit.argv.at[i - 1], "-append") == 0)
			continue;
		while ((at = strchr(at, '/'))) {
			int target;

			assert_true(sscanf(at, "/proc/self/fd/%d", &target) == 1 ||
				    sscanf(at, "/dev/fdset/%d", &target) == 1);
			assert_true(target >= EMIT_TARGET_FIRST &&
				    target < EMIT_TARGET_FIRST + LAYOUT_ROLES);
			at += strcspn(at, ",");
		}
	}
}

/* QEMU closes a descriptor that is in a set and is also named elsewhere. */
static void each_descriptor_is_named_one_way(void **state)
{
	const struct layout layout = planned(LAYOUT_KVM);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };

	(void)state;
	emitted(&layout, &emit);
	assert_int_equal(emit.fd_count, LAYOUT_ROLES - 1); /* no TEE's */
	for (size_t i = 0; i < emit.fd_count; i++) {
		char in_set[32], by_proc[32], as_is[16];
		int ways = 0;

		(void)snprintf(in_set, sizeof(in_set), "fd=%d,set=%d", emit.fds[i].target,
			       emit.fds[i].target);
		(void)snprintf(by_proc, sizeof(by_proc), "/proc/self/fd/%d", emit.fds[i].target);
		(void)snprintf(as_is, sizeof(as_is), ",fd=%d", emit.fds[i].target);
		for (size_t j = 1; j < emit.argv.len; j++) {
			ways += strcmp(emit.argv.at[j], in_set) == 0;
			ways += strcmp(emit.argv.at[j], by_proc) == 0;
			ways += strstr(emit.argv.at[j], as_is) != NULL;
		}
		assert_int_equal(ways, 1);
		assert_int_equal(emit.fds[i].target, emit_target(emit.fds[i].role));
		assert_true(i == 0 || emit.fds[i].target > emit.fds[i - 1].target);
	}
}

static void options_are_in_order(void **state)
{
	const struct layout layout = planned(LAYOUT_TCG);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	const char *before = "";

	(void)state;
	emitted(&layout, &emit);
	for (size_t i = 1; i < emit.argv.len; i++) {
		if (emit.argv.at[i][0] != '-')
			continue;
		assert_true(strcmp(before, emit.argv.at[i]) <= 0);
		before = emit.argv.at[i];
	}
}

static void without_kvm_there_is_no_descriptor_for_it(void **state)
{
	const struct layout layout = planned(LAYOUT_TCG);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };

	(void)state;
	emitted(&layout, &emit);
	for (size_t i = 0; i < emit.fd_count; i++)
		assert_int_not_equal(emit.fds[i].role, LAYOUT_ROLE_KVM);
	assert_int_equal(emit.fd_count, LAYOUT_ROLES - 2);
}

static void refuses_a_layout_that_no_vm_has(void **state)
{
	struct emit_qemu emit = { 0 };
	struct layout layout;

	(void)state;
	layout = planned(LAYOUT_TCG);
	layout.vcpus = 0;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = planned(LAYOUT_TCG);
	layout.devices[1].slot = layout.devices[0].slot;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = planned(LAYOUT_TCG);
	layout.devices[layout.device_count - 1].slot = 31;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = planned(LAYOUT_TCG);
	layout.device_count = LAYOUT_DEVICES_MAX + 1;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = planned(LAYOUT_TCG);
	layout.ports[0].number = 2;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = planned(LAYOUT_TCG); /* a comma would be another property */
	(void)snprintf(layout.ports[0].name, sizeof(layout.ports[0].name), "a,b");
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	assert_null(emit.argv.at);
}

/* No descriptor of another role moves because of it. */
static void a_tee_has_a_descriptor_more(void **state)
{
	const struct layout layout = confidential(LAYOUT_KVM), plain = planned(LAYOUT_KVM);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 }, other = { 0 };

	(void)state;
	emitted(&layout, &emit);
	emitted(&plain, &other);
	assert_int_equal(emit.fd_count, LAYOUT_ROLES);
	assert_int_equal(emit.fds[emit.fd_count - 1].role, LAYOUT_ROLE_TEE);
	for (size_t i = 0; i < other.fd_count; i++) {
		assert_int_equal(emit.fds[i].role, other.fds[i].role);
		assert_int_equal(emit.fds[i].target, other.fds[i].target);
	}
}

static void with_a_tee_every_virtio_device_is_behind_the_iommu(void **state)
{
	const struct layout layout = confidential(LAYOUT_TCG);
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	size_t count = 0;

	(void)state;
	emitted(&layout, &emit);
	for (size_t i = 1; i < emit.argv.len; i++) {
		if (strncmp(emit.argv.at[i], "virtio-", strlen("virtio-")) != 0)
			continue;
		assert_non_null(strstr(emit.argv.at[i], ",iommu_platform=on"));
		count++;
	}
	assert_int_equal(count, layout.device_count);
	assert_false(has(&emit, "-object", "rng-builtin,id=rng"));
}

static void refuses_a_tee_that_is_none(void **state)
{
	struct emit_qemu emit = { 0 };
	struct layout layout;

	(void)state;
	layout = confidential(LAYOUT_TCG);
	layout.port_count = 1; /* nobody to ask for reports */
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = confidential(LAYOUT_TCG);
	layout.tee = LAYOUT_TEE_NONE;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = confidential(LAYOUT_TCG);
	layout.tee = LAYOUT_TEE_SIM + 1;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices(); /* devices that reach one another, or with ROMs */
	layout.tee = LAYOUT_TEE_SIM;
	layout.ports[layout.port_count++] = (struct layout_port){ LAYOUT_ROLE_TEE, 2, "t" };
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	for (size_t i = 0; i < layout.passed_count; i++)
		layout.passed[i].has_peers = layout.passed[i].has_rom = false;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), 0);
	emit_qemu_done(&emit);
	layout.passed[0].has_rom = true;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout.passed[0].has_rom = false;
	layout.passed[3].has_peers = true;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	assert_null(emit.argv.at);
}

/* What plan/space.h asks firmware for. */
static void large_bars_have_windows_and_memory_on_both_sides(void **state)
{
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	struct layout layout = with_devices();
	CLEANUP(buf_done) struct buf text = { 0 };

	(void)state;
	layout.bridges[1].reserve = UINT64_C(256) << 30;
	layout.low_mib = 1000;
	emitted(&layout, &emit);
	text_of(&emit, &text);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_non_null(strstr((const char *)text.at,
			       "pcie-root-port,id=bridge1,bus=bridge0,addr=01.0,multifunction=off,"
			       "chassis=2,slot=2,hotplug=off,io-reserve=0,x-speed=32,x-width=16,"
			       "pref64-reserve=262144M\n"));
	assert_non_null(strstr((const char *)text.at, ",mem-merge=off,max-ram-below-4g=1000M\n"));
	assert_null(strstr((const char *)text.at, "x3130-upstream,id=bridge2,pref64"));
}

static void refuses_a_tree_that_no_vm_has(void **state)
{
	struct emit_qemu emit = { 0 };
	struct layout layout;

	(void)state;
	layout = with_devices();
	layout.bridges[2].parent = 2; /* itself */
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.bridges[3].parent = 1; /* no switch above it */
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.bridges[0].parent = LAYOUT_NONE - 1;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.bridges[0].node = 2;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.passed[0].parent = 2; /* an upstream port's bus is for downstream ports */
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.passed[1].function = 8;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.passed_count = LAYOUT_PASSED_MAX + 1;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	layout = with_devices();
	layout.bridge_count = LAYOUT_BRIDGES_MAX + 1;
	assert_int_equal(emit_qemu(&layout, "q", &emit, NULL), -EINVAL);
	assert_null(emit.argv.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_the_recorded_ones),
		cmocka_unit_test(sandbox_denies_every_class),
		cmocka_unit_test(names_no_file_of_the_host),
		cmocka_unit_test(each_descriptor_is_named_one_way),
		cmocka_unit_test(options_are_in_order),
		cmocka_unit_test(without_kvm_there_is_no_descriptor_for_it),
		cmocka_unit_test(refuses_a_layout_that_no_vm_has),
		cmocka_unit_test(a_tee_has_a_descriptor_more),
		cmocka_unit_test(with_a_tee_every_virtio_device_is_behind_the_iommu),
		cmocka_unit_test(refuses_a_tee_that_is_none),
		cmocka_unit_test(large_bars_have_windows_and_memory_on_both_sides),
		cmocka_unit_test(refuses_a_tree_that_no_vm_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
