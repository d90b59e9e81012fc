/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links - which path a file was first seen under, for files that have several.
 */
#ifndef ROOTFS_LINKS_H
#define ROOTFS_LINKS_H

#include <stdint.h>

#include "base/macro.h"

struct rootfs_links;

int rootfs_links_new(struct rootfs_links **ret_links);		    /* -ENOMEM */
struct rootfs_links *rootfs_links_free(struct rootfs_links *links); /* NULL is fine */
CLEANUP_PTR(struct rootfs_links, rootfs_links_free)

/*
 * *ret_first is the path that this file (dev, ino) was added with before, or NULL, and then it is
 * added with this one, which is copied. What it points at lives as long as links. -ENOMEM.
 */
int rootfs_links_add(struct rootfs_links *links, uint64_t dev, uint64_t ino, const char *path,
		     const char **ret_first);

#endif
