/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot - an image of a directory as it is now, made once for each state it is in.
 *
 * The state is what a walk sees: path, inode, size, ctime, mode and owner of every file. A walk
 * that sees the same finds the image of before in the cache. Otherwise the directory is walked
 * once more and read; what changes under that walk makes it start again, once. Two changes of one
 * file within one tick of the kernel's clock (4 ms), with a walk between them, look like one.
 *
 * What is in the image:
 * - directories, files, symbolic links, FIFOs; hard links among them stay hard links, holes stay
 *   holes; extended attributes user.*, security.capability, POSIX ACLs and, as far as this user
 *   sees them, trusted.*. Not those of symbolic links and FIFOs.
 * - what is mounted in the directory, but for the kernel's own file systems (proc, sysfs...),
 *   whose mount points become empty directories;
 * - no device nodes and no sockets: a container has a /dev of its own. Names that begin with
 *   '.wh.' mean nothing here.
 * - With a mapping, files of map_uid belong to 0, and so for groups; other owners stay.
 */
#ifndef ROOTFS_SNAPSHOT_H
#define ROOTFS_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/writer.h"
#include "rootfs/cache.h"
#include "rootfs/layer.h"
#include "rootfs/progress.h"

struct rootfs_snapshot_opts {
	const struct rootfs_limits *limits;
	struct rootfs_progress *progress;
	bool map_ids; /* the two below become 0 */
	uint32_t map_uid;
	uint32_t map_gid;
};

struct rootfs_snapshot {
	struct oci_digest id; /* of what the walk saw */
	bool cached;	      /* the image was there before */
	struct rootfs_stored stored;
};

/*
 * dir_fd is open for reading. -EACCES with ERR_UNREADABLE: a file this user may not read, by
 * name; -ESTALE with ERR_IMAGE: the directory kept changing; -EFBIG, -ELOOP and -ENAMETOOLONG
 * with ERR_IMAGE_LIMIT; and what image_writer_entry() and the cache return.
 */
int rootfs_snapshot_take(const struct rootfs_cache *cache, int dir_fd,
			 const struct rootfs_snapshot_opts *opts,
			 struct rootfs_snapshot *ret_snapshot, struct err *err);

#endif
