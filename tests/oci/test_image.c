// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "oci/image.h"

/* JSON is easier to read as it is written. */
/* clang-format off */
#define D(c) "sha256:" H(c)
#define H(c) H8(c) H8(c) H8(c) H8(c) H8(c) H8(c) H8(c) H8(c)
#define H8(c) c c c c c c c c
#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."
#define ENTRY(c, more) \
	"{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":\"" D(c) "\",\"size\":7," more "}"
#define TAG(tag) "\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"
#define PLATFORM(os, arch, more) \
	"\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"" more "}"
#define TAGGED(c, tag) ENTRY(c, TAG(tag))
#define ON(c, os, arch, more) ENTRY(c, PLATFORM(os, arch, more))
#define BOTH ENTRY("b", TAG("v2") "," PLATFORM("linux", "amd64", ""))
#define DESC(media, digest, size) \
	"{\"mediaType\":\"" media "\",\"digest\":\"" digest "\",\"size\":" size "}"
#define INDEX(list) "{\"schemaVersion\":2,\"manifests\":[" list "]}"
#define CONFIG_DESC DESC(OCI "config.v1+json", D("c"), "5")
#define LAYER DESC(OCI "layer.v1.tar+gzip", D("d"), "6")
#define MANIFEST(config, layers) \
	"{\"schemaVersion\":2,\"config\":" config ",\"layers\":[" layers "]}"
#define CONFIG(config, ids)                                               \
	"{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":" config \
	",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" ids "]}}"
/* clang-format on */

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void assert_words(const struct err *err, enum err_code code, const char *words)
{
	if (!strstr(err->msg, words))
		fail_msg("'%s' is not in '%s'", words, err->msg);
	assert_int_equal(err->code, code);
}

