// SPDX-License-Identifier: Apache-2.0
#include "picture.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

static void refuses_a_device_of_another_pod_at_once_by_name(void **state)
{
	struct lease *web = open_pod("web"), *other = open_pod("other");
	const struct lease_device wants[] = { wanted(SPARE), wanted(NVME) };

	(void)state;
	assert_int_equal(lease_devices(web, &wants[1], 1, &e), 0);
	assert_int_equal(lease_devices(other, wants, 2, &e), -EBUSY);
	assert_string_equal(e.msg, "lease device 0000:21:00.0: pod 'web' has it");
	assert_int_equal(e.code, ERR_DEVICE_HELD);
	assert_string_equal(driver_of(SPARE), "nvme"); /* nothing half done */
	assert_int_equal(count_in("devices"), 1);
	end_pod(other);
	assert_string_equal(driver_of(NVME), "vfio-pci");
	end_pod(web);
	assert_as_before();
}

static void tells_who_has_a_device_while_he_lives(void **state)
{
	struct lease *web = open_pod("web");
	const struct lease_device want = wanted(NVME);

	(void)state;
	assert_int_equal(lease_device_busy(&opts, NVME, &e), 0);
	assert_int_equal(lease_devices(web, &want, 1, &e), 0);
	assert_int_equal(lease_device_busy(&opts, NVME, &e), -EBUSY);
	assert_string_equal(e.msg, "pod 'web' has it");
	assert_int_equal(lease_device_busy(&opts, SPARE, &e), 0);
	lease_free(web); /* as dead as by SIGKILL */
	assert_int_equal(lease_device_busy(&opts, NVME, &e), 0);
	assert_string_equal(driver_of(NVME), "vfio-pci");
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_as_before();
}

/* Between the look at a device and its claim the other pod is quicker. */
static void take_spare_first(void *data, const char *where)
{
	const struct lease_device want = wanted(SPARE);
	struct lease **theirs = data;
	struct lease *other = *theirs;

	if (!other || strcmp(where, "written") != 0)
		return;
	*theirs = NULL;
	assert_int_equal(lease_devices(other, &want, 1, NULL), 0);
}

static void touches_no_device_that_another_pod_claimed_first(void **state)
{
	struct lease *web, *other = open_pod("other"), *pending = NULL;
	const struct lease_device want = wanted(SPARE);
	struct lease_opts with = opts;

	(void)state;
	with.after_step = take_spare_first;
	with.data = &pending;
	assert_int_equal(lease_open(&with, "web", &web, &e), 0);
	pending = other;
	assert_int_equal(lease_devices(web, &want, 1, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "pod 'other' has it"));
	end_pod(web);
	assert_string_equal(driver_of(SPARE), "vfio-pci");
	end_pod(other);
	assert_as_before();
}

/* Between the look at a device and its claim its driver goes. */
static void unbind_spare(void *data, const char *where)
{
	(void)data;
	if (strcmp(where, "written") == 0 && driver_of(SPARE)[0])
		kernel_unbind(SPARE);
}

static void refuses_a_device_that_changes_before_it_is_claimed(void **state)
{
	const struct lease_device want = wanted(SPARE);
	struct lease_opts with = opts;
	struct lease *lease;

	(void)state;
	with.after_step = unbind_spare;
	assert_int_equal(lease_open(&with, "web", &lease, &e), 0);
	assert_int_equal(kernel_bind(SPARE, "nvme"), 0); /* its opening was a step too */
	assert_int_equal(lease_devices(lease, &want, 1, &e), -EAGAIN);
	assert_non_null(strstr(e.msg, "somebody else has just changed it: try again"));
	assert_int_equal(e.code, ERR_DEVICE_HELD);
	end_pod(lease);
	assert_as_before(); /* it had a driver when that was written down */
}

