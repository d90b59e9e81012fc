// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"

static struct machine_capture capture;

static int done(void **state)
{
	(void)state;
	machine_capture_done(&capture);
	return 0;
}

static void keeps_what_was_added_last(void **state)
{
	const struct machine_capture_entry *entry;

	(void)state;
	put(&capture, "sys", "b", "first");
	put(&capture, "sys", "a", "x");
	put(&capture, "sys", "b", "second \n");
	put_link(&capture, "sys", "driver", "../../bus/pci/drivers/vfio-pci");
	machine_capture_seal(&capture);
	assert_int_equal(capture.count, 3);
	entry = machine_capture_find(&capture, "sys/b");
	assert_non_null(entry);
	assert_string_equal((const char *)entry->data.at, "second \n");
	assert_int_equal(machine_capture_text(&capture, "sys", "b").len, 6);
	assert_null(machine_capture_text(&capture, "sys", "c").at);
	assert_null(machine_capture_text(&capture, "sys", "driver").at);
	assert_string_equal(machine_capture_link(&capture, "sys", "driver"), "vfio-pci");
	assert_null(machine_capture_link(&capture, "sys", "b"));
	assert_null(machine_capture_find(&capture, "sys"));
	assert_int_equal(machine_capture_from(&capture, "sys/b"), 1);
	assert_int_equal(machine_capture_from(&capture, "t"), 3);
}

static void refuses_paths_that_lead_elsewhere(void **state)
{
	static const char *const bad[] = { "",	"/sys",	 "sys/",   "sys//a",
					   ".", "sys/.", "../sys", "sys/../etc" };
	struct err err = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(machine_capture_add(&capture, bad[i], MACHINE_CAPTURE_FILE,
						     text_bytes(""), &err),
				 -EINVAL);
		assert_int_equal(err.code, ERR_USAGE);
	}
	put(&capture, "sys", "..a", "");
	put(&capture, "sys", "...", "");
	assert_int_equal(capture.count, 2);
}

static void holds_so_much_and_no_more(void **state)
{
	size_t size = MACHINE_CAPTURE_FILE_MAX;
	char path[MACHINE_CAPTURE_PATH_MAX + 2];
	uint8_t *at = calloc(1, size + 1);

	(void)state;
	assert_non_null(at);
	memset(path, 'a', sizeof(path));
	path[MACHINE_CAPTURE_PATH_MAX] = '\0';
	assert_int_equal(machine_capture_add(&capture, path, MACHINE_CAPTURE_FILE,
					     (struct bytes){ at, size }, NULL),
			 0);
	assert_int_equal(machine_capture_add(&capture, "b", MACHINE_CAPTURE_FILE,
					     (struct bytes){ at, size + 1 }, NULL),
			 -E2BIG);
	path[MACHINE_CAPTURE_PATH_MAX] = 'a';
	path[MACHINE_CAPTURE_PATH_MAX + 1] = '\0';
	assert_int_equal(machine_capture_add(&capture, path, MACHINE_CAPTURE_FILE, text_bytes(""),
					     NULL),
			 -E2BIG);
	free(at);
	machine_capture_done(&capture);
	for (size = 0; size < MACHINE_CAPTURE_ENTRIES_MAX; size++)
		assert_int_equal(machine_capture_add(&capture, "a", MACHINE_CAPTURE_DIR,
						     text_bytes(""), NULL),
				 0);
	assert_int_equal(machine_capture_add(&capture, "a", MACHINE_CAPTURE_DIR, text_bytes(""),
					     NULL),
			 -E2BIG);
}

static void a_text_has_a_limit_too(void **state)
{
	size_t size = MACHINE_CAPTURE_TEXT_MAX;
	uint8_t *at = calloc(1, size + 1);

	(void)state;
	assert_non_null(at);
	assert_int_equal(machine_capture_set_text(&capture, (struct bytes){ at, size + 1 }, NULL),
			 -E2BIG);
	assert_false(capture.is_text);
	assert_int_equal(machine_capture_set_text(&capture, (struct bytes){ at, size }, NULL), 0);
	assert_true(capture.is_text);
	assert_int_equal(capture.text.len, size);
	free(at);
}

static void wants_what_says_something_of_a_host(void **state)
{
	static const char *const wanted[] = {
		"proc/cpuinfo",
		"casemate/capture",
		"sys/bus/pci/devices/0000:00:01.0",
		"sys/bus/pci/devices/0000:00:01.0/vendor",
		"sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config",
		"sys/devices/platform/40.pcie/pci0000:00/0000:00:01.0/iommu_group",
		"sys/devices/system/cpu/cpu12/topology/core_id",
		"sys/devices/system/node/node0/meminfo",
		"sys/kernel/iommu_groups/12/type",
		"sys/class/iommu/dmar0",
	};
	static const char *const others[] = {
		"proc/kcore",
		"proc/cpuinfo/x",
		"sys/devices/pci0000:00/0000:00:01.0/vpd",
		"sys/devices/pci0000:00/0000:00:01.0/net/eth0/address",
		"sys/devices/pci0000:00/vendor",
		"sys/devices/system/cpu/cpu/topology/core_id",
		"sys/devices/system/cpu/cpu1x/topology/core_id",
		"sys/kernel/iommu_groups/x/type",
		"etc/shadow",
		"x/sys/class/iommu",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_true(machine_capture_wants(wanted[i]));
	for (i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(machine_capture_wants(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(keeps_what_was_added_last, done),
		cmocka_unit_test_teardown(refuses_paths_that_lead_elsewhere, done),
		cmocka_unit_test_teardown(holds_so_much_and_no_more, done),
		cmocka_unit_test_teardown(a_text_has_a_limit_too, done),
		cmocka_unit_test(wants_what_says_something_of_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