/* The manifest's digest is 32 times the byte of one repeated digit. */
static void assert_chosen(const char *text, const char *tag, uint8_t digit)
{
	struct oci_descriptor descriptor;
	struct err err = { 0 };

	if (oci_index_choose(text_bytes(text), "i", tag, &descriptor, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(descriptor.digest.sha256[0], digit);
}

static void assert_no_choice(const char *text, const char *tag, int num, enum err_code code,
			     const char *words)
{
	struct oci_descriptor descriptor = { .size = 99 };
	struct err err = { 0 };

	assert_int_equal(oci_index_choose(text_bytes(text), "i", tag, &descriptor, &err), num);
	assert_words(&err, code, words);
	assert_int_equal(descriptor.size, 99);
}

static void checks_the_version_of_a_layout(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(oci_layout_check(text_bytes("{\"imageLayoutVersion\":\"1.0.0\"}"), NULL),
			 0);
	assert_int_equal(oci_layout_check(text_bytes("{\"imageLayoutVersion\":\"2.0.0\"}"), &err),
			 -EOPNOTSUPP);
	assert_words(&err, ERR_UNSUPPORTED,
		     "read 'oci-layout': /imageLayoutVersion: is '2.0.0', only '1.0.0'");
	assert_int_equal(oci_layout_check(text_bytes("{}"), &err), -EINVAL);
	assert_int_equal(oci_layout_check(text_bytes("[]"), &err), -EINVAL);
	assert_int_equal(oci_layout_check(text_bytes("nonsense"), &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "read 'oci-layout': line 1, column 8");
}

static void chooses_the_only_manifest(void **state)
{
	(void)state;
	assert_chosen(INDEX(DESC(OCI "manifest.v1+json", D("a"), "7")), NULL, 0xaa);
	assert_chosen(INDEX(DESC(DOCKER "distribution.manifest.v2+json", D("a"), "7")), NULL, 0xaa);
	assert_chosen(INDEX(DESC(OCI "index.v1+json", D("a"), "7")), NULL, 0xaa);
	assert_chosen(INDEX(DESC(DOCKER "distribution.manifest.list.v2+json", D("a"), "7")), NULL,
		      0xaa);
	assert_chosen(INDEX(TAGGED("a", "v1")), NULL, 0xaa);
	/* what is no manifest is passed over */
	assert_chosen(INDEX(DESC("application/x-other", D("a"),
				 "7") "," DESC(OCI "manifest.v1+json", D("b"), "7") ",7,null,{}"),
		      NULL, 0xbb);
}

static void chooses_by_tag(void **state)
{
	static const char two[] = INDEX(TAGGED("a", "v1") "," TAGGED("b", "v2"));

	(void)state;
	assert_chosen(two, "v1", 0xaa);
	assert_chosen(two, "v2", 0xbb);
	assert_no_choice(two, NULL, -EINVAL, ERR_IMAGE,
			 "read 'i': /manifests: 2 manifests to choose from, not one for "
			 "linux/amd64; name a tag: 'v1', 'v2'");
	/* one that fits better does not settle what was meant */
	assert_no_choice(INDEX(TAGGED("a", "v1") "," BOTH), NULL, -EINVAL, ERR_IMAGE,
			 "name a tag: 'v1', 'v2'");
	assert_no_choice(two, "v", -EINVAL, ERR_IMAGE, "there is no tag 'v'; there is 'v1', 'v2'");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", D("a"), "7")), "v", -EINVAL, ERR_IMAGE,
			 "there is no tag 'v', nor any other");
	assert_no_choice(INDEX(TAGGED("a", "v") "," TAGGED("b", "v")), "v", -EINVAL, ERR_IMAGE,
			 "2 manifests to choose from");
}

static void chooses_by_platform(void **state)
{
	(void)state;
	assert_chosen(INDEX(ON("a", "linux", "arm64", "") "," ON("b", "linux", "amd64", "") "," ON(
			      "c", "unknown", "unknown", "")),
		      NULL, 0xbb);
	assert_chosen(INDEX(ON("a", "linux", "amd64", ",\"variant\":\"v3\"") "," ON(
			      "b", "linux", "amd64", ",\"variant\":\"v1\"")),
		      NULL, 0xbb);
	assert_chosen(
		INDEX(DESC(OCI "manifest.v1+json", D("a"), "7") "," ON("b", "linux", "amd64", "")),
		NULL, 0xbb);
	assert_chosen(INDEX(DESC(OCI "manifest.v1+json", D("a"), "7") "," ON("b", "windows",
									     "amd64", "")),
		      NULL, 0xaa);
	assert_no_choice(INDEX(ON("a", "linux", "arm64", "")), NULL, -EINVAL, ERR_IMAGE,
			 "1 manifests to choose from, not one for linux/amd64");
	assert_no_choice(INDEX(ON("a", "linux", "amd64", "") "," ON("b", "linux", "amd64", "")),
			 NULL, -EINVAL, ERR_IMAGE, "2 manifests");
	assert_no_choice(INDEX(""), NULL, -EINVAL, ERR_IMAGE, "no manifest of an image");
}

static void names_the_place_in_an_index(void **state)
{
	(void)state;
	assert_no_choice("{\"manifests\":[]}", NULL, -EOPNOTSUPP, ERR_UNSUPPORTED,
			 "read 'i': /schemaVersion: is not 2");
	assert_no_choice("[]", NULL, -EINVAL, ERR_IMAGE, "read 'i': is a list, not an object");
	assert_no_choice("{\"schemaVersion\":2,\"mediaType\":\"" OCI "manifest.v1+json\"}", NULL,
			 -EINVAL, ERR_IMAGE, "/mediaType: '" OCI "manifest.v1+json' is not that");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", "sha256:ab", "7")), NULL, -EINVAL,
			 ERR_IMAGE, "read 'i': /manifests/0/digest: is not 'sha256:' and 64");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", "sha512:" H("a") H("b"), "7")), NULL,
			 -EOPNOTSUPP, ERR_UNSUPPORTED, "/manifests/0/digest: 'sha512:");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", D("a"), "-1")), NULL, -EINVAL,
			 ERR_IMAGE, "/manifests/0/size: is -1");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", D("a"), "1.5")), NULL, -EINVAL,
			 ERR_IMAGE, "/manifests/0/size: is a fraction");
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", D("a"), "null")), NULL, -EINVAL,
			 ERR_IMAGE, "/manifests/0/size: is missing");
	assert_chosen(INDEX(DESC(OCI "manifest.v1+json", D("a"), "4194304")), NULL, 0xaa);
	assert_no_choice(INDEX(DESC(OCI "manifest.v1+json", D("a"), "4194305")), NULL, -E2BIG,
			 ERR_IMAGE_LIMIT, "/manifests/0/size: is more than 4194304");
}

