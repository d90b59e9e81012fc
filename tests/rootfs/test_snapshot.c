// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "rootfs/snapshot.h"

static int dir_fd;

static int setup(void **state)
{
	assert_int_equal(place_set_up(state), 0);
	assert_int_equal(mkdirat(place.fd, "tree", 0755), 0);
	dir_fd = openat(place.fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir_fd >= 0);
	return 0;
}

static int teardown(void **state)
{
	close(dir_fd);
	return place_tear_down(state);
}

static void keeps_what_a_directory_holds(void **state)
{
	struct rootfs_image *image;
	struct image_entry entry;
	struct seen seen;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 1234, 567 } };
	bool has_xattrs;
	int fd;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "d", 0700), 0);
	assert_int_equal(fchmodat(dir_fd, "d", 03711, 0), 0);
	write_file(dir_fd, "d/file", text_bytes("text"));
	write_file(dir_fd, "d/.wh.name", text_bytes("not a whiteout"));
	assert_int_equal(fchmodat(dir_fd, "d/file", 06755, 0), 0);
	assert_int_equal(linkat(dir_fd, "d/file", dir_fd, "hard", 0), 0);
	assert_int_equal(symlinkat("d/../../out", dir_fd, "link"), 0);
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0640), 0);
	fd = openat(dir_fd, "sparse", O_RDWR | O_CREAT, 0644);
	assert_int_equal(pwrite(fd, "middle", 6, 50 << 20), 6);
	assert_int_equal(ftruncate(fd, 100 << 20), 0);
	has_xattrs = fsetxattr(fd, "user.a", "b", 1, 0) == 0;
	close(fd);
	assert_int_equal(utimensat(dir_fd, "d/file", times, 0), 0);

	image = must_open("rootfs:tree");
	assert_int_equal(image->layer_count, 1);
	assert_true(image->layers[0].size < 1 << 20); /* holes are free */
	seen_open(&seen, image);
	assert_text(&seen, "d/file", "text");
	assert_text(&seen, "d/.wh.name", "not a whiteout");
	assert_text(&seen, "hard", "text");
	assert_int_equal(seen_entry(&seen, "d").mode, 03711);
	entry = seen_entry(&seen, "hard");
	assert_int_equal(entry.mode, 06755);
	assert_int_equal(entry.uid, geteuid());
	assert_int_equal(entry.mtime_s, 1234);
	assert_int_equal(entry.mtime_ns, 567);
	assert_string_equal(seen_entry(&seen, "link").link, "d/../../out");
	assert_int_equal(seen_entry(&seen, "fifo").type, IMAGE_FIFO);
	entry = seen_entry(&seen, "sparse");
	assert_int_equal(entry.size, 100 << 20);
	if (has_xattrs) {
		assert_int_equal(entry.xattr_count, 1);
		assert_string_equal(entry.xattrs[0].name, "user.a");
		assert_int_equal(entry.xattrs[0].value.at[0], 'b');
	}
	seen_close(&seen);
	rootfs_image_free(image);
}

static void leaves_out_devices_and_sockets(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct rootfs_image *image;
	struct seen seen;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/tree/socket", place.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	if (geteuid() == 0) {
		assert_int_equal(mknodat(dir_fd, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
		assert_int_equal(mknodat(dir_fd, "whiteout", S_IFCHR | 0666, 0), 0);
		assert_int_equal(mknodat(dir_fd, "disk", S_IFBLK | 0666, makedev(8, 0)), 0);
	}
	write_file(dir_fd, "file", text_bytes("x"));
	image = must_open("rootfs:tree");
	seen_open(&seen, image);
	assert_absent(&seen, "socket");
	assert_absent(&seen, "null");
	assert_absent(&seen, "whiteout");
	assert_absent(&seen, "disk");
	assert_text(&seen, "file", "x");
	seen_close(&seen);
	rootfs_image_free(image);
}

/* The directory's state is the key: the same again is cached, and each change is seen. */
static void notices_every_kind_of_change(void **state)
{
	struct rootfs_image *image;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 1234, 567 } };

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "d", 0755), 0);
	write_file(dir_fd, "d/a", text_bytes("one"));
	for (int change = 0; change < 8; change++) {
		usleep(20000); /* more than a tick of the clock that file times are of */
		switch (change) {
		case 1: /* contents alone */
			write_file(dir_fd, "d/a", text_bytes("two"));
			assert_int_equal(utimensat(dir_fd, "d/a", times, 0), 0);
			break;
		case 2: /* with the same size and time of modification */
			write_file(dir_fd, "d/a", text_bytes("six"));
			assert_int_equal(utimensat(dir_fd, "d/a", times, 0), 0);
			break;
		case 3:
			assert_int_equal(fchmodat(dir_fd, "d/a", 0600, 0), 0);
			break;
		case 4:
			assert_int_equal(renameat(dir_fd, "d/a", dir_fd, "d/b"), 0);
			break;
		case 5:
			write_file(dir_fd, "d/c", text_bytes(""));
			break;
		case 6:
			assert_int_equal(unlinkat(dir_fd, "d/c", 0), 0);
			break;
		case 7:
			assert_int_equal(fchmodat(dir_fd, ".", 0711, 0), 0);
			break;
		}
		image = must_open("rootfs:tree");
		assert_false(image->layers[0].cached);
		rootfs_image_free(image);
		image = must_open("rootfs:tree");
		assert_true(image->layers[0].cached);
		rootfs_image_free(image);
	}
	assert_int_equal(count_cached(".img"), 8);
}

