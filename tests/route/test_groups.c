// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared.h"
#include "together.h"

enum { INTEL = 0x8086, AMD = 0x1022, MARVELL = 0x1b4b };

struct fixture {
	struct arena arena;
	struct machine *machine;
	struct route_groups groups;
};

static void make(struct fixture *fixture, const struct tree_row *rows, size_t count)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->machine = tree(&fixture->arena, rows, count);
}

static void compute(struct fixture *fixture)
{
	assert_int_equal(route_groups(&fixture->arena, fixture->machine, &fixture->groups), 0);
}

static void fixture_done(struct fixture *fixture)
{
	arena_done(&fixture->arena);
}
CLEANUP_FUNC(struct fixture, fixture_done)

static void are_together(struct fixture *fixture, const char *a, const char *b, bool wanted)
{
	if (together(fixture->machine, &fixture->groups, a, b) != wanted)
		fail_msg("%s and %s are%s in one group", a, b, wanted ? " not" : "");
}

static void has_members(struct fixture *fixture, const char *at, size_t count)
{
	assert_int_equal(members(fixture->machine, &fixture->groups, at), count);
}

static void is_certain(struct fixture *fixture, const char *at, bool wanted)
{
	if (certain(fixture->machine, &fixture->groups, at) != wanted)
		fail_msg("the group of %s is%s certain", at, wanted ? " not" : "");
}

static void an_endpoint_shares_the_group_of_a_root_port_without_acs(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "01:00.0", .below = "00:01.0" },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT },
		{ .at = "02:00.0", .below = "00:02.0" },
		{ .at = "00:03.0", .type = PCI_ROOT_PORT },
		{ .at = "03:00.0", .below = "00:03.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	has_members(&it, "01:00.0", 1);
	has_members(&it, "02:00.0", 2);
	are_together(&it, "02:00.0", "00:02.0", true);
	are_together(&it, "02:00.0", "03:00.0", false);
	is_certain(&it, "02:00.0", true);
	/* numbers are those of the first member */
	assert_int_equal(it.groups.of[0], 0);
	assert_int_equal(it.groups.count, 4);
}

/* Groups are not isolation: the kernel has four here, and the two endpoints reach each other. */
static void below_a_switch_without_acs_each_port_has_a_group(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "02:01.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "03:00.0", .below = "02:00.0" },
		{ .at = "04:00.0", .below = "02:01.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "03:00.0", "02:00.0", true);
	are_together(&it, "04:00.0", "02:01.0", true);
	are_together(&it, "03:00.0", "04:00.0", false);
	has_members(&it, "01:00.0", 1);
	/* without ACS at the root port all that is below is one group */
	it.machine->devices[tree_find(it.machine, "00:01.0")].acs.present = PCI_NO;
	compute(&it);
	assert_int_equal(it.groups.count, 1);
}

static void functions_without_acs_are_one_group(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .mf = 1 },
		{ .at = "01:00.1", .below = "00:01.0", .mf = 1 },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "02:00.0", .below = "00:02.0", .mf = 1, .acs = WIRED_ACS },
		{ .at = "02:00.1", .below = "00:02.0", .mf = 1, .acs = WIRED_ACS },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "01:00.0", "01:00.1", true);
	are_together(&it, "02:00.0", "02:00.1", false);
	/* function 0 that denies having others is not asked about them */
	it.machine->devices[tree_find(it.machine, "01:00.0")].is_multifunction = PCI_NO;
	compute(&it);
	are_together(&it, "01:00.0", "01:00.1", false);
}

/* Alder Lake: 00:1c.0 without the capability, its neighbours with. */
static void only_functions_that_fail_are_merged(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = TREE_PCI, .mf = 1 },
		{ .at = "00:01.1", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "00:1c.0", .type = PCI_ROOT_PORT, .mf = 1 },
		{ .at = "00:1c.1", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "00:1c.2", .type = PCI_ROOT_PORT },
		{ .at = "06:00.0", .below = "00:1c.1" },
		{ .at = "07:00.0", .below = "00:1c.2" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "00:01.0", "00:01.1", false);
	are_together(&it, "00:1c.0", "00:1c.1", false);
	are_together(&it, "00:1c.0", "00:1c.2", true);
	are_together(&it, "00:1c.0", "07:00.0", true);
	has_members(&it, "06:00.0", 1);
}

