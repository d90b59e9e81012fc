// SPDX-License-Identifier: Apache-2.0
#include "rootfs/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "image/reader.h"
#include "image/stack.h"
#include "oci/image.h"
#include "oci/json.h"
#include "rootfs/layout.h"
#include "rootfs/sha256.h"
#include "rootfs/snapshot.h"
#include "sys/file.h"
#include "sys/io.h"

/* What all layers of one image are made from. */
struct maker {
	const struct rootfs_image_opts *opts;
	struct rootfs_cache cache;
	struct rootfs_progress progress;
	struct rootfs_layout *layout;
	struct oci_manifest manifest;
	struct oci_config config;
	struct oci_digest chain; /* of the layer at hand */
	size_t base;		 /* layers before this one can't be seen */
	struct rootfs_image *image;
};

static void maker_done(struct maker *maker)
{
	rootfs_cache_done(&maker->cache);
	(void)rootfs_layout_free(maker->layout);
}
CLEANUP_FUNC(struct maker, maker_done)

static void fill_layer(struct rootfs_layer *layer, const struct rootfs_stored *stored,
		       enum rootfs_key_kind kind, const struct oci_digest *id, bool cached)
{
	*layer = (struct rootfs_layer){
		.fd = stored->fd,
		.data_blocks = stored->info.data_blocks,
		.hash_start = stored->info.hash_start_block,
		.size = stored->info.total_bytes,
		.kind = kind,
		.cached = cached,
	};
	memcpy(layer->root, stored->info.root, sizeof(layer->root));
	oci_digest_format(id, layer->id);
}

/* Goes from index.json to the manifest, and checks all that is read on the way. */
static int find_manifest(struct maker *maker, const char *tag, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char name[OCI_DIGEST_TEXT] = "index.json";
	struct oci_descriptor descriptor;
	int r;

	r = rootfs_layout_index(maker->layout, &text, err);
	for (int depth = 0; r == 0 && depth < OCI_INDEX_DEPTH; depth++) {
		r = oci_index_choose(buf_bytes(&text), name, tag, &descriptor, err);
		if (r < 0)
			break;
		tag = NULL;
		text.len = 0;
		oci_digest_format(&descriptor.digest, name);
		r = rootfs_layout_read(maker->layout, &descriptor, &text, err);
		if (r == 0 && descriptor.media == OCI_MEDIA_MANIFEST) {
			memcpy(maker->image->digest, name, sizeof(name));
			return oci_manifest_parse(&maker->image->arena, buf_bytes(&text), name,
						  &maker->manifest, err);
		}
	}
	if (r < 0)
		return r;
	return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG,
			 "read '%s': more than %d indexes in each other", name, OCI_INDEX_DEPTH);
}

static int read_config(struct maker *maker, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char name[OCI_DIGEST_TEXT];
	int r;

	r = rootfs_layout_read(maker->layout, &maker->manifest.config, &text, err);
	if (r < 0)
		return r;
	oci_digest_format(&maker->manifest.config.digest, name);
	r = oci_config_parse(&maker->image->arena, buf_bytes(&text), name,
			     maker->manifest.layer_count, &maker->config, err);
	if (r == 0)
		maker->image->process = maker->config.process;
	return r;
}

/* OCI's chain ID: of the first layer its diff ID, of others the digest of both their names. */
static int advance_chain(struct maker *maker, size_t i, struct err *err)
{
	const struct oci_digest *diff = &maker->config.diff_ids[i];
	char below[OCI_DIGEST_TEXT], this[OCI_DIGEST_TEXT], both[2 * OCI_DIGEST_TEXT];
	int n;

	if (i == 0) {
		maker->chain = *diff;
		return 0;
	}
	oci_digest_format(&maker->chain, below);
	oci_digest_format(diff, this);
	n = snprintf(both, sizeof(both), "%s %s", below, this);
	return rootfs_sha256_of((struct bytes){ (const uint8_t *)both, (size_t)n }, &maker->chain,
				err);
}

/* The layer as it is in the cache: by its diff ID, or else by its chain ID. */
static int look_up(struct maker *maker, size_t i, bool cached, struct err *err)
{
	const struct oci_digest *ids[] = {
		[ROOTFS_KEY_DIFF] = &maker->config.diff_ids[i],
		[ROOTFS_KEY_CHAIN] = &maker->chain,
	};
	struct rootfs_stored stored;
	int r = -ENOENT;

	for (int kind = ROOTFS_KEY_DIFF; kind <= ROOTFS_KEY_CHAIN && r == -ENOENT; kind++) {
		struct rootfs_key key = rootfs_key(kind, ids[kind]);

		r = rootfs_cache_get(&maker->cache, &key, &stored, err);
		if (r == 0) {
			fill_layer(&maker->image->layers[i], &stored, kind, ids[kind], cached);
			if (stored.info.root_opaque)
				maker->base = i;
		}
	}
	return r;
}

