// SPDX-License-Identifier: Apache-2.0
#include "rootfs/archive.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "rootfs/tar.h"
#include "sys/io.h"

enum { CHUNK = 256 << 10 };

struct rootfs_member {
	char *name;
	uint64_t offset; /* of its bytes, in a plain tar */
	uint64_t size;
	size_t index;  /* among all headers, for a compressed one */
	uint8_t *kept; /* NULL: not in memory */
};

struct rootfs_archive {
	char *file;
	int fd;
	uint64_t file_size;
	bool is_plain;
	struct rootfs_member *members;
	size_t count, cap;
	size_t kept_total;
};

/* What libarchive reads the file through: pread() keeps the descriptor free of a position. */
struct source {
	const struct rootfs_archive *archive;
	uint64_t offset;
	struct err why;
	uint8_t chunk[CHUNK];
};

struct rootfs_reader {
	struct rootfs_archive *archive;
	const struct rootfs_member *member;
	uint64_t done;
	struct archive *tar; /* of a compressed archive, at the member */
	struct source source;
};

static la_ssize_t read_source(struct archive *tar, void *data, const void **ret_at)
{
	struct source *source = data;
	size_t len;

	if (io_read_at(source->archive->fd, source->offset, source->chunk, CHUNK, &len,
		       &source->why) < 0) {
		archive_set_error(tar, EIO, "%s", source->why.msg);
		return -1;
	}
	source->offset += len;
	*ret_at = source->chunk;
	return (la_ssize_t)len;
}

static la_int64_t skip_source(struct archive *tar, void *data, la_int64_t len)
{
	struct source *source = data;
	uint64_t left = source->archive->file_size > source->offset
				? source->archive->file_size - source->offset
				: 0;

	(void)tar;
	if (len < 0)
		return 0;
	if ((uint64_t)len > left)
		len = (la_int64_t)left;
	source->offset += (uint64_t)len;
	return len;
}

static int fail_tar(const struct rootfs_archive *archive, struct archive *tar,
		    const struct source *source, struct err *err)
{
	if (source->why.num < 0) {
		if (err)
			*err = source->why;
		return err_wrap(err, source->why.num, "read '%s'", archive->file);
	}
	return rootfs_tar_fail(tar, archive->file, err);
}

/* Starts reading the file from its beginning. */
static int open_tar(struct source *source, struct archive **ret_tar, struct err *err)
{
	CLEANUP(rootfs_tar_free) struct archive *tar = archive_read_new();

	if (!tar)
		return err_num(err, -ENOMEM, "read '%s'", source->archive->file);
	/* warnings say that a program outside would be run for it: that is never wanted */
	if (archive_read_support_format_tar(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(tar) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(tar) != ARCHIVE_OK)
		return err_set(err, -EIO, "read '%s': libarchive lacks a decompressor",
			       source->archive->file);
	archive_read_set_skip_callback(tar, skip_source);
	archive_read_set_read_callback(tar, read_source);
	archive_read_set_callback_data(tar, source);
	if (archive_read_open1(tar) != ARCHIVE_OK)
		return fail_tar(source->archive, tar, source, err);
	*ret_tar = steal_ptr(&tar);
	return 0;
}

/* 1, or 0 at the end. */
static int next_header(const struct source *source, struct archive *tar,
		       struct archive_entry **ret_entry, struct err *err)
{
	int r = archive_read_next_header(tar, ret_entry);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail_tar(source->archive, tar, source, err);
	return 1;
}

static int add_member(struct rootfs_archive *archive, const struct rootfs_member *member,
		      struct err *err)
{
	struct rootfs_member *more;

	if (archive->count == archive->cap) {
		size_t cap = archive->cap ? 2 * archive->cap : 64;

		more = reallocarray(archive->members, cap, sizeof(*more));
		if (!more)
			return err_num(err, -ENOMEM, "read '%s'", archive->file);
		archive->members = more;
		archive->cap = cap;
	}
	archive->members[archive->count++] = *member;
	return 0;
}

static const char *plain_name(const char *name)
{
	while (name && strncmp(name, "./", 2) == 0)
		name += 2;
	return name;
}

/* Reads the member the tar stands at, if it is one to keep. */
static int keep_member(struct rootfs_archive *archive, struct archive *tar,
		       const struct source *source, struct rootfs_member *member, struct err *err)
{
	la_ssize_t n;

	if (archive->is_plain || member->size > ROOTFS_KEPT_MAX ||
	    member->size > ROOTFS_KEPT_TOTAL_MAX - archive->kept_total)
		return 0;
	member->kept = malloc(member->size ? member->size : 1);
	if (!member->kept)
		return err_num(err, -ENOMEM, "read '%s'", archive->file);
	n = archive_read_data(tar, member->kept, member->size);
	if (n < 0)
		return fail_tar(archive, tar, source, err);
	if ((uint64_t)n != member->size)
		return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': it ends inside '%s'",
				 archive->file, member->name);
	archive->kept_total += member->size;
	return 0;
}

