// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include <sys/wait.h>

static const struct file base[] = {
	{ .path = "./", .type = AE_IFDIR, .mode = 0751 },
	{ .path = "bin/", .type = AE_IFDIR, .mode = 0751, .uid = 7, .gid = 8, .mtime = 1000 },
	{ .path = "bin/sh", .mode = 0755, .text = "shell" },
	{ .path = "bin/ls", .text = "list" },
	{ .path = "etc/", .type = AE_IFDIR },
	{ .path = "etc/passwd", .text = "root" },
	{ .path = "opt/", .type = AE_IFDIR },
	{ .path = "opt/old", .text = "old" },
	{ 0 },
};

static void stacks_layers_of_each_packing(void **state)
{
	static const struct file second[] = {
		{ .path = "./", .type = AE_IFDIR },
		{ .path = "bin/", .type = AE_IFDIR },
		{ .path = "bin/.wh.ls" },
		{ .path = "bin/cat", .text = "cat" },
		{ 0 },
	};
	static const struct file third[] = {
		{ .path = "./", .type = AE_IFDIR, .mode = 0711 },
		{ .path = "opt/", .type = AE_IFDIR },
		{ .path = "opt/.wh..wh..opq" },
		{ .path = "opt/new", .text = "new" },
		{ .path = "dev/", .type = AE_IFDIR },
		{ .path = "etc/", .type = AE_IFDIR },
		{ .path = "etc/passwd", .type = AE_IFCHR },
		{ 0 },
	};
	struct rootfs_image *image;
	struct maker maker;
	struct seen seen;

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, NULL);
	maker_layer(&maker, second, "gzip");
	maker_layer(&maker, third, "zstd");
	maker_finish(&maker, "{\"Entrypoint\":[\"/bin/sh\"],\"Env\":[\"A=1\"],\"User\":\"u\"}");
	image = must_open("oci:layout:v1");
	assert_int_equal(image->layer_count, 3);
	assert_string_equal(image->digest, maker.manifest);
	assert_string_equal(image->process.entrypoint.at[0], "/bin/sh");
	assert_string_equal(image->process.user, "u");
	assert_null(image->bundle);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(image->layers[i].kind, ROOTFS_KEY_DIFF);
		assert_false(image->layers[i].cached);
		assert_true(image->layers[i].hash_start >= image->layers[i].data_blocks);
	}
	seen_open(&seen, image);
	assert_text(&seen, "bin/sh", "shell");
	assert_text(&seen, "bin/cat", "cat");
	assert_absent(&seen, "bin/ls");
	assert_text(&seen, "opt/new", "new");
	assert_absent(&seen, "opt/old");
	assert_absent(&seen, "etc/passwd");
	assert_int_equal(seen_entry(&seen, "bin").mode, 0755);
	assert_int_equal(seen_entry(&seen, ".").mode, 0711);
	seen_close(&seen);
	rootfs_image_free(image);
	maker_close(&maker);
}

static void needs_no_blob_when_warm(void **state)
{
	struct rootfs_image *cold, *warm;
	struct maker maker;
	char path[256];

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, "gzip");
	maker_finish(&maker, NULL);
	cold = must_open("oci:layout");
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", maker.last_layer + 7);
	assert_int_equal(unlinkat(maker.dir_fd, path, 0), 0);
	warm = must_open("oci:layout");
	assert_true(warm->layers[0].cached);
	assert_memory_equal(warm->layers[0].root, cold->layers[0].root, IMAGE_HASH_SIZE);
	assert_string_equal(warm->layers[0].id, cold->layers[0].id);
	assert_int_equal(warm->layers[0].size, cold->layers[0].size);
	assert_int_equal(count_cached(".img"), 1);
	assert_int_equal(count_cached(".json"), 1);
	assert_int_equal(count_cached(""), 2);
	rootfs_image_free(cold);
	rootfs_image_free(warm);
	maker_close(&maker);
}

