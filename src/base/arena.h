/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - memory of one request: everything in it dies together with arena_done().
 *
 * All functions return zeroed (or copied) memory aligned for any type, or NULL when there is
 * none left or when the arena has given out ARENA_MAX bytes: a parser's bound on what a peer
 * can make us hold.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/macro.h"

enum { ARENA_MAX = 256 << 20 };

struct arena {
	struct arena_block *head;
	size_t total;
};

void arena_done(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size); /* overflow is NULL */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
void *arena_memdup(struct arena *arena, const void *at, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
CLEANUP_FUNC(struct arena, arena_done)

#endif
