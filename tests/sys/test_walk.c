// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "sys/walk.h"

static void touch(const char *path)
{
	int fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int note_path(void *data, const struct walk_entry *entry, struct err *err)
{
	(void)err;
	assert_int_equal(entry->fd >= 0, S_ISDIR(entry->st.st_mode));
	assert_false(entry->is_kernels);
	return strv_add(data, entry->path);
}

static void goes_by_the_bytes_of_names(void **state)
{
	static const char *const want[] = {
		".", "B", "B/z", "a", "a-b", "a/b", "a/b/c", "link", "\xc3\xa9",
	};
	CLEANUP(strv_done) struct strv seen = { 0 };

	(void)state;
	assert_int_equal(mkdirat(folder_fd, "a", 0755), 0);
	assert_int_equal(mkdirat(folder_fd, "a/b", 0755), 0);
	assert_int_equal(mkdirat(folder_fd, "B", 0755), 0);
	assert_int_equal(symlinkat("a", folder_fd, "link"), 0);
	touch("B/z");
	touch("a/b/c");
	touch("a-b");
	touch("\xc3\xa9");
	assert_int_equal(walk_tree(folder_fd, note_path, &seen, NULL), 0);
	assert_int_equal(seen.len, ARRAY_SIZE(want));
	/* a directory's entries follow it at once: 'a/b' comes before 'a-b' */
	assert_string_equal(seen.at[3], "a");
	assert_string_equal(seen.at[4], "a/b");
	assert_string_equal(seen.at[5], "a/b/c");
	assert_string_equal(seen.at[6], "a-b");
	assert_string_equal(seen.at[0], want[0]);
	assert_string_equal(seen.at[2], want[2]);
	assert_string_equal(seen.at[7], want[7]);
	assert_string_equal(seen.at[8], want[8]);
}

static int stop(void *data, const struct walk_entry *entry, struct err *err)
{
	(void)err;
	(*(int *)data)++;
	return strcmp(entry->path, "b") == 0 ? -ECANCELED : 0;
}

static void stops_when_told(void **state)
{
	int count = 0;

	(void)state;
	touch("a");
	touch("b");
	touch("c");
	assert_int_equal(walk_tree(folder_fd, stop, &count, NULL), -ECANCELED);
	assert_int_equal(count, 3);
}

/* Makes a directory in a directory, depth times, and leaves out what is there already. */
static void dig(size_t depth)
{
	int fd = dup(folder_fd), next;

	for (size_t i = 0; i < depth; i++) {
		(void)mkdirat(fd, "d", 0755);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
}

static void holds_the_limits_of_depth_and_length(void **state)
{
	char name[201];
	struct err err = { 0 };
	int count = 0, fd, next;

	(void)state;
	dig(WALK_DEPTH_MAX - 1); /* and the root */
	assert_int_equal(walk_tree(folder_fd, stop, &count, &err), 0);
	assert_int_equal(count, WALK_DEPTH_MAX);
	dig(WALK_DEPTH_MAX);
	assert_int_equal(walk_tree(folder_fd, stop, &count, &err), -ELOOP);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_int_equal(file_remove_tree(folder_fd, "d", NULL), 0);

	memset(name, 'n', 200);
	name[200] = '\0';
	fd = dup(folder_fd);
	for (int i = 0; i < 21; i++) { /* 21 * 201 - 1 bytes */
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
		if (i == 19)
			assert_int_equal(walk_tree(folder_fd, stop, &count, &err), 0);
	}
	close(fd);
	assert_int_equal(walk_tree(folder_fd, stop, &count, &err), -ENAMETOOLONG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
}

static struct walk_entry saved;

static int save_file(void *data, const struct walk_entry *entry, struct err *err)
{
	(void)data;
	(void)err;
	if (strcmp(entry->path, "f") == 0) {
		saved = *entry;
		saved.path = saved.name = "f";
		saved.dir_fd = folder_fd;
	}
	return 0;
}

static void opens_only_what_it_has_shown(void **state)
{
	CLEANUP(buf_done) struct buf target = { 0 };
	struct err err = { 0 };
	int fd = -7;

	(void)state;
	touch("f");
	assert_int_equal(walk_tree(folder_fd, save_file, NULL, NULL), 0);
	assert_int_equal(walk_open(&saved, &fd, NULL), 0);
	close(fd);
	fd = -7;
	assert_int_equal(walk_read_link(&saved, &target, NULL), -ESTALE);
	touch("other");
	assert_int_equal(renameat(folder_fd, "other", folder_fd, "f"), 0);
	assert_int_equal(walk_open(&saved, &fd, &err), -ESTALE);
	assert_non_null(strstr(err.msg, "'f'"));
	assert_int_equal(unlinkat(folder_fd, "f", 0), 0);
	assert_int_equal(walk_open(&saved, &fd, NULL), -ESTALE);
	assert_int_equal(symlinkat("/etc/passwd", folder_fd, "f"), 0);
	assert_int_equal(walk_open(&saved, &fd, NULL), -ESTALE);
	assert_int_equal(walk_read_link(&saved, &target, NULL), 0);
	assert_string_equal((char *)target.at, "/etc/passwd");
	assert_int_equal(unlinkat(folder_fd, "f", 0), 0);
	assert_int_equal(mkfifoat(folder_fd, "f", 0644), 0);
	assert_int_equal(walk_open(&saved, &fd, NULL), -ESTALE);
	assert_int_equal(fd, -7);
}

static void reads_attributes(void **state)
{
	CLEANUP(buf_done) struct buf names = { 0 }, value = { 0 };
	cleanup_close int fd = -1;

	(void)state;
	touch("f");
	fd = openat(folder_fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(walk_xattr_names(fd, &names, NULL), 0);
	assert_int_equal(walk_xattr_value(fd, "user.none", &value, NULL),
			 fsetxattr(fd, "user.a", "b\0c", 3, 0) == 0 ? -ENODATA : -EOPNOTSUPP);
	names.len = 0;
	assert_int_equal(walk_xattr_names(fd, &names, NULL), 0);
	if (names.len == 0)
		skip();
	assert_memory_equal(names.at, "user.a", 7);
	assert_int_equal(walk_xattr_value(fd, "user.a", &value, NULL), 0);
	assert_int_equal(value.len, 3);
	assert_memory_equal(value.at, "b\0c", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_by_the_bytes_of_names, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(stops_when_told, folder_set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(holds_the_limits_of_depth_and_length, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(opens_only_what_it_has_shown, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(reads_attributes, folder_set_up, folder_tear_down),
	};

	return cmocka_run_group_tests_name("sys/walk", tests, NULL, NULL);
}
