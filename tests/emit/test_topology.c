// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "../machine/fixture.h"
#include "emit/topology.h"

#define ROOT "sys/devices/pci0000:20/0000:20:00.0"
#define UP ROOT "/0000:21:00.0"
#define DOWN UP "/0000:22:00.0"
#define GPU DOWN "/0000:23:00.0"
#define NIC UP "/0000:22:01.0/0000:24:00.0"

static struct machine_capture capture;
static struct arena arena;
static struct machine *machine;
static struct buf text;
static json_t *json;

static int setup(void **state)
{
	(void)state;
	put_device(&capture, ROOT, "8086:352a 060400");
	put_device(&capture, UP, "104c:8232 060400");
	put_device(&capture, DOWN, "104c:8233 060400");
	put_device(&capture, UP "/0000:22:01.0", "104c:8233 060400");
	put_device(&capture, GPU, "10de:2330 030200");
	put(&capture, GPU, "numa_node", "1\n");
	put(&capture, GPU, "max_link_speed", "32.0 GT/s PCIe\n");
	put(&capture, GPU, "max_link_width", "16\n");
	put(&capture, GPU, "current_link_speed", "2.5 GT/s PCIe\n");
	put(&capture, GPU, "current_link_width", "16\n");
	put(&capture, GPU, "resource",
	    "0x0 0xffffff 0x14220c\n0x0 0x0 0x0\n0x2000000000 0x3fffffffff 0x14220c\n"
	    "0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n");
	put_link(&capture, GPU, "iommu_group", "../../../../../../kernel/iommu_groups/7");
	put_link(&capture, GPU, "driver", "../../../../../../bus/pci/drivers/nvidia\033[2J");
	put_device(&capture, NIC, "15b3:1021 020700");
	put(&capture, NIC, "sriov_totalvfs", "8\n");
	put(&capture, "sys/devices/system/cpu", "present", "0-1\n");
	put(&capture, "sys/devices/system/node/node1", "cpulist", "0-1\n");
	machine_capture_seal(&capture);
	return machine_decode(&arena, &capture, &machine, NULL);
}

static int teardown(void **state)
{
	(void)state;
	machine_capture_done(&capture);
	arena_done(&arena);
	buf_done(&text);
	json_decref(json);
	json = NULL;
	return 0;
}

static const char *as_string(void)
{
	assert_int_equal(buf_add(&text, "", 1), 0);
	return (const char *)text.at;
}

static void draws_the_tree(void **state)
{
	static const struct emit_topology_opts opts = { .has_colour = false };

	(void)state;
	assert_int_equal(emit_topology_tree(machine, &opts, &text), 0);
	assert_string_equal(as_string(),
			    "CPU of unknown model, 2 CPUs\n"
			    "IOMMU\n"
			    "node 1, 2 CPUs\n"
			    "\n"
			    "0000:20 node 1\n"
			    " `- 0000:20:00.0 root-port [8086:352a]\n"
			    "     `- 0000:21:00.0 switch-port upstream [104c:8232]\n"
			    "         |- 0000:22:00.0 switch-port downstream [104c:8233]\n"
			    "         |   `- 0000:23:00.0 gpu [10de:2330], group 7, x16 32 GT/s"
			    " (now x16 2.5 GT/s), BAR 128 GiB, nvidia\\x1b[2J\n"
			    "         `- 0000:22:01.0 switch-port downstream [104c:8233]\n"
			    "             `- 0000:24:00.0 nic [15b3:1021], 0 of 8 VFs\n");
}

static void lists_groups_and_who_has_none(void **state)
{
	static const struct emit_topology_opts opts = { .has_colour = false };

	(void)state;
	assert_int_equal(emit_topology_groups(machine, &opts, &text), 0);
	assert_memory_equal(as_string(), "group 7\n    0000:23:00.0 gpu [10de:2330], group 7", 40);
	assert_non_null(strstr(as_string(), "no group\n    0000:20:00.0 root-port"));
}

static void colours_only_where_they_are_wanted(void **state)
{
	static const struct emit_topology_opts opts = { .has_colour = true };

	(void)state;
	assert_int_equal(emit_topology_tree(machine, &opts, &text), 0);
	assert_non_null(strstr(as_string(), "\033[1;32mgpu\033[0m"));
}

static json_t *find_device(const char *address)
{
	json_t *devices = json_object_get(json, "devices");
	size_t i;

	for (i = 0; i < json_array_size(devices); i++) {
		json_t *device = json_array_get(devices, i);

		if (strcmp(json_string_value(json_object_get(device, "address")), address) == 0)
			return device;
	}
	return NULL;
}

