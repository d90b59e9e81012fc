/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closed - JSON objects that have the names they may have, and no others.
 */
#ifndef ATTEST_CLOSED_PRIV_H
#define ATTEST_CLOSED_PRIV_H

#include <stddef.h>

#include "base/err.h"
#include "oci/json.h"

/* An object, absent too unless it is needed. -EINVAL: none, or a name not among the known. */
int attest_closed(const struct oci_json *at, const char *const *known, size_t count,
		  struct err *err);

/* A list of hex digits, each of len bytes, to ret. -EINVAL, -E2BIG. */
int attest_closed_hexes(const struct oci_json *at, size_t len, size_t max, uint8_t *ret,
			size_t *ret_count, struct err *err);

/* The place of a word in a list; -EINVAL: a string that is none of them, or no string. */
int attest_closed_word(const struct oci_json *at, const char *const *words, size_t count,
		       size_t *ret, struct err *err);

#endif