/* The same layer over two others: what it leaves out comes from below, and makes two images. */
static void takes_what_a_layer_leaves_out_from_below(void **state)
{
	static const struct file other[] = {
		{ .path = "bin", .type = AE_IFDIR, .mode = 0700, .uid = 70 },
		{ .path = "bin/sh", .text = "other shell" },
		{ 0 },
	};
	static const struct file top[] = {
		{ .path = "bin/new", .text = "new" },
		{ .path = "sh", .hard = "bin/sh" },
		{ .path = "none/x", .text = "x" },
		{ 0 },
	};
	const struct file *const lowest[] = { base, other };
	const char *const names[] = { "oci:one", "oci:two" };
	struct rootfs_image *images[2];
	char ids[2 * OCI_DIGEST_TEXT], chain[OCI_DIGEST_TEXT];
	struct oci_digest digest;
	struct maker maker;
	struct seen seen;

	(void)state;
	for (int i = 0; i < 2; i++) {
		maker_open(&maker, place.fd, names[i] + 4);
		maker_layer(&maker, lowest[i], "gzip");
		maker_layer(&maker, top, "gzip");
		maker_finish(&maker, NULL);
		/* the two diff IDs with a blank between, as they are in JSON but for its signs */
		(void)snprintf(ids, sizeof(ids), "%.71s %.71s", (char *)maker.diffs.at + 1,
			       (char *)maker.diffs.at + 75);
		digest = digest_of(text_bytes(ids));
		oci_digest_format(&digest, chain);
		maker_close(&maker);
		images[i] = must_open(names[i]);
		assert_int_equal(images[i]->layers[1].kind, ROOTFS_KEY_CHAIN);
		assert_string_equal(images[i]->layers[1].id, chain);
		seen_open(&seen, images[i]);
		assert_text(&seen, "sh", i == 0 ? "shell" : "other shell");
		assert_text(&seen, "bin/sh", i == 0 ? "shell" : "other shell");
		assert_text(&seen, "bin/new", "new");
		assert_int_equal(seen_entry(&seen, "bin").mode, i == 0 ? 0751 : 0700);
		assert_int_equal(seen_entry(&seen, "bin").uid, i == 0 ? 7 : 70);
		assert_int_equal(seen_entry(&seen, "none").mode, 0755);
		assert_int_equal(seen_entry(&seen, ".").mode, i == 0 ? 0751 : 0755);
		seen_close(&seen);
	}
	assert_string_not_equal(images[0]->layers[1].id, images[1]->layers[1].id);
	assert_memory_not_equal(images[0]->layers[1].root, images[1]->layers[1].root,
				IMAGE_HASH_SIZE);
	rootfs_image_free(images[0]);
	images[0] = must_open(names[0]);
	assert_true(images[0]->layers[1].cached);
	assert_int_equal(count_cached(".img"), 4);
	rootfs_image_free(images[0]);
	rootfs_image_free(images[1]);
}

/* A lowest layer that leaves out parents is not the image it would be above another. */
static void keys_the_lowest_layer_by_its_chain_too(void **state)
{
	static const struct file loose[] = { { .path = "bin/new", .text = "new" }, { 0 } };
	struct rootfs_image *image;
	struct maker maker;
	struct seen seen;

	(void)state;
	make_layout(place.fd, "one", loose, "gzip");
	image = must_open("oci:one");
	assert_int_equal(image->layers[0].kind, ROOTFS_KEY_CHAIN);
	rootfs_image_free(image);
	maker_open(&maker, place.fd, "two");
	maker_layer(&maker, base, "gzip");
	maker_layer(&maker, loose, "gzip");
	maker_finish(&maker, NULL);
	maker_close(&maker);
	image = must_open("oci:two");
	assert_false(image->layers[1].cached);
	seen_open(&seen, image);
	assert_int_equal(seen_entry(&seen, "bin").mode, 0751);
	seen_close(&seen);
	rootfs_image_free(image);
}

static void shows_nothing_below_an_opaque_root(void **state)
{
	static const struct file top[] = {
		{ .path = ".wh..wh..opq" },
		{ .path = "a", .text = "a" },
		{ 0 },
	};
	struct rootfs_image *image;
	struct maker maker;
	struct seen seen;

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, "gzip");
	maker_layer(&maker, top, "gzip");
	maker_finish(&maker, NULL);
	maker_close(&maker);
	for (int i = 0; i < 2; i++) { /* cold, warm */
		image = must_open("oci:layout");
		assert_int_equal(image->layer_count, 1);
		seen_open(&seen, image);
		assert_text(&seen, "a", "a");
		assert_absent(&seen, "bin");
		seen_close(&seen);
		rootfs_image_free(image);
	}
}

