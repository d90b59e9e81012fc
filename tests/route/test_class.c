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

#include "route/class.h"
#include "shared.h"
#include "tree.h"

static void is_class(const struct machine *machine, const char *a, const char *b,
		     enum route_class class)
{
	int first = tree_find(machine, a), second = tree_find(machine, b);

	if (route_class(machine, first, second) != class ||
	    route_class(machine, second, first) != class)
		fail_msg("%s and %s: %s", a, b,
			 route_class_name(route_class(machine, first, second)));
}

/* Two switches below one root port of bus 00, one of them below the other; a card with its own. */
static const struct tree_row switches[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT },
	{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "02:01.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "02:02.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "03:00.0", .below = "02:00.0" },
	{ .at = "04:00.0", .below = "02:01.0", .kind = MACHINE_NIC, .mf = 1 },
	{ .at = "04:00.1", .below = "02:01.0", .kind = MACHINE_NIC },
	{ .at = "05:00.0", .below = "02:02.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "06:00.0", .below = "05:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "07:00.0", .below = "06:00.0" },
	{ .at = "00:02.0", .type = PCI_ROOT_PORT },
	{ .at = "08:00.0", .below = "00:02.0" },
	{ .at = "00:03.0" },
	{ .at = "40:01.0", .type = PCI_ROOT_PORT },
	{ .at = "41:00.0", .below = "40:01.0" },
	{ .at = "80:01.0", .type = PCI_ROOT_PORT, .numa = 1 },
	{ .at = "81:00.0", .below = "80:01.0", .numa = 1 },
	{ .at = "c0:01.0", .type = PCI_ROOT_PORT, .no_numa = true },
	{ .at = "c1:00.0", .below = "c0:01.0", .no_numa = true },
	{ .at = "e0:01.0", .type = PCI_ROOT_PORT, .no_numa = true },
	{ .at = "e1:00.0", .below = "e0:01.0", .no_numa = true },
};

static void a_switch_counts_once_however_many_ports(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, switches, ARRAY_SIZE(switches));
	int gpu = tree_find(machine, "03:00.0"), nic = tree_find(machine, "04:00.0");

	(void)state;
	is_class(machine, "03:00.0", "04:00.0", ROUTE_PIX);
	assert_int_equal(route_switches(machine, gpu, nic), 1);
	/* the one on a card is one more */
	is_class(machine, "03:00.0", "07:00.0", ROUTE_PXB);
	assert_int_equal(route_switches(machine, gpu, tree_find(machine, "07:00.0")), 2);
	/* a device and a port above it: the switch between them */
	is_class(machine, "03:00.0", "01:00.0", ROUTE_PIX);
	assert_int_equal(route_switches(machine, gpu, tree_find(machine, "08:00.0")), -1);
}

static void what_is_beyond_a_host_bridge_is_by_root_and_node(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, switches, ARRAY_SIZE(switches));

	(void)state;
	is_class(machine, "03:00.0", "08:00.0", ROUTE_PHB);
	is_class(machine, "00:03.0", "08:00.0", ROUTE_PHB);
	is_class(machine, "03:00.0", "41:00.0", ROUTE_NODE);
	is_class(machine, "03:00.0", "81:00.0", ROUTE_SYS);
	is_class(machine, "03:00.0", "c1:00.0", ROUTE_UNKNOWN);
	is_class(machine, "c1:00.0", "e1:00.0", ROUTE_UNKNOWN);
	assert_null(route_class_name(ROUTE_UNKNOWN));
	/* the root's node stands in for the device's */
	machine->roots[machine->devices[tree_find(machine, "c1:00.0")].root].numa = 1;
	is_class(machine, "c1:00.0", "81:00.0", ROUTE_NODE);
}

static void a_machine_of_one_node_needs_no_numbers(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, switches, ARRAY_SIZE(switches));
	struct machine_node node = { .id = 0 };

	(void)state;
	machine->nodes = &node;
	machine->node_count = 1;
	is_class(machine, "c1:00.0", "e1:00.0", ROUTE_NODE);
}