static int index_entry(struct rootfs_archive *archive, struct archive *tar,
		       const struct source *source, struct archive_entry *entry, struct err *err)
{
	struct rootfs_member *member;
	const char *name = plain_name(archive_entry_pathname(entry));
	int r;

	if (!name || archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFREG ||
	    archive_entry_sparse_count(entry) > 0 || archive_entry_size(entry) < 0)
		return 0;
	if (archive->count == ROOTFS_MEMBERS_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG,
				 "read '%s': it has more than %d files", archive->file,
				 ROOTFS_MEMBERS_MAX);
	r = add_member(archive,
		       &(struct rootfs_member){
			       .size = (uint64_t)archive_entry_size(entry),
			       .offset = (uint64_t)archive_filter_bytes(tar, 0),
		       },
		       err);
	if (r < 0)
		return r;
	member = &archive->members[archive->count - 1];
	member->name = strdup(name);
	if (!member->name)
		return err_num(err, -ENOMEM, "read '%s'", archive->file);
	return keep_member(archive, tar, source, member, err);
}

static int index_all(struct rootfs_archive *archive, struct source *source, struct err *err)
{
	CLEANUP(rootfs_tar_free) struct archive *tar = NULL;
	struct archive_entry *entry;
	size_t index = 0, before;
	int r;

	r = open_tar(source, &tar, err);
	if (r < 0)
		return r;
	while ((r = next_header(source, tar, &entry, err)) > 0) {
		/* the only filter of a plain tar is the file itself */
		archive->is_plain = archive_filter_count(tar) == 1;
		before = archive->count;
		r = index_entry(archive, tar, source, entry, err);
		if (r < 0)
			return r;
		if (archive->count > before)
			archive->members[before].index = index;
		index++;
	}
	return r;
}

int rootfs_archive_open(int take_fd, const char *file, struct rootfs_archive **ret_archive,
			struct err *err)
{
	CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = calloc(1, sizeof(*archive));
	cleanup_close int fd = take_fd;
	cleanup_free struct source *source = calloc(1, sizeof(*source));
	struct stat st;
	int r;

	if (archive) {
		archive->fd = -1;
		archive->file = strdup(file);
	}
	if (!archive || !archive->file || !source)
		return err_num(err, -ENOMEM, "read '%s'", file);
	r = io_stat(fd, &st, err);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': it is not a regular file",
				 file);
	archive->fd = steal_fd(&fd);
	archive->file_size = (uint64_t)st.st_size;
	source->archive = archive;
	r = index_all(archive, source, err);
	if (r < 0)
		return r;
	*ret_archive = steal_ptr(&archive);
	return 0;
}

