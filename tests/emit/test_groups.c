// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "emit/groups.h"
#include "emit/topology.h"

/* A switch without ACS, and a root port of which it was not read. */
static const struct tree_row rows[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "02:01.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "03:00.0", .below = "02:00.0", .kind = MACHINE_NIC },
	{ .at = "04:00.0", .below = "02:01.0" },
	{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = UNREAD_ACS },
	{ .at = "05:00.0", .below = "00:02.0", .no_bars = true },
};

static void notes(const struct machine *machine, struct buf *ret)
{
	assert_int_equal(emit_groups_notes(machine, ret), 0);
	assert_int_equal(buf_add(ret, "", 1), 0);
}

static void groups_are_computed_where_the_kernel_has_none(void **state)
{
	static const char wanted[] =
		"computed group 0\n"
		"    0000:00:01.0 root-port\n"
		"computed group 2\n"
		"    0000:01:00.0 switch-port\n"
		"computed group 3\n"
		"    0000:02:00.0 switch-port\n"
		"    0000:03:00.0 nic\n"
		"computed group 4\n"
		"    0000:02:01.0 switch-port\n"
		"    0000:04:00.0 gpu\n"
		"2 devices in groups that cannot be computed: what their configuration space says is "
		"not in the capture\n"
		"past the IOMMU: 0000:03:00.0 reaches 0000:04:00.0 below switch port 0000:02:00.0, "
		"which has no ACS\n"
		"past the IOMMU: 0000:04:00.0 reaches 0000:03:00.0 below switch port 0000:02:01.0, "
		"which has no ACS\n";
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf out = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));

	(void)state;
	notes(machine, &out);
	assert_string_equal((const char *)out.at, wanted);
}

static void the_json_has_the_certain_ones(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
	json_t *topology = emit_topology_json(machine), *groups, *devices, *group;

	(void)state;
	assert_non_null(topology);
	assert_int_equal(emit_groups_json(machine, topology), 0);
	groups = json_object_get(topology, "groups");
	devices = json_object_get(topology, "devices");
	assert_int_equal(json_array_size(groups), 4);
	group = json_array_get(groups, 3);
	assert_string_equal(json_string_value(json_object_get(group, "source")), "computed");
	assert_int_equal(json_array_size(json_object_get(group, "members")), 2);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_array_get(devices, (size_t)tree_find(machine, "04:00.0")), "group")),
		json_integer_value(json_object_get(group, "id")));
	assert_true(json_is_null(json_object_get(
		json_array_get(devices, (size_t)tree_find(machine, "05:00.0")), "group")));
	json_decref(topology);
}

static void a_difference_from_the_kernel_is_said(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf out = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
	int both[2] = { tree_find(machine, "03:00.0"), tree_find(machine, "04:00.0") };
	struct machine_group group = { .id = 17, .members = { both, 2 } };

	(void)state;
	machine->groups = &group;
	machine->group_count = 1;
	machine->devices[both[0]].group = machine->devices[both[1]].group = 0;
	notes(machine, &out);
	assert_string_equal((const char *)out.at,
			    "0000:03:00.0 is in group 17 with others than Linux 6.12 would put "
			    "there from its configuration space\n"
			    "0000:04:00.0 is in group 17 with others than Linux 6.12 would put "
			    "there from its configuration space\n");
}

static void too_many_endpoints_are_not_compared(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf out = { 0 }, more = { 0 };
	struct tree_row *many = arena_array(&arena, EMIT_GROUPS_DEVICES_MAX + 1, sizeof(*many));
	struct machine *machine;
	size_t i;

	(void)state;
	assert_non_null(many);
	for (i = 0; i <= EMIT_GROUPS_DEVICES_MAX; i++)
		many[i].at = arena_printf(&arena, "%02x:%02x.0", (unsigned int)i / 32,
					  (unsigned int)i % 32);
	machine = tree(&arena, many, EMIT_GROUPS_DEVICES_MAX);
	notes(machine, &out);
	assert_null(strstr((const char *)out.at, "endpoints"));
	machine = tree(&arena, many, EMIT_GROUPS_DEVICES_MAX + 1);
	notes(machine, &more);
	assert_non_null(strstr((const char *)more.at, "1025 endpoints: who reaches whom"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_computed_where_the_kernel_has_none),
		cmocka_unit_test(the_json_has_the_certain_ones),
		cmocka_unit_test(a_difference_from_the_kernel_is_said),
		cmocka_unit_test(too_many_endpoints_are_not_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