static void reads_archives_plain_and_packed(void **state)
{
	static const char *const names[] = {
		"oci-archive:plain.tar",
		"oci-archive:gzip.tar:v1",
		"oci-archive:zstd.tar",
	};
	struct rootfs_image *images[3];
	char command[512];

	(void)state;
	make_layout(place.fd, "layout", base, "gzip");
	(void)snprintf(command, sizeof(command),
		       "cd %s && tar -cf plain.tar -C layout . && "
		       "tar -czf gzip.tar -C layout . && "
		       "tar -cf zstd.tar --zstd -C layout oci-layout index.json blobs",
		       place.path);
	assert_int_equal(WEXITSTATUS(system(command)), 0);
	for (int i = 0; i < 3; i++) {
		place.cache_fd = (close(place.cache_fd), -1);
		assert_int_equal(file_remove_tree(place.fd, "cache", NULL), 0);
		assert_int_equal(mkdirat(place.fd, "cache", 0700), 0);
		place.cache_fd = openat(place.fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		images[i] = must_open(names[i]);
		assert_false(images[i]->layers[0].cached);
		assert_memory_equal(images[i]->layers[0].root, images[0]->layers[0].root,
				    IMAGE_HASH_SIZE);
	}
	for (int i = 0; i < 3; i++)
		rootfs_image_free(images[i]);
}

static void follows_indexes_to_the_limit(void **state)
{
#define INDEX                                                 \
	"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":" \
	"\"application/vnd.oci.image.%s.v1+json\",\"digest\":\"%s\",\"size\":%zu%s}]}"
	static const char tag[] = ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}";
	CLEANUP(buf_done) struct buf text = { 0 };
	struct rootfs_image *image;
	char digest[OCI_DIGEST_TEXT];
	struct maker maker;
	struct err err = { 0 };
	size_t size;

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, "gzip");
	maker_finish(&maker, NULL);
	memcpy(digest, maker.manifest, sizeof(digest));
	size = maker.manifest_size;
	for (int depth = 1; depth <= OCI_INDEX_DEPTH + 1; depth++) {
		/* the tag is the outermost index's alone */
		for (int outermost = 1; outermost >= 0; outermost--) {
			text.len = 0;
			assert_int_equal(buf_addf(&text, INDEX, depth == 1 ? "manifest" : "index",
						  digest, size, outermost ? tag : ""),
					 0);
			if (outermost)
				write_file(maker.dir_fd, "index.json", buf_bytes(&text));
		}
		if (depth <= OCI_INDEX_DEPTH) {
			image = must_open("oci:layout:v1");
			assert_string_equal(image->digest, maker.manifest);
			rootfs_image_free(image);
		}
		maker_blob(&maker, buf_bytes(&text), digest);
		size = text.len;
	}
	assert_int_equal(open_image("oci:layout", &image, &err), -E2BIG);
	assert_words(&err, ERR_IMAGE_LIMIT, "more than 4 indexes");
	maker_close(&maker);
}

static void leaves_nothing_of_a_layer_that_is_refused(void **state)
{
	static const struct file bad[] = { { .path = "../x", .text = "x" }, { 0 } };
	struct rootfs_image *image;
	struct maker maker;
	struct err err = { 0 };

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, "gzip");
	maker_layer(&maker, bad, "gzip");
	maker_finish(&maker, NULL);
	maker_close(&maker);
	assert_int_equal(open_image("oci:layout", &image, &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "'../x'");
	assert_int_equal(count_cached(".img"), 1); /* the layer below is complete */
	assert_int_equal(count_cached(""), 2);
}

/* Eight processes at once; all get the same image, one makes it. */
static void lets_many_ask_at_once(void **state)
{
	static const struct file big[] = {
		{ .path = "bin/x", .text = "x" },
		{ .path = "big", .text = "big", .size = 8 << 20 },
		{ 0 },
	};
	enum { ASKERS = 8 };
	struct rootfs_image *image = NULL;
	int status, made = 0;
	pid_t pids[ASKERS];

	(void)state;
	make_layout(place.fd, "layout", big, "gzip");
	for (int i = 0; i < ASKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			if (open_image("oci:layout", &image, NULL) < 0)
				_exit(9);
			_exit(image->layers[0].cached ? 1 : 2);
		}
	}
	for (int i = 0; i < ASKERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_in_range(WEXITSTATUS(status), 1, 2);
		made += WEXITSTATUS(status) == 2;
	}
	assert_true(made >= 1);
	assert_int_equal(count_cached(""), 2);
}

