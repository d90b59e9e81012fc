// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct bytes text(const char *s)
{
	return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

static void put(const char *name, const char *content)
{
	int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text(content), NULL), 0);
	(void)close(fd);
}

static unsigned int count_entries(void)
{
	DIR *dir = opendir(folder_path);
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count - 2;
}

static void reads_up_to_the_limit(void **state)
{
	CLEANUP(buf_done) struct buf b = { 0 };
	struct err e = { 0 };

	(void)state;
	put("ten", "0123456789");
	assert_int_equal(file_read(folder_fd, "ten", 10, &b, &e), 0);
	assert_int_equal(file_read(folder_fd, "ten", 9, &b, &e), -EFBIG);
	assert_string_equal(e.msg, "read 'ten': more than 9 bytes");
	assert_int_equal(b.len, 10);
	assert_int_equal(file_read(folder_fd, "ten", SIZE_MAX, &b, &e), 0);
	assert_int_equal(b.len, 20);
	assert_memory_equal(b.at, "01234567890123456789", 20);
	put("none", "");
	assert_int_equal(file_read(folder_fd, "none", 0, &b, &e), 0);
	assert_int_equal(file_read(folder_fd, "absent", 9, &b, &e), -ENOENT);
	assert_string_equal(e.msg, "open 'absent': No such file or directory");
	assert_int_equal(file_read(folder_fd, ".", 9, &b, &e), -EISDIR);
	assert_int_equal(b.len, 20);
}

static void reads_files_that_do_not_know_their_size(void **state)
{
	CLEANUP(buf_done) struct buf b = { 0 };

	(void)state;
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &b, NULL), 0);
	assert_memory_equal(b.at, "Name:", 5);
}

static void reads_a_file_of_many_chunks(void **state)
{
	CLEANUP(buf_done) struct buf big = { 0 };
	CLEANUP(buf_done) struct buf b = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 50000; i++)
		assert_int_equal(buf_add(&big, &i, sizeof(i)), 0);
	assert_int_equal(file_write_atomic(folder_fd, "big", buf_bytes(&big), 0600, NULL), 0);
	assert_int_equal(file_read(folder_fd, "big", big.len - 1, &b, NULL), -EFBIG);
	assert_int_equal(file_read(folder_fd, "big", big.len, &b, NULL), 0);
	assert_int_equal(b.len, big.len);
	assert_memory_equal(b.at, big.at, big.len);
}

