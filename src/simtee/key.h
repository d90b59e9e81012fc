/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key - the process that has the processor's key, and asking it.
 *
 * It is a child of a user of its own: root's launcher is not that user, and no other user may look
 * into its memory or its directory. It has no capability, no descriptor but the one it is asked on,
 * its directory as its root, and it does one thing: to sign a report about facts it is given. So
 * whoever breaks into the process that launches can have reports made, but not the key.
 */
#ifndef SIMTEE_KEY_H
#define SIMTEE_KEY_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "simtee/report.h"
#include "sys/loop.h"

struct key;

/*
 * Once for each ask: later, or in key_free(). report is NULL if there is none; certificates are
 * PEM: the chip's, its issuer's, the root's. Both end with the callback.
 */
typedef void key_reply_fn(void *data, const uint8_t *report, struct bytes certificates);

/*
 * Forks. dir (made, if nothing is there, for the key's user) keeps the key; uid is that user, and
 * his group's number. Waits until the key is there. on_end is called if the process ends by itself.
 * -EPERM: the directory is not that user's alone; what identity_load() says.
 */
int key_start(struct loop *loop, const char *dir, uid_t uid, void (*on_end)(void *data), void *data,
	      struct key **ret, struct err *err);

/* Ends the process. NULL is fine; returns NULL. */
struct key *key_free(struct key *key);
CLEANUP_PTR(struct key, key_free)

/* Answered in the order of the calls. -ENOMEM; -EPIPE: the process has ended. */
int key_ask(struct key *key, const struct report_facts *facts, key_reply_fn *fn, void *data);

#endif
