// SPDX-License-Identifier: Apache-2.0
/*
 * The rule of plan/tree.h, on trees made here and on every hwloc capture: whatever is given, each
 * pair is as far apart in the guest as on the host. SEED repeats a run, SOAK=1 takes more subsets.
 */
#include "plan/tree.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "../route/shared.h"
#include "../route/tree.h"
#include "plan/devices.h"
#include "plan/guest.h"
#include "route/class.h"

enum { SUBSETS = 200, SUBSETS_SOAK = 5000 };

#define RP PCI_ROOT_PORT
#define UP PCI_UPSTREAM_PORT
#define DOWN PCI_DOWNSTREAM_PORT

/* A root complex with a switch that has a switch below each port, and another with none. */
static const struct tree_row nested[] = {
	{ .at = "00:01.0", .type = RP },
	{ .at = "01:00.0", .below = "00:01.0", .type = UP },
	{ .at = "02:00.0", .below = "01:00.0", .type = DOWN },
	{ .at = "02:01.0", .below = "01:00.0", .type = DOWN },
	{ .at = "02:02.0", .below = "01:00.0", .type = DOWN },
	{ .at = "03:00.0", .below = "02:00.0", .type = UP },
	{ .at = "04:00.0", .below = "03:00.0", .type = DOWN },
	{ .at = "04:01.0", .below = "03:00.0", .type = DOWN },
	{ .at = "05:00.0", .below = "04:00.0" },
	{ .at = "05:00.1", .below = "04:00.0", .kind = MACHINE_OTHER },
	{ .at = "06:00.0", .below = "04:01.0" },
	{ .at = "07:00.0", .below = "02:01.0", .type = UP },
	{ .at = "08:00.0", .below = "07:00.0", .type = DOWN },
	{ .at = "09:00.0", .below = "08:00.0" },
	{ .at = "0a:00.0", .below = "02:02.0", .kind = MACHINE_NIC },
	{ .at = "00:02.0", .type = RP },
	{ .at = "0b:00.0", .below = "00:02.0", .kind = MACHINE_NVME },
	{ .at = "0b:00.1", .below = "00:02.0", .kind = MACHINE_NVME, .vf_of = "0b:00.0" },
	{ .at = "0b:00.2", .below = "00:02.0", .kind = MACHINE_NVME, .vf_of = "0b:00.0" },
	{ .at = "40:01.0", .type = RP, .numa = 1 },
	{ .at = "41:00.0", .below = "40:01.0", .numa = 1 },
	{ .at = "00:1f.0", .kind = MACHINE_OTHER },
	{ .at = "00:1f.3", .kind = MACHINE_OTHER },
};

static void give(struct plan_choice *choice, const struct machine *machine, const char *at)
{
	choice->given[choice->given_count++].device = tree_find(machine, at);
}

static size_t count_kind(const struct layout *layout, enum layout_bridge_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < layout->bridge_count; i++)
		count += layout->bridges[i].kind == kind;
	return count;
}

/* The pairs whose class is another in the guest, of those that the host's machine tells. */
static size_t wrong_pairs(const struct machine *machine, const struct plan_choice *choice,
			  const struct layout *layout, size_t *ret_pairs)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	int passed[LAYOUT_PASSED_MAX];
	char a[PCI_ADDRESS_TEXT], b[PCI_ADDRESS_TEXT];
	struct machine guest;
	size_t wrong = 0;

	*ret_pairs = 0;
	assert_int_equal(plan_guest(&arena, machine, choice, layout, &guest, passed), 0);
	for (size_t i = 0; i < choice->given_count; i++) {
		for (size_t j = 0; j < i; j++) {
			enum route_class host = route_class(machine, choice->given[i].device,
							    choice->given[j].device);

			if (host == ROUTE_UNKNOWN)
				continue;
			++*ret_pairs;
			if (route_class(&guest, passed[i], passed[j]) == host)
				continue;
			wrong++;
			(void)fprintf(stderr, "# %s and %s: %s, in the guest %s\n",
				      pci_address_format(
					      machine->devices[choice->given[i].device].address, a),
				      pci_address_format(
					      machine->devices[choice->given[j].device].address, b),
				      route_class_name(host),
				      route_class_name(route_class(&guest, passed[i], passed[j])));
		}
	}
	return wrong;
}

