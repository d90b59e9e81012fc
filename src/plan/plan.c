// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	PLAN_MIB = 1 << 20,
	PLAN_BLOCK_SECTORS = 4096 / 512,
};

const char *plan_accel_name(enum layout_accel accel)
{
	return accel == LAYOUT_KVM ? "kvm" : "tcg";
}

int plan_accel_choose(const char *wanted, const char *kvm_refusal, enum layout_accel *ret,
		      struct err *err)
{
	if (strcmp(wanted, "tcg") == 0) {
		*ret = LAYOUT_TCG;
		return 0;
	}
	if (strcmp(wanted, "kvm") == 0 && kvm_refusal)
		return err_coded(err, ERR_HOST, -ENODEV, "run a VM with KVM: %s", kvm_refusal);
	if (strcmp(wanted, "kvm") != 0 && strcmp(wanted, "auto") != 0 && wanted[0] != '\0')
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "choose an accelerator: '%s' is none of 'auto', 'kvm', 'tcg'",
				 wanted);
	*ret = kvm_refusal ? LAYOUT_TCG : LAYOUT_KVM;
	return 0;
}

const char *plan_tee_name(enum layout_tee tee)
{
	return tee == LAYOUT_TEE_SIM ? "sim" : "none";
}

/*
 * What is lacking is of the versions that this is built for: QEMU 10.0 and Linux 6.12, and OVMF as
 * Debian packages it, whose table for the kernel's hashes is empty.
 */
int plan_tee_choose(const char *wanted, enum layout_tee *ret, struct err *err)
{
	if (strcmp(wanted, "sev-snp") == 0)
		return err_coded(
			err, ERR_UNSUPPORTED, -EOPNOTSUPP,
			"--tee sev-snp: not launched yet: it needs a firmware that "
			"measures the kernel it is given (OVMF's AmdSev build; Debian's has "
			"no room for its hash), and QEMU 10.0 passes no device to a guest "
			"with private memory");
	if (strcmp(wanted, "tdx") == 0)
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
				 "--tee tdx: not launched yet: QEMU 10.0 has no tdx-guest (10.1 "
				 "has), nor Linux 6.12 KVM for it (6.16 has)");
	if (strcmp(wanted, "sim") == 0)
		*ret = LAYOUT_TEE_SIM;
	else if (strcmp(wanted, "none") == 0 || wanted[0] == '\0')
		*ret = LAYOUT_TEE_NONE;
	else
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--tee '%s': none of 'none', 'sim', 'sev-snp', 'tdx'", wanted);
	return 0;
}

static int plan_vcpus(const struct plan_request *request, struct layout *layout, struct err *err)
{
	const uint32_t milli = request->cpu_milli ? request->cpu_milli : PLAN_CPU_MILLI;
	const uint32_t vcpus = milli / 1000 + (milli % 1000 != 0);

	if (vcpus > PLAN_VCPUS_MAX)
		return err_coded(err, ERR_HOST, -ERANGE,
				 "plan the VM: %u.%03u CPUs: a VM has %d at most", milli / 1000,
				 milli % 1000, PLAN_VCPUS_MAX);
	if (request->host_cpus && vcpus > request->host_cpus)
		return err_coded(err, ERR_HOST, -ERANGE,
				 "plan the VM: %u.%03u CPUs: this host has %u", milli / 1000,
				 milli % 1000, request->host_cpus);
	layout->vcpus = vcpus;
	return 0;
}

static int plan_memory(const struct plan_request *request, struct layout *layout, struct err *err)
{
	const uint64_t bytes = request->memory_bytes ? request->memory_bytes
						     : (uint64_t)PLAN_MEMORY_MIB * PLAN_MIB;
	const uint64_t wanted = bytes / PLAN_MIB + (bytes % PLAN_MIB != 0);
	const uint64_t host = request->host_memory_bytes / PLAN_MIB;
	uint64_t all;

	if (bytes < (uint64_t)PLAN_MEMORY_LEAST_MIB * PLAN_MIB)
		return err_coded(
			err, ERR_USAGE, -ERANGE,
			"plan the VM: %llu bytes of memory: a container needs %d MiB at least",
			(unsigned long long)bytes, PLAN_MEMORY_LEAST_MIB);
	if (wanted > PLAN_MEMORY_MOST_MIB)
		return err_coded(err, ERR_HOST, -ERANGE,
				 "plan the VM: %llu MiB of memory: a VM has %d MiB at most",
				 (unsigned long long)wanted, PLAN_MEMORY_MOST_MIB);
	all = wanted + PLAN_OVERHEAD_MIB + wanted / PLAN_OVERHEAD_SHARE;
	if (request->tee != LAYOUT_TEE_NONE)
		all += PLAN_BOUNCE_MIB;
	if (host && all > host)
		return err_coded(
			err, ERR_HOST, -ERANGE,
			"plan the VM: %llu MiB of memory, with the guest's own needs %llu: this host has %llu",
			(unsigned long long)wanted, (unsigned long long)all,
			(unsigned long long)host);
	layout->memory_mib = (uint32_t)all;
	return 0;
}

