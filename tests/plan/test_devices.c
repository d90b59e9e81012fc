// SPDX-License-Identifier: Apache-2.0
#include "plan/devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"

/* A GPU on each of three root complexes, the second and third of one node. */
static const struct tree_row rows[] = {
	{ .at = "20:00.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "21:00.0", .below = "20:00.0" },
	{ .at = "40:00.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "41:00.0", .below = "40:00.0" },
	{ .at = "80:00.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "81:00.0", .below = "80:00.0" },
};

static struct machine *server(struct arena *arena)
{
	struct machine *machine = tree(arena, rows, ARRAY_SIZE(rows));

	machine->limits.phys_bits = 46;
	for (size_t i = 0; i < machine->root_count; i++)
		machine->roots[i].numa = i == 0 ? 3 : 5;
	return machine;
}

static void plan(const struct machine *machine, uint32_t gpus, enum layout_mode mode,
		 struct plan *ret)
{
	const struct plan_wish wish = { .gpus = gpus, .mode = mode, .keep_drivers = "" };

	memset(ret, 0, sizeof(*ret));
	ret->layout.vcpus = 3;
	ret->layout.memory_mib = 1001;
	assert_int_equal(plan_devices(machine, &wish, ret), 0);
}

static void nodes_are_those_of_the_root_complexes(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	static struct plan planned;
	const struct layout *layout = &planned.layout;

	(void)state;
	plan(server(&arena), 3, LAYOUT_REPLICATE, &planned);
	assert_int_equal(planned.reasons.count, 0);
	assert_int_equal(layout->node_count, 2);
	assert_int_equal(layout->nodes[0].host, 3);
	assert_int_equal(layout->nodes[1].host, 5);
	assert_int_equal(layout->nodes[0].memory_mib, 501);
	assert_int_equal(layout->nodes[1].memory_mib, 500);
	assert_int_equal(layout->nodes[0].cpu_count, 2);
	assert_int_equal(layout->nodes[1].cpu_first, 2);
	assert_int_equal(layout->nodes[1].cpu_count, 1);
	for (size_t i = 0; i < layout->bridge_count; i++)
		if (layout->bridges[i].kind == LAYOUT_PXB)
			assert_int_equal(layout->bridges[i].node, i > 0);
}

static void flattened_there_is_no_numa(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	static struct plan planned;

	(void)state;
	plan(server(&arena), 3, LAYOUT_FLATTEN, &planned);
	assert_int_equal(planned.layout.node_count, 0);
}

static void a_node_that_is_unknown_is_none(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = server(&arena);
	static struct plan planned;

	(void)state;
	machine->roots[0].numa = PCI_UNKNOWN;
	for (size_t i = 0; i < machine->device_count; i++)
		machine->devices[i].numa = PCI_UNKNOWN;
	plan(machine, 3, LAYOUT_REPLICATE, &planned);
	assert_int_equal(planned.layout.bridges[0].node, LAYOUT_NONE);
	assert_int_equal(planned.layout.node_count, 1);
}

static void the_same_wish_gives_the_same_bytes(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = server(&arena);
	static struct plan first, second;

	(void)state;
	plan(machine, 2, LAYOUT_AUTO, &first);
	plan(machine, 2, LAYOUT_AUTO, &second);
	assert_memory_equal(&first, &second, sizeof(first));
}

static void gpus_that_reach_each_other_are_one_clique(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = server(&arena);
	struct plan_wish wish = { .gpus = 3, .keep_drivers = "" };
	static struct plan planned;
	const struct layout *layout = &planned.layout;

	(void)state;
	for (size_t i = 0; i < machine->device_count; i++)
		if (machine->devices[i].kind == MACHINE_GPU)
			machine->devices[i].vendor = 0x10de;
	plan(machine, 3, LAYOUT_REPLICATE, &planned);
	for (size_t i = 0; i < layout->passed_count; i++) {
		assert_true(layout->passed[i].has_peers);
		assert_int_equal(layout->passed[i].clique, 0);
		assert_false(layout->passed[i].has_rom);
	}
	/* one alone approves of nobody */
	plan(machine, 1, LAYOUT_REPLICATE, &planned);
	assert_int_equal(layout->passed[0].clique, LAYOUT_NONE);
	wish.no_peers = true;
	memset(&planned, 0, sizeof(planned));
	planned.layout.vcpus = 1;
	planned.layout.memory_mib = 512;
	assert_int_equal(plan_devices(machine, &wish, &planned), 0);
	assert_int_equal(layout->passed[0].clique, LAYOUT_NONE);
	assert_false(layout->passed[0].has_peers);
}

static void in_a_confidential_guest_no_device_reaches_another(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = server(&arena);
	struct plan_wish wish = { .gpus = 2, .keep_drivers = "" };
	static struct plan planned;

	(void)state;
	for (size_t i = 0; i < machine->device_count; i++)
		if (machine->devices[i].kind == MACHINE_GPU)
			machine->devices[i].vendor = 0x1002;
	planned.layout.vcpus = 1;
	planned.layout.memory_mib = 512;
	planned.layout.tee = LAYOUT_TEE_SIM;
	assert_int_equal(plan_devices(machine, &wish, &planned), 0);
	assert_int_equal(planned.layout.passed_count, 2);
	for (size_t i = 0; i < planned.layout.passed_count; i++) {
		assert_false(planned.layout.passed[i].has_peers);
		assert_false(planned.layout.passed[i].has_rom);
		assert_int_equal(planned.layout.passed[i].clique, LAYOUT_NONE);
	}
	assert_int_equal(planned.notes.count, 2);
	assert_non_null(strstr(planned.notes.at[0].text, "no peer-to-peer: in a confidential"));
	assert_non_null(strstr(planned.notes.at[1].text, "ROMs are hidden"));
	/* one device has nobody to reach */
	wish.gpus = 1;
	memset(&planned, 0, sizeof(planned));
	planned.layout.vcpus = 1;
	planned.layout.memory_mib = 512;
	planned.layout.tee = LAYOUT_TEE_SIM;
	assert_int_equal(plan_devices(machine, &wish, &planned), 0);
	assert_int_equal(planned.notes.count, 1);
	/* and without a TEE there is nothing to say */
	plan(machine, 2, LAYOUT_REPLICATE, &planned);
	assert_int_equal(planned.notes.count, 0);
}

static void amds_gpus_keep_their_rom_and_have_no_clique(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = server(&arena);
	static struct plan planned;

	(void)state;
	for (size_t i = 0; i < machine->device_count; i++)
		if (machine->devices[i].kind == MACHINE_GPU)
			machine->devices[i].vendor = 0x1002;
	plan(machine, 2, LAYOUT_REPLICATE, &planned);
	assert_true(planned.layout.passed[0].has_rom);
	assert_int_equal(planned.layout.passed[0].clique, LAYOUT_NONE);
}

static void what_is_refused_has_no_tree(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	static struct plan planned;

	(void)state;
	plan(server(&arena), 4, LAYOUT_AUTO, &planned);
	assert_int_equal(planned.reasons.count, 1);
	assert_int_equal(planned.layout.bridge_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_those_of_the_root_complexes),
		cmocka_unit_test(flattened_there_is_no_numa),
		cmocka_unit_test(a_node_that_is_unknown_is_none),
		cmocka_unit_test(the_same_wish_gives_the_same_bytes),
		cmocka_unit_test(gpus_that_reach_each_other_are_one_clique),
		cmocka_unit_test(in_a_confidential_guest_no_device_reaches_another),
		cmocka_unit_test(amds_gpus_keep_their_rom_and_have_no_clique),
		cmocka_unit_test(what_is_refused_has_no_tree),
	};

	return cmocka_run_group_tests_name("plan/devices", tests, NULL, NULL);
}
