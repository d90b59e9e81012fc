// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"

#define A_ROOT "sys/devices/pci0000:20/0000:20:00.0"
#define A_UP A_ROOT "/0000:21:00.0"
#define A_DOWN A_UP "/0000:22:00.0"
#define A_GPU A_DOWN "/0000:23:00.0"
#define A_DOWN2 A_UP "/0000:22:01.0"
#define A_NIC A_DOWN2 "/0000:24:00.0"
#define A_VF A_DOWN2 "/0000:24:10.1"
#define B_ROOT "sys/devices/pci0000:80/0000:80:01.0"
#define B_BRIDGE B_ROOT "/0000:81:00.0"

static struct machine_capture capture;
static struct arena arena;
static struct machine *machine;

static int done(void **state)
{
	(void)state;
	machine_capture_done(&capture);
	arena_done(&arena);
	return 0;
}

static void decode(void)
{
	struct err err = { 0 };

	machine_capture_seal(&capture);
	if (machine_decode(&arena, &capture, &machine, &err) < 0)
		fail_msg("%s", err.msg);
	check_machine(machine);
}

/* Two root complexes, a switch under the first with a GPU and a NIC with a VF. */
static int make_host(void **state)
{
	(void)state;
	put_device(&capture, A_ROOT, "8086:352a 060400");
	put_device(&capture, A_UP, "104c:8232 060400");
	put_device(&capture, A_DOWN, "104c:8233 060400");
	put_device(&capture, A_DOWN2, "104c:8233 060400");
	put_device(&capture, A_GPU, "10de:2330 030200");
	put(&capture, A_GPU, "numa_node", "0\n");
	put(&capture, A_GPU, "max_link_speed", "32.0 GT/s PCIe\n");
	put(&capture, A_GPU, "max_link_width", "16\n");
	put(&capture, A_GPU, "current_link_speed", "Unknown\n");
	put(&capture, A_GPU, "current_link_width", "255\n");
	put(&capture, A_GPU, "driver_override", "(null)\n");
	put(&capture, A_GPU, "reset_method", "flr bus\n");
	put_link(&capture, A_GPU, "iommu_group", "../../../../../../kernel/iommu_groups/17");
	put_link(&capture, A_DOWN, "iommu_group", "../../../../../kernel/iommu_groups/17");
	put(&capture, "sys/kernel/iommu_groups/17", "type", "DMA-FQ\n");
	put_device(&capture, A_NIC, "15b3:1021 020700");
	put(&capture, A_NIC, "sriov_totalvfs", "8\n");
	put(&capture, A_NIC, "sriov_numvfs", "1\n");
	put_link(&capture, A_NIC, "driver", "../../../../../../bus/pci/drivers/mlx5_core");
	put(&capture, A_NIC, "numa_node", "0\n");
	put_device(&capture, A_VF, "15b3:101e 020700");
	put_link(&capture, A_VF, "physfn", "../0000:24:00.0");
	put(&capture, A_VF, "numa_node", "-1\n");
	put_device(&capture, B_ROOT, "8086:352a 060400");
	put_device(&capture, B_BRIDGE, "1a03:1150 060400");
	put_device(&capture, B_BRIDGE "/0000:82:00.0", "1a03:2000 030000");
	put(&capture, B_BRIDGE "/0000:82:00.0", "numa_node", "1\n");
	return 0;
}

static void finds_the_tree(void **state)
{
	int gpu, nic;

	(void)state;
	decode();
	assert_string_equal(machine->source, "sysfs");
	assert_int_equal(machine->device_count, 10);
	assert_int_equal(machine->root_count, 2);
	assert_int_equal(machine->roots[0].bus, 0x20);
	assert_int_equal(machine->roots[0].numa, 0);
	assert_int_equal(machine->roots[1].bus, 0x80);
	assert_int_equal(machine->roots[1].numa, 1);
	gpu = index_at(machine, "0000:23:00.0");
	nic = index_at(machine, "0000:24:00.0");
	assert_int_equal(machine->devices[gpu].depth, 3);
	assert_int_equal(machine->devices[gpu].parent, index_at(machine, "0000:22:00.0"));
	assert_true(machine_is_above(machine, index_at(machine, "0000:21:00.0"), gpu));
	assert_false(machine_is_above(machine, index_at(machine, "0000:22:01.0"), gpu));
	assert_int_equal(device_at(machine, "0000:21:00.0")->children.count, 2);
	assert_string_equal(machine->devices[nic].sysfs, A_NIC);
}

