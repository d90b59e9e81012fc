// SPDX-License-Identifier: Apache-2.0
#include "oci/ref.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *prefix;
	enum oci_ref_kind kind;
	bool has_tag;
} kinds[] = {
	{ "oci:", OCI_REF_LAYOUT, true },
	{ "oci-archive:", OCI_REF_ARCHIVE, true },
	{ "bundle:", OCI_REF_BUNDLE, false },
	{ "rootfs:", OCI_REF_ROOTFS, false },
};

/* What skopeo reads, and we don't. */
static const char *const elsewhere[] = {
	"docker:", "docker-archive:", "docker-daemon:", "containers-storage:",
	"dir:",	   "ostree:",	      "sif:",		"tarball:",
};

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* The image-spec's grammar of org.opencontainers.image.ref.name, without its rules of order. */
static bool is_tag(const char *tag)
{
	static const char alnum[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(tag);

	if (len == 0 || len > OCI_REF_TAG_MAX || strspn(tag, alnum) == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!strchr(alnum, tag[i]) && !strchr("-._:@+/", tag[i]))
			return false;
	}
	return true;
}

static int fill_ref(struct arena *arena, size_t kind, const char *rest, struct oci_ref *ret_ref,
		    struct err *err)
{
	const char *colon = kinds[kind].has_tag ? strchr(rest, ':') : NULL;
	size_t len = colon ? (size_t)(colon - rest) : strlen(rest);
	struct oci_ref ref = { .kind = kinds[kind].kind };

	if (len == 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "read image name: nothing follows '%s'",
				 kinds[kind].prefix);
	if (len > OCI_REF_PATH_MAX)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "read image name: the path has more than %d bytes",
				 OCI_REF_PATH_MAX);
	if (colon && !is_tag(colon + 1))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "read image name: '%.300s' after the path can't be a tag",
				 colon + 1);
	ref.path = arena_strndup(arena, rest, len);
	ref.tag = colon ? arena_strdup(arena, colon + 1) : NULL;
	if (!ref.path || (colon && !ref.tag))
		return err_num(err, -ENOMEM, "read image name");
	*ret_ref = ref;
	return 0;
}

int oci_ref_parse(struct arena *arena, const char *text, struct oci_ref *ret_ref, struct err *err)
{
	static_assert(ARRAY_SIZE(kinds) == OCI_REF_ROOTFS + 1, "each kind has its prefix");

	if (is_control(text))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "read image name: it has a control character");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (has_prefix(text, kinds[i].prefix))
			return fill_ref(arena, i, text + strlen(kinds[i].prefix), ret_ref, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		if (has_prefix(text, elsewhere[i]))
			return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
					 "read image name '%.200s': '%s' is not there yet; use "
					 "skopeo copy to an oci: directory",
					 text, elsewhere[i]);
	}
	return err_coded(err, ERR_USAGE, -EINVAL,
			 "read image name '%.200s': it must begin with oci:, oci-archive:, "
			 "bundle: or rootfs:",
			 text);
}
