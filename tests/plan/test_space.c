// SPDX-License-Identifier: Apache-2.0
/* The sizes and address bits are those of a table that was tried with SeaBIOS. */
#include "plan/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"
#include "plan/tree.h"

#define GIB (INT64_C(1) << 30)

enum { GPUS = 8 };

struct fixture {
	struct arena arena;
	struct machine *machine;
	struct plan_choice choice;
	struct layout layout;
	struct plan_space space;
	struct plan_reasons reasons, unknown;
	uint32_t memory_mib;
};

/* Eight root complexes, each with a switch that has a GPU and a NIC with a small BAR. */
static struct machine *server(struct arena *arena, int64_t gpu_bar)
{
	static char names[GPUS][7][16];
	struct tree_row rows[GPUS * 6] = { 0 };
	struct machine *machine;

	for (int i = 0; i < GPUS; i++) {
		struct tree_row *row = &rows[6 * i];
		const int bus = 0x10 * (i + 1);
		static const int offsets[] = { 0, 1, 2, 2, 3, 4 };

		for (int j = 0; j < 6; j++) {
			(void)snprintf(names[i][j], sizeof(names[i][j]), "%02x:%02x.0",
				       bus + offsets[j], j == 3);
			row[j].at = names[i][j];
		}
		row[0].type = PCI_ROOT_PORT;
		row[1].type = PCI_UPSTREAM_PORT;
		row[2].type = row[3].type = PCI_DOWNSTREAM_PORT;
		row[1].below = names[i][0];
		row[2].below = row[3].below = names[i][1];
		row[4].below = names[i][2];
		row[5].below = names[i][3];
		row[5].kind = MACHINE_NIC;
	}
	machine = tree(arena, rows, ARRAY_SIZE(rows));
	for (size_t i = 0; i < machine->device_count; i++) {
		struct machine_device *device = &machine->devices[i];

		device->bars[0] = (struct pci_bar){ .index = -1 };
		if (device->kind == MACHINE_GPU)
			device->bars[0] = (struct pci_bar){ .index = 0,
							    .is_io = PCI_NO,
							    .bits = 64,
							    .prefetchable = PCI_YES,
							    .size = gpu_bar };
		else if (device->kind == MACHINE_NIC)
			device->bars[0] = (struct pci_bar){ .index = 0,
							    .is_io = PCI_NO,
							    .bits = 64,
							    .prefetchable = PCI_YES,
							    .size = 32 << 20 };
	}
	return machine;
}

static void plan(struct fixture *f, enum machine_kind most, enum layout_mode mode, int bits)
{
	memset(&f->choice, 0, sizeof(f->choice));
	memset(&f->layout, 0, sizeof(f->layout));
	memset(&f->reasons, 0, sizeof(f->reasons));
	memset(&f->unknown, 0, sizeof(f->unknown));
	f->machine->limits.phys_bits = bits;
	f->layout.memory_mib = f->memory_mib;
	(void)snprintf(f->layout.cmdline, sizeof(f->layout.cmdline), "root");
	f->layout.accel = LAYOUT_KVM;
	for (size_t i = 0; i < f->machine->device_count; i++)
		if (f->machine->devices[i].kind == MACHINE_GPU ||
		    (most == MACHINE_NIC && f->machine->devices[i].kind == MACHINE_NIC))
			f->choice.given[f->choice.given_count++].device = (int)i;
	plan_tree(f->machine, &f->choice, mode, &f->layout, &f->reasons);
	assert_int_equal(f->reasons.count, 0);
	plan_space(f->machine, &f->choice, &f->layout, &f->space, &f->reasons, &f->unknown);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = server(&f->arena, 512 * GIB);
	f->memory_mib = 4096;
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

static void eight_of_512_gib_need_43_bits_flat(void **state)
{
	struct fixture *f = *state;

	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 43);
	assert_int_equal(f->reasons.count, 0);
	assert_true(f->space.high == 8 * 512 * GIB);
	assert_true(f->space.bars == 8 * 512 * GIB);
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 42);
	assert_int_equal(f->reasons.count, 1);
	assert_int_equal(f->reasons.at[0].code, ERR_DEVICE_SPACE);
	assert_non_null(strstr(f->reasons.at[0].text, "4616 GiB"));
	assert_non_null(strstr(f->reasons.at[0].text, "42 bits are 4096 GiB"));
}

/* Whichever of the two is larger: what SeaBIOS makes of it, or what keeps BARs aligned. */
static void root_ports_have_windows_of_powers_of_two(void **state)
{
	struct fixture *f = *state;

	plan(f, MACHINE_NIC, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->layout.bridge_count, 16);
	for (size_t i = 0; i < f->layout.bridge_count; i++)
		assert_true(f->layout.bridges[i].reserve == (i % 2 ? 32 * GIB : 512 * GIB));
	assert_string_equal(f->layout.cmdline, "root " PLAN_SPACE_PARAMETER);
	assert_int_equal(f->layout.low_mib, 0);
	/* 512 GiB and a port's 32 of firmware, or 1024 of the kernel */
	plan(f, MACHINE_NIC, LAYOUT_REPLICATE, 46);
	for (size_t i = 0; i < f->layout.bridge_count; i++)
		assert_true(f->layout.bridges[i].reserve ==
			    (f->layout.bridges[i].kind == LAYOUT_ROOT_PORT ? 1024 * GIB : 0));
}

static void three_of_a_size_have_a_window_for_four(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++) {
		struct machine_device *device = &f->machine->devices[i];

		device->bars[0].size = 512 * GIB;
		if (device->kind == MACHINE_GPU) {
			device->bars[1] = device->bars[0];
			device->bars[1].index = 2;
		}
	}
	plan(f, MACHINE_NIC, LAYOUT_REPLICATE, 48);
	assert_int_equal(f->reasons.count, 0);
	for (size_t i = 0; i < f->layout.bridge_count; i++)
		if (f->layout.bridges[i].kind == LAYOUT_ROOT_PORT)
			assert_true(f->layout.bridges[i].reserve == 4 * 512 * GIB);
}

