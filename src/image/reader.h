/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader - finds and reads files in an image that the writer made.
 *
 * Every offset is checked, so that a damaged image is an error and no more; that the bytes are
 * those that were written is not checked here: the hash tree is for that. Other features of
 * erofs than the writer's are refused. Not for two callers at once.
 */
#ifndef IMAGE_READER_H
#define IMAGE_READER_H

#include "image/writer.h"

/* Fills at with len bytes from offset, all of them, or returns a negative errno. */
struct image_source {
	int (*read)(void *data, uint64_t offset, void *at, size_t len, struct err *err);
	void *data;
};

struct image_reader;

/* Copies source. -EINVAL with ERR_IMAGE: no image of ours; -ENOMEM; what source returns. */
int image_reader_new(const struct image_source *source, struct image_reader **ret_reader,
		     struct err *err);
struct image_reader *image_reader_free(struct image_reader *reader); /* NULL is fine */
CLEANUP_PTR(struct image_reader, image_reader_free)

/* Files go by their number, which is of this image only. */
uint64_t image_reader_root(const struct image_reader *reader);

/* 1 and ret_nid if the directory has that name, else 0. -ENOTDIR; as above. */
int image_reader_find(struct image_reader *reader, uint64_t dir_nid, const char *name,
		      uint64_t *ret_nid, struct err *err);

/*
 * The file as an entry, without a path; a whiteout is a character device 0:0. What it points at
 * lives until the next call of this function. Attributes have the names that the layer gave them;
 * the mark of an opaque directory is not among them but in ret_is_opaque.
 */
int image_reader_stat(struct image_reader *reader, uint64_t nid, struct image_entry *ret_entry,
		      bool *ret_is_opaque, struct err *err);

/* The contents of a file, in ascending order and without its holes. */
int image_reader_content(struct image_reader *reader, uint64_t nid, const struct image_sink *to,
			 struct err *err);

#endif
