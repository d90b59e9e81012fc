/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make - what the tests of this folder are made from: a place in a temporary directory, tars, and
 * OCI layouts written on the spot. All of it fails the test that uses it when it can't be made.
 */
#ifndef TESTS_ROOTFS_MAKE_H
#define TESTS_ROOTFS_MAKE_H

#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/reader.h"
#include "image/stack.h"
#include "oci/digest.h"
#include "rootfs/image.h"
#include "rootfs/sha256.h"
#include "sys/io.h"
#include "sys/walk.h"

#define UNUSED __attribute__((unused))

/* The test's folder, and a cache in it. */
static struct place {
	const char *path;
	int fd;
	int cache_fd;
} place;

static UNUSED int place_set_up(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	assert_int_equal(mkdirat(folder_fd, "cache", 0700), 0);
	place.path = folder_path;
	place.fd = folder_fd;
	return file_open_dir(folder_fd, "cache", &place.cache_fd, NULL);
}

static UNUSED int place_tear_down(void **state)
{
	(void)close(place.cache_fd);
	return folder_tear_down(state);
}

static UNUSED void write_file(int dir_fd, const char *path, struct bytes bytes)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, bytes, NULL), 0);
	close(fd);
}

static UNUSED struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

/* What a test may find in a message, and its code. */
static UNUSED void assert_words(const struct err *err, enum err_code code, const char *words)
{
	if (!strstr(err->msg, words))
		fail_msg("'%s' is not in '%s'", words, err->msg);
	if (err->code != code)
		fail_msg("code %d, not %d: %s", err->code, code, err->msg);
}

/* One entry of a tar; type 0 is a regular file. */
struct file {
	const char *path;
	unsigned int type; /* AE_IF... */
	unsigned int mode; /* 0: 0644, or 0755 of a directory */
	int uid, gid;
	const char *text; /* contents */
	uint64_t size;	  /* if not strlen(text): zeros up to it */
	const char *link; /* target of a symbolic link */
	const char *hard; /* path of a hard link */
	const char *xattr_name, *xattr_value;
	unsigned int major, minor;
	int64_t mtime;
	long mtime_ns;
};

static UNUSED la_ssize_t add_to_buf(struct archive *tar, void *data, const void *at, size_t len)
{
	(void)tar;
	return buf_add(data, at, len) == 0 ? (la_ssize_t)len : -1;
}

static UNUSED void write_entry(struct archive *tar, const struct file *file)
{
	struct archive_entry *entry = archive_entry_new();
	unsigned int type = file->type ? file->type : AE_IFREG;
	size_t len = file->text ? strlen(file->text) : 0;
	uint64_t size = file->size ? file->size : len;
	static const char zeros[65536];

	assert_non_null(entry);
	archive_entry_copy_pathname(entry, file->path);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, file->mode ? file->mode : type == AE_IFDIR ? 0755 : 0644);
	archive_entry_set_uid(entry, file->uid);
	archive_entry_set_gid(entry, file->gid);
	archive_entry_set_mtime(entry, file->mtime, file->mtime_ns);
	archive_entry_set_size(entry, type == AE_IFREG && !file->hard ? (la_int64_t)size : 0);
	if (file->link)
		archive_entry_copy_symlink(entry, file->link);
	if (file->hard)
		archive_entry_copy_hardlink(entry, file->hard);
	if (file->xattr_name)
		archive_entry_xattr_add_entry(entry, file->xattr_name, file->xattr_value,
					      strlen(file->xattr_value));
	archive_entry_set_rdevmajor(entry, file->major);
	archive_entry_set_rdevminor(entry, file->minor);
	assert_int_equal(archive_write_header(tar, entry), ARCHIVE_OK);
	if (type == AE_IFREG && !file->hard) {
		if (len > 0)
			assert_int_equal(archive_write_data(tar, file->text, len), len);
		for (uint64_t done = len; done < size;) {
			size_t piece = size - done < sizeof(zeros) ? (size_t)(size - done)
								   : sizeof(zeros);

			assert_int_equal(archive_write_data(tar, zeros, piece), piece);
			done += piece;
		}
	}
	archive_entry_free(entry);
}

/* A tar of files, up to one without a path; pax only where ustar can't say it. */
static UNUSED void make_tar(struct buf *ret_tar, const struct file *files)
{
	struct archive *tar = archive_write_new();

	assert_non_null(tar);
	assert_int_equal(archive_write_set_format_pax_restricted(tar), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(tar, 1), ARCHIVE_OK);
	assert_int_equal(archive_write_open(tar, ret_tar, NULL, add_to_buf, NULL), ARCHIVE_OK);
	for (; files->path; files++)
		write_entry(tar, files);
	assert_int_equal(archive_write_close(tar), ARCHIVE_OK);
	archive_write_free(tar);
}

