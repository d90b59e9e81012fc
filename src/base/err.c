// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_code_name(enum err_code code)
{
	switch (code) {
	case ERR_OTHER:
		return "other";
	case ERR_USAGE:
		return "usage";
	case ERR_CONFIG:
		return "config";
	case ERR_NAME_TAKEN:
		return "name-taken";
	case ERR_NO_SUCH_POD:
		return "no-such-pod";
	case ERR_IMAGE:
		return "image";
	case ERR_IMAGE_DIGEST:
		return "image-digest";
	case ERR_IMAGE_LIMIT:
		return "image-limit";
	case ERR_UNREADABLE:
		return "unreadable";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_HOST:
		return "host";
	case ERR_GUEST_BOOT:
		return "guest-boot";
	case ERR_GUEST_GONE:
		return "guest-gone";
	case ERR_CONTAINER:
		return "container";
	}
	return "other";	/* a number from a peer */
}

static PRINTF_LIKE(4, 0) void err_fill(struct err *err, enum err_code code, int num,
				       const char *fmt, va_list ap)
{
	assert(num < 0);
	if (!err)
		return;
	err->num = num;
	err->code = code;
	(void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

/* %m rather than strerror(): no static buffer, and the same words as everywhere else. */
static void err_add_meaning(struct err *err, int num)
{
	size_t len;

	if (!err)
		return;
	len = strlen(err->msg);
	errno = -num;
	(void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %m");
}

int err_set(struct err *err, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	return num;
}

int err_coded(struct err *err, enum err_code code, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, code, num, fmt, ap);
	va_end(ap);
	return num;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int num = errno > 0 ? -errno : -EIO;
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	err_add_meaning(err, num);
	return num;
}

int err_num(struct err *err, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(err, ERR_OTHER, num, fmt, ap);
	va_end(ap);
	err_add_meaning(err, num);
	return num;
}

int err_wrap(struct err *err, int num, const char *fmt, ...)
{
	static const char cut[] = "...";
	char outer[sizeof(err->msg) / 2];
	size_t outer_len, inner_len, room, gone;
	va_list ap;

	assert(num < 0);
	if (!err)
		return num;

	va_start(ap, fmt);
	(void)vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);

	if (err->num == 0 || !err->msg[0]) {
		err->num = num;
		(void)snprintf(err->msg, sizeof(err->msg), "%s", outer);
		err_add_meaning(err, num);
		return num;
	}

	outer_len = strlen(outer);
	inner_len = strlen(err->msg);
	room = sizeof(err->msg) - 1 - outer_len - 2;
	if (inner_len <= room) {
		memmove(err->msg + outer_len + 2, err->msg, inner_len + 1);
	} else {
		gone = inner_len - room + sizeof(cut) - 1;
		memmove(err->msg + outer_len + 2 + sizeof(cut) - 1, err->msg + gone,
			inner_len - gone + 1);
		memcpy(err->msg + outer_len + 2, cut, sizeof(cut) - 1);
	}
	memcpy(err->msg, outer, outer_len);
	memcpy(err->msg + outer_len, ": ", 2);
	return num;
}

int err_recode(struct err *err, int num, enum err_code code)
{
	if (err && err->code == ERR_OTHER)
		err->code = code;
	return num;
}
