// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

static int fake_proc_fd = -1;
static struct lease *lease;

/* Disks and interfaces as the kernel shows them: links of a class, which lead through the device. */
static void add_to_class(const char *class, const char *name, const char *below)
{
	char path[PATH_MAX], target[PATH_MAX];

	(void)snprintf(path, sizeof(path), "host/sys/devices/pci0000:20/%s/%s", below, name);
	assert_int_equal(file_mkdir_p(run_fd, path, 0700, NULL), 0);
	(void)snprintf(path, sizeof(path), "host/sys/class/%s", class);
	assert_int_equal(file_mkdir_p(run_fd, path, 0700, NULL), 0);
	(void)snprintf(path, sizeof(path), "host/sys/class/%s/%s", class, name);
	(void)snprintf(target, sizeof(target), "../../devices/pci0000:20/%s/%s", below, name);
	assert_int_equal(symlinkat(target, run_fd, path), 0);
}

static int setup_use(void **state)
{
	(void)kernel_setup(state);
	assert_int_equal(file_mkdir_p(run_fd, "proc/sys/kernel/random", 0700, NULL), 0);
	assert_int_equal(file_mkdir_p(run_fd, "proc/self", 0700, NULL), 0);
	assert_int_equal(file_mkdir_p(run_fd, "proc/net", 0700, NULL), 0);
	assert_int_equal(symlinkat("/proc/sys/kernel/random/boot_id", run_fd,
				   "proc/sys/kernel/random/boot_id"),
			 0);
	assert_int_equal(file_open_dir(run_fd, "proc", &fake_proc_fd, NULL), 0);
	opts.proc_fd = fake_proc_fd;
	add_to_class("block", "nvme0n1", NVME "/nvme/nvme0");
	add_to_class("block", "nvme0n1p1", NVME "/nvme/nvme0/nvme0n1");
	add_to_class("block", "nvme1n1", SPARE "/nvme/nvme1");
	put_text("host/sys/class/block/nvme0n1/dev", "259:0\n");
	put_text("host/sys/class/block/nvme0n1p1/dev", "259:1\n");
	put_text("host/sys/class/block/nvme1n1/dev", "259:2\n");
	add_to_class("net", "eth0", PF "/net");
	put_text("host/sys/class/net/eth0/flags", "0x1003\n");
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	return 0;
}

static int teardown_use(void **state)
{
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	(void)close(fake_proc_fd);
	assert_no_claims();
	return kernel_teardown(state);
}

static void is_free(const char *address)
{
	const struct lease_device want = wanted(address);
	struct lease *other;

	e = (struct err){ 0 };
	assert_int_equal(lease_open(&opts, "other", &other, &e), 0);
	if (lease_devices(other, &want, 1, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(lease_undo(other, &e), 0);
	lease_free(other);
}

static void is_used(const char *address, const char *how)
{
	const struct lease_device want = wanted(address);
	char was[64];

	kernel_driver(address, was);
	e = (struct err){ 0 };
	assert_int_equal(lease_devices(lease, &want, 1, &e), -EBUSY);
	assert_int_equal(e.code, ERR_DEVICE_HELD);
	if (!strstr(e.msg, how))
		fail_msg("'%s' is not in '%s'", how, e.msg);
	assert_string_equal(driver_of(address), was);
	assert_int_equal(count_in("devices"), 0);
}

static void takes_a_disk_that_nobody_uses(void **state)
{
	(void)state;
	is_free(NVME);
	put_text("proc/self/mountinfo", "22 1 259:2 / / rw - ext4 /dev/nvme1n1 rw\n"
					"23 1 0:7 / /mnt rw - btrfs /dev/nvme0n10 rw\n");
	put_text("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme1n1 partition 1 0 -2\n");
	is_free(NVME);
	is_used(SPARE, "the host uses it: its disk 'nvme1n1' is mounted on '/'");
}

static void refuses_a_disk_that_is_mounted(void **state)
{
	(void)state;
	put_text("proc/self/mountinfo",
		 "22 1 0:5 / /proc rw,nosuid - proc proc rw\n"
		 "30 22 259:1 /root /srv/data rw shared:7 master:2 - ext4 /dev/mapper/x rw\n");
	is_used(NVME, "the host uses it: its disk 'nvme0n1p1' is mounted on '/srv/data'");
	put_text("proc/self/mountinfo", "30 22 0:44 / /pool rw - btrfs /dev/nvme0n1 rw\n");
	is_used(NVME, "its disk 'nvme0n1' is mounted on '/pool'");
	put_text("proc/self/mountinfo", "30 22 259:1\n\n- - -\n30 22 259:1 / /x rw -\n");
	is_free(NVME);
}

static void refuses_a_disk_that_is_swapped_to(void **state)
{
	(void)state;
	put_text("proc/swaps", "Filename Type Size Used Priority\n"
			       "/dev/nvme0n1p1\t\tpartition\t8388604\t0\t-2\n");
	is_used(NVME, "its disk 'nvme0n1p1' is swap");
}

static void refuses_a_disk_that_another_is_made_of(void **state)
{
	(void)state;
	assert_int_equal(
		file_mkdir_p(run_fd, "host/sys/class/block/nvme0n1p1/holders/dm-0", 0700, NULL), 0);
	is_used(NVME, "its disk 'nvme0n1p1' is held by 'dm-0'");
}

static void refuses_a_disk_that_is_in_use_out_of_sight(void **state)
{
	(void)state;
	(void)snprintf(kernel->held, sizeof(kernel->held), "nvme0n1p1");
	is_used(NVME, "the host uses it: its disk 'nvme0n1p1' is in use");
	is_free(SPARE);
}

static void refuses_a_namespace_that_is_reached_by_its_subsystem(void **state)
{
	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "host/sys/class/nvme-subsystem", 0700, NULL), 0);
	assert_int_equal(file_mkdir_p(run_fd, "host/sys/class/nvme", 0700, NULL), 0);
	assert_int_equal(file_mkdir_p(run_fd,
				      "host/sys/devices/virtual/nvme-subsystem/sub0/nvme5n1", 0700,
				      NULL),
			 0);
	assert_int_equal(symlinkat("../../devices/virtual/nvme-subsystem/sub0", run_fd,
				   "host/sys/class/nvme-subsystem/sub0"),
			 0);
	assert_int_equal(symlinkat("../../devices/pci0000:20/" NVME "/nvme/nvme0", run_fd,
				   "host/sys/class/nvme/nvme0"),
			 0);
	assert_int_equal(symlinkat("../../../pci0000:20/" NVME "/nvme/nvme0", run_fd,
				   "host/sys/devices/virtual/nvme-subsystem/sub0/nvme0"),
			 0);
	assert_int_equal(symlinkat("../../devices/virtual/nvme-subsystem/sub0/nvme5n1", run_fd,
				   "host/sys/class/block/nvme5n1"),
			 0);
	put_text("host/sys/class/block/nvme5n1/dev", "259:9\n");
	is_free(NVME);
	put_text("proc/self/mountinfo", "30 22 259:9 / /pool rw - ext4 /dev/x rw\n");
	is_used(NVME, "its disk 'nvme5n1' is mounted on '/pool'");
	is_free(SPARE);
}

