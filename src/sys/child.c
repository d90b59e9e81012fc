// SPDX-License-Identifier: Apache-2.0
#include "sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "sys/signals.h"

static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr,
		  const int stdio_fds[3])
{
	sigset_t all, none;
	int r = 0;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	for (int i = 0; i < 3 && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(actions, stdio_fds[i], i);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	return -r;
}

int child_start(char *const *argv, char *const *envp, const int stdio_fds[3], pid_t *ret_pid,
		struct err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	int r;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	r = set_up(&actions, &attr, stdio_fds);
	if (r == 0)
		r = -posix_spawn(&pid, argv[0], &actions, &attr, argv, envp);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	if (r < 0)
		return err_num(err, r, "start '%s'", argv[0]);
	*ret_pid = pid;
	return 0;
}

int child_watch(int *ret_fd, struct err *err)
{
	return signals_watch(&(const int){ SIGCHLD }, 1, ret_fd, err);
}

static int collect(int flags, pid_t *ret_pid, uint32_t *ret_status)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(-1, &status, flags);
	while (pid < 0 && errno == EINTR);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		return -EAGAIN;
	*ret_pid = pid;
	*ret_status = WIFSIGNALED(status) ? 128U + (uint32_t)WTERMSIG(status)
					  : (uint32_t)WEXITSTATUS(status);
	return 0;
}

int child_next(int watch_fd, pid_t *ret_pid, uint32_t *ret_status)
{
	/* emptied before looking: a child that ends after the look is a new event */
	while (signals_next(watch_fd) > 0)
		;
	return collect(WNOHANG, ret_pid, ret_status);
}

int child_wait(pid_t *ret_pid, uint32_t *ret_status)
{
	return collect(0, ret_pid, ret_status);
}

void child_set_oom_score(int score)
{
	cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* without it the kernel chooses as it would have anyway */
	if (fd >= 0)
		(void)dprintf(fd, "%d", score);
}

int child_become_subreaper(struct err *err)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(err, "become a subreaper");
	return 0;
}
