/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch - the chain of hashes over a guest's first pages, as the SEV-SNP processor makes it.
 *
 * Source: AMD 56860, 8.17 (SNP_LAUNCH_UPDATE) and 8.17.2 (PAGE_INFO): each page that is launched
 * makes a new digest of the one before, the page's hash, its kind and its guest address. What the
 * pages are is for snp_launch.h and sim_launch.h to say.
 */
#ifndef ATTEST_LAUNCH_H
#define ATTEST_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/macro.h"

enum {
	ATTEST_LAUNCH_DIGEST = 48,
	ATTEST_PAGE_SIZE = 4096,
	ATTEST_SHA256_SIZE = 32,
	ATTEST_VCPUS_MAX = 4096,
};

enum attest_page {
	ATTEST_PAGE_NORMAL = 1,
	ATTEST_PAGE_VMSA = 2,
	ATTEST_PAGE_ZERO = 3,
	ATTEST_PAGE_UNMEASURED = 4,
	ATTEST_PAGE_SECRETS = 5,
	ATTEST_PAGE_CPUID = 6,
};

struct attest_launch;

/* The digest is zero. -ENOMEM; -EIO: libcrypto has no SHA-384. */
int attest_launch_new(struct attest_launch **ret_launch);
struct attest_launch *attest_launch_free(struct attest_launch *launch);
CLEANUP_PTR(struct attest_launch, attest_launch_free)

/* Goes on from a digest that was made before. */
void attest_launch_seed(struct attest_launch *launch, const uint8_t digest[ATTEST_LAUNCH_DIGEST]);

/*
 * One page. Of a NORMAL and a VMSA page the ATTEST_PAGE_SIZE bytes are hashed; page is NULL for
 * the other kinds. A VMSA has no address of its own: gpa is not looked at. 0 or -EIO.
 */
int attest_launch_add(struct attest_launch *launch, enum attest_page kind, uint64_t gpa,
		      const uint8_t *page);

/* contents as NORMAL pages from gpa up. -EINVAL: not whole pages, or past the addresses' end. */
int attest_launch_add_region(struct attest_launch *launch, uint64_t gpa, struct bytes contents);

/* len bytes of pages without contents. -EINVAL as above. */
int attest_launch_add_blank(struct attest_launch *launch, enum attest_page kind, uint64_t gpa,
			    uint64_t len);

void attest_launch_digest(const struct attest_launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST]);

/* SHA-256 of what the firmware is told to start. */
struct attest_boot_hashes {
	uint8_t kernel[ATTEST_SHA256_SIZE];
	uint8_t initrd[ATTEST_SHA256_SIZE]; /* of nothing, if there is none */
	uint8_t cmdline[ATTEST_SHA256_SIZE];
};

/*
 * The kernel's file as it is given to QEMU; the command line with the NUL that ends it ("" if there
 * is none). 0 or -EIO.
 */
int attest_boot_hash(struct bytes kernel, struct bytes initrd, const char *cmdline,
		     struct attest_boot_hashes *ret);

/*
 * QEMU's table of those hashes, 176 bytes (target/i386/sev.c), into a page that is else zero.
 * offset + 176 is at most ATTEST_PAGE_SIZE.
 */
enum { ATTEST_HASH_TABLE_SIZE = 176 };
void attest_boot_hashes_page(const struct attest_boot_hashes *hashes, size_t offset,
			     uint8_t ret_page[ATTEST_PAGE_SIZE]);

/* 16 bytes as they lie in memory: the first three groups little-endian. */
void attest_guid_write(const char *guid, uint8_t ret[16]);

#endif
