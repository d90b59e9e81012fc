/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ovmf - what an OVMF image says of itself, at its end: where the launcher has to put things.
 *
 * Source: edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm and X64/OvmfSevMetadata.asm: a table
 * of GUIDs that is read backwards from 32 bytes before the end.
 */
#ifndef ATTEST_OVMF_H
#define ATTEST_OVMF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
	ATTEST_OVMF_SIZE_MAX = 64 << 20,
	ATTEST_OVMF_SECTIONS_MAX = 64,
	ATTEST_OVMF_ENTRIES_MAX = 64,	   /* of the table */
	ATTEST_OVMF_MEMORY_MAX = 64 << 20, /* bytes of all sections: each page is a hash */
};

enum attest_ovmf_kind {
	ATTEST_OVMF_MEMORY = 1,
	ATTEST_OVMF_SECRETS = 2,
	ATTEST_OVMF_CPUID = 3,
	ATTEST_OVMF_SVSM_CAA = 4,
	ATTEST_OVMF_KERNEL_HASHES = 0x10,
};

struct attest_ovmf_section {
	uint32_t gpa, size; /* whole pages */
	enum attest_ovmf_kind kind;
};

struct attest_ovmf {
	bool has_hash_table; /* there is a place for the hashes of kernel, initrd and command line */
	uint32_t hash_table_gpa;
	uint32_t reset_eip; /* where the other vCPUs start; 0: not said */
	struct attest_ovmf_section sections[ATTEST_OVMF_SECTIONS_MAX];
	size_t section_count;
};

/*
 * -EBADMSG: no table, or one that points out of the image, or sections that are no pages or of a
 * kind that is not known; -E2BIG: more than a limit above.
 */
int attest_ovmf_parse(struct bytes image, struct attest_ovmf *ret, struct err *err);

#endif