/* The bytes as a filter of libarchive packs them: "gzip" or "zstd"; NULL copies them. */
static UNUSED void pack(struct buf *ret_packed, struct bytes bytes, const char *filter)
{
	struct archive *raw = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_true(raw && entry);
	if (filter)
		assert_int_equal(archive_write_add_filter_by_name(raw, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_set_format_raw(raw), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_per_block(raw, 0), ARCHIVE_OK);
	assert_int_equal(archive_write_open(raw, ret_packed, NULL, add_to_buf, NULL), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(raw, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(raw, bytes.at, bytes.len), bytes.len);
	assert_int_equal(archive_write_close(raw), ARCHIVE_OK);
	archive_write_free(raw);
	archive_entry_free(entry);
}

static UNUSED struct oci_digest digest_of(struct bytes bytes)
{
	struct oci_digest digest;

	assert_int_equal(rootfs_sha256_of(bytes, &digest, NULL), 0);
	return digest;
}

/* An OCI layout as it grows. */
struct maker {
	int dir_fd;
	struct buf layers, diffs;	  /* JSON, with commas between */
	char last_layer[OCI_DIGEST_TEXT]; /* the blob of the layer added last */
	char manifest[OCI_DIGEST_TEXT];
	size_t manifest_size;
};

static UNUSED void maker_open(struct maker *maker, int at_fd, const char *name)
{
	memset(maker, 0, sizeof(*maker));
	assert_int_equal(mkdirat(at_fd, name, 0755), 0);
	maker->dir_fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(maker->dir_fd >= 0);
	assert_int_equal(file_mkdir_p(maker->dir_fd, "blobs/sha256", 0755, NULL), 0);
	write_file(maker->dir_fd, "oci-layout", text_bytes("{\"imageLayoutVersion\":\"1.0.0\"}"));
}

static UNUSED void maker_close(struct maker *maker)
{
	close(maker->dir_fd);
	buf_done(&maker->layers);
	buf_done(&maker->diffs);
}

/* Writes a blob and its digest's text. */
static UNUSED void maker_blob(struct maker *maker, struct bytes bytes,
			      char ret_digest[static OCI_DIGEST_TEXT])
{
	struct oci_digest digest = digest_of(bytes);
	char hex[2 * OCI_DIGEST_BYTES + 1], path[128];

	oci_digest_format(&digest, ret_digest);
	oci_digest_hex(&digest, hex);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	write_file(maker->dir_fd, path, bytes);
}

/* Adds a layer of this tar, packed by that filter. */
static UNUSED void maker_tar(struct maker *maker, struct bytes tar, const char *filter)
{
	CLEANUP(buf_done) struct buf packed = { 0 };
	struct oci_digest diff = digest_of(tar);
	char text[OCI_DIGEST_TEXT];

	pack(&packed, tar, filter);
	maker_blob(maker, buf_bytes(&packed), maker->last_layer);
	oci_digest_format(&diff, text);
	assert_int_equal(buf_addf(&maker->layers,
				  "%s{\"mediaType\":"
				  "\"application/vnd.oci.image.layer.v1.tar%s%s\","
				  "\"digest\":\"%s\",\"size\":%zu}",
				  maker->layers.len ? "," : "", filter ? "+" : "",
				  filter ? filter : "", maker->last_layer, packed.len),
			 0);
	assert_int_equal(buf_addf(&maker->diffs, "%s\"%s\"", maker->diffs.len ? "," : "", text), 0);
}

static UNUSED void maker_layer(struct maker *maker, const struct file *files, const char *filter)
{
	CLEANUP(buf_done) struct buf tar = { 0 };

	make_tar(&tar, files);
	maker_tar(maker, buf_bytes(&tar), filter);
}

/* Writes configuration, manifest and index; config is JSON of an image's "config". */
static UNUSED void maker_finish(struct maker *maker, const char *config)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char digest[OCI_DIGEST_TEXT];
	size_t size;

	assert_int_equal(buf_addf(&text,
				  "{\"os\":\"linux\",\"architecture\":\"amd64\","
				  "\"config\":%s,\"rootfs\":{\"type\":\"layers\","
				  "\"diff_ids\":[%.*s]}}",
				  config ? config : "{\"Cmd\":[\"/bin/true\"]}",
				  (int)maker->diffs.len, (char *)maker->diffs.at),
			 0);
	maker_blob(maker, buf_bytes(&text), digest);
	size = text.len;
	text.len = 0;
	assert_int_equal(buf_addf(&text,
				  "{\"schemaVersion\":2,\"config\":{\"mediaType\":"
				  "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
				  "\"size\":%zu},\"layers\":[%.*s]}",
				  digest, size, (int)maker->layers.len, (char *)maker->layers.at),
			 0);
	maker_blob(maker, buf_bytes(&text), maker->manifest);
	maker->manifest_size = text.len;
	text.len = 0;
	assert_int_equal(buf_addf(&text,
				  "{\"schemaVersion\":2,\"manifests\":[{"
				  "\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
				  "\"digest\":\"%s\",\"size\":%zu,\"annotations\":"
				  "{\"org.opencontainers.image.ref.name\":\"v1\"}}]}",
				  maker->manifest, maker->manifest_size),
			 0);
	write_file(maker->dir_fd, "index.json", buf_bytes(&text));
}

/* A whole layout of one layer. */
static UNUSED void make_layout(int at_fd, const char *name, const struct file *files,
			       const char *filter)
{
	struct maker maker;

	maker_open(&maker, at_fd, name);
	maker_layer(&maker, files, filter);
	maker_finish(&maker, NULL);
	maker_close(&maker);
}

/* What a container would see: the layers of an opened image as one tree. */
struct seen {
	struct image_reader *readers[IMAGE_STACK_MAX];
	size_t count;
	struct image_stack *stack;
	struct image_lower lower;
};

static UNUSED int read_fd(void *data, uint64_t offset, void *at, size_t len, struct err *err)
{
	size_t got;
	int r = io_read_at(*(const int *)data, offset, at, len, &got, err);

	return r < 0 ? r : got == len ? 0 : -EIO;
}

static UNUSED void seen_open(struct seen *seen, struct rootfs_image *image)
{
	memset(seen, 0, sizeof(*seen));
	for (size_t i = 0; i < image->layer_count; i++) {
		struct image_source source = { read_fd, &image->layers[i].fd };

		assert_int_equal(image_reader_new(&source, &seen->readers[i], NULL), 0);
		seen->count++;
	}
	assert_int_equal(image_stack_new(seen->readers, seen->count, &seen->stack, NULL), 0);
	seen->lower = image_stack_lower(seen->stack);
}

static UNUSED void seen_close(struct seen *seen)
{
	(void)image_stack_free(seen->stack);
	for (size_t i = 0; i < seen->count; i++)
		(void)image_reader_free(seen->readers[i]);
}

static UNUSED struct image_entry seen_entry(struct seen *seen, const char *path)
{
	struct image_entry entry;
	struct err err = { 0 };

	if (seen->lower.lookup(seen->lower.data, path, &entry, &err) < 0)
		fail_msg("no '%s': %s", path, err.msg);
	return entry;
}

static UNUSED void assert_absent(struct seen *seen, const char *path)
{
	struct image_entry entry;

	assert_int_equal(seen->lower.lookup(seen->lower.data, path, &entry, NULL), -ENOENT);
}

static UNUSED int collect(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	struct buf *buf = data;

	(void)err;
	while (buf->len < offset)
		assert_int_equal(buf_add(buf, "", 1), 0);
	return buf_add(buf, bytes.at, bytes.len);
}

static UNUSED void assert_text(struct seen *seen, const char *path, const char *text)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	const struct image_sink sink = { collect, &buf };
	struct image_entry entry = seen_entry(seen, path);

	assert_int_equal(entry.type, IMAGE_FILE);
	assert_int_equal(entry.size, strlen(text));
	assert_int_equal(seen->lower.content(seen->lower.data, path, &sink, NULL), 0);
	assert_int_equal(buf.len, strlen(text));
	assert_memory_equal(buf.at, text, buf.len);
}

/* Opens an image named as a user would, in the place. */
static UNUSED int open_image(const char *name, struct rootfs_image **ret_image, struct err *err)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct rootfs_image_opts opts = { .at_fd = place.fd, .cache_fd = place.cache_fd };
	struct oci_ref ref;

	assert_int_equal(oci_ref_parse(&arena, name, &ref, NULL), 0);
	return rootfs_image_open(&ref, &opts, ret_image, err);
}

static UNUSED struct rootfs_image *must_open(const char *name)
{
	struct rootfs_image *image = NULL;
	struct err err = { 0 };

	if (open_image(name, &image, &err) < 0)
		fail_msg("%s", err.msg);
	return image;
}

/* How many files of the cache have names that end so. */
static UNUSED size_t count_cached(const char *suffix)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	size_t count = 0, len = strlen(suffix);
	int fd = openat(place.cache_fd, "layers/v1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(walk_names(fd, &names, NULL), 0);
	close(fd);
	for (size_t i = 0; i < names.len; i++) {
		size_t name = strlen(names.at[i]);

		count += name >= len && strcmp(names.at[i] + name - len, suffix) == 0;
	}
	return count;
}

#endif
