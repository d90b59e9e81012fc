// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: two libarchive readers in a row. The first decompresses the blob and knows
 * nothing of tar ("raw"); what it gives is hashed for the diff ID, and is what the second one,
 * which knows nothing of compression, reads as a tar. When the tar has ended, both sources are
 * drained, since their digests cover what comes after.
 *
 * libarchive converts pax names from UTF-8 to the locale's characters, and composes accents on
 * the way. In the C locale it can't convert anything but ASCII, and hands the bytes on as they
 * are: that is what a file name is.
 */
#include "rootfs/layer.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "rootfs/sha256.h"
#include "rootfs/tar.h"

struct build {
	const struct rootfs_layer_opts *opts;
	struct rootfs_blob *blob;
	struct archive *packed; /* blob -> bytes of the tar */
	struct archive *tar;	/* bytes of the tar -> entries */
	struct rootfs_sha256 *sha;
	struct image_writer *writer;
	bool is_empty; /* not even the blocks that end a tar */
	uint64_t tar_bytes, max_tar_bytes;
	struct err why; /* what a callback has to say that libarchive can't */
	struct image_xattr *xattrs;
	size_t xattr_cap;
};

static void build_done(struct build *build)
{
	(void)rootfs_tar_free(build->tar);
	(void)rootfs_tar_free(build->packed);
	(void)rootfs_blob_free(build->blob);
	(void)rootfs_sha256_free(build->sha);
	(void)image_writer_free(build->writer);
	free(build->xattrs);
}
CLEANUP_FUNC(struct build, build_done)

static la_ssize_t read_blob(struct archive *packed, void *data, const void **ret_at)
{
	struct build *build = data;
	struct bytes bytes = { 0 };
	int r;

	r = rootfs_blob_next(build->blob, &bytes, &build->why);
	if (r < 0) {
		archive_set_error(packed, EIO, "%s", build->why.msg);
		return -1;
	}
	rootfs_progress_report(build->opts->progress, ROOTFS_STAGE_BUILD,
			       rootfs_blob_done(build->blob), rootfs_blob_size(build->blob));
	*ret_at = bytes.at;
	return r > 0 ? (la_ssize_t)bytes.len : 0;
}

static int fail(struct build *build, struct archive *archive, struct err *err)
{
	if (build->why.num < 0) {
		if (err)
			*err = build->why;
		return build->why.num;
	}
	return rootfs_tar_fail(archive, rootfs_blob_name(build->blob), err);
}

/* The next bytes of the tar, hashed: 1, or 0 at the end; below 0 build->why says it. */
static int next_tar_bytes(struct build *build, struct bytes *ret_bytes)
{
	la_int64_t offset;
	const void *at;
	size_t len;
	int r;

	if (build->is_empty)
		return 0;
	r = archive_read_data_block(build->packed, &at, &len, &offset);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail(build, build->packed, &build->why);
	build->tar_bytes += len;
	if (build->tar_bytes > build->max_tar_bytes)
		return err_coded(&build->why, ERR_IMAGE_LIMIT, -EFBIG,
				 "read layer '%s': its tar has more than %llu bytes",
				 rootfs_blob_name(build->blob),
				 (unsigned long long)build->max_tar_bytes);
	*ret_bytes = (struct bytes){ at, len };
	rootfs_sha256_add(build->sha, *ret_bytes);
	return 1;
}

static la_ssize_t read_tar(struct archive *tar, void *data, const void **ret_at)
{
	struct bytes bytes = { 0 };
	int r;

	/* an empty block would be the end */
	do {
		r = next_tar_bytes(data, &bytes);
	} while (r > 0 && bytes.len == 0);
	if (r < 0) {
		archive_set_error(tar, EIO, "%s", ((struct build *)data)->why.msg);
		return -1;
	}
	*ret_at = bytes.at;
	return r > 0 ? (la_ssize_t)bytes.len : 0;
}

static int support_packing(struct archive *packed, enum oci_media media)
{
	/* a warning says that a program would be run for it */
	switch (media) {
	case OCI_MEDIA_TAR_GZIP:
		return archive_read_support_filter_gzip(packed);
	case OCI_MEDIA_TAR_ZSTD:
		return archive_read_support_filter_zstd(packed);
	case OCI_MEDIA_TAR:
	case OCI_MEDIA_INDEX:
	case OCI_MEDIA_MANIFEST:
	case OCI_MEDIA_CONFIG:
		return ARCHIVE_OK;
	}
	return ARCHIVE_FATAL;
}