static void replaces_a_file_whole(void **state)
{
	struct stat st;
	mode_t old = umask(077);
	CLEANUP(buf_done) struct buf b = { 0 };

	(void)state;
	put("a", "before");
	assert_int_equal(file_write_atomic(folder_fd, "a", text("after"), 0644, NULL), 0);
	(void)umask(old);
	assert_int_equal(fstatat(folder_fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(file_read(folder_fd, "a", 9, &b, NULL), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.at, "after", 5);
	assert_int_equal(count_entries(), 1);
}

static void keeps_the_old_file_when_it_cannot_write(void **state)
{
	struct rlimit small = { 4096, RLIM_INFINITY }, old;
	CLEANUP(buf_done) struct buf b = { 0 };
	struct err e = { 0 };
	uint8_t big[8192] = { 0 };
	int r;

	(void)state;
	put("a", "before");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = file_write_atomic(folder_fd, "a", (struct bytes){ big, sizeof(big) }, 0644, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_string_equal(e.msg, "write 'a': File too large");
	assert_int_equal(file_read(folder_fd, "a", 9, &b, NULL), 0);
	assert_memory_equal(b.at, "before", 6);
	assert_int_equal(count_entries(), 1);

	assert_int_equal(mkdirat(folder_fd, "d", 0700), 0);
	assert_int_equal(file_write_atomic(folder_fd, "d", text("x"), 0644, &e), -EISDIR);
	assert_int_equal(file_write_atomic(folder_fd, "d/x", text("x"), 0644, &e), -EINVAL);
	assert_int_equal(file_write_atomic(folder_fd, "..", text("x"), 0644, &e), -EINVAL);
	assert_int_equal(file_write_atomic(folder_fd, "", text("x"), 0644, &e), -EINVAL);
	assert_int_equal(count_entries(), 2);
}

static void on_signal(int number)
{
	(void)number;
}

static void writes_all_through_a_slow_pipe(void **state)
{
	const struct sigaction noisy = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { 0 };
	static uint8_t data[1 << 20];
	int ends[2], status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		size_t sum = 0;
		uint8_t piece[3000];
		ssize_t n;

		(void)close(ends[1]);
		while ((n = read(ends[0], piece, sizeof(piece))) > 0)
			sum += (size_t)n;
		_exit(sum == sizeof(data) ? 0 : 1);
	}
	(void)close(ends[0]);
	assert_int_equal(sigaction(SIGALRM, &noisy, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(file_write_all(ends[1], (struct bytes){ data, sizeof(data) }, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	(void)close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void says_when_nobody_reads(void **state)
{
	struct err e = { 0 };
	int ends[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)close(ends[0]);
	assert_int_equal(file_write_all(ends[1], text("abc"), &e), -EPIPE);
	assert_string_equal(e.msg, "write 3 bytes: Broken pipe");
	(void)close(ends[1]);
}

static void makes_what_is_missing_above(void **state)
{
	struct err e = { 0 };
	char path[64];
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdir_p(folder_fd, "a//b/c/", 0700, &e), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "a/b/c", 0700, &e), 0);
	assert_int_equal(fstatat(folder_fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(symlinkat("a/b", folder_fd, "link"), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "link/d", 0700, &e), 0);
	assert_int_equal(fstatat(folder_fd, "a/b/d", &st, 0), 0);
	put("f", "");
	assert_int_equal(file_mkdir_p(folder_fd, "f/x", 0700, &e), -ENOTDIR);
	assert_string_equal(e.msg, "make directory 'f': Not a directory");
	assert_int_equal(file_mkdir_p(folder_fd, "", 0700, &e), -ENOENT);
	(void)snprintf(path, sizeof(path), "%s/x/y", folder_path);
	assert_int_equal(file_mkdir_p(-1, path, 0700, &e), 0);
	assert_int_equal(file_mkdir_p(-1, "/", 0700, &e), 0);
}

static void removes_a_tree_but_not_what_links_lead_to(void **state)
{
	struct err e = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdir_p(folder_fd, "kept", 0700, &e), 0);
	put("kept/file", "x");
	assert_int_equal(file_mkdir_p(folder_fd, "gone/deep/deeper", 0700, &e), 0);
	assert_int_equal(symlinkat("../../kept", folder_fd, "gone/deep/link"), 0);
	put("gone/deep/file", "x");
	for (int i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "gone/file-%d", i);
		put(name, "");
	}
	assert_int_equal(file_remove_tree(folder_fd, "gone", &e), 0);
	assert_int_equal(fstatat(folder_fd, "gone", &st, 0), -1);
	assert_int_equal(fstatat(folder_fd, "kept/file", &st, 0), 0);

	assert_int_equal(symlinkat("kept", folder_fd, "link"), 0);
	assert_int_equal(file_remove_tree(folder_fd, "link", &e), 0);
	assert_int_equal(fstatat(folder_fd, "link", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(folder_fd, "kept/file", &st, 0), 0);

	assert_int_equal(file_remove_tree(folder_fd, "absent", &e), 0);
	assert_int_equal(file_remove_tree(folder_fd, "kept/file", &e), -EINVAL);
	assert_int_equal(file_remove_tree(folder_fd, "..", &e), -EINVAL);
	assert_int_equal(file_remove_tree(folder_fd, ".", &e), -EINVAL);
	assert_int_equal(file_remove_tree(folder_fd, "", &e), -EINVAL);
}

/* A chain of directories "d" below `name`, name counted; they are entered one by one. */
static void make_chain(const char *name, int levels)
{
	int fd = dup(folder_fd);

	for (int i = 0; i < levels; i++) {
		int below;

		assert_int_equal(mkdirat(fd, i ? "d" : name, 0700), 0);
		below = openat(fd, i ? "d" : name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		(void)close(fd);
		fd = below;
	}
	(void)close(fd);
}

static void removes_trees_down_to_a_depth(void **state)
{
	struct err e = { 0 };

	(void)state;
	make_chain("chain", FILE_TREE_MAX_DEPTH);
	assert_int_equal(file_remove_tree(folder_fd, "chain", &e), 0);
	make_chain("chain", FILE_TREE_MAX_DEPTH + 1);
	assert_int_equal(file_remove_tree(folder_fd, "chain", &e), -ELOOP);
	assert_string_equal(e.msg,
			    "remove 'chain': remove 'd' in it: Too many levels of symbolic links");
	/* Cut in two, it can go. */
	assert_int_equal(renameat(folder_fd, "chain/d", folder_fd, "rest"), 0);
	assert_int_equal(file_remove_tree(folder_fd, "rest", &e), 0);
}

static void removes_the_rest_when_one_entry_stays(void **state)
{
	struct err e = { 0 };
	struct stat st;
	int status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(file_mkdir_p(folder_fd, "t/locked", 0755, &e), 0);
	put("t/locked/stays", "");
	put("t/a", "");
	put("t/z", "");
	assert_int_equal(fchmodat(folder_fd, "t/locked", 0555, 0), 0);
	assert_int_equal(fchmodat(folder_fd, "t", 0777, 0), 0);
	assert_int_equal(fchmodat(folder_fd, ".", 0777, 0), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Root may remove anything: as somebody else. */
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(9);
		if (file_remove_tree(folder_fd, "t", &e) != -EACCES)
			_exit(1);
		_exit(strstr(e.msg, "remove 'stays' in it: Permission denied") ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(fstatat(folder_fd, "t/locked/stays", &st, 0), 0);
	assert_int_equal(fstatat(folder_fd, "t/a", &st, 0), -1);
	assert_int_equal(fstatat(folder_fd, "t/z", &st, 0), -1);
	assert_int_equal(fchmodat(folder_fd, "t/locked", 0755, 0), 0);
}

static void opens_nothing_outside(void **state)
{
	int fd = -1, below_fd = -1;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(file_mkdir_p(folder_fd, "root/sub", 0700, &e), 0);
	put("root/sub/file", "x");
	put("outside", "x");
	assert_int_equal(symlinkat("../outside", folder_fd, "root/up"), 0);
	assert_int_equal(symlinkat("/etc/passwd", folder_fd, "root/absolute"), 0);
	assert_int_equal(symlinkat("sub/file", folder_fd, "root/fine"), 0);
	assert_int_equal(symlinkat("loop", folder_fd, "root/loop"), 0);
	assert_int_equal(file_open_dir(folder_fd, "root", &below_fd, &e), 0);

	assert_int_equal(file_open_beneath(below_fd, "up", O_RDONLY, &fd, &e), -EXDEV);
	assert_int_equal(file_open_beneath(below_fd, "absolute", O_RDONLY, &fd, &e), -EXDEV);
	assert_int_equal(file_open_beneath(below_fd, "../outside", O_RDONLY, &fd, &e), -EXDEV);
	assert_int_equal(file_open_beneath(below_fd, "/etc/passwd", O_RDONLY, &fd, &e), -EXDEV);
	assert_int_equal(file_open_beneath(below_fd, "loop", O_RDONLY, &fd, &e), -ELOOP);
	assert_int_equal(file_open_beneath(below_fd, "absent", O_RDONLY, &fd, &e), -ENOENT);
	assert_int_equal(fd, -1);
	assert_int_equal(file_open_beneath(below_fd, "sub/../fine", O_RDONLY, &fd, &e), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	(void)close(fd);
	assert_int_equal(file_open_beneath(below_fd, "new", O_WRONLY | O_CREAT, &fd, &e), 0);
	(void)close(fd);
	(void)close(below_fd);
}

static void seals_a_copy(void **state)
{
	static uint8_t data[300000];
	uint8_t seen[16];
	int from_fd, fd = -1;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	assert_int_equal(file_write_atomic(folder_fd, "k", (struct bytes){ data, sizeof(data) },
					   0600, NULL),
			 0);
	assert_int_equal(file_open_beneath(folder_fd, "k", O_RDWR, &from_fd, NULL), 0);
	assert_int_equal(lseek(from_fd, 100, SEEK_SET), 100);
	assert_int_equal(file_memfd_sealed(from_fd, "kernel", &fd, NULL), 0);
	assert_int_equal(lseek(from_fd, 0, SEEK_CUR), 100);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, sizeof(data));
	assert_int_equal(read(fd, seen, sizeof(seen)), sizeof(seen));
	assert_memory_equal(seen, data, sizeof(seen));
	assert_int_equal(pread(fd, seen, sizeof(seen), sizeof(data) - 16), sizeof(seen));
	assert_memory_equal(seen, data + sizeof(data) - 16, sizeof(seen));

	assert_int_equal(pwrite(from_fd, "changed", 7, 0), 7);
	assert_int_equal(pread(fd, seen, sizeof(seen), 0), sizeof(seen));
	assert_memory_equal(seen, data, sizeof(seen));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	(void)close(fd);
	(void)close(from_fd);
}

static void waits_for_a_lock_as_long_as_it_is_told(void **state)
{
	int one_fd, other_fd, status = 0;
	pid_t child;

	(void)state;
	put("lock", "");
	assert_int_equal(file_open_beneath(folder_fd, "lock", O_RDONLY, &one_fd, NULL), 0);
	assert_int_equal(file_open_beneath(folder_fd, "lock", O_RDONLY, &other_fd, NULL), 0);
	assert_int_equal(file_lock(one_fd, false, 0), 0);
	assert_int_equal(file_lock(other_fd, false, 0), 0);
	assert_int_equal(file_lock(other_fd, true, 0), -EWOULDBLOCK);
	assert_int_equal(file_lock(one_fd, true, 0), 0); /* the other has lost its own */
	assert_int_equal(file_lock(other_fd, true, 50), -EWOULDBLOCK);
	(void)close(other_fd);

	child = fork(); /* holds the lock too: it is the same open file */
	assert_true(child >= 0);
	if (child == 0) {
		(void)poll(NULL, 0, 200);
		_exit(0);
	}
	(void)close(one_fd);
	assert_int_equal(file_open_beneath(folder_fd, "lock", O_RDONLY, &other_fd, NULL), 0);
	assert_int_equal(file_lock(other_fd, true, 0), -EWOULDBLOCK);
	assert_int_equal(file_lock(other_fd, true, 10000), 0);
	(void)close(other_fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(file_lock(-1, true, 0), -EBADF);
}

static void opens_a_private_directory_of_the_users_own_only(void **state)
{
	struct err e = { 0 };
	uid_t uid = geteuid();
	struct stat st;
	int fd = -1;

	(void)state;
	assert_int_equal(file_open_private_dir(folder_fd, "new", uid, &fd, &e), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void)close(fd);
	assert_int_equal(file_open_private_dir(folder_fd, "new", uid, &fd, &e), 0);
	(void)close(fd);
	fd = -1;
	assert_int_equal(file_open_private_dir(folder_fd, "new", uid + 1, &fd, &e), -EPERM);
	assert_non_null(strstr(e.msg, "owned by user"));
	assert_int_equal(fchmodat(folder_fd, "new", 0710, 0), 0);
	assert_int_equal(file_open_private_dir(folder_fd, "new", uid, &fd, &e), -EPERM);
	assert_string_equal(e.msg, "open directory 'new': its mode is 0710; it must be 0700");
	assert_int_equal(fchmodat(folder_fd, "new", 0700, 0), 0);
	assert_int_equal(symlinkat("new", folder_fd, "link"), 0);
	assert_int_equal(file_open_private_dir(folder_fd, "link", uid, &fd, &e), -ELOOP);
	assert_string_equal(e.msg, "open directory 'link': it is a link");
	assert_int_equal(symlinkat("absent", folder_fd, "dangling"), 0);
	assert_int_equal(file_open_private_dir(folder_fd, "dangling", uid, &fd, &e), -ELOOP);
	put("file", "");
	assert_int_equal(file_open_private_dir(folder_fd, "file", uid, &fd, &e), -ENOTDIR);
	assert_int_equal(fd, -1);
}

static void lists_names_in_order(void **state)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	struct err e = { 0 };

	(void)state;
	put("b", "");
	put(".a", "");
	assert_int_equal(mkdirat(folder_fd, "c", 0700), 0);
	assert_int_equal(strv_add(&names, "zero"), 0);
	assert_int_equal(file_list(folder_fd, ".", &names, &e), 0);
	assert_int_equal(names.len, 4);
	assert_string_equal(names.at[0], "zero");
	assert_string_equal(names.at[1], ".a");
	assert_string_equal(names.at[2], "b");
	assert_string_equal(names.at[3], "c");
	assert_int_equal(file_list(folder_fd, "c", &names, &e), 0);
	assert_int_equal(names.len, 4);
	assert_int_equal(file_list(folder_fd, "b", &names, &e), -ENOTDIR);
	assert_int_equal(file_list(folder_fd, "x", &names, &e), -ENOENT);
}

static void gives_a_name_to_one_owner(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(file_claim(folder_fd, "90000", "pod-a"), 0);
	assert_int_equal(file_claim(folder_fd, "90000", "pod-b"), -EEXIST);
	assert_int_equal(file_claim(folder_fd, "90000", "pod-a"), -EEXIST);
	assert_int_equal(file_unclaim(folder_fd, "90000", "pod-b"), 0);
	assert_int_equal(file_unclaim(folder_fd, "90000", "pod"), 0);
	assert_int_equal(fstatat(folder_fd, "90000", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(file_unclaim(folder_fd, "90000", "pod-a"), 0);
	assert_int_equal(fstatat(folder_fd, "90000", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(file_unclaim(folder_fd, "90000", "pod-a"), 0);
	put("90001", "");
	assert_int_equal(file_unclaim(folder_fd, "90001", "pod-a"), 0);
	assert_int_equal(fstatat(folder_fd, "90001", &st, 0), 0);
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, folder_set_up, folder_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_DIRECTORY(reads_up_to_the_limit),
		IN_A_DIRECTORY(reads_files_that_do_not_know_their_size),
		IN_A_DIRECTORY(reads_a_file_of_many_chunks),
		IN_A_DIRECTORY(replaces_a_file_whole),
		IN_A_DIRECTORY(keeps_the_old_file_when_it_cannot_write),
		IN_A_DIRECTORY(writes_all_through_a_slow_pipe),
		IN_A_DIRECTORY(says_when_nobody_reads),
		IN_A_DIRECTORY(makes_what_is_missing_above),
		IN_A_DIRECTORY(opens_a_private_directory_of_the_users_own_only),
		IN_A_DIRECTORY(lists_names_in_order),
		IN_A_DIRECTORY(gives_a_name_to_one_owner),
		IN_A_DIRECTORY(removes_a_tree_but_not_what_links_lead_to),
		IN_A_DIRECTORY(removes_trees_down_to_a_depth),
		IN_A_DIRECTORY(removes_the_rest_when_one_entry_stays),
		IN_A_DIRECTORY(opens_nothing_outside),
		IN_A_DIRECTORY(seals_a_copy),
		IN_A_DIRECTORY(waits_for_a_lock_as_long_as_it_is_told),
	};

	return cmocka_run_group_tests_name("sys/file", tests, NULL, NULL);
}
