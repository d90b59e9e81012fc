// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include "rootfs/layout.h"

static struct maker maker;

static int setup(void **state)
{
	assert_int_equal(place_set_up(state), 0);
	maker_open(&maker, place.fd, "layout");
	write_file(maker.dir_fd, "index.json", text_bytes("{}"));
	return 0;
}

static int teardown(void **state)
{
	maker_close(&maker);
	return place_tear_down(state);
}

/* As a directory and as an archive. */
static const struct oci_ref refs[] = {
	{ .kind = OCI_REF_LAYOUT, .path = "layout" },
	{ .kind = OCI_REF_ARCHIVE, .path = "plain.tar" },
	{ .kind = OCI_REF_ARCHIVE, .path = "packed.tar" },
};

static void make_archives(void)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "cd %s && rm -f *.tar && "
		       "tar -cf plain.tar -C layout . && tar -czf packed.tar -C layout .",
		       place.path);
	assert_int_equal(system(command), 0);
}

static struct rootfs_layout *must_open_layout(const struct oci_ref *ref)
{
	struct rootfs_layout *layout = NULL;
	struct err err = { 0 };

	if (rootfs_layout_open(ref, place.fd, &layout, &err) < 0)
		fail_msg("%s", err.msg);
	return layout;
}

static struct oci_descriptor describe(struct bytes bytes)
{
	return (struct oci_descriptor){
		.media = OCI_MEDIA_MANIFEST,
		.digest = digest_of(bytes),
		.size = bytes.len,
	};
}

static void reads_what_was_named(void **state)
{
	struct bytes blob = text_bytes("a blob"), empty = text_bytes("");
	CLEANUP(buf_done) struct buf big = { 0 };
	char digest[OCI_DIGEST_TEXT];

	(void)state;
	for (int i = 0; i < 300000; i++)
		assert_int_equal(buf_addf(&big, "%07d\n", i), 0);
	maker_blob(&maker, blob, digest);
	maker_blob(&maker, empty, digest);
	maker_blob(&maker, buf_bytes(&big), digest);
	make_archives();
	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		CLEANUP(rootfs_layout_free)
		struct rootfs_layout *layout = must_open_layout(&refs[i]);
		CLEANUP(buf_done) struct buf text = { 0 };
		struct oci_descriptor descriptor = describe(blob);

		assert_int_equal(rootfs_layout_index(layout, &text, NULL), 0);
		assert_int_equal(text.len, 2);
		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, NULL), 0);
		assert_memory_equal(text.at, "{}a blob", 8);
		descriptor = describe(empty);
		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, NULL), 0);
		assert_int_equal(text.len, 8);
		descriptor = describe(buf_bytes(&big));
		text.len = 0;
		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, NULL), 0);
		assert_int_equal(text.len, big.len);
		assert_memory_equal(text.at, big.at, big.len);
	}
}

static void refuses_other_bytes_than_named(void **state)
{
	struct bytes blob = text_bytes("a blob");
	struct oci_descriptor descriptor = describe(blob);
	char digest[OCI_DIGEST_TEXT], path[256];

	(void)state;
	maker_blob(&maker, blob, digest);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	for (int longer = 0; longer < 2; longer++) {
		write_file(maker.dir_fd, path, text_bytes(longer ? "a blob!" : "a blub"));
		make_archives();
		for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
			CLEANUP(rootfs_layout_free)
			struct rootfs_layout *layout = must_open_layout(&refs[i]);
			CLEANUP(buf_done) struct buf text = { 0 };
			struct err err = { 0 };

			assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, &err),
					 -EBADMSG);
			assert_words(&err, ERR_IMAGE_DIGEST, digest);
			assert_words(&err, ERR_IMAGE_DIGEST,
				     longer ? "it has 7 bytes, not the 6 that were named"
					    : "the digest of its bytes is 'sha256:");
			assert_int_equal(text.len, 0);
		}
	}
}

