// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "route/acs.h"
#include "tree.h"

static const struct tree_row rows[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = PCI_ACS_SV },
	/* Intel's XE9680 root port: SV, TB and UF only */
	{ .at = "00:02.0",
	  .type = PCI_ROOT_PORT,
	  .acs = PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_UF | TREE_ACS_KNOWN,
	  .ctrl = PCI_ACS_SV | PCI_ACS_UF },
	{ .at = "00:03.0", .type = PCI_ROOT_PORT },
	{ .at = "00:04.0", .type = TREE_PCI },
	{ .at = "01:00.0", .below = "00:01.0" },
	{ .at = "02:00.0", .below = "00:02.0", .mf = 1 },
	{ .at = "02:00.1", .below = "00:02.0" },
	{ .at = "02:01.0", .below = "00:02.0" },
	{ .at = "02:00.2", .below = "00:02.0", .vf_of = "02:00.0" },
	{ .at = "02:00.3", .below = "00:02.0", .vf_of = "02:00.0", .type = TREE_UNREAD },
	{ .at = "03:00.0", .below = "00:03.0", .type = TREE_UNREAD },
	{ .at = "00:05.0", .type = PCI_ROOT_PORT, .acs = UNREAD_ACS },
	{ .at = "00:06.0", .type = PCI_RC_EVENT_COLLECTOR, .acs = ALL_ACS },
	{ .at = "00:07.0",
	  .type = PCI_ROOT_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS | PCI_ACS_DT | PCI_ACS_TB },
	{ .at = "00:08.0", .type = PCI_ENDPOINT, .vendor = 0x8088, .device = 0x0101, .mf = 1 },
	{ .at = "00:09.0", .type = PCI_ENDPOINT, .vendor = 0x8088, .device = 0x0999 },
};

struct fixture {
	struct arena arena;
	struct machine *machine;
};

static void fixture_done(struct fixture *it)
{
	arena_done(&it->arena);
}
CLEANUP_FUNC(struct fixture, fixture_done)

static void make(struct fixture *it)
{
	memset(it, 0, sizeof(*it));
	it->machine = tree(&it->arena, rows, ARRAY_SIZE(rows));
}

static int bit(const struct fixture *it, const char *at, int which, enum route_when when)
{
	return route_acs(it->machine, tree_find(it->machine, at), which, when);
}

static void with_an_iommu_the_register_is_as_it_stands(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_SV, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	/* but when groups were formed, the kernel had set it */
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_AT_GROUPING), PCI_YES);
	/* without one: the kernel's doing goes, perhaps */
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_SV, ROUTE_NO_IOMMU), PCI_UNKNOWN);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_NO_IOMMU), PCI_NO);
}

static void without_one_it_is_what_the_kernel_would_set(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	it.machine->limits.has_iommu = PCI_NO;
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_NO_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_SV, ROUTE_NO_IOMMU), PCI_YES);
	it.machine->limits.cmdline = "pci=disable_acs_redir=0000:00:01.0";
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_UNKNOWN);
	it.machine->limits.has_iommu = PCI_UNKNOWN;
	it.machine->limits.cmdline = NULL;
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_UNKNOWN);
	assert_int_equal(bit(&it, "00:01.0", PCI_ACS_SV, ROUTE_WITH_IOMMU), PCI_YES);
}

static void what_is_not_offered_is_wired_to_on(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	assert_int_equal(bit(&it, "00:02.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "00:02.0", PCI_ACS_DT, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "00:02.0", PCI_ACS_TB, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "00:07.0", PCI_ACS_TB, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "00:07.0", PCI_ACS_EC, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(route_acs_isolated(it.machine, tree_find(it.machine, "00:02.0")), PCI_YES);
}

static void a_missing_capability_means_something_else_for_each_type(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	assert_int_equal(bit(&it, "00:03.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "00:04.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "00:04.0", PCI_ACS_TB, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "01:00.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "02:00.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "02:00.1", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	assert_int_equal(bit(&it, "02:00.2", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "02:00.3", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "03:00.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_UNKNOWN);
	assert_int_equal(bit(&it, "00:05.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_UNKNOWN);
	assert_int_equal(bit(&it, "00:05.0", PCI_ACS_DT, ROUTE_WITH_IOMMU), PCI_UNKNOWN);
	assert_int_equal(bit(&it, "00:06.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
	/* of the table: isolated though it has no capability, and the other way round */
	assert_int_equal(bit(&it, "00:08.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_YES);
	assert_int_equal(bit(&it, "00:09.0", PCI_ACS_RR, ROUTE_WITH_IOMMU), PCI_NO);
}

static void functions_above_0_and_of_ari_are_of_several(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	assert_int_equal(route_multifunction(it.machine, tree_find(it.machine, "02:00.1")),
			 PCI_YES);
	assert_int_equal(route_multifunction(it.machine, tree_find(it.machine, "02:01.0")),
			 PCI_YES);
	assert_int_equal(route_multifunction(it.machine, tree_find(it.machine, "02:00.2")), PCI_NO);
	assert_int_equal(route_multifunction(it.machine, tree_find(it.machine, "01:00.0")), PCI_NO);
	assert_int_equal(route_multifunction(it.machine, tree_find(it.machine, "03:00.0")),
			 PCI_UNKNOWN);
}

static void what_was_deduced_of_a_port_decides_nothing(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it);
	it.machine->devices[tree_find(it.machine, "00:03.0")].is_port_deduced = true;
	assert_int_equal(route_acs_isolated(it.machine, tree_find(it.machine, "00:03.0")),
			 PCI_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_an_iommu_the_register_is_as_it_stands),
		cmocka_unit_test(without_one_it_is_what_the_kernel_would_set),
		cmocka_unit_test(what_is_not_offered_is_wired_to_on),
		cmocka_unit_test(a_missing_capability_means_something_else_for_each_type),
		cmocka_unit_test(functions_above_0_and_of_ari_are_of_several),
		cmocka_unit_test(what_was_deduced_of_a_port_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
