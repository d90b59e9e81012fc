// SPDX-License-Identifier: Apache-2.0
#include "sysfs.h"

#include <errno.h>

#define ADDRESS "0000:01:00.0"
#define HERE PORT "/" ADDRESS

static struct device device;
static struct err err;

static const Agent__Device *model(uint32_t vendor, uint32_t id, uint32_t class_code)
{
	static Agent__Device one;

	agent__device__init(&one);
	one.vendor = vendor;
	one.device = id;
	one.class_code = class_code;
	return &one;
}

static int find(void)
{
	memset(&device, 0, sizeof(device));
	(void)snprintf(device.address, sizeof(device.address), ADDRESS);
	err = (struct err){ 0 };
	return device_find(folder_fd, model(0x1af4, 0x1050, 0x038000), &device, &err);
}

static int set_up(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	sysfs_function(ADDRESS);
	return 0;
}

static void addresses_are_written_as_sysfs_does(void **state)
{
	static const char *const bad[] = {
		"",
		"01:00.0",
		"0000:01:00.8",
		"0000:01:20.0",
		"0000:01:00.0 ",
		"0000:01:00",
		"0000-01:00.0",
		"000g:01:00.0",
		"0000:0A:00.0",
		"00000:01:00.0",
		"10000:01:0.0",
		"../../../etc/",
		"0000:01:00.00",
		"0000:01:000.0",
	};

	(void)state;
	assert_true(device_address_is_valid("0000:01:00.0"));
	assert_true(device_address_is_valid("ffff:ff:1f.7"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(device_address_is_valid(bad[i]));
}

static void without_driver_it_is_its_memory(void **state)
{
	(void)state;
	assert_int_equal(find(), 0);
	assert_string_equal(device.path, HERE);
	assert_string_equal(device.driver, "");
	assert_int_equal(device.bars, 1 << 1 | 1 << 4);
	assert_int_equal(device.node_count + device.interface_count, 0);
}

static void another_model_is_refused(void **state)
{
	(void)state;
	assert_int_equal(find(), 0);
	assert_int_equal(device_find(folder_fd, model(0x1af5, 0x1050, 0x038000), &device, &err),
			 -EINVAL);
	assert_string_equal(err.msg, "device '0000:01:00.0': it is 1af4:1050 of class 038000, and "
				     "not 1af5:1050 of class 038000");
	assert_int_equal(device_find(folder_fd, model(0x1af4, 0x1051, 0x038000), &device, &err),
			 -EINVAL);
	assert_int_equal(device_find(folder_fd, model(0x1af4, 0x1050, 0x030000), &device, &err),
			 -EINVAL);
}

static void what_is_not_there_or_a_bridge_is_refused(void **state)
{
	uint8_t config[64] = { [0x0e] = 0x81 };

	(void)state;
	sysfs_put(HERE "/config", config, sizeof(config));
	assert_int_equal(find(), -EINVAL);
	assert_non_null(strstr(err.msg, "bridge"));
	/* many functions in one slot are no bridge */
	config[0x0e] = 0x80;
	sysfs_put(HERE "/config", config, sizeof(config));
	assert_int_equal(find(), 0);
	sysfs_put(HERE "/config", config, 0x0e);
	assert_int_equal(find(), -EINVAL);
	assert_int_equal(unlinkat(folder_fd, "bus/pci/devices/" ADDRESS, 0), 0);
	assert_int_equal(find(), -EINVAL);
	assert_string_equal(err.msg,
			    "device '0000:01:00.0': there is no such function in this guest");
	sysfs_link("/devices/elsewhere", "bus/pci/devices/" ADDRESS);
	assert_int_equal(find(), -EBADMSG);
}

static void a_bar_without_address_is_refused(void **state)
{
	(void)state;
	sysfs_text(HERE "/resource", "0x0000000000000000 0x00000000000fffff 0x000000002014220c\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
				     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	assert_int_equal(find(), -EINVAL);
	assert_non_null(strstr(err.msg, "BAR 0"));
	sysfs_text(HERE "/resource", "nonsense\n");
	assert_int_equal(find(), -EBADMSG);
}

/* The node of that name, which must be there. */
static const struct device_node *node(const char *name)
{
	for (size_t i = 0; i < device.node_count; i++)
		if (strcmp(device.nodes[i].name, name) == 0)
			return &device.nodes[i];
	fail_msg("no node '%s'", name);
	return NULL;
}

static void an_accelerators_nodes_are_found_below_it(void **state)
{
	(void)state;
	sysfs_driver(ADDRESS, "virtio-pci");
	sysfs_child(ADDRESS, "virtio5", "virtio", "MODALIAS=virtio:d00000010v00001AF4\n");
	sysfs_child(ADDRESS, "virtio5/drm/card0", "drm",
		    "MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\nDEVTYPE=drm_minor\n");
	sysfs_child(ADDRESS, "virtio5/drm/card0/card0-Virtual-1", "drm", "DEVTYPE=connector\n");
	sysfs_child(ADDRESS, "virtio5/drm/renderD128", "drm",
		    "MAJOR=226\nMINOR=128\nDEVNAME=dri/renderD128\nDEVTYPE=drm_minor\n");
	assert_int_equal(find(), 0);
	assert_string_equal(device.driver, "virtio-pci");
	assert_int_equal(device.node_count, 2);
	assert_int_equal(node("dri/card0")->major, 226);
	assert_int_equal(node("dri/renderD128")->minor, 128);
	assert_false(node("dri/card0")->is_block);
	/* what has a driver is not given by its memory too */
	assert_int_equal(device.bars, 0);
	/* and found again, it is the same */
	assert_int_equal(device_find(folder_fd, model(0x1af4, 0x1050, 0x038000), &device, &err), 0);
	assert_int_equal(device.node_count, 2);
}

static void disks_and_their_partitions_are_block_nodes(void **state)
{
	(void)state;
	sysfs_driver(ADDRESS, "nvme");
	sysfs_child(ADDRESS, "nvme/nvme0", "nvme", "MAJOR=240\nMINOR=0\nDEVNAME=nvme0\n");
	sysfs_child(ADDRESS, "nvme/nvme0/ng0n1", "nvme-generic",
		    "MAJOR=239\nMINOR=0\nDEVNAME=ng0n1\n");
	sysfs_child(ADDRESS, "nvme/nvme0/nvme0n1", "block",
		    "MAJOR=259\nMINOR=0\nDEVNAME=nvme0n1\nDEVTYPE=disk\nDISKSEQ=9\n");
	sysfs_child(ADDRESS, "nvme/nvme0/nvme0n1/nvme0n1p1", "block",
		    "MAJOR=259\nMINOR=1\nDEVNAME=nvme0n1p1\nDEVTYPE=partition\n");
	assert_int_equal(find(), 0);
	assert_int_equal(device.node_count, 4);
	assert_false(node("nvme0")->is_block);
	assert_true(node("nvme0n1")->is_block && node("nvme0n1")->is_disk);
	assert_true(node("nvme0n1p1")->is_block && !node("nvme0n1p1")->is_disk);
	assert_int_equal(node("nvme0n1p1")->minor, 1);
}

static void network_interfaces_are_found_by_name(void **state)
{
	(void)state;
	sysfs_driver(ADDRESS, "virtio-pci");
	sysfs_child(ADDRESS, "virtio2/net/eth0", "net", "INTERFACE=eth0\nIFINDEX=2\n");
	assert_int_equal(find(), 0);
	assert_int_equal(device.interface_count, 1);
	assert_string_equal(device.interfaces[0], "eth0");
	assert_int_equal(device.node_count, 0);
	for (int i = 1; i < DEVICE_INTERFACES_MAX; i++) {
		char where[64], event[64];

		(void)snprintf(where, sizeof(where), "virtio2/net/eth%d", i);
		(void)snprintf(event, sizeof(event), "INTERFACE=eth%d\n", i);
		sysfs_child(ADDRESS, where, "net", event);
	}
	assert_int_equal(find(), 0);
	assert_int_equal(device.interface_count, DEVICE_INTERFACES_MAX);
	sysfs_child(ADDRESS, "virtio2/net/more", "net", "INTERFACE=more\n");
	assert_int_equal(find(), -E2BIG);
}

static void more_nodes_than_the_limit_are_refused(void **state)
{
	char where[64], event[128];

	(void)state;
	sysfs_driver(ADDRESS, "many");
	for (int i = 0; i <= DEVICE_NODES_MAX; i++) {
		assert_int_equal(find(), 0);
		assert_int_equal(device.node_count, i);
		(void)snprintf(where, sizeof(where), "many/many%d", i);
		(void)snprintf(event, sizeof(event), "MAJOR=9\nMINOR=%d\nDEVNAME=many%d\n", i, i);
		sysfs_child(ADDRESS, where, "many", event);
	}
	assert_int_equal(find(), -E2BIG);
	assert_non_null(strstr(err.msg, "64 device nodes"));
}

static void a_tree_has_a_depth(void **state)
{
	char where[256] = "d";

	(void)state;
	sysfs_driver(ADDRESS, "deep");
	for (int depth = 1; depth < DEVICE_DEPTH_MAX; depth++)
		memcpy(where + 2 * depth - 1, "/d", 3);
	sysfs_child(ADDRESS, where, "deep", "MAJOR=9\nMINOR=1\nDEVNAME=deep\n");
	assert_int_equal(find(), 0);
	assert_int_equal(device.node_count, 1);
	memcpy(where + strlen(where), "/d", 3);
	sysfs_child(ADDRESS, where, "deep", "MAJOR=9\nMINOR=1\nDEVNAME=deep\n");
	assert_int_equal(find(), -E2BIG);
}

static void names_that_would_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = {
		"MAJOR=1\nMINOR=1\nDEVNAME=../etc/passwd\n",
		"MAJOR=1\nMINOR=1\nDEVNAME=/dev/x\n",
		"MAJOR=1\nMINOR=1\n",
		"MAJOR=x\nMINOR=1\nDEVNAME=x\n",
		"MAJOR=1\nDEVNAME=x\n",
		"MAJOR=1\nMINOR=1\nDEVNAME=a b\n",
		"MAJOR=1\nMINOR=1\nDEVNAME=0123456789012345678901234567890123456789\n",
	};

	(void)state;
	sysfs_driver(ADDRESS, "odd");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sysfs_child(ADDRESS, "odd", "odd", bad[i]);
		assert_int_equal(find(), -EBADMSG);
	}
	sysfs_child(ADDRESS, "odd", "odd",
		    "MAJOR=1\nMINOR=1\nDEVNAME=012345678901234567890123456789012345678\n");
	assert_int_equal(find(), 0);
	sysfs_child(ADDRESS, "odd", "net", "INTERFACE=a/b\n");
	assert_int_equal(find(), -EBADMSG);
	sysfs_child(ADDRESS, "odd", "net", "INTERFACE=0123456789012345\n");
	assert_int_equal(find(), -EBADMSG);
	sysfs_child(ADDRESS, "odd", "net", "INTERFACE=012345678901234\n");
	assert_int_equal(find(), 0);
}

static void expect_file(const char *path, size_t off, int want)
{
	int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)off), 1);
	assert_int_equal(byte, want);
	(void)close(fd);
}