static void a_bridge_to_pci_takes_all_below_it(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_EXPRESS_TO_PCI },
		{ .at = "02:00.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "02:01.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "00:1e.0", .type = TREE_PCI, .kind = MACHINE_BRIDGE },
		{ .at = "03:00.0", .below = "00:1e.0", .type = TREE_PCI },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "02:00.0", "01:00.0", true);
	are_together(&it, "02:00.0", "02:01.0", true);
	are_together(&it, "02:00.0", "00:01.0", false);
	are_together(&it, "03:00.0", "00:1e.0", true);
}

static void what_sends_with_a_foreign_id_shares_its_group(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0",
		  .below = "00:01.0",
		  .mf = 1,
		  .acs = WIRED_ACS,
		  .vendor = MARVELL,
		  .device = 0x9230 },
		{ .at = "01:00.1", .below = "00:01.0", .mf = 1, .acs = WIRED_ACS },
		{ .at = "01:00.2", .below = "00:01.0", .mf = 1, .acs = WIRED_ACS },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "01:00.0", "01:00.1", true);
	are_together(&it, "01:00.0", "01:00.2", false);
}

/* VFs have slot numbers of their PF's, and are not functions of one slot. */
static void a_vf_has_a_group_of_its_own(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .mf = 1 },
		{ .at = "01:00.1", .below = "00:01.0", .mf = 1 },
		{ .at = "01:00.2", .below = "00:01.0", .vf_of = "01:00.0" },
		{ .at = "01:00.3", .below = "00:01.0", .vf_of = "01:00.0" },
		{ .at = "02:10.0", .below = "00:01.0", .vf_of = "01:00.1" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	has_members(&it, "01:00.0", 2);
	has_members(&it, "01:00.2", 1);
	has_members(&it, "01:00.3", 1);
	has_members(&it, "02:10.0", 1);
}

