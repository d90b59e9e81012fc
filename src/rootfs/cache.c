// SPDX-License-Identifier: Apache-2.0
#include "rootfs/cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "oci/json.h"
#include "sys/file.h"
#include "sys/io.h"
#include "sys/walk.h"

enum {
	NAME_SIZE = ROOTFS_KEY_TEXT + 16, /* a key and a suffix */
	META_MAX = 4096,
};

struct rootfs_build {
	int dir_fd; /* the cache's */
	struct rootfs_key lock;
	int lock_fd;
	int fd; /* of LOCK.tmp; -1: none */
};

static const char *const prefixes[] = {
	[ROOTFS_KEY_DIFF] = "diff-",
	[ROOTFS_KEY_CHAIN] = "chain-",
	[ROOTFS_KEY_SNAP] = "snap-",
};
static_assert(ARRAY_SIZE(prefixes) == ROOTFS_KEY_SNAP + 1, "each kind has its prefix");

struct rootfs_key rootfs_key(enum rootfs_key_kind kind, const struct oci_digest *digest)
{
	char hex[2 * OCI_DIGEST_BYTES + 1];
	struct rootfs_key key;

	oci_digest_hex(digest, hex);
	(void)snprintf(key.text, sizeof(key.text), "%s%s", prefixes[kind], hex);
	return key;
}

static void make_name(char name[static NAME_SIZE], const char *key, const char *suffix)
{
	(void)snprintf(name, NAME_SIZE, "%.*s%s", ROOTFS_KEY_TEXT, key, suffix);
}

static bool is_absolute(const char *path)
{
	return path && path[0] == '/';
}

int rootfs_cache_open_at(uid_t uid, const char *path, int *ret_dir_fd, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st = { 0 };
	int r;

	r = file_mkdir_p(AT_FDCWD, path, 0700, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, path, &fd, err);
	if (r == 0)
		r = io_stat(fd, &st, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "open the cache"), ERR_HOST);
	if (st.st_uid != uid || (st.st_mode & 022))
		return err_coded(err, ERR_HOST, -EPERM,
				 "open the cache: '%s' is not this user's alone: chown and chmod "
				 "go-w it, or remove it",
				 path);
	*ret_dir_fd = steal_fd(&fd);
	return 0;
}

int rootfs_cache_open(uid_t uid, const char *xdg_cache_home, const char *home, int *ret_dir_fd,
		      struct err *err)
{
	char path[4096];
	int n;

	if (uid == 0)
		n = snprintf(path, sizeof(path), "/var/cache/casemate");
	else if (is_absolute(xdg_cache_home)) /* a relative one is to be ignored, says XDG */
		n = snprintf(path, sizeof(path), "%s/casemate", xdg_cache_home);
	else if (is_absolute(home))
		n = snprintf(path, sizeof(path), "%s/.cache/casemate", home);
	else
		return err_coded(err, ERR_HOST, -ENOENT,
				 "open the cache: neither XDG_CACHE_HOME nor HOME is an absolute "
				 "path");
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_coded(err, ERR_HOST, -ENAMETOOLONG,
				 "open the cache: its path is too "
				 "long");
	return rootfs_cache_open_at(uid, path, ret_dir_fd, err);
}

int rootfs_cache_init(struct rootfs_cache *cache, int cache_dir_fd, struct err *err)
{
	int r;

	r = file_mkdir_p(cache_dir_fd, "layers/v1", 0700, err);
	if (r == 0)
		r = file_open_dir(cache_dir_fd, "layers/v1", &cache->dir_fd, err);
	return r < 0 ? err_recode(err, err_wrap(err, r, "open the cache"), ERR_HOST) : 0;
}

void rootfs_cache_done(struct rootfs_cache *cache)
{
	cleanup_close_fd(&cache->dir_fd);
	cache->dir_fd = -1;
}

/* What KEY.json says. */

static int format_meta(const struct image_info *info, struct buf *ret_text)
{
	struct oci_digest root;
	char hex[2 * OCI_DIGEST_BYTES + 1];

	static_assert((int)IMAGE_HASH_SIZE == (int)OCI_DIGEST_BYTES, "both are SHA-256");
	memcpy(root.sha256, info->root, sizeof(root.sha256));
	oci_digest_hex(&root, hex);
	return buf_addf(ret_text,
			"{\"format\":\"%s\",\"root\":\"sha256:%s\",\"data_blocks\":%llu,"
			"\"hash_start_block\":%llu,\"total_bytes\":%llu,\"needs_lower\":%s,"
			"\"root_opaque\":%s}\n",
			IMAGE_FORMAT, hex, (unsigned long long)info->data_blocks,
			(unsigned long long)info->hash_start_block,
			(unsigned long long)info->total_bytes, info->needs_lower ? "true" : "false",
			info->root_opaque ? "true" : "false");
}

