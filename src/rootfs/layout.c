// SPDX-License-Identifier: Apache-2.0
#include "rootfs/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/json.h"
#include "rootfs/archive.h"
#include "rootfs/sha256.h"
#include "sys/file.h"
#include "sys/io.h"

enum { CHUNK = 256 << 10 };

struct rootfs_layout {
	char *path; /* for messages */
	int dir_fd; /* -1: an archive */
	struct rootfs_archive *archive;
};

struct rootfs_blob {
	struct oci_descriptor descriptor;
	char name[OCI_DIGEST_TEXT];
	int fd; /* -1: in an archive */
	struct rootfs_reader *reader;
	struct rootfs_sha256 *sha;
	uint64_t done;
	bool is_checked;
	uint8_t chunk[CHUNK];
};

/* Adds a small file that is found by name, not by digest. */
static int read_named(struct rootfs_layout *layout, const char *name, struct buf *ret_text,
		      struct err *err)
{
	CLEANUP(rootfs_reader_free) struct rootfs_reader *reader = NULL;
	const struct rootfs_member *member;
	cleanup_close int fd = -1;
	uint8_t chunk[4096];
	struct bytes bytes;
	size_t len;
	int r;

	if (layout->archive) {
		member = rootfs_archive_find(layout->archive, name);
		if (!member)
			return err_coded(err, ERR_IMAGE, -ENOENT, "read '%s': there is no '%s'",
					 layout->path, name);
		r = rootfs_reader_open(layout->archive, member, &reader, err);
	} else {
		/* O_NONBLOCK: a FIFO of that name has to be an error, not a wait */
		r = file_open_beneath(layout->dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd,
				      err);
	}
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read '%s'", layout->path), ERR_IMAGE);
	for (;;) {
		if (reader) {
			r = rootfs_reader_next(reader, &bytes, err);
		} else {
			r = io_read_at(fd, ret_text->len, chunk, sizeof(chunk), &len, err);
			bytes = (struct bytes){ chunk, len };
			r = r < 0 ? r : len > 0;
		}
		if (r <= 0)
			return r < 0 ? err_wrap(err, r, "read '%s'", name) : 0;
		if (bytes.len > OCI_JSON_MAX - ret_text->len)
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "read '%s': '%s' has more than %d bytes", layout->path,
					 name, OCI_JSON_MAX);
		r = buf_add(ret_text, bytes.at, bytes.len);
		if (r < 0)
			return err_num(err, r, "read '%s'", name);
	}
}

static int open_files(struct rootfs_layout *layout, const struct oci_ref *ref, int at_fd,
		      struct err *err)
{
	cleanup_close int fd = -1;
	int r;

	if (ref->kind == OCI_REF_LAYOUT)
		return file_open_dir(at_fd, ref->path, &layout->dir_fd, err);
	r = io_open(at_fd, ref->path, &fd, err);
	if (r < 0)
		return r;
	r = rootfs_archive_open(steal_fd(&fd), ref->path, &layout->archive, err);
	if (r < 0)
		return r;
	if (!rootfs_archive_find(layout->archive, "oci-layout") &&
	    rootfs_archive_find(layout->archive, "manifest.json"))
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
				 "read '%s': it is a docker archive, which is not there yet; use "
				 "skopeo copy to an oci: directory",
				 ref->path);
	return 0;
}

int rootfs_layout_open(const struct oci_ref *ref, int at_fd, struct rootfs_layout **ret_layout,
		       struct err *err)
{
	CLEANUP(rootfs_layout_free) struct rootfs_layout *layout = calloc(1, sizeof(*layout));
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	if (layout) {
		layout->dir_fd = -1;
		layout->path = strdup(ref->path);
	}
	if (!layout || !layout->path)
		return err_num(err, -ENOMEM, "read '%s'", ref->path);
	r = open_files(layout, ref, at_fd, err);
	if (r < 0)
		return err_recode(err, r, ERR_IMAGE);
	r = read_named(layout, "oci-layout", &text, err);
	if (r < 0)
		return r;
	r = oci_layout_check(buf_bytes(&text), err);
	if (r < 0)
		return r;
	*ret_layout = steal_ptr(&layout);
	return 0;
}

struct rootfs_layout *rootfs_layout_free(struct rootfs_layout *layout)
{
	if (layout) {
		(void)rootfs_archive_free(layout->archive);
		cleanup_close_fd(&layout->dir_fd);
		free(layout->path);
		free(layout);
	}
	return NULL;
}

int rootfs_layout_index(struct rootfs_layout *layout, struct buf *ret_text, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	r = read_named(layout, "index.json", &text, err);
	if (r < 0)
		return r;
	r = buf_add(ret_text, text.at, text.len);
	return r < 0 ? err_num(err, r, "read 'index.json'") : 0;
}

static int fail_size(const struct rootfs_blob *blob, uint64_t size, struct err *err)
{
	return err_coded(err, ERR_IMAGE_DIGEST, -EBADMSG,
			 "read blob '%s': it has %llu bytes, not the %llu that were named",
			 blob->name, (unsigned long long)size,
			 (unsigned long long)blob->descriptor.size);
}

