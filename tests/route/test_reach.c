// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "route/reach.h"
#include "together.h"

struct fixture {
	struct arena arena;
	struct machine *machine;
};

static void fixture_done(struct fixture *it)
{
	arena_done(&it->arena);
}
CLEANUP_FUNC(struct fixture, fixture_done)

static void make(struct fixture *it, const struct tree_row *rows, size_t count)
{
	memset(it, 0, sizeof(*it));
	it->machine = tree(&it->arena, rows, count);
}

static struct machine_device *device(struct fixture *it, const char *at)
{
	return &it->machine->devices[tree_find(it->machine, at)];
}

static void reaches(const struct fixture *it, const char *from, const char *to, int wanted)
{
	struct route_reach reach;

	route_reach(it->machine, tree_find(it->machine, from), tree_find(it->machine, to), &reach);
	if (reach.direct != wanted)
		fail_msg("%s to %s: %d, '%s'", from, to, reach.direct, reach.text);
	assert_int_equal(reach.text[0] == '\0', wanted == PCI_NO);
}

static void says(const struct fixture *it, const char *from, const char *to, const char *text)
{
	struct route_reach reach;

	route_reach(it->machine, tree_find(it->machine, from), tree_find(it->machine, to), &reach);
	assert_string_equal(reach.text, text);
}

/* A switch whose first port has no ACS, and whose second has it, on. */
static const struct tree_row mixed[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "02:01.0",
	  .below = "01:00.0",
	  .type = PCI_DOWNSTREAM_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS },
	{ .at = "03:00.0", .below = "02:00.0" },
	{ .at = "04:00.0", .below = "02:01.0", .kind = MACHINE_NIC },
	{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "05:00.0", .below = "00:02.0" },
};

/* The trap of groups: different ones, and yet the one reaches the other; not the other way. */
static void the_port_above_the_requester_decides(void **state)
{
	CLEANUP(fixture_done) struct fixture it;
	struct route_groups groups;

	(void)state;
	make(&it, mixed, ARRAY_SIZE(mixed));
	assert_int_equal(route_groups(&it.arena, it.machine, &groups), 0);
	assert_false(together(it.machine, &groups, "03:00.0", "04:00.0"));
	reaches(&it, "03:00.0", "04:00.0", PCI_YES);
	reaches(&it, "04:00.0", "03:00.0", PCI_NO);
	reaches(&it, "03:00.0", "05:00.0", PCI_NO);
	reaches(&it, "03:00.0", "03:00.0", PCI_NO);
	says(&it, "03:00.0", "04:00.0",
	     "0000:03:00.0 reaches 0000:04:00.0 below switch port 0000:02:00.0, which has no ACS");
	/* what was opened later: groups do not show it */
	device(&it, "02:01.0")->acs.ctrl = PCI_ACS_SV;
	says(&it, "04:00.0", "03:00.0",
	     "0000:04:00.0 reaches 0000:03:00.0 below switch port 0000:02:01.0, whose ACS does not "
	     "redirect requests");
	/* by a table that is not to be seen */
	device(&it, "02:01.0")->acs.ctrl = REQUIRED_ACS | PCI_ACS_EC;
	device(&it, "02:01.0")->acs.cap |= PCI_ACS_EC;
	reaches(&it, "04:00.0", "03:00.0", PCI_UNKNOWN);
	/* bridges are neither */
	reaches(&it, "03:00.0", "02:01.0", PCI_NO);
	reaches(&it, "02:00.0", "04:00.0", PCI_NO);
}

static void what_goes_up_may_come_down_again_at_a_port_above(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, mixed, ARRAY_SIZE(mixed));
	device(&it, "00:01.0")->acs.present = PCI_NO;
	says(&it, "04:00.0", "03:00.0",
	     "0000:04:00.0 reaches 0000:03:00.0 by way of port 0000:00:01.0, which has no ACS");
	device(&it, "00:01.0")->acs.present = PCI_UNKNOWN;
	reaches(&it, "04:00.0", "03:00.0", PCI_UNKNOWN);
	reaches(&it, "03:00.0", "04:00.0", PCI_YES);
	device(&it, "00:01.0")->acs.present = PCI_YES;
	device(&it, "00:01.0")->acs.ctrl = REQUIRED_ACS & ~PCI_ACS_UF;
	reaches(&it, "04:00.0", "03:00.0", PCI_YES);
}