static void says_what_each_function_is(void **state)
{
	static const struct {
		const char *address;
		enum machine_kind kind;
		int type;
	} expected[] = {
		{ "0000:20:00.0", MACHINE_ROOT_PORT, PCI_ROOT_PORT },
		{ "0000:21:00.0", MACHINE_SWITCH_PORT, PCI_UPSTREAM_PORT },
		{ "0000:22:00.0", MACHINE_SWITCH_PORT, PCI_DOWNSTREAM_PORT },
		{ "0000:22:01.0", MACHINE_SWITCH_PORT, PCI_DOWNSTREAM_PORT },
		{ "0000:23:00.0", MACHINE_GPU, PCI_UNKNOWN },
		{ "0000:24:00.0", MACHINE_NIC, PCI_UNKNOWN },
		{ "0000:80:01.0", MACHINE_ROOT_PORT, PCI_ROOT_PORT },
		{ "0000:81:00.0", MACHINE_BRIDGE, PCI_EXPRESS_TO_PCI },
		{ "0000:82:00.0", MACHINE_OTHER, PCI_UNKNOWN },
	};
	size_t i;

	(void)state;
	decode();
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		const struct machine_device *device = device_at(machine, expected[i].address);

		assert_int_equal(device->kind, expected[i].kind);
		assert_int_equal(device->express.type, expected[i].type);
		assert_int_equal(device->is_port_deduced, expected[i].type != PCI_UNKNOWN);
	}
}

static void reads_what_sysfs_says_of_a_function(void **state)
{
	const struct machine_device *gpu, *nic;

	(void)state;
	decode();
	gpu = device_at(machine, "0000:23:00.0");
	nic = device_at(machine, "0000:24:00.0");
	assert_int_equal(gpu->vendor, 0x10de);
	assert_int_equal(gpu->device, 0x2330);
	assert_int_equal(gpu->class_code, 0x030200);
	assert_int_equal(gpu->class_bits, 24);
	assert_int_equal(gpu->express.present, PCI_YES);
	assert_int_equal(gpu->express.link.max_speed, 32000);
	assert_int_equal(gpu->express.link.max_width, 16);
	assert_int_equal(gpu->express.link.speed, PCI_UNKNOWN);
	assert_int_equal(gpu->express.link.width, PCI_UNKNOWN);
	assert_null(gpu->driver);
	assert_null(gpu->driver_override);
	assert_int_equal(gpu->driver_known, PCI_YES);
	assert_string_equal(gpu->reset_method, "flr bus");
	assert_null(nic->reset_method);
	assert_string_equal(nic->driver, "mlx5_core");
	assert_int_equal(gpu->numa, 0);
	assert_int_equal(gpu->acs.present, PCI_UNKNOWN);
	assert_int_equal(gpu->bars_known, PCI_UNKNOWN);
}

static void knows_a_vf_by_its_pf(void **state)
{
	const struct machine_device *nic, *vf;

	(void)state;
	decode();
	nic = device_at(machine, "0000:24:00.0");
	vf = device_at(machine, "0000:24:10.1");
	assert_int_equal(nic->sriov.present, PCI_YES);
	assert_int_equal(nic->sriov.total, 8);
	assert_int_equal(nic->sriov.num, 1);
	assert_int_equal(nic->is_virtfn, PCI_NO);
	assert_int_equal(nic->virtfns.count, 1);
	assert_int_equal(vf->is_virtfn, PCI_YES);
	assert_int_equal(vf->physfn, index_at(machine, "0000:24:00.0"));
	assert_int_equal(vf->numa, PCI_UNKNOWN);
}

