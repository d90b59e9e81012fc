/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive - a tar file as a set of members that can be read by name, in any order.
 *
 * Opening it goes over all headers once. A plain tar is read in place from then on. One that is
 * compressed as a whole (gzip, zstd, xz, bzip2) is decompressed anew for each member that is
 * read, but for small ones, which are kept in memory from the first pass.
 *
 * Only regular files are members; links to them and sparse ones are not, no tool writes blobs so.
 * A name is taken without a leading "./"; of two of the same name the last counts, as with tar.
 */
#ifndef ROOTFS_ARCHIVE_H
#define ROOTFS_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum {
	ROOTFS_MEMBERS_MAX = 65536,
	ROOTFS_KEPT_MAX = 256 << 10, /* a member up to this size is small */
	ROOTFS_KEPT_TOTAL_MAX = 16 << 20,
};

struct rootfs_archive;
struct rootfs_member;

/*
 * file is how messages call it. -EINVAL with ERR_IMAGE: no tar, or a broken one;
 * -E2BIG with ERR_IMAGE_LIMIT: more members than ROOTFS_MEMBERS_MAX; -ENOMEM; the kernel's.
 */
int rootfs_archive_open(int take_fd, const char *file, struct rootfs_archive **ret_archive,
			struct err *err);
struct rootfs_archive *rootfs_archive_free(struct rootfs_archive *archive); /* NULL is fine */
CLEANUP_PTR(struct rootfs_archive, rootfs_archive_free)

/* NULL: there is none. Lives as long as the archive. */
const struct rootfs_member *rootfs_archive_find(const struct rootfs_archive *archive,
						const char *name);
uint64_t rootfs_member_size(const struct rootfs_member *member);

/* Reads one member from its start; borrows the archive. */
struct rootfs_reader;
int rootfs_reader_open(struct rootfs_archive *archive, const struct rootfs_member *member,
		       struct rootfs_reader **ret_reader, struct err *err);
struct rootfs_reader *rootfs_reader_free(struct rootfs_reader *reader); /* NULL is fine */
CLEANUP_PTR(struct rootfs_reader, rootfs_reader_free)

/*
 * 1 and the next bytes, which last until the next call; 0 at the member's end; -EINVAL with
 * ERR_IMAGE: the archive is broken, or ends before the member does.
 */
int rootfs_reader_next(struct rootfs_reader *reader, struct bytes *ret_bytes, struct err *err);

#endif
