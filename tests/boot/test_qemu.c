// SPDX-License-Identifier: Apache-2.0
/*
 * The real QEMU, contained as it is for a pod and paused before the guest's first instruction: the
 * arguments are taken, the monitor answers, disks come and go. As root it runs as another user.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "emit/qemu.h"
#include "plan/plan.h"
#include "sys/sock.h"
#include "vmm/vmm.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define FIRMWARE "/usr/share/qemu/qboot.rom"

enum { SKIPPED = 77, NOBODY = 65534, DISK_BYTES = 1 << 20, STEP_MS = 30000 };

struct pod {
	struct loop *loop;
	struct vmm *vmm;
	struct emit_qemu emit;
	struct spawn_fd fds[LAYOUT_ROLES];
	size_t fd_count;
	int agent_fd, disk_fd;
	bool is_ready, has_ended;
	int status, replies, num;
	char text[256];
};

static void on_event(void *data, const struct vmm_event *event)
{
	struct pod *pod = data;

	pod->is_ready |= event->kind == VMM_READY;
}

static void on_end(void *data, int status)
{
	struct pod *pod = data;

	pod->has_ended = true;
	pod->status = status;
}

static const struct vmm_events events = { on_event, on_end };

static void on_reply(void *data, int num, const char *text)
{
	struct pod *pod = data;

	pod->replies++;
	pod->num = num;
	(void)snprintf(pod->text, sizeof(pod->text), "%s", text);
}

/* A sealed copy, as for a pod: another user may open it anew through /proc. */
static int sealed(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), fd;
	char piece[4096];
	ssize_t n;

	assert_true(from >= 0);
	fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while ((n = read(from, piece, sizeof(piece))) > 0)
		assert_int_equal(write(fd, piece, (size_t)n), n);
	(void)close(from);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
			       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
			 0);
	return fd;
}

/* An open file for reading whose name has gone: nobody can open it by path. */
static int disk(void)
{
	char path[] = "/tmp/test-qemu-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC), read_fd;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	read_fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	return read_fd;
}

static void give(struct pod *pod, enum layout_role role, int fd)
{
	pod->fds[pod->fd_count++] = (struct spawn_fd){ fd, emit_target(role) };
}

/* Without a kernel, paused. */
static void cut_arguments(struct strv *argv)
{
	size_t kept = 0;

	for (size_t i = 0; i < argv->len; i++) {
		if (strcmp(argv->at[i], "-kernel") == 0 || strcmp(argv->at[i], "-append") == 0) {
			free(argv->at[i++]);
			free(argv->at[i]);
		} else {
			argv->at[kept++] = argv->at[i];
		}
	}
	argv->len = kept;
	assert_int_equal(strv_add(argv, "-S"), 0);
}

static int setup(void **state)
{
	static const struct manifest guest = { .base_data_blocks = 1, .base_hash_start = 1 };
	struct pod *pod = calloc(1, sizeof(*pod));
	struct layout layout;
	struct err err = { 0 };
	int agent[2];

	assert_non_null(pod);
	assert_int_equal(plan_make(&(struct plan_request){ .guest = &guest }, &layout, &err), 0);
	assert_int_equal(emit_qemu(&layout, QEMU, &pod->emit, &err), 0);
	cut_arguments(&pod->emit.argv);
	assert_int_equal(sock_pair(SOCK_STREAM, agent), 0);
	pod->agent_fd = agent[0];
	pod->disk_fd = disk();
	give(pod, LAYOUT_ROLE_FIRMWARE, sealed(FIRMWARE));
	give(pod, LAYOUT_ROLE_BASE, disk());
	give(pod, LAYOUT_ROLE_AGENT, agent[1]);
	assert_int_equal(loop_new(&pod->loop), 0);
	*state = pod;
	return 0;
}

static int teardown(void **state)
{
	struct pod *pod = *state;

	(void)vmm_free(pod->vmm);
	(void)loop_free(pod->loop);
	for (size_t i = 0; i < pod->fd_count; i++)
		(void)close(pod->fds[i].fd);
	(void)close(pod->agent_fd);
	(void)close(pod->disk_fd);
	emit_qemu_done(&pod->emit);
	free(pod);
	return 0;
}

static void start(struct pod *pod)
{
	const bool is_root = geteuid() == 0;
	const struct spawn_request request = {
		.argv = pod->emit.argv.at,
		.fds = pod->fds,
		.fd_count = pod->fd_count,
		.uid = NOBODY,
		.gid = NOBODY,
		.set_ids = is_root,
		.isolate = true,
		.die_with_parent = true,
	};
	const struct vmm_opts opts = {
		.spawn = &request,
		.qmp_target = emit_target(LAYOUT_ROLE_QMP),
		.console_target = emit_target(LAYOUT_ROLE_CONSOLE),
		.events = &events,
		.data = pod,
	};
	struct err err = { 0 };

	if (vmm_start(pod->loop, &opts, &pod->vmm, &err) < 0)
		fail_msg("%s", err.msg);
}

