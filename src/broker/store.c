// SPDX-License-Identifier: Apache-2.0
#include "broker/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "attest/kbs.h"
#include "sys/file.h"

enum {
	APPLICATION_ID = 0x43736d42, /* "CsmB" */
	BUSY_MS = 5000,
};

struct broker_store {
	sqlite3 *db;
	sqlite3_stmt *get;
};

static void statement_done(sqlite3_stmt **statement)
{
	(void)sqlite3_finalize(*statement);
}
CLEANUP_FUNC(sqlite3_stmt *, statement_done)

/* Values are never in its messages: they are bound, not written. */
static int fail(const struct broker_store *store, const char *what, struct err *err)
{
	int code = sqlite3_extended_errcode(store->db) & 0xff;
	int num = code == SQLITE_BUSY ? -EBUSY : code == SQLITE_NOMEM ? -ENOMEM : -EIO;

	return err_set(err, num, "%s: %s", what, sqlite3_errmsg(store->db));
}

static int run(struct broker_store *store, const char *sql, struct err *err)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : fail(store, "use the store", err);
}

static int prepare(struct broker_store *store, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	return sqlite3_prepare_v2(store->db, sql, -1, ret, NULL) == SQLITE_OK
		       ? 0
		       : fail(store, "use the store", err);
}

static int get_number(struct broker_store *store, const char *sql, int *ret, struct err *err)
{
	CLEANUP(statement_done) sqlite3_stmt *statement = NULL;
	int r = prepare(store, sql, &statement, err);

	if (r < 0)
		return r;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return fail(store, "read the store", err);
	*ret = sqlite3_column_int(statement, 0);
	return 0;
}

