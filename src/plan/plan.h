/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - from what a pod asks for, what the guest is and what the host has, to a layout; or to a
 * refusal with the numbers in it. The one place where anything about the VM is decided.
 *
 *	r = plan_accel_choose("auto", kvm_refusal, &request.accel, err);
 *	r = plan_make(&request, &layout, err);
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <stdint.h>

#include "base/err.h"
#include "plan/layout.h"
#include "plan/manifest.h"

enum {
	PLAN_CPU_MILLI = 1000,		/* the default: one CPU */
	PLAN_VCPUS_MAX = 255,		/* more need x2APIC IDs and an IOMMU in the guest */
	PLAN_MEMORY_MIB = 512,		/* the default, the container's */
	PLAN_MEMORY_LEAST_MIB = 4,	/* crun and a small program, just so */
	PLAN_MEMORY_MOST_MIB = 8 << 20, /* 8 TiB */

	/*
	 * What the guest itself needs besides: 128 MiB for kernel (16 MiB text and data, 10 MiB
	 * per-CPU and slab), init, agent, crun and page cache for the layers, and one 64th for the
	 * kernel's page descriptors (64 bytes for each 4096).
	 */
	PLAN_OVERHEAD_MIB = 128,
	PLAN_OVERHEAD_SHARE = 64,

	/*
	 * With a TEE: where the guest copies what devices read and write (swiotlb, in slabs of 2 KiB
	 * of the kernel's), 32 MiB of it, and on top of the above. A disk's request is at most 1 MiB
	 * here, and no more than a few dozen are under way; who finds it full waits.
	 */
	PLAN_BOUNCE_SLABS = 16384,
	PLAN_BOUNCE_MIB = PLAN_BOUNCE_SLABS / 512,
};

struct plan_request {
	uint32_t cpu_milli;    /* 0: the default */
	uint64_t memory_bytes; /* the container's; 0: the default */
	enum layout_accel accel;
	enum layout_tee tee;
	const struct manifest *guest;
	uint32_t host_cpus;	    /* that we may use; 0: unknown, nothing is refused */
	uint64_t host_memory_bytes; /* all there is; 0: unknown */
};

/*
 * wanted is "auto", "kvm" or "tcg" ("" is "auto"); kvm_refusal is why KVM cannot be used, or NULL
 * if it can. -EINVAL (ERR_USAGE): another word; -ENODEV (ERR_HOST): "kvm", and it cannot be used.
 */
int plan_accel_choose(const char *wanted, const char *kvm_refusal, enum layout_accel *ret,
		      struct err *err);

/*
 * -ERANGE: more CPUs or memory than the host or a VM can have (ERR_HOST), or less memory than the
 * least (ERR_USAGE); -E2BIG: a command line longer than LAYOUT_CMDLINE_MAX.
 */
int plan_make(const struct plan_request *request, struct layout *ret, struct err *err);

/*
 * wanted is "none" (or "") or "sim". -EOPNOTSUPP (ERR_UNSUPPORTED), with what is lacking: "sev-snp"
 * and "tdx"; -EINVAL (ERR_USAGE): another word. "--tee" is in the message.
 */
int plan_tee_choose(const char *wanted, enum layout_tee *ret, struct err *err);

/* "none", "sim" */
const char *plan_tee_name(enum layout_tee tee);

/* "kvm", "tcg" */
const char *plan_accel_name(enum layout_accel accel);

#endif
