// SPDX-License-Identifier: Apache-2.0
#include "oci/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "oci/json.h"

#define REF_NAME "org.opencontainers.image.ref.name"

enum { MEDIA_TYPE_MAX = 255 };

static const struct {
	const char *name;
	enum oci_media media;
} medias[] = {
	{ "application/vnd.oci.image.index.v1+json", OCI_MEDIA_INDEX },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", OCI_MEDIA_INDEX },
	{ "application/vnd.oci.image.manifest.v1+json", OCI_MEDIA_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v2+json", OCI_MEDIA_MANIFEST },
	{ "application/vnd.oci.image.config.v1+json", OCI_MEDIA_CONFIG },
	{ "application/vnd.docker.container.image.v1+json", OCI_MEDIA_CONFIG },
	{ "application/vnd.oci.image.layer.v1.tar", OCI_MEDIA_TAR },
	{ "application/vnd.docker.image.rootfs.diff.tar", OCI_MEDIA_TAR },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", OCI_MEDIA_TAR_GZIP },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_MEDIA_TAR_GZIP },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", OCI_MEDIA_TAR_ZSTD },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_MEDIA_TAR_ZSTD },
};

/* Borrowed from the document. NULL if absent or no string: the caller says what it wanted. */
static const char *borrow_string(const struct oci_json *at, const char *key)
{
	struct oci_json item = oci_json_get(at, key);

	return json_string_value(item.value);
}

static int find_media(const char *name, enum oci_media *ret_media)
{
	for (size_t i = 0; i < ARRAY_SIZE(medias); i++) {
		if (strcmp(medias[i].name, name) == 0) {
			*ret_media = medias[i].media;
			return 0;
		}
	}
	return -ENOENT;
}

static bool is_layer(enum oci_media media)
{
	switch (media) {
	case OCI_MEDIA_TAR:
	case OCI_MEDIA_TAR_GZIP:
	case OCI_MEDIA_TAR_ZSTD:
		return true;
	case OCI_MEDIA_INDEX:
	case OCI_MEDIA_MANIFEST:
	case OCI_MEDIA_CONFIG:
		return false;
	}
	return false;
}

static int read_media(const struct oci_json *at, enum oci_media *ret_media, struct err *err)
{
	struct oci_json type = oci_json_get(at, "mediaType");
	const char *name = json_string_value(type.value), *why = "is not one that is known here";

	if (!name || strlen(name) > MEDIA_TYPE_MAX)
		return oci_json_fail(&type, ERR_IMAGE, -EINVAL, err, "is not a media type");
	if (find_media(name, ret_media) == 0)
		return 0;
	if (strstr(name, "+encrypted"))
		why = "is an encrypted layer, which is not supported";
	else if (strstr(name, "nondistributable") || strstr(name, ".foreign."))
		why = "is a foreign layer, which is not supported";
	return oci_json_fail(&type, ERR_UNSUPPORTED, -EOPNOTSUPP, err, "'%s' %s", name, why);
}

int oci_layout_check(struct bytes text, struct err *err)
{
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct oci_json doc, version;
	const char *value;
	int r;

	r = oci_json_load(text, "oci-layout", &root, err);
	if (r < 0)
		return r;
	doc = oci_json_root(root, "oci-layout");
	version = oci_json_get(&doc, "imageLayoutVersion");
	value = json_string_value(version.value);
	if (!value)
		return oci_json_fail(&version, ERR_IMAGE, -EINVAL, err, "is not a string");
	if (strcmp(value, "1.0.0") != 0)
		return oci_json_fail(&version, ERR_UNSUPPORTED, -EOPNOTSUPP, err,
				     "is '%.64s', only '1.0.0' is known", value);
	return 0;
}

static int read_digest(const struct oci_json *at, struct oci_digest *ret_digest, struct err *err)
{
	const char *text = json_string_value(at->value);
	int r = text ? oci_digest_parse(text, ret_digest) : -EINVAL;

	if (r == -EOPNOTSUPP)
		return oci_json_fail(at, ERR_UNSUPPORTED, r, err,
				     "'%.160s' is not of sha256, the only algorithm supported",
				     text);
	if (r < 0)
		return oci_json_fail(at, ERR_IMAGE, r, err,
				     "is not 'sha256:' and 64 lower-case hexadecimal digits");
	return 0;
}

static int read_descriptor(const struct oci_json *at, struct oci_descriptor *ret_descriptor,
			   struct err *err)
{
	struct oci_json digest = oci_json_get(at, "digest"), size = oci_json_get(at, "size");
	struct oci_descriptor descriptor;
	int r;

