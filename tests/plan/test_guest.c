// SPDX-License-Identifier: Apache-2.0
#include "plan/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"

static const struct tree_row rows[] = {
	{ .at = "20:00.0", .type = PCI_ROOT_PORT },
	{ .at = "21:00.0", .below = "20:00.0", .vendor = 0x10de, .device = 0x20b0 },
	{ .at = "22:00.0", .below = "20:00.0", .kind = MACHINE_NIC },
};

/* A root complex with a switch, the second device first; a root port on bus 0. */
static const struct layout layout = {
	.memory_mib = 512,
	.bridges = { { LAYOUT_ROOT_PORT, LAYOUT_NONE, 8, 0, 1, LAYOUT_NONE },
		     { LAYOUT_PXB, LAYOUT_NONE, 9, 0, 2, 0 },
		     { LAYOUT_ROOT_PORT, 1, 0, 0, 3, LAYOUT_NONE },
		     { LAYOUT_UPSTREAM, 2, 0, 0, 4, LAYOUT_NONE },
		     { LAYOUT_DOWNSTREAM, 3, 0, 0, 5, LAYOUT_NONE } },
	.bridge_count = 5,
	.passed = { { .host = { .bus = 0x21 }, .parent = 4 },
		    { .host = { .bus = 0x22 }, .parent = 0 } },
	.passed_count = 2,
	.nodes = { { 512, 0, 1, 0 } },
	.node_count = 1,
};

static void the_guest_has_the_layouts_tree_and_the_hosts_devices(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *host = tree(&arena, rows, ARRAY_SIZE(rows));
	struct plan_choice choice = { .given_count = 2 };
	const struct machine_device *gpu, *nic;
	struct machine guest;
	int passed[2];

	(void)state;
	choice.given[0].device = tree_find(host, "21:00.0");
	choice.given[1].device = tree_find(host, "22:00.0");
	assert_int_equal(plan_guest(&arena, host, &choice, &layout, &guest, passed), 0);
	/* a PXB is a root bus, and none of its functions */
	assert_int_equal(guest.device_count, 6);
	assert_int_equal(guest.root_count, 2);
	gpu = &guest.devices[passed[0]];
	nic = &guest.devices[passed[1]];
	assert_int_equal(gpu->device, 0x20b0);
	assert_int_equal(gpu->address.bus, 5);
	assert_int_equal(gpu->depth, 3);
	assert_int_equal(guest.roots[gpu->root].bus, 2);
	assert_int_equal(gpu->numa, 0);
	assert_int_equal(guest.devices[gpu->parent].express.type, PCI_DOWNSTREAM_PORT);
	assert_int_equal(nic->address.bus, 1);
	assert_int_equal(nic->depth, 1);
	assert_int_equal(nic->numa, PCI_UNKNOWN);
	for (size_t i = 1; i < guest.device_count; i++)
		assert_true(pci_address_cmp(guest.devices[i - 1].address,
					    guest.devices[i].address) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_has_the_layouts_tree_and_the_hosts_devices),
	};

	return cmocka_run_group_tests_name("plan/guest", tests, NULL, NULL);
}
