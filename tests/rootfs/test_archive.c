// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include "rootfs/archive.h"

static int open_bytes(struct bytes bytes, struct rootfs_archive **ret_archive, struct err *err)
{
	int fd;

	write_file(place.fd, "a.tar", bytes);
	fd = openat(place.fd, "a.tar", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return rootfs_archive_open(fd, "a.tar", ret_archive, err);
}

static int read_member(struct rootfs_archive *archive, const char *name, struct buf *ret_bytes,
		       struct err *err)
{
	const struct rootfs_member *member = rootfs_archive_find(archive, name);
	CLEANUP(rootfs_reader_free) struct rootfs_reader *reader = NULL;
	struct bytes piece;
	int r;

	assert_non_null(member);
	r = rootfs_reader_open(archive, member, &reader, err);
	while (r == 0 && (r = rootfs_reader_next(reader, &piece, err)) > 0)
		r = buf_add(ret_bytes, piece.at, piece.len);
	if (r == 0)
		assert_int_equal(rootfs_reader_next(reader, &piece, err), 0);
	return r;
}

static void assert_member(struct rootfs_archive *archive, const char *name, const char *begin,
			  size_t size)
{
	CLEANUP(buf_done) struct buf bytes = { 0 };

	assert_int_equal(read_member(archive, name, &bytes, NULL), 0);
	assert_int_equal(bytes.len, size);
	assert_memory_equal(bytes.at, begin, strlen(begin));
}

static const char *const filters[] = { NULL, "gzip", "zstd", "xz", "bzip2" };

static void reads_members_in_any_order(void **state)
{
	const struct file files[] = {
		{ .path = "dir/", .type = AE_IFDIR },
		{ .path = "./small", .text = "one" },
		{ .path = "dir/big", .text = "big", .size = ROOTFS_KEPT_MAX + 1 },
		{ .path = "empty", .text = "" },
		{ .path = "small", .text = "the last counts" },
		{ .path = "link", .type = AE_IFLNK, .link = "small" },
		{ .path = "hard", .hard = "small" },
		{ .path = "dir/bigger", .text = "bigger", .size = 3 * ROOTFS_KEPT_MAX + 77 },
		{ 0 },
	};
	CLEANUP(buf_done) struct buf tar = { 0 };

	(void)state;
	make_tar(&tar, files);
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = NULL;
		CLEANUP(buf_done) struct buf packed = { 0 };

		pack(&packed, buf_bytes(&tar), filters[i]);
		assert_int_equal(open_bytes(buf_bytes(&packed), &archive, NULL), 0);
		assert_member(archive, "dir/bigger", "bigger", 3 * ROOTFS_KEPT_MAX + 77);
		assert_member(archive, "small", "the last counts", 15);
		assert_member(archive, "dir/big", "big", ROOTFS_KEPT_MAX + 1);
		assert_member(archive, "empty", "", 0);
		assert_member(archive, "dir/big", "big", ROOTFS_KEPT_MAX + 1);
		assert_null(rootfs_archive_find(archive, "link"));
		assert_null(rootfs_archive_find(archive, "hard"));
		assert_null(rootfs_archive_find(archive, "dir/"));
		assert_null(rootfs_archive_find(archive, "./small"));
	}
}

/* More than is kept in memory: the rest is read again. */
static void keeps_no_more_than_the_limit(void **state)
{
	enum { COUNT = ROOTFS_KEPT_TOTAL_MAX / ROOTFS_KEPT_MAX + 2 };
	struct file files[COUNT + 1] = { 0 };
	CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = NULL;
	CLEANUP(buf_done) struct buf tar = { 0 }, packed = { 0 };
	char names[COUNT][16];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "f%d", i);
		files[i] = (struct file){ .path = names[i],
					  .text = names[i],
					  .size = ROOTFS_KEPT_MAX };
	}
	make_tar(&tar, files);
	pack(&packed, buf_bytes(&tar), "zstd");
	assert_int_equal(open_bytes(buf_bytes(&packed), &archive, NULL), 0);
	assert_member(archive, names[0], "f0", ROOTFS_KEPT_MAX);
	assert_member(archive, names[COUNT - 1], names[COUNT - 1], ROOTFS_KEPT_MAX);
}