static void refuses_what_is_not_as_it_was_chosen(void **state)
{
	struct lease *lease = open_pod("web");
	struct lease_device want = wanted(SPARE);

	(void)state;
	want.device = 0x11;
	refuse(lease, &want, 1, -ESTALE, "it is 1b36:0010 now, and was 1b36:0011 when it was");
	assert_int_equal(e.code, ERR_DEVICE_NONE);
	want = wanted(SPARE);
	want.driver = "";
	refuse(lease, &want, 1, -ESTALE, "driver 'nvme' has it now, and '' had it when");
	want = wanted(SPARE);
	want.group = 12;
	refuse(lease, &want, 1, -ESTALE, "its IOMMU group is 11 now, and was 12");
	want = wanted(SPARE);
	want.address = "0000:77:00.0";
	refuse(lease, &want, 1, -ENODEV, "lease device 0000:77:00.0: there is no such device");
	want.address = "77:00.0";
	refuse(lease, &want, 1, -EINVAL, "'77:00.0': not an address");
	want.address = "../../0000:25:00.0";
	refuse(lease, &want, 1, -EINVAL, "not an address");
	want = wanted(PORT);
	refuse(lease, &want, 1, -EINVAL, "it is a bridge");
	end_pod(lease);
	assert_as_before();
}

static void refuses_what_this_host_cannot_do(void **state)
{
	const struct lease_device wants[] = { wanted(SPARE), wanted(SPARE) };
	struct lease_opts blind = opts;
	struct lease *lease = open_pod("web"), *other;

	(void)state;
	refuse(lease, wants, 2, -EEXIST, "it is asked for twice");
	refuse(lease, wants, LEASE_MAX_DEVICES + 1, -E2BIG, "more than 192");
	assert_int_equal(unlinkat(sysfs_fd, "bus/pci/devices/" SPARE "/iommu_group", 0), 0);
	refuse(lease, wants, 1, -EOPNOTSUPP, "it is in no IOMMU group");
	assert_int_equal(e.code, ERR_HOST);
	assert_int_equal(renameat(sysfs_fd, "bus/pci/drivers/vfio-pci", sysfs_fd, "gone"), 0);
	refuse(lease, wants, 1, -ENOENT, "modprobe vfio-pci");
	blind.sysfs_fd = -1;
	assert_int_equal(lease_open(&blind, "blind", &other, &e), 0);
	refuse(other, wants, 1, -EOPNOTSUPP, "devices cannot be changed without /sys and /dev");
	assert_int_equal(lease_devices(other, wants, 0, &e), 0);
	assert_int_equal(lease_undo(other, &e), 0);
	lease_free(other);
	end_pod(lease);
	assert_no_claims();
}

static void takes_as_many_devices_as_it_may_and_no_more(void **state)
{
	static struct lease_device wants[LEASE_MAX_DEVICES];
	struct lease *lease = open_pod("web");

	(void)state;
	for (size_t i = 0; i < LEASE_MAX_DEVICES; i++)
		wants[i] = wanted(SPARE);
	wants[0].address = "0000:77:00.0";
	refuse(lease, wants, LEASE_MAX_DEVICES, -ENODEV, "there is no such device");
	end_pod(lease);
}

static void refuses_a_group_with_what_may_not_be_taken(void **state)
{
	struct lease *lease = open_pod("web"), *other = open_pod("other");
	const struct lease_device gpu = wanted(GPU), edu = wanted(EDU);

	(void)state;
	refuse(lease, &edu, 1, -EBUSY,
	       "0000:22:00.0 is in its IOMMU group, and the host's driver 'virtio-pci' has that");
	assert_int_equal(e.code, ERR_DEVICE_HELD);
	assert_int_equal(lease_devices(lease, &gpu, 1, &e), 0);
	refuse(other, &edu, 1, -EBUSY,
	       "0000:22:00.0 is in its IOMMU group, and pod 'web' has that");
	end_pod(other);
	end_pod(lease);
	assert_as_before();
}

/* The driver comes back between the lease of the devices and that of the group. */
static void gives_no_group_with_a_stranger_in_it(void **state)
{
	struct lease *lease = open_pod("web");
	const struct lease_device gpu = wanted(GPU);

	(void)state;
	assert_int_equal(lease_group(lease, 8, pod_uid(), getegid(), &e), -ENOENT);
	assert_non_null(strstr(e.msg, "find '/dev/vfio/8'"));
	assert_int_equal(lease_devices(lease, &gpu, 1, &e), 0);
	kernel_put(EDU, "driver_override", "igb");
	assert_int_equal(kernel_probe(EDU), 0);
	assert_int_equal(lease_group(lease, 8, pod_uid(), getegid(), &e), -EBUSY);
	assert_non_null(strstr(e.msg, "0000:22:00.1 is in its IOMMU group, and the host's driver "
				      "'igb' has that"));
	kernel_unbind(EDU);
	kernel_put(EDU, "driver_override", "(null)\n");
	end_pod(lease);
	assert_as_before();
}