static void says_what_is_not_there(void **state)
{
	struct oci_descriptor descriptor = describe(text_bytes("nowhere"));
	const struct oci_ref none = { .kind = OCI_REF_LAYOUT, .path = "none" };
	struct rootfs_layout *unopened = NULL;
	struct err err = { 0 };

	(void)state;
	make_archives();
	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		CLEANUP(rootfs_layout_free)
		struct rootfs_layout *layout = must_open_layout(&refs[i]);
		CLEANUP(buf_done) struct buf text = { 0 };

		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, &err), -ENOENT);
		assert_words(&err, ERR_IMAGE, "blobs/sha256/");
		assert_words(&err, ERR_IMAGE, refs[i].path);
	}
	assert_int_equal(unlinkat(maker.dir_fd, "oci-layout", 0), 0);
	make_archives();
	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		assert_int_equal(rootfs_layout_open(&refs[i], place.fd, &unopened, &err), -ENOENT);
		assert_words(&err, ERR_IMAGE, "'oci-layout'");
	}
	assert_int_equal(rootfs_layout_open(&none, place.fd, &unopened, &err), -ENOENT);
	assert_words(&err, ERR_IMAGE, "'none': No such file or directory");
	write_file(maker.dir_fd, "manifest.json", text_bytes("[]"));
	make_archives();
	assert_int_equal(rootfs_layout_open(&refs[1], place.fd, &unopened, &err), -EOPNOTSUPP);
	assert_words(&err, ERR_UNSUPPORTED, "docker archive");
	assert_null(unopened);
}

static void never_leaves_the_directory(void **state)
{
	struct bytes blob = text_bytes("secret");
	struct oci_descriptor descriptor = describe(blob);
	char digest[OCI_DIGEST_TEXT], path[256], target[256];
	const char *const targets[] = { "../../../outside", target, "/proc/self/exe" };

	(void)state;
	maker_blob(&maker, blob, digest);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	(void)snprintf(target, sizeof(target), "%s/outside", place.path);
	write_file(place.fd, "outside", blob);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		CLEANUP(rootfs_layout_free)
		struct rootfs_layout *layout = must_open_layout(&refs[0]);
		CLEANUP(buf_done) struct buf text = { 0 };
		struct err err = { 0 };

		assert_int_equal(unlinkat(maker.dir_fd, path, 0), 0);
		assert_int_equal(symlinkat(targets[i], maker.dir_fd, path), 0);
		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, &err), -EXDEV);
		assert_int_equal(err.code, ERR_IMAGE);
	}
	/* a link inside is fine */
	write_file(maker.dir_fd, "inside", blob);
	assert_int_equal(unlinkat(maker.dir_fd, path, 0), 0);
	assert_int_equal(symlinkat("../../inside", maker.dir_fd, path), 0);
	{
		CLEANUP(rootfs_layout_free)
		struct rootfs_layout *layout = must_open_layout(&refs[0]);
		CLEANUP(buf_done) struct buf text = { 0 };

		assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, NULL), 0);
	}
}

static void waits_for_no_fifo(void **state)
{
	struct oci_descriptor descriptor = describe(text_bytes("x"));
	CLEANUP(rootfs_layout_free) struct rootfs_layout *layout = NULL;
	CLEANUP(buf_done) struct buf text = { 0 };
	const struct oci_ref fifo = { .kind = OCI_REF_ARCHIVE, .path = "fifo" };
	char hex[2 * OCI_DIGEST_BYTES + 1], path[256];
	struct err err = { 0 };

	(void)state;
	oci_digest_hex(&descriptor.digest, hex);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	assert_int_equal(mkfifoat(maker.dir_fd, path, 0644), 0);
	layout = must_open_layout(&refs[0]);
	assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "not a regular file");
	layout = rootfs_layout_free(layout);
	assert_int_equal(mkfifoat(place.fd, "fifo", 0644), 0);
	assert_int_equal(rootfs_layout_open(&fifo, place.fd, &layout, &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "read 'fifo': it is not a regular file");
}

static void holds_the_limit_of_documents(void **state)
{
	CLEANUP(rootfs_layout_free) struct rootfs_layout *layout = must_open_layout(&refs[0]);
	struct oci_descriptor descriptor = { .size = OCI_JSON_MAX + 1 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct err err = { 0 };
	char path[128];

	(void)state;
	assert_int_equal(rootfs_layout_read(layout, &descriptor, &text, &err), -EFBIG);
	(void)snprintf(path, sizeof(path), "%s/layout/index.json", place.path);
	assert_int_equal(truncate(path, OCI_JSON_MAX), 0);
	assert_int_equal(rootfs_layout_index(layout, &text, NULL), 0);
	assert_int_equal(text.len, OCI_JSON_MAX);
	assert_int_equal(truncate(path, OCI_JSON_MAX + 1), 0);
	assert_int_equal(rootfs_layout_index(layout, &text, &err), -EFBIG);
	assert_words(&err, ERR_IMAGE_LIMIT, "'index.json' has more than 4194304");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_what_was_named, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_other_bytes_than_named, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(never_leaves_the_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_no_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_the_limit_of_documents, setup, teardown),
	};

	return cmocka_run_group_tests_name("rootfs/layout", tests, NULL, NULL);
}