static void an_unread_port_may_let_it_through(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, mixed, ARRAY_SIZE(mixed));
	device(&it, "02:00.0")->acs.present = PCI_UNKNOWN;
	reaches(&it, "03:00.0", "04:00.0", PCI_UNKNOWN);
	/* a root port that does not forward decides nothing while it may not come so far */
	device(&it, "00:01.0")->acs.present = PCI_NO;
	reaches(&it, "03:00.0", "04:00.0", PCI_UNKNOWN);
	device(&it, "01:00.0")->express.type = PCI_UNKNOWN;
	reaches(&it, "03:00.0", "04:00.0", PCI_UNKNOWN);
}

static void functions_of_one_device_reach_each_other_without_acs(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .mf = 1 },
		{ .at = "01:00.1", .below = "00:01.0", .kind = MACHINE_OTHER },
		{ .at = "01:01.0", .below = "00:01.0", .kind = MACHINE_OTHER, .acs = WIRED_ACS },
		{ .at = "01:00.2", .below = "00:01.0", .vf_of = "01:00.0" },
		{ .at = "01:00.3", .below = "00:01.0", .vf_of = "01:00.0" },
		/* a chipset's root ports, one of them with ACS; and the next slot */
		{ .at = "00:1c.0", .type = PCI_ROOT_PORT, .mf = 1 },
		{ .at = "00:1c.1", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "00:1d.0", .type = PCI_ROOT_PORT },
		{ .at = "02:00.0", .below = "00:1c.0" },
		{ .at = "03:00.0", .below = "00:1c.1" },
		{ .at = "04:00.0", .below = "00:1d.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	says(&it, "01:00.0", "01:00.1",
	     "0000:01:00.0 reaches 0000:01:00.1 inside the device of function 0000:01:00.0, which "
	     "has no ACS");
	/* an ARI function is one of the same device, whatever its number */
	reaches(&it, "01:00.1", "01:01.0", PCI_YES);
	reaches(&it, "01:01.0", "01:00.1", PCI_NO);
	/* VFs are kept apart */
	reaches(&it, "01:00.2", "01:00.0", PCI_NO);
	reaches(&it, "01:00.2", "01:00.3", PCI_NO);
	reaches(&it, "01:00.1", "01:00.3", PCI_NO);
	/* but not by a root port that sends down what comes up */
	device(&it, "00:01.0")->acs.present = PCI_NO;
	reaches(&it, "01:00.2", "01:00.3", PCI_YES);
	reaches(&it, "02:00.0", "03:00.0", PCI_YES);
	reaches(&it, "03:00.0", "02:00.0", PCI_NO);
	reaches(&it, "02:00.0", "04:00.0", PCI_NO);
}

static void a_conventional_bus_is_shared(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_EXPRESS_TO_PCI },
		{ .at = "02:00.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "02:01.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "00:1e.0", .type = TREE_PCI, .kind = MACHINE_BRIDGE },
		{ .at = "03:00.0", .below = "00:1e.0", .type = TREE_PCI },
		{ .at = "03:01.0", .below = "00:1e.0", .type = TREE_PCI },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	says(&it, "02:00.0", "02:01.0",
	     "0000:02:00.0 reaches 0000:02:01.0 on the conventional bus behind 0000:01:00.0");
	reaches(&it, "03:00.0", "03:01.0", PCI_YES);
	reaches(&it, "03:00.0", "02:00.0", PCI_NO);
}

static void without_a_memory_bar_there_is_nothing_to_reach(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, mixed, ARRAY_SIZE(mixed));
	device(&it, "04:00.0")->bars[0].is_io = PCI_YES;
	reaches(&it, "03:00.0", "04:00.0", PCI_NO);
	device(&it, "04:00.0")->bars_known = PCI_UNKNOWN;
	reaches(&it, "03:00.0", "04:00.0", PCI_YES);
}

