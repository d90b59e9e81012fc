// SPDX-License-Identifier: Apache-2.0
#include "image/tree_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

/* What tsearch() takes for a node, with malloc()'s own word. */
enum { NODE_COST = 40 };

static int tree_compare(const void *a, const void *b)
{
	const struct image_name *left = a, *right = b;

	return strcmp(left->name, right->name);
}

int image_tree_hold(struct image_tree *tree, uint64_t len, struct err *err)
{
	if (len > tree->max_held - tree->held)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "hold %" PRIu64 " bytes of names, attributes and small contents"
				 " in memory, of at most %" PRIu64,
				 tree->held + len, tree->max_held);
	tree->held += len;
	return 0;
}

void image_tree_unhold(struct image_tree *tree, uint64_t len)
{
	assert(len <= tree->held);
	tree->held -= len;
}

int image_tree_inode(struct image_tree *tree, uint32_t mode, struct image_inode **ret_inode,
		     struct err *err)
{
	struct image_inode *inode;
	int r;

	r = image_tree_hold(tree, sizeof(*inode), err);
	if (r < 0)
		return r;
	inode = calloc(1, sizeof(*inode));
	if (!inode) {
		image_tree_unhold(tree, sizeof(*inode));
		return err_num(err, -ENOMEM, "make an inode");
	}
	inode->refs = 1;
	inode->mode = mode;
	*ret_inode = inode;
	return 0;
}

void image_tree_unref(struct image_tree *tree, struct image_inode *inode)
{
	uint64_t held = sizeof(*inode);

	if (!inode || --inode->refs > 0)
		return;
	held += inode->xattrs_len + inode->run_count * sizeof(*inode->runs);
	if (inode->held)
		held += inode->size;
	image_tree_unhold(tree, held);
	free(inode->xattrs);
	free(inode->runs);
	free(inode->held);
	free(inode);
}

static uint64_t name_cost(const char *name)
{
	return sizeof(struct image_name) + strlen(name) + 1 + NODE_COST;
}

static int name_new(struct image_tree *tree, const char *name, struct image_inode *inode,
		    struct image_name **ret_name, struct err *err)
{
	size_t len = strlen(name);
	struct image_name *made;
	int r;

	if (tree->entries >= tree->max_entries)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG, "take more than %" PRIu32 " entries",
				 tree->max_entries);
	r = image_tree_hold(tree, name_cost(name), err);
	if (r < 0)
		return r;
	made = malloc(sizeof(*made) + len + 1);
	if (!made) {
		image_tree_unhold(tree, name_cost(name));
		return err_num(err, -ENOMEM, "keep a name");
	}
	made->parent = made;
	made->inode = inode;
	memcpy(made->name, name, len + 1);
	tree->entries++;
	inode->refs++;
	inode->names++;
	*ret_name = made;
	return 0;
}

static void name_free(struct image_tree *tree, struct image_name *name)
{
	tree->entries--;
	image_tree_unhold(tree, name_cost(name->name));
	name->inode->names--;
	image_tree_unref(tree, name->inode);
	free(name);
}

int image_tree_init(struct image_tree *tree, uint32_t max_entries, uint64_t max_held,
		    struct err *err)
{
	struct image_inode *inode = NULL;
	int r;

	*tree = (struct image_tree){ .max_entries = max_entries, .max_held = max_held };
	r = image_tree_inode(tree, S_IFDIR | 0755, &inode, err);
	if (r < 0)
		return r;
	inode->is_implicit = true;
	r = name_new(tree, "", inode, &tree->root, err);
	image_tree_unref(tree, inode);
	return r;
}

/* Everything below name, deepest first; not recursive, since a tar says how deep it goes. */
static void tree_empty(struct image_tree *tree, struct image_name *top)
{
	struct image_name *at = top, *parent;

	for (;;) {
		if (at->inode->children) {
			at = *(struct image_name **)at->inode->children;
			continue;
		}
		if (at == top)
			return;
		parent = at->parent;
		image_tree_remove(tree, at);
		at = parent;
	}
}

void image_tree_done(struct image_tree *tree)
{
	if (!tree->root)
		return;
	tree_empty(tree, tree->root);
	name_free(tree, tree->root);
	tree->root = NULL;
	assert(tree->entries == 0);
}

void image_tree_remove(struct image_tree *tree, struct image_name *name)
{
	struct image_inode *dir = name->parent->inode;

	tree_empty(tree, name);
	(void)tdelete(name, &dir->children, tree_compare);
	dir->child_count--;
	if (image_inode_is(name->inode, S_IFDIR))
		dir->subdir_count--;
	name_free(tree, name);
}

struct image_name *image_tree_find(const struct image_name *dir, const char *name)
{
	_Alignas(struct image_name) char room[sizeof(struct image_name) + IMAGE_NAME_MAX + 1];
	struct image_name *key = (struct image_name *)room;
	size_t len = strlen(name);
	void *found;

	if (len > IMAGE_NAME_MAX)
		return NULL;
	memcpy(room + offsetof(struct image_name, name), name, len + 1);
	found = tfind(key, &dir->inode->children, tree_compare);
	return found ? *(struct image_name **)found : NULL;
}

int image_tree_add(struct image_tree *tree, struct image_name *dir, const char *name,
		   struct image_inode *inode, struct image_name **ret_name, struct err *err)
{
	struct image_name *made = NULL;
	void *at;
	int r;

	r = name_new(tree, name, inode, &made, err);
	if (r < 0)
		return r;
	at = tsearch(made, &dir->inode->children, tree_compare);
	if (!at) {
		name_free(tree, made);
		return err_num(err, -ENOMEM, "keep a name");
	}
	assert(*(struct image_name **)at == made);
	made->parent = dir;
	dir->inode->child_count++;
	if (image_inode_is(inode, S_IFDIR))
		dir->inode->subdir_count++;
	*ret_name = made;
	return 0;
}

struct listing {
	const struct image_name **at;
	size_t len;
};

static void list_one(const void *node, VISIT visit, void *data)
{
	struct listing *listing = data;

	if (visit == postorder || visit == leaf)
		listing->at[listing->len++] = *(struct image_name *const *)node;
}

void image_tree_list(const struct image_inode *dir, const struct image_name **at)
{
	struct listing listing = { .at = at };

	twalk_r(dir->children, list_one, &listing);
	assert(listing.len == dir->child_count);
}

int image_tree_path(const struct image_name *dir, const char *child, struct buf *ret_path)
{
	const struct image_name *at;
	size_t len = child ? strlen(child) : 0;
	char path[IMAGE_PATH_MAX + 2];
	size_t pos = sizeof(path) - 1;

	path[pos] = '\0';
	if (len > IMAGE_NAME_MAX)
		return -ENAMETOOLONG;
	if (child) {
		pos -= len;
		memcpy(path + pos, child, len);
	}
	for (at = dir; at->parent != at; at = at->parent) {
		len = strlen(at->name);
		if (len + 1 > pos)
			return -ENAMETOOLONG;
		if (path[pos])
			path[--pos] = '/';
		pos -= len;
		memcpy(path + pos, at->name, len);
	}
	ret_path->len = 0;
	return buf_add(ret_path, path + pos, sizeof(path) - pos);
}