/* A list of count times the same, between two texts. */
static struct bytes repeat(struct buf *buf, const char *before, const char *item, size_t count,
			   const char *after)
{
	buf_done(buf);
	assert_int_equal(buf_addf(buf, "%s", before), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_addf(buf, "%s%s", i ? "," : "", item), 0);
	assert_int_equal(buf_addf(buf, "%s", after), 0);
	return buf_bytes(buf);
}

static void holds_the_limit_of_an_index(void **state)
{
	static const char before[] = "{\"schemaVersion\":2,\"manifests\":[" TAGGED("a", "v") ",";
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct oci_descriptor descriptor;
	struct err err = { 0 };

	(void)state;
	repeat(&buf, before, "{}", OCI_INDEX_MAX - 1, "]}");
	assert_int_equal(oci_index_choose(buf_bytes(&buf), "i", NULL, &descriptor, &err), 0);
	repeat(&buf, before, "{}", OCI_INDEX_MAX, "]}");
	assert_int_equal(oci_index_choose(buf_bytes(&buf), "i", NULL, &descriptor, &err), -E2BIG);
	assert_words(&err, ERR_IMAGE_LIMIT, "/manifests: has 4097 entries, more than 4096");
}

static void reads_a_manifest(void **state)
{
	struct oci_manifest manifest;

	(void)state;
	assert_int_equal(oci_manifest_parse(
				 &arena,
				 text_bytes(MANIFEST(CONFIG_DESC,
						     DESC(OCI "layer.v1.tar", D("1"), "0") "," DESC(
							     OCI "layer.v1.tar+gzip", D("2"),
							     "1") "," DESC(OCI "layer.v1.tar+zstd",
									   D("3"), "99999999999"))),
				 "m", &manifest, NULL),
			 0);
	assert_int_equal(manifest.config.digest.sha256[31], 0xcc);
	assert_int_equal(manifest.config.size, 5);
	assert_int_equal(manifest.layer_count, 3);
	assert_int_equal(manifest.layers[0].media, OCI_MEDIA_TAR);
	assert_int_equal(manifest.layers[1].media, OCI_MEDIA_TAR_GZIP);
	assert_int_equal(manifest.layers[2].media, OCI_MEDIA_TAR_ZSTD);
	assert_int_equal(manifest.layers[2].digest.sha256[0], 0x33);
	assert_true(manifest.layers[2].size == 99999999999);

	assert_int_equal(
		oci_manifest_parse(
			&arena,
			text_bytes("{\"schemaVersion\":2,"
				   "\"mediaType\":\"" DOCKER
				   "distribution.manifest.v2+json\",\"config\":" DESC(
					   DOCKER "container.image.v1+json", D("c"),
					   "5") ",\"layers\":[" DESC(DOCKER
								     "image.rootfs.diff.tar.gzip",
								     D("d"), "6") "]}"),
			"m", &manifest, NULL),
		0);
	assert_int_equal(manifest.layers[0].media, OCI_MEDIA_TAR_GZIP);
}

static void assert_no_manifest(const char *text, int num, enum err_code code, const char *words)
{
	struct oci_manifest manifest = { .layer_count = 99 };
	struct err err = { 0 };

	assert_int_equal(oci_manifest_parse(&arena, text_bytes(text), "m", &manifest, &err), num);
	assert_words(&err, code, words);
	assert_int_equal(manifest.layer_count, 99);
}

