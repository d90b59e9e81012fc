// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include "rootfs/layer.h"
#include "rootfs/layout.h"

/* The sink of these tests: random access into a buffer. */
static int keep(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	struct buf *buf = data;

	(void)err;
	while (buf->len < offset + bytes.len)
		assert_int_equal(buf_add(buf, "", 1), 0);
	memcpy(buf->at + offset, bytes.at, bytes.len);
	return 0;
}

static int from_buf(void *data, uint64_t offset, void *at, size_t len, struct err *err)
{
	const struct buf *buf = data;

	(void)err;
	if (!bytes_has(buf_bytes(buf), offset, len))
		return -EIO;
	memcpy(at, buf->at + offset, len);
	return 0;
}

/* One layer from a blob, into memory. */
static int build(struct bytes blob, enum oci_media media, struct bytes tar,
		 const struct rootfs_limits *limits, struct buf *ret_image, struct err *err)
{
	static const struct rootfs_limits none;
	CLEANUP(rootfs_layout_free) struct rootfs_layout *layout = NULL;
	const struct oci_ref ref = { .kind = OCI_REF_LAYOUT, .path = "layout" };
	struct oci_descriptor descriptor = {
		.media = media,
		.digest = digest_of(blob),
		.size = blob.len,
	};
	struct oci_digest diff_id = digest_of(tar);
	struct image_sink sink = { keep, ret_image };
	struct rootfs_progress progress = { 0 };
	struct image_info info;
	struct maker maker;
	char text[OCI_DIGEST_TEXT];

	(void)file_remove_tree(place.fd, "layout", NULL);
	maker_open(&maker, place.fd, "layout");
	maker_blob(&maker, blob, text);
	maker_close(&maker);
	assert_int_equal(rootfs_layout_open(&ref, place.fd, &layout, NULL), 0);
	return rootfs_layer_build(layout,
				  &(struct rootfs_layer_opts){
					  .descriptor = &descriptor,
					  .diff_id = &diff_id,
					  .limits = limits ? limits : &none,
					  .sink = &sink,
					  .progress = &progress,
				  },
				  &info, err);
}

static int build_files(const struct file *files, const struct rootfs_limits *limits,
		       struct buf *ret_image, struct err *err)
{
	CLEANUP(buf_done) struct buf tar = { 0 };

	make_tar(&tar, files);
	return build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&tar), limits, ret_image, err);
}

static void assert_refused(const struct file *files, int num, enum err_code code, const char *words)
{
	CLEANUP(buf_done) struct buf image = { 0 };
	struct err err = { 0 };

	assert_int_equal(build_files(files, NULL, &image, &err), num);
	assert_words(&err, code, words);
}

/* The image as one that can be looked into. */
struct look {
	struct buf image;
	struct seen seen;
};

static void look_open(struct look *look)
{
	struct image_source source = { from_buf, &look->image };

	memset(&look->seen, 0, sizeof(look->seen));
	assert_int_equal(image_reader_new(&source, &look->seen.readers[0], NULL), 0);
	look->seen.count = 1;
	assert_int_equal(image_stack_new(look->seen.readers, 1, &look->seen.stack, NULL), 0);
	look->seen.lower = image_stack_lower(look->seen.stack);
}

static void look_close(struct look *look)
{
	seen_close(&look->seen);
	buf_done(&look->image);
}

static const struct file some[] = {
	{ .path = "a", .text = "a" },
	{ .path = "b", .type = AE_IFDIR },
	{ 0 },
};

static void makes_the_same_image_of_each_packing(void **state)
{
	static const char *const filters[] = { NULL, "gzip", "zstd" };
	CLEANUP(buf_done) struct buf tar = { 0 };
	struct buf images[3] = { 0 };

	(void)state;
	make_tar(&tar, some);
	for (int i = 0; i < 3; i++) {
		CLEANUP(buf_done) struct buf packed = { 0 };

		pack(&packed, buf_bytes(&tar), filters[i]);
		assert_int_equal(build(buf_bytes(&packed), OCI_MEDIA_TAR + i, buf_bytes(&tar), NULL,
				       &images[i], NULL),
				 0);
		assert_int_equal(images[i].len, images[0].len);
		assert_memory_equal(images[i].at, images[0].at, images[0].len);
	}
	for (int i = 0; i < 3; i++)
		buf_done(&images[i]);
}

