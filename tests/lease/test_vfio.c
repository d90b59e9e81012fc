// SPDX-License-Identifier: Apache-2.0
#include "picture.h"

static bool recovery_dies(int steps)
{
	pid_t child;

	(void)fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct lease_opts with = opts;

		with.after_step = die_at_zero;
		with.data = &steps;
		_exit(lease_recover(&with, NULL, NULL, NULL) < 0);
	}
	return !ended(child);
}

static void takes_devices_and_gives_them_back(void **state)
{
	struct lease *lease = open_pod("web");
	struct pcidev_owner owner;

	(void)state;
	assert_int_equal(take(lease, &e), 0);
	assert_string_equal(driver_of(NVME), "vfio-pci");
	assert_string_equal(driver_of(GPU), "vfio-pci");
	assert_string_equal(driver_of(EDU), "vfio-pci");
	assert_string_equal(driver_of(KEPT), "vfio-pci");
	assert_string_equal(driver_of(PORT), "pcieport");
	assert_string_equal(driver_of(SPARE), "nvme");
	assert_int_equal(count_in("devices"), 4);
	assert_int_equal(pcidev_group_owner(dev_fd, 8, &owner), 0);
	assert_int_equal(owner.uid, pod_uid());
	assert_int_equal(owner.mode, 0600);
	assert_int_equal(kernel->resets, 0);
	end_pod(lease);
	assert_as_before();
	assert_int_equal(kernel->resets, 1); /* of three that were taken one can be */
	assert_nothing_left();
}

static void leaves_every_device_with_its_driver_wherever_its_owner_is_killed(void **state)
{
	int steps = 0;

	(void)state;
	while (!devices_live_and_die(steps, true)) {
		assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
		assert_as_before();
		assert_nothing_left();
		steps++;
	}
	assert_true(steps > 60);
	assert_as_before();
	assert_nothing_left();
}

/* How many to leave out, by SEED; with SOAK=1 it is fewer than the second number. */
static int leave_out(int most, int most_in_soak)
{
	static unsigned int random;
	const char *seed = getenv("SEED"), *soak = getenv("SOAK");

	if (soak && strcmp(soak, "1") == 0)
		most = most_in_soak;
	if (random == 0)
		random = seed ? (unsigned int)strtoul(seed, NULL, 10) | 1 : 1;
	random = random * 1103515245 + 12345;
	return (int)(random >> 16) % most;
}

/* The owner killed at any step, and then who recovers at any: a sample of the pairs. */
static void leaves_every_device_with_its_driver_if_recovery_is_killed_too(void **state)
{
	int pairs = 0;

	(void)state;
	for (int first = leave_out(12, 1); !devices_live_and_die(first, true); first++) {
		for (int second = leave_out(12, 4); recovery_dies(second); second++) {
			assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
			assert_as_before();
			assert_nothing_left();
			pairs++;
			second += leave_out(24, 4);
			(void)devices_live_and_die(first, true);
		}
		assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
		assert_as_before();
		assert_nothing_left();
		first += leave_out(12, 1);
	}
	assert_true(pairs > 0);
}

static void returns_a_device_that_vfio_will_not_have(void **state)
{
	struct lease *lease = open_pod("web");
	const struct lease_device wants[] = { wanted(GPU), wanted(EDU), wanted(NVME) };

	(void)state;
	(void)snprintf(kernel->refuses, sizeof(kernel->refuses), "vfio-pci");
	refuse(lease, wants, 3, -EIO, "'vfio-pci' did not take it");
	assert_string_equal(driver_of(GPU), "virtio-pci"); /* at once, not only at the end */
	end_pod(lease);
	assert_as_before();
}

static void waits_until_nobody_has_the_device_open(void **state)
{
	struct lease *lease = open_pod("web");

	(void)state;
	assert_int_equal(take(lease, &e), 0);
	kernel->busy[7] = kernel->busy[8] = kernel->busy[9] = 3;
	end_pod(lease);
	assert_int_equal(kernel->busy[7] + kernel->busy[8] + kernel->busy[9], 0);
	assert_as_before();
}

/* What recoveries told, each a line. */
static void note(void *data, const struct lease_report *report)
{
	struct buf *told = data;

	assert_int_equal(buf_addf(told, "%s %.12s %d%s%s\n", report->kind, report->arg, report->num,
				  report->msg ? ": " : "", report->msg ? report->msg : ""),
			 0);
}

static int recover_and_note(struct buf *told)
{
	int r;

	told->len = 0;
	r = lease_recover(&opts, note, told, &e);
	assert_int_equal(buf_add(told, "", 1), 0);
	return r;
}

