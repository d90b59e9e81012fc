// SPDX-License-Identifier: Apache-2.0
#include "attest/snp_report.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"

enum {
	VERSION_LEAST = 2,
	VERSION_CPUID = 3,
	VERSION_MITIGATIONS = 5,
	VERSION_MOST = 5,
	SIGNATURE_R = 0x2a0,
	SIGNATURE_S = 0x2e8,
	SIGNATURE_END = 0x330,
	SCALAR_ROOM = 72,
};

static const char *const products[] = {
	[ATTEST_SNP_UNKNOWN] = "unknown",  [ATTEST_SNP_MILAN] = "Milan",
	[ATTEST_SNP_GENOA] = "Genoa",	   [ATTEST_SNP_TURIN] = "Turin",
	[ATTEST_SNP_SIM] = "casemate-sim",
};

static_assert(ARRAY_SIZE(products) == ATTEST_SNP_PRODUCT_COUNT, "one for each");

const char *attest_snp_product_name(enum attest_snp_product product)
{
	assert((size_t)product < ATTEST_SNP_PRODUCT_COUNT);
	return products[product];
}

static uint64_t le64(struct bytes text, size_t off)
{
	return (uint64_t)bytes_le32(text, off + 4) << 32 | bytes_le32(text, off);
}

/* The caller knows the size of the whole. */
static void copy(struct bytes text, size_t off, size_t len, uint8_t *ret)
{
	assert(bytes_has(text, off, len));
	memcpy(ret, text.at + off, len);
}

static bool is_zero(struct bytes text, size_t from, size_t to)
{
	assert(bytes_has(text, from, to - from));
	for (size_t i = from; i < to; i++)
		if (text.at[i])
			return false;
	return true;
}

static struct attest_snp_firmware firmware(struct bytes text, size_t off)
{
	return (struct attest_snp_firmware){
		.build = bytes_u8(text, off),
		.minor = bytes_u8(text, off + 1),
		.major = bytes_u8(text, off + 2),
	};
}

static void read_identity(struct bytes text, struct attest_snp_report *ret)
{
	uint32_t keys = bytes_le32(text, 0x48);

	ret->guest_svn = bytes_le32(text, 0x04);
	ret->policy = le64(text, 0x08);
	copy(text, 0x10, sizeof(ret->family_id), ret->family_id);
	copy(text, 0x20, sizeof(ret->image_id), ret->image_id);
	ret->vmpl = bytes_le32(text, 0x30);
	ret->signature_algo = bytes_le32(text, 0x34);
	ret->platform_info = le64(text, 0x40);
	ret->author_key_is_used = keys & 1;
	ret->chip_key_is_masked = keys >> 1 & 1;
	ret->signing_key = keys >> 2 & 7;
	copy(text, ATTEST_SNP_DATA_AT, sizeof(ret->report_data), ret->report_data);
	copy(text, ATTEST_SNP_DIGEST_AT, sizeof(ret->launch_digest), ret->launch_digest);
	copy(text, ATTEST_SNP_HOST_DATA_AT, sizeof(ret->host_data), ret->host_data);
	copy(text, 0xe0, sizeof(ret->id_key_digest), ret->id_key_digest);
	copy(text, 0x110, sizeof(ret->author_key_digest), ret->author_key_digest);
	copy(text, 0x140, sizeof(ret->report_id), ret->report_id);
	copy(text, 0x160, sizeof(ret->report_id_ma), ret->report_id_ma);
	copy(text, ATTEST_SNP_CHIP_ID_AT, sizeof(ret->chip_id), ret->chip_id);
}

static void read_levels(struct bytes text, struct attest_snp_report *ret)
{
	copy(text, 0x38, sizeof(ret->current_tcb), ret->current_tcb);
	copy(text, 0x180, sizeof(ret->reported_tcb), ret->reported_tcb);
	copy(text, 0x1e0, sizeof(ret->committed_tcb), ret->committed_tcb);
	copy(text, 0x1f0, sizeof(ret->launch_tcb), ret->launch_tcb);
	ret->current = firmware(text, 0x1e8);
	ret->committed = firmware(text, 0x1ec);
	if (ret->version >= VERSION_CPUID) {
		ret->family = bytes_u8(text, 0x188);
		ret->model = bytes_u8(text, 0x189);
		ret->stepping = bytes_u8(text, 0x18a);
	}
	if (ret->version >= VERSION_MITIGATIONS) {
		ret->launch_mitigations = le64(text, 0x1f8);
		ret->current_mitigations = le64(text, 0x200);
	}
}

