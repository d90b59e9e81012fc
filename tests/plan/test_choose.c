// SPDX-License-Identifier: Apache-2.0
#include "plan/choose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"

#define RP PCI_ROOT_PORT
#define UP PCI_UPSTREAM_PORT
#define DOWN PCI_DOWNSTREAM_PORT

/*
 * Two root complexes, each with a switch without ACS: two GPUs and a NIC below the first, a GPU and
 * a NIC below the second; there also a GPU with its audio on a root port that isolates.
 */
static const struct tree_row rows[] = {
	{ .at = "20:00.0", .type = RP, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "21:00.0", .below = "20:00.0", .type = UP },
	{ .at = "22:00.0", .below = "21:00.0", .type = DOWN },
	{ .at = "22:01.0", .below = "21:00.0", .type = DOWN },
	{ .at = "22:02.0", .below = "21:00.0", .type = DOWN },
	{ .at = "23:00.0", .below = "22:00.0" },
	{ .at = "24:00.0", .below = "22:01.0" },
	{ .at = "25:00.0", .below = "22:02.0", .kind = MACHINE_NIC },
	{ .at = "80:00.0", .type = RP, .acs = ALL_ACS, .ctrl = REQUIRED_ACS, .numa = 1 },
	{ .at = "81:00.0", .below = "80:00.0", .type = UP, .numa = 1 },
	{ .at = "82:00.0", .below = "81:00.0", .type = DOWN, .numa = 1 },
	{ .at = "82:01.0", .below = "81:00.0", .type = DOWN, .numa = 1 },
	{ .at = "83:00.0", .below = "82:00.0", .numa = 1 },
	{ .at = "84:00.0", .below = "82:01.0", .kind = MACHINE_NIC, .numa = 1 },
	{ .at = "80:01.0", .type = RP, .acs = ALL_ACS, .ctrl = REQUIRED_ACS, .numa = 1 },
	{ .at = "85:00.0", .below = "80:01.0", .numa = 1, .mf = 1 },
	{ .at = "85:00.1", .below = "80:01.0", .kind = MACHINE_OTHER, .numa = 1, .mf = 1 },
};

struct fixture {
	struct arena arena;
	struct machine *machine;
	struct plan_wish wish;
	struct plan_choice choice;
	struct plan_reasons reasons, unknown;
};