static void functions_of_a_slot_are_pix_and_vfs_are_where_their_pf_is(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:00.0", .type = PCI_RC_ENDPOINT, .mf = 1 },
		{ .at = "00:00.1", .type = PCI_RC_ENDPOINT },
		{ .at = "00:01.0", .type = PCI_ROOT_PORT },
		{ .at = "01:00.0", .below = "00:01.0", .kind = MACHINE_NIC, .mf = 1 },
		{ .at = "01:00.1", .below = "00:01.0", .kind = MACHINE_NIC },
		{ .at = "01:01.3", .below = "00:01.0", .kind = MACHINE_NIC, .vf_of = "01:00.0" },
		{ .at = "02:00.0", .below = "00:01.0", .kind = MACHINE_NIC, .vf_of = "01:00.1" },
	};
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));

	(void)state;
	is_class(machine, "00:00.0", "00:00.1", ROUTE_PIX);
	is_class(machine, "01:00.0", "01:00.1", ROUTE_PIX);
	is_class(machine, "01:00.0", "01:01.3", ROUTE_PIX);
	is_class(machine, "01:01.3", "02:00.0", ROUTE_PIX);
	is_class(machine, "01:01.3", "00:00.0", ROUTE_PHB);
	assert_int_equal(route_place(machine, tree_find(machine, "02:00.0")),
			 tree_find(machine, "01:00.1"));
}

/* A switch that has, beside its upstream port, an endpoint of its own for those who manage it. */
static void a_link_that_two_meet_at_counts_nothing(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT, .mf = 1 },
		{ .at = "01:00.1", .below = "00:01.0", .kind = MACHINE_OTHER },
		{ .at = "02:00.0", .below = "01:00.0", .type = PCI_DOWNSTREAM_PORT },
		{ .at = "03:00.0", .below = "02:00.0" },
	};
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));

	(void)state;
	assert_int_equal(route_switches(machine, tree_find(machine, "03:00.0"),
					tree_find(machine, "01:00.1")),
			 1);
	is_class(machine, "03:00.0", "01:00.1", ROUTE_PIX);
}

static void bridges_to_pci_count_one_each(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.0", .type = PCI_ROOT_PORT },
		{ .at = "01:00.0", .below = "00:01.0", .type = PCI_EXPRESS_TO_PCI },
		{ .at = "02:00.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "02:01.0", .below = "01:00.0", .type = TREE_PCI },
		{ .at = "02:02.0", .below = "01:00.0", .type = TREE_PCI, .kind = MACHINE_BRIDGE },
		{ .at = "03:00.0", .below = "02:02.0", .type = TREE_PCI },
	};
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));

	(void)state;
	is_class(machine, "02:00.0", "02:01.0", ROUTE_PIX);
	is_class(machine, "02:00.0", "03:00.0", ROUTE_PXB);
}

/* ASUS ESC8000A-E12, by hand from its tree, and what nvidia-smi said there. */
static void agrees_with_nvidia_smi_on_captures(void **state)
{
	static const struct tree_row rows[] = {
		{ .at = "00:01.1", .type = PCI_ROOT_PORT },
		{ .at = "01:00.0", .below = "00:01.1" },
		{ .at = "20:03.1", .type = PCI_ROOT_PORT },
		{ .at = "21:00.0", .below = "20:03.1", .kind = MACHINE_NIC },
		{ .at = "21:00.1", .below = "20:03.1", .kind = MACHINE_NIC },
		{ .at = "40:01.1", .type = PCI_ROOT_PORT },
		{ .at = "41:00.0", .below = "40:01.1" },
		{ .at = "80:01.1", .type = PCI_ROOT_PORT, .numa = 1 },
		{ .at = "81:00.0", .below = "80:01.1", .numa = 1, .kind = MACHINE_NIC },
		{ .at = "81:00.1", .below = "80:01.1", .numa = 1, .kind = MACHINE_NIC },
		{ .at = "c0:01.1", .type = PCI_ROOT_PORT, .numa = 1 },
		{ .at = "c1:00.0", .below = "c0:01.1", .numa = 1 },
		{ .at = "e0:01.1", .type = PCI_ROOT_PORT, .numa = 1 },
		{ .at = "e1:00.0", .below = "e0:01.1", .numa = 1 },
	};
	/* GPU0 to GPU3, NIC0 to NIC3: the matrix's order */
	static const char *const order[] = { "01:00.0", "41:00.0", "c1:00.0", "e1:00.0",
					     "21:00.0", "21:00.1", "81:00.0", "81:00.1" };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
	cleanup_free char *text = NULL;
	char *line, *lines = NULL, *cell, *cells = NULL;
	int row = 0, column, seen = 0;

	(void)state;
	text = shared_text("captures/asus-esc8000a-e12-4xrtx6000ada/nvidia-smi-topo.txt");
	assert_non_null(text);
	for (line = strtok_r(text, "\n", &lines); line && row < 8;
	     line = strtok_r(NULL, "\n", &lines)) {
		if (!strchr(line, 'X') || line[0] == ' ')
			continue;
		(void)strtok_r(line, " \t", &cells); /* the row's name */
		for (column = 0; column < 8; column++) {
			const char *name;

			cell = strtok_r(NULL, " \t", &cells);
			assert_non_null(cell);
			if (column == row)
				continue;
			name = route_class_name(route_class(machine, tree_find(machine, order[row]),
							    tree_find(machine, order[column])));
			assert_string_equal(name, cell);
			seen++;
		}
		row++;
	}
	assert_int_equal(seen, 56);
}
ON_CAPTURES(agrees_with_nvidia_smi)

