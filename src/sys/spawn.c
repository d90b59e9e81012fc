// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: the child is a plain fork (clone with CLONE_PIDFD and perhaps new namespaces; not
 * a vfork, since a child that changes its user must not share our memory). It holds the writing
 * end of a pipe that exec closes: what comes out of the pipe is the step that went wrong, its end
 * is success. Isolation is tried from the most to the least: where the kernel refuses the
 * namespaces, or one of the steps inside them goes wrong, the child ends and a new one is made with
 * less. All that happens before exec, so a try costs a fork.
 *
 * The same pipe tells the child whether its parent lives: asked after PR_SET_PDEATHSIG, when no
 * death can be missed any more. (getppid() tells nothing in a PID namespace.)
 */
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/jail.h"

/* Exit statuses of a child that did not come to exec. */
enum { SPAWN_FAILED = 127, SPAWN_UNHEARD = 126 };

/* What the child says before it ends; shorter than PIPE_BUF, so it comes whole. */
struct spawn_report {
	int num;
	bool is_isolation; /* a step that can be left out */
	char step[48];
};

/* What one try of a start needs in the child. */
struct spawn_try {
	const struct spawn_request *request;
	enum spawn_isolation isolation;
	bool has_user_ns;
	uid_t uid; /* the caller's */
	gid_t gid;
	int report_fd; /* the child's end, and ours */
	int read_fd;
	struct spawn_report report;
};

static int spawn_step(struct spawn_try *try, const char *step, int num)
{
	try->report.num = num;
	(void)snprintf(try->report.step, sizeof(try->report.step), "%s", step);
	return num;
}

static int spawn_step_errno(struct spawn_try *try, const char *step)
{
	return spawn_step(try, step, errno > 0 ? -errno : -EIO);
}

/* --- in the child ------------------------------------------------------------------------- */

/* Asked of the kernel: libc refuses the two that it keeps for itself, which may be ignored too. */
static void spawn_reset_signals(void)
{
	static const uint64_t by_default[4] = { 0 }; /* struct sigaction as the kernel has it */

	for (int signum = 1; signum < NSIG; signum++)
		(void)syscall(SYS_rt_sigaction, signum, by_default, NULL, sizeof(uint64_t));
}

/* A target may be the number of a descriptor still to be placed: all go above the targets first. */
static int spawn_place_fds(struct spawn_try *try)
{
	const struct spawn_request *request = try->request;
	int above = STDERR_FILENO + 1, staged[SPAWN_FDS_MAX + 1];
	bool has_std[STDERR_FILENO + 1] = { false };

	for (size_t i = 0; i < request->fd_count; i++) {
		if (request->fds[i].target >= above)
			above = request->fds[i].target + 1;
		if (request->fds[i].target <= STDERR_FILENO)
			has_std[request->fds[i].target] = true;
	}
	try->report_fd = fcntl(try->report_fd, F_DUPFD_CLOEXEC, above);
	if (try->report_fd < 0)
		return spawn_step_errno(try, "duplicate a descriptor");
	for (size_t i = 0; i < request->fd_count; i++) {
		staged[i] = fcntl(request->fds[i].fd, F_DUPFD_CLOEXEC, above);
		if (staged[i] < 0)
			return spawn_step_errno(try, "duplicate a descriptor");
	}
	staged[request->fd_count] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (staged[request->fd_count] < 0)
		return spawn_step_errno(try, "open '/dev/null'");
	if (close_range(0, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return spawn_step_errno(try, "close other descriptors");
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		int null_fd = staged[request->fd_count];

		if (has_std[fd])
			continue;
		if (null_fd == fd ? fcntl(fd, F_SETFD, 0) < 0 : dup2(null_fd, fd) < 0)
			return spawn_step_errno(try, "place a descriptor");
	}
	for (size_t i = 0; i < request->fd_count; i++) {
		if (dup2(staged[i], request->fds[i].target) < 0)
			return spawn_step_errno(try, "place a descriptor");
	}
	return 0;
}

static int spawn_isolate(struct spawn_try *try)
{
	const char *step = "";
	int r = 0;

	try->report.is_isolation = true;
	if (try->has_user_ns)
		r = jail_map_ids(try->uid, try->gid, &step);
	if (r == 0 && try->isolation == SPAWN_ROOT)
		r = jail_enter_root(try->request->nodes, &step);
	if (r < 0)
		return spawn_step(try, step, r);
	try->report.is_isolation = false;
	return 0;
}

static int spawn_limit(struct spawn_try *try, __rlimit_resource_t which, uint64_t value,
		       const char *step)
{
	const struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	return setrlimit(which, &limit) < 0 ? spawn_step_errno(try, step) : 0;
}

static int spawn_set_limits(struct spawn_try *try)
{
	const struct spawn_request *request = try->request;
	int r;

	r = spawn_limit(try, RLIMIT_CORE, request->limits.core_bytes, "limit core files");
	if (r == 0 && request->limits.memlock_bytes)
		r = spawn_limit(try, RLIMIT_MEMLOCK, request->limits.memlock_bytes,
				"limit locked memory");
	if (r == 0 && request->limits.fsize_bytes)
		r = spawn_limit(try, RLIMIT_FSIZE, request->limits.fsize_bytes, "limit file sizes");
	if (r == 0 && request->limits.nofile)
		r = spawn_limit(try, RLIMIT_NOFILE, request->limits.nofile, "limit descriptors");
	return r;
}

static int spawn_set_ids(struct spawn_try *try)
{
	const struct spawn_request *request = try->request;

	if (setgroups(0, NULL) < 0)
		return spawn_step_errno(try, "leave all groups");
	if (setresgid(request->gid, request->gid, request->gid) < 0)
		return spawn_step_errno(try, "set the group ID");
	if (setresuid(request->uid, request->uid, request->uid) < 0)
		return spawn_step_errno(try, "set the user ID");
	return 0;
}

/* While still root: what exec could give back. Without CAP_SETPCAP there is nothing to drop. */
static int spawn_drop_bounding(struct spawn_try *try)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL || errno == EPERM)
			break;
		return spawn_step_errno(try, "drop capabilities");
	}
	return 0;
}