static int read_image(void *data, uint64_t offset, void *at, size_t len, struct err *err)
{
	const struct rootfs_layer *layer = data;
	size_t got;
	int r;

	r = io_read_at(layer->fd, offset, at, len, &got, err);
	if (r == 0 && got != len)
		r = err_set(err, -EIO, "read layer '%s': its image has been cut", layer->id);
	return r;
}

/* The layers below i that can be seen, as one tree. */
struct below {
	struct image_reader *readers[OCI_LAYERS_MAX];
	size_t count;
	struct image_stack *stack;
	struct image_lower lower;
};

static void below_done(struct below *below)
{
	(void)image_stack_free(below->stack);
	for (size_t i = 0; i < below->count; i++)
		(void)image_reader_free(below->readers[i]);
}
CLEANUP_FUNC(struct below, below_done)

static int open_below(struct maker *maker, size_t i, struct below *below, struct err *err)
{
	int r;

	for (size_t n = maker->base; n < i; n++) {
		struct image_source source = { read_image, &maker->image->layers[n] };

		r = image_reader_new(&source, &below->readers[below->count], err);
		if (r < 0)
			return err_wrap(err, r, "read layer '%s'", maker->image->layers[n].id);
		below->count++;
	}
	r = image_stack_new(below->readers, below->count, &below->stack, err);
	if (r == 0)
		below->lower = image_stack_lower(below->stack);
	return r;
}

static int build_layer(struct maker *maker, size_t i, struct rootfs_build *build, struct err *err)
{
	CLEANUP(below_done) struct below below = { 0 };
	const struct oci_digest *id = &maker->config.diff_ids[i];
	enum rootfs_key_kind kind = ROOTFS_KEY_DIFF;
	struct image_sink sink;
	struct rootfs_layer_opts layer_opts = {
		.descriptor = &maker->manifest.layers[i],
		.diff_id = id,
		.limits = &maker->opts->limits,
		.lower = i > 0 ? &below.lower : NULL,
		.sink = &sink,
		.progress = &maker->progress,
	};
	struct rootfs_stored stored;
	struct image_info info = { 0 };
	struct rootfs_key key;
	char text[OCI_DIGEST_TEXT];
	int r = 0;

	if (i > 0)
		r = open_below(maker, i, &below, err);
	if (r == 0)
		r = rootfs_build_start(build, &sink, err);
	if (r == 0)
		r = rootfs_layer_build(maker->layout, &layer_opts, &info, err);
	if (r < 0 && err && err->code == ERR_IMAGE_LIMIT) {
		oci_digest_format(id, text);
		return err_wrap(err, r,
				"make layer '%s', within layer_max_size and layer_max_entries",
				text);
	}
	if (r < 0)
		return r;
	if (info.needs_lower) {
		kind = ROOTFS_KEY_CHAIN;
		id = &maker->chain;
	}
	key = rootfs_key(kind, id);
	r = rootfs_build_commit(build, &key, &info, &stored, err);
	if (r < 0)
		return r;
	fill_layer(&maker->image->layers[i], &stored, kind, id, false);
	if (info.root_opaque)
		maker->base = i;
	return 0;
}

static int make_layer(struct maker *maker, size_t i, struct err *err)
{
	CLEANUP(rootfs_build_free) struct rootfs_build *build = NULL;
	struct rootfs_key lock = rootfs_key(ROOTFS_KEY_DIFF, &maker->config.diff_ids[i]);
	int r;

	r = rootfs_cache_lock(&maker->cache, &lock, &maker->progress, &build, err);
	if (r < 0)
		return r;
	r = look_up(maker, i, false, err);
	return r == -ENOENT ? build_layer(maker, i, build, err) : r;
}

/* Overlayfs can't be told that nothing is to be seen below a layer's root: so nothing is. */
static void drop_unseen(struct rootfs_image *image, size_t base)
{
	for (size_t i = 0; i < base; i++)
		cleanup_close_fd(&image->layers[i].fd);
	image->layers += base;
	image->layer_count -= base;
}

static int make_layers(struct maker *maker, struct err *err)
{
	struct rootfs_image *image = maker->image;
	size_t count = maker->manifest.layer_count;
	int r;

	image->layers = arena_array(&image->arena, count, sizeof(*image->layers));
	if (!image->layers)
		return err_num(err, -ENOMEM, "read an image");
	maker->progress.layer_count = count;
	for (size_t i = 0; i < count; i++) {
		maker->progress.layer = i;
		r = advance_chain(maker, i, err);
		if (r < 0)
			return r;
		r = look_up(maker, i, true, err);
		if (r == -ENOENT)
			r = make_layer(maker, i, err);
		if (r < 0)
			return r;
		image->layer_count = i + 1;
	}
	drop_unseen(image, maker->base);
	return 0;
}

