// SPDX-License-Identifier: Apache-2.0
/* Classes and groups of every machine among the captures that can be read. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/capture.h"
#include "route/class.h"
#include "route/groups.h"
#include "route/p2p.h"
#include "route/reach.h"
#include "shared.h"

enum { CHAIN_MAX = MACHINE_DEPTH_MAX + 1 };

/* Bridges above a device, the one on the root bus first. */
static int chain_of(const struct machine *machine, int device, int *chain)
{
	int up[CHAIN_MAX], count = 0, i;

	for (device = machine->devices[device].parent; device >= 0;
	     device = machine->devices[device].parent)
		up[count++] = device;
	for (i = 0; i < count; i++)
		chain[i] = up[count - 1 - i];
	return count;
}

/*
 * By place alone, whatever a bridge is called: from the root bus down come a root port and then,
 * by turns, the upstream and the downstream side of a switch. So the switches on a way are the
 * odd ones of both chains beyond what they share, and the one it turns round in.
 */
static int switches_by_place(const struct machine *machine, int a, int b)
{
	int first[CHAIN_MAX], second[CHAIN_MAX], shared = 0, count = 0, i;
	int first_count = chain_of(machine, a, first), second_count = chain_of(machine, b, second);

	while (shared < first_count && shared < second_count && first[shared] == second[shared])
		shared++;
	if (shared == 0)
		return -1;
	for (i = shared; i < first_count; i++)
		count += i % 2;
	for (i = shared; i < second_count; i++)
		count += i % 2;
	return count + (shared % 2 == 0);
}

static bool is_one_card(const struct machine *machine, int a, int b)
{
	struct pci_address first = machine->devices[a].address;
	struct pci_address second = machine->devices[b].address;

	return first.domain == second.domain && first.bus == second.bus && first.dev == second.dev;
}

static const char *class_by_place(const struct machine *machine, int a, int b)
{
	const struct machine_device *first = &machine->devices[a], *second = &machine->devices[b];
	int switches = is_one_card(machine, a, b) ? 0 : switches_by_place(machine, a, b);
	int from, to;

	if (switches >= 0)
		return switches < 2 ? "PIX" : "PXB";
	if (first->root == second->root)
		return "PHB";
	from = first->numa >= 0 ? first->numa : machine->roots[first->root].numa;
	to = second->numa >= 0 ? second->numa : machine->roots[second->root].numa;
	if (machine->node_count == 1)
		return "NODE";
	return from < 0 || to < 0 ? "?" : from == to ? "NODE" : "SYS";
}

/* Conventional bridges do not come in pairs: there, place alone does not tell. */
static bool is_express(const struct machine *machine, int device)
{
	for (device = machine->devices[device].parent; device >= 0;
	     device = machine->devices[device].parent)
		if (machine->devices[device].kind == MACHINE_BRIDGE)
			return false;
	return true;
}

struct count {
	int machines, pairs, pxb, groups, certain;
};

static void check_pairs(const char *name, const struct machine *machine, struct count *count)
{
	struct route_pairs pairs = { .machine = machine, .is_all = true };
	struct route_pair pair;

	while (route_pairs_next(&pairs, &pair)) {
		const char *class = route_class_name(pair.class), *wanted;

		if (pair.class != route_class(machine, pair.b, pair.a))
			fail_msg("%s: class depends on the order", name);
		if (!is_express(machine, pair.a) || !is_express(machine, pair.b))
			continue;
		wanted = class_by_place(machine, pair.a, pair.b);
		count->pairs++;
		count->pxb += pair.class == ROUTE_PXB;
		if (strcmp(class ? class : "?", wanted) != 0)
			fail_msg("%s: %s is %s, and should be %s", name,
				 machine->devices[pair.a].name ? machine->devices[pair.a].name : "",
				 class ? class : "?", wanted);
	}
}

/* What is certain and what the kernel said are the same. */
static void check_groups(const char *name, const struct machine *machine, struct count *count)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct route_groups groups;
	size_t i;

	assert_int_equal(route_groups(&arena, machine, &groups), 0);
	for (i = 0; i < groups.count; i++) {
		count->groups++;
		count->certain += groups.groups[i].is_certain;
	}
	for (i = 0; i < machine->device_count; i++)
		if (route_groups_differ(machine, &groups, (int)i) == PCI_YES)
			fail_msg("%s: the kernel has other groups", name);
}

static void check_file(int dir_fd, const char *name, struct count *count)
{
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine;
	struct err err = { 0 };

	if (capture_read_path(dir_fd, name, &capture, &err) < 0 ||
	    machine_decode(&arena, &capture, &machine, &err) < 0)
		return;
	count->machines++;
	check_pairs(name, machine, count);
	check_groups(name, machine, count);
}

static void check_folder(const char *folder, struct count *count)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			check_file(dirfd(dir), entry->d_name, count);
	(void)closedir(dir);
}

static void every_machine_agrees_with_the_places_of_its_bridges_on_captures(void **state)
{
	cleanup_free char *folder = shared_folder();
	struct count count = { 0 };
	struct dirent *entry = NULL;
	DIR *dir = folder ? opendir(folder) : NULL;

	(void)state;
	if (!dir) {
		fail();
		return; /* the analyzer does not know that it has ended */
	}
	while ((entry = readdir(dir))) {
		cleanup_free char *path = NULL;

		if (entry->d_name[0] == '.' || asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			continue;
		check_folder(path, &count);
	}
	(void)closedir(dir);
	print_message("%d machines, %d pairs (%d PXB), %d groups (%d certain)\n", count.machines,
		      count.pairs, count.pxb, count.groups, count.certain);
	assert_true(count.machines >= 17 && count.pxb > 0);
}
ON_CAPTURES(every_machine_agrees_with_the_places_of_its_bridges)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_machine_agrees_with_the_places_of_its_bridges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
