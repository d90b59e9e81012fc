// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "emit/pairs.h"

static const struct tree_row rows[] = {
	{ .at = "00:01.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "01:00.0", .below = "00:01.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "02:00.0",
	  .below = "01:00.0",
	  .type = PCI_DOWNSTREAM_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS | PCI_ACS_DT },
	{ .at = "02:01.0",
	  .below = "01:00.0",
	  .type = PCI_DOWNSTREAM_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS },
	{ .at = "03:00.0", .below = "02:00.0", .kind = MACHINE_NIC, .ats = 2 },
	{ .at = "04:00.0", .below = "02:01.0" },
	{ .at = "80:02.0",
	  .type = PCI_ROOT_PORT,
	  .acs = ALL_ACS,
	  .ctrl = REQUIRED_ACS,
	  .no_numa = true },
	{ .at = "81:00.0", .below = "80:02.0", .no_numa = true },
	{ .at = "81:00.1", .below = "80:02.0", .no_numa = true, .kind = MACHINE_OTHER },
};

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void a_pair_has_class_route_and_reason(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
	json_t *pairs, *pair, *back;

	(void)state;
	assert_int_equal(emit_pairs_json(machine, false, &pairs), 0);
	assert_int_equal(json_array_size(pairs), 3);
	pair = json_array_get(pairs, 0);
	assert_string_equal(text(pair, "a"), "0000:03:00.0");
	assert_string_equal(text(pair, "b"), "0000:04:00.0");
	assert_string_equal(text(pair, "class"), "PIX");
	assert_string_equal(text(pair, "route"), "direct");
	assert_non_null(strstr(text(pair, "reason"), "ATS on in the requester"));
	/* the GPU has no ATS, and goes another way */
	back = json_object_get(pair, "back");
	assert_string_equal(text(back, "route"), "iommu");
	assert_non_null(text(back, "reason"));
	pair = json_array_get(pairs, 1);
	assert_string_equal(text(pair, "b"), "0000:81:00.0");
	assert_true(json_is_null(json_object_get(pair, "class")));
	pair = json_array_get(pairs, 2);
	assert_string_equal(text(pair, "a"), "0000:04:00.0");
	assert_string_equal(text(pair, "route"), "iommu");
	assert_null(json_object_get(pair, "back"));
	json_decref(pairs);
	assert_int_equal(emit_pairs_json(machine, true, &pairs), 0);
	assert_int_equal(json_array_size(pairs), 6);
	json_decref(pairs);
}

static void the_matrix_has_a_row_and_a_column_for_each(void **state)
{
	static const char wanted[] = "          GPU0    GPU1    NIC0    NUMA\n"
				     "GPU0       X      ?       PIX     0\n"
				     "GPU1      ?        X      ?       ?\n"
				     "NIC0      PIX     ?        X      0\n"
				     "\n"
				     "GPU0      0000:04:00.0\n"
				     "GPU1      0000:81:00.0  A\\x1b[31m\n"
				     "NIC0      0000:03:00.0\n"
				     "\n";
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf out = { 0 };
	struct machine *machine = tree(&arena, rows, ARRAY_SIZE(rows));
	struct emit_matrix_opts opts = { 0 };

	(void)state;
	machine->devices[tree_find(machine, "81:00.0")].name = "A\033[31m";
	assert_int_equal(emit_matrix(machine, &opts, &out), 0);
	assert_int_equal(buf_add(&out, "", 1), 0);
	assert_true(strncmp((const char *)out.at, wanted, strlen(wanted)) == 0);
	assert_non_null(strstr((const char *)out.at, "\nPXB   several switches"));
	assert_null(strchr((const char *)out.at, '\033'));
	buf_done(&out);
	opts.has_colour = true;
	assert_int_equal(emit_matrix(machine, &opts, &out), 0);
	assert_non_null(memmem(out.at, out.len, "\033[1;32mPIX   \033[0m", 17));
	buf_done(&out);
	machine->device_count = 1;
	assert_int_equal(emit_matrix(machine, &opts, &out), 0);
	assert_int_equal(buf_add(&out, "", 1), 0);
	assert_string_equal((const char *)out.at, "no GPUs and no NICs\n");
}

/* A device more than there is room for, and one less. */
static void there_is_a_limit(void **state)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf out = { 0 };
	struct machine machine = { 0 };
	struct machine_root root = { .numa = 0 };
	struct emit_matrix_opts opts = { 0 };
	json_t *pairs = NULL;
	size_t i;

	(void)state;
	machine.roots = &root;
	machine.root_count = 1;
	machine.devices = arena_array(&arena, EMIT_PAIRS_DEVICES_MAX + 1, sizeof(*machine.devices));
	assert_non_null(machine.devices);
	for (i = 0; i <= EMIT_PAIRS_DEVICES_MAX; i++) {
		struct tree_row row = { .at = "00:00.0" };

		tree_fill(&row, &machine.devices[i]);
		machine.devices[i].parent = machine.devices[i].physfn = MACHINE_NONE;
		machine.devices[i].address.bus = (uint8_t)(i >> 5);
		machine.devices[i].address.dev = i & 31;
	}
	machine.device_count = EMIT_PAIRS_DEVICES_MAX + 1;
	assert_int_equal(emit_pairs_json(&machine, false, &pairs), -E2BIG);
	assert_int_equal(emit_matrix(&machine, &opts, &out), -E2BIG);
	assert_int_equal(out.len, 0);
	machine.device_count = EMIT_PAIRS_DEVICES_MAX;
	assert_int_equal(emit_matrix(&machine, &opts, &out), 0);
	assert_int_equal(emit_pairs_json(&machine, false, &pairs), 0);
	assert_int_equal(json_array_size(pairs),
			 EMIT_PAIRS_DEVICES_MAX * (EMIT_PAIRS_DEVICES_MAX - 1) / 2);
	json_decref(pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_has_class_route_and_reason),
		cmocka_unit_test(the_matrix_has_a_row_and_a_column_for_each),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