	r = oci_json_object(at, err);
	if (r < 0)
		return r;
	r = read_media(at, &descriptor.media, err);
	if (r < 0)
		return r;
	r = read_digest(&digest, &descriptor.digest, err);
	if (r < 0)
		return r;
	if (!oci_json_is_there(&size))
		return oci_json_fail(&size, ERR_IMAGE, -EINVAL, err, "is missing");
	r = oci_json_u64(&size, 0, INT64_MAX, &descriptor.size, err);
	if (r < 0)
		return r;
	if (!is_layer(descriptor.media) && descriptor.size > OCI_JSON_MAX)
		return oci_json_fail(&size, ERR_IMAGE_LIMIT, -E2BIG, err,
				     "is more than %d, the limit of a JSON document", OCI_JSON_MAX);
	*ret_descriptor = descriptor;
	return 0;
}

/* schemaVersion is 2, and mediaType, where it is given, is the one wanted. */
static int check_schema(const struct oci_json *doc, enum oci_media media, struct err *err)
{
	struct oci_json schema = oci_json_get(doc, "schemaVersion");
	struct oci_json type = oci_json_get(doc, "mediaType");
	const char *name = json_string_value(type.value);
	enum oci_media found;
	int r;

	r = oci_json_object(doc, err);
	if (r < 0)
		return r;
	if (!json_is_integer(schema.value) || json_integer_value(schema.value) != 2)
		return oci_json_fail(&schema, ERR_UNSUPPORTED, -EOPNOTSUPP, err, "is not 2");
	if (!oci_json_is_there(&type))
		return 0;
	if (!name || find_media(name, &found) < 0 || found != media)
		return oci_json_fail(
			&type, ERR_IMAGE, -EINVAL, err, "'%.200s' is not %s", name ? name : "",
			media == OCI_MEDIA_INDEX ? "that of an index" : "that of a manifest");
	return 0;
}

/* What an index's entries have that bears on the choice. */
enum fit { FIT_OTHER, FIT_OPEN, FIT_EXACT };

/* amd64 of level v1 only: v2 and later may use what the guest's CPU lacks. */
static enum fit fit_platform(const struct oci_json *entry)
{
	struct oci_json platform = oci_json_get(entry, "platform");
	const char *os, *arch, *variant;

	if (!oci_json_is_there(&platform))
		return FIT_OPEN;
	os = borrow_string(&platform, "os");
	arch = borrow_string(&platform, "architecture");
	variant = borrow_string(&platform, "variant");
	if (!os || strcmp(os, "linux") != 0 || !arch || strcmp(arch, "amd64") != 0)
		return FIT_OTHER;
	return !variant || !variant[0] || strcmp(variant, "v1") == 0 ? FIT_EXACT : FIT_OTHER;
}

static const char *entry_tag(const struct oci_json *entry)
{
	struct oci_json annotations = oci_json_get(entry, "annotations");

	return borrow_string(&annotations, REF_NAME);
}

static bool is_candidate(const struct oci_json *entry, const char *tag)
{
	const char *type = borrow_string(entry, "mediaType"), *name = entry_tag(entry);
	enum oci_media media;

	if (!type || find_media(type, &media) < 0 ||
	    (media != OCI_MEDIA_INDEX && media != OCI_MEDIA_MANIFEST))
		return false;
	return !tag || (name && strcmp(name, tag) == 0);
}

static int fail_choice(const struct oci_json *list, const char *tag, size_t candidates,
		       struct err *err)
{
	char tags[200] = "";
	size_t len = 0;

	for (size_t i = 0; i < json_array_size(list->value); i++) {
		struct oci_json entry = oci_json_item(list, i);
		const char *name = entry_tag(&entry);
		int n;

		if (!name)
			continue;
		n = snprintf(tags + len, sizeof(tags) - len, "%s'%.100s'", len ? ", " : "", name);
		if (n < 0 || (size_t)n >= sizeof(tags) - len) {
			tags[len] = '\0'; /* whole names only */
			break;
		}
		len += (size_t)n;
	}
	if (tag && candidates == 0)
		return oci_json_fail(list, ERR_IMAGE, -EINVAL, err, "there is no tag '%.60s'%s%s",
				     tag, tags[0] ? "; there is " : ", nor any other", tags);
	if (candidates == 0)
		return oci_json_fail(list, ERR_IMAGE, -EINVAL, err,
				     "there is no manifest of an image in it");
	return oci_json_fail(list, ERR_IMAGE, -EINVAL, err,
			     "%zu manifests to choose from, not one for linux/amd64%s%s",
			     candidates, tags[0] ? "; name a tag: " : "", tags);
}