static void groups_are_the_kernels(void **state)
{
	(void)state;
	decode();
	assert_int_equal(machine->groups_known, PCI_YES);
	assert_int_equal(machine->group_count, 1);
	assert_int_equal(machine->groups[0].id, 17);
	assert_string_equal(machine->groups[0].type, "DMA-FQ");
	assert_int_equal(machine->groups[0].members.count, 2);
	assert_int_equal(device_at(machine, "0000:24:00.0")->group, MACHINE_NONE);
	assert_int_equal(machine->limits.has_iommu, PCI_YES);
}

static void what_nobody_looked_for_is_unknown(void **state)
{
	(void)state;
	put_device(&capture, "sys/devices/pci0000:00/0000:00:01.0", "10de:2330 030200");
	decode();
	assert_int_equal(machine->groups_known, PCI_UNKNOWN);
	assert_int_equal(machine->limits.has_iommu, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].driver_known, PCI_UNKNOWN);
	assert_null(machine->devices[0].reset_method);
	assert_int_equal(machine->devices[0].is_virtfn, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].numa, PCI_UNKNOWN);
	assert_int_equal(machine->core_count, PCI_UNKNOWN);
	assert_int_equal(machine->limits.phys_bits, PCI_UNKNOWN);
	assert_int_equal(machine->limits.has_acs_override, PCI_UNKNOWN);
}

static void what_a_whole_capture_lacks_is_not_there(void **state)
{
	(void)state;
	put_device(&capture, "sys/devices/pci0000:00/0000:00:01.0", "10de:2330 030200");
	put(&capture, "", MACHINE_CAPTURE_MARK, "1\n");
	decode();
	assert_int_equal(machine->groups_known, PCI_YES);
	assert_int_equal(machine->limits.has_iommu, PCI_NO);
	assert_int_equal(machine->devices[0].driver_known, PCI_YES);
	assert_string_equal(machine->devices[0].reset_method, "");
	assert_int_equal(machine->devices[0].is_virtfn, PCI_NO);
}

/* A bridge's configuration space as an ordinary user sees it. */
static void put_config(const char *dir, uint8_t secondary, uint8_t subordinate)
{
	char path[512];
	uint8_t at[64] = { 0x86, 0x80, 0x2a, 0x35 };

	at[0x0a] = 0x04;
	at[0x0b] = 0x06;
	at[0x0e] = 1;
	at[0x19] = secondary;
	at[0x1a] = subordinate;
	(void)snprintf(path, sizeof(path), "%s/config", dir);
	assert_int_equal(machine_capture_add(&capture, path, MACHINE_CAPTURE_FILE,
					     (struct bytes){ at, sizeof(at) }, NULL),
			 0);
}

static void bus_numbers_tell_where_paths_do_not(void **state)
{
	(void)state;
	put_device(&capture, "sys/bus/pci/devices/0000:00:01.0", "8086:352a 060400");
	put_config("sys/bus/pci/devices/0000:00:01.0", 1, 2);
	put_device(&capture, "sys/bus/pci/devices/0000:01:00.0", "104c:8232 060400");
	put_config("sys/bus/pci/devices/0000:01:00.0", 2, 2);
	put_device(&capture, "sys/bus/pci/devices/0000:02:00.0", "10de:2330 030200");
	/* a bridge that was never set up claims nothing */
	put_device(&capture, "sys/bus/pci/devices/0000:00:02.0", "8086:352b 060400");
	put_config("sys/bus/pci/devices/0000:00:02.0", 0, 0);
	put_device(&capture, "sys/bus/pci/devices/0001:02:00.0", "10de:2330 030200");
	decode();
	assert_int_equal(device_at(machine, "0000:02:00.0")->parent,
			 index_at(machine, "0000:01:00.0"));
	assert_int_equal(device_at(machine, "0000:02:00.0")->depth, 2);
	assert_int_equal(device_at(machine, "0000:00:02.0")->parent, MACHINE_NONE);
	assert_int_equal(device_at(machine, "0001:02:00.0")->parent, MACHINE_NONE);
	assert_int_equal(machine->root_count, 2);
}

