// SPDX-License-Identifier: Apache-2.0
/*
 * mkimage OUT <TAR - makes an image of a tar by the project's own writer, for the guest's base.
 *
 * Prints what opens it: "data_blocks=N hash_start=N root=HEX". It trusts the tar, which
 * build-base has just made, and writes over OUT.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/macro.h"
#include "image/writer.h"

enum { CHUNK = 1 << 16 };

static int put(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	const int *fd = data;

	while (bytes.len > 0) {
		ssize_t n = pwrite(*fd, bytes.at, bytes.len, (off_t)offset);

		if (n < 0)
			return err_sys(err, "write the image");
		bytes.at += n;
		bytes.len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int take_type(struct archive_entry *from, struct image_entry *to, struct err *err)
{
	to->link = archive_entry_hardlink(from);
	if (to->link) {
		to->type = IMAGE_HARDLINK;
		return 0;
	}
	switch (archive_entry_filetype(from)) {
	case AE_IFREG:
		to->type = IMAGE_FILE;
		to->size = (uint64_t)archive_entry_size(from);
		return 0;
	case AE_IFDIR:
		to->type = IMAGE_DIR;
		return 0;
	case AE_IFLNK:
		to->type = IMAGE_SYMLINK;
		to->link = archive_entry_symlink(from);
		return 0;
	default:
		return err_set(err, -EINVAL, "'%s': the base has no such files", to->path);
	}
}

static int add_data(struct archive *tar, struct image_writer *writer, struct err *err)
{
	static uint8_t chunk[CHUNK];
	uint64_t offset = 0;
	la_ssize_t got;
	int r = 0;

	while (r == 0 && (got = archive_read_data(tar, chunk, sizeof(chunk))) != 0) {
		if (got < 0)
			return err_set(err, -EIO, "read the tar: %s", archive_error_string(tar));
		r = image_writer_data(writer, offset, (struct bytes){ chunk, (size_t)got }, err);
		offset += (uint64_t)got;
	}
	return r;
}

static int add_entry(struct archive *tar, struct archive_entry *from, struct image_writer *writer,
		     struct err *err)
{
	struct image_entry entry = {
		.path = archive_entry_pathname(from),
		.mode = (uint32_t)archive_entry_perm(from),
		.uid = (uint32_t)archive_entry_uid(from),
		.gid = (uint32_t)archive_entry_gid(from),
		.mtime_s = archive_entry_mtime(from),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(from),
	};
	int r;

	r = take_type(from, &entry, err);
	if (r == 0)
		r = image_writer_entry(writer, &entry, err);
	if (r == 0 && entry.type == IMAGE_FILE)
		r = add_data(tar, writer, err);
	return r;
}

static int convert(struct archive *tar, int out_fd, struct image_info *ret_info, struct err *err)
{
	CLEANUP(image_writer_free) struct image_writer *writer = NULL;
	const struct image_limits limits = { .plain_names = true };
	const struct image_sink sink = { put, &out_fd };
	struct archive_entry *entry;
	int r, got = ARCHIVE_OK;

	r = image_writer_new(&limits, &sink, &writer, err);
	while (r == 0 && (got = archive_read_next_header(tar, &entry)) == ARCHIVE_OK)
		r = add_entry(tar, entry, writer, err);
	if (r == 0 && got != ARCHIVE_EOF)
		r = err_set(err, -EIO, "read the tar: %s", archive_error_string(tar));
	return r < 0 ? r : image_writer_finish(writer, ret_info, err);
}

int main(int argc, char **argv)
{
	struct archive *tar = archive_read_new();
	struct image_info info;
	struct err err = { 0 };
	int fd, r;

	if (argc != 2 || !tar || archive_read_support_format_tar(tar) != ARCHIVE_OK ||
	    archive_read_open_fd(tar, STDIN_FILENO, CHUNK) != ARCHIVE_OK) {
		fprintf(stderr, "usage: mkimage OUT <TAR\n");
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd < 0 ? err_sys(&err, "make '%s'", argv[1]) : convert(tar, fd, &info, &err);
	(void)archive_read_free(tar);
	if (r == 0 && close(fd) < 0)
		r = err_sys(&err, "write '%s'", argv[1]);
	if (r < 0) {
		fprintf(stderr, "mkimage: %s\n", err.msg);
		return 3;
	}
	printf("data_blocks=%llu hash_start=%llu root=", (unsigned long long)info.data_blocks,
	       (unsigned long long)info.hash_start_block);
	for (size_t i = 0; i < sizeof(info.root); i++)
		printf("%02x", info.root[i]);
	printf("\n");
	return 0;
}
