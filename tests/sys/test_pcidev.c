// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macro.h"
#include "sys/file.h"
#include "sys/pcidev.h"

static char dir_path[] = "/tmp/test-pcidev-XXXXXX";
static int dir_fd = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	memcpy(strrchr(dir_path, '-') + 1, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir_path));
	e = (struct err){ 0 };
	return file_open_dir(AT_FDCWD, dir_path, &dir_fd, NULL);
}

static int teardown(void **state)
{
	int tmp_fd;

	(void)state;
	(void)close(dir_fd);
	assert_int_equal(file_open_dir(AT_FDCWD, "/tmp", &tmp_fd, NULL), 0);
	assert_int_equal(file_remove_tree(tmp_fd, dir_path + 5, NULL), 0);
	return close(tmp_fd);
}

static void put(const char *path, const char *data, size_t len)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, data, len), len);
	(void)close(fd);
}

static void reads_a_file_without_the_newline_at_its_end(void **state)
{
	char text[8];

	(void)state;
	put("a", "0x8086\n", 7);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), 0);
	assert_string_equal(text, "0x8086");
	put("a", "x\n\n", 3);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), 0);
	assert_string_equal(text, "x\n");
	put("a", "", 0);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), 0);
	assert_string_equal(text, "");
}

static void takes_what_fits_and_no_more(void **state)
{
	char text[8];

	(void)state;
	put("a", "1234567", 7);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), 0);
	put("a", "12345678", 8);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), -EFBIG);
	put("a", "1\0002", 3);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), -EBADMSG);
	assert_int_equal(pcidev_read(dir_fd, "b", text, sizeof(text), &e), -ENOENT);
	assert_string_equal(e.msg, "open 'b': No such file or directory");
}

static void writes_to_what_is_there_and_makes_nothing(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(pcidev_write(dir_fd, "a", "1", &e), -ENOENT);
	put("a", "", 0);
	assert_int_equal(pcidev_write(dir_fd, "a", "vfio-pci", &e), 0);
	assert_int_equal(pcidev_read(dir_fd, "a", text, sizeof(text), &e), 0);
	assert_string_equal(text, "vfio-pci");
	assert_int_equal(pcidev_write(AT_FDCWD, "/dev/full", "1", &e), -ENOSPC);
	assert_string_equal(e.msg, "write '1' to '/dev/full': No space left on device");
}

static void names_what_a_link_leads_to(void **state)
{
	char name[8], whole[16];

	(void)state;
	assert_int_equal(symlinkat("../../nvme", dir_fd, "driver"), 0);
	assert_int_equal(pcidev_link_name(dir_fd, "driver", name, sizeof(name)), 0);
	assert_string_equal(name, "nvme");
	assert_int_equal(pcidev_link_name(dir_fd, "driver", name, 5), 0);
	assert_int_equal(pcidev_link_name(dir_fd, "driver", name, 4), -ENAMETOOLONG);
	assert_int_equal(pcidev_link(dir_fd, "driver", whole, sizeof(whole)), 0);
	assert_string_equal(whole, "../../nvme");
	assert_int_equal(pcidev_link(dir_fd, "driver", whole, 11), 0);
	assert_int_equal(pcidev_link(dir_fd, "driver", whole, 10), -ENAMETOOLONG);
	assert_int_equal(pcidev_link_name(dir_fd, "none", name, sizeof(name)), -ENOENT);
	put("file", "", 0);
	assert_int_equal(pcidev_link_name(dir_fd, "file", name, sizeof(name)), -EINVAL);
}

static void writes_one_register_of_a_configuration_space(void **state)
{
	uint8_t space[16];

	(void)state;
	put("config", "0123456789", 10);
	assert_int_equal(pcidev_config_write(dir_fd, ".", 4, 0x4241, 2, &e), 0);
	assert_int_equal(pcidev_config_read(dir_fd, ".", space, sizeof(space), &e), 10);
	assert_memory_equal(space, "0123AB6789", 10);
	assert_int_equal(pcidev_config_read(dir_fd, ".", space, 4, &e), 4);
	assert_int_equal(pcidev_config_read(dir_fd, "none", space, 4, &e), -ENOENT);
}