static void the_bus_link_settles_which_directory_is_meant(void **state)
{
	(void)state;
	put_device(&capture, "sys/devices/pci0000:00/0000:00:01.0", "8086:352a 060400");
	put_device(&capture, "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0",
		   "10de:2330 030200");
	put_device(&capture, "sys/devices/pci0000:40/0000:40:01.0", "8086:352a 060400");
	put_device(&capture, "sys/devices/pci0000:40/0000:40:01.0/0000:01:00.0",
		   "10de:2330 030200");
	put_link(&capture, "sys/bus/pci/devices", "0000:01:00.0",
		 "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0");
	decode();
	assert_int_equal(machine->device_count, 3);
	assert_int_equal(device_at(machine, "0000:01:00.0")->parent,
			 index_at(machine, "0000:00:01.0"));
}

static void bridges_below_themselves_are_refused(void **state)
{
	struct err err = { 0 };

	(void)state;
	put_device(&capture, "sys/devices/0000:00:01.0/0000:00:02.0", "8086:352a 060400");
	put_device(&capture, "sys/devices/0000:00:02.0/0000:00:01.0", "8086:352a 060400");
	machine_capture_seal(&capture);
	assert_int_equal(machine_decode(&arena, &capture, &machine, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
}

static void so_many_bridges_above_one_another(void **state)
{
	char dir[1024] = "sys/devices/pci0000:00";
	struct err err = { 0 };
	size_t len = strlen(dir);
	int i;

	(void)state;
	for (i = 0; i <= MACHINE_DEPTH_MAX; i++) {
		len += (size_t)snprintf(dir + len, sizeof(dir) - len, "/0000:%02x:00.0", i);
		put_device(&capture, dir, "8086:352a 060400");
	}
	decode();
	assert_int_equal(device_at(machine, "0000:40:00.0")->depth, MACHINE_DEPTH_MAX);
	(void)snprintf(dir + len, sizeof(dir) - len, "/0000:%02x:00.0", i);
	put_device(&capture, dir, "8086:352a 060400");
	machine_capture_seal(&capture);
	assert_int_equal(machine_decode(&arena, &capture, &machine, &err), -EINVAL);
}

static void so_many_functions(void **state)
{
	struct err err = { 0 };
	char dir[64];
	int i;

	(void)state;
	for (i = 0; i <= MACHINE_DEVICES_MAX; i++) {
		if (i == MACHINE_DEVICES_MAX)
			decode();
		(void)snprintf(dir, sizeof(dir), "sys/devices/pci%04x:00/%04x:%02x:%02x.%x",
			       i >> 12, i >> 12, i >> 8 & 15, i >> 3 & 31, i & 7);
		put(&capture, dir, "vendor", "0x8086\n");
	}
	assert_int_equal(machine->device_count, MACHINE_DEVICES_MAX);
	machine_capture_seal(&capture);
	assert_int_equal(machine_decode(&arena, &capture, &machine, &err), -E2BIG);
}

static void kinds_go_by_class_and_a_few_ids(void **state)
{
	static const struct {
		const char *ids;
		enum machine_kind kind;
	} expected[] = {
		{ "1af4:1050 038000", MACHINE_GPU },	{ "1002:74a1 120000", MACHINE_GPU },
		{ "1bcf:001c 0b4000", MACHINE_GPU },	{ "8086:225c 0b4000", MACHINE_GPU },
		{ "8086:37c8 0b4000", MACHINE_OTHER },	{ "1a03:2000 030000", MACHINE_OTHER },
		{ "1234:1111 030000", MACHINE_OTHER },	{ "10de:22a3 068000", MACHINE_NVSWITCH },
		{ "8086:a123 068000", MACHINE_OTHER },	{ "15b3:1021 020700", MACHINE_NIC },
		{ "144d:a80a 010802", MACHINE_NVME },	{ "144d:a80a 010801", MACHINE_OTHER },
		{ "10de:22ba 040300", MACHINE_OTHER },	{ "8086:0998 060000", MACHINE_OTHER },
		{ "8086:244e 060401", MACHINE_BRIDGE }, { "8086:352a 060400", MACHINE_ROOT_PORT },
		{ "1180:0476 060700", MACHINE_BRIDGE },
	};
	char dir[64];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		(void)snprintf(dir, sizeof(dir), "sys/devices/pci0000:00/0000:00:%02zx.0", i);
		put_device(&capture, dir, expected[i].ids);
	}
	decode();
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(machine->devices[i].kind, expected[i].kind);
	assert_string_equal(machine_kind_name(MACHINE_SWITCH_PORT), "switch-port");
}

static void registers_fill_in_what_the_kernels_ranges_leave_out(void **state)
{
	static const char dir[] = "sys/devices/pci0000:00/0000:00:01.0";
	const struct machine_device *device;
	uint8_t at[64] = { 0xde, 0x10, 0x30, 0x23 };
	char text[1024] = "";
	int i;

	(void)state;
	at[0x13] = 0x90; /* BAR 0, 32 bits */
	at[0x1b] = 0xa0; /* BAR 2, of which the ranges know nothing */
	put(&capture, dir, "vendor", "0x10de\n");
	assert_int_equal(machine_capture_add(&capture, "sys/devices/pci0000:00/0000:00:01.0/config",
					     MACHINE_CAPTURE_FILE, (struct bytes){ at, sizeof(at) },
					     NULL),
			 0);
	(void)snprintf(text, sizeof(text), "0x90000000 0x90ffffff 0x40200\n");
	for (i = 0; i < 12; i++)
		strncpy(text + strlen(text), "0x0 0x0 0x0\n", sizeof(text) - strlen(text) - 1);
	put(&capture, dir, "resource", text);
	decode();
	device = &machine->devices[0];
	assert_int_equal(device->device, 0x2330);
	assert_int_equal(device->bars[0].size, 16 << 20);
	assert_int_equal(device->bars[2].index, 2);
	assert_int_equal(device->bars[2].size, PCI_UNKNOWN);
	assert_int_equal(device->bars_known, PCI_UNKNOWN);
	assert_int_equal(device->rom_size, 0);
}

static void put_cpus(void)
{
	static const char dir[] = "sys/devices/system/cpu";
	char path[64], text[16];
	int i;

	put(&capture, dir, "present", "0-7\n");
	put(&capture, dir, "online", "0-6\n");
	for (i = 0; i < 7; i++) {
		(void)snprintf(path, sizeof(path), "%s/cpu%d/topology", dir, i);
		(void)snprintf(text, sizeof(text), "%d\n", i / 4);
		put(&capture, path, "physical_package_id", text);
		(void)snprintf(text, sizeof(text), "%d\n", i % 4 / 2);
		put(&capture, path, "core_id", text);
	}
}

static void counts_cpus_cores_and_packages(void **state)
{
	static const char dir[] = "sys/devices/system/node";

	(void)state;
	put_cpus();
	put(&capture, dir, "node0/cpulist", "0-3\n");
	put(&capture, dir, "node0/distance", "10 20 30\n");
	put(&capture, dir, "node0/meminfo",
	    "Node 0 MemTotal:       131072 kB\nNode 0 MemFree: 1 kB\n");
	put(&capture, dir, "node2/cpulist", "4,5-7\n");
	put(&capture, dir, "node2/distance", "20 10 30\n");
	put(&capture, dir, "node10/cpulist", "\n");
	decode();
	assert_int_equal(machine->cpu_count, 8);
	assert_int_equal(machine->core_count, 4);
	assert_int_equal(machine->package_count, 2);
	assert_int_equal(machine->cpus[0].core, machine->cpus[1].core);
	assert_int_not_equal(machine->cpus[0].core, machine->cpus[4].core);
	assert_int_equal(machine->cpus[7].is_online, PCI_NO);
	assert_int_equal(machine->cpus[7].core, PCI_UNKNOWN);
	assert_int_equal(machine->node_count, 3);
	assert_int_equal(machine->nodes[1].id, 2);
	assert_int_equal(machine->nodes[1].cpus.count, 4);
	assert_int_equal(machine->nodes[2].id, 10);
	assert_int_equal(machine->nodes[2].cpus.count, 0);
	assert_true(machine->nodes[0].memory_bytes == 128 << 20);
	assert_true(machine->nodes[1].memory_bytes == PCI_UNKNOWN);
	assert_int_equal(machine->nodes[0].distances[2], 30);
	assert_null(machine->nodes[2].distances);
	assert_int_equal(machine_find_node(machine, 10), 2);
	assert_int_equal(machine_find_node(machine, 1), MACHINE_NONE);
}

static void cores_of_two_dies_are_two(void **state)
{
	static const char dir[] = "sys/devices/system/cpu";
	char path[64];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/cpu%d/topology", dir, i);
		put(&capture, path, "physical_package_id", "0\n");
		put(&capture, path, "die_id", i ? "1\n" : "0\n");
		put(&capture, path, "core_id", "0\n");
	}
	decode();
	assert_int_equal(machine->cpu_count, 2);
	assert_int_equal(machine->core_count, 2);
	assert_int_equal(machine->package_count, 1);
	assert_int_equal(machine->cpus[0].is_online, PCI_UNKNOWN);
}