static void reads_what_gnu_tar_writes_around_data(void **state)
{
	char command[512];
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = NULL;
		char name[256];

		/* long names and extended headers lie between a header and its data */
		(void)snprintf(name, sizeof(name), "d/%0200d", 7);
		(void)snprintf(command, sizeof(command),
			       "cd %s && mkdir -p d && echo text >%s && "
			       "tar -cf a.tar --format=%s d",
			       place.path, name, i ? "posix" : "gnu");
		assert_int_equal(system(command), 0);
		fd = openat(place.fd, "a.tar", O_RDONLY | O_CLOEXEC);
		assert_int_equal(rootfs_archive_open(fd, "a.tar", &archive, NULL), 0);
		assert_member(archive, name, "text\n", 5);
	}
}

static void refuses_what_is_no_tar(void **state)
{
	struct rootfs_archive *archive = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(open_bytes(text_bytes("no tar, but some words"), &archive, &err), -EINVAL);
	assert_words(&err, ERR_IMAGE, "read 'a.tar': ");
	assert_int_equal(open_bytes(text_bytes(""), &archive, &err), -EINVAL);
	assert_int_equal(rootfs_archive_open(open("/", O_RDONLY | O_CLOEXEC), "/", &archive, &err),
			 -EINVAL);
	assert_words(&err, ERR_IMAGE, "read '/': it is not a regular file");
	assert_null(archive);
}

static void notices_archives_that_were_cut(void **state)
{
	const struct file files[] = {
		{ .path = "a", .text = "a" },
		{ .path = "big", .text = "big", .size = 2 * ROOTFS_KEPT_MAX },
		{ 0 },
	};
	CLEANUP(buf_done) struct buf tar = { 0 };

	(void)state;
	make_tar(&tar, files);
	for (size_t i = 0; i < 3; i++) {
		CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = NULL;
		CLEANUP(buf_done) struct buf packed = { 0 }, bytes = { 0 };
		struct err err = { 0 };
		int r;

		pack(&packed, buf_bytes(&tar), filters[i]);
		r = open_bytes((struct bytes){ packed.at, packed.len * 2 / 3 }, &archive, &err);
		if (r == 0)
			r = read_member(archive, "big", &bytes, &err);
		assert_int_equal(r, -EINVAL);
		assert_int_equal(err.code, ERR_IMAGE);
	}
}

static void holds_the_limit_of_members(void **state)
{
	CLEANUP(buf_done) struct buf tar = { 0 }, many = { 0 };
	const struct file files[] = { { .path = "same", .text = "" }, { 0 } };
	struct err err = { 0 };

	(void)state;
	make_tar(&tar, files);
	for (int i = 0; i < ROOTFS_MEMBERS_MAX; i++)
		assert_int_equal(buf_add(&many, tar.at, 512), 0);
	for (int more = 0; more < 2; more++) {
		CLEANUP(rootfs_archive_free) struct rootfs_archive *archive = NULL;

		assert_int_equal(open_bytes(buf_bytes(&many), &archive, &err), more ? -E2BIG : 0);
		assert_int_equal(buf_add(&many, tar.at, 512), 0);
	}
	assert_words(&err, ERR_IMAGE_LIMIT, "it has more than 65536 files");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_members_in_any_order, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(keeps_no_more_than_the_limit, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(reads_what_gnu_tar_writes_around_data, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_tar, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(notices_archives_that_were_cut, place_set_up,
						place_tear_down),
		cmocka_unit_test_setup_teardown(holds_the_limit_of_members, place_set_up,
						place_tear_down),
	};

	return cmocka_run_group_tests_name("rootfs/archive", tests, NULL, NULL);
}
