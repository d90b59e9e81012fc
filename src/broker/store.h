/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - the secrets, in an SQLite database: one file of mode 0600 in a folder of mode 0700.
 *
 * `put` is the one writer, and locks the others out while it writes; the serving process reads.
 * What is overwritten or removed is zeroed in the file.
 */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	BROKER_SECRET_MAX = 256 << 10, /* bytes of one */
	BROKER_SECRETS_MAX = 65536,
};

#define BROKER_STORE_FILE "secrets.db"

struct broker_store;

/*
 * Opens the database in folder, which is made, too, if may_write. -EPERM: a folder or file that is
 * open to others; -ENOENT: there is none; -EINVAL: it is no store of ours; -EBUSY, -EIO, -ENOMEM.
 */
int broker_store_open(const char *folder, bool may_write, struct broker_store **ret,
		      struct err *err);
struct broker_store *broker_store_close(struct broker_store *store);
CLEANUP_PTR(struct broker_store, broker_store_close)

/* In the place of what has that name. -EINVAL: no such name can be; -E2BIG; -EIO. */
int broker_store_put(struct broker_store *store, const char *name, struct bytes value,
		     struct err *err);

/* 1: it was removed; 0: there was none. */
int broker_store_remove(struct broker_store *store, const char *name, struct err *err);

/* Adds the value: the caller wipes it. 1; 0: there is none; -EIO, -ENOMEM. */
int broker_store_get(struct broker_store *store, const char *name, struct buf *ret,
		     struct err *err);

/* In the order of names. fn's negative number ends it and is returned. */
typedef int broker_store_fn(void *data, const char *name, size_t size);
int broker_store_list(struct broker_store *store, broker_store_fn *fn, void *data, struct err *err);

#endif
