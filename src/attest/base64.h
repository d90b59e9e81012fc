/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64 - RFC 4648, in the two forms that brokers use: standard with padding, and URL-safe
 * without. Of each there is one spelling for the same bytes, and no other is read.
 */
#ifndef ATTEST_BASE64_H
#define ATTEST_BASE64_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"

int attest_base64_add(struct buf *ret, struct bytes plain, bool is_url);

/* Adds the bytes. -EINVAL: not that form; -ENOMEM. */
int attest_base64_read(struct bytes text, bool is_url, struct buf *ret);

/* Exactly len bytes. -EINVAL, -ENOMEM. */
int attest_base64_fixed(struct bytes text, bool is_url, size_t len, uint8_t *ret);

#endif