/* A large switch, two levels, and what a pod would take of it. */
static void a_set_is_told_of_all_that_reach_it_or_are_reached(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "02:01.0",
		  .below = "01:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = REQUIRED_ACS },
		{ .at = "02:02.0",
		  .below = "01:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = UNREAD_ACS },
		{ .at = "03:00.0", .below = "02:00.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "04:00.0", .below = "03:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "04:01.0", .below = "03:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "05:00.0", .below = "04:00.0" },
		{ .at = "06:00.0", .below = "04:01.0", .kind = MACHINE_NIC },
		{ .at = "07:00.0", .below = "02:01.0", .kind = MACHINE_NVME },
		{ .at = "08:00.0", .below = "02:02.0", .kind = MACHINE_NVME, .no_bars = true },
		{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
		{ .at = "09:00.0", .below = "00:02.0" },
	};
	CLEANUP(fixture_done) struct fixture it;
	struct route_contacts contacts;
	int set[2];

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	set[0] = tree_find(it.machine, "09:00.0");
	assert_int_equal(route_reach_set(&it.arena, it.machine, set, 1, &contacts), 0);
	assert_int_equal(contacts.count, 0);
	set[1] = tree_find(it.machine, "05:00.0");
	assert_int_equal(route_reach_set(&it.arena, it.machine, set, 2, &contacts), 0);
	assert_int_equal(contacts.count, 3);
	assert_int_equal(contacts.at[0].device, tree_find(it.machine, "06:00.0"));
	assert_int_equal(contacts.at[0].member, set[1]);
	assert_int_equal(contacts.at[0].is_inbound, PCI_YES);
	assert_int_equal(contacts.at[0].reach.direct, PCI_YES);
	/* its own requests are redirected; those of the set to it are not */
	assert_int_equal(contacts.at[1].device, tree_find(it.machine, "07:00.0"));
	assert_int_equal(contacts.at[1].is_inbound, PCI_NO);
	assert_string_equal(contacts.at[1].reach.text,
			    "0000:05:00.0 reaches 0000:07:00.0 below switch port 0000:02:00.0, "
			    "which has no ACS");
	assert_int_equal(contacts.at[2].device, tree_find(it.machine, "08:00.0"));
	assert_int_equal(contacts.at[2].is_inbound, PCI_YES);
	assert_int_equal(contacts.at[2].reach.direct, PCI_UNKNOWN);
	assert_int_equal(route_reach_set(&it.arena, it.machine, NULL, 0, &contacts), 0);
	assert_int_equal(contacts.count, 0);
}

static void a_large_set_of_contacts_is_whole(void **state)
{
	enum { DEVICES = 60 };
	struct tree_row rows[2 + 2 * DEVICES];
	CLEANUP(fixture_done) struct fixture it = { 0 };
	struct route_contacts contacts;
	int i, set;

	(void)state;
	rows[0] = (struct tree_row){
		.at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS
	};
	rows[1] =
		(struct tree_row){ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT };
	for (i = 0; i < DEVICES; i++) {
		rows[2 + 2 * i] = (struct tree_row){
			.at = arena_printf(&it.arena, "02:%02x.%x", (unsigned int)i / 8,
					   (unsigned int)i % 8),
			.below = "01:00.0",
			.type = PCI_DOWNSTREAM_PORT,
		};
		rows[3 + 2 * i] = (struct tree_row){
			.at = arena_printf(&it.arena, "%02x:00.0", (unsigned int)i + 3),
			.below = rows[2 + 2 * i].at,
		};
	}
	it.machine = tree(&it.arena, rows, ARRAY_SIZE(rows));
	set = tree_find(it.machine, "03:00.0");
	assert_int_equal(route_reach_set(&it.arena, it.machine, &set, 1, &contacts), 0);
	assert_int_equal(contacts.count, DEVICES - 1);
	for (i = 1; i < DEVICES - 1; i++)
		assert_true(contacts.at[i - 1].device < contacts.at[i].device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_port_above_the_requester_decides),
		cmocka_unit_test(what_goes_up_may_come_down_again_at_a_port_above),
		cmocka_unit_test(an_unread_port_may_let_it_through),
		cmocka_unit_test(functions_of_one_device_reach_each_other_without_acs),
		cmocka_unit_test(a_conventional_bus_is_shared),
		cmocka_unit_test(without_a_memory_bar_there_is_nothing_to_reach),
		cmocka_unit_test(a_set_is_told_of_all_that_reach_it_or_are_reached),
		cmocka_unit_test(a_large_set_of_contacts_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
