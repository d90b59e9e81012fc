/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes - a borrowed view of memory whose every read is checked.
 *
 * What comes from outside (a file, a guest, a peer) stays a struct bytes until a parser has made
 * a typed struct of it. The view owns nothing and must not outlive what it points at.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *at;
	size_t len;
};

/* True if n bytes from off lie inside b; no sum that could overflow. */
static inline bool bytes_has(struct bytes b, size_t off, size_t n)
{
	return off <= b.len && n <= b.len - off;
}

/* Loads; the caller has asked bytes_has(), a miss is a bug. */
static inline uint8_t bytes_u8(struct bytes b, size_t off)
{
	assert(bytes_has(b, off, 1));
	return b.at[off];
}

static inline uint32_t bytes_be32(struct bytes b, size_t off)
{
	assert(bytes_has(b, off, 4));
	return (uint32_t)b.at[off] << 24 | (uint32_t)b.at[off + 1] << 16 |
	       (uint32_t)b.at[off + 2] << 8 | b.at[off + 3];
}

static inline uint32_t bytes_le32(struct bytes b, size_t off)
{
	assert(bytes_has(b, off, 4));
	return (uint32_t)b.at[off + 3] << 24 | (uint32_t)b.at[off + 2] << 16 |
	       (uint32_t)b.at[off + 1] << 8 | b.at[off];
}

#endif