static void with_large_bars_some_memory_is_above_4_gib(void **state)
{
	struct fixture *f = *state;

	f->memory_mib = 2815;
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->layout.low_mib, 2799);
	f->memory_mib = 2816;
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->layout.low_mib, 0);
}

static void small_bars_change_nothing_up_to_256_mib(void **state)
{
	struct fixture *f = *state;

	for (int more = 0; more < 2; more++) {
		for (size_t i = 0; i < f->machine->device_count; i++)
			if (f->machine->devices[i].kind == MACHINE_GPU)
				f->machine->devices[i].bars[0].size = (32 << 20) << more;
		f->memory_mib = 512;
		plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
		assert_int_equal(f->space.is_large, more);
		assert_int_equal(f->layout.bridges[0].reserve != 0, more);
		assert_int_equal(f->layout.low_mib != 0, more);
		assert_int_equal(strcmp(f->layout.cmdline, "root") != 0, more);
	}
}

/* A window is as large as its largest BAR allows it to be aligned: the small one doubles it. */
static void a_small_bar_beside_a_large_one_doubles_a_switchs_window(void **state)
{
	struct fixture *f = *state;

	plan(f, MACHINE_NIC, LAYOUT_REPLICATE, 44);
	assert_int_equal(f->reasons.count, 0);
	assert_true(f->space.high == 8 * 1024 * GIB);
	plan(f, MACHINE_NIC, LAYOUT_REPLICATE, 43);
	assert_int_equal(f->reasons.count, 1);
}

static void unknown_bits_are_said_and_refuse_nothing(void **state)
{
	struct fixture *f = *state;

	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, PCI_UNKNOWN);
	assert_int_equal(f->reasons.count, 0);
	assert_int_equal(f->unknown.count, 1);
}

static void bars_below_4_gib_have_their_own_limit(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++)
		if (f->machine->devices[i].kind == MACHINE_GPU) {
			f->machine->devices[i].bars[0].prefetchable = PCI_NO;
			f->machine->devices[i].bars[0].size = 128 << 20;
		}
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->reasons.count, 1);
	assert_non_null(strstr(f->reasons.at[0].text, "1024 MiB"));
	assert_true(f->space.high == 0);
}

static void tcg_has_40_bits_whatever_the_host_has(void **state)
{
	struct fixture *f = *state;

	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
	memset(&f->reasons, 0, sizeof(f->reasons));
	f->layout.accel = LAYOUT_TCG;
	plan_space(f->machine, &f->choice, &f->layout, &f->space, &f->reasons, &f->unknown);
	assert_int_equal(f->reasons.count, 1);
	assert_non_null(strstr(f->reasons.at[0].text, "40 bits are 1024 GiB"));
}

static void a_prefetchable_bar_of_32_bits_takes_its_bridge_below_4_gib(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++)
		if (f->machine->devices[i].kind == MACHINE_NIC)
			f->machine->devices[i].bars[0].bits = 32;
	plan(f, MACHINE_NIC, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->reasons.count, 0);
	plan(f, MACHINE_NIC, LAYOUT_REPLICATE, 46);
	assert_int_equal(f->reasons.count, 1);
	assert_non_null(strstr(f->reasons.at[0].text, "below 4 GiB"));
}

static void io_windows_are_eight(void **state)
{
	struct fixture *f = *state;
	size_t count = 0;

	for (size_t i = 0; i < f->machine->device_count; i++)
		if (f->machine->devices[i].kind == MACHINE_GPU)
			f->machine->devices[i].bars[1] =
				(struct pci_bar){ .index = 1, .is_io = PCI_YES, .size = 128 };
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->reasons.count, 0);
	assert_int_equal(f->space.io, 8 << 12);
	for (size_t i = 0; i < f->machine->device_count && count == 0; i++)
		if (f->machine->devices[i].kind == MACHINE_NIC && ++count)
			f->machine->devices[i].bars[1] =
				(struct pci_bar){ .index = 1, .is_io = PCI_YES, .size = 32 };
	plan(f, MACHINE_NIC, LAYOUT_FLATTEN, 46);
	assert_int_equal(f->reasons.count, 1);
	assert_non_null(strstr(f->reasons.at[0].text, "36864 bytes"));
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->machine->device_count; i++)
		if (f->machine->devices[i].kind == MACHINE_GPU)
			f->machine->devices[i].bars[0].size = INT64_C(1) << 62;
	plan(f, MACHINE_GPU, LAYOUT_FLATTEN, 52);
	assert_int_equal(f->reasons.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(eight_of_512_gib_need_43_bits_flat),
		TEST(root_ports_have_windows_of_powers_of_two),
		TEST(three_of_a_size_have_a_window_for_four),
		TEST(with_large_bars_some_memory_is_above_4_gib),
		TEST(small_bars_change_nothing_up_to_256_mib),
		TEST(a_small_bar_beside_a_large_one_doubles_a_switchs_window),
		TEST(unknown_bits_are_said_and_refuse_nothing),
		TEST(bars_below_4_gib_have_their_own_limit),
		TEST(tcg_has_40_bits_whatever_the_host_has),
		TEST(a_prefetchable_bar_of_32_bits_takes_its_bridge_below_4_gib),
		TEST(io_windows_are_eight),
		TEST(sizes_that_overflow_are_refused),
	};

	return cmocka_run_group_tests_name("plan/space", tests, NULL, NULL);
}
