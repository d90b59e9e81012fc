/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive - captures in tar files.
 */
#ifndef CAPTURE_ARCHIVE_PRIV_H
#define CAPTURE_ARCHIVE_PRIV_H

#include <stdbool.h>

#include "base/buf.h"
#include "machine/capture.h"

enum {
	CAPTURE_ARCHIVE_TOTAL_MAX = 1 << 30, /* bytes of all members, as they say */
	CAPTURE_ARCHIVE_MEMBERS_MAX = 1 << 21,
};

/* By its first bytes (512 are enough): tar, or one of the compressed forms. */
bool capture_archive_is(struct bytes head);

/* Adds what is wanted of an open file to a capture, unsealed. */
int capture_archive_read(int fd, const char *name, struct machine_capture *capture,
			 struct err *err);

/* The bytes of an archive of a capture; -EINVAL with ERR_USAGE for a name of no known ending. */
int capture_archive_write(const struct machine_capture *capture, const char *name, struct buf *ret,
			  struct err *err);

#endif