int oci_index_choose(struct bytes text, const char *file, const char *tag,
		     struct oci_descriptor *ret_descriptor, struct err *err)
{
	CLEANUP(oci_json_free) json_t *root = NULL;
	size_t count, candidates = 0, first[3] = { 0 }, fits[3] = { 0 };
	struct oci_json doc, list, chosen;
	const char *name = NULL;
	bool tags_differ = false;
	int r;

	r = oci_json_load(text, file, &root, err);
	if (r < 0)
		return r;
	doc = oci_json_root(root, file);
	r = check_schema(&doc, OCI_MEDIA_INDEX, err);
	if (r < 0)
		return r;
	list = oci_json_get(&doc, "manifests");
	r = oci_json_list(&list, OCI_INDEX_MAX, &count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		struct oci_json entry = oci_json_item(&list, i);
		enum fit fit = fit_platform(&entry);

		if (!is_candidate(&entry, tag))
			continue;
		candidates++;
		tags_differ = tags_differ ||
			      (name && entry_tag(&entry) && strcmp(name, entry_tag(&entry)) != 0);
		name = name ? name : entry_tag(&entry);
		if (fits[fit]++ == 0)
			first[fit] = i;
	}
	if (tags_differ)
		return fail_choice(&list, tag, candidates, err);
	if (fits[FIT_EXACT] == 1)
		chosen = oci_json_item(&list, first[FIT_EXACT]);
	else if (fits[FIT_EXACT] == 0 && fits[FIT_OPEN] == 1)
		chosen = oci_json_item(&list, first[FIT_OPEN]);
	else
		return fail_choice(&list, tag, candidates, err);
	return read_descriptor(&chosen, ret_descriptor, err);
}

static int read_layers(struct arena *arena, const struct oci_json *doc,
		       struct oci_manifest *manifest, struct err *err)
{
	struct oci_json list = oci_json_get(doc, "layers");
	struct oci_descriptor *layers;
	size_t count;
	int r;

	r = oci_json_list(&list, OCI_LAYERS_MAX, &count, err);
	if (r < 0)
		return r;
	if (count == 0)
		return oci_json_fail(&list, ERR_IMAGE, -EINVAL, err, "there are none");
	layers = arena_array(arena, count, sizeof(*layers));
	if (!layers)
		return err_num(err, -ENOMEM, "read '%s'", doc->file);
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(&list, i);

		r = read_descriptor(&item, &layers[i], err);
		if (r < 0)
			return r;
		if (!is_layer(layers[i].media))
			return oci_json_fail(&item, ERR_IMAGE, -EINVAL, err, "is not a layer");
	}
	manifest->layers = layers;
	manifest->layer_count = count;
	return 0;
}

int oci_manifest_parse(struct arena *arena, struct bytes text, const char *file,
		       struct oci_manifest *ret_manifest, struct err *err)
{
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct oci_manifest manifest = { 0 };
	struct oci_json doc, config;
	int r;

	r = oci_json_load(text, file, &root, err);
	if (r < 0)
		return r;
	doc = oci_json_root(root, file);
	r = check_schema(&doc, OCI_MEDIA_MANIFEST, err);
	if (r < 0)
		return r;
	config = oci_json_get(&doc, "config");
	r = read_descriptor(&config, &manifest.config, err);
	if (r < 0)
		return r;
	if (manifest.config.media != OCI_MEDIA_CONFIG)
		return oci_json_fail(&config, ERR_IMAGE, -EINVAL, err,
				     "is not the configuration of an image");
	r = read_layers(arena, &doc, &manifest, err);
	if (r < 0)
		return r;
	*ret_manifest = manifest;
	return 0;
}

static int check_platform(const struct oci_json *doc, struct err *err)
{
	static const struct {
		const char *key, *wanted;
	} parts[] = { { "os", "linux" }, { "architecture", "amd64" } };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct oci_json part = oci_json_get(doc, parts[i].key);
		const char *value = json_string_value(part.value);

		if (!value)
			return oci_json_fail(&part, ERR_IMAGE, -EINVAL, err, "is not a string");
		if (strcmp(value, parts[i].wanted) != 0)
			return oci_json_fail(&part, ERR_UNSUPPORTED, -EOPNOTSUPP, err,
					     "is '%.64s'; guests run '%s'", value, parts[i].wanted);
	}
	return 0;
}

