// SPDX-License-Identifier: Apache-2.0
#include "rootfs/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "rootfs/links.h"
#include "rootfs/sha256.h"
#include "sys/io.h"
#include "sys/walk.h"

enum {
	CHUNK = 256 << 10,
	WALK_TRIES = 2,
};

/* One walk: it always makes the key and, with a writer, the image too. */
struct snap {
	const struct rootfs_snapshot_opts *opts;
	struct rootfs_sha256 *sha;
	struct image_writer *writer;
	struct rootfs_links *links;
	uint64_t total, done; /* bytes of files; of the first walk, and read so far */
	struct buf target;
	struct buf names, values; /* of extended attributes */
	struct image_xattr xattrs[IMAGE_XATTR_COUNT_MAX];
	uint8_t chunk[CHUNK];
};

static struct snap *snap_free(struct snap *snap)
{
	if (snap) {
		(void)rootfs_sha256_free(snap->sha);
		(void)image_writer_free(snap->writer);
		(void)rootfs_links_free(snap->links);
		buf_done(&snap->target);
		buf_done(&snap->names);
		buf_done(&snap->values);
		free(snap);
	}
	return NULL;
}
CLEANUP_PTR(struct snap, snap_free)

static int snap_new(const struct rootfs_snapshot_opts *opts, struct snap **ret_snap,
		    struct err *err)
{
	/* another kind of image of the same files is another image */
	static const char domain[] = "snapshot of a directory\n" IMAGE_FORMAT "\n";
	CLEANUP(snap_free) struct snap *snap = calloc(1, sizeof(*snap));
	uint32_t mapping[] = { opts->map_ids, opts->map_uid, opts->map_gid };
	int r;

	if (!snap)
		return err_num(err, -ENOMEM, "walk a directory");
	snap->opts = opts;
	r = rootfs_sha256_new(&snap->sha, err);
	if (r < 0)
		return r;
	rootfs_sha256_add(snap->sha, (struct bytes){ (const uint8_t *)domain, sizeof(domain) });
	if (!opts->map_ids)
		mapping[1] = mapping[2] = 0;
	rootfs_sha256_add(snap->sha, (struct bytes){ (uint8_t *)mapping, sizeof(mapping) });
	*ret_snap = steal_ptr(&snap);
	return 0;
}

/* Never leaves this machine, so the bytes' order is its own. */
static void add_to_key(struct snap *snap, const struct walk_entry *entry)
{
	const struct stat *st = &entry->st;
	uint64_t record[] = {
		st->st_ino,
		(uint64_t)st->st_size,
		(uint64_t)st->st_ctim.tv_sec,
		(uint64_t)st->st_ctim.tv_nsec,
		st->st_mode,
		st->st_uid,
		st->st_gid,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
	};

	/* a kernel's file system is made anew with every mount, and nothing of it is kept */
	if (entry->is_kernels)
		record[0] = record[1] = record[2] = record[3] = record[7] = record[8] = 0;
	rootfs_sha256_add(snap->sha,
			  (struct bytes){ (const uint8_t *)entry->path, strlen(entry->path) + 1 });
	rootfs_sha256_add(snap->sha, (struct bytes){ (uint8_t *)record, sizeof(record) });
}

static uint32_t map_id(const struct rootfs_snapshot_opts *opts, uint32_t id, uint32_t mapped)
{
	return opts->map_ids && id == mapped ? 0 : id;
}

/* Labels and signatures are of the host's policy; what steers overlayfs is the host's too. */
static bool is_wanted_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0 ||
	       (strncmp(name, "trusted.", 8) == 0 && strncmp(name, "trusted.overlay.", 16) != 0);
}

static int read_xattrs(struct snap *snap, int fd, struct image_entry *entry, struct err *err)
{
	size_t count = 0, start;
	const char *name;
	int r;

	snap->names.len = snap->values.len = 0;
	r = walk_xattr_names(fd, &snap->names, err);
	if (r < 0)
		return err_wrap(err, r, "read '%s'", entry->path);
	for (size_t off = 0; off < snap->names.len; off += strlen(name) + 1) {
		name = (const char *)snap->names.at + off;
		if (!is_wanted_xattr(name))
			continue;
		if (count == IMAGE_XATTR_COUNT_MAX)
			return err_coded(err, ERR_IMAGE_LIMIT, -EFBIG,
					 "read '%s': it has more than %d attributes", entry->path,
					 IMAGE_XATTR_COUNT_MAX);
		start = snap->values.len;
		r = walk_xattr_value(fd, name, &snap->values, err);
		if (r < 0)
			return err_wrap(err, r == -ENODATA ? -ESTALE : r, "read '%s'", entry->path);
		/* the buffer moves as it grows: an offset until all are there */
		snap->xattrs[count++] = (struct image_xattr){
			.name = name,
			.value = { NULL, snap->values.len - start },
		};
	}
	start = 0;
	for (size_t i = 0; i < count; i++) {
		snap->xattrs[i].value.at = snap->values.at + start;
		start += snap->xattrs[i].value.len;
	}
	entry->xattrs = snap->xattrs;
	entry->xattr_count = count;
	return 0;
}

