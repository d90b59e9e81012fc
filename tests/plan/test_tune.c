// SPDX-License-Identifier: Apache-2.0
#include "plan/tune.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"
#include "plan/devices.h"
#include "route/p2p.h"

#define SWITCH_PORT PCI_DOWNSTREAM_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS
#define ROOT_PORT PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS

/* A NIC with ATS and a GPU with a companion, both without, below a switch; a disk beside it. */
static const struct tree_row rows[] = {
	{ .at = "20:00.0", .type = ROOT_PORT },
	{ .at = "21:00.0", .below = "20:00.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "22:00.0", .below = "21:00.0", .type = SWITCH_PORT },
	{ .at = "22:01.0", .below = "21:00.0", .type = SWITCH_PORT },
	{ .at = "23:00.0", .below = "22:00.0", .kind = MACHINE_NIC, .ats = 1 },
	{ .at = "24:00.0", .below = "22:01.0", .mf = 1 },
	{ .at = "24:00.1", .below = "22:01.0", .kind = MACHINE_OTHER },
	{ .at = "20:01.0", .type = ROOT_PORT },
	{ .at = "25:00.0", .below = "20:01.0", .kind = MACHINE_NVME },
};

struct fixture {
	struct arena arena;
	struct machine *machine;
	struct plan plan;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = tree(&f->arena, rows, ARRAY_SIZE(rows));
	f->machine->limits.has_iommu = PCI_YES;
	f->machine->limits.cmdline = "";
	f->machine->limits.phys_bits = 46;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	free(f);
	return 0;
}

static struct machine_device *device(const struct fixture *f, const char *at)
{
	return &f->machine->devices[tree_find(f->machine, at)];
}

static void make(struct fixture *f, const struct plan_wish *wish)
{
	memset(&f->plan, 0, sizeof(f->plan));
	f->plan.layout.vcpus = 2;
	f->plan.layout.memory_mib = 1024;
	assert_int_equal(plan_devices(f->machine, wish, &f->plan), 0);
	assert_int_equal(f->plan.reasons.count, 0);
}

/* The devices at these addresses, their ports' ACS set if has_tune. */
static void plan(struct fixture *f, const char *first, const char *second, bool has_tune)
{
	const struct pci_address named[] = { tree_address(first), tree_address(second) };
	const struct plan_wish wish = {
		.named = named, .named_count = 2, .tune_acs = has_tune, .keep_drivers = ""
	};

	make(f, &wish);
}

static void tunes(const struct fixture *f, const char *port)
{
	assert_int_equal(f->plan.tune.count, 1);
	assert_int_equal(f->plan.tune.at[0].port, tree_find(f->machine, port));
}

static void tunes_nothing(const struct fixture *f, const char *note)
{
	const struct plan_reasons *notes = &f->plan.notes;
	bool is_said = false;

	assert_int_equal(f->plan.tune.count, 0);
	for (size_t i = 0; i < notes->count; i++)
		is_said = is_said || strcmp(notes->at[i].text, note) == 0;
	if (!is_said)
		fail_msg("not said: %s", note);
}

static enum route_way way(const struct fixture *f, const char *from, const char *to)
{
	struct route_p2p p2p;

	route_p2p(f->machine, tree_find(f->machine, from), tree_find(f->machine, to), PCI_YES,
		  &p2p);
	return p2p.way;
}

static void unless_asked_for_nothing_is_set_or_said(void **state)
{
	struct fixture *f = *state;

	plan(f, "23:00.0", "24:00.0", false);
	assert_int_equal(f->plan.tune.count, 0);
	assert_int_equal(f->plan.notes.count, 0);
}

static void the_port_above_who_has_ats_turns_it_round(void **state)
{
	struct fixture *f = *state;

	plan(f, "23:00.0", "24:00.0", true);
	tunes(f, "22:00.0");
	assert_string_equal(f->plan.tune.at[0].why,
			    "what 0000:23:00.0 has had translated for 0000:24:00.0 turns round "
			    "there");
	assert_int_equal(f->plan.notes.count, 1);
	assert_string_equal(f->plan.notes.at[0].text,
			    "0000:24:00.0 has no ATS: its requests go up to the IOMMU");
}

/* What is promised is what the routes say once the bits are set and the driver has ATS on. */
static void then_the_way_is_direct(void **state)
{
	struct fixture *f = *state;

	plan(f, "23:00.0", "24:00.0", true);
	device(f, "23:00.0")->ats.enabled = PCI_YES;
	assert_int_equal(way(f, "23:00.0", "24:00.0"), ROUTE_ROOT_PORT);
	f->machine->devices[f->plan.tune.at[0].port].acs.ctrl |= PCI_ACS_DT;
	assert_int_equal(way(f, "23:00.0", "24:00.0"), ROUTE_DIRECT);
	assert_int_equal(way(f, "24:00.0", "23:00.0"), ROUTE_IOMMU);
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "direct translated is on at port 0000:22:00.0 already");
}