/* estargz and pigz write several members, zstd:chunked ends in frames to be skipped */
static void reads_packings_in_pieces(void **state)
{
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4 };
	static const char *const filters[] = { "gzip", "zstd" };
	CLEANUP(buf_done) struct buf tar = { 0 };

	(void)state;
	make_tar(&tar, some);
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf packed = { 0 }, image = { 0 };
		struct err err = { 0 };

		pack(&packed, (struct bytes){ tar.at, 700 }, filters[i]);
		pack(&packed, (struct bytes){ tar.at + 700, tar.len - 700 }, filters[i]);
		if (i == 1)
			assert_int_equal(buf_add(&packed, skippable, sizeof(skippable)), 0);
		if (build(buf_bytes(&packed), OCI_MEDIA_TAR_GZIP + i, buf_bytes(&tar), NULL, &image,
			  &err) < 0)
			fail_msg("%s", err.msg);
	}
}

static void takes_an_empty_layer(void **state)
{
	static const uint8_t zeros[1024];
	CLEANUP(buf_done) struct buf image = { 0 }, packed = { 0 };
	const struct bytes nothing = { zeros, 0 }, end = { zeros, sizeof(zeros) };

	(void)state;
	assert_int_equal(build(nothing, OCI_MEDIA_TAR, nothing, NULL, &image, NULL), 0);
	assert_int_equal(build(end, OCI_MEDIA_TAR, end, NULL, &image, NULL), 0);
	pack(&packed, end, "gzip");
	assert_int_equal(build(buf_bytes(&packed), OCI_MEDIA_TAR_GZIP, end, NULL, &image, NULL), 0);
	packed.len = 0;
	pack(&packed, nothing, "gzip");
	assert_int_equal(build(buf_bytes(&packed), OCI_MEDIA_TAR_GZIP, nothing, NULL, &image, NULL),
			 0);
}

static void keeps_what_a_tar_says(void **state)
{
	char name[300];
	const struct file files[] = {
		{ .path = "dir",
		  .type = AE_IFDIR,
		  .mode = 01777,
		  .uid = 3000000,
		  .gid = 2000000000,
		  .mtime = -5,
		  .mtime_ns = 123456789 },
		{ .path = "dir/suid",
		  .mode = 04755,
		  .text = "s",
		  .xattr_name = "user.x",
		  .xattr_value = "value" },
		{ .path = "dir/link", .type = AE_IFLNK, .link = "../any where" },
		{ .path = "dir/hard", .hard = "dir/suid" },
		{ .path = "dir/fifo", .type = AE_IFIFO, .mode = 0600 },
		{ .path = name, .text = "long" },
		{ .path = "dir/hard2", .hard = name },
		{ 0 },
	};
	struct image_entry entry;
	struct look look = { 0 };
	struct err err = { 0 };

	(void)state;
	(void)snprintf(name, sizeof(name), "dir/%0200d", 7);
	if (build_files(files, NULL, &look.image, &err) < 0)
		fail_msg("%s", err.msg);
	look_open(&look);
	entry = seen_entry(&look.seen, "dir");
	assert_int_equal(entry.mode, 01777);
	assert_int_equal(entry.uid, 3000000);
	assert_int_equal(entry.gid, 2000000000);
	assert_int_equal(entry.mtime_s, -5);
	assert_int_equal(entry.mtime_ns, 123456789);
	entry = seen_entry(&look.seen, "dir/hard");
	assert_int_equal(entry.mode, 04755);
	assert_int_equal(entry.xattr_count, 1);
	assert_string_equal(entry.xattrs[0].name, "user.x");
	assert_int_equal(entry.xattrs[0].value.len, 5);
	assert_memory_equal(entry.xattrs[0].value.at, "value", 5);
	entry = seen_entry(&look.seen, "dir/link");
	assert_int_equal(entry.type, IMAGE_SYMLINK);
	assert_string_equal(entry.link, "../any where");
	assert_int_equal(seen_entry(&look.seen, "dir/fifo").type, IMAGE_FIFO);
	assert_text(&look.seen, "dir/hard2", "long");
	assert_text(&look.seen, name, "long");
	look_close(&look);
}

/*
 * GNU tar's own formats: the ways to write holes, and names too long for a header. These have two
 * kinds of an accent and a byte that is no UTF-8, all of which have to stay as they are.
 */
static void reads_what_gnu_tar_writes(void **state)
{
	static const char *const formats[] = {
		"--format=gnu",
		"--format=posix --sparse-version=0.0",
		"--format=posix --sparse-version=0.1",
		"--format=posix --sparse-version=1.0",
	};
	struct image_entry entry;
	char command[1024], name[160], target[160];

	(void)state;
	(void)snprintf(name, sizeof(name), "e\xcc\x81-\xc3\xa9%0120d", 0);
	(void)snprintf(target, sizeof(target), "e\xcc\x81-\xc3\xa9-\xff%0120d", 0);
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir tree && cd tree && "
		       "truncate -s 100M sparse && echo end >>sparse && "
		       "ln -s '%s' link && touch '%s' && ln '%s' zz",
		       place.path, target, name, name);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		CLEANUP(buf_done) struct buf tar = { 0 };
		struct look look = { 0 };
		struct err err = { 0 };

		(void)snprintf(command, sizeof(command), "cd %s && tar -c -S %s -f t.tar -C tree .",
			       place.path, formats[i]);
		assert_int_equal(system(command), 0);
		assert_int_equal(file_read(place.fd, "t.tar", 1 << 20, &tar, NULL), 0);
		if (build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &look.image,
			  &err) < 0)
			fail_msg("%s: %s", formats[i], err.msg);
		assert_true(look.image.len < 1 << 20);
		look_open(&look);
		entry = seen_entry(&look.seen, "sparse");
		assert_int_equal(entry.size, (100 << 20) + 4);
		entry = seen_entry(&look.seen, "link");
		assert_string_equal(entry.link, target);
		assert_text(&look.seen, name, "");
		assert_text(&look.seen, "zz", "");
		look_close(&look);
	}
}