static void gives_the_node_of_a_group(void **state)
{
	struct pcidev_owner owner, to = { getuid(), getgid(), 0640 };

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "vfio", 0700), 0);
	assert_int_equal(pcidev_group_owner(dir_fd, 7, &owner), -ENOENT);
	assert_int_equal(pcidev_group_give(dir_fd, 7, &to), -ENOENT);
	assert_int_equal(pcidev_group_try(dir_fd, 7), 0);
	put("vfio/7", "", 0);
	assert_int_equal(pcidev_group_owner(dir_fd, 7, &owner), 0);
	assert_int_equal(owner.mode, 0600);
	assert_int_equal(pcidev_group_give(dir_fd, 7, &to), 0);
	assert_int_equal(pcidev_group_owner(dir_fd, 7, &owner), 0);
	assert_int_equal(owner.mode, 0640);
	assert_int_equal(owner.uid, getuid());
	assert_int_equal(pcidev_group_try(dir_fd, 7), 0);
}

/* A file that cannot be opened is not taken for a free one. */
static void says_why_a_group_cannot_be_tried(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(dir_fd, "vfio", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, "vfio/8", 0700), 0);
	assert_int_equal(pcidev_group_try(dir_fd, 8), -EISDIR);
}

/* A looker that has its turn until what he looks at is as it was, and then ends. */
static pid_t start_looker(const char *turn)
{
	int pipe_fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = openat(dir_fd, turn, O_RDONLY | O_CLOEXEC);

		if (file_lock(fd, true, 0) < 0 || write(pipe_fds[1], "x", 1) != 1)
			_exit(1);
		(void)usleep(200000);
		_exit(unlinkat(dir_fd, "vfio/8", AT_REMOVEDIR) < 0);
	}
	(void)close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
	(void)close(pipe_fds[0]);
	return pid;
}

static void waits_for_others_that_look(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "vfio", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, "vfio/8", 0700), 0);
	pid = start_looker("vfio");
	assert_int_equal(pcidev_group_try(dir_fd, 8), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	assert_int_equal(mkdirat(dir_fd, "vfio/8", 0700), 0);
	put("sda", "", 0);
	pid = start_looker("sda");
	assert_int_equal(pcidev_disk_try(dir_fd, "sda"), 0);
	assert_int_equal(faccessat(dir_fd, "vfio/8", F_OK, 0), -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Anybody can lock a directory that he can open. */
static void does_not_wait_for_ever_for_its_turn(void **state)
{
	cleanup_close int fd = -1;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "vfio", 0700), 0);
	fd = openat(dir_fd, "vfio", O_RDONLY | O_CLOEXEC);
	assert_int_equal(file_lock(fd, true, 0), 0);
	assert_int_equal(pcidev_group_try(dir_fd, 8), 0);
}

static void takes_a_disk_that_cannot_be_seen_for_a_free_one(void **state)
{
	(void)state;
	assert_int_equal(pcidev_disk_try(dir_fd, "nvme9n9"), 0);
	assert_int_equal(mkdirat(dir_fd, "cciss", 0700), 0);
	put("cciss/c0d0", "", 0);
	assert_int_equal(pcidev_disk_try(dir_fd, "cciss!c0d0"), 0);
}

static void knows_which_interface_has_an_address(void **state)
{
	(void)state;
	assert_int_equal(pcidev_interface_try("no-such-device"), 0);
	assert_int_equal(pcidev_interface_try("a-name-that-no-interface-can-have"), 0);
}

#define WITH_A_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_TREE(reads_a_file_without_the_newline_at_its_end),
		WITH_A_TREE(takes_what_fits_and_no_more),
		WITH_A_TREE(writes_to_what_is_there_and_makes_nothing),
		WITH_A_TREE(names_what_a_link_leads_to),
		WITH_A_TREE(writes_one_register_of_a_configuration_space),
		WITH_A_TREE(gives_the_node_of_a_group),
		WITH_A_TREE(says_why_a_group_cannot_be_tried),
		WITH_A_TREE(waits_for_others_that_look),
		WITH_A_TREE(does_not_wait_for_ever_for_its_turn),
		WITH_A_TREE(takes_a_disk_that_cannot_be_seen_for_a_free_one),
		WITH_A_TREE(knows_which_interface_has_an_address),
	};

	return cmocka_run_group_tests_name("sys/pcidev", tests, NULL, NULL);
}