static void writes_devices_for_programs(void **state)
{
	static const char *const keys[] = { "address", "class", "vendor", "device", "name",
					    "kind",    "numa",	"group",  "parent", "bars",
					    "acs",     "ats",	"sriov",  "link" };
	json_t *gpu, *bar;
	size_t i;

	(void)state;
	json = emit_topology_json(machine);
	assert_non_null(json);
	gpu = find_device("0000:23:00.0");
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		assert_non_null(json_object_get(gpu, keys[i]));
	assert_string_equal(json_string_value(json_object_get(gpu, "vendor")), "0x10de");
	assert_string_equal(json_string_value(json_object_get(gpu, "class")), "0x030200");
	assert_string_equal(json_string_value(json_object_get(gpu, "kind")), "gpu");
	assert_string_equal(json_string_value(json_object_get(gpu, "parent")), "0000:22:00.0");
	assert_int_equal(json_integer_value(json_object_get(gpu, "numa")), 1);
	assert_int_equal(json_integer_value(json_object_get(gpu, "group")), 7);
	assert_true(json_is_null(json_object_get(gpu, "acs")));
	assert_true(json_is_null(json_object_get(gpu, "ats")));
	assert_true(json_is_null(json_object_get(gpu, "name")));
	assert_int_equal(json_array_size(json_object_get(gpu, "bars")), 2);
	bar = json_array_get(json_object_get(gpu, "bars"), 1);
	assert_int_equal(json_integer_value(json_object_get(bar, "index")), 2);
	assert_true(json_integer_value(json_object_get(bar, "size")) == (json_int_t)128 << 30);
	assert_int_equal(json_integer_value(json_object_get(bar, "bits")), 64);
	assert_true(json_is_true(json_object_get(bar, "prefetchable")));
	assert_true(json_is_null(json_object_get(find_device("0000:20:00.0"), "parent")));
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(find_device("0000:24:00.0"), "sriov"), "total")),
			 8);
}

static void writes_the_machine_and_its_groups(void **state)
{
	json_t *host, *group;

	(void)state;
	json = emit_topology_json(machine);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "schema")), 1);
	host = json_object_get(json, "machine");
	assert_int_equal(json_integer_value(json_object_get(host, "cpus")), 2);
	assert_true(json_is_null(json_object_get(host, "cores")));
	assert_true(json_is_true(json_object_get(host, "iommu")));
	assert_int_equal(json_array_size(json_object_get(host, "nodes")), 1);
	assert_int_equal(json_array_size(json_object_get(host, "roots")), 1);
	assert_int_equal(json_array_size(json_object_get(json, "groups")), 1);
	group = json_array_get(json_object_get(json, "groups"), 0);
	assert_int_equal(json_integer_value(json_object_get(group, "id")), 7);
	assert_string_equal(json_string_value(json_object_get(group, "source")), "kernel");
	assert_string_equal(json_string_value(json_array_get(json_object_get(group, "members"), 0)),
			    "0000:23:00.0");
	/* pairs are for whoever knows the routes */
	assert_null(json_object_get(json, "pairs"));
}

static void says_what_acs_does(void **state)
{
	static const struct emit_topology_opts opts = { .has_colour = false };
	struct machine_device *port = &machine->devices[0];
	json_t *acs;

	(void)state;
	port->acs = (struct pci_acs){ .present = PCI_YES,
				      .cap = 0x5f,
				      .ctrl = PCI_ACS_SV | PCI_ACS_RR };
	json = emit_topology_json(machine);
	acs = json_object_get(find_device("0000:20:00.0"), "acs");
	assert_int_equal(json_array_size(json_object_get(acs, "capable")), 6);
	assert_int_equal(json_array_size(json_object_get(acs, "enabled")), 2);
	port->ats = (struct pci_ats){ .present = PCI_NO };
	json_decref(json);
	json = emit_topology_json(machine);
	assert_true(json_is_false(json_object_get(find_device("0000:20:00.0"), "ats")));
	machine->devices[1].acs.present = PCI_NO;
	machine->devices[2].acs = (struct pci_acs){ .present = PCI_YES, .cap = 0x1d };
	assert_int_equal(emit_topology_tree(machine, &opts, &text), 0);
	assert_non_null(strstr(as_string(), "[8086:352a], ACS SV RR\n"));
	assert_non_null(strstr(as_string(), "[104c:8232], no ACS\n"));
	assert_non_null(strstr(as_string(), "[104c:8233], ACS off\n"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(draws_the_tree),
		TEST(lists_groups_and_who_has_none),
		TEST(colours_only_where_they_are_wanted),
		TEST(writes_devices_for_programs),
		TEST(writes_the_machine_and_its_groups),
		TEST(says_what_acs_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
