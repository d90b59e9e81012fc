// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "route/p2p.h"
#include "tree.h"

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

static void goes(const struct fixture *it, const char *from, const char *to, enum route_way way)
{
	struct route_p2p p2p;

	route_p2p(it->machine, tree_find(it->machine, from), tree_find(it->machine, to),
		  it->machine->limits.has_iommu, &p2p);
	if (p2p.way != way)
		fail_msg("%s to %s: '%s'", from, to, p2p.reason);
	assert_true(p2p.reason[0] != '\0');
}

static void says(const struct fixture *it, const char *from, const char *to, const char *text)
{
	struct route_p2p p2p;

	route_p2p(it->machine, tree_find(it->machine, from), tree_find(it->machine, to),
		  it->machine->limits.has_iommu, &p2p);
	assert_string_equal(p2p.reason, text);
}

/* A NIC and a GPU below two ports of one switch; a GPU below another root port, another socket. */
static const struct tree_row pair[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "02:00.0",
	  .below = "01:00.0",
	  .type = PCI_DOWNSTREAM_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS },
	{ .at = "02:01.0",
	  .below = "01:00.0",
	  .type = PCI_DOWNSTREAM_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS },
	{ .at = "03:00.0", .below = "02:00.0", .kind = MACHINE_NIC },
	{ .at = "04:00.0", .below = "02:01.0" },
	{ .at = "00:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "05:00.0", .below = "00:02.0" },
	{ .at = "80:02.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS, .numa = 1 },
	{ .at = "81:00.0", .below = "80:02.0", .numa = 1 },
	{ .at = "00:03.0", .type = PCI_ROOT_PORT },
	{ .at = "06:00.0", .below = "00:03.0", .mf = 1 },
	{ .at = "06:00.1", .below = "00:03.0" },
	{ .at = "06:00.2", .below = "00:03.0", .vf_of = "06:00.0" },
};

#define NIC "03:00.0"
#define GPU "04:00.0"

/* Line by line, the table of addresses, ACS and ATS. */
static void without_an_iommu_acs_alone_decides(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	it.machine->limits.has_iommu = PCI_NO;
	goes(&it, NIC, GPU, ROUTE_ROOT_PORT);
	says(&it, NIC, GPU,
	     "no IOMMU; ACS redirects requests: up to the root port and down again, if it forwards");
	device(&it, "02:00.0")->acs.ctrl = 0;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
	says(&it, NIC, GPU,
	     "no IOMMU; turns round in switch 0000:01:00.0: ACS request redirect off");
	goes(&it, GPU, NIC, ROUTE_ROOT_PORT);
	device(&it, "02:00.0")->acs.present = PCI_UNKNOWN;
	goes(&it, NIC, GPU, ROUTE_WAY_UNKNOWN);
	goes(&it, NIC, "05:00.0", ROUTE_ROOT_COMPLEX);
	goes(&it, NIC, "81:00.0", ROUTE_ROOT_COMPLEX);
	goes(&it, "06:00.0", "06:00.1", ROUTE_DIRECT);
	goes(&it, "06:00.0", "06:00.2", ROUTE_ROOT_PORT);
}

static void with_an_iommu_redirected_requests_go_through_it(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	goes(&it, NIC, GPU, ROUTE_IOMMU);
	goes(&it, NIC, "05:00.0", ROUTE_IOMMU);
	goes(&it, NIC, "81:00.0", ROUTE_IOMMU);
	says(&it, NIC, "81:00.0",
	     "different host bridges: through the IOMMU, where the BAR is mapped");
	/* ACS off: the address is not the BAR's, unless it happens to be */
	device(&it, "02:00.0")->acs.ctrl = 0;
	goes(&it, NIC, GPU, ROUTE_IOMMU);
	says(&it, NIC, GPU,
	     "up, through the IOMMU, and down; but an address that equals one below switch "
	     "0000:01:00.0 goes there: ACS request redirect off");
}

static void translated_requests_go_direct_where_acs_lets_them(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	device(&it, NIC)->ats = (struct pci_ats){ .present = PCI_YES, .enabled = PCI_YES };
	/* redirect on, direct translated off: up, and nobody translates */
	goes(&it, NIC, GPU, ROUTE_ROOT_PORT);
	goes(&it, NIC, "05:00.0", ROUTE_ROOT_COMPLEX);
	device(&it, "02:00.0")->acs.ctrl = REQUIRED_ACS | PCI_ACS_DT;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
	/* only the requester needs it: the GPU's own accesses go up */
	goes(&it, GPU, NIC, ROUTE_IOMMU);
	/* translation blocking on the way kills it */
	device(&it, "00:01.0")->acs.ctrl |= PCI_ACS_TB;
	goes(&it, NIC, GPU, ROUTE_IOMMU);
	device(&it, "00:01.0")->acs.ctrl &= ~PCI_ACS_TB;
	device(&it, NIC)->ats.enabled = PCI_NO;
	goes(&it, NIC, GPU, ROUTE_IOMMU);
	device(&it, NIC)->ats.enabled = PCI_YES;
	device(&it, "02:00.0")->acs.ctrl = 0;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
	device(&it, NIC)->ats = (struct pci_ats){ .present = PCI_UNKNOWN, .enabled = PCI_UNKNOWN };
	goes(&it, NIC, GPU, ROUTE_WAY_UNKNOWN);
	goes(&it, NIC, "05:00.0", ROUTE_WAY_UNKNOWN);
}

static void identity_is_as_if_there_were_no_iommu_below_the_switch(void **state)
{
	struct machine_group group = { .id = 3, .type = "identity" };
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	it.machine->groups = &group;
	it.machine->group_count = 1;
	device(&it, NIC)->group = 0;
	goes(&it, NIC, GPU, ROUTE_IOMMU);
	device(&it, "02:00.0")->acs.ctrl = 0;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
	device(&it, "02:00.0")->acs.present = PCI_UNKNOWN;
	goes(&it, NIC, GPU, ROUTE_WAY_UNKNOWN);
	group.type = "DMA-FQ";
	goes(&it, NIC, GPU, ROUTE_IOMMU);
}

static void a_port_above_that_does_not_forward_is_named(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "03:00.0", .below = "02:00.0", .type = PCI_UPSTREAM_PORT },
		{ .at = "04:00.0",
		  .below = "03:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = REQUIRED_ACS },
		{ .at = "04:01.0",
		  .below = "03:00.0",
		  .type = PCI_DOWNSTREAM_PORT,
		  .acs = ALL_ACS,
		  .ctrl = REQUIRED_ACS },
		{ .at = "05:00.0", .below = "04:00.0" },
		{ .at = "06:00.0", .below = "04:01.0" },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	it.machine->limits.has_iommu = PCI_NO;
	says(&it, "05:00.0", "06:00.0",
	     "redirected, it comes to port 0000:02:00.0, which does not forward upstream: sent down "
	     "again or dropped, as that switch does");
	goes(&it, "05:00.0", "06:00.0", ROUTE_WAY_UNKNOWN);
	/* an I/O virtual address is none of its window's */
	it.machine->limits.has_iommu = PCI_YES;
	goes(&it, "05:00.0", "06:00.0", ROUTE_IOMMU);
}

static void an_unknown_iommu_answers_what_does_not_depend_on_it(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	it.machine->limits.has_iommu = PCI_UNKNOWN;
	goes(&it, NIC, "05:00.0", ROUTE_WAY_UNKNOWN);
	says(&it, NIC, "05:00.0",
	     "whether an IOMMU is on is not known: root-complex without one, iommu with one");
	device(&it, NIC)->ats = (struct pci_ats){ .present = PCI_YES, .enabled = PCI_YES };
	goes(&it, NIC, "05:00.0", ROUTE_ROOT_COMPLEX);
	device(&it, "02:00.0")->acs.present = PCI_NO;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
}

static void what_has_no_memory_is_not_reached(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	device(&it, GPU)->bars[0].index = -1;
	goes(&it, NIC, GPU, ROUTE_BLOCKED);
	goes(&it, GPU, NIC, ROUTE_IOMMU);
	goes(&it, GPU, GPU, ROUTE_WAY_UNKNOWN);
	goes(&it, GPU, "01:00.0", ROUTE_WAY_UNKNOWN);
}

/* The port by which it could be direct, "" for none; and what is said then. */
static void redirector(const struct fixture *it, const char *from, const char *to, const char *port,
		       const char *why)
{
	char said[ROUTE_TEXT] = "not set", name[PCI_ADDRESS_TEXT] = "";
	int found = route_p2p_redirector(it->machine, tree_find(it->machine, from),
					 tree_find(it->machine, to), said);

	if (found != MACHINE_NONE)
		(void)pci_address_format(it->machine->devices[found].address, name);
	assert_string_equal(name, port);
	assert_string_equal(said, why);
}

static void make_with_ats(struct fixture *it)
{
	make(it, pair, ARRAY_SIZE(pair));
	it->machine->limits.has_iommu = PCI_YES;
	it->machine->limits.cmdline = "";
	for (size_t i = 0; i < it->machine->device_count; i++)
		it->machine->devices[i].ats =
			(struct pci_ats){ .present = PCI_YES, .enabled = PCI_YES };
}

static void the_port_above_who_sends_redirects(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make_with_ats(&it);
	redirector(&it, NIC, GPU, "0000:02:00.0", "");
	redirector(&it, GPU, NIC, "0000:02:01.0", "");
	redirector(&it, NIC, "05:00.0", "0000:00:01.0", "");
	redirector(&it, "05:00.0", NIC, "0000:00:02.0", "");
	/* it goes before egress control */
	device(&it, "02:00.0")->acs.ctrl |= PCI_ACS_EC;
	redirector(&it, NIC, GPU, "0000:02:00.0", "");
	device(&it, "02:00.0")->acs.ctrl |= PCI_ACS_DT;
	goes(&it, NIC, GPU, ROUTE_DIRECT);
	redirector(&it, NIC, GPU, "", "direct translated is on at port 0000:02:00.0 already");
	/* which is no use to who has no ATS */
	device(&it, NIC)->ats = (struct pci_ats){ .present = PCI_NO, .enabled = PCI_UNKNOWN };
	redirector(&it, NIC, GPU, "", "0000:03:00.0 has no ATS: its requests go up to the IOMMU");
}

static void what_does_not_redirect_is_no_redirector(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make_with_ats(&it);
	it.machine->limits.cmdline = "pci=disable_acs_redir=pci:0:0";
	device(&it, "02:00.0")->acs.ctrl &= ~PCI_ACS_RR;
	redirector(&it, NIC, GPU, "", "");
	redirector(&it, NIC, "05:00.0", "0000:00:01.0", "");
	device(&it, "00:01.0")->acs.ctrl &= ~PCI_ACS_RR;
	redirector(&it, NIC, "05:00.0", "", "");
	redirector(&it, NIC, "81:00.0", "",
		   "between 0000:03:00.0 and 0000:81:00.0, below different host bridges, no port "
		   "decides");
	redirector(&it, "06:00.0", "06:00.1", "", "");
	redirector(&it, "06:00.0", "06:00.2", "",
		   "0000:06:00.0 and 0000:06:00.2 are of one device, which keeps them apart");
	redirector(&it, NIC, "01:00.0", "", "");
	device(&it, GPU)->bars[0].index = -1;
	redirector(&it, NIC, GPU, "", "");
}

static void a_port_that_cannot_is_said_to_be_so(void **state)
{
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make_with_ats(&it);
	device(&it, "02:00.0")->acs.cap &= ~PCI_ACS_DT;
	redirector(&it, NIC, GPU, "", "port 0000:02:00.0 has no direct translated in its ACS");
	device(&it, "02:00.0")->acs.cap = PCI_UNKNOWN;
	redirector(&it, NIC, GPU, "",
		   "whether port 0000:02:00.0 blocks translated requests is not known");
	device(&it, "02:00.0")->acs.cap = device(&it, "02:01.0")->acs.cap;
	device(&it, "02:00.0")->acs.ctrl &= ~PCI_ACS_RR;
	it.machine->limits.has_iommu = PCI_UNKNOWN;
	redirector(&it, NIC, GPU, "", "what the ACS of port 0000:02:00.0 does is not known");
	/* without ACS a switch port is open; what a root port does is the root complex's */
	device(&it, "02:00.0")->acs = (struct pci_acs){ .present = PCI_NO, .cap = -1, .ctrl = -1 };
	redirector(&it, NIC, GPU, "", "");
}

static void without_ats_no_port_is_of_use(void **state)
{
	struct machine_group group = { .id = 3, .type = "DMA-FQ" };
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make_with_ats(&it);
	device(&it, NIC)->ats.enabled = PCI_NO;
	redirector(&it, NIC, GPU, "0000:02:00.0", "");
	it.machine->groups = &group;
	it.machine->group_count = 1;
	device(&it, NIC)->group = 0;
	redirector(&it, NIC, GPU, "",
		   "ATS of 0000:03:00.0 is off: its requests go up to the IOMMU");
	group.type = "identity"; /* where some drivers of IOMMUs leave it off */
	redirector(&it, NIC, GPU, "0000:02:00.0", "");
	it.machine->limits.cmdline = "quiet pci=noats";
	redirector(&it, NIC, GPU, "", "ATS is off for all: the kernel was told pci=noats");
}

static void a_conventional_bus_is_direct(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:1e.0", .type = TREE_PCI, .kind = MACHINE_BRIDGE },
		{ .at = "01:00.0", .below = "00:1e.0", .type = TREE_PCI },
		{ .at = "01:01.0", .below = "00:1e.0", .type = TREE_PCI },
	};
	CLEANUP(fixture_done) struct fixture it;

	(void)state;
	make(&it, rows, ARRAY_SIZE(rows));
	it.machine->limits.has_iommu = PCI_NO;
	goes(&it, "01:00.0", "01:01.0", ROUTE_DIRECT);
	says(&it, "01:00.0", "01:01.0",
	     "no IOMMU; turns round in the bus behind 0000:00:1e.0: every device on it hears the "
	     "request");
}