enum { DERIVED_ROWS_MAX = 256 };

/* A row for each bridge of "pci0000:15/15:01.0/16:00.0/17:01.0/19:00.0", and the device. */
static void add_path(struct arena *arena, char *path, int numa, struct tree_row *rows,
		     size_t *count)
{
	const char *below = NULL;
	char *at, *parts = NULL;
	size_t i;
	int depth = 0;

	for (at = strtok_r(path, "/", &parts); at; at = strtok_r(NULL, "/", &parts)) {
		struct tree_row row = { .at = arena_strdup(arena, at),
					.below = below,
					.numa = numa,
					.type = PCI_ENDPOINT };

		if (strncmp(at, "pci", 3) == 0)
			continue;
		if (*parts != '\0')
			row.type = depth == 0	    ? PCI_ROOT_PORT
				   : depth % 2 == 1 ? PCI_UPSTREAM_PORT
						    : PCI_DOWNSTREAM_PORT;
		depth++;
		below = row.at;
		for (i = 0; i < *count && strcmp(rows[i].at, row.at) != 0; i++)
			;
		if (i < *count)
			continue;
		assert_true(*count < DERIVED_ROWS_MAX);
		rows[(*count)++] = row;
	}
}

/* All but the last component and a function number: of one card. */
static bool is_one_slot(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && strncmp(a, b, strlen(a) - 1) == 0;
}

static void check_derived(const char *name, int pairs)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct tree_row rows[DERIVED_ROWS_MAX];
	struct machine *machine = NULL;
	cleanup_free char *text = shared_text(name);
	char *line, *lines = NULL, a[32], b[32], word[128];
	size_t count = 0;
	int numa;

	assert_non_null(text);
	for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		if (sscanf(line, "#0%*[^\t]\t%*[^\t]\t%*[a-z]\t%d\t%127s", &numa, word) == 2) {
			add_path(&arena, word, numa, rows, &count);
			continue;
		}
		if (line[0] == '#' || sscanf(line, "%31s %31s %127s", a, b, word) != 3)
			continue;
		if (!machine)
			machine = tree(&arena, rows, count);
		/* two functions of a card on a root port: nvidia-smi itself says PIX, above */
		if (is_one_slot(a, b))
			(void)snprintf(word, sizeof(word), "PIX");
		assert_string_equal(route_class_name(route_class(machine, tree_find(machine, a),
								 tree_find(machine, b))),
				    word);
		pairs--;
	}
	assert_int_equal(pairs, 0);
}

static void agrees_with_the_derived_pairs_of_an_xe9680_on_captures(void **state)
{
	(void)state;
	check_derived("captures/dell-xe9680-h100x8-lspci-vvv/expected-derived-pairs.tsv", 276);
}
ON_CAPTURES(agrees_with_the_derived_pairs_of_an_xe9680)

static void agrees_with_the_derived_pairs_of_a_dgx_station_on_captures(void **state)
{
	(void)state;
	check_derived("captures/nvidia-dgx-station-v100-udevadm/expected-derived-pairs.tsv", 15);
}
ON_CAPTURES(agrees_with_the_derived_pairs_of_a_dgx_station)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_counts_once_however_many_ports),
		cmocka_unit_test(what_is_beyond_a_host_bridge_is_by_root_and_node),
		cmocka_unit_test(a_machine_of_one_node_needs_no_numbers),
		cmocka_unit_test(functions_of_a_slot_are_pix_and_vfs_are_where_their_pf_is),
		cmocka_unit_test(a_link_that_two_meet_at_counts_nothing),
		cmocka_unit_test(bridges_to_pci_count_one_each),
		cmocka_unit_test(agrees_with_nvidia_smi),
		cmocka_unit_test(agrees_with_the_derived_pairs_of_an_xe9680),
		cmocka_unit_test(agrees_with_the_derived_pairs_of_a_dgx_station),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