static void it_masters_the_bus_from_enable_to_disable(void **state)
{
	(void)state;
	assert_int_equal(find(), 0);
	/* nothing was done, nothing is undone */
	device_disable(folder_fd, &device);
	expect_file(HERE "/config", 4, 0x02);
	sysfs_text(HERE "/enable", "1\n");
	device_disable(folder_fd, &device);
	expect_file(HERE "/enable", 0, '1');
	assert_int_equal(device_enable(folder_fd, &device, geteuid(), &err), 0);
	expect_file(HERE "/enable", 0, '1');
	expect_file(HERE "/config", 4, 0x06);
	expect_file(HERE "/config", 5, 0x05);
	device_disable(folder_fd, &device);
	expect_file(HERE "/enable", 0, '0');
	expect_file(HERE "/config", 4, 0x02);
	expect_file(HERE "/config", 5, 0x05);
}

static uid_t owner(const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(folder_fd, path, &st, 0), 0);
	return st.st_uid;
}

static void its_memory_is_the_users_meanwhile(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(find(), 0);
	assert_int_equal(device_enable(folder_fd, &device, 33, &err), 0);
	assert_int_equal(owner(HERE "/resource1"), 33);
	assert_int_equal(owner(HERE "/resource4"), 33);
	assert_int_equal(owner(HERE "/resource0"), 0);
	assert_int_equal(owner(HERE "/config"), 0);
	device_disable(folder_fd, &device);
	assert_int_equal(owner(HERE "/resource1"), 0);
	assert_int_equal(owner(HERE "/resource4"), 0);
}

