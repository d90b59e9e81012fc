/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp_launch - the digest that an SEV-SNP processor has of a guest once it is launched, from what
 * it is launched with.
 *
 * Sources: QEMU target/i386/sev.c and hw/i386/x86-common.c; AMD 24593, table B-4 (VMSA); for other
 * VMMs what their guests' reports have been found to agree with.
 */
#ifndef ATTEST_SNP_LAUNCH_H
#define ATTEST_SNP_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/launch.h"
#include "base/bytes.h"
#include "base/err.h"

enum attest_vmm {
	ATTEST_VMM_QEMU,
	ATTEST_VMM_EC2,
	ATTEST_VMM_GCE,
};

struct attest_vmsa {
	enum attest_vmm vmm;
	uint32_t eip;		 /* where the vCPU starts */
	bool is_first;		 /* the vCPU that the firmware starts on */
	uint32_t cpu_signature;	 /* CPUID 1, EAX, as the guest sees it */
	uint64_t guest_features; /* SEV_FEATURES: depends on the host's kernel and QEMU */
};

#define ATTEST_RESET_EIP UINT32_C(0xfffffff0)

/* The 4096 bytes of a vCPU's state as it starts. */
void attest_vmsa_page(const struct attest_vmsa *vmsa, uint8_t ret_page[ATTEST_PAGE_SIZE]);

/* CPUID 1, EAX of one of QEMU's models: "EPYC-v4", "EPYC-Milan". -ENOENT: not known. */
int attest_cpu_signature(const char *model, uint32_t *ret);

struct attest_snp_launch {
	enum attest_vmm vmm;
	unsigned vcpus; /* 1 to ATTEST_VCPUS_MAX */
	uint32_t cpu_signature;
	uint64_t guest_features;
	struct bytes firmware; /* with firmware_digest: its last page is enough */
	/* NULL, or the digest after the firmware's pages, made before */
	const uint8_t *firmware_digest;
	/* NULL: the firmware finds its own kernel */
	const struct attest_boot_hashes *boot;
};

/*
 *	-EBADMSG, -E2BIG  the firmware: see ovmf.h
 *	-EINVAL   no or too many vCPUs, firmware that is not of whole pages, several vCPUs and no
 *		  address for them in the firmware
 *	-ENOTSUP  a kernel, and firmware that has no place for its hash: it would not be measured
 *	-ENOMEM, -EIO
 */
int attest_snp_launch_digest(const struct attest_snp_launch *launch,
			     uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err);

/* The digest after the firmware's pages alone: a seed for later. Errors as above. */
int attest_snp_firmware_digest(struct bytes firmware, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			       struct err *err);

#endif
