/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory - images in memory, for the tests of image/.
 */
#ifndef TESTS_IMAGE_MEMORY_H
#define TESTS_IMAGE_MEMORY_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "image/reader.h"
#include "image/writer.h"

/* Lists of items leave out what does not matter to them. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct err no_err;

/* A sink that remembers where it was written, and a source of the same bytes. */
struct memory {
	struct buf buf;
	size_t writes;
	int refuse; /* what write returns, if not 0 */
};

static inline int memory_write(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	struct memory *memory = data;
	size_t end = offset + bytes.len;

	if (memory->refuse)
		return err_set(err, memory->refuse, "refused");
	if (end > memory->buf.len) {
		assert_int_equal(buf_reserve(&memory->buf, end - memory->buf.len), 0);
		memset(memory->buf.at + memory->buf.len, 0, end - memory->buf.len);
		memory->buf.len = end;
	}
	memcpy(memory->buf.at + offset, bytes.at, bytes.len);
	memory->writes++;
	return 0;
}

static inline int memory_read(void *data, uint64_t offset, void *at, size_t len, struct err *err)
{
	struct memory *memory = data;

	if (!bytes_has(buf_bytes(&memory->buf), offset, len))
		return err_set(err, -EIO, "beyond the end");
	memcpy(at, memory->buf.at + offset, len);
	return 0;
}

static inline struct image_sink memory_sink(struct memory *memory)
{
	return (struct image_sink){ memory_write, memory };
}

static inline struct image_source memory_source(struct memory *memory)
{
	return (struct image_source){ memory_read, memory };
}

static inline struct image_reader *memory_reader(struct memory *memory)
{
	const struct image_source source = memory_source(memory);
	struct image_reader *reader = NULL;

	assert_int_equal(image_reader_new(&source, &reader, NULL), 0);
	return reader;
}

/* A layer as a list of these, up to one without a path. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): the order is that of reading */
struct item {
	const char *path;
	enum image_type type;
	const char *text; /* contents or link */
	uint32_t mode;
	uint32_t uid;
	struct image_xattr xattr;
	uint32_t minor;
};

static inline int put_item(struct image_writer *writer, const struct item *item, struct err *err)
{
	bool is_file = item->type == IMAGE_FILE;
	struct bytes text = { (const uint8_t *)item->text, item->text ? strlen(item->text) : 0 };
	struct image_entry entry = {
		.path = item->path,
		.type = item->type,
		.mode = item->mode ? item->mode : 0644,
		.uid = item->uid,
		.mtime_s = 7,
		.size = is_file ? text.len : 0,
		.link = is_file ? NULL : item->text,
		.rdev_minor = item->minor,
		.xattrs = &item->xattr,
		.xattr_count = item->xattr.name ? 1 : 0,
	};
	int r = image_writer_entry(writer, &entry, err);

	return r == 0 && is_file ? image_writer_data(writer, 0, text, err) : r;
}

struct layer {
	struct memory memory;
	struct image_info info;
	struct err err;
	const struct image_lower *lower;
	struct image_limits limits;
};

static inline int layer_make(struct layer *layer, const struct item *items)
{
	const struct image_sink sink = memory_sink(&layer->memory);
	struct image_writer *writer = NULL;
	int r;

	layer->err = no_err;
	layer->memory.buf.len = 0;
	r = image_writer_new(&layer->limits, &sink, &writer, &layer->err);
	if (r == 0 && layer->lower)
		image_writer_use_lower(writer, layer->lower);
	for (; r == 0 && items->path; items++)
		r = put_item(writer, items, &layer->err);
	if (r == 0)
		r = image_writer_finish(writer, &layer->info, &layer->err);
	image_writer_free(writer);
	assert_true(r < 0 ? layer->err.num == r && layer->err.msg[0] : layer->err.num == 0);
	if (r == 0)
		assert_int_equal(layer->memory.buf.len, layer->info.total_bytes);
	return r;
}

static inline void layer_done(struct layer *layer)
{
	buf_done(&layer->memory.buf);
}

/* The number of a path in an image, no symbolic link followed; 0 if there is none. */
static inline uint64_t find_path(struct image_reader *reader, const char *path)
{
	uint64_t nid = image_reader_root(reader);
	char name[IMAGE_NAME_MAX + 1];
	size_t len;

	for (; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		memcpy(name, path, len);
		name[len] = '\0';
		if (image_reader_find(reader, nid, name, &nid, NULL) <= 0)
			return 0;
	}
	return nid;
}

/*
 * A file of an image in a line: "dir 755 0 opaque", "file 644 0 contents", "whiteout", or "none".
 * Valid until the next call.
 */
static inline const char *describe(struct image_reader *reader, const char *path)
{
	static const char *const types[] = { "file", "dir",   "symlink", "hardlink",
					     "char", "block", "fifo",	 "socket" };
	static char line[512];
	struct memory contents = { 0 };
	const struct image_sink sink = memory_sink(&contents);
	uint64_t nid = find_path(reader, path);
	struct image_entry entry;
	bool is_opaque;

	if (nid == 0)
		return "none";
	assert_int_equal(image_reader_stat(reader, nid, &entry, &is_opaque, NULL), 0);
	if (entry.type == IMAGE_CHAR)
		return "whiteout";
	if (entry.type == IMAGE_FILE)
		assert_int_equal(image_reader_content(reader, nid, &sink, NULL), 0);
	(void)snprintf(line, sizeof(line), "%s %o %u%s%s%.*s%s%s", types[entry.type], entry.mode,
		       entry.uid, is_opaque ? " opaque" : "", contents.buf.len ? " " : "",
		       (int)contents.buf.len, contents.buf.len ? (char *)contents.buf.at : "",
		       entry.link ? " " : "", entry.link ? entry.link : "");
	buf_done(&contents.buf);
	return line;
}

#endif
