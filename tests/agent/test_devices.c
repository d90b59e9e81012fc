// SPDX-License-Identifier: Apache-2.0
#include "sysfs.h"

#include <errno.h>

#include "agent/devices.h"

#define FIRST "0000:01:00.0"
#define SECOND "0000:01:01.0"

static struct err err;
static Agent__CreateContainerRequest request;
static Agent__ContainerSpec spec;
static Agent__Device model;
static Agent__Device *models[] = { &model, &model };
static char first[] = FIRST, second[] = SECOND;
static char *addresses[2];

static int set_up(void **state)
{
	agent__create_container_request__init(&request);
	agent__container_spec__init(&spec);
	agent__device__init(&model);
	model.vendor = 0x1af4;
	model.device = 0x1050;
	model.class_code = 0x038000;
	spec.devices = models;
	addresses[0] = first;
	addresses[1] = second;
	request.id = first;
	request.addresses = addresses;
	request.n_addresses = spec.n_devices = 2;
	err = (struct err){ 0 };
	assert_int_equal(folder_set_up(state), 0);
	sysfs_function(FIRST);
	sysfs_function(SECOND);
	return 0;
}

static int find(struct devices *devices)
{
	err = (struct err){ 0 };
	return devices_find(devices, &spec, folder_fd, folder_fd, &err);
}

static void each_device_has_an_address_of_its_own(void **state)
{
	struct devices devices;

	(void)state;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), 0);
	assert_true(devices_has(&devices, FIRST) && devices_has(&devices, SECOND));
	assert_false(devices_has(&devices, "0000:01:02.0"));
	devices_take_back(&devices, folder_fd);
	assert_false(devices_has(&devices, FIRST));
	request.n_addresses = 1;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "1 addresses for 2 devices"));
	request.n_addresses = 2;
	addresses[1] = first;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "'" FIRST "' is given twice"));
	addresses[1] = (char *)"../../../..";
	assert_int_equal(devices_init(&devices, &request, &spec, &err), -EINVAL);
	request.n_addresses = spec.n_devices = 0;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), 0);
	assert_int_equal(devices.count, 0);
	assert_int_equal(devices.netns_fd, -1);
	assert_int_equal(find(&devices), 0);
	devices_take_back(&devices, folder_fd);
}

static int read_byte(const char *path, off_t off)
{
	int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, off), 1);
	(void)close(fd);
	return byte;
}

static void only_what_has_no_driver_is_enabled(void **state)
{
	struct devices devices;

	(void)state;
	sysfs_driver(SECOND, "virtio-pci");
	sysfs_child(SECOND, "virtio1/drm/card0", "drm", "MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\n");
	assert_int_equal(devices_init(&devices, &request, &spec, &err), 0);
	assert_int_equal(find(&devices), 0);
	assert_int_equal(devices_give(&devices, folder_fd, geteuid(), &err), 0);
	assert_int_equal(devices.netns_fd, -1);
	assert_int_equal(read_byte(PORT "/" FIRST "/enable", 0), '1');
	assert_int_equal(read_byte(PORT "/" FIRST "/config", 4), 0x06);
	assert_int_equal(read_byte(PORT "/" SECOND "/enable", 0), '0');
	assert_int_equal(read_byte(PORT "/" SECOND "/config", 4), 0x02);
	devices_take_back(&devices, folder_fd);
	assert_int_equal(read_byte(PORT "/" FIRST "/enable", 0), '0');
	assert_int_equal(read_byte(PORT "/" FIRST "/config", 4), 0x02);
}

static void a_driver_is_waited_for_and_nothing_else(void **state)
{
	struct devices devices;

	(void)state;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), 0);
	sysfs_driver(SECOND, "virtio-pci");
	assert_int_equal(find(&devices), -EAGAIN);
	assert_string_equal(err.msg, "device '" SECOND "': driver 'virtio-pci' has made neither a "
				     "device node nor a network interface");
	sysfs_child(SECOND, "virtio1/net/eth0", "net", "INTERFACE=eth0\n");
	assert_int_equal(find(&devices), 0);
	/* neither a driver nor memory will ever be there */
	sysfs_text(PORT "/" FIRST "/resource",
		   "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		   "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	assert_int_equal(find(&devices), -EINVAL);
	assert_non_null(strstr(err.msg, "device '" FIRST "': it has neither a driver"));
	model.device = 1;
	assert_int_equal(find(&devices), -EINVAL);
	devices_take_back(&devices, folder_fd);
}

/* What the controller would answer only it knows: here it is a file, and no answer. */
static void a_disk_controller_is_asked_for_its_disks(void **state)
{
	struct devices devices;

	(void)state;
	request.n_addresses = spec.n_devices = 1;
	assert_int_equal(devices_init(&devices, &request, &spec, &err), 0);
	sysfs_driver(FIRST, "nvme");
	assert_int_equal(find(&devices), -EAGAIN);
	assert_non_null(strstr(err.msg, "has not brought it up"));
	sysfs_child(FIRST, "nvme/nvme0", "nvme", "MAJOR=240\nMINOR=0\nDEVNAME=nvme0\n");
	assert_int_equal(tree_write(folder_fd, "nvme0", "", 0600, NULL), 0);
	assert_int_equal(find(&devices), -ENOTTY);
	assert_non_null(strstr(err.msg, "'/dev/nvme0'"));
	devices_take_back(&devices, folder_fd);
}

static void put_list(const char *text)
{
	sysfs_text("modules/list", text);
}

static void modules_are_loaded_by_a_list(void **state)
{
	CLEANUP(buf_done) struct buf list = { 0 };
	char dir[64];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/modules", folder_path);
	assert_int_equal(devices_load_modules(dir, &err), 0);
	put_list("");
	assert_int_equal(devices_load_modules(dir, &err), 0);
	put_list("\n\nnone.ko\n");
	assert_int_equal(devices_load_modules(dir, &err), -ENOENT);
	assert_string_equal(err.msg, "load module 'none.ko': No such file or directory");
	put_list("../none.ko\n");
	assert_int_equal(devices_load_modules(dir, &err), -EBADMSG);
	/* a name's length at the limit and above */
	put_list("012345678901234567890123456789012345678901234567890123456789012\n");
	assert_int_equal(devices_load_modules(dir, &err), -ENOENT);
	put_list("0123456789012345678901234567890123456789012345678901234567890123\n");
	assert_int_equal(devices_load_modules(dir, &err), -EBADMSG);
	/* and the list's */
	assert_int_equal(buf_reserve(&list, 8192), 0);
	memset(list.at, '\n', 8192);
	list.at[DEVICES_LIST_MAX] = '\0';
	put_list((const char *)list.at);
	assert_int_equal(devices_load_modules(dir, &err), 0);
	list.at[DEVICES_LIST_MAX] = '\n';
	list.at[DEVICES_LIST_MAX + 1] = '\0';
	put_list((const char *)list.at);
	assert_int_equal(devices_load_modules(dir, &err), -EFBIG);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, folder_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_device_has_an_address_of_its_own),
		TEST(only_what_has_no_driver_is_enabled),
		TEST(a_driver_is_waited_for_and_nothing_else),
		TEST(a_disk_controller_is_asked_for_its_disks),
		TEST(modules_are_loaded_by_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