static void refuses_what_leads_out(void **state)
{
	(void)state;
	assert_refused((struct file[]){ { .path = "../x", .text = "x" }, { 0 } }, -EINVAL,
		       ERR_IMAGE, "'../x'");
	assert_refused((struct file[]){ { .path = "a/../../x", .text = "x" }, { 0 } }, -EINVAL,
		       ERR_IMAGE, "'a/../../x'");
	assert_refused((struct file[]){ { .path = "l", .type = AE_IFLNK, .link = "/etc" },
					{ .path = "l/passwd", .text = "x" },
					{ 0 } },
		       -EINVAL, ERR_IMAGE, "'l/passwd'");
	assert_refused((struct file[]){ { .path = "h", .hard = "../../etc/passwd" }, { 0 } },
		       -EINVAL, ERR_IMAGE, "'../../etc/passwd'");
	assert_refused((struct file[]){ { .path = "h", .hard = "nothing" }, { 0 } }, -EINVAL,
		       ERR_IMAGE, "nothing");
}

static void refuses_devices_but_whiteouts(void **state)
{
	CLEANUP(buf_done) struct buf image = { 0 };

	(void)state;
	assert_refused(
		(struct file[]){ { .path = "null", .type = AE_IFCHR, .major = 1, .minor = 3 },
				 { 0 } },
		-EINVAL, ERR_IMAGE, "'null'");
	assert_refused((struct file[]){ { .path = "sda", .type = AE_IFBLK, .major = 8 }, { 0 } },
		       -EINVAL, ERR_IMAGE, "'sda'");
	assert_int_equal(build_files((struct file[]){ { .path = "gone", .type = AE_IFCHR }, { 0 } },
				     NULL, &image, NULL),
			 0);
}

static void checks_both_digests(void **state)
{
	CLEANUP(buf_done) struct buf tar = { 0 }, other = { 0 }, image = { 0 }, packed = { 0 };
	struct err err = { 0 };

	(void)state;
	make_tar(&tar, some);
	assert_int_equal(buf_add(&other, tar.at, tar.len), 0);
	/* a byte far behind the tar's end is not seen by a reader of tars, but by the digest */
	while (other.len < 1 << 20)
		assert_int_equal(buf_add(&other, "", 1), 0);
	assert_int_equal(buf_add(&other, "x", 1), 0);
	assert_int_equal(build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&other), NULL, &image,
			       &err),
			 -EBADMSG);
	assert_words(&err, ERR_IMAGE_DIGEST, "the digest of its tar is 'sha256:");
	assert_words(&err, ERR_IMAGE_DIGEST, "configuration has 'sha256:");
	assert_int_equal(build(buf_bytes(&other), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &image,
			       &err),
			 -EBADMSG);
	image.len = 0;
	assert_int_equal(
		build(buf_bytes(&other), OCI_MEDIA_TAR, buf_bytes(&other), NULL, &image, &err), 0);
	/* not what it says it is packed by: then it is no tar, or another one */
	pack(&packed, buf_bytes(&tar), "gzip");
	assert_true(build(buf_bytes(&packed), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &image, &err) <
		    0);
	assert_true(build(buf_bytes(&packed), OCI_MEDIA_TAR_ZSTD, buf_bytes(&tar), NULL, &image,
			  &err) < 0);
}

static void refuses_broken_packings(void **state)
{
	static const char *const filters[] = { "gzip", "zstd" };
	CLEANUP(buf_done) struct buf tar = { 0 };

	(void)state;
	make_tar(&tar, some);
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf packed = { 0 }, image = { 0 };
		struct err err = { 0 };

		pack(&packed, buf_bytes(&tar), filters[i]);
		assert_true(build((struct bytes){ packed.at, packed.len - 9 },
				  OCI_MEDIA_TAR_GZIP + i, buf_bytes(&tar), NULL, &image, &err) < 0);
		assert_true(err.code == ERR_IMAGE || err.code == ERR_IMAGE_DIGEST);
		packed.at[packed.len / 2] ^= 0x55;
		assert_true(build(buf_bytes(&packed), OCI_MEDIA_TAR_GZIP + i, buf_bytes(&tar), NULL,
				  &image, &err) < 0);
	}
}