static int open_file(struct rootfs_layout *layout, struct rootfs_blob *blob, struct err *err)
{
	char path[sizeof("blobs/sha256/") + 2 * OCI_DIGEST_BYTES];
	char hex[2 * OCI_DIGEST_BYTES + 1];
	const struct rootfs_member *member;
	struct stat st;
	int r;

	oci_digest_hex(&blob->descriptor.digest, hex);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	if (layout->archive) {
		member = rootfs_archive_find(layout->archive, path);
		if (!member)
			return err_coded(err, ERR_IMAGE, -ENOENT, "there is no '%s'", path);
		if (rootfs_member_size(member) != blob->descriptor.size)
			return fail_size(blob, rootfs_member_size(member), err);
		return rootfs_reader_open(layout->archive, member, &blob->reader, err);
	}
	r = file_open_beneath(layout->dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &blob->fd,
			      err);
	if (r < 0)
		return r;
	r = io_stat(blob->fd, &st, err);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return err_coded(err, ERR_IMAGE, -EINVAL, "'%s' is not a regular file", path);
	if ((uint64_t)st.st_size != blob->descriptor.size)
		return fail_size(blob, (uint64_t)st.st_size, err);
	return 0;
}

int rootfs_blob_open(struct rootfs_layout *layout, const struct oci_descriptor *descriptor,
		     struct rootfs_blob **ret_blob, struct err *err)
{
	CLEANUP(rootfs_blob_free) struct rootfs_blob *blob = calloc(1, sizeof(*blob));
	int r;

	if (!blob)
		return err_num(err, -ENOMEM, "read '%s'", layout->path);
	blob->fd = -1;
	blob->descriptor = *descriptor;
	oci_digest_format(&descriptor->digest, blob->name);
	r = rootfs_sha256_new(&blob->sha, err);
	if (r < 0)
		return r;
	r = open_file(layout, blob, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read '%s'", layout->path), ERR_IMAGE);
	*ret_blob = steal_ptr(&blob);
	return 0;
}

struct rootfs_blob *rootfs_blob_free(struct rootfs_blob *blob)
{
	if (blob) {
		(void)rootfs_reader_free(blob->reader);
		(void)rootfs_sha256_free(blob->sha);
		cleanup_close_fd(&blob->fd);
		free(blob);
	}
	return NULL;
}

static int check_digest(struct rootfs_blob *blob, struct err *err)
{
	char found[OCI_DIGEST_TEXT];
	struct oci_digest digest;
	int r;

	if (blob->is_checked)
		return 0;
	if (blob->done != blob->descriptor.size)
		return fail_size(blob, blob->done, err);
	r = rootfs_sha256_finish(blob->sha, &digest, err);
	if (r < 0)
		return r;
	if (!oci_digest_equal(&digest, &blob->descriptor.digest)) {
		oci_digest_format(&digest, found);
		return err_coded(err, ERR_IMAGE_DIGEST, -EBADMSG,
				 "read blob '%s': the digest of its bytes is '%s'", blob->name,
				 found);
	}
	blob->is_checked = true;
	return 0;
}

int rootfs_blob_next(struct rootfs_blob *blob, struct bytes *ret_bytes, struct err *err)
{
	uint64_t left = blob->descriptor.size - blob->done;
	struct bytes bytes = { blob->chunk, 0 };
	int r;

	if (left == 0)
		return check_digest(blob, err);
	if (blob->reader) {
		r = rootfs_reader_next(blob->reader, &bytes, err);
	} else {
		r = io_read_at(blob->fd, blob->done, blob->chunk,
			       left < CHUNK ? (size_t)left : CHUNK, &bytes.len, err);
	}
	if (r < 0)
		return err_wrap(err, r, "read blob '%s'", blob->name);
	if (bytes.len == 0) /* cut short since it was opened */
		return check_digest(blob, err);
	rootfs_sha256_add(blob->sha, bytes);
	blob->done += bytes.len;
	*ret_bytes = bytes;
	return 1;
}

uint64_t rootfs_blob_done(const struct rootfs_blob *blob)
{
	return blob->done;
}

uint64_t rootfs_blob_size(const struct rootfs_blob *blob)
{
	return blob->descriptor.size;
}

const char *rootfs_blob_name(const struct rootfs_blob *blob)
{
	return blob->name;
}

int rootfs_layout_read(struct rootfs_layout *layout, const struct oci_descriptor *descriptor,
		       struct buf *ret_blob, struct err *err)
{
	CLEANUP(rootfs_blob_free) struct rootfs_blob *blob = NULL;
	CLEANUP(buf_done) struct buf text = { 0 };
	struct bytes piece;
	int r;

	if (descriptor->size > OCI_JSON_MAX)
		return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
				 "read a blob: it has more than %d bytes", OCI_JSON_MAX);
	r = rootfs_blob_open(layout, descriptor, &blob, err);
	if (r < 0)
		return r;
	while ((r = rootfs_blob_next(blob, &piece, err)) > 0) {
		if (buf_add(&text, piece.at, piece.len) < 0)
			return err_num(err, -ENOMEM, "read blob '%s'", blob->name);
	}
	if (r < 0)
		return r;
	/* only what has been checked is handed on */
	r = buf_add(ret_blob, text.at, text.len);
	return r < 0 ? err_num(err, r, "read blob '%s'", blob->name) : 0;
}