/* Each endpoint in a group of its own, but the two functions of one card. */
static void group(struct fixture *f)
{
	struct machine *machine = f->machine;
	int *at = arena_array(&f->arena, machine->device_count, sizeof(*at));

	machine->groups = arena_array(&f->arena, machine->device_count, sizeof(*machine->groups));
	machine->groups_known = PCI_YES;
	for (size_t i = 0; i < machine->device_count; i++) {
		struct machine_device *device = &machine->devices[i];
		struct machine_group *last = &machine->groups[machine->group_count];

		at[i] = (int)i;
		if (device->address.fn == 1) {
			last[-1].members.count++;
			device->group = (int)machine->group_count - 1;
			continue;
		}
		*last = (struct machine_group){ .id = 10 + (int)i, .members = { &at[i], 1 } };
		device->group = (int)machine->group_count++;
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = tree(&f->arena, rows, ARRAY_SIZE(rows));
	for (size_t i = 0; i < f->machine->root_count; i++)
		f->machine->roots[i].numa = f->machine->roots[i].bus == 0x80;
	group(f);
	f->wish.keep_drivers = "ahci nvidia-fs";
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

static void choose(struct fixture *f)
{
	memset(&f->reasons, 0, sizeof(f->reasons));
	memset(&f->unknown, 0, sizeof(f->unknown));
	assert_int_equal(plan_choose(f->machine, &f->wish, &f->choice, &f->reasons, &f->unknown),
			 0);
}

static bool is_given(const struct fixture *f, const char *at)
{
	for (size_t i = 0; i < f->choice.given_count; i++)
		if (f->choice.given[i].device == tree_find(f->machine, at))
			return true;
	return false;
}

static const char *held_why(const struct fixture *f, const char *at)
{
	for (size_t i = 0; i < f->choice.held_count; i++)
		if (f->choice.held[i].device == tree_find(f->machine, at))
			return f->choice.held[i].why;
	return NULL;
}

static void refused(const struct fixture *f, enum err_code code, const char *text)
{
	assert_true(f->reasons.count > 0);
	assert_int_equal(f->reasons.at[0].code, code);
	if (!strstr(f->reasons.at[0].text, text))
		fail_msg("'%s' has no '%s'", f->reasons.at[0].text, text);
}

static void two_gpus_and_a_nic_are_those_of_one_switch(void **state)
{
	struct fixture *f = *state;

	f->wish.gpus = 2;
	f->wish.nics = 1;
	choose(f);
	assert_int_equal(f->reasons.count, 0);
	assert_int_equal(f->choice.given_count, 3);
	assert_true(is_given(f, "23:00.0") && is_given(f, "24:00.0") && is_given(f, "25:00.0"));
	assert_int_equal(f->choice.held_count, 0);
}

static void of_equals_the_one_that_needs_none_held(void **state)
{
	struct fixture *f = *state;

	f->wish.gpus = 1;
	choose(f);
	assert_true(is_given(f, "85:00.0"));
	assert_true(is_given(f, "85:00.1"));
	assert_int_equal(f->choice.given[1].part, PLAN_COMPANION);
	assert_int_equal(f->choice.held_count, 0);
}

static void what_is_named_draws_the_rest_near(void **state)
{
	const struct pci_address named[] = { { .bus = 0x83 } };
	struct fixture *f = *state;

	f->wish.named = named;
	f->wish.named_count = 1;
	f->wish.nics = 1;
	choose(f);
	assert_true(is_given(f, "83:00.0") && is_given(f, "84:00.0"));
}

static void siblings_below_a_switch_without_acs_are_held(void **state)
{
	const struct pci_address named[] = { { .bus = 0x23 } };
	struct fixture *f = *state;

	f->wish.named = named;
	f->wish.named_count = 1;
	choose(f);
	assert_int_equal(f->choice.given_count, 1);
	assert_int_equal(f->choice.held_count, 2);
	assert_non_null(held_why(f, "24:00.0"));
	assert_non_null(strstr(held_why(f, "25:00.0"), "0000:23:00.0"));
}

static void a_sibling_that_the_host_keeps_refuses_with_the_path(void **state)
{
	const struct pci_address named[] = { { .bus = 0x23 } };
	struct fixture *f = *state;

	f->machine->devices[tree_find(f->machine, "25:00.0")].driver = "nvidia-fs";
	f->wish.named = named;
	f->wish.named_count = 1;
	choose(f);
	refused(f, ERR_DEVICE_HELD, "0000:25:00.0");
	refused(f, ERR_DEVICE_HELD, "'nvidia-fs'");
}

static void a_driver_is_kept_by_its_whole_name(void **state)
{
	const struct pci_address named[] = { { .bus = 0x85 } };
	struct fixture *f = *state;

	f->machine->devices[tree_find(f->machine, "85:00.0")].driver = "nvidia";
	f->wish.named = named;
	f->wish.named_count = 1;
	choose(f);
	assert_int_equal(f->reasons.count, 0);
}

static void nine_of_four_are_refused_in_numbers(void **state)
{
	struct fixture *f = *state;

	f->wish.gpus = 9;
	choose(f);
	refused(f, ERR_DEVICE_COUNT, "9 GPUs asked for: this machine has 4, and 4 can be given");
}

static void what_another_pod_has_is_not_chosen_and_not_given_by_name(void **state)
{
	const struct plan_taken taken[] = { { { .bus = 0x85 }, "pod 'web' has it" },
					    { { .bus = 0x83 }, "the host uses it" } };
	struct fixture *f = *state;

	f->wish.taken = taken;
	f->wish.taken_count = 2;
	f->wish.gpus = 3;
	choose(f);
	refused(f, ERR_DEVICE_COUNT, "3 GPUs asked for: this machine has 4, and 2 can be given");
	f->wish.gpus = 0;
	f->wish.named = &taken[0].address;
	f->wish.named_count = 1;
	choose(f);
	refused(f, ERR_DEVICE_HELD, "85:00.0: pod 'web' has it");
}

static void what_is_not_there_is_refused_by_name(void **state)
{
	const struct pci_address named[] = { { .bus = 0x99 }, { .bus = 0x20 } };
	struct fixture *f = *state;

	f->wish.named = named;
	f->wish.named_count = 2;
	choose(f);
	refused(f, ERR_DEVICE_NONE, "0000:99:00.0");
	assert_int_equal(f->reasons.count, 2);
	assert_non_null(strstr(f->reasons.at[1].text, "it is a bridge"));
}

static void near_is_a_limit(void **state)
{
	struct fixture *f = *state;

	f->wish.gpus = 3;
	f->wish.near = PLAN_NEAR_SWITCH;
	choose(f);
	refused(f, ERR_DEVICE_COUNT, "switch");
	f->wish.gpus = 2;
	choose(f);
	assert_int_equal(f->reasons.count, 0);
	assert_true(is_given(f, "23:00.0") && is_given(f, "24:00.0"));
}

static void without_an_iommu_nothing_is_given(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++)
		f->machine->devices[i].group = MACHINE_NONE;
	f->wish.gpus = 1;
	choose(f);
	refused(f, ERR_DEVICE_COUNT, "4, and 0 can be given");
}

static void a_capture_without_groups_is_planned_and_says_what_is_unknown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++)
		f->machine->devices[i].group = MACHINE_NONE;
	f->machine->groups_known = PCI_UNKNOWN;
	f->wish.gpus = 1;
	choose(f);
	assert_int_equal(f->reasons.count, 0);
	assert_true(f->unknown.count > 0);
}