static int open_oci(struct maker *maker, const struct oci_ref *ref, struct err *err)
{
	int r;

	r = rootfs_layout_open(ref, maker->opts->at_fd, &maker->layout, err);
	if (r < 0)
		return r;
	r = find_manifest(maker, ref->tag, err);
	if (r == 0)
		r = read_config(maker, err);
	if (r == 0)
		r = make_layers(maker, err);
	return r;
}

static int open_directory(struct maker *maker, int at_fd, const char *path, struct err *err)
{
	const struct rootfs_image_opts *opts = maker->opts;
	struct rootfs_snapshot_opts snapshot_opts = {
		.limits = &opts->limits,
		.progress = &maker->progress,
		.map_ids = opts->map_ids,
		.map_uid = opts->map_uid,
		.map_gid = opts->map_gid,
	};
	struct rootfs_image *image = maker->image;
	struct rootfs_snapshot snapshot;
	cleanup_close int fd = -1;
	int r;

	image->layers = arena_array(&image->arena, 1, sizeof(*image->layers));
	if (!image->layers)
		return err_num(err, -ENOMEM, "read an image");
	maker->progress.layer_count = 1;
	r = file_open_dir(at_fd, path, &fd, err);
	if (r == -EACCES)
		return err_recode(err, r, ERR_UNREADABLE);
	if (r < 0)
		return err_recode(err, r, ERR_IMAGE);
	r = rootfs_snapshot_take(&maker->cache, fd, &snapshot_opts, &snapshot, err);
	if (r < 0)
		return err_wrap(err, r, "take a snapshot of '%s'", path);
	fill_layer(&image->layers[0], &snapshot.stored, ROOTFS_KEY_SNAP, &snapshot.id,
		   snapshot.cached);
	image->layer_count = 1;
	return 0;
}

static int open_bundle(struct maker *maker, const char *path, struct err *err)
{
	struct arena *arena = &maker->image->arena;
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_close int dir_fd = -1;
	struct oci_bundle *bundle;
	const char *file;
	int r;

	file = arena_printf(arena, "%s/config.json", path);
	bundle = arena_alloc(arena, sizeof(*bundle));
	if (!file || !bundle)
		return err_num(err, -ENOMEM, "read a bundle");
	r = file_open_dir(maker->opts->at_fd, path, &dir_fd, err);
	if (r == 0)
		r = file_read(dir_fd, "config.json", OCI_JSON_MAX, &text, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read bundle '%s'", path), ERR_IMAGE);
	r = oci_bundle_parse(arena, buf_bytes(&text), file, bundle, err);
	if (r < 0)
		return r;
	maker->image->bundle = bundle;
	maker->image->process = bundle->process;
	return open_directory(maker, dir_fd, bundle->root_path, err);
}

static int open_kind(struct maker *maker, const struct oci_ref *ref, struct err *err)
{
	switch (ref->kind) {
	case OCI_REF_LAYOUT:
	case OCI_REF_ARCHIVE:
		return open_oci(maker, ref, err);
	case OCI_REF_BUNDLE:
		return open_bundle(maker, ref->path, err);
	case OCI_REF_ROOTFS:
		return open_directory(maker, maker->opts->at_fd, ref->path, err);
	}
	return err_set(err, -EINVAL, "read an image of no kind that is known");
}

int rootfs_image_open(const struct oci_ref *ref, const struct rootfs_image_opts *opts,
		      struct rootfs_image **ret_image, struct err *err)
{
	CLEANUP(rootfs_image_free) struct rootfs_image *image = calloc(1, sizeof(*image));
	CLEANUP(maker_done)
	struct maker maker = {
		.opts = opts,
		.cache.dir_fd = -1,
		.progress = { .fn = opts->progress, .data = opts->progress_data },
		.image = image,
	};
	int r;

	if (!image)
		return err_num(err, -ENOMEM, "read an image");
	r = rootfs_cache_init(&maker.cache, opts->cache_fd, err);
	if (r == 0)
		r = open_kind(&maker, ref, err);
	if (r < 0)
		return r;
	*ret_image = steal_ptr(&image);
	return 0;
}

struct rootfs_image *rootfs_image_free(struct rootfs_image *image)
{
	if (!image)
		return NULL;
	for (size_t i = 0; i < image->layer_count; i++)
		cleanup_close_fd(&image->layers[i].fd);
	arena_done(&image->arena);
	free(image);
	return NULL;
}
