// SPDX-License-Identifier: Apache-2.0
/*
 * tar2img - a tar to an image, for the oracle tests: the writer with libarchive before it.
 *
 *	tar2img TAR IMAGE	prints "ROOT DATA_BLOCKS HASH_START_BLOCK TOTAL_BYTES"
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/writer.h"

static int sink_write(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	const int *fd = data;
	ssize_t n;

	for (; bytes.len > 0; bytes.at += n, bytes.len -= (size_t)n, offset += (uint64_t)n) {
		n = pwrite(*fd, bytes.at, bytes.len, (off_t)offset);
		if (n < 0)
			return err_sys(err, "write");
	}
	return 0;
}

static enum image_type entry_type(struct archive_entry *from)
{
	if (archive_entry_hardlink(from))
		return IMAGE_HARDLINK;
	switch (archive_entry_filetype(from)) {
	case AE_IFDIR:
		return IMAGE_DIR;
	case AE_IFLNK:
		return IMAGE_SYMLINK;
	case AE_IFCHR:
		return IMAGE_CHAR;
	case AE_IFBLK:
		return IMAGE_BLOCK;
	case AE_IFIFO:
		return IMAGE_FIFO;
	default:
		return IMAGE_FILE;
	}
}

static int take_data(struct archive *tar, struct image_writer *writer, struct err *err)
{
	const void *at;
	la_int64_t offset;
	size_t len;
	int r;

	while ((r = archive_read_data_block(tar, &at, &len, &offset)) == ARCHIVE_OK) {
		r = image_writer_data(writer, (uint64_t)offset, (struct bytes){ at, len }, err);
		if (r < 0)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : err_set(err, -EIO, "%s", archive_error_string(tar));
}

static int take_entry(struct archive *tar, struct archive_entry *from, struct image_writer *writer,
		      struct err *err)
{
	struct image_xattr xattrs[64];
	struct image_entry entry = {
		.path = archive_entry_pathname(from),
		.type = entry_type(from),
		.mode = archive_entry_perm(from),
		.uid = (uint32_t)archive_entry_uid(from),
		.gid = (uint32_t)archive_entry_gid(from),
		.mtime_s = archive_entry_mtime(from),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(from),
		.size = (uint64_t)archive_entry_size(from),
		.link = archive_entry_hardlink(from) ? archive_entry_hardlink(from)
						     : archive_entry_symlink(from),
		.rdev_major = (uint32_t)archive_entry_rdevmajor(from),
		.rdev_minor = (uint32_t)archive_entry_rdevminor(from),
		.xattrs = xattrs,
	};
	const void *value;
	int r;

	archive_entry_xattr_reset(from);
	while (entry.xattr_count < ARRAY_SIZE(xattrs)) {
		struct image_xattr *xattr = &xattrs[entry.xattr_count];

		if (archive_entry_xattr_next(from, &xattr->name, &value, &xattr->value.len) !=
		    ARCHIVE_OK)
			break;
		xattr->value.at = value;
		entry.xattr_count++;
	}
	r = image_writer_entry(writer, &entry, err);
	if (r == 0 && entry.type == IMAGE_FILE)
		r = take_data(tar, writer, err);
	return r;
}

static int convert(struct archive *tar, int *fd, struct image_info *ret_info, struct err *err)
{
	const struct image_sink sink = { sink_write, fd };
	CLEANUP(image_writer_free) struct image_writer *writer = NULL;
	struct archive_entry *entry = NULL;
	int r;

	r = image_writer_new(&(struct image_limits){ 0 }, &sink, &writer, err);
	while (r == 0) {
		r = archive_read_next_header(tar, &entry);
		if (r == ARCHIVE_EOF)
			return image_writer_finish(writer, ret_info, err);
		/* A name that is not of this locale (which is "C") is a warning, and kept. */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return err_set(err, -EIO, "%s", archive_error_string(tar));
		r = take_entry(tar, entry, writer, err);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct archive *tar = archive_read_new();
	struct image_info info = { 0 };
	struct err err = { 0 };
	int fd, r;

	if (argc != 3)
		return 2;
	archive_read_support_format_tar(tar);
	fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || archive_read_open_filename(tar, argv[1], 65536) != ARCHIVE_OK)
		return 1;
	r = convert(tar, &fd, &info, &err);
	archive_read_free(tar);
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (size_t i = 0; i < sizeof(info.root); i++)
		(void)printf("%02x", info.root[i]);
	(void)printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", info.data_blocks,
		     info.hash_start_block, info.total_bytes);
	return close(fd) < 0;
}
