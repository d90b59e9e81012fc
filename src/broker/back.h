/* SPDX-License-Identifier: Apache-2.0 */
/*
 * back - the process that has the secrets and faces no network: it answers the front's messages.
 *
 * Whoever the front is, and whatever it says: a secret leaves this process only wrapped to a key
 * that a report vouches for, after a rule has held for that report, and after the decision is in
 * the audit log.
 */
#ifndef BROKER_BACK_H
#define BROKER_BACK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "broker/audit.h"
#include "broker/protocol.h"
#include "broker/rules.h"
#include "broker/session.h"
#include "broker/store.h"
#include "broker/token.h"

enum { BROKER_RANDOM_SIZE = 128 };

/* Fills at with len random bytes. 0 or negative: then nothing is given out. */
typedef int broker_random_fn(void *at, size_t len);

struct broker_back {
	struct broker_rules rules;
	struct broker_sessions *sessions;
	struct broker_store *store;
	struct broker_audit *audit;
	struct broker_token_key *token_key;
	broker_random_fn *random;
	struct attest_memo memo;
};

void broker_back_done(struct broker_back *back);
CLEANUP_FUNC(struct broker_back, broker_back_done)

/*
 * Adds the answer to out, and a line for the audit log: that has to be synced before out is sent.
 * -ENOMEM, -EIO: there is no answer; the session is as if it had not been asked, or gone.
 */
int broker_back_answer(struct broker_back *back, const Broker__Request *request, int64_t now_s,
		       struct buf *out);

/* Serves fd until the front or a signal ends it: 0. Rules are read again at SIGHUP. */
int broker_back_serve(struct broker_back *back, int fd, const char *rules_path, struct err *err);

#endif
