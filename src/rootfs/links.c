// SPDX-License-Identifier: Apache-2.0
/*
 * A hash table of linear probing, never more than half full, never shrunk. Inode numbers are the
 * file system's; a multiplication spreads them enough, and whoever chooses them on purpose slows
 * down the snapshot of their own directory.
 */
#include "rootfs/links.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct link {
	uint64_t dev, ino;
	char *path; /* NULL: free */
};

struct rootfs_links {
	struct link *slots;
	size_t size; /* a power of two */
	size_t count;
};

enum { FIRST_SIZE = 256 };

int rootfs_links_new(struct rootfs_links **ret_links)
{
	CLEANUP(rootfs_links_free) struct rootfs_links *links = calloc(1, sizeof(*links));

	if (!links)
		return -ENOMEM;
	links->slots = calloc(FIRST_SIZE, sizeof(*links->slots));
	if (!links->slots)
		return -ENOMEM;
	links->size = FIRST_SIZE;
	*ret_links = steal_ptr(&links);
	return 0;
}

struct rootfs_links *rootfs_links_free(struct rootfs_links *links)
{
	if (!links)
		return NULL;
	for (size_t i = 0; i < links->size; i++)
		free(links->slots[i].path);
	free(links->slots);
	free(links);
	return NULL;
}

static struct link *find_slot(struct link *slots, size_t size, uint64_t dev, uint64_t ino)
{
	uint64_t hash = (ino ^ dev << 32 ^ dev >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 32) & (size - 1);

	while (slots[i].path && (slots[i].dev != dev || slots[i].ino != ino))
		i = (i + 1) & (size - 1);
	return &slots[i];
}

static int grow(struct rootfs_links *links)
{
	size_t size = 2 * links->size;
	struct link *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < links->size; i++) {
		const struct link *old = &links->slots[i];

		if (old->path)
			*find_slot(slots, size, old->dev, old->ino) = *old;
	}
	free(links->slots);
	links->slots = slots;
	links->size = size;
	return 0;
}

int rootfs_links_add(struct rootfs_links *links, uint64_t dev, uint64_t ino, const char *path,
		     const char **ret_first)
{
	struct link *slot;
	char *copy;

	slot = find_slot(links->slots, links->size, dev, ino);
	if (slot->path) {
		*ret_first = slot->path;
		return 0;
	}
	if (2 * (links->count + 1) > links->size) {
		if (grow(links) < 0)
			return -ENOMEM;
		slot = find_slot(links->slots, links->size, dev, ino);
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	*slot = (struct link){ dev, ino, copy };
	links->count++;
	*ret_first = NULL;
	return 0;
}