static int spawn_drop_caps(struct spawn_try *try)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0)
		return spawn_step_errno(try, "drop capabilities");
	return 0;
}

/* Changing the user clears the signal, so this comes after. */
static int spawn_tie_to_parent(struct spawn_try *try)
{
	struct pollfd end = { .fd = try->report_fd };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return spawn_step_errno(try, "be tied to the parent");
	if (poll(&end, 1, 0) > 0 && end.revents & POLLERR)
		return spawn_step(try, "be tied to the parent", -EPIPE);
	return 0;
}

/* Returns only if something went wrong, and then try->report says what. */
static void spawn_become(struct spawn_try *try)
{
	static char *const no_env[] = { NULL };
	const struct spawn_request *request = try->request;
	sigset_t empty;
	int r;

	(void)close(try->read_fd);
	spawn_reset_signals();
	(void)setsid();
	r = spawn_place_fds(try);
	(void)umask(022); /* another user has to get through the folders of its root */
	if (r == 0 && try->isolation != SPAWN_SHARED)
		r = spawn_isolate(try);
	(void)umask(077);
	if (r == 0 && chdir("/") < 0)
		r = spawn_step_errno(try, "change to '/'");
	if (r == 0)
		r = spawn_set_limits(try);
	if (r == 0 && !request->keep_caps)
		r = spawn_drop_bounding(try);
	if (r == 0 && request->set_ids)
		r = spawn_set_ids(try);
	if (r == 0 && !request->keep_caps)
		r = spawn_drop_caps(try);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = spawn_step_errno(try, "give up new privileges");
	if (r == 0 && request->die_with_parent)
		r = spawn_tie_to_parent(try);
	if (r < 0)
		return;
	(void)sigemptyset(&empty);
	(void)sigprocmask(SIG_SETMASK, &empty, NULL);
	(void)execve(request->argv[0], request->argv, request->envp ? request->envp : no_env);
	/* A program that lies elsewhere than in /usr isn't there in a root of its own. */
	try->report.is_isolation = try->isolation == SPAWN_ROOT;
	(void)spawn_step_errno(try, "exec");
}

/* --- in the parent ------------------------------------------------------------------------ */

static unsigned long spawn_clone_flags(const struct spawn_try *try)
{
	unsigned long flags = SIGCHLD | CLONE_PIDFD;

	if (try->isolation >= SPAWN_NAMESPACES)
		flags |= CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	if (try->isolation == SPAWN_ROOT)
		flags |= CLONE_NEWNS;
	if (try->has_user_ns)
		flags |= CLONE_NEWUSER;
	return flags;
}

