// SPDX-License-Identifier: Apache-2.0
#include "life.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sys/lockfile.h"

static void holds_what_it_says_and_gives_it_back(void **state)
{
	struct lease *lease = begin(&opts, "web");
	struct stat st;

	(void)state;
	assert_int_equal(fstatat(run_fd, "pods/web", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(exists("pods/web/socket"));
	assert_true(exists("uids/90000"));
	assert_true(exists("extra/web"));
	assert_true(exists("leases/web.journal"));
	end(lease);
	assert_nothing_left();
}

static void gives_the_name_of_a_dead_pod_to_the_next(void **state)
{
	struct lease *lease;

	(void)state;
	assert_true(live_and_die("web", -1, false));
	assert_true(exists("pods/web/socket"));
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_false(exists("pods/web/socket"));
	assert_true(exists("pods/web"));
	assert_int_equal(count_in("uids"), 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_nothing_left();
}

static void gives_a_name_to_one_live_pod(void **state)
{
	struct lease *lease, *other = NULL;

	(void)state;
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_int_equal(lease_open(&opts, "web", &other, &e), -EEXIST);
	assert_int_equal(e.code, ERR_NAME_TAKEN);
	assert_string_equal(e.msg, "take the name 'web': a pod has it");
	assert_null(other);
	assert_int_equal(lease_open(&opts, "../web", &other, &e), -EINVAL);
	assert_int_equal(lease_open(&opts, "", &other, &e), -EINVAL);
	assert_true(exists("pods/web"));
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_int_equal(lease_open(&opts, "web", &other, &e), 0);
	assert_int_equal(lease_undo(other, &e), 0);
	lease_free(other);
}

static void waits_for_a_recovery_that_has_the_name(void **state)
{
	struct lease *lease = NULL;
	int ready[2];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(file_mkdir_p(run_fd, "leases", 0700, NULL), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int leases_fd, fd;

		if (file_open_dir(run_fd, "leases", &leases_fd, NULL) < 0 ||
		    file_lock(leases_fd, true, 0) < 0 ||
		    lockfile_open(leases_fd, "web.journal", true, 0, &fd, NULL) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)usleep(300000);
		_exit(unlinkat(leases_fd, "web.journal", 0) < 0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_true(ended(child));
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void kills_a_process_that_its_owner_forgot(void **state)
{
	struct lease *lease;

	(void)state;
	shared->survives = true;
	lease = begin(&opts, "web");
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_nothing_left();
}

static void gives_each_pod_a_user_id_of_its_own(void **state)
{
	struct lease *leases[3];
	uid_t uid = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(lease_open(&opts, name, &leases[i], &e), 0);
	}
	assert_int_equal(lease_uid(leases[0], UID_FIRST, 2, &uid, &e), 0);
	assert_int_equal(uid, UID_FIRST);
	assert_int_equal(lease_uid(leases[1], UID_FIRST, 2, &uid, &e), 0);
	assert_int_equal(uid, UID_FIRST + 1);
	assert_int_equal(lease_uid(leases[2], UID_FIRST, 2, &uid, &e), -ENOSPC);
	assert_string_equal(e.msg, "lease a user id: all 2 from 90000 on are taken");
	assert_int_equal(e.code, ERR_HOST);
	assert_int_equal(lease_undo(leases[0], &e), 0);
	assert_int_equal(lease_uid(leases[2], UID_FIRST, 2, &uid, &e), 0);
	assert_int_equal(uid, UID_FIRST);
	assert_int_equal(lease_undo(leases[2], &e), 0);
	assert_int_equal(lease_undo(leases[1], &e), 0);
	for (int i = 0; i < 3; i++)
		lease_free(leases[i]);
	assert_nothing_left();
}

static void takes_plain_paths_below_its_directory_only(void **state)
{
	static const char *const bad[] = { "",	   "/etc/passwd", "..",	 "a/../b",
					   "a//b", "a/",	  "./a", "." };
	struct lease *lease;
	int fd = -1;

	(void)state;
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(lease_file(lease, bad[i], &e), -EINVAL);
	assert_int_equal(lease_process(lease, "../x", &fd, &e), -EINVAL);
	/* One that leads elsewhere by a link stays where it is, and is named. */
	assert_int_equal(symlinkat("/tmp", run_fd, "away"), 0);
	assert_int_equal(lease_file(lease, "away/x", &e), 0);
	assert_int_equal(lease_file(lease, "later/gone", &e), 0); /* never made */
	assert_int_equal(lease_undo(lease, &e), -EXDEV);
	assert_string_equal(
		e.msg, "undo file 'away/x' of pod 'web': open 'away': Invalid cross-device link");
	lease_free(lease);
	assert_false(exists("pods/web")); /* the rest is done */
	assert_int_equal(unlinkat(run_fd, "away", 0), 0);
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_int_equal(shared->told, 1); /* the others are marked as undone */
	assert_nothing_left();
}

static void starts_with_an_empty_directory(void **state)
{
	struct lease *lease;

	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "pods/web/junk", 0700, &e), 0);
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_int_equal(count_in("pods/web"), 0);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
}

/* What stands in the way of a step: it is told, and the step is not left half taken. */
static void undoes_a_step_that_goes_wrong(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct lease *lease;
	uid_t uid = 0;
	int fd;

	(void)state;
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	fd = openat(run_fd, "uids", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(lease_uid(lease, UID_FIRST, 10, &uid, &e), -ENOTDIR);
	(void)close(fd);
	assert_int_equal(unlinkat(run_fd, "uids", 0), 0);
	assert_int_equal(mkdirat(lease_dir(lease), "qemu.lock", 0700), 0);
	assert_int_equal(lease_process(lease, "qemu", &fd, &e), -EISDIR);
	assert_string_equal(e.msg, "lease process 'qemu': open 'qemu.lock': Is a directory");
	assert_int_equal(file_read(run_fd, "leases/web.journal", 1 << 16, &text, NULL), 0);
	assert_non_null(memmem(text.at, text.len, " undone 1\n", 10));
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_nothing_left();
}

/* Between the look for a free user id and its claim another pod takes it: the next one is had. */
static void claim_first(void *data, const char *where)
{
	struct lease **other = data;
	struct lease *theirs = *other;
	uid_t uid;

	if (!theirs || strcmp(where, "written") != 0)
		return;
	*other = NULL;
	assert_int_equal(lease_uid(theirs, UID_FIRST, 10, &uid, &e), 0);
	assert_int_equal(uid, UID_FIRST);
}

static void takes_the_next_user_id_if_another_is_quicker(void **state)
{
	struct lease *lease, *theirs, *pending = NULL;
	struct lease_opts with = opts;
	uid_t uid = 0;

	(void)state;
	with.after_step = claim_first;
	with.data = &pending;
	assert_int_equal(lease_open(&opts, "theirs", &theirs, &e), 0);
	assert_int_equal(lease_open(&with, "ours", &lease, &e), 0);
	pending = theirs;
	assert_int_equal(lease_uid(lease, UID_FIRST, 10, &uid, &e), 0);
	assert_int_equal(uid, UID_FIRST + 1);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_true(exists("uids/90000"));
	assert_int_equal(lease_undo(theirs, &e), 0);
	lease_free(theirs);
	assert_nothing_left();
}

static void limits_the_processes_of_a_pod(void **state)
{
	struct lease *lease;
	int fd = -1;

	(void)state;
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	for (int i = 0; i < LEASE_MAX_PROCESSES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(lease_process(lease, name, &fd, &e), 0);
	}
	assert_int_equal(lease_process(lease, "more", &fd, &e), -E2BIG);
	assert_int_equal(lease_process(lease, "p0", &fd, &e), -EEXIST);
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
	assert_nothing_left();
}

static void says_that_the_disk_is_full_before_the_step(void **state)
{
	struct rlimit small, old;
	struct lease *lease;
	struct stat st;
	uid_t uid = 0;
	int r;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(lease_open(&opts, "web", &lease, &e), 0);
	assert_int_equal(fstatat(run_fd, "leases/web.journal", &st, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ (rlim_t)st.st_size + 10, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = lease_uid(lease, UID_FIRST, 10, &uid, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(e.msg, "write the journal of pod 'web'"));
	assert_int_equal(count_in("uids"), 0);
	assert_int_equal(uid, 0);
	/* The half line is gone again: the next one is good. */
	assert_int_equal(lease_uid(lease, UID_FIRST, 10, &uid, &e), 0);
	lease_free(lease);
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_int_equal(shared->told, 2);
	assert_nothing_left();
}

/* In a mount namespace of the child's own; 77 if there is none to be had. */
static int run_on_a_full_disk(void)
{
	struct lease *lease;
	char path[64];
	size_t files = 0;
	int fd, r;

	if (unshare(CLONE_NEWNS) < 0 ||
	    syscall(SYS_mount, "none", "/", NULL, 1 << 14 | 1 << 18 /* rec, private */, NULL) < 0 ||
	    syscall(SYS_mount, "none", folder_path, "tmpfs", 0, "size=64k") < 0)
		return 77;
	run_fd = opts.run_fd = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run_fd < 0 || lease_open(&opts, "web", &lease, NULL) < 0)
		return 1;
	fd = openat(run_fd, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, path, sizeof(path)) > 0)
		;
	do { /* until the page that the journal has is full too */
		(void)snprintf(path, sizeof(path), "extra/%zu", files++);
		r = lease_file(lease, path, &e);
	} while (r == 0 && files < 1000);
	if (r != -ENOSPC || !strstr(e.msg, "No space left on device"))
		return 2;
	if (lease_undo(lease, NULL) < 0 || count_in("leases") || count_in("pods"))
		return 3;
	lease_free(lease);
	/* Not even a name is to be had now, and nothing of the try stays. */
	while (write(fd, path, 1) > 0)
		;
	r = lease_open(&opts, "web", &lease, &e);
	if (r != -ENOSPC || count_in("leases") || count_in("pods"))
		return 4;
	return 0;
}

static void works_on_a_disk_that_is_really_full(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(run_on_a_full_disk());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_RUN_DIR(holds_what_it_says_and_gives_it_back),
		WITH_A_RUN_DIR(gives_the_name_of_a_dead_pod_to_the_next),
		WITH_A_RUN_DIR(gives_a_name_to_one_live_pod),
		WITH_A_RUN_DIR(waits_for_a_recovery_that_has_the_name),
		WITH_A_RUN_DIR(kills_a_process_that_its_owner_forgot),
		WITH_A_RUN_DIR(gives_each_pod_a_user_id_of_its_own),
		WITH_A_RUN_DIR(starts_with_an_empty_directory),
		WITH_A_RUN_DIR(undoes_a_step_that_goes_wrong),
		WITH_A_RUN_DIR(takes_the_next_user_id_if_another_is_quicker),
		WITH_A_RUN_DIR(takes_plain_paths_below_its_directory_only),
		WITH_A_RUN_DIR(limits_the_processes_of_a_pod),
		WITH_A_RUN_DIR(says_that_the_disk_is_full_before_the_step),
		WITH_A_RUN_DIR(works_on_a_disk_that_is_really_full),
	};

	return run_lives("lease/lease", tests);
}