/* The file is made here, so that it never was open to others. */
static int check_file(const char *folder, bool may_write, struct err *err)
{
	int flags = O_NOFOLLOW | O_CLOEXEC | (may_write ? O_RDWR | O_CREAT : O_RDONLY);
	cleanup_close int dir_fd = -1, fd = -1;
	struct stat st;
	int r;

	if (may_write) {
		r = file_open_private_dir(AT_FDCWD, folder, geteuid(), &dir_fd, err);
	} else {
		r = file_open_dir(AT_FDCWD, folder, &dir_fd, err);
		if (r == 0 && fstat(dir_fd, &st) == 0 && st.st_mode & 077)
			r = err_set(err, -EPERM, "open '%s': others may look into it", folder);
	}
	if (r < 0)
		return r;
	fd = openat(dir_fd, BROKER_STORE_FILE, flags, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open '%s/" BROKER_STORE_FILE "'", folder);
	if (!S_ISREG(st.st_mode) || st.st_mode & 077)
		return err_set(err, -EPERM, "open '%s/" BROKER_STORE_FILE "': it is open to others",
			       folder);
	return 0;
}

static int check_schema(struct broker_store *store, bool may_write, struct err *err)
{
	int id = 0, tables = 0;
	int r = get_number(store, "PRAGMA application_id", &id, err);

	if (r == 0)
		r = get_number(store, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (r == 0 && tables == 0 && may_write) {
		r = run(store,
			"BEGIN IMMEDIATE;"
			"PRAGMA application_id = 1131638082;"
			"CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY NOT NULL,"
			" value BLOB NOT NULL) WITHOUT ROWID;"
			"COMMIT",
			err);
		id = APPLICATION_ID;
	}
	if (r == 0 && tables == 0 && !may_write)
		return err_set(err, -ENOENT, "open the store: there is nothing in it yet");
	if (r == 0 && id != APPLICATION_ID)
		return err_set(err, -EINVAL, "open the store: the database is another program's");
	return r;
}

static int open_db(const char *folder, bool may_write, struct broker_store *store, struct err *err)
{
	CLEANUP(buf_done) struct buf path = { 0 };
	int r = buf_addf(&path, "%s/" BROKER_STORE_FILE, folder);
	int flags = (may_write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
		    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;

	if (r == 0)
		r = buf_add(&path, "", 1);
	if (r < 0)
		return err_num(err, r, "open the store");
	if (sqlite3_open_v2((const char *)path.at, &store->db, flags, NULL) != SQLITE_OK)
		return store->db ? fail(store, "open the store", err)
				 : err_num(err, -ENOMEM, "open the store");
	(void)sqlite3_busy_timeout(store->db, BUSY_MS);
	(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = run(store, "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY", err);
	if (r == 0 && may_write)
		r = run(store, "PRAGMA synchronous = FULL", err);
	return r < 0 ? r : check_schema(store, may_write, err);
}

int broker_store_open(const char *folder, bool may_write, struct broker_store **ret,
		      struct err *err)
{
	CLEANUP(broker_store_close) struct broker_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_num(err, -ENOMEM, "open the store");
	r = check_file(folder, may_write, err);
	if (r == 0)
		r = open_db(folder, may_write, store, err);
	if (r == 0)
		r = prepare(store, "SELECT value FROM secret WHERE name = ?1", &store->get, err);
	if (r < 0)
		return err_wrap(err, r, "store '%s'", folder);
	*ret = steal_ptr(&store);
	return 0;
}

struct broker_store *broker_store_close(struct broker_store *store)
{
	if (!store)
		return NULL;
	(void)sqlite3_finalize(store->get);
	(void)sqlite3_close(store->db);
	free(store);
	return NULL;
}

static int check_count(struct broker_store *store, struct err *err)
{
	int count = 0;
	int r = get_number(store, "SELECT count(*) FROM secret", &count, err);

	if (r == 0 && count >= BROKER_SECRETS_MAX)
		return err_set(err, -E2BIG, "there are %d secrets already", count);
	return r;
}

int broker_store_put(struct broker_store *store, const char *name, struct bytes value,
		     struct err *err)
{
	CLEANUP(statement_done) sqlite3_stmt *statement = NULL;
	int r;

	if (!attest_kbs_resource_valid(name))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "'%s' is no name: it is 'repository/type/tag'", name);
	if (value.len > BROKER_SECRET_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "a secret has %d bytes at most",
				 BROKER_SECRET_MAX);
	r = check_count(store, err);
	if (r == 0)
		r = prepare(store, "INSERT OR REPLACE INTO secret VALUES (?1, ?2)", &statement,
			    err);
	if (r < 0)
		return r;
	if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_blob(statement, 2, value.len ? (const void *)value.at : "", (int)value.len,
			      SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_DONE)
		return fail(store, "write to the store", err);
	return 0;
}

int broker_store_remove(struct broker_store *store, const char *name, struct err *err)
{
	CLEANUP(statement_done) sqlite3_stmt *statement = NULL;
	int r = prepare(store, "DELETE FROM secret WHERE name = ?1", &statement, err);

	if (r < 0)
		return r;
	if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_DONE)
		return fail(store, "write to the store", err);
	return sqlite3_changes(store->db) > 0;
}

int broker_store_get(struct broker_store *store, const char *name, struct buf *ret, struct err *err)
{
	int step, r = 0;

	if (sqlite3_bind_text(store->get, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return fail(store, "read the store", err);
	step = sqlite3_step(store->get);
	if (step == SQLITE_ROW) {
		const void *at = sqlite3_column_blob(store->get, 0);
		size_t len = (size_t)sqlite3_column_bytes(store->get, 0);

		r = buf_add(ret, at, len) < 0 ? err_num(err, -ENOMEM, "read the store") : 1;
	} else if (step != SQLITE_DONE) {
		r = fail(store, "read the store", err);
	}
	(void)sqlite3_reset(store->get);
	return r;
}

int broker_store_list(struct broker_store *store, broker_store_fn *fn, void *data, struct err *err)
{
	CLEANUP(statement_done) sqlite3_stmt *statement = NULL;
	int r = prepare(store, "SELECT name, length(value) FROM secret ORDER BY name", &statement,
			err);
	int step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
		r = fn(data, (const char *)sqlite3_column_text(statement, 0),
		       (size_t)sqlite3_column_int64(statement, 1));
	if (r == 0 && step != SQLITE_DONE)
		r = fail(store, "read the store", err);
	return r;
}
