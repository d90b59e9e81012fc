/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - what a lease's journal says: records to bytes, bytes to what is left to undo.
 *
 * Pure. A journal is lines of text, only ever added to:
 *
 *	CHECKSUM boot 1 BOOT-ID		first: the format's version and which boot this is
 *	CHECKSUM do N KIND ARGUMENT	before step N (0, 1, ...) is taken
 *	CHECKSUM undone N		after it was undone
 *
 * The checksum (CRC-32, 8 hex digits) is of the rest of the line. A line that a crash tore can only
 * be the last; it says nothing, because its step was not taken. A bad line before a good one is
 * damage: the rest is read all the same, and the reader told.
 */
#ifndef LEASE_JOURNAL_H
#define LEASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

enum {
	LEASE_JOURNAL_MAX = 4 << 20, /* bytes */
	LEASE_ENTRIES_MAX = 4096,
	LEASE_BOOT_MAX = 64, /* characters of a boot id */
	LEASE_KIND_MAX = 32,
	LEASE_ARG_MAX = 512, /* bytes, before they are escaped */
};

struct lease_entry {
	const char *kind;
	const char *arg;
	bool is_undone;
};

struct lease_journal {
	char boot[LEASE_BOOT_MAX + 1]; /* empty if the journal ended before it was said */
	struct lease_entry *entries;   /* entry N is step N */
	size_t count;
	size_t len;	 /* bytes up to the end of the last good line */
	bool is_damaged; /* a bad line is among the good ones */
};

/*
 * Each adds one line to *ret. kind is [a-z0-9-], 1 to LEASE_KIND_MAX; arg is any text, 1 to
 * LEASE_ARG_MAX bytes; boot_id is [0-9a-f-], 1 to LEASE_BOOT_MAX. -EINVAL if not, -ENOMEM.
 */
int lease_journal_boot(struct buf *ret, const char *boot_id);
int lease_journal_do(struct buf *ret, size_t step, const char *kind, const char *arg);
int lease_journal_undone(struct buf *ret, size_t step);

/*
 * Reads a journal; what *ret points to lives in arena. Any bytes are a journal, if an empty or a
 * damaged one, except:
 *
 *	-EPROTONOSUPPORT  a version of the format that is not known here
 *	-EFBIG            more than LEASE_JOURNAL_MAX bytes or LEASE_ENTRIES_MAX entries
 *	-ENOMEM
 */
int lease_journal_read(struct arena *arena, struct bytes data, struct lease_journal *ret);

#endif
