/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - what was decided, one line of JSON for each decision, on disk before the answer is sent.
 *
 *	{"chip", "codes", "event": "attest" or "resource", "launch", "peer", "policy", "resource",
 *	 "tee", "text", "time", "verdict": "accepted", "released" or "refused"}
 *
 * Of a guest that was refused, digests and chip are what it said of itself. There is no secret in
 * it, and nothing that opens a session. The file is FOLDER/audit.log; at BROKER_AUDIT_MAX it
 * becomes audit.log.1, and so on, of which BROKER_AUDIT_OLD are kept.
 */
#ifndef BROKER_AUDIT_H
#define BROKER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/kbs.h"
#include "attest/verdict.h"
#include "base/err.h"

enum {
	BROKER_AUDIT_MAX = 16 << 20, /* bytes of one file */
	BROKER_AUDIT_OLD = 7,
	BROKER_AUDIT_LINE_MAX = 8 << 10,
};

#define BROKER_AUDIT_FILE "audit.log"

/* What is not known is NULL. */
struct broker_decision {
	int64_t time_s;
	const char *event;
	const char *resource;
	const char *verdict;
	const char *peer;
	const char *tee;
	const uint8_t *report;
	const struct attest_refusal *refusal;	/* the first, which the guest is told */
	const struct attest_verdict *judgement; /* all others */
};

struct broker_audit;

/* max_bytes: of one file, BROKER_AUDIT_MAX but for tests. */
int broker_audit_open(const char *folder, size_t max_bytes, struct broker_audit **ret,
		      struct err *err);
struct broker_audit *broker_audit_close(struct broker_audit *audit);

/* Keeps a line for broker_audit_sync(). -ENOMEM. */
int broker_audit_add(struct broker_audit *audit, const struct broker_decision *decision);

/* Writes what was added, and waits until it is on disk. After an error nothing may be released. */
int broker_audit_sync(struct broker_audit *audit, struct err *err);

/* Prints a file, or all of a store's, oldest first; as JSON, or for people. */
int broker_audit_print(const char *path, bool as_json, struct err *err);

#endif
