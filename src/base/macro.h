/* SPDX-License-Identifier: Apache-2.0 */
/*
 * macro - the whole of our dialect: clean-up attributes and a few constants of the language.
 *
 *	cleanup_free char *path = NULL;
 *	cleanup_close int dir_fd = -1;
 *	CLEANUP_FUNC(struct strv, strv_done)	defines cleanup_strv_done() for
 *	CLEANUP(strv_done) struct strv argv = { 0 };
 */
#ifndef BASE_MACRO_H
#define BASE_MACRO_H

#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define CLEANUP(fn) __attribute__((cleanup(cleanup_##fn)))

/* For a type held by value: fn(type *). */
#define CLEANUP_FUNC(type, fn)                   \
	static inline void cleanup_##fn(type *p) \
	{                                        \
		fn(p);                           \
	}
/* For a type held by pointer: fn(type *), NULL is fine. */
#define CLEANUP_PTR(type, fn)                     \
	static inline void cleanup_##fn(type **p) \
	{                                         \
		(void)fn(*p);                     \
	}

#define cleanup_free __attribute__((cleanup(cleanup_free_ptr)))
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))

static inline void cleanup_free_ptr(void *p)
{
	void *at;

	__builtin_memcpy(&at, p, sizeof(at));
	free(at);
}

static inline void cleanup_close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void *steal_any(void *p)
{
	void *at, *none = NULL;

	__builtin_memcpy(&at, p, sizeof(at));
	__builtin_memcpy(p, &none, sizeof(none));
	return at;
}

#define steal_ptr(p) ((__typeof__(*(p)))steal_any(p))

#endif
