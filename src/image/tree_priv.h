/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - the names of an image and the inodes they stand for, in memory.
 *
 * A name belongs to its directory, an inode to its names (and to who holds a reference): it goes
 * with the last of them. Names of a directory are kept in a balanced tree, so that no choice of
 * names makes it slow; their order is that of their bytes, which is what erofs wants.
 */
#ifndef IMAGE_TREE_PRIV_H
#define IMAGE_TREE_PRIV_H

#include "base/buf.h"
#include "image/writer.h"

/* Blocks of a file that are stored in a row; what no run has is a hole. */
struct image_run {
	uint64_t start; /* both in blocks of the file */
	uint64_t count;
	uint32_t blkaddr;
};

struct image_inode {
	uint32_t refs;
	uint32_t names; /* how many names stand for it */
	uint32_t mode;	/* with the type */
	uint32_t uid;
	uint32_t gid;
	uint32_t mtime_ns;
	int64_t mtime_s;
	uint64_t size;	  /* of contents or target; of a directory once laid out */
	bool is_implicit; /* a parent that the layer left out */
	bool is_opaque;
	bool is_chunked; /* runs has all there is, else blkaddr or held */
	uint8_t *held;	 /* contents or target, size bytes, kept beside the inode */
	struct image_run *runs;
	size_t run_count;
	uint32_t blkaddr;
	uint8_t *xattrs; /* entries as erofs has them */
	size_t xattrs_len;
	void *children; /* of a directory: tsearch(3) over struct image_name */
	uint32_t child_count;
	uint32_t subdir_count;
	/* Filled when it is laid out. */
	uint32_t serial; /* 0 before */
	uint64_t nid;
	size_t first_child;
};

struct image_name {
	struct image_name *parent; /* the root is its own */
	struct image_inode *inode;
	char name[];
};

struct image_tree {
	struct image_name *root;
	uint32_t entries;
	uint32_t max_entries;
	uint64_t held; /* bytes of memory */
	uint64_t max_held;
};

int image_tree_init(struct image_tree *tree, uint32_t max_entries, uint64_t max_held,
		    struct err *err);
void image_tree_done(struct image_tree *tree);

/* -EFBIG with ERR_IMAGE_LIMIT if len bytes more are too many; else they count as held. */
int image_tree_hold(struct image_tree *tree, uint64_t len, struct err *err);
void image_tree_unhold(struct image_tree *tree, uint64_t len);

/* One reference, no name yet. */
int image_tree_inode(struct image_tree *tree, uint32_t mode, struct image_inode **ret_inode,
		     struct err *err);
void image_tree_unref(struct image_tree *tree, struct image_inode *inode);

struct image_name *image_tree_find(const struct image_name *dir, const char *name);

/* A new name in dir (there is none like it) for inode, which gains a reference. */
int image_tree_add(struct image_tree *tree, struct image_name *dir, const char *name,
		   struct image_inode *inode, struct image_name **ret_name, struct err *err);

/* Takes the name away, with all below it. Not the root. */
void image_tree_remove(struct image_tree *tree, struct image_name *name);

/* The names of a directory into at, which has room for child_count of them, in their order. */
void image_tree_list(const struct image_inode *dir, const struct image_name **at);

/* The path of a name, or of child in that directory, without a leading slash. -ENAMETOOLONG. */
int image_tree_path(const struct image_name *dir, const char *child, struct buf *ret_path);

static inline bool image_inode_is(const struct image_inode *inode, uint32_t type)
{
	return (inode->mode & 0170000) == type;
}

#endif