static void refuses_what_another_program_has_open(void **state)
{
	struct lease *lease = open_pod("web");
	const struct lease_device want = wanted(KEPT);

	(void)state;
	kernel->busy[9] = -1;
	refuse(lease, &want, 1, -EBUSY, "another program has it: '/dev/vfio/9' is open");
	kernel->busy[9] = 0;
	assert_int_equal(lease_devices(lease, &want, 1, &e), 0);
	end_pod(lease);
	assert_as_before();
}

static void refuses_a_function_whose_vfs_would_go(void **state)
{
	struct lease *lease = open_pod("web");
	const struct lease_device want = wanted(PF);

	(void)state;
	assert_int_equal(kernel_set_vfs(PF, 3), 0);
	refuse(lease, &want, 1, -EBUSY, "it has 3 virtual functions");
	assert_int_equal(kernel_set_vfs(PF, 0), 0);
	end_pod(lease);
	assert_as_before();
}

static void names_a_device_that_goes_while_it_is_taken(void **state)
{
	(void)state;
	for (int at = 0; at < 3; at++) {
		struct lease *lease = open_pod("web");
		const struct lease_device want = wanted(NVME);
		int r;

		kernel->vanish_at = at;
		r = lease_devices(lease, &want, 1, &e);
		assert_true(r < 0);
		assert_non_null(strstr(e.msg, NVME));
		end_pod(lease);
		assert_no_claims();
		assert_int_equal(count_in("leases"), 0);
		kernel->vanish_at = -1;
		kernel_add(&kernel_devices[1]);
		assert_int_equal(kernel_bind(NVME, "nvme"), 0);
		assert_as_before();
	}
}

/* Says so on a pipe once it may choose. */
static pid_t chooser(int say_fd, const int held_fds[2])
{
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid == 0 && close(held_fds[0]) == 0 && close(held_fds[1]) == 0)
		_exit(lease_choice_begin(opts.run_fd, &fd) != 0 || write(say_fd, "c", 1) != 1);
	return pid;
}

static bool has_said(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void lets_one_at_a_time_choose(void **state)
{
	int fds[2], held[2], status = -1;
	struct lease *web = open_pod("web");
	const struct lease_device want = wanted(NVME);
	pid_t other;

	(void)state;
	assert_int_equal(lease_choice_begin(opts.run_fd, &held[0]), 0);
	held[1] = dup(held[0]);
	assert_int_equal(pipe(fds), 0);
	other = chooser(fds[1], held);
	assert_int_equal(lease_devices(web, &want, 1, &e), 0);
	(void)close(held[0]);
	assert_false(has_said(fds[0], 100)); /* the shim has it still */
	(void)close(held[1]);
	assert_true(has_said(fds[0], 10000));
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(lease_choice_begin(opts.run_fd, &held[0]),
			 0); /* it went with its holder */
	(void)close(held[0]);
	end_pod(web);
	assert_as_before();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_PICTURE(lets_one_at_a_time_choose),
		WITH_A_PICTURE(tells_who_has_a_device_while_he_lives),
		WITH_A_PICTURE(refuses_a_device_of_another_pod_at_once_by_name),
		WITH_A_PICTURE(touches_no_device_that_another_pod_claimed_first),
		WITH_A_PICTURE(refuses_a_device_that_changes_before_it_is_claimed),
		WITH_A_PICTURE(refuses_what_is_not_as_it_was_chosen),
		WITH_A_PICTURE(refuses_what_this_host_cannot_do),
		WITH_A_PICTURE(takes_as_many_devices_as_it_may_and_no_more),
		WITH_A_PICTURE(refuses_a_group_with_what_may_not_be_taken),
		WITH_A_PICTURE(gives_no_group_with_a_stranger_in_it),
		WITH_A_PICTURE(refuses_what_another_program_has_open),
		WITH_A_PICTURE(refuses_a_function_whose_vfs_would_go),
		WITH_A_PICTURE(names_a_device_that_goes_while_it_is_taken),
	};

	return run_devices("lease/device", tests);
}
