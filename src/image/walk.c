// SPDX-License-Identifier: Apache-2.0
#include "image/walk_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "image/inode_priv.h"

int image_walk_clean(const char *path, struct buf *ret_clean, struct err *err)
{
	CLEANUP(buf_done) struct buf clean = { 0 };
	size_t len;
	int r = 0;

	for (; *path && r == 0; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.'))
			continue;
		if (len == 2 && memcmp(path, "..", 2) == 0)
			return err_coded(err, ERR_IMAGE, -EINVAL, "a path with '..' in it");
		if (len > IMAGE_NAME_MAX || clean.len + 1 + len > IMAGE_PATH_MAX)
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "a name longer than %d bytes or a path longer than %d",
					 IMAGE_NAME_MAX, IMAGE_PATH_MAX);
		if (clean.len)
			r = buf_add(&clean, "/", 1);
		if (r == 0)
			r = buf_add(&clean, path, len);
	}
	if (r == 0)
		r = buf_add(&clean, "", 1);
	if (r < 0)
		return err_num(err, r, "read a path");
	buf_done(ret_clean);
	*ret_clean = clean;
	clean = (struct buf){ 0 };
	return 0;
}

/* An opaque directory, or a parent in it that nothing below can show through. */
static bool is_hidden(const struct image_name *dir)
{
	for (; !dir->inode->is_opaque; dir = dir->parent) {
		if (dir->parent == dir)
			return false;
	}
	return true;
}

int image_walk_below(struct image_walk *walk, const struct image_name *dir, const char *child,
		     struct image_entry *ret_entry, struct err *err)
{
	CLEANUP(buf_done) struct buf path = { 0 };
	struct image_entry entry = { 0 };
	int r;

	if (is_hidden(dir))
		return 0;
	walk->has_asked = true;
	if (!walk->lower.lookup)
		return 0;
	r = image_tree_path(dir, child, &path);
	if (r < 0)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG, "a path longer than %d bytes",
				 IMAGE_PATH_MAX);
	r = walk->lower.lookup(walk->lower.data, (const char *)path.at, &entry, err);
	if (r == -ENOENT) {
		/* What lower may have said of it is no error of ours. */
		if (err)
			*err = (struct err){ 0 };
		return 0;
	}
	if (r < 0)
		return err_wrap(err, r, "look below for '%s'", (const char *)path.at);
	*ret_entry = entry;
	return 1;
}

/* A directory that the layer left out; like is what is below in its place, or NULL. */
static int make_dir(struct image_walk *walk, struct image_name *dir, const char *name,
		    const struct image_entry *like, struct image_name **ret_name, struct err *err)
{
	struct image_inode *inode;
	int r;

	r = image_tree_inode(walk->tree, S_IFDIR | 0755, &inode, err);
	if (r < 0)
		return r;
	inode->is_implicit = true;
	if (like)
		r = image_inode_set(walk->tree, inode, like, err);
	if (r == 0)
		r = image_tree_add(walk->tree, dir, name, inode, ret_name, err);
	image_tree_unref(walk->tree, inode);
	return r;
}

/* One walk: rest is what is still to go, and may come to hold targets of links. */
struct steps {
	struct image_walk *walk;
	struct image_name *dir;
	struct buf rest;
	size_t at; /* where in rest the walk is */
	unsigned int hops;
};

static int step_into_link(struct steps *steps, const char *target, const char *rest,
			  struct err *err)
{
	struct buf next = { 0 };
	int r;

	if (++steps->hops > IMAGE_LINK_HOPS)
		return err_coded(err, ERR_IMAGE, -ELOOP, "more than %d symbolic links on the way",
				 IMAGE_LINK_HOPS);
	if (!target || strlen(target) + strlen(rest) > 2 * IMAGE_PATH_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG, "a path longer than %d bytes",
				 IMAGE_PATH_MAX);
	if (target[0] == '/')
		steps->dir = steps->walk->tree->root;
	r = buf_addf(&next, "%s/%s", target, rest);
	if (r == 0)
		r = buf_add(&next, "", 1);
	buf_done(&steps->rest);
	steps->rest = next;
	steps->at = 0;
	return r < 0 ? err_num(err, r, "follow a link") : 0;
}

static int step_up(struct steps *steps, struct err *err)
{
	if (steps->dir->parent == steps->dir)
		return err_coded(err, ERR_IMAGE, -EINVAL,
				 "a symbolic link below leads out of the root");
	steps->dir = steps->dir->parent;
	return 0;
}

static int step_not_dir(const char *name, const char *what, struct err *err)
{
	return err_coded(err, ERR_IMAGE, -EINVAL, "a path through '%s', which is %s", name, what);
}

/* name is not in dir: what is below decides. rest is what comes after it. */
static int step_missing(struct steps *steps, const char *name, const char *rest, struct err *err)
{
	struct image_entry below;
	int r;

	r = image_walk_below(steps->walk, steps->dir, name, &below, err);
	if (r < 0)
		return r;
	if (r > 0 && below.type == IMAGE_SYMLINK)
		return step_into_link(steps, below.link, rest, err);
	if (r > 0 && below.type != IMAGE_DIR)
		return step_not_dir(name, "a file in a layer below", err);
	return make_dir(steps->walk, steps->dir, name, r > 0 ? &below : NULL, &steps->dir, err);
}

static int step(struct steps *steps, const char *name, const char *rest, struct err *err)
{
	struct image_tree *tree = steps->walk->tree;
	struct image_name *found;
	int r;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return step_up(steps, err);
	found = image_tree_find(steps->dir, name);
	if (!found)
		return step_missing(steps, name, rest, err);
	if (image_inode_is(found->inode, S_IFLNK))
		return step_not_dir(name, "a symbolic link of the same layer", err);
	if (image_inode_is(found->inode, S_IFCHR)) {
		/* A whiteout, and then something in its place: nothing shows through. */
		image_tree_remove(tree, found);
		r = make_dir(steps->walk, steps->dir, name, NULL, &steps->dir, err);
		if (r == 0)
			steps->dir->inode->is_opaque = true;
		return r;
	}
	if (!image_inode_is(found->inode, S_IFDIR))
		return step_not_dir(name, "a file", err);
	steps->dir = found;
	return 0;
}

static int walk_dirs(struct steps *steps, struct err *err)
{
	char name[IMAGE_NAME_MAX + 1];
	size_t len;
	int r = 0;

	while (r == 0) {
		const char *whole = (const char *)steps->rest.at, *rest = whole + steps->at;

		rest += strspn(rest, "/");
		len = strcspn(rest, "/");
		if (len == 0)
			return 0;
		if (len > IMAGE_NAME_MAX)
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "a name longer than %d bytes", IMAGE_NAME_MAX);
		memcpy(name, rest, len);
		name[len] = '\0';
		steps->at = (size_t)(rest + len - whole);
		r = step(steps, name, rest + len, err);
	}
	return r;
}

int image_walk_parent(struct image_walk *walk, const char *path, struct image_name **ret_dir,
		      const char **ret_last, struct err *err)
{
	struct steps steps = { .walk = walk, .dir = walk->tree->root };
	const char *slash = strrchr(path, '/');
	int r;

	r = buf_add(&steps.rest, path, slash ? (size_t)(slash - path) : 0);
	if (r == 0)
		r = buf_add(&steps.rest, "", 1);
	if (r < 0)
		r = err_num(err, r, "walk a path");
	else
		r = walk_dirs(&steps, err);
	buf_done(&steps.rest);
	if (r < 0)
		return r;
	*ret_dir = steps.dir;
	*ret_last = slash ? slash + 1 : path;
	return 0;
}