static void turn_until(struct pod *pod, const bool *is_true, int replies)
{
	CLEANUP(buf_done) struct buf said = { 0 };

	while (!*is_true && pod->replies < replies) {
		if (loop_step(pod->loop, STEP_MS) > 0 &&
		    (!pod->has_ended || is_true == &pod->has_ended))
			continue;
		assert_int_equal(vmm_stderr_tail(pod->vmm, 5, &said), 0);
		fail_msg("QEMU, status %d: %.*s", pod->status, (int)said.len,
			 (const char *)said.at);
	}
}

static void started(struct pod *pod)
{
	start(pod);
	turn_until(pod, &pod->is_ready, 1);
}

static void replied(struct pod *pod, int taken, int num, const char *text)
{
	static const bool never;

	assert_int_equal(taken, 0);
	turn_until(pod, &never, pod->replies + 1);
	assert_int_equal(pod->num, num);
	if (!strstr(pod->text, text))
		fail_msg("'%s' does not say '%s'", pod->text, text);
}

/* A line of /proc/PID/status. */
static void status_says(pid_t pid, const char *key, const char *value)
{
	char path[64], line[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		assert_string_equal(line + strlen(key), value);
		(void)fclose(file);
		return;
	}
	fail_msg("no '%s'", key);
}

static void takes_the_arguments_and_is_contained(void **state)
{
	struct pod *pod = *state;

	started(pod);
	status_says(vmm_pid(pod->vmm), "Seccomp:", "\t2\n");
	status_says(vmm_pid(pod->vmm), "NoNewPrivs:", "\t1\n");
	status_says(vmm_pid(pod->vmm), "CapEff:", "\t0000000000000000\n");
	if (geteuid() == 0)
		status_says(vmm_pid(pod->vmm), "Uid:", "\t65534\t65534\t65534\t65534\n");
	print_message("isolation %d\n", (int)vmm_isolation(pod->vmm));
	vmm_stop(pod->vmm);
	turn_until(pod, &pod->has_ended, 1);
	assert_int_equal(pod->status, 128 + SIGKILL);
}

static void disks_come_and_go(void **state)
{
	struct pod *pod = *state;

	started(pod);
	for (int round = 0; round < 2; round++) {
		replied(pod, vmm_add_disk(pod->vmm, pod->disk_fd, 1, "layer-1", on_reply, pod), 0,
			"");
		replied(pod, vmm_add_disk(pod->vmm, pod->disk_fd, 255, "layer-255", on_reply, pod),
			0, "");
		replied(pod, vmm_remove_disk(pod->vmm, 1, on_reply, pod), 0, "");
		replied(pod, vmm_remove_disk(pod->vmm, 255, on_reply, pod), 0, "");
	}
}

static void refusals_leave_nothing_behind(void **state)
{
	struct pod *pod = *state;
	cleanup_close int write_only = open("/dev/null", O_WRONLY | O_CLOEXEC);

	started(pod);
	replied(pod, vmm_add_disk(pod->vmm, write_only, 1, "x", on_reply, pod), -EREMOTEIO, "");
	replied(pod, vmm_remove_disk(pod->vmm, 1, on_reply, pod), -EREMOTEIO, "disk1");
	replied(pod, vmm_add_disk(pod->vmm, pod->disk_fd, 1, "x", on_reply, pod), 0, "");
	replied(pod, vmm_add_disk(pod->vmm, pod->disk_fd, 1, "x", on_reply, pod), -EREMOTEIO,
		"disk1");
	replied(pod, vmm_remove_disk(pod->vmm, 1, on_reply, pod), 0, "");
}

static void many_disks_may_be_asked_for_before_it_answers(void **state)
{
	struct pod *pod = *state;
	static const bool never;
	char serial[16];

	start(pod);
	for (uint16_t lun = 1; lun <= 128; lun++) {
		(void)snprintf(serial, sizeof(serial), "layer%u", lun);
		assert_int_equal(vmm_add_disk(pod->vmm, pod->disk_fd, lun, serial, on_reply, pod),
				 0);
	}
	turn_until(pod, &never, 128);
	assert_int_equal(pod->num, 0);
}

static void a_bad_argument_is_told_in_qemus_words(void **state)
{
	struct pod *pod = *state;
	CLEANUP(buf_done) struct buf said = { 0 };

	assert_int_equal(strv_add(&pod->emit.argv, "-nonsense"), 0);
	start(pod);
	turn_until(pod, &pod->has_ended, 1);
	assert_int_equal(pod->status, 1);
	assert_int_equal(vmm_stderr_tail(pod->vmm, 1, &said), 0);
	assert_int_equal(buf_add(&said, "", 1), 0);
	assert_non_null(strstr((const char *)said.at, "-nonsense"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_the_arguments_and_is_contained),
		TEST(disks_come_and_go),
		TEST(refusals_leave_nothing_behind),
		TEST(many_disks_may_be_asked_for_before_it_answers),
		TEST(a_bad_argument_is_told_in_qemus_words),
	};

	if (access(QEMU, X_OK) < 0 || access(FIRMWARE, R_OK) < 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