static void plan(const struct machine *machine, const struct plan_choice *choice,
		 enum layout_mode mode, struct plan *ret)
{
	struct plan_reasons reasons = { 0 }; /* of nodes: not this test's */

	memset(ret, 0, sizeof(*ret));
	ret->layout.memory_mib = 1024;
	ret->layout.vcpus = 2;
	ret->choice = *choice;
	plan_tree(machine, choice, mode, &ret->layout, &ret->reasons);
	plan_nodes(machine, choice, &ret->layout, &reasons);
}

static void addresses_are_unique(const struct layout *layout)
{
	for (size_t i = 0; i < layout->passed_count; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(pci_address_cmp(layout_guest_address(layout, i),
						    layout_guest_address(layout, j)) != 0);
}

static void everything_of_a_nested_tree_keeps_its_distance(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;
	size_t pairs;

	(void)state;
	for (size_t i = 0; i < machine->device_count; i++)
		if (machine->devices[i].kind != MACHINE_ROOT_PORT &&
		    machine->devices[i].kind != MACHINE_SWITCH_PORT)
			choice.given[choice.given_count++].device = (int)i;
	plan(machine, &choice, LAYOUT_REPLICATE, &planned);
	assert_int_equal(planned.reasons.count, 0);
	assert_int_equal(wrong_pairs(machine, &choice, &planned.layout, &pairs), 0);
	assert_int_equal(pairs, choice.given_count * (choice.given_count - 1) / 2);
	addresses_are_unique(&planned.layout);
}

static void a_switch_with_one_device_vanishes_at_the_top(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;

	(void)state;
	give(&choice, machine, "09:00.0");
	give(&choice, machine, "41:00.0");
	plan(machine, &choice, LAYOUT_REPLICATE, &planned);
	assert_int_equal(count_kind(&planned.layout, LAYOUT_PXB), 2);
	assert_int_equal(count_kind(&planned.layout, LAYOUT_ROOT_PORT), 2);
	assert_int_equal(planned.layout.bridge_count, 4);
	assert_int_equal(planned.layout.node_count, 2);
	assert_int_equal(planned.layout.nodes[1].host, 1);
}

static void below_a_kept_switch_a_run_of_switches_is_one(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;
	size_t pairs;

	(void)state;
	give(&choice, machine, "09:00.0");
	give(&choice, machine, "0a:00.0");
	plan(machine, &choice, LAYOUT_REPLICATE, &planned);
	/* the common one, and one for the run above 09:00.0 */
	assert_int_equal(count_kind(&planned.layout, LAYOUT_UPSTREAM), 2);
	assert_int_equal(wrong_pairs(machine, &choice, &planned.layout, &pairs), 0);
}

static void functions_of_a_slot_stay_together_with_their_numbers(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;

	(void)state;
	give(&choice, machine, "05:00.0");
	give(&choice, machine, "05:00.1");
	plan(machine, &choice, LAYOUT_FLATTEN, &planned);
	assert_int_equal(planned.layout.bridge_count, 1);
	assert_int_equal(planned.layout.passed[0].parent, planned.layout.passed[1].parent);
	assert_int_equal(planned.layout.passed[1].function, 1);
	assert_true(planned.layout.passed[0].is_multifunction);
}

static void a_slot_without_its_function_0_is_seen_all_the_same(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;

	(void)state;
	give(&choice, machine, "05:00.1");
	plan(machine, &choice, LAYOUT_FLATTEN, &planned);
	assert_int_equal(planned.layout.passed[0].function, 0);
	assert_false(planned.layout.passed[0].is_multifunction);
}

static void auto_replicates_when_two_could_talk(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;

	(void)state;
	give(&choice, machine, "05:00.0");
	give(&choice, machine, "05:00.1");
	plan(machine, &choice, LAYOUT_AUTO, &planned);
	assert_int_equal(planned.layout.mode, LAYOUT_FLATTEN);
	give(&choice, machine, "06:00.0");
	plan(machine, &choice, LAYOUT_AUTO, &planned);
	assert_int_equal(planned.layout.mode, LAYOUT_REPLICATE);
}

/* Depth first in the order of slots: what firmware does, which the lab's guests show. */
static void buses_are_numbered_as_firmware_does(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, nested, ARRAY_SIZE(nested));
	struct plan_choice choice = { 0 };
	static struct plan planned;
	const struct layout *layout = &planned.layout;

	(void)state;
	give(&choice, machine, "05:00.0");
	give(&choice, machine, "06:00.0");
	give(&choice, machine, "41:00.0");
	plan(machine, &choice, LAYOUT_REPLICATE, &planned);
	/* pxb 01: root port to 02: switch 03: ports to 04 and 05, at each level the outer one's */
	assert_int_equal(layout->bridges[0].kind, LAYOUT_PXB);
	assert_int_equal(layout->bridges[0].bus, 1);
	for (size_t i = 1; i < layout->bridge_count; i++)
		assert_int_equal(layout->bridges[i].bus, i + 1);
}