static int open_readers(struct build *build, struct err *err)
{
	struct archive_entry *entry;
	int r;

	build->packed = archive_read_new();
	build->tar = archive_read_new();
	if (!build->packed || !build->tar)
		return err_num(err, -ENOMEM, "read a layer");
	if (support_packing(build->packed, build->opts->descriptor->media) != ARCHIVE_OK ||
	    archive_read_support_format_raw(build->packed) != ARCHIVE_OK ||
	    archive_read_support_format_empty(build->packed) != ARCHIVE_OK ||
	    archive_read_support_format_tar(build->tar) != ARCHIVE_OK ||
	    archive_read_support_format_empty(build->tar) != ARCHIVE_OK)
		return err_set(err, -EIO, "read a layer: libarchive lacks a decompressor");
	if (archive_read_open(build->packed, build, NULL, read_blob, NULL) != ARCHIVE_OK)
		return fail(build, build->packed, err);
	r = archive_read_next_header(build->packed, &entry);
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN && r != ARCHIVE_EOF)
		return fail(build, build->packed, err);
	build->is_empty = r == ARCHIVE_EOF;
	if (archive_read_open(build->tar, build, NULL, read_tar, NULL) != ARCHIVE_OK)
		return fail(build, build->tar, err);
	return 0;
}

static int find_type(struct archive_entry *from, struct image_entry *entry)
{
	switch (archive_entry_filetype(from)) {
	case AE_IFREG:
	case 0:
		entry->type = IMAGE_FILE;
		return 0;
	case AE_IFDIR:
		entry->type = IMAGE_DIR;
		return 0;
	case AE_IFLNK:
		entry->type = IMAGE_SYMLINK;
		entry->link = archive_entry_symlink(from);
		return entry->link ? 0 : -EINVAL;
	case AE_IFCHR:
		entry->type = IMAGE_CHAR;
		return 0;
	case AE_IFBLK:
		entry->type = IMAGE_BLOCK;
		return 0;
	case AE_IFIFO:
		entry->type = IMAGE_FIFO;
		return 0;
	case AE_IFSOCK:
		entry->type = IMAGE_SOCKET;
		return 0;
	}
	return -EINVAL;
}

static int read_xattrs(struct build *build, struct archive_entry *from, struct image_entry *entry,
		       struct err *err)
{
	size_t count = 0, wanted = (size_t)archive_entry_xattr_reset(from);
	struct image_xattr *more;
	const char *name;
	const void *value;
	size_t len;

	if (wanted > build->xattr_cap) {
		more = reallocarray(build->xattrs, wanted, sizeof(*more));
		if (!more)
			return err_num(err, -ENOMEM, "read a layer");
		build->xattrs = more;
		build->xattr_cap = wanted;
	}
	while (count < wanted &&
	       archive_entry_xattr_next(from, &name, &value, &len) == ARCHIVE_OK) {
		build->xattrs[count++] = (struct image_xattr){
			.name = name,
			.value = { value, len },
		};
	}
	entry->xattrs = build->xattrs;
	entry->xattr_count = count;
	return 0;
}

static int fail_entry(const struct build *build, const char *path, const char *why, struct err *err)
{
	return err_coded(err, ERR_IMAGE, -EINVAL, "read layer '%s': '%.120s' %s",
			 rootfs_blob_name(build->blob), path ? path : "", why);
}

static int read_entry(struct build *build, struct archive_entry *from, struct image_entry *entry,
		      struct err *err)
{
	la_int64_t uid = archive_entry_uid(from), gid = archive_entry_gid(from);
	la_int64_t size = archive_entry_size_is_set(from) ? archive_entry_size(from) : 0;
	const char *path = archive_entry_pathname(from), *hard = archive_entry_hardlink(from);

	if (!path)
		return fail_entry(build, path, "is no name", err);
	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX || size < 0)
		return fail_entry(build, path, "has an owner or size that can't be", err);
	*entry = (struct image_entry){
		.path = path,
		.mode = (uint32_t)archive_entry_perm(from),
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
		.mtime_s = archive_entry_mtime(from),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(from),
		.size = (uint64_t)size,
		.rdev_major = (uint32_t)archive_entry_rdevmajor(from),
		.rdev_minor = (uint32_t)archive_entry_rdevminor(from),
	};
	if (hard) {
		entry->type = IMAGE_HARDLINK;
		entry->link = hard;
	} else if (find_type(from, entry) < 0) {
		return fail_entry(build, path, "is of no type that is known", err);
	}
	return read_xattrs(build, from, entry, err);
}

static int copy_data(struct build *build, struct err *err)
{
	struct bytes bytes;
	la_int64_t offset;
	int r;

	for (;;) {
		const void *at;

		r = archive_read_data_block(build->tar, &at, &bytes.len, &offset);
		if (r == ARCHIVE_EOF)
			return 0;
		if ((r != ARCHIVE_OK && r != ARCHIVE_WARN) || offset < 0)
			return fail(build, build->tar, err);
		bytes.at = at;
		if (bytes.len == 0)
			continue;
		r = image_writer_data(build->writer, (uint64_t)offset, bytes, err);
		if (r < 0)
			return r;
	}
}