static void devices_that_isolate_without_saying_so_are_known(void **state)
{
	static const struct tree_row rows[] = {
		/* Intel, integrated: isolated; another's: not */
		{ .at = "00:05.0", .type = PCI_RC_ENDPOINT, .mf = 1, .vendor = INTEL },
		{ .at = "00:05.1", .type = PCI_RC_ENDPOINT, .vendor = INTEL },
		{ .at = "00:06.0", .type = PCI_RC_ENDPOINT, .mf = 1, .vendor = AMD },
		{ .at = "00:06.1", .type = PCI_RC_ENDPOINT, .vendor = AMD },
		/* a NIC of four ports, I350 */
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .mf = 1, .vendor = INTEL, .device = 0x1521 },
		{ .at = "01:00.1", .below = "00:01.0", .mf = 1, .vendor = INTEL, .device = 0x1521 },
		/* Zhaoxin's ports: only those that are listed, capability or not */
		{ .at = "00:08.0", .type = PCI_ROOT_PORT, .vendor = 0x1d17, .device = 0x0725 },
		{ .at = "08:00.0", .below = "00:08.0" },
		{ .at = "00:09.0",
		  .type = PCI_ROOT_PORT,
		  .vendor = 0x1d17,
		  .device = 0x0800,
		  .acs = ALL_ACS },
		{ .at = "09:00.0", .below = "00:09.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	are_together(&it, "00:05.0", "00:05.1", false);
	are_together(&it, "00:06.0", "00:06.1", true);
	are_together(&it, "01:00.0", "01:00.1", false);
	has_members(&it, "08:00.0", 1);
	has_members(&it, "09:00.0", 2);
}

static void amds_chipset_is_isolated_with_amds_iommu_only(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:14.0", .type = TREE_PCI, .mf = 1, .vendor = 0x1002, .device = 0x4385 },
		{ .at = "00:14.2", .type = TREE_PCI, .vendor = 0x1002, .device = 0x4383 },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	it.machine->limits.iommu = "amd";
	compute(&it);
	are_together(&it, "00:14.0", "00:14.2", false);
	is_certain(&it, "00:14.0", true);
	it.machine->limits.iommu = "intel";
	compute(&it);
	are_together(&it, "00:14.0", "00:14.2", true);
	is_certain(&it, "00:14.0", true);
	/* with none on, the firmware's table may yet be there */
	it.machine->limits.iommu = NULL;
	it.machine->limits.has_iommu = PCI_NO;
	compute(&it);
	is_certain(&it, "00:14.0", false);
}

static void vmds_children_are_in_its_group(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:0e.0", .type = PCI_RC_ENDPOINT, .vendor = INTEL, .kind = MACHINE_OTHER },
		{ .at = "10000:e0:06.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "10000:e1:00.0", .below = "10000:e0:06.0", .kind = MACHINE_NVME },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	is_certain(&it, "10000:e1:00.0", false);
	it.machine->devices[1].sysfs = "sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/"
				       "10000:e0:06.0";
	it.machine->devices[2].sysfs = "sys/devices/pci0000:00/0000:00:0e.0/pci10000:e0/"
				       "10000:e0:06.0/10000:e1:00.0";
	compute(&it);
	has_members(&it, "00:0e.0", 3);
	is_certain(&it, "10000:e1:00.0", true);
}

static const struct tree_row acs_off[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
	{ .at = "01:00.0", .below = "00:01.0" },
};

static void acs_is_taken_as_the_kernel_will_set_it(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, acs_off, ARRAY_SIZE(acs_off));
	it.machine->limits.has_iommu = PCI_NO;
	compute(&it);
	has_members(&it, "01:00.0", 1);
	is_certain(&it, "01:00.0", true);
	it.machine->limits.cmdline = NULL;
	compute(&it);
	has_members(&it, "01:00.0", 1);
	/* opened after groups were formed */
	it.machine->limits.has_iommu = PCI_YES;
	it.machine->limits.cmdline = "quiet intel_iommu=on";
	compute(&it);
	has_members(&it, "01:00.0", 1);
	/* or before */
	it.machine->limits.cmdline = "quiet pci=config_acs=x@pci:0:0";
	compute(&it);
	has_members(&it, "01:00.0", 2);
	is_certain(&it, "01:00.0", true);
	it.machine->limits.cmdline = NULL;
	compute(&it);
	is_certain(&it, "01:00.0", false);
	/* parameters that the next boot may keep, or not */
	it.machine->limits.has_iommu = PCI_NO;
	it.machine->limits.cmdline = "pci=disable_acs_redir=0000:00:01.0";
	compute(&it);
	is_certain(&it, "01:00.0", false);
}

static void a_cut_configuration_space_is_unknown_where_it_matters(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = UNREAD_ACS },
		{ .at = "01:00.0", .below = "00:01.0" },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "02:00.0", .below = "00:02.0", .acs = UNREAD_ACS },
		{ .at = "00:03.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "03:00.0", .below = "00:03.0", .acs = UNREAD_ACS, .mf = 1 },
		{ .at = "03:00.1", .below = "00:03.0", .acs = UNREAD_ACS, .mf = 1 },
		{ .at = "00:04.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "04:00.0", .below = "00:04.0", .type = TREE_UNREAD },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	is_certain(&it, "01:00.0", false);
	is_certain(&it, "00:01.0", false);
	has_members(&it, "01:00.0", 2);
	/* one function alone has nothing to isolate */
	is_certain(&it, "02:00.0", true);
	is_certain(&it, "03:00.0", false);
	has_members(&it, "03:00.0", 2);
	/* of a function of which nothing was read others may be there too */
	is_certain(&it, "04:00.0", false);
}

static void give_groups(struct fixture *it, const struct machine_set *sets, size_t count)
{
	size_t i, j;

	it->machine->groups = arena_array(&it->arena, count, sizeof(*it->machine->groups));
	it->machine->group_count = count;
	for (i = 0; i < count; i++) {
		it->machine->groups[i] =
			(struct machine_group){ .id = (int)(40 + i), .members = sets[i] };
		for (j = 0; j < sets[i].count; j++)
			it->machine->devices[sets[i].at[j]].group = (int)i;
	}
}

/* Numbers differ from boot to boot: what counts is who is with whom. */
static void kernels_groups_are_compared_as_sets(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT },
		{ .at = "01:00.0", .below = "00:01.0" },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "02:00.0", .below = "00:02.0" },
		{ .at = "00:00.2", .type = TREE_PCI },
	};
	/* 00:00.2, 00:01.0, 00:02.0, 01:00.0, 02:00.0 */
	static const int first[] = { 4 }, second[] = { 1, 3 }, third[] = { 2 }, wrong[] = { 2, 4 };
	const struct machine_set same[] = { { first, 1 }, { second, 2 }, { third, 1 } };
	const struct machine_set other[] = { { second, 2 }, { wrong, 2 } };
	const struct machine_set split[] = { { second, 1 }, { second + 1, 1 } };
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	compute(&it);
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 1), PCI_UNKNOWN);
	give_groups(&it, same, ARRAY_SIZE(same));
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 1), PCI_NO);
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 4), PCI_NO);
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 0), PCI_UNKNOWN);
	give_groups(&it, other, ARRAY_SIZE(other));
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 3), PCI_NO);
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 2), PCI_YES);
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 4), PCI_YES);
	/* a part of what was computed */
	give_groups(&it, split, ARRAY_SIZE(split));
	assert_int_equal(route_groups_differ(it.machine, &it.groups, 1), PCI_YES);
	assert_true(route_groups_trusted(it.machine));
	it.machine->limits.has_acs_override = PCI_YES;
	assert_false(route_groups_trusted(it.machine));
}