static unsigned int next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(*seed >> 33);
}

static bool is_endpoint(const struct machine_device *device)
{
	return device->kind != MACHINE_ROOT_PORT && device->kind != MACHINE_SWITCH_PORT &&
	       device->kind != MACHINE_BRIDGE && device->bridge.present != PCI_YES;
}

/* All endpoints (as many as a pod can have), then random subsets of them. */
static void check_capture(const char *name, const struct machine *machine, uint64_t *seed)
{
	const size_t subsets = getenv("SOAK") ? SUBSETS_SOAK : SUBSETS;
	size_t ends = 0, pairs = 0, wrong = 0, refused = 0, most = 0;
	static int at[MACHINE_DEVICES_MAX];
	static struct plan planned;

	for (size_t i = 0; i < machine->device_count; i++)
		if (is_endpoint(&machine->devices[i]))
			at[ends++] = (int)i;
	for (size_t set = 0; set <= subsets && ends > 0; set++) {
		struct plan_choice choice = { 0 };
		size_t some;

		for (size_t i = 0; i < ends && choice.given_count < LAYOUT_PASSED_MAX; i++)
			if (set == 0 || next_random(seed) % 4 == 0)
				choice.given[choice.given_count++].device = at[i];
		plan(machine, &choice, LAYOUT_REPLICATE, &planned);
		refused += planned.reasons.count > 0;
		if (planned.reasons.count)
			continue;
		wrong += wrong_pairs(machine, &choice, &planned.layout, &some);
		addresses_are_unique(&planned.layout);
		pairs += some;
		if (choice.given_count > most)
			most = choice.given_count;
	}
	(void)fprintf(stderr,
		      "# %-44s %3zu endpoints %4zu sets, at most %3zu: %7zu pairs, %zu wrong\n",
		      name, ends, subsets + 1, most, pairs, wrong);
	assert_int_equal(wrong, 0);
	assert_int_equal(refused, 0);
}

static void no_pair_is_wrong_in_any_capture_of_hwloc_on_captures(void **state)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	cleanup_free char *folder = shared_folder(), *pattern = NULL;
	glob_t found = { 0 };

	(void)state;
	assert_true(asprintf(&pattern, "%s/hwloc-*/*.xml", folder) > 0);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	(void)fprintf(stderr, "# SEED=%llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
		CLEANUP(arena_done) struct arena arena = { 0 };
		cleanup_free char *name = NULL, *text = NULL;
		struct machine *machine;

		assert_true(asprintf(&name, "captures%s", found.gl_pathv[i] + strlen(folder)) > 0);
		text = shared_text(name);
		assert_non_null(text);
		assert_int_equal(machine_capture_set_text(&capture,
							  (struct bytes){ (const uint8_t *)text,
									  strlen(text) },
							  NULL),
				 0);
		assert_int_equal(machine_decode(&arena, &capture, &machine, NULL), 0);
		check_capture(strrchr(name, '/') + 1, machine, &seed);
	}
	globfree(&found);
}
ON_CAPTURES(no_pair_is_wrong_in_any_capture_of_hwloc)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_of_a_nested_tree_keeps_its_distance),
		cmocka_unit_test(a_switch_with_one_device_vanishes_at_the_top),
		cmocka_unit_test(below_a_kept_switch_a_run_of_switches_is_one),
		cmocka_unit_test(functions_of_a_slot_stay_together_with_their_numbers),
		cmocka_unit_test(a_slot_without_its_function_0_is_seen_all_the_same),
		cmocka_unit_test(auto_replicates_when_two_could_talk),
		cmocka_unit_test(buses_are_numbered_as_firmware_does),
		cmocka_unit_test(no_pair_is_wrong_in_any_capture_of_hwloc),
	};

	return cmocka_run_group_tests_name("plan/tree", tests, NULL, NULL);
}
