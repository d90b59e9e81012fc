// SPDX-License-Identifier: Apache-2.0
#include "image/stack.h"

#include <errno.h>
#include <string.h>

struct place {
	struct image_reader *reader;
	uint64_t nid;
	bool is_dir;
};

/* The directories that make up one merged directory, or one file; the highest first. */
struct places {
	struct place at[IMAGE_STACK_MAX];
	size_t count;
};

struct image_stack {
	struct image_reader *readers[IMAGE_STACK_MAX]; /* the highest first */
	size_t count;
};

int image_stack_new(struct image_reader *const *readers, size_t count,
		    struct image_stack **ret_stack, struct err *err)
{
	struct image_stack *stack;

	if (count > IMAGE_STACK_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG, "stack %zu layers, of at most %d",
				 count, IMAGE_STACK_MAX);
	stack = calloc(1, sizeof(*stack));
	if (!stack)
		return err_num(err, -ENOMEM, "stack layers");
	for (size_t i = 0; i < count; i++)
		stack->readers[i] = readers[count - 1 - i];
	stack->count = count;
	*ret_stack = stack;
	return 0;
}

struct image_stack *image_stack_free(struct image_stack *stack)
{
	free(stack);
	return NULL;
}

/* Adds the file to what makes up the one that is looked for. 1: nothing below it shows. */
static int place_add(struct places *places, struct place place, struct err *err)
{
	struct image_entry entry;
	bool is_opaque;
	int r;

	r = image_reader_stat(place.reader, place.nid, &entry, &is_opaque, err);
	if (r < 0)
		return r;
	if (entry.type == IMAGE_CHAR)
		return 1;
	place.is_dir = entry.type == IMAGE_DIR;
	if (!place.is_dir && places->count > 0)
		return 1;
	places->at[places->count++] = place;
	return is_opaque || !place.is_dir;
}

static int places_root(const struct image_stack *stack, struct places *ret_places, struct err *err)
{
	int r = 0;

	ret_places->count = 0;
	for (size_t i = 0; i < stack->count && r == 0; i++) {
		const struct place root = { .reader = stack->readers[i],
					    .nid = image_reader_root(stack->readers[i]) };

		r = place_add(ret_places, root, err);
	}
	return r < 0 ? r : 0;
}

/* From a merged directory to what it has under name, which may be nothing. */
static int places_enter(struct places *places, const char *name, struct err *err)
{
	struct places next = { .count = 0 };
	int r = 0;

	for (size_t i = 0; i < places->count && r == 0; i++) {
		struct place place = places->at[i];

		if (place.is_dir)
			r = image_reader_find(place.reader, place.nid, name, &place.nid, err);
		if (place.is_dir && r > 0)
			r = place_add(&next, place, err);
	}
	if (r < 0)
		return r;
	*places = next;
	return 0;
}

static int stack_find(const struct image_stack *stack, const char *path, struct place *ret_place,
		      struct err *err)
{
	char name[IMAGE_NAME_MAX + 1];
	struct places places;
	size_t len;
	int r;

	r = places_root(stack, &places, err);
	for (; r == 0 && *path && places.count > 0; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			continue;
		if (len > IMAGE_NAME_MAX)
			return -ENOENT;
		memcpy(name, path, len);
		name[len] = '\0';
		r = places_enter(&places, name, err);
	}
	if (r < 0)
		return r;
	if (places.count == 0)
		return -ENOENT;
	*ret_place = places.at[0];
	return 0;
}

static int stack_lookup(void *data, const char *path, struct image_entry *ret_entry,
			struct err *err)
{
	struct place place;
	bool is_opaque;
	int r;

	r = stack_find(data, path, &place, err);
	if (r < 0)
		return r;
	return image_reader_stat(place.reader, place.nid, ret_entry, &is_opaque, err);
}

static int stack_content(void *data, const char *path, const struct image_sink *to, struct err *err)
{
	struct place place;
	int r;

	r = stack_find(data, path, &place, err);
	if (r < 0)
		return r == -ENOENT ? err_num(err, r, "read '%s' from below", path) : r;
	return image_reader_content(place.reader, place.nid, to, err);
}

struct image_lower image_stack_lower(struct image_stack *stack)
{
	return (struct image_lower){ stack_lookup, stack_content, stack };
}
