// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void buf_done(struct buf *buf)
{
	free(buf->at);
	*buf = (struct buf){ 0 };
}

int buf_reserve(struct buf *buf, size_t more)
{
	size_t cap = buf->cap ? buf->cap : 256;
	uint8_t *at;

	if (more > SIZE_MAX / 4 - buf->len)
		return -ENOMEM;
	while (cap < buf->len + more)
		cap *= 2;
	if (cap == buf->cap)
		return 0;
	at = realloc(buf->at, cap);
	if (!at)
		return -ENOMEM;
	buf->at = at;
	buf->cap = cap;
	return 0;
}

int buf_add(struct buf *buf, const void *at, size_t len)
{
	int r = buf_reserve(buf, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(buf->at + buf->len, at, len);
	buf->len += len;
	return 0;
}

int buf_addf(struct buf *buf, const char *fmt, ...)
{
	va_list ap, again;
	int len, r;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	r = len < 0 ? -EINVAL : buf_reserve(buf, (size_t)len + 1);
	if (r == 0) {
		(void)vsnprintf((char *)buf->at + buf->len, (size_t)len + 1, fmt, again);
		buf->len += (size_t)len;
	}
	va_end(again);
	return r;
}

void buf_drop(struct buf *buf, size_t len)
{
	assert(len <= buf->len);
	if (len && len < buf->len)
		memmove(buf->at, buf->at + len, buf->len - len);
	buf->len -= len;
}

void strv_done(struct strv *strv)
{
	for (size_t i = 0; i < strv->len; i++)
		free(strv->at[i]);
	free(strv->at);
	*strv = (struct strv){ 0 };
}

int strv_take(struct strv *strv, char *take_text)
{
	size_t cap = strv->cap ? strv->cap : 16;
	char **at = strv->at;

	if (!take_text)
		return -ENOMEM;
	if (strv->len + 2 > strv->cap) {
		while (cap < strv->len + 2)
			cap *= 2;
		at = realloc(strv->at, cap * sizeof(*at));
		if (!at) {
			free(take_text);
			return -ENOMEM;
		}
		strv->at = at;
		strv->cap = cap;
	}
	at[strv->len++] = take_text;
	at[strv->len] = NULL;
	return 0;
}

int strv_add(struct strv *strv, const char *text)
{
	return strv_take(strv, strdup(text));
}

int strv_addf(struct strv *strv, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	return len < 0 ? -ENOMEM : strv_take(strv, text);
}
