/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roots - whom a verifier trusts: a table, handed to it. AMD's is here; the simulated processor's
 * root is made for each host and is never in it, so whoever wants to trust one has to say so.
 */
#ifndef ATTEST_ROOTS_H
#define ATTEST_ROOTS_H

#include <stddef.h>
#include <stdint.h>

#include "attest/snp_report.h"

enum { ATTEST_ROOT_SIZE = 32, ATTEST_ROOTS_MAX = 16 };

/* A root, by the SHA-256 of its certificate (DER), and what it may vouch for. */
struct attest_root {
	enum attest_snp_product product;
	uint8_t sha256[ATTEST_ROOT_SIZE];
};

struct attest_roots {
	struct attest_root at[ATTEST_ROOTS_MAX];
	size_t count;
};

/* Milan's, Genoa's and Turin's. */
const struct attest_roots *attest_roots_amd(void);

/* Common names in the certificates of a product: what tells one key from the other. */
struct attest_snp_names {
	const char *ask;  /* issues VCEKs */
	const char *asvk; /* issues VLEKs; NULL: there are none */
	const char *vcek;
	const char *vlek;
};

const struct attest_snp_names *attest_snp_names(enum attest_snp_product product);

#endif
