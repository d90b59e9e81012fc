/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - what went wrong, in words for the person who has to mend it.
 *
 * Code follows return values: 0 or more is success, less is a negative errno. Where a function
 * knows more than a number can say, it takes a struct err as its last parameter. The caller owns
 * it, may pass NULL, and need not release it: it holds no memory.
 *
 *	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
 *	if (fd < 0)
 *		return err_sys(err, "open '%s'", name);
 *	r = journal_load(fd, err);
 *	if (r < 0)
 *		return err_wrap(err, r, "recover pod '%s'", pod);
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#include "base/macro.h"

/* Stable numbers that programs may act on; casemate-errors(7) has a paragraph for each. */
enum err_code {
	ERR_OTHER = 0,
	ERR_USAGE = 101,      /* a flag, a name or a value that is not understood */
	ERR_CONFIG = 102,     /* a configuration key or file */
	ERR_NAME_TAKEN = 103, /* a pod or container of that name exists */
	ERR_NO_SUCH_POD = 104,
	ERR_IMAGE = 111,	/* the image, bundle or directory is not usable */
	ERR_IMAGE_DIGEST = 112, /* bytes that are not those that were named */
	ERR_IMAGE_LIMIT = 113,	/* larger than the configured limits allow */
	ERR_UNREADABLE = 114,	/* a file of a rootfs: that the user may not read */
	ERR_UNSUPPORTED = 121,	/* understood, but not there (yet) */
	ERR_HOST = 131,		/* something this host lacks */
	ERR_DEVICE_NONE = 132,	/* no such device */
	ERR_DEVICE_COUNT = 133, /* more devices than there are, or than fit */
	ERR_DEVICE_HELD = 134,	/* a device that may not be taken, or not now */
	ERR_DEVICE_SPACE = 135, /* BARs larger than the guest's addresses */
	ERR_UNKNOWN = 136,	/* what the machine does not tell, and a pod must know */
	ERR_GUEST_BOOT = 141,	/* the guest did not come up in time */
	ERR_GUEST_GONE = 142,	/* the guest ended or broke the protocol */
	ERR_CONTAINER = 151,	/* the container's process could not be started */
	ERR_REFUSED = 152,	/* the guest or its broker refused it, by the tenant's policy */
};

/* One for each code; NULL from their number on. `casemate explain` and casemate-errors(7). */
struct err_code_info {
	enum err_code code;
	const char *name; /* "image-digest": what is printed after a message */
	const char *what;
	const char *todo;
};

const struct err_code_info *err_code_info(size_t i);

const char *err_code_name(enum err_code code);

struct err {
	int num; /* the negative errno; 0 while nothing has gone wrong */
	enum err_code code;
	char msg[512]; /* outermost context first, cause last */
};

/* Each sets err, if there is one, and returns num, which is below 0. */
int err_set(struct err *err, int num, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_coded(struct err *err, enum err_code code, int num, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* As err_set() with -errno; adds what errno means. */
int err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* As err_set(); adds what num means. For callees that return a number only. */
int err_num(struct err *err, int num, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Puts "outer: " before what a callee has said; sets it like err_num() if the callee said
 * nothing. When both do not fit, the middle goes: what was wanted and what went wrong stay.
 */
int err_wrap(struct err *err, int num, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Replaces ERR_OTHER by code: for a caller that knows what the failure means to the user. */
int err_recode(struct err *err, int num, enum err_code code);

#endif