static void assert_told(const struct buf *told, const char *line)
{
	if (!strstr((const char *)told->at, line))
		fail_msg("'%s' is not in '%s'", line, (const char *)told->at);
}

static void keeps_for_later_what_stays_open_and_returns_the_rest(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	opts.grace_ms = opts.kill_ms = 200;
	kernel->busy[7] = -1;
	assert_int_equal(recover_and_note(&told), -EBUSY);
	assert_told(&told, "device 0000:21:00.0 -16: wait until '/dev/vfio/7' is closed: ");
	assert_string_equal(driver_of(NVME), "vfio-pci");
	assert_string_equal(driver_of(GPU), "virtio-pci");
	assert_int_equal(count_in("devices"), 1);
	kernel->busy[7] = 0;
	assert_int_equal(recover_and_note(&told), 0);
	assert_as_before();
	assert_nothing_left();
}

static void keeps_for_later_what_its_driver_refuses_and_returns_the_rest(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };
	struct lease *other = open_pod("other");
	const struct lease_device want = wanted(NVME);

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	(void)snprintf(kernel->refuses, sizeof(kernel->refuses), "nvme");
	assert_int_equal(recover_and_note(&told), -EIO);
	assert_told(&told, "device 0000:21:00.0 -5: driver 'nvme' does not take it back: "
			   "write '0000:21:00.0' to 'bus/pci/drivers/nvme/bind': "
			   "Input/output error");
	assert_string_equal(driver_of(NVME), "");
	assert_string_equal(driver_of(GPU), "virtio-pci");
	assert_int_equal(count_in("devices"), 1);
	refuse(other, &want, 1, -EBUSY, "pod 'web' has it");
	kernel->refuses[0] = '\0';
	assert_int_equal(recover_and_note(&told), 0);
	end_pod(other);
	assert_as_before();
	assert_nothing_left();
}

static void names_a_driver_that_has_gone(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	assert_int_equal(renameat(sysfs_fd, "bus/pci/drivers/nvme", sysfs_fd, "gone"), 0);
	assert_int_equal(recover_and_note(&told), -EIO);
	assert_told(&told, "driver 'nvme' does not take it back: write '0000:21:00.0' to "
			   "'bus/pci/drivers/nvme/bind': No such file or directory");
	assert_int_equal(renameat(sysfs_fd, "gone", sysfs_fd, "bus/pci/drivers/nvme"), 0);
	assert_int_equal(recover_and_note(&told), 0);
	assert_as_before();
	assert_nothing_left();
}

static void names_a_device_that_has_gone_and_returns_the_rest(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	kernel_remove(NVME);
	assert_int_equal(recover_and_note(&told), 0);
	assert_told(&told, "device 0000:21:00.0 1: it has gone");
	assert_no_claims();
	assert_string_equal(driver_of(GPU), "virtio-pci");
	assert_nothing_left();
}

static void names_a_device_that_goes_while_it_is_returned(void **state)
{
	(void)state;
	for (int at = 0; at < 5; at++) {
		CLEANUP(buf_done) struct buf told = { 0 };
		struct lease *lease = open_pod("web");
		const struct lease_device want = wanted(NVME);

		assert_int_equal(lease_devices(lease, &want, 1, &e), 0);
		lease_free(lease);
		kernel->vanish_at = at;
		assert_int_equal(recover_and_note(&told), 0);
		if (kernel->vanish_at < 0) {
			assert_told(&told, "device 0000:21:00.0 ");
			kernel_add(&kernel_devices[1]);
			assert_int_equal(kernel_bind(NVME, "nvme"), 0);
		}
		kernel->vanish_at = -1;
		assert_as_before();
	}
}

static void touches_no_device_that_took_the_place_of_its_own(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	kernel_remove(NVME);
	kernel_add(&kernel_devices[1]);
	kernel_put(NVME, "device", "0x5845\n");
	kernel_put(NVME, "driver_override", "vfio-pci\n");
	assert_int_equal(kernel_bind(NVME, "vfio-pci"), 0);
	assert_int_equal(recover_and_note(&told), 0);
	assert_told(&told,
		    "device 0000:21:00.0 1: another device (1b36:5845) is there now: left alone");
	assert_string_equal(driver_of(NVME), "vfio-pci");
	assert_string_equal(driver_of(GPU), "virtio-pci");
	assert_no_claims();
	assert_nothing_left();
}

