/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar - what is the same for all who use libarchive here.
 */
#ifndef ROOTFS_TAR_H
#define ROOTFS_TAR_H

#include <archive.h>

#include "base/err.h"
#include "base/macro.h"

struct archive *rootfs_tar_free(struct archive *tar); /* NULL is fine */
CLEANUP_PTR(struct archive, rootfs_tar_free)

/* Says what libarchive has said of file: -EINVAL with ERR_IMAGE, or -ENOMEM. */
int rootfs_tar_fail(struct archive *tar, const char *file, struct err *err);

#endif