static void vfs_are_counted_apart(void **state)
{
	struct fixture *f = *state;
	struct machine_device *device = &f->machine->devices[tree_find(f->machine, "25:00.0")];

	device->is_virtfn = PCI_YES;
	device->physfn = MACHINE_NONE;
	f->wish.nics = 1;
	f->wish.vf = true;
	choose(f);
	assert_int_equal(f->reasons.count, 0);
	assert_true(is_given(f, "25:00.0"));
	f->wish.nics = 2;
	choose(f);
	refused(f, ERR_DEVICE_COUNT, "2 NIC VFs asked for: this machine has 1");
}

static void near_words_are_parsed(void **state)
{
	enum plan_near near;

	(void)state;
	for (enum plan_near i = 0; i < PLAN_NEAR_COUNT; i++) {
		assert_int_equal(plan_near_parse(plan_near_name(i), &near), 0);
		assert_int_equal(near, i);
	}
	assert_true(plan_near_parse("rack", &near) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_gpus_and_a_nic_are_those_of_one_switch),
		TEST(of_equals_the_one_that_needs_none_held),
		TEST(what_is_named_draws_the_rest_near),
		TEST(siblings_below_a_switch_without_acs_are_held),
		TEST(a_sibling_that_the_host_keeps_refuses_with_the_path),
		TEST(a_driver_is_kept_by_its_whole_name),
		TEST(nine_of_four_are_refused_in_numbers),
		TEST(what_another_pod_has_is_not_chosen_and_not_given_by_name),
		TEST(what_is_not_there_is_refused_by_name),
		TEST(near_is_a_limit),
		TEST(without_an_iommu_nothing_is_given),
		TEST(a_capture_without_groups_is_planned_and_says_what_is_unknown),
		TEST(vfs_are_counted_apart),
		TEST(near_words_are_parsed),
	};

	return cmocka_run_group_tests_name("plan/choose", tests, NULL, NULL);
}