static void leaves_a_device_to_who_took_it_meanwhile(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	kernel_unbind(NVME);
	kernel_put(NVME, "driver_override", "igb\n");
	assert_int_equal(kernel_bind(NVME, "igb"), 0);
	assert_int_equal(recover_and_note(&told), 0);
	assert_told(&told, "device 0000:21:00.0 1: driver 'igb' has it now, and not 'nvme'");
	assert_string_equal(driver_of(NVME), "igb");
	assert_no_claims();
	assert_nothing_left();
}

/* Killed while the node changed hands, it is nobody's; and it may be another's by now. */
static void takes_back_a_node_that_is_half_given_and_no_other(void **state)
{
	static const struct pcidev_owner nobody = { 0, 0, 0 }, later = { 77, 77, 0640 };
	struct pcidev_owner owner;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(devices_live_and_die(-1, false));
	assert_int_equal(pcidev_group_give(dev_fd, 9, &nobody), 0);
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_as_before();
	assert_true(devices_live_and_die(-1, false));
	assert_int_equal(pcidev_group_give(dev_fd, 9, &later), 0);
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_int_equal(pcidev_group_owner(dev_fd, 9, &owner), 0);
	assert_int_equal(owner.uid, 77);
	assert_nothing_left();
}

static void says_that_a_device_could_not_be_reset(void **state)
{
	CLEANUP(buf_done) struct buf told = { 0 };

	(void)state;
	assert_true(devices_live_and_die(-1, false));
	kernel->reset_fails = true;
	assert_int_equal(recover_and_note(&told), 0);
	assert_told(&told, "device 0000:21:00.0 0: it could not be reset: ");
	assert_as_before();
	assert_nothing_left();
}

/* A restart has given every device its driver; what is left are names. */
static void drops_what_a_restart_has_undone(void **state)
{
	static const char other[] = "00000000-1111-2222-3333-444444444444\n";
	CLEANUP(buf_done) struct buf told = { 0 };
	int fd;

	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "proc/sys/kernel/random", 0700, NULL), 0);
	put_text("proc/sys/kernel/random/boot_id", other);
	assert_int_equal(file_open_dir(run_fd, "proc", &fd, NULL), 0);
	opts.proc_fd = fd;
	assert_true(devices_live_and_die(-1, false));
	opts.proc_fd = proc_fd;
	(void)close(fd);
	assert_int_equal(recover_and_note(&told), 0);
	assert_told(&told, "device 0000:21:00.0 1\n");
	assert_told(&told, "vfs 0000:24:00.0 1\n");
	assert_told(&told, "acs 0000:20:00.0 1\n");
	assert_string_equal(driver_of(NVME), "vfio-pci");
	assert_no_claims();
	assert_int_equal(waitpid(shared->qemu, NULL, 0), shared->qemu);
	shared->qemu = 0;
	assert_nothing_left();
}

static void restores_a_choice_of_driver_that_its_driver_is_not(void **state)
{
	struct lease *lease = open_pod("web");
	const struct lease_device want = wanted(NVME);

	(void)state;
	kernel_put(NVME, "driver_override", "vfio-pci\n"); /* for the next boot of the driver */
	before.len = 0;
	kernel_picture(&before);
	assert_int_equal(lease_devices(lease, &want, 1, &e), 0);
	assert_string_equal(driver_of(NVME), "vfio-pci");
	end_pod(lease);
	assert_as_before();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_PICTURE(takes_devices_and_gives_them_back),
		WITH_A_PICTURE(leaves_every_device_with_its_driver_wherever_its_owner_is_killed),
		WITH_A_PICTURE(leaves_every_device_with_its_driver_if_recovery_is_killed_too),
		WITH_A_PICTURE(returns_a_device_that_vfio_will_not_have),
		WITH_A_PICTURE(waits_until_nobody_has_the_device_open),
		WITH_A_PICTURE(keeps_for_later_what_stays_open_and_returns_the_rest),
		WITH_A_PICTURE(keeps_for_later_what_its_driver_refuses_and_returns_the_rest),
		WITH_A_PICTURE(names_a_driver_that_has_gone),
		WITH_A_PICTURE(names_a_device_that_has_gone_and_returns_the_rest),
		WITH_A_PICTURE(names_a_device_that_goes_while_it_is_returned),
		WITH_A_PICTURE(touches_no_device_that_took_the_place_of_its_own),
		WITH_A_PICTURE(leaves_a_device_to_who_took_it_meanwhile),
		WITH_A_PICTURE(takes_back_a_node_that_is_half_given_and_no_other),
		WITH_A_PICTURE(says_that_a_device_could_not_be_reset),
		WITH_A_PICTURE(drops_what_a_restart_has_undone),
		WITH_A_PICTURE(restores_a_choice_of_driver_that_its_driver_is_not),
	};

	return run_devices("lease/vfio", tests);
}
