// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"
#include "machine/build_priv.h"

static struct arena arena;
static struct machine *machine;

static int done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void decode(const char *xml)
{
	struct err err = { 0 };

	if (machine_hwloc_decode(&arena, text_bytes(xml), &machine, &err) < 0)
		fail_msg("%s", err.msg);
	check_machine(machine);
}

static int refuse(const char *xml)
{
	struct err err = { 0 };
	int r = machine_hwloc_decode(&arena, text_bytes(xml), &machine, &err);

	assert_int_equal(r, err.num);
	assert_int_equal(err.code, ERR_USAGE);
	return r;
}

#define HEAD "<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\">"

static const char version_2[] = HEAD
	"<topology version=\"2.0\">"
	"<object type=\"Machine\" os_index=\"0\" cpuset=\"0x0000000f\" nodeset=\"0x00000003\">"
	"<info name=\"CPUModel\" value=\"A &lt;CPU&gt;\"/>"
	"<info name=\"OSRelease\" value=\"6.1.0\"/>"
	"<object type=\"Package\" os_index=\"0\" nodeset=\"0x1\">"
	"<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x3\" nodeset=\"0x1\""
	" local_memory=\"4096\"/>"
	"<object type=\"Core\" os_index=\"0\" nodeset=\"0x1\"><object type=\"PU\" os_index=\"0\"/>"
	"<object type=\"PU\" os_index=\"1\"/></object>"
	"<object type=\"Bridge\" bridge_type=\"0-1\" bridge_pci=\"0000:[20-24]\">"
	"<object type=\"Bridge\" bridge_type=\"1-1\" bridge_pci=\"0000:[21-24]\""
	" pci_busid=\"0000:20:00.0\" pci_type=\"0604 [8086:2030] [0000:0000] 04\""
	" pci_link_speed=\"15.753846\">"
	"<object type=\"PCIDev\" pci_busid=\"0000:21:00.0\""
	" pci_type=\"0302 [10de:1db8] [10de:131d] a1\" pci_link_speed=\"0.000000\">"
	"<info name=\"PCIVendor\" value=\"NVIDIA\"/><info name=\"PCIDevice\" value=\"V100\"/>"
	"<object type=\"OSDev\" name=\"card0\" osdev_type=\"1\"/></object>"
	"</object></object></object>"
	"<object type=\"Package\" os_index=\"1\" nodeset=\"0x2\">"
	"<object type=\"NUMANode\" os_index=\"1\" cpuset=\"0xc\" nodeset=\"0x2\"/>"
	"<object type=\"Core\" os_index=\"0\"><object type=\"PU\" os_index=\"2\"/></object>"
	"<object type=\"Core\" os_index=\"1\"><object type=\"PU\" os_index=\"3\"/></object>"
	"</object></object>"
	"<distances2 type=\"NUMANode\" nbobjs=\"2\" kind=\"5\" indexing=\"os\">"
	"<indexes length=\"4\">0 1 </indexes><u64values length=\"6\">10 21 </u64values>"
	"<u64values length=\"6\">31 10 </u64values></distances2>"
	"</topology>";

static void reads_version_2(void **state)
{
	const struct machine_device *gpu;

	(void)state;
	decode(version_2);
	assert_string_equal(machine->source, "hwloc");
	assert_string_equal(machine->limits.cpu_model, "A <CPU>");
	assert_string_equal(machine->limits.kernel, "6.1.0");
	assert_int_equal(machine->device_count, 2);
	gpu = device_at(machine, "0000:21:00.0");
	assert_int_equal(gpu->kind, MACHINE_GPU);
	assert_int_equal(gpu->class_code, 0x030200);
	assert_int_equal(gpu->class_bits, 16);
	assert_int_equal(gpu->revision, 0xa1);
	assert_int_equal(gpu->subdevice, 0x131d);
	assert_int_equal(gpu->numa, 0);
	assert_true(gpu->link_mbps == PCI_UNKNOWN);
	assert_string_equal(gpu->name, "NVIDIA V100");
	assert_int_equal(gpu->parent, index_at(machine, "0000:20:00.0"));
	assert_int_equal(machine->devices[0].kind, MACHINE_ROOT_PORT);
	assert_int_equal(machine->devices[0].bridge.subordinate, 0x24);
	assert_int_equal(machine->devices[0].subvendor, PCI_UNKNOWN);
	assert_true(machine->devices[0].link_mbps == 15753);
	assert_int_equal(machine->roots[0].bus, 0x20);
	assert_int_equal(machine->groups_known, PCI_UNKNOWN);
}

