// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/tree.h"

/* A root in a folder that has a secret beside it. */
static int root_fd = -1;

static int set_up(void **state)
{
	(void)umask(022);
	assert_int_equal(folder_set_up(state), 0);
	assert_int_equal(mkdirat(folder_fd, "root", 0755), 0);
	root_fd = openat(folder_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(root_fd >= 0);
	assert_int_equal(tree_write(folder_fd, "secret", "outside", 0644, NULL), 0);
	assert_int_equal(mkdirat(root_fd, "etc", 0755), 0);
	return tree_write(root_fd, "/etc/passwd", "inside", 0644, NULL);
}

static int tear_down(void **state)
{
	(void)close(root_fd);
	return folder_tear_down(state);
}

static void expect(const char *path, int want, const char *text)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	assert_int_equal(tree_read(root_fd, path, 100, &buf, NULL), want);
	assert_int_equal(buf.len, strlen(text));
	if (buf.len > 0)
		assert_memory_equal(buf.at, text, buf.len);
}

static void no_link_leads_out(void **state)
{
	char absolute[64];

	(void)state;
	(void)snprintf(absolute, sizeof(absolute), "%s/secret", folder_path);
	assert_int_equal(symlinkat("../../../etc/passwd", root_fd, "up"), 0);
	assert_int_equal(symlinkat(absolute, root_fd, "absolute"), 0);
	assert_int_equal(symlinkat("/etc/passwd", root_fd, "rooted"), 0);
	assert_int_equal(symlinkat("../secret", root_fd, "beside"), 0);
	expect("/etc/passwd", 0, "inside");
	expect("up", 0, "inside");
	expect("rooted", 0, "inside");
	expect("../etc/passwd", 0, "inside");
	expect("absolute", -ENOENT, "");
	expect("beside", -ENOENT, "");
	expect("../secret", -ENOENT, "");
}

static void only_regular_files_are_read(void **state)
{
	(void)state;
	assert_int_equal(mkfifoat(root_fd, "fifo", 0644), 0);
	expect("fifo", -EBADF, "");
	expect("etc", -EBADF, "");
	expect("none", -ENOENT, "");
	assert_int_equal(tree_write(root_fd, "fifo", "x", 0644, NULL), -ENXIO);
	assert_int_equal(tree_write(root_fd, "etc", "x", 0644, NULL), -EISDIR);
}

static void a_link_is_read_where_it_is(void **state)
{
	CLEANUP(buf_done) struct buf target = { 0 };

	(void)state;
	assert_int_equal(symlinkat("../../secret", root_fd, "etc/told"), 0);
	assert_int_equal(tree_read_link(root_fd, "/etc/told", &target, NULL), 0);
	assert_int_equal(target.len, 12);
	assert_memory_equal(target.at, "../../secret", 12);
	assert_int_equal(tree_read_link(root_fd, "etc/passwd", &target, NULL), -EINVAL);
	assert_int_equal(tree_read_link(root_fd, "etc", &target, NULL), -EINVAL);
	assert_int_equal(tree_read_link(root_fd, "etc/none", &target, NULL), -ENOENT);
	/* nor does one on the way lead out */
	assert_int_equal(symlinkat("..", root_fd, "above"), 0);
	assert_int_equal(tree_read_link(root_fd, "above/root/etc/told", &target, NULL), -ENOENT);
	assert_int_equal(target.len, 12);
}

static void a_directory_is_listed_in_order(void **state)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	(void)state;
	assert_int_equal(tree_write(root_fd, "listed/b", "", 0644, NULL), -ENOENT);
	assert_int_equal(mkdirat(root_fd, "listed", 0755), 0);
	assert_int_equal(tree_write(root_fd, "listed/b", "", 0644, NULL), 0);
	assert_int_equal(tree_write(root_fd, "listed/a", "", 0644, NULL), 0);
	assert_int_equal(symlinkat("/listed", root_fd, "list"), 0);
	assert_int_equal(tree_list(root_fd, "list", &names, NULL), 0);
	assert_int_equal(names.len, 2);
	assert_string_equal(names.at[0], "a");
	assert_string_equal(names.at[1], "b");
	assert_int_equal(tree_list(root_fd, "listed/a", &names, NULL), -ENOTDIR);
	assert_int_equal(tree_list(root_fd, "none", &names, NULL), -ENOENT);
}

static void a_file_has_a_limit(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(tree_read(root_fd, "etc/passwd", 5, &buf, NULL), -EFBIG);
	assert_int_equal(buf.len, 0);
	assert_int_equal(tree_read(root_fd, "etc/passwd", 6, &buf, NULL), 0);
	assert_int_equal(buf.len, 6);
}

static void a_file_is_replaced_by_a_shorter_one(void **state)
{
	(void)state;
	assert_int_equal(tree_write(root_fd, "/etc/hosts", "much longer", 0644, NULL), 0);
	assert_int_equal(tree_write(root_fd, "/etc/hosts", "short", 0644, NULL), 0);
	expect("etc/hosts", 0, "short");
}

static void directories_are_made_as_far_as_they_lack(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(tree_make_dirs(root_fd, "/", 0755, NULL), 0);
	assert_int_equal(tree_make_dirs(root_fd, "/a//b/c/", 0755, NULL), 0);
	assert_int_equal(fstatat(root_fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(tree_make_dirs(root_fd, "/a/b/c", 0700, NULL), 0);
	assert_int_equal(symlinkat("/a/b", root_fd, "short"), 0);
	assert_int_equal(tree_make_dirs(root_fd, "/short/d", 0755, NULL), 0);
	assert_int_equal(fstatat(root_fd, "a/b/d", &st, 0), 0);
	assert_int_equal(tree_make_dirs(root_fd, "../../e", 0755, NULL), 0);
	assert_int_equal(fstatat(root_fd, "e", &st, 0), 0);
	assert_int_equal(tree_make_dirs(root_fd, "/etc/passwd/x", 0755, NULL), -ENOTDIR);
	assert_int_equal(symlinkat("/nowhere", root_fd, "dangling"), 0);
	assert_int_equal(tree_make_dirs(root_fd, "/dangling/x", 0755, NULL), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_link_leads_out),
		cmocka_unit_test(only_regular_files_are_read),
		cmocka_unit_test(a_link_is_read_where_it_is),
		cmocka_unit_test(a_directory_is_listed_in_order),
		cmocka_unit_test(a_file_has_a_limit),
		cmocka_unit_test(a_file_is_replaced_by_a_shorter_one),
		cmocka_unit_test(directories_are_made_as_far_as_they_lack),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