static void pairs_are_walked_once_in_order(void **state)
{
	CLEANUP(fixture_done) struct fixture it;
	struct route_pairs pairs;
	struct route_pair one, last = { .a = -1, .b = -1 };
	int count = 0;

	(void)state;
	make(&it, pair, ARRAY_SIZE(pair));
	device(&it, "05:00.0")->kind = MACHINE_NVME;
	pairs = (struct route_pairs){ .machine = it.machine };
	while (route_pairs_next(&pairs, &one)) {
		assert_true(one.a < one.b);
		assert_true(one.a > last.a || (one.a == last.a && one.b > last.b));
		assert_true(it.machine->devices[one.a].kind == MACHINE_GPU ||
			    it.machine->devices[one.a].kind == MACHINE_NIC);
		last = one;
		count++;
	}
	/* seven endpoints, one of them no GPU and no NIC */
	assert_int_equal(count, 15);
	assert_false(route_pairs_next(&pairs, &one));
	pairs = (struct route_pairs){ .machine = it.machine, .is_all = true };
	for (count = 0; route_pairs_next(&pairs, &one); count++)
		;
	assert_int_equal(count, 21);
}

static void every_way_has_a_name(void **state)
{
	(void)state;
	assert_null(route_way_name(ROUTE_WAY_UNKNOWN));
	assert_string_equal(route_way_name(ROUTE_DIRECT), "direct");
	assert_string_equal(route_way_name(ROUTE_BLOCKED), "blocked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_iommu_acs_alone_decides),
		cmocka_unit_test(with_an_iommu_redirected_requests_go_through_it),
		cmocka_unit_test(the_port_above_who_sends_redirects),
		cmocka_unit_test(what_does_not_redirect_is_no_redirector),
		cmocka_unit_test(a_port_that_cannot_is_said_to_be_so),
		cmocka_unit_test(without_ats_no_port_is_of_use),
		cmocka_unit_test(translated_requests_go_direct_where_acs_lets_them),
		cmocka_unit_test(identity_is_as_if_there_were_no_iommu_below_the_switch),
		cmocka_unit_test(a_port_above_that_does_not_forward_is_named),
		cmocka_unit_test(an_unknown_iommu_answers_what_does_not_depend_on_it),
		cmocka_unit_test(what_has_no_memory_is_not_reached),
		cmocka_unit_test(a_conventional_bus_is_direct),
		cmocka_unit_test(pairs_are_walked_once_in_order),
		cmocka_unit_test(every_way_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
