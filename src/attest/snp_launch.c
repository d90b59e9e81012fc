// SPDX-License-Identifier: Apache-2.0
#include "attest/snp_launch.h"

#include <errno.h>
#include <string.h>

#include "attest/ovmf.h"
#include "base/macro.h"

#define FOUR_GIB (UINT64_C(1) << 32)

static void put_le(uint8_t *page, size_t off, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		page[off + i] = (uint8_t)(value >> (8 * i));
}

static void put_segment(uint8_t *page, size_t off, uint16_t selector, uint16_t attributes,
			uint64_t base)
{
	put_le(page, off, selector, 2);
	put_le(page, off + 2, attributes, 2);
	put_le(page, off + 4, 0xffff, 4);
	put_le(page, off + 8, base, 8);
}

/* What the VMMs do not agree about. */
struct flavour {
	uint16_t code, code_others, stack, task;
	uint64_t pat;
	bool has_signature; /* else RDX is as after INIT: 0x600 */
	uint32_t mxcsr;
	uint16_t fcw;
};

static const struct flavour flavours[] = {
	[ATTEST_VMM_QEMU] = { 0x9b, 0x9b, 0x93, 0x8b, 0x0007040600070406, true, 0x1f80, 0x37f },
	[ATTEST_VMM_EC2] = { 0x9a, 0x9b, 0x92, 0x83, 0x0007040600070406, false, 0, 0 },
	[ATTEST_VMM_GCE] = { 0x9b, 0x9b, 0x93, 0x8b, 0x0000000000070106, false, 0, 0 },
};

void attest_vmsa_page(const struct attest_vmsa *vmsa, uint8_t ret_page[ATTEST_PAGE_SIZE])
{
	const struct flavour *f = &flavours[vmsa->vmm];
	uint8_t *page = ret_page;

	memset(page, 0, ATTEST_PAGE_SIZE);
	put_segment(page, 0x00, 0, 0x93, 0);					   /* ES */
	put_segment(page, 0x10, 0xf000, vmsa->is_first ? f->code : f->code_others, /* CS */
		    vmsa->eip & 0xffff0000);
	put_segment(page, 0x20, 0, f->stack, 0); /* SS */
	put_segment(page, 0x30, 0, 0x93, 0);	 /* DS */
	put_segment(page, 0x40, 0, 0x93, 0);	 /* FS */
	put_segment(page, 0x50, 0, 0x93, 0);	 /* GS */
	put_segment(page, 0x60, 0, 0, 0);	 /* GDTR */
	put_segment(page, 0x70, 0, 0x82, 0);	 /* LDTR */
	put_segment(page, 0x80, 0, 0, 0);	 /* IDTR */
	put_segment(page, 0x90, 0, f->task, 0);	 /* TR */
	put_le(page, 0xd0, 0x1000, 8);		 /* EFER: SVME */
	put_le(page, 0x148, 0x40, 8);		 /* CR4: MCE */
	put_le(page, 0x158, 0x10, 8);		 /* CR0: ET */
	put_le(page, 0x160, 0x400, 8);		 /* DR7 */
	put_le(page, 0x168, 0xffff0ff0, 8);	 /* DR6 */
	put_le(page, 0x170, 2, 8);		 /* RFLAGS */
	put_le(page, 0x178, vmsa->eip & 0xffff, 8);
	put_le(page, 0x268, f->pat, 8);
	put_le(page, 0x310, f->has_signature ? vmsa->cpu_signature : 0x600, 8); /* RDX */
	put_le(page, 0x3b0, vmsa->guest_features, 8);
	put_le(page, 0x3e8, 1, 8); /* XCR0 */
	put_le(page, 0x408, f->mxcsr, 4);
	put_le(page, 0x410, f->fcw, 2);
}

int attest_cpu_signature(const char *model, uint32_t *ret)
{
	static const struct {
		const char *name;
		unsigned family, model, stepping;
	} models[] = {
		{ "EPYC", 23, 1, 2 },	    { "EPYC-IBPB", 23, 1, 2 },	 { "EPYC-Rome", 23, 49, 0 },
		{ "EPYC-Milan", 25, 1, 1 }, { "EPYC-Genoa", 25, 17, 0 }, { "EPYC-Turin", 26, 0, 0 },
	};
	size_t len = strlen(model);

	/* "-v4" is a version of a model, which has the same signature. */
	if (len > 3 && model[len - 3] == '-' && model[len - 2] == 'v' && model[len - 1] >= '1' &&
	    model[len - 1] <= '9')
		len -= 3;
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		if (strlen(models[i].name) != len || memcmp(models[i].name, model, len) != 0)
			continue;
		/* AMD 24594, CPUID Fn0000_0001: the base family is 0xf, the rest is extended. */
		*ret = (uint32_t)((models[i].family - 0xf) << 20 | (models[i].model >> 4) << 16 |
				  0xfU << 8 | (models[i].model & 0xf) << 4 | models[i].stepping);
		return 0;
	}
	return -ENOENT;
}

static int add_hashes(struct attest_launch *chain, const struct attest_snp_launch *launch,
		      const struct attest_ovmf *ovmf, uint32_t gpa)
{
	uint8_t page[ATTEST_PAGE_SIZE];

	if (!launch->boot)
		return attest_launch_add(chain, ATTEST_PAGE_ZERO, gpa, NULL);
	attest_boot_hashes_page(launch->boot, ovmf->hash_table_gpa % ATTEST_PAGE_SIZE, page);
	return attest_launch_add(chain, ATTEST_PAGE_NORMAL, gpa, page);
}

