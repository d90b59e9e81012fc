/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - bytes that grow, and lists of strings that grow. The owner calls _done(), which leaves
 * an empty one that can be used again. All functions that grow return 0 or -ENOMEM, and on
 * failure leave what was there.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/macro.h"

struct buf {
	uint8_t *at;
	size_t len;
	size_t cap;
};

void buf_done(struct buf *buf);
int buf_reserve(struct buf *buf, size_t more); /* room for that many further bytes */
int buf_add(struct buf *buf, const void *at, size_t len);
int buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3); /* without the NUL */
void buf_drop(struct buf *buf, size_t len);			       /* the first len bytes go */
static inline struct bytes buf_bytes(const struct buf *buf)
{
	return (struct bytes){ buf->at, buf->len };
}
CLEANUP_FUNC(struct buf, buf_done)

/* at[] is always NULL-terminated once something was added: it can be an argv. */
struct strv {
	char **at;
	size_t len;
	size_t cap;
};

void strv_done(struct strv *strv);
int strv_add(struct strv *strv, const char *text); /* copies */
int strv_addf(struct strv *strv, const char *fmt, ...) PRINTF_LIKE(2, 3);
int strv_take(struct strv *strv, char *take_text); /* NULL is -ENOMEM: strv_take(v, strdup()) */
CLEANUP_FUNC(struct strv, strv_done)

#endif
