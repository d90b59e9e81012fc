// SPDX-License-Identifier: Apache-2.0
/*
 * Machines that others recorded: files that lie beside the repository, not in it. Where they are
 * not there, these tests are skipped.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../machine/fixture.h"
#include "capture/capture.h"
#include "sys/file.h"

enum { ANY = -1 };

static int recorded_fd = -1;

static struct loaded {
	struct machine_capture capture;
	struct arena arena;
	struct machine *machine;
} loaded, other;

static int open_recorded(void **state)
{
	const char *set = getenv("CASEMATE_CAPTURES"), *data = getenv("TEST_DATA");
	char path[4096];

	(void)state;
	if (set)
		(void)snprintf(path, sizeof(path), "%s", set);
	else
		(void)snprintf(path, sizeof(path), "%s/../../../shared/captures",
			       data ? data : ".");
	if (file_open_dir(AT_FDCWD, path, &recorded_fd, NULL) < 0)
		(void)printf("skipped: there are no captures in '%s'\n", path);
	return 0;
}

static void unload(struct loaded *at)
{
	machine_capture_done(&at->capture);
	arena_done(&at->arena);
}

static int done(void **state)
{
	(void)state;
	unload(&loaded);
	unload(&other);
	return 0;
}

static void load(const char *path, struct loaded *ret)
{
	struct err err = { 0 };

	unload(ret);
	if (capture_read_path(recorded_fd, path, &ret->capture, &err) < 0 ||
	    machine_decode(&ret->arena, &ret->capture, &ret->machine, &err) < 0)
		fail_msg("%s: %s", path, err.msg);
	check_machine(ret->machine);
}

#define HWLOC(dir, file) "hwloc-" dir "/" file

/* What those who recorded them say is in them; ANY where they do not say, or not exactly. */
static const struct {
	const char *path;
	int gpus, nics, nvswitches, nodes, cpus;
} expected[] = {
	{ HWLOC("nvidia-dgx2-16v100", "nvidiaDGX2.xml"), 16, 0, 11, 2, 4 },
	{ HWLOC("flux-corona-rsmi", "rsmi_corona240.xml"), 8, 3, 0, 2, 96 },
	{ HWLOC("llnl-epyc-corona-p2", "epyc-corona-p2.xml"), 8, 3, 0, 2, 96 },
	{ HWLOC("flux-chimera", "chimera.xml"), 2, ANY, 0, 4, 64 },
	{ HWLOC("gigabyte-epyc7451-mi50-lyra4", "test-topo2.xml"), 1, 2, 0, 4, 48 },
	{ HWLOC("llnl-coral-butte-hwloc1", "coral-butte-hwloc1.xml"), 4, 6, 0, 6, 176 },
	{ HWLOC("llnl-coral-ea-hwloc1", "coral-ea-hwloc1.xml"), 4, 4, 0, 2, 160 },
	{ HWLOC("llnl-coral-lassen", "coral-lassen.xml"), 4, 6, 0, 2, 160 },
	{ HWLOC("llnl-coral-rzansel-hwloc1", "coral-rzansel-hwloc1.xml"), 4, 6, 0, 6, 176 },
	{ HWLOC("llnl-cts1-pascal", "cts1-pascal.xml"), 2, 3, 0, 2, 72 },
	{ HWLOC("power8-gpus", "power8gpudistances.xml"), 4, 0, 0, 2, 16 },
	{ HWLOC("purley-dcpmm", "topo.xml"), ANY, 5, 0, 7, 64 },
	{ HWLOC("azure-hbv4-vm", "test-topo.xml"), 0, 2, 0, 4, 176 },
	{ HWLOC("96em64t-4n4d3ca2co-pci", "96em64t-4n4d3ca2co-pci.xml"), 1, 8, 0, 4, 96 },
	{ HWLOC("40intel64-2g2n4c+pcilocality", "40intel64-2g2n4c+pcilocality.xml"), 0, 4, 0, 4,
	  40 },
	{ HWLOC("fakepcilocalities-SYNTHETIC", "fakepcilocalities.xml"), 0, 4, 0, 4, 40 },
	{ HWLOC("32em64t-2n8c+dax+nvme+mic+dimms", "32em64t-2n8c+dax+nvme+mic+dimms.xml"), ANY, 3,
	  0, 2, 16 },
	{ HWLOC("dgx-gb10", "nvidia-dgx-gb10.xml"), 0, 0, 0, 1, 20 },
	{ HWLOC("dgx-gb10", "nvidia-dgx-gb10.tar.bz2"), 0, 0, 0, 1, 20 },
	{ HWLOC("32intel64-2p8co2t+8ve", "32intel64-2p8co2t+8ve.tar.bz2"), 8, ANY, 0, 2, 32 },
	{ HWLOC("40intel64-2g2n4c+pcilocality", "40intel64-2g2n4c+pcilocality.tar.bz2"), 0, 4, 0, 4,
	  40 },
	{ HWLOC("fakepcilocalities-SYNTHETIC", "fakepcilocalities.tar.bz2"), 0, 4, 0, 4, 40 },
	{ HWLOC("32em64t-2n8c+dax+nvme+mic+dimms", "32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2"), ANY,
	  3, 0, 2, 16 },
	{ "ghw-snapshot-accel/linux-amd64-accel.tar.gz", ANY, ANY, 0, 1, 2 },
	{ "ghw-snapshot-accel-nvidia/linux-amd64-accel-nvidia.tar.gz", 2, ANY, 0, 1, 8 },
	{ "ghw-snapshot-415ee03b8c4d1c4f07ae2e9d8b3d3d6d/"
	  "linux-amd64-415ee03b8c4d1c4f07ae2e9d8b3d3d6d.tar.gz",
	  ANY, ANY, 0, 1, 16 },
	{ "ghw-snapshot-8581cf3a529e5d8b97ea876eade2f60d/"
	  "linux-amd64-8581cf3a529e5d8b97ea876eade2f60d.tar.gz",
	  ANY, ANY, 0, 2, 24 },
};