static int copy_range(struct snap *snap, int fd, uint64_t start, uint64_t end, struct err *err)
{
	size_t len;
	int r;

	while (start < end) {
		size_t want = end - start < CHUNK ? (size_t)(end - start) : CHUNK;

		r = io_read_at(fd, start, snap->chunk, want, &len, err);
		if (r < 0)
			return r;
		if (len != want)
			return -ESTALE;
		r = image_writer_data(snap->writer, start, (struct bytes){ snap->chunk, len }, err);
		if (r < 0)
			return r;
		start += len;
		snap->done += len;
		rootfs_progress_report(snap->opts->progress, ROOTFS_STAGE_BUILD, snap->done,
				       snap->total);
	}
	return 0;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int copy_content(struct snap *snap, int fd, const struct walk_entry *from, struct err *err)
{
	uint64_t size = (uint64_t)from->st.st_size, offset = 0, start, end;
	struct stat st;
	int r = 0;

	while (offset < size) {
		r = io_next_data(fd, offset, size, &start, &end, err);
		if (r == 0)
			r = copy_range(snap, fd, start, end, err);
		if (r < 0)
			break;
		snap->done += start - offset;
		offset = end;
	}
	if (r == 0)
		r = io_stat(fd, &st, err);
	if (r == 0 && !is_unchanged(&st, &from->st))
		r = -ESTALE;
	if (r == -ESTALE)
		return err_set(err, r, "read '%s': it has changed meanwhile", from->path);
	return r < 0 ? err_wrap(err, r, "read '%s'", from->path) : 0;
}

static int write_file(struct snap *snap, const struct walk_entry *from, struct image_entry *entry,
		      struct err *err)
{
	cleanup_close int fd = -1;
	const char *first = NULL;
	int r;

	if (from->st.st_nlink > 1) {
		r = rootfs_links_add(snap->links, from->st.st_dev, from->st.st_ino, from->path,
				     &first);
		if (r < 0)
			return err_num(err, r, "read '%s'", from->path);
	}
	if (first) {
		entry->type = IMAGE_HARDLINK;
		entry->link = first;
		entry->size = 0;
		snap->done += (uint64_t)from->st.st_size;
		return image_writer_entry(snap->writer, entry, err);
	}
	r = walk_open(from, &fd, err);
	if (r < 0)
		return r;
	r = read_xattrs(snap, fd, entry, err);
	if (r < 0)
		return r;
	r = image_writer_entry(snap->writer, entry, err);
	return r < 0 ? r : copy_content(snap, fd, from, err);
}

static int write_link(struct snap *snap, const struct walk_entry *from, struct image_entry *entry,
		      struct err *err)
{
	int r;

	snap->target.len = 0;
	r = walk_read_link(from, &snap->target, err);
	if (r < 0)
		return r;
	entry->link = (const char *)snap->target.at;
	return image_writer_entry(snap->writer, entry, err);
}

static int write_entry(struct snap *snap, const struct walk_entry *from, struct err *err)
{
	struct image_entry entry = {
		.path = from->path,
		.mode = from->st.st_mode & 07777,
		.uid = map_id(snap->opts, from->st.st_uid, snap->opts->map_uid),
		.gid = map_id(snap->opts, from->st.st_gid, snap->opts->map_gid),
		.mtime_s = from->st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)from->st.st_mtim.tv_nsec,
	};
	int r;

	switch (from->st.st_mode & S_IFMT) {
	case S_IFDIR:
		entry.type = IMAGE_DIR;
		if (from->is_kernels) {
			entry.mtime_s = entry.mtime_ns = 0;
		} else {
			r = read_xattrs(snap, from->fd, &entry, err);
			if (r < 0)
				return r;
		}
		return image_writer_entry(snap->writer, &entry, err);
	case S_IFREG:
		entry.type = IMAGE_FILE;
		entry.size = (uint64_t)from->st.st_size;
		return write_file(snap, from, &entry, err);
	case S_IFLNK:
		entry.type = IMAGE_SYMLINK;
		return write_link(snap, from, &entry, err);
	case S_IFIFO:
		entry.type = IMAGE_FIFO;
		return image_writer_entry(snap->writer, &entry, err);
	}
	return 0;
}