static void refuses_broken_tars(void **state)
{
	CLEANUP(buf_done) struct buf tar = { 0 }, image = { 0 };
	struct err err = { 0 };

	(void)state;
	make_tar(&tar, some);
	assert_int_equal(build((struct bytes){ tar.at, 512 }, OCI_MEDIA_TAR,
			       (struct bytes){ tar.at, 512 }, NULL, &image, &err),
			 -EINVAL);
	assert_words(&err, ERR_IMAGE, "read '");
	image.len = 0;
	tar.at[600] = 'A'; /* contents do not matter to a tar */
	assert_int_equal(build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &image, &err),
			 0);
	tar.at[1030] ^= 1; /* the second header's name, and so its checksum */
	assert_int_equal(build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &image, &err),
			 -EINVAL);
	image.len = 0;
	assert_int_equal(build(text_bytes("not a tar at all"), OCI_MEDIA_TAR,
			       text_bytes("not a tar at all"), NULL, &image, &err),
			 -EINVAL);
}

static void add_header(struct buf *tar, const char *name, char type, size_t size)
{
	char header[512] = { 0 };
	unsigned int sum = 0;

	(void)snprintf(header, 100, "%s", name);
	(void)snprintf(header + 100, 8, "0000644");
	(void)snprintf(header + 108, 8, "0000000");
	(void)snprintf(header + 116, 8, "0000000");
	(void)snprintf(header + 124, 12, "%011o", (unsigned int)size & 07777777);
	(void)snprintf(header + 136, 12, "00000000000");
	memset(header + 148, ' ', 8);
	header[156] = type;
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += (unsigned char)header[i];
	(void)snprintf(header + 148, 8, "%06o", sum);
	assert_int_equal(buf_add(tar, header, sizeof(header)), 0);
}

/* libarchive goes on after it, without the attributes that came behind. */
static void refuses_malformed_attributes(void **state)
{
	static const char *const records[] = {
		"30 mtime=1\n",
		"x\n",
		"9 mtime=1\n",
		"12 mtime=12\n",
	};
	static const char zeros[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		CLEANUP(buf_done) struct buf tar = { 0 }, image = { 0 };
		struct err err = { 0 };
		int r;

		add_header(&tar, "pax", 'x', strlen(records[i]));
		assert_int_equal(buf_add(&tar, records[i], strlen(records[i])), 0);
		assert_int_equal(buf_add(&tar, zeros, 512 - strlen(records[i])), 0);
		add_header(&tar, "file", '0', 0);
		assert_int_equal(buf_add(&tar, zeros, 1024), 0);
		r = build(buf_bytes(&tar), OCI_MEDIA_TAR, buf_bytes(&tar), NULL, &image, &err);
		assert_int_equal(r, i + 1 < ARRAY_SIZE(records) ? -EINVAL : 0);
		if (r < 0)
			assert_words(&err, ERR_IMAGE, "alformed");
	}
}

static void holds_its_limits(void **state)
{
	const struct file big[] = { { .path = "big", .text = "x", .size = 1 << 20 }, { 0 } };
	struct rootfs_limits limits = { 0 };
	CLEANUP(buf_done) struct buf image = { 0 }, tar = { 0 };
	struct err err = { 0 };

	(void)state;
	make_tar(&tar, some);
	limits.max_tar_bytes = tar.len;
	assert_int_equal(build_files(some, &limits, &image, &err), 0);
	limits.max_tar_bytes = tar.len - 1;
	assert_int_equal(build_files(some, &limits, &image, &err), -EFBIG);
	assert_words(&err, ERR_IMAGE_LIMIT, "its tar has more than");

	limits = (struct rootfs_limits){ .image.max_entries = 3 }; /* the root is one */
	assert_int_equal(build_files(some, &limits, &image, &err), 0);
	limits.image.max_entries = 2;
	assert_int_equal(build_files(some, &limits, &image, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);

	/* zeros are a hole, and holes are free */
	limits = (struct rootfs_limits){ .image.max_stored_bytes = 64 << 10 };
	assert_int_equal(build_files(big, &limits, &image, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_the_same_image_of_each_packing, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(reads_packings_in_pieces, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(takes_an_empty_layer, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(keeps_what_a_tar_says, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(reads_what_gnu_tar_writes, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_leads_out, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_devices_but_whiteouts, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(checks_both_digests, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_broken_packings, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_broken_tars, place_set_up, place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_malformed_attributes, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(holds_its_limits, place_set_up, place_tear_down),
	};

	return cmocka_run_group_tests_name("rootfs/layer", tests, NULL, NULL);
}