static void refuses_layers_by_name(void **state)
{
	(void)state;
	assert_no_manifest(MANIFEST(CONFIG_DESC,
				    LAYER "," DESC(OCI "layer.v1.tar+gzip+encrypted", D("d"), "6")),
			   -EOPNOTSUPP, ERR_UNSUPPORTED,
			   "read 'm': /layers/1/mediaType: '" OCI "layer.v1.tar+gzip+encrypted' is "
			   "an encrypted layer");
	assert_no_manifest(MANIFEST(CONFIG_DESC,
				    DESC(DOCKER "image.rootfs.foreign.diff.tar.gzip", D("d"), "6")),
			   -EOPNOTSUPP, ERR_UNSUPPORTED, "foreign layer");
	assert_no_manifest(MANIFEST(CONFIG_DESC,
				    DESC(OCI "layer.nondistributable.v1.tar", D("d"), "6")),
			   -EOPNOTSUPP, ERR_UNSUPPORTED, "foreign layer");
	assert_no_manifest(MANIFEST(CONFIG_DESC, DESC("text/plain", D("d"), "6")), -EOPNOTSUPP,
			   ERR_UNSUPPORTED, "/layers/0/mediaType: 'text/plain' is not one");
	assert_no_manifest(MANIFEST(CONFIG_DESC, CONFIG_DESC), -EINVAL, ERR_IMAGE,
			   "/layers/0: is not a layer");
	assert_no_manifest(MANIFEST(CONFIG_DESC, "7"), -EINVAL, ERR_IMAGE,
			   "/layers/0: is a number, not an object");
}

static void refuses_what_is_no_image(void **state)
{
	(void)state;
	assert_no_manifest(MANIFEST(LAYER, LAYER), -EINVAL, ERR_IMAGE,
			   "/config: is not the configuration of an image");
	assert_no_manifest(MANIFEST(DESC("application/vnd.oci.empty.v1+json", D("c"), "2"), LAYER),
			   -EOPNOTSUPP, ERR_UNSUPPORTED, "/config/mediaType");
	assert_no_manifest(MANIFEST("null", LAYER), -EINVAL, ERR_IMAGE, "/config: is missing");
	assert_no_manifest(MANIFEST(CONFIG_DESC, ""), -EINVAL, ERR_IMAGE,
			   "/layers: there are none");
	assert_no_manifest("{\"schemaVersion\":1}", -EOPNOTSUPP, ERR_UNSUPPORTED, "is not 2");
}

static void holds_the_limit_of_layers(void **state)
{
	static const char before[] = "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[";
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct oci_manifest manifest;
	struct err err = { 0 };

	(void)state;
	repeat(&buf, before, LAYER, OCI_LAYERS_MAX, "]}");
	assert_int_equal(oci_manifest_parse(&arena, buf_bytes(&buf), "m", &manifest, &err), 0);
	assert_int_equal(manifest.layer_count, OCI_LAYERS_MAX);
	repeat(&buf, before, LAYER, OCI_LAYERS_MAX + 1, "]}");
	assert_int_equal(oci_manifest_parse(&arena, buf_bytes(&buf), "m", &manifest, &err), -E2BIG);
	assert_words(&err, ERR_IMAGE_LIMIT, "/layers: has 129 entries, more than 128");
}

static void reads_a_configuration(void **state)
{
	struct oci_config config;

	(void)state;
	assert_int_equal(
		oci_config_parse(
			&arena,
			text_bytes(CONFIG(
				"{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"a\",\"b\"],\"Env\":[\"A=1\"],"
				"\"WorkingDir\":\"/w\",\"User\":\"u:g\",\"Labels\":{\"x\":\"y\"}}",
				"\"" D("1") "\",\"" D("2") "\"")),
			"c", 2, &config, NULL),
		0);
	assert_int_equal(config.diff_count, 2);
	assert_int_equal(config.diff_ids[1].sha256[0], 0x22);
	assert_string_equal(config.process.entrypoint.at[0], "/e");
	assert_int_equal(config.process.cmd.count, 2);
	assert_string_equal(config.process.env.at[0], "A=1");
	assert_string_equal(config.process.cwd, "/w");
	assert_string_equal(config.process.user, "u:g");

	/* nothing is said, or nothing in Go's words */
	assert_int_equal(
		oci_config_parse(&arena, text_bytes(CONFIG("null", "")), "c", 0, &config, NULL), 0);
	assert_int_equal(config.process.cmd.count, 0);
	assert_null(config.process.cwd);
	assert_int_equal(
		oci_config_parse(&arena,
				 text_bytes(CONFIG("{\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,"
						   "\"WorkingDir\":\"\",\"User\":\"\"}",
						   "")),
				 "c", 0, &config, NULL),
		0);
	assert_null(config.process.user);
}