/* Runs fn as another user in a place that is theirs; what fails there is a status. */
static void as_nobody(int (*fn)(void))
{
	enum { NOBODY = 65534 };
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(place.path, 0755), 0);
	assert_int_equal(fchown(place.cache_fd, NOBODY, NOBODY), 0);
	pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int expect_unreadable(void)
{
	struct rootfs_image *image;
	struct err err = { 0 };

	if (open_image("rootfs:tree", &image, &err) != -EACCES || err.code != ERR_UNREADABLE ||
	    !strstr(err.msg, "read 'd/secret'") || !strstr(err.msg, "snapshot of 'tree'"))
		return 2;
	return count_cached("") == 0 ? 0 : 3;
}

static void names_the_file_that_is_unreadable(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(dir_fd, "d", 0755), 0);
	write_file(dir_fd, "d/open", text_bytes("x"));
	write_file(dir_fd, "d/secret", text_bytes("x"));
	assert_int_equal(fchmodat(dir_fd, "d/secret", 0600, 0), 0);
	as_nobody(expect_unreadable);
	/* a directory, too */
	assert_int_equal(unlinkat(dir_fd, "d/secret", 0), 0);
	assert_int_equal(mkdirat(dir_fd, "d/secret", 0700), 0);
	as_nobody(expect_unreadable);
}

static void maps_the_users_own_ids_to_root(void **state)
{
	struct rootfs_image_opts opts = {
		.at_fd = place.fd,
		.cache_fd = place.cache_fd,
		.map_ids = true,
		.map_uid = 1000,
		.map_gid = 1001,
	};
	const struct oci_ref ref = { .kind = OCI_REF_ROOTFS, .path = "tree" };
	struct rootfs_image *image;
	struct seen seen;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(dir_fd, "own", text_bytes(""));
	write_file(dir_fd, "other", text_bytes(""));
	assert_int_equal(fchownat(dir_fd, "own", 1000, 1001, 0), 0);
	assert_int_equal(fchownat(dir_fd, "other", 1001, 1000, 0), 0);
	assert_int_equal(rootfs_image_open(&ref, &opts, &image, NULL), 0);
	seen_open(&seen, image);
	assert_int_equal(seen_entry(&seen, "own").uid, 0);
	assert_int_equal(seen_entry(&seen, "own").gid, 0);
	assert_int_equal(seen_entry(&seen, "other").uid, 1001);
	assert_int_equal(seen_entry(&seen, "other").gid, 1000);
	seen_close(&seen);
	rootfs_image_free(image);
	/* without the mapping it is another image */
	image = must_open("rootfs:tree");
	assert_false(image->layers[0].cached);
	seen_open(&seen, image);
	assert_int_equal(seen_entry(&seen, "own").uid, 1000);
	seen_close(&seen);
	rootfs_image_free(image);
}

/* Changes what comes last, while what comes first is read. */
struct meddler {
	struct rootfs_progress progress;
	int times;
	const char *name;
};

static void meddle(void *data, const struct rootfs_report *report)
{
	struct meddler *meddler = data;
	char text[32];

	meddler->progress.last_us = 0; /* every report, not one in a while */
	if (report->stage != ROOTFS_STAGE_BUILD || meddler->times == 0)
		return;
	(void)snprintf(text, sizeof(text), "%d more to come", --meddler->times);
	write_file(dir_fd, meddler->name, text_bytes(text));
	usleep(20000);
}

