/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer - one pass over the entries of a layer, in the order of its tar, to an uncompressed
 * erofs image with its dm-verity tree behind it.
 *
 *	image_writer_new(&limits, &sink, &writer, err);
 *	image_writer_use_lower(writer, &lower);			what is below, if anything is
 *	for each entry of the tar:
 *		image_writer_entry(writer, &entry, err);
 *		image_writer_data(writer, offset, bytes, err);	as often as it takes
 *	image_writer_finish(writer, &info, err);
 *	image_writer_free(writer);
 *
 * The root hash is a function of IMAGE_FORMAT, of the entries, their order and their contents,
 * and of what the lower callbacks answered when they were asked; not of how contents were cut
 * into calls, of where the tar declared holes, or of the order of extended attributes.
 *
 * What an image looks like: block 0 has the superblock, then come the contents of files in the
 * order of the tar, then directories, then the inodes (the root first), all in blocks of
 * IMAGE_BLOCK_SIZE bytes; hash_start_block is where the tree begins. The kernel's table is
 *
 *	verity 1 DEV DEV 4096 4096 DATA_BLOCKS HASH_START_BLOCK sha256 ROOT IMAGE_SALT
 *
 * Contents of at most IMAGE_INLINE_MAX bytes lie beside their inode (that saves a block and a
 * read for each small file), until IMAGE_INLINE_TOTAL bytes of them are held. Zeros of at least
 * IMAGE_HOLE_BLOCKS aligned blocks in a row are holes, declared or not, and take no room.
 *
 * Semantics of a layer:
 * - A later entry replaces an earlier one of the same path, with all that is below it; only a
 *   directory over a directory changes nothing but owner, mode, times and attributes.
 * - '.wh.NAME' becomes overlayfs's whiteout of NAME (a character device 0:0; such a device in
 *   the tar is the same), or makes NAME opaque if this layer has a directory of that name.
 *   '.wh..wh..opq' makes its directory opaque (IMAGE_OPAQUE=y). aufs's '.wh..wh.*' are ignored.
 * - Missing parents take owner, mode, times and attributes from what is below, else they are
 *   root:root 0755, 1970. Where a symbolic link of a layer below stands in their place it is
 *   followed, inside the root; out of the root is refused.
 * - A path through a symbolic link of the same layer is refused: no tar of one tree has that,
 *   extractors differ in what they make of it, and it is how archives attack them.
 * - A hard link to a file that only layers below have brings that file up, content and all, as
 *   overlayfs would.
 * - Attributes outside user., trusted., security. and the two POSIX ACLs are dropped, no kernel
 *   would store them. trusted.overlay.* are escaped, so that a layer can't steer overlayfs.
 *
 * Memory: the whole tree of names is held, never contents (but for small ones); besides, 32
 * bytes for each block of the image.
 */
#ifndef IMAGE_WRITER_H
#define IMAGE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

#define IMAGE_FORMAT "casemate-1" /* the volume's name; another layout gets another name */
#define IMAGE_SALT "-"		  /* as dm-verity's table spells none */
#define IMAGE_OPAQUE "trusted.overlay.opaque"

enum {
	IMAGE_BLOCK_SIZE = 4096,
	IMAGE_HASH_SIZE = 32,
	IMAGE_INLINE_MAX = 1024,
	IMAGE_INLINE_TOTAL = 64 << 20,
	IMAGE_HOLE_BLOCKS = 4,
	IMAGE_NAME_MAX = 255,
	IMAGE_PATH_MAX = 4095, /* also of a symbolic link's target */
	IMAGE_LINK_HOPS = 40,  /* symbolic links below that one path may go through */
	IMAGE_XATTR_VALUE_MAX = 65535,
	IMAGE_XATTR_COUNT_MAX = 128,	   /* of one entry */
	IMAGE_XATTR_TOTAL_MAX = 128 << 10, /* of one entry, as stored */
	IMAGE_ENTRIES_DEFAULT = 1 << 20,
};
#define IMAGE_SIZE_MAX (UINT64_C(1) << 44) /* of one file, holes included */
#define IMAGE_STORED_DEFAULT (UINT64_C(16) << 30)
#define IMAGE_HELD_DEFAULT (UINT64_C(512) << 20)

