// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

static struct lease *lease, *other;

static int setup_acs(void **state)
{
	(void)kernel_setup(state);
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_int_equal(lease_open(&opts, "other", &other, &e), 0);
	return 0;
}

static int teardown_acs(void **state)
{
	assert_int_equal(lease_undo(other, &e), 0);
	lease_free(other);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_no_claims();
	return kernel_teardown(state);
}

static void sets_and_clears_bits_until_it_is_undone(void **state)
{
	(void)state;
	assert_int_equal(lease_acs(lease, PORT, 0x42, 0x0c, &e), 0);
	assert_int_equal(get_acs(), 0x53);
	assert_int_equal(lease_undo(lease, &e), 0);
	assert_int_equal(get_acs(), 0x1d);
}

static void leases_nothing_if_they_are_so_already(void **state)
{
	(void)state;
	assert_int_equal(lease_acs(lease, PORT, 0x11, 0x42, &e), 0);
	assert_int_equal(count_in("ports"), 0);
	assert_int_equal(get_acs(), 0x1d);
}

static void leaves_other_bits_as_they_then_are(void **state)
{
	(void)state;
	assert_int_equal(lease_acs(lease, PORT, 0, 0x0c, &e), 0);
	assert_int_equal(get_acs(), 0x11);
	put_acs(0x13);
	assert_int_equal(lease_undo(lease, &e), 0);
	assert_int_equal(get_acs(), 0x1f);
}

static void changes_nothing_that_another_pod_relies_on(void **state)
{
	(void)state;
	assert_int_equal(lease_acs(lease, PORT, 0, 0x0c, &e), 0);
	assert_int_equal(lease_acs(other, PORT, 0x0c, 0, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "pod 'web' has it"));
	assert_int_equal(e.code, ERR_DEVICE_HELD);
	assert_int_equal(get_acs(), 0x11);
}

static void change_first(void *data, const char *where)
{
	struct lease **theirs = data;
	struct lease *pod = *theirs;

	if (!pod || strcmp(where, "written") != 0)
		return;
	*theirs = NULL;
	assert_int_equal(lease_acs(pod, PORT, 0, 0x0c, NULL), 0);
}

static void touches_no_bits_that_another_pod_changed_first(void **state)
{
	struct lease_opts with = opts;
	struct lease *late, *pending = NULL;

	(void)state;
	with.after_step = change_first;
	with.data = &pending;
	assert_int_equal(lease_open(&with, "late", &late, &e), 0);
	pending = other;
	assert_int_equal(lease_acs(late, PORT, 0, 0x08, &e), 0); /* it is what it wants */
	assert_int_equal(lease_acs(late, PORT, 0x04, 0, &e), -EBUSY);
	assert_int_equal(lease_undo(late, &e), 0);
	lease_free(late);
	assert_int_equal(get_acs(), 0x11);
}

static void refuses_what_the_port_has_not(void **state)
{
	uint8_t none[4096] = { 0x36, 0x1b };
	int fd;

	(void)state;
	assert_int_equal(lease_acs(lease, PORT, 0x20, 0, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.msg, "its ACS has the bits 0x5f, and 0x20 are asked for"));
	assert_int_equal(lease_acs(lease, "20:00.0", 0, 1, &e), -EINVAL);
	assert_int_equal(lease_acs(lease, "0000:77:00.0", 0, 1, &e), -ENODEV);
	fd = openat(sysfs_fd, "bus/pci/devices/" PORT "/config", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, none, sizeof(none), 0), sizeof(none));
	assert_int_equal(lease_acs(lease, PORT, 0, 1, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.msg, "it has no ACS"));
	assert_int_equal(ftruncate(fd, 64), 0); /* what an ordinary user sees */
	assert_int_equal(lease_acs(lease, PORT, 0, 1, &e), -EOPNOTSUPP);
	(void)close(fd);
	assert_no_claims();
}

#define WITH_PORTS(test) cmocka_unit_test_setup_teardown(test, setup_acs, teardown_acs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PORTS(sets_and_clears_bits_until_it_is_undone),
		WITH_PORTS(leases_nothing_if_they_are_so_already),
		WITH_PORTS(leaves_other_bits_as_they_then_are),
		WITH_PORTS(changes_nothing_that_another_pod_relies_on),
		WITH_PORTS(touches_no_bits_that_another_pod_changed_first),
		WITH_PORTS(refuses_what_the_port_has_not),
	};

	return run_devices("lease/acs", tests);
}