static void starts_again_once_when_it_changes(void **state)
{
	static const struct rootfs_limits limits;
	struct meddler meddler = {
		.progress = { .fn = meddle, .data = &meddler },
		.name = "z",
	};
	struct rootfs_snapshot_opts opts = { .limits = &limits, .progress = &meddler.progress };
	CLEANUP(rootfs_cache_done) struct rootfs_cache cache;
	struct rootfs_snapshot snapshot;
	struct rootfs_image *image;
	struct err err = { 0 };
	struct seen seen;

	(void)state;
	assert_int_equal(rootfs_cache_init(&cache, place.cache_fd, NULL), 0);
	write_file(dir_fd, "a", text_bytes("something to read"));
	write_file(dir_fd, "z", text_bytes("at first"));
	meddler.times = 1;
	assert_int_equal(rootfs_snapshot_take(&cache, dir_fd, &opts, &snapshot, &err), 0);
	assert_false(snapshot.cached);
	close(snapshot.stored.fd);
	image = must_open("rootfs:tree");
	assert_true(image->layers[0].cached);
	seen_open(&seen, image);
	assert_text(&seen, "z", "0 more to come");
	seen_close(&seen);
	rootfs_image_free(image);

	write_file(dir_fd, "z", text_bytes("at first"));
	meddler.times = 9;
	assert_int_equal(rootfs_snapshot_take(&cache, dir_fd, &opts, &snapshot, &err), -ESTALE);
	assert_words(&err, ERR_IMAGE, "changed meanwhile");
	assert_int_equal(meddler.times, 5); /* two tries, of two files that are read */
	assert_int_equal(count_cached(""), 2);

	/* what is being read itself, after its state has been noted, and in the same length */
	assert_int_equal(unlinkat(dir_fd, "z", 0), 0);
	write_file(dir_fd, "a", text_bytes("0 more to come"));
	meddler.name = "a";
	meddler.times = 2;
	assert_int_equal(rootfs_snapshot_take(&cache, dir_fd, &opts, &snapshot, &err), -ESTALE);
	assert_words(&err, ERR_IMAGE, "read 'a': it has changed meanwhile");
	assert_int_equal(meddler.times, 0);
}

/* In a mount namespace of its own: 0 passed, 1 failed, 2 can't be tried. */
static int mount_inside(void)
{
	struct rootfs_image *image = NULL;
	char path[128], proc[128], name[128];
	struct seen seen;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 2;
	(void)snprintf(proc, sizeof(proc), "%s/tree/proc", place.path);
	if (mount("none", proc, "proc", 0, NULL) < 0)
		return 2;
	(void)snprintf(path, sizeof(path), "%s/tree/data", place.path);
	if (mount("none", path, "tmpfs", 0, NULL) < 0)
		return 2;
	fd = open(path, O_RDONLY | O_DIRECTORY);
	write_file(fd, "file", text_bytes("mounted"));
	close(fd);
	/* by its path: the descriptors of the place are of the old namespace */
	(void)snprintf(name, sizeof(name), "rootfs:%s/tree", place.path);
	if (open_image(name, &image, NULL) < 0)
		return 1;
	seen_open(&seen, image);
	assert_text(&seen, "data/file", "mounted");
	assert_absent(&seen, "proc/self");
	if (seen_entry(&seen, "proc").type != IMAGE_DIR)
		return 1;
	seen_close(&seen);
	rootfs_image_free(image);
	/* mounted anew, it is no other directory: sysfs has other times and inodes */
	if (mount("none", proc, "sysfs", 0, NULL) < 0 || chmod(proc, 0555) < 0)
		return 2;
	image = must_open(name);
	return image->layers[0].cached ? 0 : 1;
}

static void goes_into_mounts_but_the_kernels(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(dir_fd, "proc", 0755), 0);
	assert_int_equal(mkdirat(dir_fd, "data", 0755), 0);
	pid = fork();
	if (pid == 0)
		_exit(mount_inside());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void holds_its_limits(void **state)
{
	struct rootfs_image_opts opts = {
		.at_fd = place.fd,
		.cache_fd = place.cache_fd,
		.limits = { .image = { .max_entries = 2 } },
	};
	const struct oci_ref ref = { .kind = OCI_REF_ROOTFS, .path = "tree" };
	struct rootfs_image *image;
	struct err err = { 0 };

	(void)state;
	write_file(dir_fd, "a", text_bytes("a"));
	assert_int_equal(rootfs_image_open(&ref, &opts, &image, &err), 0);
	rootfs_image_free(image);
	write_file(dir_fd, "b", text_bytes("b"));
	assert_int_equal(rootfs_image_open(&ref, &opts, &image, &err), -EFBIG);
	assert_int_equal(err.code, ERR_IMAGE_LIMIT);
	assert_int_equal(count_cached(""), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_what_a_directory_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_out_devices_and_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_every_kind_of_change, setup, teardown),
		cmocka_unit_test_setup_teardown(names_the_file_that_is_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(maps_the_users_own_ids_to_root, setup, teardown),
		cmocka_unit_test_setup_teardown(starts_again_once_when_it_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_into_mounts_but_the_kernels, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_its_limits, setup, teardown),
	};

	return cmocka_run_group_tests_name("rootfs/snapshot", tests, NULL, NULL);
}
