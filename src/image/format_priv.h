/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format - erofs on disk, as far as we write and read it: offsets of fields, not structs, since
 * everything is little endian and unaligned. Names of fields are those of the kernel's
 * Documentation/filesystems/erofs.rst.
 */
#ifndef IMAGE_FORMAT_PRIV_H
#define IMAGE_FORMAT_PRIV_H

#include <stdint.h>

enum {
	EROFS_BLOCK_BITS = 12,
	EROFS_SLOT = 32, /* inodes are counted and aligned in these */

	EROFS_SB_AT = 1024,
	EROFS_SB_SIZE = 128,
	EROFS_SB_MAGIC = 0,		/* le32 */
	EROFS_SB_FEATURE_COMPAT = 8,	/* le32 */
	EROFS_SB_BLKSZBITS = 12,	/* u8 */
	EROFS_SB_ROOT_NID = 14,		/* le16 */
	EROFS_SB_INOS = 16,		/* le64 */
	EROFS_SB_BLOCKS = 36,		/* le32 */
	EROFS_SB_META_BLKADDR = 40,	/* le32 */
	EROFS_SB_VOLUME_NAME = 64,	/* 16 bytes */
	EROFS_SB_FEATURE_INCOMPAT = 80, /* le32 */

	EROFS_COMPAT_MTIME = 2,
	EROFS_INCOMPAT_CHUNKED_FILE = 4,

	/* The extended inode; a compact one has no time of its own. */
	EROFS_INODE_SIZE = 64,
	EROFS_INODE_FORMAT = 0,	      /* le16: bit 0 extended, bits 1 to 3 layout */
	EROFS_INODE_XATTR_ICOUNT = 2, /* le16 */
	EROFS_INODE_MODE = 4,	      /* le16 */
	EROFS_INODE_LENGTH = 8,	      /* le64 */
	EROFS_INODE_U = 16,	      /* le32: block address, device or chunk format */
	EROFS_INODE_INO = 20,	      /* le32 */
	EROFS_INODE_UID = 24,	      /* le32 */
	EROFS_INODE_GID = 28,	      /* le32 */
	EROFS_INODE_MTIME = 32,	      /* le64 */
	EROFS_INODE_MTIME_NSEC = 40,  /* le32 */
	EROFS_INODE_NLINK = 44,	      /* le32 */

	EROFS_FLAT_PLAIN = 0,
	EROFS_FLAT_INLINE = 2,
	EROFS_CHUNK_BASED = 4,
	EROFS_CHUNK_BITS_MAX = 31, /* added to EROFS_BLOCK_BITS */

	EROFS_XATTR_HEADER = 12, /* all zero: no filter, nothing shared */
	EROFS_XATTR_ENTRY = 4,	 /* u8 name length, u8 prefix, le16 value size */
	EROFS_XATTR_USER = 1,
	EROFS_XATTR_ACL_ACCESS = 2,
	EROFS_XATTR_ACL_DEFAULT = 3,
	EROFS_XATTR_TRUSTED = 4,
	EROFS_XATTR_SECURITY = 6,

	EROFS_DIRENT_SIZE = 12,
	EROFS_DIRENT_NID = 0,	  /* le64 */
	EROFS_DIRENT_NAMEOFF = 8, /* le16 */
	EROFS_DIRENT_TYPE = 10,	  /* u8 */
};
#define EROFS_MAGIC UINT32_C(0xe0f5e1e2)
#define EROFS_HOLE UINT32_C(0xffffffff)

static inline void put_le16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(uint8_t *at, uint32_t v)
{
	put_le16(at, (uint16_t)v);
	put_le16(at + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(uint8_t *at, uint64_t v)
{
	put_le32(at, (uint32_t)v);
	put_le32(at + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get_le32(const uint8_t *at)
{
	return get_le16(at) | (uint32_t)get_le16(at + 2) << 16;
}

static inline uint64_t get_le64(const uint8_t *at)
{
	return get_le32(at) | (uint64_t)get_le32(at + 4) << 32;
}

#endif
