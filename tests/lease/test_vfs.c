// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

static struct lease *lease, *other;

static int setup_vfs(void **state)
{
	(void)kernel_setup(state);
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_int_equal(lease_open(&opts, "other", &other, &e), 0);
	return 0;
}

static int teardown_vfs(void **state)
{
	if (other)
		assert_int_equal(lease_undo(other, &e), 0);
	lease_free(other);
	if (lease)
		assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_no_claims();
	return kernel_teardown(state);
}

static const char *of_pf(const char *file)
{
	static char text[32];

	kernel_get(PF, file, text, sizeof(text));
	return text;
}

static void refuse(const char *address, unsigned int count, int num, const char *why)
{
	e = (struct err){ 0 };
	assert_int_equal(lease_vfs(lease, address, count, &e), num);
	if (!strstr(e.msg, why))
		fail_msg("'%s' is not in '%s'", why, e.msg);
	assert_int_equal(count_in("vfs"), 0);
}

static void makes_vfs_that_no_driver_takes_and_removes_them(void **state)
{
	(void)state;
	assert_int_equal(lease_vfs(lease, PF, 3, &e), 0);
	assert_string_equal(of_pf("sriov_numvfs"), "3");
	assert_string_equal(of_pf("sriov_drivers_autoprobe"), "0");
	assert_string_equal(driver_of("0000:24:10.2"), "");
	assert_int_equal(kernel->provisioned, 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_string_equal(of_pf("sriov_numvfs"), "0");
	assert_string_equal(of_pf("sriov_drivers_autoprobe"), "1");
}

static void leases_nothing_if_they_are_there(void **state)
{
	(void)state;
	assert_int_equal(kernel_set_vfs(PF, 4), 0);
	assert_int_equal(lease_vfs(lease, PF, 4, &e), 0);
	assert_int_equal(count_in("vfs"), 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_string_equal(of_pf("sriov_numvfs"), "4");
}

static void refuses_in_numbers(void **state)
{
	(void)state;
	refuse(PF, 5, -ERANGE, "5 VFs are asked for, and it can have 4");
	assert_int_equal(e.code, ERR_DEVICE_COUNT);
	refuse(PF, 0, -ERANGE, "0 VFs are asked for");
	refuse(NVME, 1, -EOPNOTSUPP, "it can have no VFs");
	refuse("0000:77:00.0", 1, -ENODEV, "there is no such device");
	refuse("24:00.0", 1, -EINVAL, "not an address");
	assert_int_equal(kernel_set_vfs(PF, 2), 0);
	refuse(PF, 3, -EBUSY, "it has 2 VFs, and 3 are asked for");
}

static void refuses_what_a_pod_has(void **state)
{
	const struct lease_device pf = wanted(PF);

	(void)state;
	assert_int_equal(lease_devices(other, &pf, 1, &e), 0);
	refuse(PF, 2, -EBUSY, "pod 'other' has it");
}

static void provisions_the_vfs_of_an_nvme_controller(void **state)
{
	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "host/sys/devices/pci0000:20/" PF "/nvme/nvme0", 0700,
				      NULL),
			 0);
	assert_int_equal(lease_vfs(lease, PF, 2, &e), 0);
	assert_int_equal(kernel->provisioned, 2);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_int_equal(kernel->provisioned, 0);
}

static void removes_them_if_they_cannot_be_provisioned(void **state)
{
	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "host/sys/devices/pci0000:20/" PF "/nvme/nvme9", 0700,
				      NULL),
			 0);
	refuse(PF, 2, -ENOENT, "no 'nvme9'");
	assert_string_equal(of_pf("sriov_numvfs"), "0");
	assert_string_equal(of_pf("sriov_drivers_autoprobe"), "1");
}

static void gives_a_vf_to_one_pod_and_keeps_them_while_another_has_one(void **state)
{
	const struct lease_device vf = { "0000:24:10.1", 0x8086, 0x10ca, "", 21 };

	(void)state;
	assert_int_equal(lease_vfs(lease, PF, 2, &e), 0);
	assert_int_equal(lease_vfs(other, PF, 2, &e), 0); /* there they are */
	assert_int_equal(lease_devices(other, &vf, 1, &e), 0);
	assert_string_equal(driver_of("0000:24:10.1"), "vfio-pci");
	assert_int_equal(lease_undo(lease, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "pod 'other' has its VF 0000:24:10.1"));
	assert_string_equal(of_pf("sriov_numvfs"), "2");
	assert_string_equal(driver_of("0000:24:10.1"), "vfio-pci");
	assert_int_equal(lease_undo(other, &e), 0);
	other = lease_free(other);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_string_equal(of_pf("sriov_numvfs"), "0");
}

static void make_first(void *data, const char *where)
{
	struct lease **theirs = data;
	struct lease *pod = *theirs;

	if (!pod || strcmp(where, "written") != 0)
		return;
	*theirs = NULL;
	assert_int_equal(lease_vfs(pod, PF, 2, NULL), 0);
}

static void touches_no_vfs_that_another_pod_made_first(void **state)
{
	struct lease_opts with = opts;
	struct lease *late, *pending = NULL;

	(void)state;
	with.after_step = make_first;
	with.data = &pending;
	assert_int_equal(lease_open(&with, "late", &late, &e), 0);
	pending = other;
	assert_int_equal(lease_vfs(late, PF, 2, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "pod 'other' has it"));
	assert_int_equal(lease_undo(late, &e), 0);
	lease_free(late);
	assert_string_equal(of_pf("sriov_numvfs"), "2");
}

static void names_a_vf_that_has_gone(void **state)
{
	const struct lease_device vf = { "0000:24:10.1", 0x8086, 0x10ca, "", 21 };

	(void)state;
	assert_int_equal(kernel_set_vfs(PF, 2), 0);
	kernel_unbind("0000:24:10.0");
	kernel_unbind("0000:24:10.1");
	assert_int_equal(lease_devices(lease, &vf, 1, &e), 0);
	assert_int_equal(kernel_set_vfs(PF, 0), 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_no_claims();
}

static void leaves_a_number_alone_that_somebody_else_has_set(void **state)
{
	(void)state;
	assert_int_equal(lease_vfs(lease, PF, 2, &e), 0);
	assert_int_equal(kernel_set_vfs(PF, 0), 0);
	assert_int_equal(kernel_set_vfs(PF, 3), 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease = lease_free(lease);
	assert_string_equal(of_pf("sriov_numvfs"), "3");
}

#define WITH_VFS(test) cmocka_unit_test_setup_teardown(test, setup_vfs, teardown_vfs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VFS(makes_vfs_that_no_driver_takes_and_removes_them),
		WITH_VFS(leases_nothing_if_they_are_there),
		WITH_VFS(refuses_in_numbers),
		WITH_VFS(refuses_what_a_pod_has),
		WITH_VFS(provisions_the_vfs_of_an_nvme_controller),
		WITH_VFS(removes_them_if_they_cannot_be_provisioned),
		WITH_VFS(gives_a_vf_to_one_pod_and_keeps_them_while_another_has_one),
		WITH_VFS(touches_no_vfs_that_another_pod_made_first),
		WITH_VFS(names_a_vf_that_has_gone),
		WITH_VFS(leaves_a_number_alone_that_somebody_else_has_set),
	};

	return run_devices("lease/vfs", tests);
}