/* In "IOMMU Group 24 09:00.0 ..." and what follows, the number before an address; -1. */
static int expected_of(const char *text, const char *end, const char *at)
{
	const char *line, *next, *found;
	char mark[32];
	int group = -1;

	(void)snprintf(mark, sizeof(mark), " %s ", at);
	for (line = text; line && line < end; line = next ? next + 1 : NULL) {
		next = strchr(line, '\n');
		if (strncmp(line, "IOMMU Group ", 12) == 0)
			group = atoi(line + 12);
		found = strstr(line, mark);
		if (found && (!next || found < next))
			return group;
	}
	return -1;
}

static void agree(struct fixture *it, const struct tree_row *rows, size_t count, const char *text,
		  const char *end)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		int first = expected_of(text, end, rows[i].at);

		assert_int_not_equal(first, -1);
		for (j = 0; j < i; j++)
			are_together(it, rows[i].at, rows[j].at,
				     first == expected_of(text, end, rows[j].at));
	}
}

#define PCH(at_, device_)                                                                     \
	{                                                                                     \
		.at = at_, .type = PCI_ROOT_PORT, .vendor = INTEL, .device = device_, .mf = 1 \
	}

/* An X99 with two kernels: one that isolates the chipset's root ports, one that does not. */
static const struct tree_row x99[] = {
	{ .at = "00:00.0", .type = PCI_ROOT_PORT },
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
	{ .at = "00:01.1", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
	{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
	{ .at = "00:03.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
	{ .at = "00:03.2", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
	{ .at = "00:05.0", .type = PCI_RC_ENDPOINT, .vendor = INTEL, .mf = 1 },
	{ .at = "00:05.1", .type = PCI_RC_ENDPOINT, .vendor = INTEL, .mf = 1 },
	{ .at = "00:05.2", .type = PCI_RC_ENDPOINT, .vendor = INTEL, .mf = 1 },
	{ .at = "00:05.4", .type = PCI_RC_ENDPOINT, .vendor = INTEL, .mf = 1 },
	{ .at = "00:14.0", .type = TREE_PCI },
	{ .at = "00:1a.0", .type = TREE_PCI },
	PCH("00:1c.0", 0x8d10),
	PCH("00:1c.3", 0x8d16),
	PCH("00:1c.4", 0x8d18),
	PCH("00:1c.6", 0x8d1c),
	{ .at = "00:1f.0", .type = TREE_PCI, .mf = 1 },
	{ .at = "00:1f.2", .type = TREE_PCI, .mf = 1 },
	{ .at = "00:1f.3", .type = TREE_PCI, .mf = 1 },
	{ .at = "01:00.0", .below = "00:01.0", .mf = 1 },
	{ .at = "01:00.1", .below = "00:01.0", .mf = 1 },
	{ .at = "02:00.0", .below = "00:01.1", .kind = MACHINE_NIC },
	{ .at = "03:00.0", .below = "00:02.0", .mf = 1 },
	{ .at = "03:00.1", .below = "00:02.0", .mf = 1 },
	{ .at = "05:00.0", .below = "00:03.2", .kind = MACHINE_NVME },
	{ .at = "07:00.0", .below = "00:1c.3", .type = PCI_UPSTREAM_PORT },
	{ .at = "08:01.0", .below = "07:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "08:03.0", .below = "07:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "08:04.0", .below = "07:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "09:00.0", .below = "08:01.0", .kind = MACHINE_NIC },
	{ .at = "0c:00.0", .below = "00:1c.4", .kind = MACHINE_OTHER },
	{ .at = "0d:00.0", .below = "00:1c.6", .kind = MACHINE_OTHER },
};

static void agrees_with_a_real_x99_on_captures(void **state)
{
	cleanup_free char *text = shared_text("captures/x99-i7-5930k-gtx980-iommu-groups-acs-quirk/"
					      "groups-with-and-without-quirk.txt");
	CLEANUP(fixture_done) struct fixture it;
	const char *with, *without;
	size_t i;

	(void)state;
	make(&it, x99, ARRAY_SIZE(x99));
	assert_non_null(text);
	with = strstr(text, "\nKernel 5.8 or 5.9 with commit");
	without = with ? strstr(with + 1, "\nKernel 5.9") : NULL;
	assert_non_null(without);
	compute(&it);
	agree(&it, x99, ARRAY_SIZE(x99), with, without);
	/* the same without the table's knowledge */
	for (i = 0; i < it.machine->device_count; i++)
		if (it.machine->devices[i].device >= 0x8d10)
			it.machine->devices[i].device = 1;
	compute(&it);
	agree(&it, x99, ARRAY_SIZE(x99), without, text + strlen(text));
}
ON_CAPTURES(agrees_with_a_real_x99)

/* Two sockets of E5, four players: without what newer kernels know of integrated devices. */
static void agrees_with_a_real_pair_of_e5_on_captures(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
		{ .at = "00:01.1", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "00:03.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
		{ .at = "00:03.2", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .mf = 1 },
		{ .at = "00:11.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "00:16.0", .type = TREE_PCI, .mf = 1 },
		{ .at = "00:16.1", .type = TREE_PCI, .mf = 1 },
		PCH("00:1c.0", 0x1d10),
		PCH("00:1c.1", 0x1d12),
		PCH("00:1c.3", 0x1d16),
		PCH("00:1c.7", 0x1d1e),
		{ .at = "00:1e.0", .type = TREE_PCI, .kind = MACHINE_BRIDGE },
		{ .at = "00:1f.0", .type = TREE_PCI, .mf = 1 },
		{ .at = "00:1f.2", .type = TREE_PCI, .mf = 1 },
		{ .at = "00:1f.3", .type = TREE_PCI, .mf = 1 },
		{ .at = "04:00.0", .below = "00:02.0", .mf = 1 },
		{ .at = "04:00.1", .below = "00:02.0", .mf = 1 },
		{ .at = "08:00.0", .below = "00:1c.0", .kind = MACHINE_NIC },
		{ .at = "09:00.0", .below = "00:1c.1", .type = PCI_EXPRESS_TO_PCI },
		{ .at = "0a:00.0", .below = "09:00.0", .type = TREE_PCI },
		{ .at = "0b:00.0", .below = "00:1c.3", .kind = MACHINE_NIC },
		{ .at = "80:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "82:00.0", .below = "80:02.0", .mf = 1 },
		{ .at = "82:00.1", .below = "80:02.0", .mf = 1 },
		/* of the second processor's uncore: multifunction, not PCI Express */
		{ .at = "ff:08.0", .type = TREE_PCI, .mf = 1 },
		{ .at = "ff:08.3", .type = TREE_PCI, .mf = 1 },
		{ .at = "ff:08.4", .type = TREE_PCI, .mf = 1 },
		{ .at = "ff:09.0", .type = TREE_PCI, .mf = 1 },
	};
	cleanup_free char *text =
		shared_text("captures/dual-xeon-e5-4gamers1pc-iommu-groups/iommu_groups.txt");
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	assert_non_null(text);
	compute(&it);
	agree(&it, rows, ARRAY_SIZE(rows), text, text + strlen(text));
}
ON_CAPTURES(agrees_with_a_real_pair_of_e5)

/* Grace: ACS opened at boot between a NIC and a GPU puts the way down to the GPU in one group. */
static void a_port_that_was_opened_at_boot_takes_all_below_it(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "0008:00:00.0",
		  .type = PCI_ROOT_PORT,
		  .acs = ALL_ACS,
		  .ctrl = REQUIRED_ACS },
		{ .at = "0008:01:00.0", .below = "0008:00:00.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "0008:02:00.0",
		  .below = "0008:01:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = PCI_ACS_SV },
		{ .at = "0008:02:03.0",
		  .below = "0008:01:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = PCI_ACS_SV },
		{ .at = "0008:03:00.0", .below = "0008:02:00.0", .kind = MACHINE_NIC },
		{ .at = "0008:04:00.0", .below = "0008:02:03.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "0008:05:00.0",
		  .below = "0008:04:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = REQUIRED_ACS },
		{ .at = "0008:06:00.0", .below = "0008:05:00.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	it.machine->limits.cmdline = "pci=config_acs=1@0008:02:00.0;0008:02:03.0";
	compute(&it);
	has_members(&it, "0008:06:00.0", 4);
	are_together(&it, "0008:06:00.0", "0008:02:03.0", true);
	are_together(&it, "0008:06:00.0", "0008:04:00.0", true);
	has_members(&it, "0008:03:00.0", 2);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* A row for each of a random tree, of which some was not read. */
static size_t random_rows(struct arena *arena, uint32_t *seed, struct tree_row *rows, size_t max)
{
	static const int types[] = { PCI_ENDPOINT,	 PCI_ROOT_PORT,
				     PCI_UPSTREAM_PORT,	 PCI_DOWNSTREAM_PORT,
				     PCI_EXPRESS_TO_PCI, PCI_RC_ENDPOINT,
				     TREE_PCI,		 TREE_UNREAD,
				     PCI_ENDPOINT };
	static const int acs[] = { NO_ACS, ALL_ACS, UNREAD_ACS, WIRED_ACS };
	size_t i, count = 1 + next_random(seed) % max;

	for (i = 0; i < count; i++) {
		size_t above = i == 0 ? 0 : next_random(seed) % (2 * i);
		bool has_above = i > 0 && above < i && !rows[above].vf_of;

		rows[i] = (struct tree_row){
			.at = arena_printf(arena, "%02x:%02x.%x",
					   has_above ? (unsigned int)(above + 1) : 0,
					   (unsigned int)(i / 2 % 32), (unsigned int)(i % 2)),
			.below = has_above ? rows[above].at : NULL,
			.type = types[next_random(seed) % ARRAY_SIZE(types)],
			.acs = acs[next_random(seed) % ARRAY_SIZE(acs)],
			.ctrl = next_random(seed) % 2 ? REQUIRED_ACS : 0,
			.mf = next_random(seed) % 2,
			.vf_of = i > 0 && next_random(seed) % 16 == 0 ? rows[0].at : NULL,
		};
	}
	return count;
}

static void every_device_is_in_one_group(void **state)
{
	struct tree_row rows[48];
	uint32_t seed = 1;
	int round;
	size_t i, j;

	(void)state;
	for (round = 0; round < 3000; round++) {
		CLEANUP(fixture_done) struct fixture it;
		CLEANUP(arena_done) struct arena names = { 0 };
		size_t count = random_rows(&names, &seed, rows, ARRAY_SIZE(rows)), seen = 0;

		make(&it, rows, count);
		compute(&it);
		for (i = 0; i < it.groups.count; i++) {
			const struct machine_set *set = &it.groups.groups[i].members;

			seen += set->count;
			assert_true(set->count > 0);
			for (j = 0; j < set->count; j++)
				assert_int_equal(it.groups.of[set->at[j]], i);
		}
		assert_int_equal(seen, count);
	}
}

/* The same tree, with everything read. */
static void read_all(uint32_t *seed, struct tree_row *rows, size_t count)
{
	static const int types[] = { PCI_ENDPOINT,	  PCI_ROOT_PORT,      PCI_UPSTREAM_PORT,
				     PCI_DOWNSTREAM_PORT, PCI_EXPRESS_TO_PCI, TREE_PCI };
	size_t i;

	for (i = 0; i < count; i++) {
		if (rows[i].type == TREE_UNREAD)
			rows[i].type = types[next_random(seed) % ARRAY_SIZE(types)];
		if (rows[i].acs == UNREAD_ACS)
			rows[i].acs = next_random(seed) % 2 ? NO_ACS : ALL_ACS;
	}
}

static void a_certain_group_is_so_whatever_the_unknown_is(void **state)
{
	struct tree_row rows[24];
	uint32_t seed = 7;
	int round, certain_seen = 0, doubts_seen = 0;
	size_t i, j;

	(void)state;
	for (round = 0; round < 5000; round++) {
		CLEANUP(fixture_done) struct fixture cut, whole;
		CLEANUP(arena_done) struct arena names = { 0 };
		size_t count = random_rows(&names, &seed, rows, ARRAY_SIZE(rows));

		make(&cut, rows, count);
		compute(&cut);
		read_all(&seed, rows, count);
		make(&whole, rows, count);
		compute(&whole);
		for (i = 0; i < cut.groups.count; i++) {
			const struct machine_set *set = &cut.groups.groups[i].members;
			int of = whole.groups.of[set->at[0]];

			doubts_seen += !cut.groups.groups[i].is_certain;
			if (!cut.groups.groups[i].is_certain)
				continue;
			certain_seen++;
			assert_int_equal(whole.groups.groups[of].members.count, set->count);
			for (j = 0; j < set->count; j++)
				assert_int_equal(whole.groups.of[set->at[j]], of);
		}
	}
	assert_true(certain_seen > 1000 && doubts_seen > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_shares_the_group_of_a_root_port_without_acs),
		cmocka_unit_test(below_a_switch_without_acs_each_port_has_a_group),
		cmocka_unit_test(functions_without_acs_are_one_group),
		cmocka_unit_test(only_functions_that_fail_are_merged),
		cmocka_unit_test(a_bridge_to_pci_takes_all_below_it),
		cmocka_unit_test(what_sends_with_a_foreign_id_shares_its_group),
		cmocka_unit_test(a_vf_has_a_group_of_its_own),
		cmocka_unit_test(devices_that_isolate_without_saying_so_are_known),
		cmocka_unit_test(amds_chipset_is_isolated_with_amds_iommu_only),
		cmocka_unit_test(vmds_children_are_in_its_group),
		cmocka_unit_test(acs_is_taken_as_the_kernel_will_set_it),
		cmocka_unit_test(a_cut_configuration_space_is_unknown_where_it_matters),
		cmocka_unit_test(kernels_groups_are_compared_as_sets),
		cmocka_unit_test(agrees_with_a_real_x99),
		cmocka_unit_test(agrees_with_a_real_pair_of_e5),
		cmocka_unit_test(a_port_that_was_opened_at_boot_takes_all_below_it),
		cmocka_unit_test(every_device_is_in_one_group),
		cmocka_unit_test(a_certain_group_is_so_whatever_the_unknown_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