static int add_section(struct attest_launch *chain, const struct attest_snp_launch *launch,
		       const struct attest_ovmf *ovmf, const struct attest_ovmf_section *section)
{
	switch (section->kind) {
	case ATTEST_OVMF_MEMORY:
		return attest_launch_add_blank(
			chain,
			launch->vmm == ATTEST_VMM_GCE ? ATTEST_PAGE_UNMEASURED : ATTEST_PAGE_ZERO,
			section->gpa, section->size);
	case ATTEST_OVMF_SECRETS:
		return attest_launch_add_blank(chain, ATTEST_PAGE_SECRETS, section->gpa,
					       section->size);
	case ATTEST_OVMF_CPUID:
		return attest_launch_add_blank(chain, ATTEST_PAGE_CPUID, section->gpa,
					       section->size);
	case ATTEST_OVMF_SVSM_CAA:
		return attest_launch_add_blank(chain, ATTEST_PAGE_ZERO, section->gpa,
					       section->size);
	case ATTEST_OVMF_KERNEL_HASHES:
		return add_hashes(chain, launch, ovmf, section->gpa);
	}
	return -EINVAL;
}

/* In the table's order; EC2 leaves the CPUID pages to the end. */
static int add_sections(struct attest_launch *chain, const struct attest_snp_launch *launch,
			const struct attest_ovmf *ovmf)
{
	bool cpuid_is_last = launch->vmm == ATTEST_VMM_EC2;
	int r = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; r == 0 && i < ovmf->section_count; i++) {
			const struct attest_ovmf_section *section = &ovmf->sections[i];
			bool is_late = cpuid_is_last && section->kind == ATTEST_OVMF_CPUID;

			if (is_late == (pass == 1))
				r = add_section(chain, launch, ovmf, section);
		}
	}
	return r;
}

static int add_vcpus(struct attest_launch *chain, const struct attest_snp_launch *launch,
		     const struct attest_ovmf *ovmf)
{
	struct attest_vmsa vmsa = {
		.vmm = launch->vmm,
		.cpu_signature = launch->cpu_signature,
		.guest_features = launch->guest_features,
	};
	uint8_t page[ATTEST_PAGE_SIZE];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < launch->vcpus; i++) {
		vmsa.is_first = i == 0;
		vmsa.eip = i == 0 ? ATTEST_RESET_EIP : ovmf->reset_eip;
		attest_vmsa_page(&vmsa, page);
		r = attest_launch_add(chain, ATTEST_PAGE_VMSA, 0, page);
	}
	return r;
}

static int check(const struct attest_snp_launch *launch, const struct attest_ovmf *ovmf,
		 struct err *err)
{
	bool has_page = false;

	for (size_t i = 0; i < ovmf->section_count; i++)
		has_page = has_page || ovmf->sections[i].kind == ATTEST_OVMF_KERNEL_HASHES;
	if (launch->vcpus == 0 || launch->vcpus > ATTEST_VCPUS_MAX)
		return err_set(err, -EINVAL, "measure the launch: %u vCPUs, 1 to %d can be",
			       launch->vcpus, ATTEST_VCPUS_MAX);
	if (launch->vcpus > 1 && ovmf->reset_eip == 0)
		return err_set(
			err, -EINVAL,
			"measure the launch: the firmware doesn't say where other vCPUs start");
	if (!launch->boot)
		return 0;
	if (!has_page || !ovmf->has_hash_table)
		return err_set(
			err, -ENOTSUP,
			"measure the launch: a kernel is given, and the firmware has no place "
			"for its hash: it would not be measured");
	if (ovmf->hash_table_gpa % ATTEST_PAGE_SIZE > ATTEST_PAGE_SIZE - ATTEST_HASH_TABLE_SIZE)
		return err_set(err, -EINVAL, "measure the launch: the hashes don't fit their page");
	return 0;
}

static int add_firmware(struct attest_launch *chain, struct bytes firmware, struct err *err)
{
	int r = firmware.len > 0 && firmware.len <= ATTEST_OVMF_SIZE_MAX ? 0 : -EINVAL;

	if (r == 0)
		r = attest_launch_add_region(chain, FOUR_GIB - firmware.len, firmware);
	if (r == -EINVAL)
		return err_set(err, r, "measure the firmware: %zu bytes are not whole pages",
			       firmware.len);
	return r < 0 ? err_num(err, r, "measure the firmware") : 0;
}

int attest_snp_launch_digest(const struct attest_snp_launch *launch,
			     uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err)
{
	CLEANUP(attest_launch_free) struct attest_launch *chain = NULL;
	struct attest_ovmf ovmf;
	int r = attest_ovmf_parse(launch->firmware, &ovmf, err);

	if (r == 0)
		r = check(launch, &ovmf, err);
	if (r < 0)
		return r;
	r = attest_launch_new(&chain);
	if (r < 0)
		return err_num(err, r, "measure the launch");
	if (launch->firmware_digest)
		attest_launch_seed(chain, launch->firmware_digest);
	else
		r = add_firmware(chain, launch->firmware, err);
	if (r < 0)
		return r;
	r = add_sections(chain, launch, &ovmf);
	if (r == 0)
		r = add_vcpus(chain, launch, &ovmf);
	if (r < 0)
		return err_num(err, r, "measure the launch");
	attest_launch_digest(chain, ret);
	return 0;
}

int attest_snp_firmware_digest(struct bytes firmware, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			       struct err *err)
{
	CLEANUP(attest_launch_free) struct attest_launch *chain = NULL;
	int r = attest_launch_new(&chain);

	if (r < 0)
		return err_num(err, r, "measure the firmware");
	r = add_firmware(chain, firmware, err);
	if (r == 0)
		attest_launch_digest(chain, ret);
	return r;
}