static void distances_to_other_than_the_nodes_are_none(void **state)
{
	static const char dir[] = "sys/devices/system/node";

	(void)state;
	put_cpus();
	put(&capture, dir, "node0/distance", "10 20 30\n");
	put(&capture, dir, "node1/distance", "20 10\n");
	decode();
	assert_null(machine->nodes[0].distances);
	assert_int_equal(machine->nodes[1].distances[0], 20);
}

static void reads_the_limits(void **state)
{
	const struct machine_limits *limits;

	(void)state;
	put_cpus();
	put(&capture, "proc", "cpuinfo",
	    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9654\n"
	    "flags\t\t: fpu svm npt\naddress sizes\t: 52 bits physical, 57 bits virtual\n\n"
	    "processor\t: 1\nmodel name\t: another\n");
	put(&capture, "proc", "cmdline", "quiet pcie_acs_override=downstream ro\n");
	put(&capture, "proc", "version", "Linux version 6.12.95-amd64 (x@y) #1 SMP\n");
	put(&capture, "proc", "meminfo", "MemTotal:        1024 kB\n");
	put_link(&capture, "sys/class/iommu", "ivhd0", "../../devices/virtual/iommu/ivhd0");
	put(&capture, "sys/module/vfio_iommu_type1/parameters", "allow_unsafe_interrupts", "N\n");
	decode();
	limits = &machine->limits;
	assert_string_equal(limits->cpu_vendor, "AuthenticAMD");
	assert_string_equal(limits->cpu_model, "AMD EPYC 9654");
	assert_int_equal(limits->has_svm, PCI_YES);
	assert_int_equal(limits->has_vmx, PCI_NO);
	assert_int_equal(limits->phys_bits, 52);
	assert_int_equal(limits->virt_bits, 57);
	assert_string_equal(limits->kernel, "6.12.95-amd64");
	assert_int_equal(limits->has_acs_override, PCI_YES);
	assert_true(limits->memory_bytes == 1 << 20);
	assert_int_equal(limits->has_iommu, PCI_YES);
	assert_string_equal(limits->iommu, "amd");
	assert_int_equal(limits->unsafe_interrupts, PCI_NO);
}