static void reads_nodes_cpus_and_distances(void **state)
{
	(void)state;
	decode(version_2);
	assert_int_equal(machine->node_count, 2);
	assert_int_equal(machine->nodes[0].cpus.count, 2);
	assert_true(machine->nodes[0].memory_bytes == 4096);
	assert_true(machine->nodes[1].memory_bytes == PCI_UNKNOWN);
	assert_int_equal(machine->nodes[0].distances[1], 21);
	assert_int_equal(machine->nodes[1].distances[0], 31);
	assert_int_equal(machine->cpu_count, 4);
	assert_int_equal(machine->core_count, 3);
	assert_int_equal(machine->package_count, 2);
	assert_int_equal(machine->cpus[3].node, 1);
}

static void reads_version_1(void **state)
{
	(void)state;
	decode("<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc.dtd\"><topology>"
	       "<object type=\"Machine\" os_index=\"0\" nodeset=\"0x3\">"
	       "<distances nbobjs=\"2\" relative_depth=\"1\" latency_base=\"10.000000\">"
	       "<latency value=\"1.000000\"/><latency value=\"2.100000\"/>"
	       "<latency value=\"2.100000\"/><latency value=\"1.000000\"/></distances>"
	       "<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x1\" nodeset=\"0x1\">"
	       "<object type=\"Socket\" os_index=\"0\" nodeset=\"0x1\">"
	       "<object type=\"Core\"><object type=\"PU\" os_index=\"0\"/></object></object>"
	       "<object type=\"Bridge\" bridge_type=\"0-1\" bridge_pci=\"0000:[00-01]\">"
	       "<object type=\"PCIDev\" pci_busid=\"0000:00:02.0\""
	       " pci_type=\"0200 [8086:1521] [0000:0000] 01\" pci_link_speed=\"0.5\"/>"
	       "</object></object>"
	       "<object type=\"NUMANode\" os_index=\"8\" cpuset=\"0x100000000,,0x0\""
	       " nodeset=\"0x100\"/>"
	       "</object></topology>");
	assert_int_equal(machine->devices[0].kind, MACHINE_NIC);
	assert_int_equal(machine->devices[0].numa, 0);
	assert_true(machine->devices[0].link_mbps == 500);
	assert_int_equal(machine->nodes[1].id, 8);
	assert_int_equal(machine->nodes[0].distances[1], 21);
	assert_int_equal(machine->nodes[1].distances[1], 10);
}

static void near_to_several_nodes_is_near_to_none(void **state)
{
	(void)state;
	decode("<topology version=\"2.0\"><object type=\"Machine\" nodeset=\"0x3\">"
	       "<object type=\"NUMANode\" os_index=\"0\" nodeset=\"0x1\"/>"
	       "<object type=\"PCIDev\" pci_busid=\"0000:00:02.0\""
	       " pci_type=\"0000 [0000:0000] [0000:0000] 00 00\"/></object></topology>");
	assert_int_equal(machine->devices[0].numa, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].vendor, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].class_code, PCI_UNKNOWN);
}

static void a_matrix_that_does_not_fit_is_left_out(void **state)
{
	(void)state;
	decode("<topology version=\"2.0\"><object type=\"NUMANode\" os_index=\"0\"/>"
	       "<object type=\"PU\" os_index=\"0\"/>"
	       "<distances2 type=\"NUMANode\" nbobjs=\"2\" kind=\"5\" indexing=\"os\">"
	       "<indexes>0 1</indexes><u64values>10 20 20 10</u64values></distances2>"
	       "</topology>");
	assert_null(machine->nodes[0].distances);
	decode("<topology version=\"2.0\"><object type=\"NUMANode\" os_index=\"0\"/>"
	       "<object type=\"PU\" os_index=\"0\"/>"
	       "<distances2 type=\"NUMANode\" nbobjs=\"1\" kind=\"5\" indexing=\"os\">"
	       "<indexes>0</indexes><u64values>10 20</u64values></distances2></topology>");
	assert_null(machine->nodes[0].distances);
}