static int read_diff_ids(struct arena *arena, const struct oci_json *doc, size_t layer_count,
			 struct oci_config *config, struct err *err)
{
	struct oci_json rootfs = oci_json_get(doc, "rootfs");
	struct oci_json type = oci_json_get(&rootfs, "type");
	struct oci_json list = oci_json_get(&rootfs, "diff_ids");
	const char *name = json_string_value(type.value);
	struct oci_digest *ids;
	size_t count;
	int r;

	if (!name || strcmp(name, "layers") != 0)
		return oci_json_fail(&type, ERR_IMAGE, -EINVAL, err, "is not 'layers'");
	r = oci_json_list(&list, OCI_LAYERS_MAX, &count, err);
	if (r < 0)
		return r;
	if (count != layer_count)
		return oci_json_fail(&list, ERR_IMAGE, -EINVAL, err,
				     "has %zu entries, but the manifest %zu layers", count,
				     layer_count);
	ids = arena_array(arena, count ? count : 1, sizeof(*ids));
	if (!ids)
		return err_num(err, -ENOMEM, "read '%s'", doc->file);
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(&list, i);

		r = read_digest(&item, &ids[i], err);
		if (r < 0)
			return r;
	}
	config->diff_ids = ids;
	config->diff_count = count;
	return 0;
}

static int read_env(struct arena *arena, const struct oci_json *config, struct oci_strings *ret_env,
		    struct err *err)
{
	struct oci_json env = oci_json_get(config, "Env");
	int r;

	r = oci_json_strings(arena, &env, OCI_ENV_MAX, OCI_STRING_MAX, ret_env, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret_env->count; i++) {
		struct oci_json item = oci_json_item(&env, i);

		if (!oci_process_is_variable(ret_env->at[i]))
			return oci_json_fail(&item, ERR_IMAGE, -EINVAL, err, "is not NAME=VALUE");
	}
	return 0;
}

static int read_place(struct arena *arena, const struct oci_json *config,
		      struct oci_process_base *process, struct err *err)
{
	struct oci_json cwd = oci_json_get(config, "WorkingDir");
	struct oci_json user = oci_json_get(config, "User");
	int r;

	if (!oci_json_is_empty(&cwd)) {
		r = oci_json_string(arena, &cwd, OCI_CWD_MAX, &process->cwd, err);
		if (r < 0)
			return r;
		if (process->cwd[0] != '/')
			return oci_json_fail(&cwd, ERR_IMAGE, -EINVAL, err,
					     "is not an absolute path");
	}
	if (!oci_json_is_empty(&user)) {
		r = oci_json_string(arena, &user, OCI_USER_MAX, &process->user, err);
		if (r < 0)
			return r;
		if (!oci_process_is_user(process->user))
			return oci_json_fail(&user, ERR_IMAGE, -EINVAL, err,
					     "is not USER or USER:GROUP");
	}
	return 0;
}

static int read_process(struct arena *arena, const struct oci_json *doc,
			struct oci_process_base *process, struct err *err)
{
	struct oci_json config = oci_json_get(doc, "config");
	struct oci_json entrypoint = oci_json_get(&config, "Entrypoint");
	struct oci_json cmd = oci_json_get(&config, "Cmd");
	int r;

	if (!oci_json_is_there(&config))
		return 0;
	r = oci_json_object(&config, err);
	if (r < 0)
		return r;
	r = oci_json_strings(arena, &entrypoint, OCI_ARGS_MAX, OCI_STRING_MAX, &process->entrypoint,
			     err);
	if (r < 0)
		return r;
	r = oci_json_strings(arena, &cmd, OCI_ARGS_MAX, OCI_STRING_MAX, &process->cmd, err);
	if (r < 0)
		return r;
	r = read_env(arena, &config, &process->env, err);
	if (r < 0)
		return r;
	return read_place(arena, &config, process, err);
}

int oci_config_parse(struct arena *arena, struct bytes text, const char *file, size_t layer_count,
		     struct oci_config *ret_config, struct err *err)
{
	CLEANUP(oci_json_free) json_t *root = NULL;
	struct oci_config config = { 0 };
	struct oci_json doc;
	int r;

	r = oci_json_load(text, file, &root, err);
	if (r < 0)
		return r;
	doc = oci_json_root(root, file);
	r = oci_json_object(&doc, err);
	if (r < 0)
		return r;
	r = check_platform(&doc, err);
	if (r < 0)
		return r;
	r = read_diff_ids(arena, &doc, layer_count, &config, err);
	if (r < 0)
		return r;
	r = read_process(arena, &doc, &config.process, err);
	if (r < 0)
		return r;
	*ret_config = config;
	return 0;
}