static void nonsense_in_a_file_is_unknown(void **state)
{
	static const char dir[] = "sys/devices/pci0000:00/0000:00:01.0";

	(void)state;
	put(&capture, dir, "vendor", "0x10de10de\n");
	put(&capture, dir, "device", "\n");
	put(&capture, dir, "class", "0x\n");
	put(&capture, dir, "numa_node", "zero\n");
	put(&capture, dir, "sriov_totalvfs", "-4\n");
	put(&capture, dir, "config", "short");
	put(&capture, dir, "resource", "0x0\n");
	put(&capture, "sys/devices/system/cpu", "present", "3-1\n");
	put(&capture, "sys/devices/system/node/node0", "cpulist", "0-99999\n");
	put(&capture, "sys/devices/system/node/node99999", "cpulist", "0\n");
	decode();
	assert_int_equal(machine->devices[0].vendor, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].device, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].class_code, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].numa, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].sriov.total, PCI_UNKNOWN);
	assert_int_equal(machine->devices[0].kind, MACHINE_OTHER);
	assert_int_equal(machine->cpu_count, 0);
	assert_int_equal(machine->node_count, 1);
}

static void names_come_from_the_list_of_ids(void **state)
{
	static const char ids[] = "# a comment\n\n"
				  "10de  NVIDIA Corporation\n"
				  "\t2330  GH100 [H100 SXM5 80GB]\n"
				  "\t\t10de 16c1  a subsystem\n"
				  "15b3  Mellanox Technologies\n"
				  "\t1021  MT2910 Family\n"
				  "C 03  Display controller\n"
				  "\t8232  not a device\n";

	(void)state;
	decode();
	assert_int_equal(machine_name(&arena, machine, text_bytes(ids)), 0);
	assert_string_equal(device_at(machine, "0000:23:00.0")->name,
			    "NVIDIA Corporation GH100 [H100 SXM5 80GB]");
	assert_string_equal(device_at(machine, "0000:24:00.0")->name,
			    "Mellanox Technologies MT2910 Family");
	assert_null(device_at(machine, "0000:21:00.0")->name);
	assert_null(device_at(machine, "0000:24:10.1")->name);
}