static void over_the_root_bus_it_is_the_root_port(void **state)
{
	struct fixture *f = *state;

	plan(f, "23:00.0", "25:00.0", true);
	tunes(f, "20:00.0");
	assert_string_equal(f->plan.tune.at[0].why,
			    "what 0000:23:00.0 has had translated for 0000:25:00.0 is passed on "
			    "there");
}

static void a_port_is_named_once(void **state)
{
	const struct pci_address named[] = { tree_address("23:00.0"), tree_address("24:00.0"),
					     tree_address("25:00.0") };
	const struct plan_wish wish = {
		.named = named, .named_count = 3, .tune_acs = true, .keep_drivers = ""
	};
	struct fixture *f = *state;

	device(f, "24:00.0")->ats.present = PCI_YES;
	make(f, &wish);
	assert_int_equal(f->plan.tune.count, 3);
	assert_int_equal(f->plan.tune.at[0].port, tree_find(f->machine, "22:00.0"));
	assert_int_equal(f->plan.tune.at[1].port, tree_find(f->machine, "20:00.0"));
	assert_int_equal(f->plan.tune.at[2].port, tree_find(f->machine, "22:01.0"));
}

static void what_cannot_be_direct_is_said(void **state)
{
	static const char none[] = "no port's ACS is to be changed for these devices";
	struct fixture *f = *state;
	struct machine_device *nic = device(f, "23:00.0"), *port = device(f, "22:00.0");

	nic->ats.present = PCI_NO;
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "0000:23:00.0 has no ATS: its requests go up to the IOMMU");
	tunes_nothing(f, none);
	nic->ats.present = PCI_UNKNOWN;
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "whether 0000:23:00.0 has ATS is not known");
	nic->ats.present = PCI_YES;
	device(f, "20:00.0")->acs.ctrl |= PCI_ACS_TB;
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "port 0000:20:00.0 blocks translated requests");
	device(f, "20:00.0")->acs.ctrl = PCI_UNKNOWN;
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "whether port 0000:20:00.0 blocks translated requests is not known");
	device(f, "20:00.0")->acs.ctrl = REQUIRED_ACS;
	port->acs.cap &= ~PCI_ACS_DT;
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "port 0000:22:00.0 has no direct translated in its ACS");
}

/* Without redirection there is nothing to be gained: requests turn round there as it is. */
static void open_ports_are_left_alone(void **state)
{
	struct fixture *f = *state;

	device(f, "22:00.0")->acs = (struct pci_acs){ .present = PCI_NO, .cap = -1, .ctrl = -1 };
	device(f, "22:01.0")->acs = (struct pci_acs){ .present = PCI_NO, .cap = -1, .ctrl = -1 };
	plan(f, "23:00.0", "24:00.0", true);
	tunes_nothing(f, "no port's ACS is to be changed for these devices");
	assert_int_equal(f->plan.notes.count, 1);
}

static void without_peer_to_peer_there_is_nothing_to_tune(void **state)
{
	const struct pci_address named[] = { tree_address("23:00.0"), tree_address("24:00.0") };
	const struct plan_wish wish = { .named = named,
					.named_count = 2,
					.tune_acs = true,
					.no_peers = true,
					.keep_drivers = "" };
	struct fixture *f = *state;

	make(f, &wish);
	tunes_nothing(f, "no peer-to-peer: no port's ACS is to be changed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unless_asked_for_nothing_is_set_or_said, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_port_above_who_has_ats_turns_it_round, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(then_the_way_is_direct, set_up, tear_down),
		cmocka_unit_test_setup_teardown(over_the_root_bus_it_is_the_root_port, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_port_is_named_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_direct_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(open_ports_are_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_peer_to_peer_there_is_nothing_to_tune,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