static int see_entry(void *data, const struct walk_entry *entry, struct err *err)
{
	mode_t type = entry->st.st_mode & S_IFMT;
	struct snap *snap = data;

	if (type == S_IFBLK || type == S_IFCHR || type == S_IFSOCK)
		return 0;
	add_to_key(snap, entry);
	if (snap->writer)
		return write_entry(snap, entry, err);
	if (type == S_IFREG)
		snap->total += (uint64_t)entry->st.st_size;
	rootfs_progress_report(snap->opts->progress, ROOTFS_STAGE_WALK, 0, 0);
	return 0;
}

/* What a walk that reads nothing finds out. */
struct state {
	struct oci_digest id;
	uint64_t total; /* bytes of files */
};

static int look(int dir_fd, const struct rootfs_snapshot_opts *opts, struct state *ret_state,
		struct err *err)
{
	CLEANUP(snap_free) struct snap *snap = NULL;
	int r;

	r = snap_new(opts, &snap, err);
	if (r == 0)
		r = walk_tree(dir_fd, see_entry, snap, err);
	if (r == 0)
		r = rootfs_sha256_finish(snap->sha, &ret_state->id, err);
	if (r == 0)
		ret_state->total = snap->total;
	return r;
}

/* -ESTALE: what it saw is not the state it was to be of. */
static int write_image(struct rootfs_build *build, int dir_fd,
		       const struct rootfs_snapshot_opts *opts, const struct state *state,
		       struct image_info *ret_info, struct err *err)
{
	CLEANUP(snap_free) struct snap *snap = NULL;
	struct image_limits limits = opts->limits->image;
	struct image_sink sink;
	struct oci_digest id;
	int r;

	limits.plain_names = true;
	r = snap_new(opts, &snap, err);
	if (r < 0)
		return r;
	snap->total = state->total;
	r = rootfs_links_new(&snap->links);
	if (r < 0)
		return err_num(err, r, "walk a directory");
	r = rootfs_build_start(build, &sink, err);
	if (r == 0)
		r = image_writer_new(&limits, &sink, &snap->writer, err);
	if (r == 0)
		r = walk_tree(dir_fd, see_entry, snap, err);
	if (r == 0)
		r = rootfs_sha256_finish(snap->sha, &id, err);
	if (r < 0)
		return r;
	if (!oci_digest_equal(&id, &state->id))
		return err_set(err, -ESTALE, "read it: it has changed meanwhile");
	return image_writer_finish(snap->writer, ret_info, err);
}

/* One try: the image of what the walk saw, from the cache or made. */
static int try_snapshot(const struct rootfs_cache *cache, int dir_fd,
			const struct rootfs_snapshot_opts *opts,
			struct rootfs_snapshot *ret_snapshot, struct err *err)
{
	CLEANUP(rootfs_build_free) struct rootfs_build *build = NULL;
	struct rootfs_snapshot snapshot = { .cached = true };
	struct state state = { 0 };
	struct image_info info;
	struct rootfs_key key;
	int r;

	r = look(dir_fd, opts, &state, err);
	if (r < 0)
		return r;
	snapshot.id = state.id;
	key = rootfs_key(ROOTFS_KEY_SNAP, &state.id);
	r = rootfs_cache_get(cache, &key, &snapshot.stored, err);
	if (r == -ENOENT) {
		r = rootfs_cache_lock(cache, &key, opts->progress, &build, err);
		if (r == 0)
			r = rootfs_cache_get(cache, &key, &snapshot.stored, err);
	}
	if (r == -ENOENT) {
		snapshot.cached = false;
		r = write_image(build, dir_fd, opts, &state, &info, err);
		if (r == 0)
			r = rootfs_build_commit(build, &key, &info, &snapshot.stored, err);
	}
	if (r == 0)
		*ret_snapshot = snapshot;
	return r;
}

int rootfs_snapshot_take(const struct rootfs_cache *cache, int dir_fd,
			 const struct rootfs_snapshot_opts *opts,
			 struct rootfs_snapshot *ret_snapshot, struct err *err)
{
	int r = -ESTALE;

	for (int i = 0; i < WALK_TRIES && r == -ESTALE; i++)
		r = try_snapshot(cache, dir_fd, opts, ret_snapshot, err);
	return r < 0 ? err_recode(err, r, ERR_IMAGE) : 0;
}
