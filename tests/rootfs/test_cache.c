// SPDX-License-Identifier: Apache-2.0
#include "make.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "rootfs/cache.h"

static struct rootfs_cache cache;
static struct rootfs_progress progress;
static struct rootfs_key key;

static int setup(void **state)
{
	struct oci_digest digest = digest_of(text_bytes("x"));

	assert_int_equal(place_set_up(state), 0);
	assert_int_equal(rootfs_cache_init(&cache, place.cache_fd, NULL), 0);
	progress = (struct rootfs_progress){ 0 };
	key = rootfs_key(ROOTFS_KEY_DIFF, &digest);
	return 0;
}

static int teardown(void **state)
{
	rootfs_cache_done(&cache);
	return place_tear_down(state);
}

/* What a writer would have said of text, which stands for an image here. */
static struct image_info info_of(const char *text)
{
	struct image_info info = {
		.data_blocks = 3,
		.hash_start_block = 4,
		.total_bytes = strlen(text),
		.needs_lower = true,
		.root_opaque = true,
	};

	memset(info.root, 0xa5, sizeof(info.root));
	return info;
}

static void put(const char *text)
{
	CLEANUP(rootfs_build_free) struct rootfs_build *build = NULL;
	struct image_info info = info_of(text);
	struct rootfs_stored stored;
	struct image_sink sink;

	assert_int_equal(rootfs_cache_lock(&cache, &key, &progress, &build, NULL), 0);
	assert_int_equal(rootfs_build_start(build, &sink, NULL), 0);
	assert_int_equal(sink.write(sink.data, 0, text_bytes(text), NULL), 0);
	assert_int_equal(rootfs_build_commit(build, &key, &info, &stored, NULL), 0);
	close(stored.fd);
}

static void path_of(char *path, size_t size, const char *suffix)
{
	(void)snprintf(path, size, "layers/v1/%s%s", key.text, suffix);
}

static void returns_what_was_put(void **state)
{
	struct rootfs_stored stored = { .fd = -7 };
	struct err err = { 0 };
	struct stat st;
	char text[16];
	size_t len;

	(void)state;
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, &err), -ENOENT);
	assert_int_equal(stored.fd, -7);
	assert_int_equal(err.num, 0);
	put("image");
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, &err), 0);
	assert_int_equal(stored.info.data_blocks, 3);
	assert_int_equal(stored.info.hash_start_block, 4);
	assert_int_equal(stored.info.total_bytes, 5);
	assert_true(stored.info.needs_lower);
	assert_true(stored.info.root_opaque);
	assert_int_equal(stored.info.root[31], 0xa5);
	assert_int_equal(io_read_at(stored.fd, 0, text, sizeof(text), &len, NULL), 0);
	assert_int_equal(len, 5);
	assert_int_equal(fstat(stored.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fcntl(stored.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(stored.fd, F_GETFD), FD_CLOEXEC);
	close(stored.fd);
	assert_int_equal(count_cached(""), 2);
}

static void tells_keys_apart(void **state)
{
	struct oci_digest digest = digest_of(text_bytes("x"));
	struct rootfs_key chain = rootfs_key(ROOTFS_KEY_CHAIN, &digest);
	struct rootfs_stored stored;

	(void)state;
	assert_int_equal(strlen(chain.text), ROOTFS_KEY_TEXT - 1);
	put("image");
	assert_int_equal(rootfs_cache_get(&cache, &chain, &stored, NULL), -ENOENT);
}

/* What is damaged, or of another version, is not there: then it is made again. */
static void ignores_what_it_has_not_written(void **state)
{
	static const char *const metas[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"format\":\"casemate-1\"}",
		"{\"format\":\"casemate-0\",\"root\":\"sha256:"
		"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\","
		"\"data_blocks\":3,\"hash_start_block\":4,\"total_bytes\":5}",
		"{\"format\":\"casemate-1\",\"root\":\"sha256:a5\",\"data_blocks\":3,"
		"\"hash_start_block\":4,\"total_bytes\":5}",
		"{\"format\":\"casemate-1\",\"root\":\"sha256:"
		"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\","
		"\"data_blocks\":-3,\"hash_start_block\":4,\"total_bytes\":5}",
		"{\"format\":\"casemate-1\",\"root\":\"sha256:"
		"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\","
		"\"data_blocks\":3,\"hash_start_block\":4,\"total_bytes\":6}",
	};
	struct rootfs_stored stored;
	char path[256];

	(void)state;
	put("image");
	path_of(path, sizeof(path), ".json");
	for (size_t i = 0; i < ARRAY_SIZE(metas); i++) {
		assert_int_equal(unlinkat(place.cache_fd, path, 0), 0);
		write_file(place.cache_fd, path, text_bytes(metas[i]));
		assert_int_equal(rootfs_cache_get(&cache, &key, &stored, NULL), -ENOENT);
	}
	put("image");
	path_of(path, sizeof(path), ".img");
	assert_int_equal(unlinkat(place.cache_fd, path, 0), 0);
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, NULL), -ENOENT);
	put("other");
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, NULL), 0);
	close(stored.fd);
}