static void opens_bundles_and_directories(void **state)
{
	static const char config[] =
		"{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\","
		"\"user\":{\"uid\":5,\"gid\":6}},\"root\":{\"path\":\"root\"},\"linux\":"
		"{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
		"{\"type\":\"uts\"},{\"type\":\"mount\"}]}}";
	struct rootfs_image *bundle, *directory;
	struct err err = { 0 };
	struct seen seen;

	(void)state;
	assert_int_equal(file_mkdir_p(place.fd, "b/root", 0755, NULL), 0);
	write_file(place.fd, "b/root/a", text_bytes("a"));
	write_file(place.fd, "b/config.json", text_bytes(config));
	bundle = must_open("bundle:b");
	assert_string_equal(bundle->process.user, "5:6");
	assert_string_equal(bundle->bundle->root_path, "root");
	assert_string_equal(bundle->digest, "");
	assert_int_equal(bundle->layers[0].kind, ROOTFS_KEY_SNAP);
	seen_open(&seen, bundle);
	assert_text(&seen, "a", "a");
	seen_close(&seen);
	directory = must_open("rootfs:b/root");
	assert_true(directory->layers[0].cached);
	assert_int_equal(directory->process.cmd.count, 0);
	rootfs_image_free(bundle);
	rootfs_image_free(directory);
	write_file(place.fd, "b/config.json", text_bytes("{\"ociVersion\":\"1.0.0\",}"));
	assert_int_equal(open_image("bundle:b", &bundle, &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "read 'b/config.json': line 1, column");
	assert_int_equal(open_image("bundle:none", &bundle, &err), -ENOENT);
	assert_words(&err, ERR_IMAGE, "'none'");
	assert_int_equal(open_image("rootfs:b/config.json", &bundle, &err), -ENOTDIR);
	assert_words(&err, ERR_IMAGE, "'b/config.json'");
}

static size_t reports;

static void count_report(void *data, const struct rootfs_report *report)
{
	assert_ptr_equal(data, &place);
	assert_int_equal(report->stage, ROOTFS_STAGE_BUILD);
	assert_int_equal(report->layer_count, 2);
	assert_true(report->done <= report->total);
	reports++;
}

static void reports_progress_now_and_then(void **state)
{
	static const struct file big[] = {
		{ .path = "big", .text = "x", .size = 32 << 20 },
		{ 0 },
	};
	struct rootfs_image_opts opts = {
		.at_fd = place.fd,
		.cache_fd = place.cache_fd,
		.progress = count_report,
		.progress_data = &place,
	};
	const struct oci_ref ref = { .kind = OCI_REF_LAYOUT, .path = "layout" };
	struct rootfs_image *image;
	struct maker maker;

	(void)state;
	maker_open(&maker, place.fd, "layout");
	maker_layer(&maker, base, "gzip");
	maker_layer(&maker, big, NULL);
	maker_finish(&maker, NULL);
	maker_close(&maker);
	reports = 0;
	assert_int_equal(rootfs_image_open(&ref, &opts, &image, NULL), 0);
	assert_in_range(reports, 1, 100); /* of 128 pieces read */
	rootfs_image_free(image);
	reports = 0;
	assert_int_equal(rootfs_image_open(&ref, &opts, &image, NULL), 0);
	assert_int_equal(reports, 0);
	rootfs_image_free(image);
}

/* sixty layers, as many as are stacked in a guest's test too */
static void opens_sixty_layers(void **state)
{
	struct rootfs_image *image;
	struct maker maker;
	struct seen seen;
	char name[16];

	(void)state;
	maker_open(&maker, place.fd, "layout");
	for (int i = 0; i < 60; i++) {
		const struct file files[] = {
			{ .path = name, .text = name },
			{ .path = "top", .text = name },
			{ 0 },
		};

		(void)snprintf(name, sizeof(name), "f%d", i);
		maker_layer(&maker, files, "gzip");
	}
	maker_finish(&maker, NULL);
	maker_close(&maker);
	image = must_open("oci:layout");
	assert_int_equal(image->layer_count, 60);
	seen_open(&seen, image);
	assert_text(&seen, "f0", "f0");
	assert_text(&seen, "f59", "f59");
	assert_text(&seen, "top", "f59");
	seen_close(&seen);
	rootfs_image_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stacks_layers_of_each_packing, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(needs_no_blob_when_warm, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(takes_what_a_layer_leaves_out_from_below,
						place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(keys_the_lowest_layer_by_its_chain_too,
						place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(shows_nothing_below_an_opaque_root, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(reads_archives_plain_and_packed, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(follows_indexes_to_the_limit, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(leaves_nothing_of_a_layer_that_is_refused,
						place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(lets_many_ask_at_once, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(opens_bundles_and_directories, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(reports_progress_now_and_then, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(opens_sixty_layers, place_set_up, place_tear_down),
	};

	return cmocka_run_group_tests_name("rootfs/image", tests, NULL, NULL);
}
