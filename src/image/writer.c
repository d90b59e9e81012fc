// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: contents go to the output as they come (content.c), names and inodes to the
 * tree (tree.c, found by walk.c), and at the end the tree is written (erofs.c). This file has
 * what an entry means: what it replaces, whiteouts, hard links.
 */
#include "image/writer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "image/content_priv.h"
#include "image/erofs_priv.h"
#include "image/inode_priv.h"
#include "image/walk_priv.h"

static const char whiteout[] = ".wh.";
static const char aufs[] = ".wh..wh.";
static const char opaque[] = ".wh..wh..opq";
enum { WHITEOUT_LEN = sizeof(whiteout) - 1, AUFS_LEN = sizeof(aufs) - 1 };

struct image_writer {
	struct image_tree tree;
	struct image_walk walk;
	struct image_output out;
	struct image_content content;
	bool plain_names;
	bool is_ignored; /* the last entry leaves nothing behind, its data neither */
	bool is_over;	 /* after an error, and when finished */
};

int image_writer_new(const struct image_limits *limits, const struct image_sink *sink,
		     struct image_writer **ret_writer, struct err *err)
{
	CLEANUP(image_writer_free) struct image_writer *writer = calloc(1, sizeof(*writer));
	uint64_t stored = limits->max_stored_bytes, held = limits->max_held_bytes;
	uint32_t entries = limits->max_entries;
	int r;

	if (!writer)
		return err_num(err, -ENOMEM, "start an image");
	r = image_tree_init(&writer->tree, entries ? entries : IMAGE_ENTRIES_DEFAULT,
			    held ? held : IMAGE_HELD_DEFAULT, err);
	if (r == 0)
		r = image_output_init(&writer->out, sink, stored ? stored : IMAGE_STORED_DEFAULT,
				      err);
	if (r < 0)
		return r;
	writer->walk.tree = &writer->tree;
	writer->content.tree = &writer->tree;
	writer->content.out = &writer->out;
	writer->plain_names = limits->plain_names;
	*ret_writer = steal_ptr(&writer);
	return 0;
}

struct image_writer *image_writer_free(struct image_writer *writer)
{
	if (!writer)
		return NULL;
	image_tree_unref(&writer->tree, writer->content.inode);
	image_tree_done(&writer->tree);
	image_output_done(&writer->out);
	free(writer);
	return NULL;
}

void image_writer_use_lower(struct image_writer *writer, const struct image_lower *lower)
{
	writer->walk.lower = *lower;
}

/*
 * Makes room for name in dir. 1: a directory is there, which a directory may go over;
 * 0: nothing is, and ret_opaque says whether what was there hid what is below.
 */
static int make_room(struct image_writer *writer, struct image_name *dir, const char *name,
		     bool is_dir, bool *ret_opaque)
{
	struct image_name *old = image_tree_find(dir, name);

	*ret_opaque = false;
	if (!old)
		return 0;
	if (image_inode_is(old->inode, S_IFDIR) && is_dir)
		return 1;
	*ret_opaque = is_dir;
	image_tree_remove(&writer->tree, old);
	return 0;
}

static int put_dir(struct image_writer *writer, struct image_name *dir, const char *name,
		   const struct image_entry *entry, struct err *err)
{
	struct image_inode *inode;
	struct image_name *made;
	bool is_opaque;
	int r;

	if (make_room(writer, dir, name, true, &is_opaque) > 0) {
		inode = image_tree_find(dir, name)->inode;
		inode->is_implicit = false;
		return image_inode_set(&writer->tree, inode, entry, err);
	}
	r = image_tree_inode(&writer->tree, S_IFDIR, &inode, err);
	if (r < 0)
		return r;
	inode->is_opaque = is_opaque;
	r = image_inode_set(&writer->tree, inode, entry, err);
	if (r == 0)
		r = image_tree_add(&writer->tree, dir, name, inode, &made, err);
	image_tree_unref(&writer->tree, inode);
	return r;
}

static int put_target(struct image_writer *writer, struct image_inode *inode, const char *target,
		      struct err *err)
{
	struct bytes bytes = { (const uint8_t *)target, target ? strlen(target) : 0 };
	int r;

	if (bytes.len == 0)
		return err_coded(err, ERR_IMAGE, -EINVAL, "a symbolic link to nothing");
	if (bytes.len > IMAGE_PATH_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "a symbolic link to %zu bytes, at most %d can be stored",
				 bytes.len, IMAGE_PATH_MAX);
	r = image_content_begin(&writer->content, inode, bytes.len, err);
	if (r == 0)
		r = image_content_data(&writer->content, 0, bytes, err);
	return r < 0 ? r : image_content_end(&writer->content, err);
}