static void what_is_no_host_is_refused(void **state)
{
	static const struct {
		const char *text;
		int num;
	} texts[] = {
		{ "", -EINVAL },
		{ "hello", -EINVAL },
		{ "<?xml version=\"1.0\"?><system version=\"1\">", -EOPNOTSUPP },
		{ "00:00.0 Host bridge: X\n", -EOPNOTSUPP },
		{ "P: /devices/x\nE: A=b\n", -EOPNOTSUPP },
	};
	struct err err = { 0 };
	size_t i;

	(void)state;
	put(&capture, "proc", "meminfo", "MemTotal: 1 kB\n");
	machine_capture_seal(&capture);
	assert_int_equal(machine_decode(&arena, &capture, &machine, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(
			machine_capture_set_text(&capture, text_bytes(texts[i].text), NULL), 0);
		assert_int_equal(machine_decode(&arena, &capture, &machine, &err), texts[i].num);
	}
}

#define HOST_TEST(fn) cmocka_unit_test_setup_teardown(fn, make_host, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(finds_the_tree),
		HOST_TEST(says_what_each_function_is),
		HOST_TEST(reads_what_sysfs_says_of_a_function),
		HOST_TEST(knows_a_vf_by_its_pf),
		HOST_TEST(groups_are_the_kernels),
		HOST_TEST(names_come_from_the_list_of_ids),
		cmocka_unit_test_teardown(what_nobody_looked_for_is_unknown, done),
		cmocka_unit_test_teardown(what_a_whole_capture_lacks_is_not_there, done),
		cmocka_unit_test_teardown(bus_numbers_tell_where_paths_do_not, done),
		cmocka_unit_test_teardown(the_bus_link_settles_which_directory_is_meant, done),
		cmocka_unit_test_teardown(bridges_below_themselves_are_refused, done),
		cmocka_unit_test_teardown(so_many_bridges_above_one_another, done),
		cmocka_unit_test_teardown(so_many_functions, done),
		cmocka_unit_test_teardown(kinds_go_by_class_and_a_few_ids, done),
		cmocka_unit_test_teardown(registers_fill_in_what_the_kernels_ranges_leave_out,
					  done),
		cmocka_unit_test_teardown(counts_cpus_cores_and_packages, done),
		cmocka_unit_test_teardown(cores_of_two_dies_are_two, done),
		cmocka_unit_test_teardown(distances_to_other_than_the_nodes_are_none, done),
		cmocka_unit_test_teardown(reads_the_limits, done),
		cmocka_unit_test_teardown(nonsense_in_a_file_is_unknown, done),
		cmocka_unit_test_teardown(what_is_no_host_is_refused, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
