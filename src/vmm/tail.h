/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail - the last bytes of a stream that somebody else writes, and their text for a person.
 *
 *	struct tail tail = { 0 };
 *	r = tail_init(&tail, 16 << 10);
 *	tail_add(&tail, bytes);			as often as one likes: never more is kept
 *	r = tail_text(&tail, 20, &text);
 *	tail_done(&tail);
 */
#ifndef VMM_TAIL_H
#define VMM_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/macro.h"

struct tail {
	uint8_t *at;
	size_t size;
	size_t next; /* where the next byte goes */
	size_t len;  /* how many there are, size at most */
};

int tail_init(struct tail *tail, size_t size); /* 0 or -ENOMEM */
void tail_done(struct tail *tail);
CLEANUP_FUNC(struct tail, tail_done)
void tail_add(struct tail *tail, struct bytes bytes);

/*
 * Adds the last lines, at most that many, to *ret: printable ASCII, each line ended by a line
 * feed. Escape sequences of terminals and carriage returns are left out, a tab is a space, any
 * other byte a '?'; empty lines at the end don't count. 0 or -ENOMEM.
 */
int tail_text(const struct tail *tail, size_t lines, struct buf *ret);

#endif