static void assert_no_config(const char *text, int num, enum err_code code, const char *words)
{
	struct oci_config config = { .diff_count = 99 };
	struct err err = { 0 };

	assert_int_equal(oci_config_parse(&arena, text_bytes(text), "c", 1, &config, &err), num);
	assert_words(&err, code, words);
	assert_int_equal(config.diff_count, 99);
}

static void refuses_configurations_by_place(void **state)
{
	(void)state;
	assert_no_config("{\"os\":\"linux\",\"architecture\":\"arm64\"}", -EOPNOTSUPP,
			 ERR_UNSUPPORTED, "/architecture: is 'arm64'; guests run 'amd64'");
	assert_no_config("{\"os\":\"windows\"}", -EOPNOTSUPP, ERR_UNSUPPORTED, "/os: is 'windows'");
	assert_no_config("{}", -EINVAL, ERR_IMAGE, "/os: is not a string");
	assert_no_config("{\"os\":\"linux\",\"architecture\":\"amd64\"}", -EINVAL, ERR_IMAGE,
			 "/rootfs/type: is not 'layers'");
	assert_no_config(CONFIG("{}", ""), -EINVAL, ERR_IMAGE,
			 "/rootfs/diff_ids: has 0 entries, but the manifest 1 layers");
	assert_no_config(CONFIG("{}", "\"x\""), -EINVAL, ERR_IMAGE, "/rootfs/diff_ids/0");
	assert_no_config(CONFIG("[]", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config: is a list, not an object");
	assert_no_config(CONFIG("{\"Env\":[\"A=1\",\"B\"]}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/Env/1: is not NAME=VALUE");
	assert_no_config(CONFIG("{\"Cmd\":\"x\"}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/Cmd: is a string, not a list");
	assert_no_config(CONFIG("{\"Entrypoint\":[7]}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/Entrypoint/0: is a number");
	assert_no_config(CONFIG("{\"WorkingDir\":\"w\"}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/WorkingDir: is not an absolute path");
	assert_no_config(CONFIG("{\"User\":\"a:b:c\"}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/User: is not USER");
	assert_no_config(CONFIG("{\"User\":7}", "\"" D("1") "\""), -EINVAL, ERR_IMAGE,
			 "/config/User: is a number");
}

static void holds_the_limits_of_a_configuration(void **state)
{
	static const struct {
		const char *key, *item;
		size_t max;
	} lists[] = {
		{ "Cmd", "\"x\"", OCI_ARGS_MAX },
		{ "Entrypoint", "\"x\"", OCI_ARGS_MAX },
		{ "Env", "\"A=\"", OCI_ENV_MAX },
	};
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct oci_config config;
	char before[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		static const char after[] = "]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";

		(void)snprintf(before, sizeof(before),
			       "{\"os\":\"linux\",\"architecture\":"
			       "\"amd64\",\"config\":{\"%s\":[",
			       lists[i].key);
		repeat(&buf, before, lists[i].item, lists[i].max, after);
		assert_int_equal(oci_config_parse(&arena, buf_bytes(&buf), "c", 0, &config, NULL),
				 0);
		repeat(&buf, before, lists[i].item, lists[i].max + 1, after);
		assert_int_equal(oci_config_parse(&arena, buf_bytes(&buf), "c", 0, &config, NULL),
				 -E2BIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(checks_the_version_of_a_layout, teardown),
		cmocka_unit_test_teardown(chooses_the_only_manifest, teardown),
		cmocka_unit_test_teardown(chooses_by_tag, teardown),
		cmocka_unit_test_teardown(chooses_by_platform, teardown),
		cmocka_unit_test_teardown(names_the_place_in_an_index, teardown),
		cmocka_unit_test_teardown(holds_the_limit_of_an_index, teardown),
		cmocka_unit_test_teardown(reads_a_manifest, teardown),
		cmocka_unit_test_teardown(refuses_layers_by_name, teardown),
		cmocka_unit_test_teardown(refuses_what_is_no_image, teardown),
		cmocka_unit_test_teardown(holds_the_limit_of_layers, teardown),
		cmocka_unit_test_teardown(reads_a_configuration, teardown),
		cmocka_unit_test_teardown(refuses_configurations_by_place, teardown),
		cmocka_unit_test_teardown(holds_the_limits_of_a_configuration, teardown),
	};

	return cmocka_run_group_tests_name("oci/image", tests, NULL, NULL);
}