enum image_type {
	IMAGE_FILE,
	IMAGE_DIR,
	IMAGE_SYMLINK,
	IMAGE_HARDLINK,
	IMAGE_CHAR,
	IMAGE_BLOCK,
	IMAGE_FIFO,
	IMAGE_SOCKET,
};

struct image_xattr {
	const char *name; /* in full: "security.capability" */
	struct bytes value;
};

struct image_entry {
	const char *path; /* from the root; "./", "//" and a leading "/" are fine */
	enum image_type type;
	uint32_t mode; /* the lower twelve bits count */
	uint32_t uid;
	uint32_t gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;	  /* of a file; of no meaning elsewhere */
	const char *link; /* target of a symbolic link, path of a hard link */
	uint32_t rdev_major;
	uint32_t rdev_minor;
	const struct image_xattr *xattrs;
	size_t xattr_count;
};

/* Of any, 0 is the default. */
struct image_limits {
	uint64_t max_stored_bytes; /* the image without its tree; holes are free */
	uint32_t max_entries;	   /* names in the tree, parents that were left out included */
	uint64_t max_held_bytes;   /* names, targets, attributes, small contents in memory */
	bool plain_names;	   /* no layer but a directory: '.wh.' is a name like others */
};

/*
 * Takes bytes at offset. Data comes in ascending order; the first block and the tree come last.
 * All of the image is written, once. Returns 0 or a negative errno, which ends the writing.
 */
struct image_sink {
	int (*write)(void *data, uint64_t offset, struct bytes bytes, struct err *err);
	void *data;
};

/*
 * The layers below, merged. Paths are clean, "" is the root; a symbolic link before the last part
 * is not followed. lookup returns 0, or -ENOENT where there is nothing; what ret_entry points at
 * has to live until the next call. content writes a file's bytes to a sink, in ascending order;
 * what it leaves out is zeros. image/stack.h has one over images.
 */
struct image_lower {
	int (*lookup)(void *data, const char *path, struct image_entry *ret_entry, struct err *err);
	int (*content)(void *data, const char *path, const struct image_sink *to, struct err *err);
	void *data;
};

struct image_info {
	uint8_t root[IMAGE_HASH_SIZE]; /* of the verity tree */
	uint64_t data_blocks;
	uint64_t hash_start_block;
	uint64_t total_bytes; /* tree included */
	bool needs_lower;     /* what is below was asked for: a function of the chain */
	bool root_opaque;     /* nothing below is to be seen, which overlayfs can't say of
					 * a layer's root: stack no layers below this one */
};

struct image_writer;

/*
 * limits and sink are copied, what they point at has to live as long as the writer.
 * -ENOMEM; -EIO if libcrypto has no SHA-256.
 */
int image_writer_new(const struct image_limits *limits, const struct image_sink *sink,
		     struct image_writer **ret_writer, struct err *err);
struct image_writer *image_writer_free(struct image_writer *writer); /* NULL is fine */

/* Without this nothing is below. Copied; before the first entry. */
void image_writer_use_lower(struct image_writer *writer, const struct image_lower *lower);

/*
 * The next entry; what the one before lacked of its size is zeros. Copies what it needs.
 * -EINVAL with ERR_IMAGE: a path or hard link out of the root, through a symbolic link of this
 * layer or through a file, a hard link to nothing or to a directory, a device that is no
 * whiteout, a name that can't be one, two values for one attribute.
 * -ELOOP with ERR_IMAGE: IMAGE_LINK_HOPS. -EFBIG with ERR_IMAGE_LIMIT: any other limit above.
 * -ENOMEM, and what sink and lower return.
 * After any error only image_writer_free() is left to call; other calls return -EINVAL.
 */
int image_writer_entry(struct image_writer *writer, const struct image_entry *entry,
		       struct err *err);

/*
 * Bytes of the last entry's file. -EINVAL: before where the last call ended, beyond the size,
 * or the entry is no file. Data of an ignored entry goes nowhere.
 */
int image_writer_data(struct image_writer *writer, uint64_t offset, struct bytes bytes,
		      struct err *err);

/* Writes directories, inodes, tree, and the first block; only free is left after it. */
int image_writer_finish(struct image_writer *writer, struct image_info *ret_info, struct err *err);

CLEANUP_PTR(struct image_writer, image_writer_free)

#endif