static void refuses_what_others_can_write(void **state)
{
	struct rootfs_stored stored;
	struct err err = { 0 };
	char path[256];

	(void)state;
	put("image");
	path_of(path, sizeof(path), ".json");
	assert_int_equal(fchmodat(place.cache_fd, path, 0666, 0), 0);
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, &err), -EPERM);
	assert_int_equal(err.code, ERR_HOST);
	assert_int_equal(unlinkat(place.cache_fd, path, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", place.cache_fd, path), 0);
	assert_int_equal(rootfs_cache_get(&cache, &key, &stored, &err), -ELOOP);
}

/* A process that dies while it writes leaves a file, which the next one removes. */
static void clears_away_what_the_dead_left(void **state)
{
	struct oci_digest digest = digest_of(text_bytes("y"));
	struct rootfs_key dead = rootfs_key(ROOTFS_KEY_CHAIN, &digest);
	struct rootfs_build *build = NULL;
	struct image_sink sink;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		if (rootfs_cache_lock(&cache, &dead, &progress, &build, NULL) < 0 ||
		    rootfs_build_start(build, &sink, NULL) < 0 ||
		    sink.write(sink.data, 1 << 20, text_bytes("x"), NULL) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(count_cached(".tmp"), 1);
	assert_int_equal(count_cached(".lock"), 1);
	put("image");
	assert_int_equal(count_cached(".tmp"), 0);
	assert_int_equal(count_cached(""), 2);
}

static void leaves_alone_what_the_living_write(void **state)
{
	struct oci_digest digest = digest_of(text_bytes("y"));
	struct rootfs_key other = rootfs_key(ROOTFS_KEY_SNAP, &digest);
	struct rootfs_build *build = NULL;
	struct image_info info = info_of("y");
	struct rootfs_stored stored;
	struct image_sink sink;

	(void)state;
	assert_int_equal(rootfs_cache_lock(&cache, &other, &progress, &build, NULL), 0);
	assert_int_equal(rootfs_build_start(build, &sink, NULL), 0);
	assert_int_equal(sink.write(sink.data, 0, text_bytes("y"), NULL), 0);
	put("image");
	assert_int_equal(count_cached(".tmp"), 1);
	assert_int_equal(rootfs_build_commit(build, &other, &info, &stored, NULL), 0);
	close(stored.fd);
	rootfs_build_free(build);
	assert_int_equal(count_cached(""), 4);
}

static void note_wait(void *data, const struct rootfs_report *report)
{
	if (report->stage == ROOTFS_STAGE_WAIT)
		(*(int *)data)++;
}

static void waits_its_turn_and_says_so(void **state)
{
	struct rootfs_build *build = NULL, *second = NULL;
	int ready[2], waits = 0, status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (rootfs_cache_lock(&cache, &key, &progress, &build, NULL) < 0)
			_exit(1);
		(void)!write(ready[1], "x", 1);
		usleep(500000);
		rootfs_build_free(build);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	progress = (struct rootfs_progress){ .fn = note_wait, .data = &waits };
	assert_int_equal(rootfs_cache_lock(&cache, &key, &progress, &second, NULL), 0);
	assert_true(waits > 0);
	/* the first has removed its lock, so this is another file of that name */
	assert_int_equal(count_cached(".lock"), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rootfs_build_free(second);
	assert_int_equal(count_cached(""), 0);
	close(ready[0]);
	close(ready[1]);
}

static void leaves_nothing_when_given_up(void **state)
{
	struct rootfs_build *build = NULL;
	struct image_sink sink;

	(void)state;
	assert_int_equal(rootfs_cache_lock(&cache, &key, &progress, &build, NULL), 0);
	assert_int_equal(rootfs_build_start(build, &sink, NULL), 0);
	assert_int_equal(sink.write(sink.data, 0, text_bytes("begun"), NULL), 0);
	assert_int_equal(rootfs_build_start(build, &sink, NULL), 0);
	assert_int_equal(sink.write(sink.data, 0, text_bytes("again"), NULL), 0);
	rootfs_build_free(build);
	assert_int_equal(count_cached(""), 0);
}

/* In a mount namespace of its own: 0 passed, 1 failed, 2 can't be tried. */
static int fill_the_disk(void)
{
	static const char zeros[65536];
	CLEANUP(rootfs_cache_done) struct rootfs_cache small = { .dir_fd = -1 };
	struct rootfs_build *build = NULL;
	struct image_sink sink;
	struct err err = { 0 };
	char path[128];
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/cache", place.path);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", path, "tmpfs", 0, "size=256k") < 0)
		return 2;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || rootfs_cache_init(&small, fd, NULL) < 0 ||
	    rootfs_cache_lock(&small, &key, &progress, &build, NULL) < 0 ||
	    rootfs_build_start(build, &sink, NULL) < 0)
		return 1;
	for (uint64_t at = 0; at < 10 && r == 0; at++)
		r = sink.write(sink.data, at * sizeof(zeros),
			       (struct bytes){ (const uint8_t *)zeros, sizeof(zeros) }, &err);
	rootfs_build_free(build);
	if (r != -ENOSPC || err.code != ERR_HOST || !strstr(err.msg, "No space left"))
		return 1;
	{
		CLEANUP(strv_done) struct strv names = { 0 };

		return walk_names(small.dir_fd, &names, NULL) < 0 || names.len > 0;
	}
}