/* 0: the child has exec'd; 1: it ended, and *report says why. */
static int spawn_read_report(int fd, struct spawn_report *report)
{
	ssize_t n;

	do {
		n = read(fd, report, sizeof(*report));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	return n == sizeof(*report) ? 1 : -EIO;
}

/* As spawn_read_report(); with 0, *ret_pid and *ret_pidfd are those of the child. */
static int spawn_try_once(struct spawn_try *try, pid_t *ret_pid, int *ret_pidfd)
{
	cleanup_close int pidfd = -1;
	sigset_t all, before;
	int ends[2], r, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return spawn_step_errno(try, "make a pipe");
	try->read_fd = ends[0];
	try->report_fd = ends[1];
	try->report = (struct spawn_report){ 0 };
	/* No handler of ours may run in the child. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = (pid_t)syscall(SYS_clone, spawn_clone_flags(try), NULL, &pidfd, NULL, NULL);
	if (pid == 0) {
		spawn_become(try);
		/* If nobody can be told, nobody is there. */
		_exit(write(try->report_fd, &try->report, sizeof(try->report)) < 0 ? SPAWN_UNHEARD
										   : SPAWN_FAILED);
	}
	r = pid < 0 ? -errno : 0;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)close(ends[1]);
	if (r < 0) {
		(void)close(ends[0]);
		try->report.is_isolation = try->isolation != SPAWN_SHARED;
		(void)spawn_step(try, "make a process", r);
		return 1;
	}
	r = spawn_read_report(ends[0], &try->report);
	(void)close(ends[0]);
	if (r != 0) {
		(void)spawn_kill(pidfd, SIGKILL);
		(void)spawn_wait(pidfd, -1, &status, NULL);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = steal_fd(&pidfd);
	return 0;
}

static int spawn_check(const struct spawn_request *request, struct err *err)
{
	bool taken[SPAWN_TARGET_MAX + 1] = { false };

	if (!request->argv || !request->argv[0])
		return err_set(err, -EINVAL, "start a program: there is no program");
	if (request->fd_count > SPAWN_FDS_MAX)
		return err_set(err, -EINVAL, "start '%s': %zu descriptors are more than %d",
			       request->argv[0], request->fd_count, SPAWN_FDS_MAX);
	for (size_t i = 0; i < request->fd_count; i++) {
		int target = request->fds[i].target;

		if (target < 0 || target > SPAWN_TARGET_MAX || taken[target])
			return err_set(err, -EINVAL, "start '%s': target %d of descriptor %d is %s",
				       request->argv[0], target, request->fds[i].fd,
				       target < 0 || target > SPAWN_TARGET_MAX ? "out of range"
									       : "taken");
		taken[target] = true;
		if (fcntl(request->fds[i].fd, F_GETFD) < 0)
			return err_sys(err, "start '%s': descriptor %d for target %d",
				       request->argv[0], request->fds[i].fd, target);
	}
	return 0;
}

int spawn_start(const struct spawn_request *request, pid_t *ret_pid, int *ret_pidfd,
		struct err *err)
{
	struct spawn_try try = { .request = request, .uid = geteuid(), .gid = getegid() };
	int r;

	r = spawn_check(request, err);
	if (r < 0)
		return r;
	try.isolation = request->isolate ? SPAWN_ROOT : SPAWN_SHARED;
	for (;;) {
		try.has_user_ns = try.isolation != SPAWN_SHARED && try.uid != 0;
		r = spawn_try_once(&try, ret_pid, ret_pidfd);
		if (r < 0)
			return err_num(err, r, "start '%s'", request->argv[0]);
		if (r == 0)
			break;
		if (!try.report.is_isolation || try.isolation == SPAWN_SHARED)
			return err_num(err, try.report.num, "start '%s': %s", request->argv[0],
				       try.report.step);
		try.isolation--;
	}
	if (request->ret_isolation)
		*request->ret_isolation = try.isolation;
	return 0;
}

static uint64_t spawn_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int spawn_poll(int pidfd, int timeout_ms)
{
	const uint64_t end = spawn_now_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	struct pollfd entry = { .fd = pidfd, .events = POLLIN };
	int left = timeout_ms, r;

	while ((r = poll(&entry, 1, left)) < 0 && errno == EINTR) {
		uint64_t now = spawn_now_ms();

		if (timeout_ms >= 0)
			left = now < end ? (int)(end - now) : 0;
	}
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

int spawn_wait(int pidfd, int timeout_ms, int *ret_status, struct err *err)
{
	siginfo_t info = { 0 };
	int r;

	r = spawn_poll(pidfd, timeout_ms);
	if (r == -ETIMEDOUT)
		return err_set(err, r, "wait for a process: it lives after %d ms", timeout_ms);
	if (r < 0)
		return err_num(err, r, "wait for a process");
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) {
		if (errno != EINTR)
			return err_sys(err, "wait for a process");
	}
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 0;
}

int spawn_kill(int pidfd, int signum)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}