/* Anything but what format_meta() writes is as good as nothing: the image is made again. */
static int parse_meta(struct bytes text, struct image_info *ret_info)
{
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct oci_json doc, format, hash, blocks, start, total, lower, opaque;
	struct image_info info = { 0 };
	struct oci_digest digest;

	if (oci_json_load(text, "cache", &root, NULL) < 0)
		return -ENOENT;
	doc = oci_json_root(root, "cache");
	format = oci_json_get(&doc, "format");
	hash = oci_json_get(&doc, "root");
	blocks = oci_json_get(&doc, "data_blocks");
	start = oci_json_get(&doc, "hash_start_block");
	total = oci_json_get(&doc, "total_bytes");
	lower = oci_json_get(&doc, "needs_lower");
	opaque = oci_json_get(&doc, "root_opaque");
	if (!json_is_string(format.value) || !json_is_string(hash.value) ||
	    strcmp(json_string_value(format.value), IMAGE_FORMAT) != 0 ||
	    oci_digest_parse(json_string_value(hash.value), &digest) < 0 ||
	    oci_json_u64(&blocks, 1, INT64_MAX, &info.data_blocks, NULL) < 0 ||
	    oci_json_u64(&start, 1, INT64_MAX, &info.hash_start_block, NULL) < 0 ||
	    oci_json_u64(&total, 1, INT64_MAX, &info.total_bytes, NULL) < 0 ||
	    oci_json_bool(&lower, &info.needs_lower, NULL) < 0 ||
	    oci_json_bool(&opaque, &info.root_opaque, NULL) < 0 || info.data_blocks == 0 ||
	    info.hash_start_block == 0 || info.total_bytes == 0)
		return -ENOENT;
	memcpy(info.root, digest.sha256, sizeof(info.root));
	*ret_info = info;
	return 0;
}

int rootfs_cache_get(const struct rootfs_cache *cache, const struct rootfs_key *key,
		     struct rootfs_stored *ret_stored, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_close int meta_fd = -1, fd = -1;
	struct rootfs_stored stored = { .fd = -1 };
	struct err why = { 0 }; /* err stays clean when there is just nothing */
	char name[NAME_SIZE];
	size_t len = 0;
	struct stat st = { 0 };
	int r;

	make_name(name, key->text, ".json");
	r = io_open_own(cache->dir_fd, name, &meta_fd, &why);
	if (r == 0)
		r = buf_reserve(&text, META_MAX);
	if (r == 0)
		r = io_read_at(meta_fd, 0, text.at, META_MAX, &len, &why);
	if (r == 0)
		r = parse_meta((struct bytes){ text.at, len }, &stored.info);
	make_name(name, key->text, ".img");
	if (r == 0)
		r = io_open_own(cache->dir_fd, name, &fd, &why);
	if (r == 0)
		r = io_stat(fd, &st, &why);
	if (r < 0 && r != -ENOENT) {
		if (err)
			*err = why;
		return err_recode(err, err_wrap(err, r, "read the cache"), ERR_HOST);
	}
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size != stored.info.total_bytes)
		return -ENOENT;
	stored.fd = steal_fd(&fd);
	*ret_stored = stored;
	return 0;
}

/* 0: held and still of that name; -EAGAIN: its last holder has removed it; -EWOULDBLOCK. */
static int try_lock(int dir_fd, const char *name, int timeout_ms, int *ret_fd, struct err *err)
{
	cleanup_close int fd = -1;
	int r;

	r = io_open_lock(dir_fd, name, &fd, err);
	if (r < 0)
		return r;
	r = file_lock(fd, true, timeout_ms);
	if (r == -EWOULDBLOCK)
		return r;
	if (r < 0)
		return err_num(err, r, "lock '%s'", name);
	if (!io_is_named(dir_fd, name, fd))
		return -EAGAIN;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static bool cut_suffix(char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);

	if (len <= cut || strcmp(name + len - cut, suffix) != 0)
		return false;
	name[len - cut] = '\0';
	return true;
}

/* Removes what a process that held this lock has left, if none holds it. Best effort. */
static void sweep_lock(int dir_fd, const char *lock)
{
	cleanup_close int fd = -1;
	char name[NAME_SIZE];

	make_name(name, lock, ".lock");
	if (try_lock(dir_fd, name, 0, &fd, NULL) < 0)
		return;
	make_name(name, lock, ".tmp");
	(void)io_remove(dir_fd, name, NULL);
	make_name(name, lock, ".json.tmp");
	(void)io_remove(dir_fd, name, NULL);
	make_name(name, lock, ".lock");
	(void)io_remove(dir_fd, name, NULL);
}

