/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - JSON read by somebody who can say where it is wrong.
 *
 *	CLEANUP(oci_json_free) json_t *root = NULL;
 *	struct oci_json doc, size;
 *
 *	r = oci_json_load(text, "index.json", &root, err);
 *	doc = oci_json_root(root, "index.json");
 *	size = oci_json_get(&doc, "size");
 *	r = oci_json_u64(&size, 0, UINT32_MAX, &n, err);
 *
 * A struct oci_json is a place in a document, there or not: a chain of them on the stack is the
 * JSON pointer that a message names ("read 'index.json': /manifests/0/size: ..."). It borrows
 * the document, the strings and the place above it. null is taken as absent: Go's tools write it
 * for empty lists.
 *
 * Unless said otherwise a function returns 0, or -EINVAL with ERR_IMAGE for what is not as it
 * should be, -E2BIG with ERR_IMAGE_LIMIT for more than a limit, or -ENOMEM.
 */
#ifndef OCI_JSON_H
#define OCI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum {
	OCI_JSON_MAX = 4 << 20, /* bytes of one document */
	OCI_JSON_DEPTH = 64,	/* brackets in brackets */
};

struct oci_json {
	const char *file;	   /* how messages call the document */
	const struct oci_json *up; /* NULL: the document itself */
	const char *key;	   /* in up; NULL: index is */
	size_t index;
	json_t *value; /* NULL: absent */
};

static inline void oci_json_free(json_t *root)
{
	json_decref(root);
}
CLEANUP_PTR(json_t, oci_json_free)

/* An object or a list; names given twice, bytes after the end and NULs are refused. */
int oci_json_load(struct bytes text, const char *file, json_t **ret_root, struct err *err);

struct oci_json oci_json_root(json_t *root, const char *file);
struct oci_json oci_json_get(const struct oci_json *at, const char *key);
struct oci_json oci_json_item(const struct oci_json *at, size_t index);
bool oci_json_is_there(const struct oci_json *at);
bool oci_json_is_empty(const struct oci_json *at); /* absent, "", [], {}, false or 0 */

/* Sets err with the place before the words, and returns num. */
int oci_json_fail(const struct oci_json *at, enum err_code code, int num, struct err *err,
		  const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Absent is refused, too. */
int oci_json_object(const struct oci_json *at, struct err *err);
int oci_json_string(struct arena *arena, const struct oci_json *at, size_t max,
		    const char **ret_text, struct err *err);

/* Absent leaves *ret alone. */
int oci_json_u64(const struct oci_json *at, uint64_t least, uint64_t most, uint64_t *ret,
		 struct err *err);
int oci_json_bool(const struct oci_json *at, bool *ret, struct err *err);

/* A list; absent is one of no items. */
int oci_json_list(const struct oci_json *at, size_t max, size_t *ret_count, struct err *err);

struct oci_strings {
	const char *const *at; /* NULL-terminated; NULL while it was never filled */
	size_t count;
};

/* A list of strings, of at most max, each of at most max_len bytes. */
int oci_json_strings(struct arena *arena, const struct oci_json *at, size_t max, size_t max_len,
		     struct oci_strings *ret, struct err *err);

#endif