static void what_cannot_be_enabled_whole_can_be_disabled(void **state)
{
	(void)state;
	assert_int_equal(find(), 0);
	assert_int_equal(unlinkat(folder_fd, HERE "/resource4", 0), 0);
	assert_int_equal(device_enable(folder_fd, &device, geteuid(), &err), -ENOENT);
	assert_non_null(strstr(err.msg, "enable device '" ADDRESS "'"));
	device_disable(folder_fd, &device);
	expect_file(HERE "/config", 4, 0x02);
	assert_int_equal(unlinkat(folder_fd, HERE "/enable", 0), 0);
	assert_int_equal(device_enable(folder_fd, &device, geteuid(), &err), -ENOENT);
	expect_file(HERE "/config", 4, 0x02);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, folder_tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_sysfs_does),
		TEST(without_driver_it_is_its_memory),
		TEST(another_model_is_refused),
		TEST(what_is_not_there_or_a_bridge_is_refused),
		TEST(a_bar_without_address_is_refused),
		TEST(an_accelerators_nodes_are_found_below_it),
		TEST(disks_and_their_partitions_are_block_nodes),
		TEST(network_interfaces_are_found_by_name),
		TEST(more_nodes_than_the_limit_are_refused),
		TEST(a_tree_has_a_depth),
		TEST(names_that_would_lead_elsewhere_are_refused),
		TEST(it_masters_the_bus_from_enable_to_disable),
		TEST(its_memory_is_the_users_meanwhile),
		TEST(what_cannot_be_enabled_whole_can_be_disabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