static void refuses_an_interface_with_a_route_or_an_address(void **state)
{
	static const char head[] = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"
				   "\t\tMTU\tWindow\tIRTT\n";
	char routes[512];

	(void)state;
	(void)snprintf(routes, sizeof(routes),
		       "%seth1\t00000000\t0102000A\t0003\t0\t0\t0\t00000000"
		       "\t0\t0\t0\n",
		       head);
	put_text("proc/net/route", routes);
	put_text("proc/net/if_inet6", "fe80000000000000505400fffeca5e10 02 40 20 80     eth0\n"
				      "fd000000000000000000000000000001 03 40 00 80     eth1\n");
	is_free(PF); /* up, with the address that every interface has */
	put_text("proc/net/if_inet6", "fd000000000000000000000000000001 02 40 00 80     eth0\n");
	is_used(PF, "its interface 'eth0' is up and has an address");
	put_text("proc/net/if_inet6", "");
	(void)snprintf(routes, sizeof(routes),
		       "%seth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF"
		       "\t0\t0\t0\n",
		       head);
	put_text("proc/net/route", routes);
	is_used(PF, "its interface 'eth0' is up and has an address");
	(void)snprintf(routes, sizeof(routes),
		       "%seth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000"
		       "\t0\t0\t0\n",
		       head);
	put_text("proc/net/route", routes);
	is_used(PF, "its interface 'eth0' is where the default route goes");
	put_text("proc/net/route", head);
	(void)snprintf(kernel->addressed, sizeof(kernel->addressed), "eth0");
	is_used(PF, "its interface 'eth0' is up and has an address");
	put_text("host/sys/class/net/eth0/flags", "0x1002\n"); /* down */
	is_free(PF);
}

static void refuses_the_interface_of_the_default_route_of_ipv6(void **state)
{
	(void)state;
	put_text("proc/net/ipv6_route",
		 "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
		 "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n");
	is_free(PF);
	put_text("proc/net/ipv6_route",
		 "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		 "fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0\n");
	is_used(PF, "its interface 'eth0' is where the default route goes");
}

static void refuses_an_interface_below_a_bridge_or_a_vlan(void **state)
{
	(void)state;
	put_text("host/sys/class/net/eth0/flags", "0x1002\n");
	put_text("host/sys/class/net/eth0/upper_vlan7", "");
	is_used(PF, "its interface 'eth0' is what is below 'vlan7'");
	assert_int_equal(symlinkat("../br0", run_fd, "host/sys/class/net/eth0/master"), 0);
	is_used(PF, "its interface 'eth0' is a member of 'br0'");
}

#define WITH_USE(test) cmocka_unit_test_setup_teardown(test, setup_use, teardown_use)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_USE(takes_a_disk_that_nobody_uses),
		WITH_USE(refuses_a_disk_that_is_mounted),
		WITH_USE(refuses_a_disk_that_is_swapped_to),
		WITH_USE(refuses_a_disk_that_another_is_made_of),
		WITH_USE(refuses_a_disk_that_is_in_use_out_of_sight),
		WITH_USE(refuses_a_namespace_that_is_reached_by_its_subsystem),
		WITH_USE(refuses_an_interface_with_a_route_or_an_address),
		WITH_USE(refuses_the_interface_of_the_default_route_of_ipv6),
		WITH_USE(refuses_an_interface_below_a_bridge_or_a_vlan),
	};

	return run_devices("lease/use", tests);
}
