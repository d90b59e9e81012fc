/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - the processor's program (CASEMATE_SIMTEE), with a script in QEMU's place, and a launch
 * to be given to it. The script copies what the test says as the guest to the processor's port, and
 * back: descriptors RELAY and TEE.
 */
#ifndef TESTS_SIMTEE_MACHINE_H
#define TESTS_SIMTEE_MACHINE_H

#include "folder.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "sys/file.h"
#include "sys/sock.h"
#include "sys/spawn.h"
#include "vmm/processor.h"

enum {
	KERNEL = 3,
	FIRMWARE = 4,
	TEE = 8,
	RELAY = 9,
	UID_FIRST = 70000,
	UID_COUNT = 4,
	KEY_UID = 69999,
	NOBODY = 65534,
	PAGE = 4096,
};

struct machine {
	pid_t pid;
	char dir[64], qemu[64], socket[64];
};

static inline void machine_write(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static inline void machine_init(struct machine *machine)
{
	(void)snprintf(machine->dir, sizeof(machine->dir), "%s/key", folder_path);
	(void)snprintf(machine->qemu, sizeof(machine->qemu), "%s/qemu", folder_path);
	(void)snprintf(machine->socket, sizeof(machine->socket), "%s/run/socket", folder_path);
	machine->pid = -1;
	assert_int_equal(chmod(folder_path, 0755), 0);
	machine_write(machine->qemu,
		      "#!/bin/sh\n"
		      "case $* in *' exit='*) exit 7;; *' sleep='*) exec sleep 100;; esac\n"
		      "cat <&8 >&9 & cat <&9 >&8; sleep 100\n",
		      0755);
	assert_int_equal(chmod(machine->qemu, 0755), 0);
}

/* For a child: its end if the build does not say which. */
static inline const char *machine_program(void)
{
	const char *program = getenv("CASEMATE_SIMTEE");

	if (!program)
		_exit(126);
	return program;
}

/* last is "--socket", or "--connection" with connection_fd as its descriptor 3. */
static inline void machine_exec(const struct machine *machine, int connection_fd)
{
	static const char uid[] = "69999", first[] = "70000", count[] = "4";
	const char *program = machine_program();

	/* a test that fails, or is killed, leaves none behind */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		_exit(126);
	if (connection_fd >= 0 && dup2(connection_fd, 3) < 0)
		_exit(126);
	(void)execl(program, program, "--qemu", machine->qemu, "--dir", machine->dir, "--uid", uid,
		    "--uid-first", first, "--uid-count", count,
		    connection_fd >= 0 ? "--connection" : "--socket",
		    connection_fd >= 0 ? "3" : machine->socket, (char *)NULL);
	_exit(127);
}

static inline void machine_start(struct machine *machine)
{
	int fd, r;

	machine->pid = fork();
	assert_true(machine->pid >= 0);
	if (machine->pid == 0)
		machine_exec(machine, -1);
	for (int i = 0; i < 1000; i++) {
		r = processor_connect(machine->socket, &fd, NULL);
		if (r == 0) {
			assert_int_equal(close(fd), 0);
			return;
		}
		assert_int_equal(waitpid(machine->pid, NULL, WNOHANG), 0);
		(void)usleep(10000);
	}
	fail_msg("the processor does not come up: %d", r);
}

static inline void machine_stop(struct machine *machine, int signum, int expected)
{
	int status;

	assert_true(machine->pid > 0);
	assert_int_equal(kill(machine->pid, signum), 0);
	assert_int_equal(waitpid(machine->pid, &status, 0), machine->pid);
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
			 expected);
	machine->pid = -1;
}

/* What is launched; a test alters it. */
struct launch {
	struct machine *machine;
	uint8_t kernel[100], firmware[2 * PAGE], host_data[32];
	char append[64], smp[32], extra[32], kernel_arg[64];
	bool is_unsealed;
	uid_t uid;
	uint64_t memlock;
	/* of the VM, once it was launched */
	int fd, pidfd, relay_fd;
	pid_t pid;
};

static inline struct launch launch_sound(struct machine *machine)
{
	struct launch launch = { .machine = machine,
				 .append = "console=ttyS0",
				 .smp = "cpus=2",
				 .extra = "relay=1",
				 .kernel_arg = "/proc/self/fd/3",
				 .uid = UID_FIRST,
				 .fd = -1,
				 .pidfd = -1,
				 .relay_fd = -1 };

	memset(launch.kernel, 'k', sizeof(launch.kernel));
	memset(launch.firmware, 'f', sizeof(launch.firmware));
	memset(launch.host_data, 'h', sizeof(launch.host_data));
	return launch;
}

static inline size_t launch_args(const struct launch *launch, const char *ret[16])
{
	const char *const args[] = { launch->machine->qemu,
				     "-append",
				     launch->append,
				     "-bios",
				     "/proc/self/fd/4",
				     "-kernel",
				     launch->kernel_arg,
				     "-name",
				     launch->extra,
				     "-no-reboot",
				     "-smp",
				     launch->smp };

	memcpy(ret, args, sizeof(args));
	return ARRAY_SIZE(args);
}

static inline int launch_memfd(const uint8_t *at, size_t len, bool is_sealed)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, at, len), (ssize_t)len);
	if (is_sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS,
				       F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
				 0);
	return fd;
}

/* On a connection that is there; the launch has it then. */
static inline int launch_on(struct launch *launch, int take_fd, struct err *err)
{
	int kernel_fd = launch_memfd(launch->kernel, sizeof(launch->kernel), !launch->is_unsealed);
	int firmware_fd = launch_memfd(launch->firmware, sizeof(launch->firmware), true);
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct processor_vm vm = { .pidfd = -1 };
	const char *args[16];
	int relay[2], r;

	assert_int_equal(sock_pair(SOCK_STREAM, relay), 0);
	for (size_t i = 0, n = launch_args(launch, args); i < n; i++)
		assert_int_equal(strv_add(&argv, args[i]), 0);
	const struct spawn_fd fds[] = { { kernel_fd, KERNEL },
					{ firmware_fd, FIRMWARE },
					{ relay[1], RELAY } };
	const struct spawn_request spawn = { .argv = argv.at,
					     .fds = fds,
					     .fd_count = ARRAY_SIZE(fds),
					     .uid = launch->uid,
					     .gid = launch->uid,
					     .set_ids = true,
					     .limits.memlock_bytes = launch->memlock };

	r = processor_launch(
		take_fd,
		&(struct processor_launch){
			.spawn = &spawn,
			.tee_target = TEE,
			.host_data = { launch->host_data, sizeof(launch->host_data) } },
		&vm, err);
	(void)close(kernel_fd);
	(void)close(firmware_fd);
	(void)close(relay[1]);
	launch->fd = take_fd;
	launch->relay_fd = relay[0];
	launch->pidfd = vm.pidfd;
	launch->pid = vm.pid;
	return r;
}

static inline int launch_try(struct launch *launch, struct err *err)
{
	int fd;

	assert_int_equal(processor_connect(launch->machine->socket, &fd, NULL), 0);
	return launch_on(launch, fd, err);
}

static inline void launch_start(struct launch *launch)
{
	struct err err = { 0 };

	if (launch_try(launch, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void launch_done(struct launch *launch)
{
	int *const fds[] = { &launch->fd, &launch->pidfd, &launch->relay_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
		*fds[i] = -1;
	}
}

/* QEMU's end, which is not our child's. */
static inline void launch_has_ended(const struct launch *launch)
{
	assert_int_equal(spawn_wait(launch->pidfd, 5000, &(int){ 0 }, NULL), -ECHILD);
}

#endif
