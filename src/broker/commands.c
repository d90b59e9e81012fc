// SPDX-License-Identifier: Apache-2.0
/* The commands that look at, or fill, a store. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "base/text.h"
#include "broker/audit.h"
#include "broker/broker.h"
#include "broker/store.h"
#include "broker/tls.h"

static int fail(const char *command, const struct err *err)
{
	broker_say("%s: %s", command, err->msg);
	return err->code == ERR_USAGE ? BROKER_USAGE : BROKER_FAILED;
}

/* All of standard input, and one byte more than may be: then it is too long. */
static int read_secret(struct buf *ret, struct err *err)
{
	/* in one piece, so that none is left behind where it grew */
	if (buf_reserve(ret, BROKER_SECRET_MAX + 1) < 0)
		return err_num(err, -ENOMEM, "read the secret");
	while (ret->len <= BROKER_SECRET_MAX) {
		ssize_t n =
			read(STDIN_FILENO, ret->at + ret->len, BROKER_SECRET_MAX + 1 - ret->len);

		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(err, "read standard input");
		ret->len += n > 0 ? (size_t)n : 0;
	}
	return 0; /* the store says that it is too long */
}

int broker_put_main(const struct broker_args *args)
{
	CLEANUP(broker_store_close) struct broker_store *store = NULL;
	CLEANUP(buf_done) struct buf secret = { 0 };
	struct err err = { 0 };
	int r = args->remove ? 0 : read_secret(&secret, &err);

	if (r == 0)
		r = broker_store_open(args->words[0], true, &store, &err);
	if (r == 0 && args->remove) {
		r = broker_store_remove(store, args->words[1], &err);
		if (r == 0)
			r = err_set(&err, -ENOENT, "there is no '%s'", args->words[1]);
	} else if (r == 0) {
		r = broker_store_put(store, args->words[1], buf_bytes(&secret), &err);
	}
	if (secret.at)
		OPENSSL_cleanse(secret.at, secret.cap);
	return r < 0 ? fail("put", &err) : BROKER_OK;
}

static int list_one(void *data, const char *name, size_t size)
{
	json_t *list = data;

	if (!list)
		return printf("%8zu  %s\n", size, name) < 0 ? -EIO : 0;
	return json_array_append_new(list, json_pack("{s:s, s:I}", "name", name, "size",
						     (json_int_t)size)) < 0
		       ? -ENOMEM
		       : 0;
}

static int print_list(const json_t *list)
{
	json_t *json = json_pack("{s:i, s:O}", "schema", 1, "secrets", list);
	cleanup_free char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;

	json_decref(json);
	return text && puts(text) != EOF ? 0 : -EIO;
}

int broker_list_main(const struct broker_args *args)
{
	CLEANUP(broker_store_close) struct broker_store *store = NULL;
	json_t *list = args->json ? json_array() : NULL;
	struct err err = { 0 };
	int r = broker_store_open(args->words[0], false, &store, &err);

	if (r == 0)
		r = broker_store_list(store, list_one, list, &err);
	if (r == 0 && list)
		r = print_list(list);
	json_decref(list);
	if (r < 0 && !err.msg[0])
		(void)err_num(&err, r, "list");
	return r < 0 ? fail("list", &err) : BROKER_OK;
}

int broker_audit_main(const struct broker_args *args)
{
	struct err err = { 0 };

	return broker_audit_print(args->words[0], args->json, &err) < 0 ? fail("audit", &err)
									: BROKER_OK;
}

int broker_key_main(const struct broker_args *args)
{
	CLEANUP(broker_tls_done) struct broker_tls tls = { 0 };
	uint8_t digest[BROKER_TLS_DIGEST];
	char hex[2 * BROKER_TLS_DIGEST + 1];
	struct err err = { 0 };
	int r = broker_tls_load(args->words[0], &tls, &err);

	if (r == 0)
		r = broker_tls_digest(&tls, digest, &err);
	if (r < 0)
		return fail("key", &err);
	text_hex(digest, sizeof(digest), hex);
	return puts(hex) == EOF ? BROKER_FAILED : BROKER_OK;
}