static void declarations_are_refused(void **state)
{
	static const char *const declared[] = {
		"<!ENTITY a \"b\">",
		"<!ENTITY % a SYSTEM \"file:///etc/passwd\"> %a;",
		"<!ENTITY a SYSTEM \"file:///etc/passwd\">",
		"<!ELEMENT object ANY>",
		"<!ATTLIST object type CDATA \"PU\">",
		"<!NOTATION n SYSTEM \"x\">",
	};
	char xml[512];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(declared); i++) {
		(void)snprintf(xml, sizeof(xml),
			       "<!DOCTYPE topology [%s]><topology>"
			       "<object type=\"PU\" os_index=\"0\"/></topology>",
			       declared[i]);
		assert_int_equal(refuse(xml), -EINVAL);
	}
}

static void entities_of_nobody_are_refused(void **state)
{
	(void)state;
	assert_int_equal(refuse("<topology><object type=\"PU\" os_index=\"&a;\"/></topology>"),
			 -EINVAL);
}

static void what_is_broken_is_refused(void **state)
{
	static const char *const broken[] = {
		"<topology>",
		"<topology></topology>",
		"<topology><object type=\"PU\" os_index=\"0\"/></topolog>",
		"<topology><object type=\"PU\" os_index=\"0\" os_index=\"1\"/></topology>",
		"<topology><object type=\"PU\"/></topology>",
		"<topology><object type=\"NUMANode\"/></topology>",
		"<topology><object type=\"PCIDev\" pci_busid=\"x\"/></topology>",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(broken); i++)
		assert_int_equal(refuse(broken[i]), -EINVAL);
}

static void cut_anywhere_it_is_refused(void **state)
{
	struct err err;
	size_t len;
	char *cut;

	(void)state;
	for (len = 0; len < sizeof(version_2) - 1; len++) {
		/* of just that size: a read behind it is seen */
		cut = malloc(len + 1);
		assert_non_null(cut);
		memcpy(cut, version_2, len);
		assert_true(machine_hwloc_decode(&arena,
						 (struct bytes){ (const uint8_t *)cut, len },
						 &machine, &err) < 0);
		free(cut);
		arena_done(&arena);
	}
}

/* The root is one element too. */
static void so_many_elements_in_each_other(void **state)
{
	enum { DEPTH = 128 };
	static char xml[64 * (DEPTH + 2)];
	size_t len;
	int depth, i;

	(void)state;
	for (depth = DEPTH - 1; depth <= DEPTH; depth++) {
		len = 0;
		for (i = 0; i < depth; i++)
			len += (size_t)snprintf(
				xml + len, sizeof(xml) - len,
				i ? "<object type=\"PU\" os_index=\"%d\">" : "<topology>", i);
		for (i = depth; i--;)
			len += (size_t)snprintf(xml + len, sizeof(xml) - len, "%s",
						i ? "</object>" : "</topology>");
		if (depth < DEPTH)
			decode(xml);
		else
			assert_int_equal(refuse(xml), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(reads_version_2, done),
		cmocka_unit_test_teardown(reads_nodes_cpus_and_distances, done),
		cmocka_unit_test_teardown(reads_version_1, done),
		cmocka_unit_test_teardown(near_to_several_nodes_is_near_to_none, done),
		cmocka_unit_test_teardown(a_matrix_that_does_not_fit_is_left_out, done),
		cmocka_unit_test_teardown(declarations_are_refused, done),
		cmocka_unit_test_teardown(entities_of_nobody_are_refused, done),
		cmocka_unit_test_teardown(what_is_broken_is_refused, done),
		cmocka_unit_test_teardown(cut_anywhere_it_is_refused, done),
		cmocka_unit_test_teardown(so_many_elements_in_each_other, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
