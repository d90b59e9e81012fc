/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict - what an attestation check concluded: parts, each with what it claims and why it was
 * refused.
 *
 *	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
 *	struct attest_part *part = attest_verdict_part(&verdict, ATTEST_PART_SNP_TCB, "");
 *
 *	attest_part_claim_number(part, "microcode", 219);
 *	attest_part_refuse(part, ATTEST_TCB_TOO_LOW, "microcode is %d, not %d", 219, 220);
 *	if (attest_verdict_is_ok(&verdict)) ...
 *
 * It fails closed: no part at all, a part without an end (attest_part_done()), a refusal, or no
 * memory for any of it is a "no". Parts that are NULL are taken: there was no memory for them.
 *
 * Claims are what the evidence says. Only with an "ok" for the whole are they what somebody vouches
 * for.
 */
#ifndef ATTEST_VERDICT_H
#define ATTEST_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "attest/reason.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum {
	ATTEST_PARTS_MAX = 256,
	ATTEST_REFUSALS_MAX = 32, /* of one part; more are a "no" as well, and not told */
};

enum attest_part_kind {
	ATTEST_PART_SNP_REPORT,	      /* is it one, and what does it say */
	ATTEST_PART_SNP_CERTIFICATES, /* chain to a trusted root */
	ATTEST_PART_SNP_SIGNATURE,    /* the report is by the chip of that certificate */
	ATTEST_PART_SNP_TCB,	      /* firmware levels */
	ATTEST_PART_SNP_GUEST,	      /* what the guest was launched to permit, and the platform */
	ATTEST_PART_SNP_BINDING,      /* launch digest, report data, host data */
	ATTEST_PART_KIND_COUNT
};

const char *attest_part_kind_name(enum attest_part_kind kind); /* "snp-report" */

struct attest_part {
	enum attest_part_kind kind;
	char *subject; /* which of several: a device's address; "" */
	bool is_done;
	bool is_refused;
	json_t *claims; /* an object */
	struct attest_refusal *refusals;
	size_t refusal_count;
};

struct attest_verdict {
	bool is_simulated;	/* some of the evidence is from the simulated processor */
	bool freshness_checked; /* report data were compared with a nonce's */
	bool policy_applied;	/* something was expected beyond the defaults */
	bool is_broken;		/* no memory: what is here is not all */
	struct attest_part *parts[ATTEST_PARTS_MAX];
	size_t part_count;
};

void attest_verdict_done(struct attest_verdict *verdict);
CLEANUP_FUNC(struct attest_verdict, attest_verdict_done)

bool attest_verdict_is_ok(const struct attest_verdict *verdict);

/* The first refusal of all; NULL: there is none, or there was no memory for it. */
const struct attest_refusal *attest_verdict_first(const struct attest_verdict *verdict);

/* True if any part was refused for that reason. */
bool attest_verdict_has(const struct attest_verdict *verdict, enum attest_reason reason);

/*
 * {"schema": 1, "ok": false, "simulated": false, "freshness": "checked" or "unchecked",
 *  "policy": "applied" or "none",
 *  "parts": [{"kind", "subject" (if any), "ok", "claims": {}, "refusals": [{"code", "text"}]}],
 *  "refusals": [those of all parts]}
 *
 * Sorted and indented; the caller frees *ret_text. -ENOMEM, also for a verdict that lacked memory.
 */
int attest_verdict_json(const struct attest_verdict *verdict, char **ret_text);

/* A new part, which lives as long as the verdict; NULL: no memory, or too many. */
struct attest_part *attest_verdict_part(struct attest_verdict *verdict, enum attest_part_kind kind,
					const char *subject);
void attest_part_refuse(struct attest_part *part, enum attest_reason reason, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void attest_part_done(struct attest_part *part); /* all that is to be checked was checked */

/* What cannot be written down makes the part a "no" by itself. text is UTF-8. */
void attest_part_claim_text(struct attest_part *part, const char *name, const char *text);
void attest_part_claim_hex(struct attest_part *part, const char *name, struct bytes value);
void attest_part_claim_number(struct attest_part *part, const char *name, uint64_t value);
void attest_part_claim_bool(struct attest_part *part, const char *name, bool value);
void attest_part_claim_json(struct attest_part *part, const char *name, json_t *take_value);

#endif