static void expect_count(const char *path, const char *what, int want, size_t have)
{
	if (want != ANY && (size_t)want != have)
		fail_msg("%s: %zu %s, not %d", path, have, what, want);
}

static void every_machine_has_what_its_recorder_says(void **state)
{
	size_t i;

	(void)state;
	if (recorded_fd < 0)
		skip();
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		const char *path = expected[i].path;

		load(path, &loaded);
		expect_count(path, "GPUs", expected[i].gpus,
			     count_kind(loaded.machine, MACHINE_GPU));
		expect_count(path, "NICs", expected[i].nics,
			     count_kind(loaded.machine, MACHINE_NIC));
		expect_count(path, "NVSwitches", expected[i].nvswitches,
			     count_kind(loaded.machine, MACHINE_NVSWITCH));
		expect_count(path, "nodes", expected[i].nodes, loaded.machine->node_count);
		expect_count(path, "CPUs", expected[i].cpus, loaded.machine->cpu_count);
	}
}

static struct pci_address parent_address(const struct machine *machine, int index)
{
	int parent = machine->devices[index].parent;

	return parent == MACHINE_NONE ? (struct pci_address){ 0 }
				      : machine->devices[parent].address;
}

/* hwloc read the same files: what it made of them is an opinion of somebody else's. */
static void hwloc_sees_the_same_tree(void **state)
{
	static const char *const both[] = {
		HWLOC("32em64t-2n8c+dax+nvme+mic+dimms", "32em64t-2n8c+dax+nvme+mic+dimms"),
		HWLOC("40intel64-2g2n4c+pcilocality", "40intel64-2g2n4c+pcilocality"),
	};
	char path[256];
	size_t i, j;

	(void)state;
	if (recorded_fd < 0)
		skip();
	for (i = 0; i < ARRAY_SIZE(both); i++) {
		(void)snprintf(path, sizeof(path), "%s.tar.bz2", both[i]);
		load(path, &loaded);
		(void)snprintf(path, sizeof(path), "%s.xml", both[i]);
		load(path, &other);
		assert_true(other.machine->device_count > 30);
		assert_int_equal(other.machine->core_count, loaded.machine->core_count);
		for (j = 0; j < other.machine->device_count; j++) {
			const struct machine_device *hwlocs = &other.machine->devices[j], *ours;
			int index = machine_find(loaded.machine, hwlocs->address);

			assert_int_not_equal(index, MACHINE_NONE);
			ours = &loaded.machine->devices[index];
			assert_int_equal(pci_address_cmp(parent_address(other.machine, (int)j),
							 parent_address(loaded.machine, index)),
					 0);
			assert_int_equal(hwlocs->vendor, ours->vendor);
			assert_int_equal(hwlocs->device, ours->device);
			assert_int_equal(hwlocs->class_code, ours->class_code);
		}
	}
}

static void bus_numbers_agree_with_the_tree(void **state)
{
	size_t i, j;

	(void)state;
	if (recorded_fd < 0)
		skip();
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		load(expected[i].path, &loaded);
		for (j = 0; j < loaded.machine->device_count; j++) {
			const struct machine_device *device = &loaded.machine->devices[j];
			const struct pci_bridge *above;

			if (device->parent == MACHINE_NONE)
				continue;
			above = &loaded.machine->devices[device->parent].bridge;
			/* one capture was made by moving directories about, by its name */
			if (above->secondary < 0 || strstr(expected[i].path, "SYNTHETIC"))
				continue;
			assert_int_equal(above->secondary, device->address.bus);
		}
	}
}

/* A machine and its name are not enough: the tree must have the switches it is known for. */
static void the_dgx2_has_its_planes(void **state)
{
	const struct machine *machine;
	size_t i;

	(void)state;
	if (recorded_fd < 0)
		skip();
	load(HWLOC("nvidia-dgx2-16v100", "nvidiaDGX2.xml"), &loaded);
	machine = loaded.machine;
	assert_int_equal(machine->root_count, 4);
	for (i = 0; i < machine->device_count; i++) {
		if (machine->devices[i].kind != MACHINE_GPU)
			continue;
		/* root port, and two switches of an upstream and a downstream port */
		assert_int_equal(machine->devices[i].depth, 5);
		assert_true(machine->devices[i].link_mbps == 15753);
	}
	assert_int_equal(machine->nodes[0].distances[1], 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_machine_has_what_its_recorder_says, done),
		cmocka_unit_test_teardown(hwloc_sees_the_same_tree, done),
		cmocka_unit_test_teardown(bus_numbers_agree_with_the_tree, done),
		cmocka_unit_test_teardown(the_dgx2_has_its_planes, done),
	};

	return cmocka_run_group_tests(tests, open_recorded, NULL);
}
