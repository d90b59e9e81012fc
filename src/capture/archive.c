// SPDX-License-Identifier: Apache-2.0
#include "capture/archive_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/macro.h"
#include "sys/io.h"

enum {
	CHUNK = 64 << 10,
	TAR_MAGIC = 257,
};

struct source {
	int fd;
	uint64_t offset;
	struct err why;
	uint8_t chunk[CHUNK];
};

static inline void free_reader(struct archive *tar)
{
	if (tar)
		(void)archive_read_free(tar);
}
CLEANUP_PTR(struct archive, free_reader)

static inline void free_writer(struct archive *tar)
{
	if (tar)
		(void)archive_write_free(tar);
}
CLEANUP_PTR(struct archive, free_writer)

static inline void free_entry(struct archive_entry *entry)
{
	archive_entry_free(entry);
}
CLEANUP_PTR(struct archive_entry, free_entry)

bool capture_archive_is(struct bytes head)
{
	static const struct {
		const char *magic;
		size_t len;
	} packers[] = {
		{ "\x1f\x8b", 2 },
		{ "BZh", 3 },
		{ "\xfd"
		  "7zXZ",
		  6 },
		{ "\x28\xb5\x2f\xfd", 4 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(packers); i++)
		if (bytes_has(head, 0, packers[i].len) &&
		    memcmp(head.at, packers[i].magic, packers[i].len) == 0)
			return true;
	return bytes_has(head, TAR_MAGIC, 5) && memcmp(head.at + TAR_MAGIC, "ustar", 5) == 0;
}

static la_ssize_t read_source(struct archive *tar, void *data, const void **ret_at)
{
	struct source *source = data;
	size_t len;

	if (io_read_at(source->fd, source->offset, source->chunk, CHUNK, &len, &source->why) < 0) {
		archive_set_error(tar, EIO, "%s", source->why.msg);
		return -1;
	}
	source->offset += len;
	*ret_at = source->chunk;
	return (la_ssize_t)len;
}

/* Its words may quote what is in the file: nothing of that reaches a terminal. */
static int fail(struct archive *tar, const char *verb, const char *name, struct err *err)
{
	const char *why = archive_error_string(tar);
	char words[160];
	char *c;

	if (archive_errno(tar) == ENOMEM)
		return err_num(err, -ENOMEM, "%s '%s'", verb, name);
	(void)snprintf(words, sizeof(words), "%s", why ? why : "not an archive of files");
	for (c = words; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return err_coded(err, ERR_USAGE, -EINVAL, "%s '%s': %s", verb, name, words);
}

static int open_reader(struct archive *tar, struct source *source, const char *name,
		       struct err *err)
{
	/* a warning would say that a program is run to unpack: that is never wanted */
	if (archive_read_support_format_tar(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(tar) != ARCHIVE_OK)
		return err_set(err, -EIO, "read '%s': libarchive lacks a decompressor", name);
	archive_read_set_read_callback(tar, read_source);
	archive_read_set_callback_data(tar, source);
	return archive_read_open1(tar) == ARCHIVE_OK ? 0 : fail(tar, "read", name, err);
}

static bool is_top(const char *path)
{
	return strncmp(path, "sys/", 4) == 0 || strncmp(path, "proc/", 5) == 0 ||
	       strncmp(path, "casemate/", 9) == 0;
}

/* The path on the host: archives often have one directory above it. NULL: it has none. */
static const char *host_path(const char *path)
{
	while (strncmp(path, "./", 2) == 0 || *path == '/')
		path += *path == '/' ? 1 : 2;
	if (!is_top(path)) {
		path = strchr(path, '/');
		path = path ? path + 1 : NULL;
	}
	return path && is_top(path) ? path : NULL;
}

static int read_data(struct archive *tar, const char *name, int64_t size, struct buf *ret,
		     struct err *err)
{
	la_ssize_t got;

	buf_drop(ret, ret->len);
	if (buf_reserve(ret, (size_t)size) < 0)
		return err_num(err, -ENOMEM, "read '%s'", name);
	got = archive_read_data(tar, ret->at, (size_t)size);
	if (got != size)
		return fail(tar, "read", name, err);
	ret->len = (size_t)size;
	return 0;
}

/* Adds one member if it is wanted. */
static int read_member(struct archive *tar, struct archive_entry *entry, const char *name,
		       struct machine_capture *capture, struct buf *data, struct err *err)
{
	const char *path = archive_entry_pathname(entry), *target;
	int64_t size = archive_entry_size(entry);
	char clean[MACHINE_CAPTURE_PATH_MAX + 1];
	size_t len;
	int r;

	path = path ? host_path(path) : NULL;
	len = path ? strnlen(path, sizeof(clean)) : 0;
	if (len == 0 || len >= sizeof(clean))
		return 0;
	memcpy(clean, path, len + 1);
	while (len && clean[len - 1] == '/')
		clean[--len] = '\0';
	if (!machine_capture_wants(clean))
		return 0;
	if (archive_entry_filetype(entry) == AE_IFDIR)
		return machine_capture_add(capture, clean, MACHINE_CAPTURE_DIR, (struct bytes){ 0 },
					   err);
	if (archive_entry_filetype(entry) == AE_IFLNK) {
		target = archive_entry_symlink(entry);
		if (!target)
			return 0;
		return machine_capture_add(
			capture, clean, MACHINE_CAPTURE_LINK,
			(struct bytes){ (const uint8_t *)target, strlen(target) }, err);
	}
	if (archive_entry_filetype(entry) != AE_IFREG || size < 0 ||
	    size > MACHINE_CAPTURE_FILE_MAX)
		return 0;
	r = read_data(tar, name, size, data, err);
	return r < 0 ? r
		     : machine_capture_add(capture, clean, MACHINE_CAPTURE_FILE, buf_bytes(data),
					   err);
}

int capture_archive_read(int fd, const char *name, struct machine_capture *capture, struct err *err)
{
	CLEANUP(free_reader) struct archive *tar = archive_read_new();
	struct source source = { .fd = fd };
	CLEANUP(buf_done) struct buf data = { 0 };
	struct archive_entry *entry;
	int64_t total = 0, members = 0;
	int r;

	if (!tar)
		return err_num(err, -ENOMEM, "read '%s'", name);
	r = open_reader(tar, &source, name, err);
	while (r >= 0) {
		r = archive_read_next_header(tar, &entry);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return fail(tar, "read", name, err);
		/* what is not wanted is unpacked too, to come to what follows */
		if (archive_entry_size(entry) > CAPTURE_ARCHIVE_TOTAL_MAX - total ||
		    ++members > CAPTURE_ARCHIVE_MEMBERS_MAX)
			return err_coded(err, ERR_USAGE, -E2BIG,
					 "read '%s': more than a capture of a host can have", name);
		if (archive_entry_size(entry) > 0)
			total += archive_entry_size(entry);
		r = read_member(tar, entry, name, capture, &data, err);
	}
	return r;
}

static la_ssize_t write_buf(struct archive *tar, void *data, const void *at, size_t len)
{
	if (buf_add(data, at, len) < 0) {
		archive_set_error(tar, ENOMEM, "no memory");
		return -1;
	}
	return (la_ssize_t)len;
}

static bool ends_in(const char *name, const char *ending)
{
	size_t len = strlen(name), want = strlen(ending);

	return len > want && strcmp(name + len - want, ending) == 0;
}

/* 0, or -EINVAL for a name that says nothing of a form. */
static int add_filter(struct archive *tar, const char *name)
{
	if (ends_in(name, ".tar"))
		return archive_write_add_filter_none(tar);
	if (ends_in(name, ".tar.zst"))
		return archive_write_add_filter_zstd(tar);
	if (ends_in(name, ".tar.xz"))
		return archive_write_add_filter_xz(tar);
	if (ends_in(name, ".tar.bz2"))
		return archive_write_add_filter_bzip2(tar);
	if (!ends_in(name, ".tar.gz"))
		return -EINVAL;
	if (archive_write_add_filter_gzip(tar) != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	/* no time of its making in it */
	return archive_write_set_filter_option(tar, "gzip", "timestamp", NULL);
}

static int write_member(struct archive *tar, const struct machine_capture_entry *from,
			struct archive_entry *entry)
{
	archive_entry_clear(entry);
	archive_entry_set_pathname(entry, from->path);
	archive_entry_set_mtime(entry, 0, 0);
	switch (from->kind) {
	case MACHINE_CAPTURE_FILE:
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (la_int64_t)from->data.len);
		break;
	case MACHINE_CAPTURE_LINK:
		archive_entry_set_filetype(entry, AE_IFLNK);
		archive_entry_set_perm(entry, 0777);
		archive_entry_set_symlink(entry, (const char *)from->data.at);
		break;
	case MACHINE_CAPTURE_DIR:
		archive_entry_set_filetype(entry, AE_IFDIR);
		archive_entry_set_perm(entry, 0755);
		break;
	}
	if (archive_write_header(tar, entry) != ARCHIVE_OK)
		return -EIO;
	if (from->kind == MACHINE_CAPTURE_FILE &&
	    archive_write_data(tar, from->data.at, from->data.len) != (la_ssize_t)from->data.len)
		return -EIO;
	return 0;
}

int capture_archive_write(const struct machine_capture *capture, const char *name, struct buf *ret,
			  struct err *err)
{
	CLEANUP(buf_done) struct buf out = { 0 };
	CLEANUP(free_writer) struct archive *tar = archive_write_new();
	CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
	size_t i;
	int r;

	if (!tar || !entry)
		return err_num(err, -ENOMEM, "write '%s'", name);
	r = add_filter(tar, name);
	if (r == -EINVAL)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "write '%s': the name ends in none of .tar, .tar.gz, .tar.bz2, "
				 ".tar.xz, .tar.zst",
				 name);
	/* no zeros behind the compressed bytes */
	(void)archive_write_set_bytes_in_last_block(tar, 1);
	if (r != ARCHIVE_OK || archive_write_set_format_pax_restricted(tar) != ARCHIVE_OK ||
	    archive_write_open(tar, &out, NULL, write_buf, NULL) != ARCHIVE_OK)
		return fail(tar, "write", name, err);
	for (i = 0; i < capture->count; i++)
		if (write_member(tar, &capture->entries[i], entry) < 0)
			return fail(tar, "write", name, err);
	if (archive_write_close(tar) != ARCHIVE_OK)
		return fail(tar, "write", name, err);
	if (buf_add(ret, out.at, out.len) < 0)
		return err_num(err, -ENOMEM, "write '%s'", name);
	return 0;
}
