/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - who has been given a nonce, and who has been judged since.
 *
 * A session is WAITING from its nonce on, for one report, and ATTESTED after a good one. Any
 * attempt uses the nonce up: after a bad one the session is gone. The table is bounded: who comes
 * when it is full takes the place of who has waited longest; those attested keep theirs, until
 * their time is over or there are too many of them.
 */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/certs.h"
#include "attest/jwe.h"
#include "attest/kbs.h"
#include "attest/snp_report.h"
#include "base/buf.h"
#include "broker/protocol.h"

enum {
	BROKER_SESSIONS_MAX = 4096,
	BROKER_ATTESTED_MAX = 1024,
	BROKER_WAIT_S = 120,	  /* from nonce to report */
	BROKER_LIFE_S = 300,	  /* from verdict to the last secret */
	BROKER_ANSWERS_MAX = 256, /* to one who is attested */
	BROKER_DIGEST_SIZE = 32,
};

enum broker_state {
	BROKER_FREE,
	BROKER_WAITING,
	BROKER_ATTESTED,
};

struct broker_session {
	enum broker_state state;
	uint8_t id[BROKER_SESSION_SIZE];
	int64_t begin_s, end_s;
	enum attest_kbs_tee tee;
	uint8_t nonce[ATTEST_KBS_NONCE];
	/* of one that is attested */
	uint8_t token[BROKER_DIGEST_SIZE]; /* its SHA-256 */
	unsigned answers;
	struct attest_jwk key;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct attest_certs certs;
	struct strv resources; /* that its policy lists */
};

struct broker_sessions {
	struct broker_session at[BROKER_SESSIONS_MAX];
};

/* It is large: on the heap. */
int broker_sessions_new(struct broker_sessions **ret);
struct broker_sessions *broker_sessions_free(struct broker_sessions *sessions);

void broker_session_clear(struct broker_session *session);

/*
 * A place for a new one, which the caller fills; NULL: all are attested. Those whose time is over
 * are cleared.
 */
struct broker_session *broker_sessions_place(struct broker_sessions *sessions, int64_t now_s);

/* NULL: none that is in that state and in its time. Who looks by token finds attested ones only. */
struct broker_session *broker_sessions_find(struct broker_sessions *sessions,
					    enum broker_state state, const uint8_t *id,
					    int64_t now_s);
struct broker_session *broker_sessions_find_token(struct broker_sessions *sessions,
						  const uint8_t token[BROKER_DIGEST_SIZE],
						  int64_t now_s);

/*
 * May one more be attested? If there are as many as may be, who was attested first goes, of those
 * that have had an answer: they have asked for what they wanted, and else begin again. False:
 * none of them has.
 */
bool broker_sessions_make_room(struct broker_sessions *sessions, int64_t now_s);

#endif
