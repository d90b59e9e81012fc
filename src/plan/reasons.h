/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reasons - why a plan is not possible: all of it, not only the first that was met.
 */
#ifndef PLAN_REASONS_H
#define PLAN_REASONS_H

#include <stddef.h>

#include "base/err.h"

enum {
	PLAN_REASONS_MAX = 32, /* more say no more than so many do */
	PLAN_REASON_MAX = 400, /* bytes of one, its NUL included */
};

struct plan_reason {
	enum err_code code;
	char text[PLAN_REASON_MAX];
};

/* Zeroed: none. */
struct plan_reasons {
	struct plan_reason at[PLAN_REASONS_MAX];
	size_t count;
};

/* One more; the same text twice is one. Without room it is dropped. */
void plan_reasons_add(struct plan_reasons *reasons, enum err_code code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* The first as an error, with how many there are besides. 0 if there is none, else -ENODEV. */
int plan_reasons_err(const struct plan_reasons *reasons, struct err *err);

#endif