static int copy_entries(struct build *build, struct err *err)
{
	struct image_entry entry = { 0 };
	struct archive_entry *from;
	const char *warning;
	int r;

	while ((r = archive_read_next_header(build->tar, &from)) != ARCHIVE_EOF) {
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return fail(build, build->tar, err);
		/* names it can't convert are as wanted; all else it warns of has lost something */
		warning = archive_error_string(build->tar);
		if (r == ARCHIVE_WARN && (!warning || !strstr(warning, "can't be converted")))
			return fail(build, build->tar, err);
		r = read_entry(build, from, &entry, err);
		if (r == 0)
			r = image_writer_entry(build->writer, &entry, err);
		if (r < 0)
			return err_wrap(err, r, "read layer '%s'", rootfs_blob_name(build->blob));
		if (entry.type != IMAGE_FILE)
			continue;
		r = copy_data(build, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int drain_blob(struct build *build, struct err *err)
{
	struct bytes bytes;
	int r;

	while ((r = rootfs_blob_next(build->blob, &bytes, err)) > 0)
		;
	return r;
}

static int check_digests(struct build *build, struct err *err)
{
	char found[OCI_DIGEST_TEXT], wanted[OCI_DIGEST_TEXT];
	struct oci_digest digest;
	struct bytes bytes;
	int r;

	while ((r = next_tar_bytes(build, &bytes)) > 0)
		;
	if (r < 0)
		return fail(build, build->packed, err);
	r = drain_blob(build, err);
	if (r < 0)
		return r;
	r = rootfs_sha256_finish(build->sha, &digest, err);
	if (r < 0)
		return r;
	if (!oci_digest_equal(&digest, build->opts->diff_id)) {
		oci_digest_format(&digest, found);
		oci_digest_format(build->opts->diff_id, wanted);
		return err_coded(err, ERR_IMAGE_DIGEST, -EBADMSG,
				 "read layer '%s': the digest of its tar is '%s', the image's "
				 "configuration has '%s'",
				 rootfs_blob_name(build->blob), found, wanted);
	}
	return 0;
}

static int find_nothing(void *data, const char *path, struct image_entry *ret_entry,
			struct err *err)
{
	(void)data;
	(void)path;
	(void)ret_entry;
	(void)err;
	return -ENOENT;
}

static int copy_nothing(void *data, const char *path, const struct image_sink *to, struct err *err)
{
	(void)data;
	(void)to;
	return err_set(err, -ENOENT, "read '%s': there is no layer below", path);
}

static int run(struct build *build, struct image_info *ret_info, struct err *err)
{
	static const struct image_lower nothing = { find_nothing, copy_nothing, NULL };
	const struct rootfs_layer_opts *opts = build->opts;
	struct image_limits limits = opts->limits->image;
	int r;

	limits.plain_names = false;
	r = rootfs_sha256_new(&build->sha, err);
	if (r < 0)
		return r;
	r = image_writer_new(&limits, opts->sink, &build->writer, err);
	if (r < 0)
		return r;
	image_writer_use_lower(build->writer, opts->lower ? opts->lower : &nothing);
	r = open_readers(build, err);
	if (r < 0)
		return r;
	r = copy_entries(build, err);
	if (r < 0)
		return r;
	r = check_digests(build, err);
	if (r < 0)
		return r;
	return image_writer_finish(build->writer, ret_info, err);
}

static int build_layer(struct rootfs_layout *layout, const struct rootfs_layer_opts *opts,
		       struct image_info *ret_info, struct err *err)
{
	CLEANUP(build_done) struct build build = { .opts = opts };
	struct err digest_err = { 0 };
	int r;

	build.max_tar_bytes = opts->limits->max_tar_bytes ? opts->limits->max_tar_bytes
							  : ROOTFS_TAR_DEFAULT;
	r = rootfs_blob_open(layout, opts->descriptor, &build.blob, err);
	if (r < 0)
		return r;
	r = run(&build, ret_info, err);
	/* of bytes that can't be read it matters first whether they are the ones that were named */
	if (r == -EINVAL && drain_blob(&build, &digest_err) == -EBADMSG) {
		if (err)
			*err = digest_err;
		return -EBADMSG;
	}
	return r;
}

int rootfs_layer_build(struct rootfs_layout *layout, const struct rootfs_layer_opts *opts,
		       struct image_info *ret_info, struct err *err)
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), old;
	int r;

	if (!plain)
		return err_num(err, -ENOMEM, "read a layer");
	old = uselocale(plain);
	r = build_layer(layout, opts, ret_info, err);
	(void)uselocale(old);
	freelocale(plain);
	return r;
}