/*
 * The guest's alone: nothing of the pod or the host is in it, since it is part of what a TEE
 * measures; plan/space.h adds one parameter where there are large BARs. The kernel opens the base
 * image itself, by dm-verity, before any program.
 *
 * reboot=t, panic=-1: what can't go on ends at once, by a triple fault, which QEMU (with
 * -no-reboot) takes as its own end. no_timer_check: the check takes 100 ms or fails under load.
 * noreplace-smp: patching every LOCK prefix away for one processor takes longer than they cost.
 * scsi_mod.scan=manual: the controller is empty at boot, and asking all its 256 targets takes 200 ms
 * under TCG; the agent looks for a layer's LUN when it is told of it.
 *
 * With a TEE the guest is told so here, where it is measured, and bounces all that devices touch.
 *
 * nohz=off highres=off: TCG with more than one processor loses a timer's interrupt now and then (about
 * one boot in 200), and a timer that was set once never comes again; a tick does.
 */
static int plan_cmdline(const struct manifest *guest, struct layout *layout, struct err *err)
{
	const unsigned long long blocks = guest->base_data_blocks;
	const bool needs_tick = layout->accel == LAYOUT_TCG && layout->vcpus > 1;
	char tee[64] = "";
	int len;

	if (layout->tee != LAYOUT_TEE_NONE)
		(void)snprintf(tee, sizeof(tee), " swiotlb=%d,force casemate.tee=%s",
			       PLAN_BOUNCE_SLABS, plan_tee_name(layout->tee));

	len = snprintf(layout->cmdline, sizeof(layout->cmdline),
		       "root=/dev/dm-0 rootfstype=erofs ro rootwait init=/sbin/casemate-init "
		       "dm-mod.waitfor=/dev/vda dm-mod.create=\"base,,,ro,0 %llu verity 1 /dev/vda "
		       "/dev/vda 4096 4096 %llu %llu sha256 %s %s\" "
		       "console=ttyS0 quiet panic=-1 reboot=t no_timer_check noreplace-smp "
		       "random.trust_cpu=on scsi_mod.scan=manual%s%s",
		       blocks * PLAN_BLOCK_SECTORS, blocks,
		       (unsigned long long)guest->base_hash_start, guest->base_root,
		       guest->base_salt[0] ? guest->base_salt : "-",
		       needs_tick ? " nohz=off highres=off" : "", tee);
	if (len < 0 || (size_t)len >= sizeof(layout->cmdline))
		return err_set(err, -E2BIG, "plan the VM: a kernel command line of %d bytes", len);
	return 0;
}

/*
 * Slots never change with what is asked for, so that an address in the guest means one thing. With
 * a TEE the host's random numbers are not wanted, so what brings them, the last, is left out.
 */
static void plan_devices(struct layout *layout)
{
	static const struct layout_device devices[] = {
		{ .kind = LAYOUT_BLOCK, .slot = 1, .role = LAYOUT_ROLE_BASE },
		{ .kind = LAYOUT_SCSI, .slot = 2 },
		{ .kind = LAYOUT_SERIAL, .slot = 3 },
		{ .kind = LAYOUT_RNG, .slot = 4 },
	};

	memcpy(layout->devices, devices, sizeof(devices));
	layout->device_count = sizeof(devices) / sizeof(devices[0]);
	if (layout->tee != LAYOUT_TEE_NONE)
		layout->device_count--;
	layout->ports[0] = (struct layout_port){
		.role = LAYOUT_ROLE_AGENT,
		.number = 1,
		.name = LAYOUT_AGENT_PORT,
	};
	layout->port_count = 1;
	if (layout->tee == LAYOUT_TEE_NONE)
		return;
	layout->ports[layout->port_count++] = (struct layout_port){
		.role = LAYOUT_ROLE_TEE,
		.number = 2,
		.name = LAYOUT_TEE_PORT,
	};
}

int plan_make(const struct plan_request *request, struct layout *ret, struct err *err)
{
	struct layout layout = { .accel = request->accel, .tee = request->tee };
	int r;

	r = plan_vcpus(request, &layout, err);
	if (r == 0)
		r = plan_memory(request, &layout, err);
	if (r == 0)
		r = plan_cmdline(request->guest, &layout, err);
	if (r < 0)
		return r;
	plan_devices(&layout);
	*ret = layout;
	return 0;
}