static void leaves_nothing_on_a_full_disk(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(fill_the_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void finds_the_users_directory(void **state)
{
	uid_t uid = geteuid();
	struct err err = { 0 };
	char xdg[128], home[128], path[256];
	struct stat st;
	int fd = -1;

	(void)state;
	if (uid == 0)
		uid = 12345; /* root's is a fixed place, not to be touched by a test */
	(void)snprintf(xdg, sizeof(xdg), "%s/xdg", place.path);
	(void)snprintf(home, sizeof(home), "%s/home", place.path);
	if (geteuid() == 0) {
		/* made by root, it is not the user's */
		assert_int_equal(rootfs_cache_open(uid, xdg, home, &fd, &err), -EPERM);
		assert_words(&err, ERR_HOST, "is not this user's alone");
		(void)snprintf(path, sizeof(path), "%s/xdg/casemate", place.path);
		assert_int_equal(chown(path, uid, 0), 0);
		(void)rootfs_cache_open(uid, "", home, &fd, &err);
		(void)snprintf(path, sizeof(path), "%s/home/.cache/casemate", place.path);
		assert_int_equal(chown(path, uid, 0), 0);
	}
	assert_int_equal(rootfs_cache_open(uid, xdg, home, &fd, &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	close(fd);
	(void)snprintf(path, sizeof(path), "%s/xdg/casemate", place.path);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(rootfs_cache_open(uid, xdg, home, &fd, &err), -EPERM);
	assert_int_equal(rootfs_cache_open(uid, "relative", home, &fd, &err), 0);
	close(fd);
	assert_int_equal(rootfs_cache_open(uid, NULL, home, &fd, &err), 0);
	close(fd);
	assert_int_equal(rootfs_cache_open(uid, NULL, "", &fd, &err), -ENOENT);
	assert_words(&err, ERR_HOST, "XDG_CACHE_HOME");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(returns_what_was_put, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_keys_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(ignores_what_it_has_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_others_can_write, setup, teardown),
		cmocka_unit_test_setup_teardown(clears_away_what_the_dead_left, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_alone_what_the_living_write, setup,
						teardown),
		cmocka_unit_test_setup_teardown(waits_its_turn_and_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_when_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_nothing_on_a_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_the_users_directory, setup, teardown),
	};

	return cmocka_run_group_tests_name("rootfs/cache", tests, NULL, NULL);
}
