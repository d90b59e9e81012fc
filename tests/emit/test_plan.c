// SPDX-License-Identifier: Apache-2.0
#include "emit/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../route/tree.h"
#include "base/macro.h"

/* A switch without ACS with two GPUs and a NIC. */
static const struct tree_row rows[] = {
	{ .at = "20:00.0", .type = PCI_ROOT_PORT, .acs = ALL_ACS, .ctrl = REQUIRED_ACS },
	{ .at = "21:00.0", .below = "20:00.0", .type = PCI_UPSTREAM_PORT },
	{ .at = "22:00.0", .below = "21:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "22:01.0", .below = "21:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "22:02.0", .below = "21:00.0", .type = PCI_DOWNSTREAM_PORT },
	{ .at = "23:00.0", .below = "22:00.0" },
	{ .at = "24:00.0", .below = "22:01.0" },
	{ .at = "25:00.0", .below = "22:02.0", .kind = MACHINE_NIC },
};

struct fixture {
	struct arena arena;
	struct machine *machine;
	struct plan plan;
};

static void plan(struct fixture *f, uint32_t gpus, enum layout_mode mode)
{
	const struct plan_wish wish = { .gpus = gpus, .mode = mode, .keep_drivers = "" };

	memset(&f->plan, 0, sizeof(f->plan));
	f->plan.layout.vcpus = 2;
	f->plan.layout.memory_mib = 1024;
	assert_int_equal(plan_devices(f->machine, &wish, &f->plan), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = tree(&f->arena, rows, ARRAY_SIZE(rows));
	f->machine->roots[0].numa = 1;
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

static const char *string_at(const json_t *json, const char *array, size_t i, const char *key)
{
	return json_string_value(
		json_object_get(json_array_get(json_object_get(json, array), i), key));
}

static void a_plan_is_whole_as_json(void **state)
{
	struct fixture *f = *state;
	json_t *json = NULL;

	plan(f, 2, LAYOUT_REPLICATE);
	assert_int_equal(emit_plan_json(f->machine, &f->plan, &json), 0);
	assert_true(json_is_true(json_object_get(json, "feasible")));
	assert_int_equal(json_array_size(json_object_get(json, "reasons")), 0);
	assert_int_equal(json_array_size(json_object_get(json, "notes")), 0);
	assert_string_equal(json_string_value(json_object_get(json, "tee")), "none");
	assert_string_equal(string_at(json, "devices", 0, "host"), "0000:23:00.0");
	assert_string_equal(string_at(json, "devices", 0, "guest"), "0000:04:00.0");
	assert_string_equal(string_at(json, "devices", 1, "guest"), "0000:05:00.0");
	assert_string_equal(string_at(json, "devices", 1, "part"), "chosen");
	assert_string_equal(string_at(json, "held", 0, "host"), "0000:25:00.0");
	assert_int_equal(json_array_size(json_object_get(json, "pairs")), 1);
	assert_string_equal(string_at(json, "pairs", 0, "host_class"), "PIX");
	assert_string_equal(string_at(json, "pairs", 0, "guest_class"), "PIX");
	assert_string_equal(string_at(json, "ports", 0, "kind"), "root-complex");
	assert_string_equal(string_at(json, "ports", 0, "address"), "0000:01");
	assert_string_equal(string_at(json, "ports", 1, "address"), "0000:01:00.0");
	assert_int_equal(json_array_size(json_object_get(json, "nodes")), 1);
	json_decref(json);
}

static void ports_that_are_set_are_named(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct fixture *f = *state;
	json_t *json = NULL;

	plan(f, 2, LAYOUT_REPLICATE);
	assert_int_equal(emit_plan_json(f->machine, &f->plan, &json), 0);
	assert_int_equal(json_array_size(json_object_get(json, "acs")), 0);
	json_decref(json);
	f->plan.tune.at[0] =
		(struct plan_tuned){ .port = tree_find(f->machine, "22:00.0"), .why = "so it is" };
	f->plan.tune.count = 1;
	assert_int_equal(emit_plan_json(f->machine, &f->plan, &json), 0);
	assert_string_equal(string_at(json, "acs", 0, "port"), "0000:22:00.0");
	assert_string_equal(string_at(json, "acs", 0, "why"), "so it is");
	assert_string_equal(
		json_string_value(json_array_get(
			json_object_get(json_array_get(json_object_get(json, "acs"), 0), "set"),
			0)),
		"DT");
	json_decref(json);
	assert_int_equal(emit_plan_text(f->machine, &f->plan, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_non_null(strstr((const char *)text.at,
			       "\nACS set while the pod lives\n  0000:22:00.0  DT: so it is\n"));
}

static void a_confidential_plan_says_why_there_is_no_peer_to_peer(void **state)
{
	const struct plan_wish wish = { .gpus = 2, .keep_drivers = "" };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct fixture *f = *state;
	json_t *json = NULL;

	f->plan.layout.vcpus = 2;
	f->plan.layout.memory_mib = 1024;
	f->plan.layout.tee = LAYOUT_TEE_SIM;
	assert_int_equal(plan_devices(f->machine, &wish, &f->plan), 0);
	assert_int_equal(emit_plan_json(f->machine, &f->plan, &json), 0);
	assert_string_equal(json_string_value(json_object_get(json, "tee")), "sim");
	assert_true(json_is_false(json_object_get(json, "peer_to_peer")));
	assert_non_null(strstr(json_string_value(json_array_get(json_object_get(json, "notes"), 0)),
			       "no peer-to-peer: in a confidential guest"));
	json_decref(json);
	assert_int_equal(emit_plan_text(f->machine, &f->plan, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_non_null(strstr((const char *)text.at, "2 vCPUs, 1024 MiB, tee sim\n"));
	assert_non_null(strstr((const char *)text.at, "notes\n  no peer-to-peer: "));
}

static void what_is_not_possible_has_reasons_and_no_devices(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct fixture *f = *state;
	json_t *json = NULL;

	plan(f, 3, LAYOUT_AUTO);
	assert_int_equal(emit_plan_json(f->machine, &f->plan, &json), 0);
	assert_true(json_is_false(json_object_get(json, "feasible")));
	assert_string_equal(string_at(json, "reasons", 0, "code"), "device-count");
	assert_null(json_object_get(json, "devices"));
	json_decref(json);
	assert_int_equal(emit_plan_text(f->machine, &f->plan, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_non_null(strstr((const char *)text.at, "not possible\n  3 GPUs asked for"));
}

static void the_tree_and_the_matrix_name_both_sides(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct fixture *f = *state;

	plan(f, 2, LAYOUT_FLATTEN);
	assert_int_equal(emit_plan_text(f->machine, &f->plan, &text), 0);
	assert_int_equal(emit_plan_matrix(f->machine, &f->plan, &text), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	assert_non_null(
		strstr((const char *)text.at, "0000:01:00.0  gpu, the host's 0000:23:00.0"));
	assert_non_null(strstr((const char *)text.at, "held besides\n  0000:25:00.0"));
	/* flattened, they are no longer below one switch */
	assert_non_null(strstr((const char *)text.at, "PHB/PIX"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plan_is_whole_as_json),
		TEST(ports_that_are_set_are_named),
		TEST(a_confidential_plan_says_why_there_is_no_peer_to_peer),
		TEST(what_is_not_possible_has_reasons_and_no_devices),
		TEST(the_tree_and_the_matrix_name_both_sides),
	};

	return cmocka_run_group_tests_name("emit/plan", tests, NULL, NULL);
}
