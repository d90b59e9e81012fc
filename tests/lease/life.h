/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life - a pod's life with a stand-in for QEMU, that can be ended at any step: for the tests of
 * lease, which end in run_lives().
 */
#ifndef TESTS_LEASE_LIFE_H
#define TESTS_LEASE_LIFE_H

#include "../folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lease/lease.h"

enum { UID_FIRST = 90000, QEMU_FD = 40 };

/* What the processes of a test tell each other. */
static struct shared {
	pid_t qemu;
	bool survives; /* the stand-in for QEMU outlives its parent */
	int told;      /* steps that recoveries have undone */
} * shared;

static int run_fd = -1, proc_fd = -1;
static struct lease_opts opts;
static struct err e;

static inline int setup(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	assert_int_equal(file_open_dir(AT_FDCWD, "/proc", &proc_fd, NULL), 0);
	assert_int_equal(file_open_dir(AT_FDCWD, folder_path, &run_fd, NULL), 0);
	opts = (struct lease_opts){
		.run_fd = run_fd, .proc_fd = proc_fd, .sysfs_fd = -1, .dev_fd = -1, .grace_ms = 300
	};
	e = (struct err){ 0 };
	*shared = (struct shared){ 0 };
	return 0;
}

static inline int teardown(void **state)
{
	(void)close(run_fd);
	(void)close(proc_fd);
	return folder_tear_down(state);
}

static inline bool exists(const char *path)
{
	struct stat st;

	return fstatat(run_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline size_t count_in(const char *path)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	return file_list(run_fd, path, &names, NULL) < 0 ? 0 : names.len;
}

static inline void assert_nothing_left(void)
{
	int status;

	assert_int_equal(count_in("leases"), 0);
	assert_int_equal(count_in("pods"), 0);
	assert_int_equal(count_in("uids"), 0);
	assert_int_equal(count_in("extra"), 0);
	if (!shared->qemu)
		return;
	/* Ours since its parent has died: see main(). */
	assert_int_equal(waitpid(shared->qemu, &status, WNOHANG), shared->qemu);
	shared->qemu = 0;
}

/* A process that does nothing but hold the lock, as QEMU does: exec'd, by one descriptor. */
static inline void start_qemu(int lock_fd)
{
	int started[2];
	char byte;
	pid_t child;

	if (pipe2(started, O_CLOEXEC) < 0)
		_exit(15);
	child = fork();
	if (child == 0) {
		if (!shared->survives && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			_exit(1);
		if (dup2(lock_fd, QEMU_FD) < 0)
			_exit(1);
		(void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
		_exit(1);
	}
	shared->qemu = child;
	(void)close(started[1]);
	(void)!read(started[0], &byte, 1); /* ends when it has exec'd */
	(void)close(started[0]);
}

/* A pod's life up to where it runs. Exits where a step goes wrong: it is a child's. */
static inline struct lease *begin(const struct lease_opts *with, const char *name)
{
	struct lease *lease = NULL;
	int lock_fd, fd;
	char path[80];
	uid_t uid;

	(void)snprintf(path, sizeof(path), "extra/%s", name);
	if (lease_open(with, name, &lease, NULL) < 0)
		_exit(10);
	fd = openat(lease_dir(lease), "socket", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || lease_uid(lease, UID_FIRST, 100, &uid, NULL) < 0)
		_exit(11);
	(void)close(fd);
	if (file_mkdir_p(run_fd, "extra", 0700, NULL) < 0 || lease_file(lease, path, NULL) < 0)
		_exit(12);
	fd = openat(run_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || lease_process(lease, "qemu", &lock_fd, NULL) < 0)
		_exit(13);
	(void)close(fd);
	start_qemu(lock_fd);
	return lease;
}

static inline void end(struct lease *lease)
{
	if (shared->qemu) {
		(void)kill(shared->qemu, SIGKILL);
		(void)waitpid(shared->qemu, NULL, 0);
		shared->qemu = 0;
	}
	if (lease_undo(lease, NULL) < 0)
		_exit(14);
	lease_free(lease);
}

static inline void die_at_zero(void *data, const char *where)
{
	int *left = data;

	(void)where;
	if ((*left)-- == 0)
		(void)kill(getpid(), SIGKILL);
}

/* True if the child ran to its end. */
static inline bool ended(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return false;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

/* A whole life, killed after so many steps; true if it was over before. */
static inline bool live_and_die(const char *name, int steps, bool with_end)
{
	struct lease_opts with = opts;
	pid_t child;

	with.after_step = die_at_zero;
	with.data = &steps;
	(void)fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct lease *lease = begin(&with, name);

		if (with_end)
			end(lease);
		_exit(0); /* without lease_free(): as good as killed */
	}
	return ended(child);
}

static inline void count_undone(void *data, const struct lease_report *report)
{
	(void)data;
	assert_int_equal(report->num, 0);
	assert_null(report->msg);
	(void)__atomic_fetch_add(&shared->told, 1, __ATOMIC_SEQ_CST);
}

#define WITH_A_RUN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#define run_lives(name, tests) \
	(prepare_lives() < 0 ? 1 : cmocka_run_group_tests_name(name, tests, NULL, NULL))

static inline int prepare_lives(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	/* Orphans become ours, so that it can be seen whether they have ended. */
	return shared == MAP_FAILED ? -1 : prctl(PR_SET_CHILD_SUBREAPER, 1);
}

#endif