int attest_snp_report_parse(struct bytes text, struct attest_snp_report *ret,
			    struct attest_refusal *ret_refusal)
{
	struct attest_snp_report report = { 0 };

	if (text.len != ATTEST_SNP_REPORT_SIZE) {
		attest_refusal_set(ret_refusal, ATTEST_EVIDENCE_MALFORMED,
				   "the report has %zu bytes, not %d", text.len,
				   ATTEST_SNP_REPORT_SIZE);
		return -EBADMSG;
	}
	report.version = bytes_le32(text, 0);
	if (report.version < VERSION_LEAST || report.version > VERSION_MOST) {
		attest_refusal_set(ret_refusal, ATTEST_REPORT_VERSION,
				   "the report is of version %u, not %d to %d", report.version,
				   VERSION_LEAST, VERSION_MOST);
		return -ENOTSUP;
	}
	if (!is_zero(text, SIGNATURE_R + ATTEST_SNP_SCALAR_SIZE, SIGNATURE_S) ||
	    !is_zero(text, SIGNATURE_S + ATTEST_SNP_SCALAR_SIZE, SIGNATURE_END) ||
	    !is_zero(text, SIGNATURE_END, text.len)) {
		attest_refusal_set(ret_refusal, ATTEST_EVIDENCE_MALFORMED,
				   "bytes beside the signature are not zero");
		return -EBADMSG;
	}
	read_identity(text, &report);
	read_levels(text, &report);
	copy(text, SIGNATURE_R, ATTEST_SNP_SCALAR_SIZE, report.signature_r);
	copy(text, SIGNATURE_S, ATTEST_SNP_SCALAR_SIZE, report.signature_s);
	copy(text, 0, text.len, report.raw);
	*ret = report;
	return 0;
}

static_assert(SIGNATURE_R + SCALAR_ROOM == SIGNATURE_S, "s is behind r");
static_assert(SIGNATURE_S + SCALAR_ROOM == SIGNATURE_END, "nothing is behind s");
static_assert((int)SIGNATURE_R == (int)ATTEST_SNP_SIGNED_SIZE,
	      "the signature is behind what it signs");

enum attest_snp_product attest_snp_report_product(const struct attest_snp_report *report)
{
	static const struct {
		uint8_t family, model_least, model_most;
		enum attest_snp_product product;
	} known[] = {
		{ 0x19, 0x00, 0x0f, ATTEST_SNP_MILAN }, { 0x19, 0x10, 0x1f, ATTEST_SNP_GENOA },
		{ 0x19, 0xa0, 0xaf, ATTEST_SNP_GENOA }, { 0x1a, 0x00, 0x11, ATTEST_SNP_TURIN },
		{ 0x00, 0x00, 0x00, ATTEST_SNP_SIM },
	};

	if (report->version < VERSION_CPUID)
		return ATTEST_SNP_UNKNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (report->family == known[i].family && report->model >= known[i].model_least &&
		    report->model <= known[i].model_most)
			return known[i].product;
	return ATTEST_SNP_UNKNOWN;
}

struct attest_snp_tcb attest_snp_tcb_read(const uint8_t raw[ATTEST_SNP_TCB_SIZE],
					  enum attest_snp_product product)
{
	if (product == ATTEST_SNP_TURIN)
		return (struct attest_snp_tcb){ .fmc = raw[0],
						.bootloader = raw[1],
						.tee = raw[2],
						.snp = raw[3],
						.microcode = raw[7] };
	return (struct attest_snp_tcb){
		.bootloader = raw[0], .tee = raw[1], .snp = raw[6], .microcode = raw[7]
	};
}

const char *attest_snp_tcb_below(struct attest_snp_tcb have, struct attest_snp_tcb least)
{
	if (have.fmc < least.fmc)
		return "fmc";
	if (have.bootloader < least.bootloader)
		return "bootloader";
	if (have.tee < least.tee)
		return "tee";
	if (have.snp < least.snp)
		return "snp";
	return have.microcode < least.microcode ? "microcode" : NULL;
}