/* Anything but a directory, a hard link or a device. A file is open for its data after it. */
static int put_other(struct image_writer *writer, struct image_name *dir, const char *name,
		     const struct image_entry *entry, struct err *err)
{
	struct image_inode *inode;
	struct image_name *made;
	bool is_opaque;
	int r;

	r = image_tree_inode(&writer->tree, image_inode_format(entry->type), &inode, err);
	if (r < 0)
		return r;
	r = image_inode_set(&writer->tree, inode, entry, err);
	if (r == 0 && entry->type == IMAGE_SYMLINK)
		r = put_target(writer, inode, entry->link, err);
	if (r == 0)
		(void)make_room(writer, dir, name, false, &is_opaque);
	if (r == 0)
		r = image_tree_add(&writer->tree, dir, name, inode, &made, err);
	if (r == 0 && entry->type == IMAGE_FILE)
		r = image_content_begin(&writer->content, inode, entry->size, err);
	image_tree_unref(&writer->tree, inode);
	return r;
}

static int put_whiteout(struct image_writer *writer, struct image_name *dir, const char *name,
			struct err *err)
{
	struct image_name *old = image_tree_find(dir, name), *made;
	struct image_inode *inode;
	int r;

	/* What this layer brings stays: a whiteout is about what is below. */
	if (old) {
		if (image_inode_is(old->inode, S_IFDIR))
			old->inode->is_opaque = true;
		return 0;
	}
	r = image_tree_inode(&writer->tree, S_IFCHR, &inode, err);
	if (r < 0)
		return r;
	r = image_tree_add(&writer->tree, dir, name, inode, &made, err);
	image_tree_unref(&writer->tree, inode);
	return r;
}

static int copy_up_write(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	struct image_writer *writer = data;

	return image_content_data(&writer->content, offset, bytes, err);
}

/* A file that only the layers below have becomes one of this layer. */
static int copy_up(struct image_writer *writer, struct image_name *dir, const char *name,
		   struct image_name **ret_name, struct err *err)
{
	const struct image_lower *lower = &writer->walk.lower;
	const struct image_sink sink = { copy_up_write, writer };
	CLEANUP(buf_done) struct buf path = { 0 };
	struct image_entry below;
	int r;

	r = image_walk_below(&writer->walk, dir, name, &below, err);
	if (r == 0)
		return err_coded(err, ERR_IMAGE, -EINVAL,
				 "a hard link to what neither this layer has nor one below");
	if (r > 0 && below.type == IMAGE_DIR)
		return err_coded(err, ERR_IMAGE, -EINVAL, "a hard link to a directory");
	if (r > 0 && below.type == IMAGE_FILE && !lower->content)
		return err_coded(err, ERR_IMAGE, -EINVAL, "a hard link to a file below");
	r = r < 0 ? r : put_other(writer, dir, name, &below, err);
	if (r == 0 && below.type == IMAGE_FILE && below.size > 0) {
		r = image_tree_path(dir, name, &path);
		if (r < 0)
			return err_num(err, r, "copy a file from below");
		r = lower->content(lower->data, (const char *)path.at, &sink, err);
	}
	if (r == 0)
		r = image_content_end(&writer->content, err);
	if (r < 0)
		return err_wrap(err, r, "copy a file from below");
	*ret_name = image_tree_find(dir, name);
	return 0;
}

static int link_target(struct image_writer *writer, const char *link,
		       struct image_inode **ret_inode, struct err *err)
{
	CLEANUP(buf_done) struct buf path = { 0 };
	struct image_name *dir, *found;
	const char *last;
	int r;

	r = image_walk_clean(link ? link : "", &path, err);
	if (r < 0)
		return r;
	if (path.at[0] == '\0')
		return err_coded(err, ERR_IMAGE, -EINVAL, "a hard link to the root");
	r = image_walk_parent(&writer->walk, (const char *)path.at, &dir, &last, err);
	if (r < 0)
		return r;
	found = image_tree_find(dir, last);
	if (!found) {
		r = copy_up(writer, dir, last, &found, err);
		if (r < 0)
			return r;
	}
	if (image_inode_is(found->inode, S_IFDIR) || image_inode_is(found->inode, S_IFCHR))
		return err_coded(err, ERR_IMAGE, -EINVAL, "a hard link to %s",
				 image_inode_is(found->inode, S_IFDIR) ? "a directory"
								       : "a whiteout");
	*ret_inode = found->inode;
	return 0;
}

static int put_hardlink(struct image_writer *writer, struct image_name *dir, const char *name,
			const struct image_entry *entry, struct err *err)
{
	struct image_inode *inode = NULL;
	struct image_name *made;
	bool is_opaque;
	int r;

	r = link_target(writer, entry->link, &inode, err);
	if (r < 0)
		return err_wrap(err, r, "link to '%s'", entry->link ? entry->link : "");
	/* What the link replaces may be a directory with its target in it, or the target. */
	inode->refs++;
	(void)make_room(writer, dir, name, false, &is_opaque);
	r = image_tree_add(&writer->tree, dir, name, inode, &made, err);
	image_tree_unref(&writer->tree, inode);
	return r;
}