static void sweep(int dir_fd)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	if (walk_names(dir_fd, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.len; i++) {
		char *name = names.at[i];

		if (strlen(name) >= NAME_SIZE)
			continue;
		if (cut_suffix(name, ".lock") || cut_suffix(name, ".json.tmp") ||
		    cut_suffix(name, ".tmp"))
			sweep_lock(dir_fd, name);
	}
}

int rootfs_cache_lock(const struct rootfs_cache *cache, const struct rootfs_key *lock,
		      struct rootfs_progress *progress, struct rootfs_build **ret_build,
		      struct err *err)
{
	CLEANUP(rootfs_build_free) struct rootfs_build *build = calloc(1, sizeof(*build));
	char name[NAME_SIZE];
	int r;

	if (!build)
		return err_num(err, -ENOMEM, "lock the cache");
	build->dir_fd = cache->dir_fd;
	build->lock = *lock;
	build->lock_fd = build->fd = -1;
	sweep(cache->dir_fd);
	make_name(name, lock->text, ".lock");
	do {
		r = try_lock(cache->dir_fd, name, ROOTFS_PROGRESS_MS, &build->lock_fd, err);
		if (r == -EWOULDBLOCK)
			rootfs_progress_report(progress, ROOTFS_STAGE_WAIT, 0, 0);
	} while (r == -EWOULDBLOCK || r == -EAGAIN);
	if (r < 0)
		return err_wrap(err, r, "lock the cache");
	*ret_build = steal_ptr(&build);
	return 0;
}

static int write_image(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	struct rootfs_build *build = data;
	int r = io_write_at(build->fd, offset, bytes, err);

	return r < 0 ? err_recode(err, err_wrap(err, r, "write to the cache"), ERR_HOST) : 0;
}

int rootfs_build_start(struct rootfs_build *build, struct image_sink *ret_sink, struct err *err)
{
	char name[NAME_SIZE];
	int r;

	cleanup_close_fd(&build->fd);
	build->fd = -1;
	make_name(name, build->lock.text, ".tmp");
	r = io_create(build->dir_fd, name, &build->fd, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "write to the cache"), ERR_HOST);
	*ret_sink = (struct image_sink){ .write = write_image, .data = build };
	return 0;
}

static int write_meta(struct rootfs_build *build, const char *tmp, const char *name,
		      const struct image_info *info, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_close int fd = -1;
	int r;

	r = format_meta(info, &text);
	if (r < 0)
		return err_num(err, r, "describe an image");
	r = io_create(build->dir_fd, tmp, &fd, err);
	if (r == 0)
		r = io_write_at(fd, 0, buf_bytes(&text), err);
	if (r == 0)
		r = io_publish(build->dir_fd, fd, tmp, name, err);
	return r;
}

int rootfs_build_commit(struct rootfs_build *build, const struct rootfs_key *key,
			const struct image_info *info, struct rootfs_stored *ret_stored,
			struct err *err)
{
	char tmp[NAME_SIZE], image[NAME_SIZE], meta[NAME_SIZE];
	const struct rootfs_cache cache = { .dir_fd = build->dir_fd };
	int r;

	make_name(tmp, build->lock.text, ".tmp");
	make_name(image, key->text, ".img");
	make_name(meta, key->text, ".json");
	/* an older description must not meet the new image */
	r = io_remove(build->dir_fd, meta, err);
	if (r == 0)
		r = io_publish(build->dir_fd, build->fd, tmp, image, err);
	if (r == 0) {
		cleanup_close_fd(&build->fd);
		build->fd = -1;
		make_name(tmp, build->lock.text, ".json.tmp");
		r = write_meta(build, tmp, meta, info, err);
		if (r < 0) {
			(void)io_remove(build->dir_fd, tmp, NULL);
			(void)io_remove(build->dir_fd, image, NULL);
		}
	}
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "write to the cache"), ERR_HOST);
	r = rootfs_cache_get(&cache, key, ret_stored, err);
	return r == -ENOENT ? err_set(err, -EIO, "read the cache: an image has gone at once") : r;
}

struct rootfs_build *rootfs_build_free(struct rootfs_build *build)
{
	char name[NAME_SIZE];

	if (!build)
		return NULL;
	if (build->lock_fd >= 0) {
		if (build->fd >= 0) {
			cleanup_close_fd(&build->fd);
			make_name(name, build->lock.text, ".tmp");
			(void)io_remove(build->dir_fd, name, NULL);
		}
		make_name(name, build->lock.text, ".lock");
		(void)io_remove(build->dir_fd, name, NULL);
		cleanup_close_fd(&build->lock_fd);
	}
	free(build);
	return NULL;
}
