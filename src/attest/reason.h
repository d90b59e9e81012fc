/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reason - why evidence was refused, or a call was: one stable word for each, for programs, and
 * what it means and what to do, for people (`casemate explain`).
 *
 * The names are public: a verdict's JSON, audit lines and stderr have them. They are never
 * renamed, and never used for anything else.
 */
#ifndef ATTEST_REASON_H
#define ATTEST_REASON_H

#include <stddef.h>

#include "base/macro.h"

enum attest_reason {
	ATTEST_EVIDENCE_MALFORMED,
	ATTEST_REPORT_VERSION,
	ATTEST_REPORT_UNSIGNED,
	ATTEST_REPORT_SIGNATURE,
	ATTEST_REPORT_BY_HOST,
	ATTEST_CERTIFICATE_MISSING,
	ATTEST_CERTIFICATE_INVALID,
	ATTEST_CERTIFICATE_EXPIRED,
	ATTEST_CERTIFICATE_UNTRUSTED,
	ATTEST_CERTIFICATE_REVOKED,
	ATTEST_COLLATERAL_EXPIRED,
	ATTEST_REVOCATION_UNCHECKED,
	ATTEST_PRODUCT_MISMATCH,
	ATTEST_CHIP_MISMATCH,
	ATTEST_CHIP_NOT_ALLOWED,
	ATTEST_TCB_MISMATCH,
	ATTEST_TCB_INCONSISTENT,
	ATTEST_TCB_TOO_LOW,
	ATTEST_GUEST_DEBUG,
	ATTEST_GUEST_MIGRATABLE,
	ATTEST_GUEST_POLICY,
	ATTEST_GUEST_SVN,
	ATTEST_PLATFORM,
	ATTEST_VMPL,
	ATTEST_ID_KEY,
	ATTEST_REPORT_DATA_MISMATCH,
	ATTEST_HOST_DATA_MISMATCH,
	ATTEST_LAUNCH_DIGEST_MISMATCH,
	ATTEST_SIMULATED,
	ATTEST_POLICY_MALFORMED,
	ATTEST_POLICY_FIELD,
	ATTEST_POLICY_LAYERS,
	ATTEST_POLICY_ARGS,
	ATTEST_POLICY_ENV,
	ATTEST_POLICY_CWD,
	ATTEST_POLICY_USER,
	ATTEST_POLICY_TERMINAL,
	ATTEST_POLICY_HOSTNAME,
	ATTEST_POLICY_READ_ONLY,
	ATTEST_POLICY_RESOURCES,
	ATTEST_POLICY_CAPABILITIES,
	ATTEST_POLICY_NO_NEW_PRIVILEGES,
	ATTEST_POLICY_RLIMITS,
	ATTEST_POLICY_DEVICES,
	ATTEST_POLICY_EXEC,
	ATTEST_POLICY_SECRET,
	ATTEST_RESOURCE_DENIED,
	ATTEST_SESSION_UNKNOWN,
	ATTEST_MESSAGE_MALFORMED,
	ATTEST_BROKER_KEY_MISMATCH,
	ATTEST_BROKER_UNREACHABLE,
	ATTEST_REPORT_UNAVAILABLE,
	ATTEST_REASON_COUNT
};

struct attest_reason_info {
	const char *name; /* "launch-digest-mismatch" */
	const char *what;
	const char *todo;
};

/* NULL from ATTEST_REASON_COUNT on. */
const struct attest_reason_info *attest_reason_info(size_t i);
const char *attest_reason_name(enum attest_reason reason);

/* By its name; ATTEST_REASON_COUNT: there is none. */
enum attest_reason attest_reason_find(const char *name);

enum { ATTEST_REFUSAL_TEXT = 240 }; /* bytes of a text, its NUL included; longer is cut */

struct attest_refusal {
	enum attest_reason reason;
	char text[ATTEST_REFUSAL_TEXT]; /* of this case: which, how many, and not which */
};

void attest_refusal_set(struct attest_refusal *refusal, enum attest_reason reason, const char *fmt,
			...) PRINTF_LIKE(3, 4);

#endif