static int put_entry(struct image_writer *writer, struct image_name *dir, const char *name,
		     const struct image_entry *entry, struct err *err)
{
	switch (entry->type) {
	case IMAGE_DIR:
		return put_dir(writer, dir, name, entry, err);
	case IMAGE_HARDLINK:
		return put_hardlink(writer, dir, name, entry, err);
	case IMAGE_CHAR:
		if (entry->rdev_major == 0 && entry->rdev_minor == 0)
			return put_whiteout(writer, dir, name, err);
		return err_coded(err, ERR_IMAGE, -EINVAL, "a character device, %u:%u",
				 entry->rdev_major, entry->rdev_minor);
	case IMAGE_BLOCK:
		return err_coded(err, ERR_IMAGE, -EINVAL, "a block device, %u:%u",
				 entry->rdev_major, entry->rdev_minor);
	case IMAGE_FILE:
	case IMAGE_SYMLINK:
	case IMAGE_FIFO:
	case IMAGE_SOCKET:
		return put_other(writer, dir, name, entry, err);
	}
	return err_coded(err, ERR_IMAGE, -EINVAL, "an entry of no known type");
}

/* 1: the path is one of aufs's own, or is below one. -EINVAL: below a whiteout. */
static int is_aufs(const char *path, struct err *err)
{
	const char *next;

	for (; path; path = next) {
		next = strchr(path, '/');
		if (next)
			next++;
		if (strncmp(path, aufs, AUFS_LEN) == 0 && (next || strcmp(path, opaque) != 0))
			return 1;
		if (next && strncmp(path, whiteout, WHITEOUT_LEN) == 0)
			return err_coded(err, ERR_IMAGE, -EINVAL, "a path below a whiteout");
	}
	return 0;
}

static int put_marker(struct image_writer *writer, struct image_name *dir, const char *name,
		      struct err *err)
{
	const char *hidden = name + WHITEOUT_LEN;

	writer->is_ignored = true;
	if (strcmp(name, opaque) == 0) {
		dir->inode->is_opaque = true;
		return 0;
	}
	if (!hidden[0] || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_coded(err, ERR_IMAGE, -EINVAL, "a whiteout of nothing");
	return put_whiteout(writer, dir, hidden, err);
}

static int put_path(struct image_writer *writer, const char *path, const struct image_entry *entry,
		    struct err *err)
{
	struct image_inode *root = writer->tree.root->inode;
	struct image_name *dir;
	const char *last;
	int r;

	if (!path[0]) {
		if (entry->type != IMAGE_DIR)
			return err_coded(err, ERR_IMAGE, -EINVAL, "the root is no directory");
		root->is_implicit = false;
		return image_inode_set(&writer->tree, root, entry, err);
	}
	if (!writer->plain_names) {
		r = is_aufs(path, err);
		writer->is_ignored = r > 0;
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = image_walk_parent(&writer->walk, path, &dir, &last, err);
	if (r < 0)
		return r;
	if (!writer->plain_names && strncmp(last, whiteout, WHITEOUT_LEN) == 0)
		return put_marker(writer, dir, last, err);
	return put_entry(writer, dir, last, entry, err);
}

/* What failed in words, once; after it the writer is over. */
static int writer_end(struct image_writer *writer, int r, const char *path, struct err *err)
{
	if (r == 0)
		return 0;
	writer->is_over = true;
	return path ? err_wrap(err, r, "take the entry '%s'", path) : r;
}

static int writer_ready(const struct image_writer *writer, struct err *err)
{
	return writer->is_over ? err_set(err, -EINVAL, "go on with an image that is over") : 0;
}

int image_writer_entry(struct image_writer *writer, const struct image_entry *entry,
		       struct err *err)
{
	CLEANUP(buf_done) struct buf path = { 0 };
	int r = writer_ready(writer, err);

	if (r < 0)
		return r;
	r = image_content_end(&writer->content, err);
	writer->is_ignored = false;
	if (r == 0)
		r = image_walk_clean(entry->path, &path, err);
	if (r == 0)
		r = put_path(writer, (const char *)path.at, entry, err);
	return writer_end(writer, r, entry->path, err);
}

int image_writer_data(struct image_writer *writer, uint64_t offset, struct bytes bytes,
		      struct err *err)
{
	int r = writer_ready(writer, err);

	if (r < 0 || writer->is_ignored)
		return r;
	return writer_end(writer, image_content_data(&writer->content, offset, bytes, err), NULL,
			  err);
}

/* A root that the layer left out looks like the one below. */
static int inherit_root(struct image_writer *writer, struct err *err)
{
	struct image_name *root = writer->tree.root;
	struct image_entry below;
	int r;

	if (!root->inode->is_implicit)
		return 0;
	r = image_walk_below(&writer->walk, root, NULL, &below, err);
	if (r > 0)
		r = image_inode_set(&writer->tree, root->inode, &below, err);
	return r;
}

int image_writer_finish(struct image_writer *writer, struct image_info *ret_info, struct err *err)
{
	struct image_info info = { 0 };
	int r = writer_ready(writer, err);

	if (r < 0)
		return r;
	r = image_content_end(&writer->content, err);
	if (r == 0)
		r = inherit_root(writer, err);
	if (r == 0)
		r = image_erofs_finish(&writer->tree, &writer->out, &info, err);
	if (r < 0)
		return writer_end(writer, r, NULL, err);
	writer->is_over = true;
	info.needs_lower = writer->walk.has_asked;
	info.root_opaque = writer->tree.root->inode->is_opaque;
	*ret_info = info;
	return 0;
}
