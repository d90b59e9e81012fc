/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space - configuration spaces made by hand, for the tests.
 */
#ifndef TESTS_PCI_SPACE_H
#define TESTS_PCI_SPACE_H

#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

struct space {
	uint8_t at[4096];
	size_t cap, ext; /* where the next pointer of each list goes; 0: none yet */
};

static inline void space_put(struct space *space, size_t off, uint64_t value, size_t size)
{
	while (size--) {
		space->at[off++] = (uint8_t)value;
		value >>= 8;
	}
}

static inline void space_init(struct space *space, uint32_t ids, uint32_t class_code, uint8_t type)
{
	memset(space, 0, sizeof(*space));
	space_put(space, 0x00, ids, 4);
	space_put(space, 0x08, class_code << 8 | 0xa1, 4);
	space->at[0x0e] = type;
}

/* Appends a capability at an offset to its list. */
static inline void space_add_cap(struct space *space, uint8_t id, uint8_t at)
{
	space->at[0x06] |= 0x10;
	space->at[space->cap ? space->cap : 0x34] = at;
	space->at[at] = id;
	space->at[at + 1] = 0;
	space->cap = at + 1U;
}

static inline void space_add_ext(struct space *space, uint16_t id, uint16_t at)
{
	if (space->ext)
		space_put(space, space->ext + 2, (uint64_t)at << 4 | 1, 2);
	space_put(space, at, (uint32_t)1 << 16 | id, 4);
	space->ext = at;
}

/* A capability of PCI Express with a port's type and link. */
static inline void space_add_express(struct space *space, uint8_t at, unsigned int type)
{
	space_add_cap(space, 0x10, at);
	space_put(space, at + 2U, type << 4 | 2, 2);
	space_put(space, at + 0x0cU, 3U << 24 | 16 << 4 | 5, 4);
	space_put(space, at + 0x12U, 8 << 4 | 4, 2);
}

static inline struct bytes space_bytes(const struct space *space, size_t len)
{
	return (struct bytes){ space->at, len };
}

#endif
