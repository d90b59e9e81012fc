/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache - images that were made once, kept by what they were made of.
 *
 *	rootfs_cache_get(&cache, key, &stored, err);		-ENOENT: it has to be made
 *	rootfs_cache_lock(&cache, lock, &build, progress, err);
 *	  rootfs_cache_get() again: another process may have made it meanwhile
 *	  write through rootfs_build_sink(build)
 *	  rootfs_build_commit(build, key, &info, &stored, err);
 *	rootfs_build_free(build);
 *
 * In the directory, under layers/v1/ (casemate's own, IMAGE_FORMAT "casemate-1"):
 *
 *	KEY.img		the image, with its verity tree
 *	KEY.json	its root and sizes; written last, an image without it does not count
 *	LOCK.lock	flock()ed by who makes an image; gone afterwards
 *	LOCK.tmp	what is being made; without the lock, a dead process's, and removed
 *
 * KEY is "diff-", "chain-" or "snap-" and 64 hexadecimal digits. Images are of mode 0600 and
 * never change; they hold as long as the directory is its owner's alone, which
 * rootfs_cache_open() makes sure of, and the guest's dm-verity checks each block of them anyway.
 */
#ifndef ROOTFS_CACHE_H
#define ROOTFS_CACHE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"
#include "image/writer.h"
#include "oci/digest.h"
#include "rootfs/progress.h"

enum { ROOTFS_KEY_TEXT = 6 + 2 * OCI_DIGEST_BYTES + 1 }; /* "chain-", digits, NUL */

enum rootfs_key_kind {
	ROOTFS_KEY_DIFF,  /* a layer by itself: its diff ID */
	ROOTFS_KEY_CHAIN, /* a layer and what is below it: the chain ID */
	ROOTFS_KEY_SNAP,  /* a directory, as it was */
};

struct rootfs_key {
	char text[ROOTFS_KEY_TEXT];
};

struct rootfs_key rootfs_key(enum rootfs_key_kind kind, const struct oci_digest *digest);

/*
 * Opens a user's cache directory, making it if need be: /var/cache/casemate for root, else
 * XDG_CACHE_HOME/casemate, else HOME/.cache/casemate; NULL or "" stands for a variable that is
 * not set. -EPERM with ERR_HOST: it belongs to somebody else, or others may write to it;
 * -ENOENT with ERR_HOST: neither variable is an absolute path.
 */
int rootfs_cache_open(uid_t uid, const char *xdg_cache_home, const char *home, int *ret_dir_fd,
		      struct err *err);

/* The same of a directory that was named: cache_dir. -EPERM with ERR_HOST as above. */
int rootfs_cache_open_at(uid_t uid, const char *path, int *ret_dir_fd, struct err *err);

struct rootfs_cache {
	int dir_fd; /* of layers/v1 */
};

/* Makes layers/v1 in the cache directory. */
int rootfs_cache_init(struct rootfs_cache *cache, int cache_dir_fd, struct err *err);
void rootfs_cache_done(struct rootfs_cache *cache);
CLEANUP_FUNC(struct rootfs_cache, rootfs_cache_done)

struct rootfs_stored {
	int fd; /* the image, open for reading; the caller's to close */
	struct image_info info;
};

/* 0; -ENOENT, with no message; the kernel's errors. */
int rootfs_cache_get(const struct rootfs_cache *cache, const struct rootfs_key *key,
		     struct rootfs_stored *ret_stored, struct err *err);

/*
 * The right to make an image, one process at a time: waits for the others, reporting that. Clears
 * away what dead processes have left. Borrows the cache.
 */
struct rootfs_build;
int rootfs_cache_lock(const struct rootfs_cache *cache, const struct rootfs_key *lock,
		      struct rootfs_progress *progress, struct rootfs_build **ret_build,
		      struct err *err);

/* Begins an empty file, or begins it anew, and gives what writes to it. */
int rootfs_build_start(struct rootfs_build *build, struct image_sink *ret_sink, struct err *err);

/* Syncs the image, then makes it count. -ENOSPC and other errors leave nothing behind. */
int rootfs_build_commit(struct rootfs_build *build, const struct rootfs_key *key,
			const struct image_info *info, struct rootfs_stored *ret_stored,
			struct err *err);

/* Removes what was not committed and gives up the lock. NULL is fine. */
struct rootfs_build *rootfs_build_free(struct rootfs_build *build);
CLEANUP_PTR(struct rootfs_build, rootfs_build_free)

#endif