struct rootfs_archive *rootfs_archive_free(struct rootfs_archive *archive)
{
	if (!archive)
		return NULL;
	for (size_t i = 0; i < archive->count; i++) {
		free(archive->members[i].name);
		free(archive->members[i].kept);
	}
	free(archive->members);
	free(archive->file);
	cleanup_close_fd(&archive->fd);
	free(archive);
	return NULL;
}

const struct rootfs_member *rootfs_archive_find(const struct rootfs_archive *archive,
						const char *name)
{
	for (size_t i = archive->count; i-- > 0;) {
		if (strcmp(archive->members[i].name, name) == 0)
			return &archive->members[i];
	}
	return NULL;
}

uint64_t rootfs_member_size(const struct rootfs_member *member)
{
	return member->size;
}

/* Goes to the member again, in a new pass over the compressed file. */
static int seek_member(struct rootfs_reader *reader, struct err *err)
{
	struct archive_entry *entry;
	int r;

	r = open_tar(&reader->source, &reader->tar, err);
	for (size_t i = 0; r == 0 && i <= reader->member->index; i++) {
		r = next_header(&reader->source, reader->tar, &entry, err);
		if (r == 0)
			return err_coded(err, ERR_IMAGE, -EINVAL,
					 "read '%s': it has changed meanwhile",
					 reader->archive->file);
		r = r < 0 ? r : 0;
	}
	return r;
}

int rootfs_reader_open(struct rootfs_archive *archive, const struct rootfs_member *member,
		       struct rootfs_reader **ret_reader, struct err *err)
{
	CLEANUP(rootfs_reader_free) struct rootfs_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return err_num(err, -ENOMEM, "read '%s'", archive->file);
	reader->archive = archive;
	reader->member = member;
	reader->source.archive = archive;
	if (!archive->is_plain && !member->kept) {
		r = seek_member(reader, err);
		if (r < 0)
			return r;
	}
	*ret_reader = steal_ptr(&reader);
	return 0;
}

struct rootfs_reader *rootfs_reader_free(struct rootfs_reader *reader)
{
	if (reader) {
		(void)rootfs_tar_free(reader->tar);
		free(reader);
	}
	return NULL;
}

static int next_plain(struct rootfs_reader *reader, size_t *ret_len, struct err *err)
{
	uint64_t left = reader->member->size - reader->done;
	int r;

	r = io_read_at(reader->archive->fd, reader->member->offset + reader->done,
		       reader->source.chunk, left < CHUNK ? (size_t)left : CHUNK, ret_len, err);
	return r < 0 ? err_wrap(err, r, "read '%s'", reader->archive->file) : 0;
}

static int next_compressed(struct rootfs_reader *reader, size_t *ret_len, struct bytes *ret_bytes,
			   struct err *err)
{
	la_int64_t offset;
	const void *at;
	size_t len;
	int r;

	r = archive_read_data_block(reader->tar, &at, &len, &offset);
	if (r == ARCHIVE_EOF)
		len = 0;
	else if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail_tar(reader->archive, reader->tar, &reader->source, err);
	*ret_bytes = (struct bytes){ at, len };
	*ret_len = len;
	return 0;
}

int rootfs_reader_next(struct rootfs_reader *reader, struct bytes *ret_bytes, struct err *err)
{
	const struct rootfs_member *member = reader->member;
	struct bytes bytes = { reader->source.chunk, 0 };
	size_t len = 0;
	int r = 0;

	if (reader->done == member->size)
		return 0;
	if (member->kept) {
		bytes.at = member->kept;
		len = member->size;
	} else if (reader->archive->is_plain) {
		r = next_plain(reader, &len, err);
	} else {
		r = next_compressed(reader, &len, &bytes, err);
	}
	if (r < 0)
		return r;
	if (len == 0 || len > member->size - reader->done)
		return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': it ends inside '%s'",
				 reader->archive->file, member->name);
	reader->done += len;
	*ret_bytes = (struct bytes){ bytes.at, len };
	return 1;
}
