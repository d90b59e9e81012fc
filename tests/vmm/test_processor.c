// SPDX-License-Identifier: Apache-2.0
/* What a processor may answer; and a vmm whose QEMU (a shell) is somebody else's child. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/sock.h"
#include "vmm/processor.h"
#include "vmm/vmm.h"
#include "wire/proto/tee.pb-c.h"

enum { QMP = 8, CONSOLE = 9, TEE = 10 };

static uint8_t host_data[PROCESSOR_HOST_DATA] = { 1, 2, 3 };

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* For the forked processor too, in which cmocka's assertions have no place. */
static int try_send(int fd, const ProtobufCMessage *message, int passed_fd)
{
	uint8_t packed[1024];

	if (protobuf_c_message_get_packed_size(message) > sizeof(packed))
		return -E2BIG;
	return sock_send_msg(fd, (struct bytes){ packed, protobuf_c_message_pack(message, packed) },
			     &passed_fd, passed_fd >= 0, NULL);
}

static void send_message(int fd, const ProtobufCMessage *message, int passed_fd)
{
	assert_int_equal(try_send(fd, message, passed_fd), 0);
}

/* --- the client alone: the answer is there before it asks ------------------------------------- */

static int launch(int fd, struct processor_vm *ret, struct err *err)
{
	char program[] = "/bin/qemu", option[] = "-x";
	char *argv[] = { program, option, NULL };
	const char *const nodes[] = { "vfio/vfio", "vfio/7", NULL };
	const struct spawn_fd fds[] = { { STDIN_FILENO, 5 }, { STDOUT_FILENO, 6 } };
	const struct spawn_request spawn = { .argv = argv,
					     .fds = fds,
					     .fd_count = 2,
					     .uid = 1234,
					     .gid = 1235,
					     .set_ids = true,
					     .nodes = nodes,
					     .limits.memlock_bytes = 99 };

	return processor_launch(fd,
				&(struct processor_launch){ .spawn = &spawn,
							    .tee_target = TEE,
							    .host_data = { host_data, 32 } },
				ret, err);
}

static int launch_answered(const Tee__LaunchResponse *response, int passed_fd,
			   struct processor_vm *ret, struct err *err)
{
	int pair[2], r;

	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	send_message(pair[1], &response->base, passed_fd);
	r = launch(pair[0], ret, err);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
	return r;
}

static void says_all_that_is_wanted(void **state)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	CLEANUP(buf_done) struct buf text = { 0 };
	struct processor_vm vm = { .pidfd = -1 };
	Tee__LaunchRequest *request;
	int pair[2], fds[4];
	size_t count;

	(void)state;
	response.pid = 77;
	response.isolation = SPAWN_ROOT;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	send_message(pair[1], &response.base, STDIN_FILENO);
	assert_int_equal(launch(pair[0], &vm, NULL), 0);
	assert_int_equal(vm.pid, 77);
	assert_int_equal(vm.isolation, SPAWN_ROOT);
	assert_int_equal(fcntl(vm.pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(close(vm.pidfd), 0);

	assert_int_equal(sock_recv_msg(pair[1], 65536, &text, fds, 4, &count, NULL), 0);
	assert_int_equal(count, 2);
	request = tee__launch_request__unpack(NULL, text.len, text.at);
	assert_non_null(request);
	assert_int_equal(request->n_argv, 2);
	assert_string_equal(request->argv[0], "/bin/qemu");
	assert_string_equal(request->argv[1], "-x");
	assert_int_equal(request->n_targets, 2);
	assert_int_equal(request->targets[0], 5);
	assert_int_equal(request->targets[1], 6);
	assert_int_equal(request->tee_target, TEE);
	assert_int_equal(request->uid, 1234);
	assert_int_equal(request->gid, 1235);
	assert_int_equal(request->memlock_bytes, 99);
	assert_int_equal(request->n_nodes, 2);
	assert_string_equal(request->nodes[1], "vfio/7");
	assert_int_equal(request->host_data.len, 32);
	assert_memory_equal(request->host_data.data, host_data, 32);
	tee__launch_request__free_unpacked(request, NULL);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(close(fds[i]), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

static void a_refusal_has_its_own_words(void **state)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	char text[] = "launch: no\033[2J";
	struct processor_vm vm = { .pidfd = -1 };
	int before = count_fds();
	struct err err = { 0 };

	(void)state;
	response.num = -EPERM;
	response.code = ERR_HOST;
	response.text = text;
	assert_int_equal(launch_answered(&response, -1, &vm, &err), -EPERM);
	assert_int_equal(err.code, ERR_HOST);
	assert_string_equal(err.msg, "launch: no\\x1b[2J");
	response.num = 5;
	assert_int_equal(launch_answered(&response, STDIN_FILENO, &vm, &err), -EPROTO);
	response.num = INT32_MIN;
	assert_int_equal(launch_answered(&response, -1, &vm, &err), -EPROTO);
	assert_int_equal(vm.pidfd, -1);
	/* nothing that came with it is left open */
	assert_int_equal(count_fds(), before);
}

static void an_answer_that_makes_no_sense_is_refused(void **state)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	struct processor_vm vm = { .pidfd = -1 };
	int pair[2];

	(void)state;
	response.pid = 77;
	assert_int_equal(launch_answered(&response, -1, &vm, NULL), -EPROTO);
	response.isolation = SPAWN_ROOT + 1;
	assert_int_equal(launch_answered(&response, STDIN_FILENO, &vm, NULL), -EPROTO);
	response.isolation = 0;
	response.pid = 0;
	assert_int_equal(launch_answered(&response, STDIN_FILENO, &vm, NULL), -EPROTO);

	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_send_msg(pair[1], (struct bytes){ (const uint8_t *)"\377", 1 }, NULL,
				       0, NULL),
			 0);
	assert_int_equal(launch(pair[0], &vm, NULL), -EPROTO);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(launch(pair[0], &vm, NULL), -EPIPE);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(vm.pidfd, -1);
}

static void one_that_hangs_up_is_told(void **state)
{
	struct processor_vm vm = { .pidfd = -1 };
	struct err err = { 0 };
	int pair[2], status;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	assert_int_equal(launch(pair[0], &vm, &err), -EPIPE);
	assert_string_equal(err.msg, "wait for the processor: it hung up");
	assert_int_equal(processor_read_end(pair[0], &status, NULL), -EPIPE);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

static void one_that_refuses_and_goes_is_heard(void **state)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	char text[] = "keep the key: no";
	struct processor_vm vm = { .pidfd = -1 };
	struct err err = { 0 };
	int pair[2];

	(void)state;
	response.num = -EPERM;
	response.text = text;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	send_message(pair[1], &response.base, -1);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(launch(pair[0], &vm, &err), -EPERM);
	assert_string_equal(err.msg, "keep the key: no");
	assert_int_equal(launch(pair[0], &vm, &err), -EPIPE);
	assert_string_equal(err.msg, "wait for the processor: it hung up");
	assert_int_equal(close(pair[0]), 0);
}

static void the_end_is_a_status(void **state)
{
	Tee__LaunchEnd end = TEE__LAUNCH_END__INIT;
	int pair[2], status = -1;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	end.status = 255;
	send_message(pair[1], &end.base, -1);
	assert_int_equal(processor_read_end(pair[0], &status, NULL), 0);
	assert_int_equal(status, 255);
	end.status = 256;
	send_message(pair[1], &end.base, -1);
	assert_int_equal(processor_read_end(pair[0], &status, NULL), -EPROTO);
	assert_int_equal(status, 255);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

static void connects_by_path(void **state)
{
	struct err err = { 0 };
	int fd;

	(void)state;
	assert_int_equal(processor_connect("/no/such/socket", &fd, &err), -ENOENT);
	assert_int_equal(processor_connect("/no-such-socket", &fd, &err), -ENOENT);
	assert_int_equal(processor_connect("socket", &fd, &err), -EINVAL);
	assert_int_equal(processor_connect("/tmp/", &fd, &err), -EINVAL);
}

/* --- a vmm with a processor ------------------------------------------------------------------- */

enum mode { SOUND, MUTE, GONE, EARLY };

struct fixture {
	struct loop *loop;
	struct vmm *vmm;
	pid_t processor;
	int status;
	bool has_ended;
};

static void on_exit_of_qemu(void *data, int status)
{
	struct fixture *fixture = data;

	assert_false(fixture->has_ended);
	fixture->has_ended = true;
	fixture->status = status;
}

static const struct vmm_events events = { NULL, on_exit_of_qemu };

/* A processor that measures nothing: does what is asked, and says how it ended, or doesn't. */
static int be_the_processor(int fd, enum mode mode)
{
	CLEANUP(strv_done) struct strv argv = { 0 };
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	Tee__LaunchEnd end = TEE__LAUNCH_END__INIT;
	CLEANUP(buf_done) struct buf text = { 0 };
	struct spawn_fd table[16];
	struct spawn_request spawn = { .fds = table, .die_with_parent = true };
	Tee__LaunchRequest *request;
	int fds[16], pidfd, status;
	size_t count;
	pid_t pid;

	if (sock_recv_msg(fd, 65536, &text, fds, 16, &count, NULL) < 0)
		return 1;
	request = tee__launch_request__unpack(NULL, text.len, text.at);
	for (size_t i = 0; request && i < request->n_argv; i++)
		(void)strv_add(&argv, request->argv[i]);
	for (size_t i = 0; request && i < count; i++)
		table[spawn.fd_count++] = (struct spawn_fd){ fds[i], (int)request->targets[i] };
	spawn.argv = argv.at;
	if (!request || spawn_start(&spawn, &pid, &pidfd, NULL) < 0)
		return 2;
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
	response.pid = pid;
	tee__launch_request__free_unpacked(request, NULL);
	if (try_send(fd, &response.base, pidfd) < 0)
		return 3;
	if (mode == GONE)
		(void)close(fd);
	end.status = 9;
	if (mode == EARLY && try_send(fd, &end.base, -1) < 0)
		return 4;
	if (mode == GONE || mode == EARLY)
		(void)pause();
	(void)spawn_wait(pidfd, -1, &status, NULL);
	end.status = (uint32_t)status;
	if (mode == SOUND)
		return try_send(fd, &end.base, -1) < 0 ? 4 : 0;
	(void)pause();
	return 0;
}

static int start(struct fixture *fixture, enum mode mode, const char *script, struct err *err)
{
	char program[] = "/bin/sh", option[] = "-c", text[128];
	char *argv[] = { program, option, text, NULL };
	const struct spawn_request request = { .argv = argv };
	struct vmm_processor processor = { .target = TEE, .host_data = { host_data, 32 } };
	const struct vmm_opts opts = { .spawn = &request,
				       .qmp_target = QMP,
				       .console_target = CONSOLE,
				       .processor = &processor,
				       .events = &events,
				       .data = fixture };
	int pair[2];

	(void)snprintf(text, sizeof(text), "%s", script);
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	fixture->processor = fork();
	assert_true(fixture->processor >= 0);
	if (fixture->processor == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)close(pair[0]);
		_exit(be_the_processor(pair[1], mode));
	}
	assert_int_equal(close(pair[1]), 0);
	processor.fd = pair[0];
	return vmm_start(fixture->loop, &opts, &fixture->vmm, err);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	assert_int_equal(loop_new(&fixture->loop), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	(void)vmm_free(fixture->vmm);
	(void)loop_free(fixture->loop);
	if (fixture->processor > 0) {
		(void)kill(fixture->processor, SIGKILL);
		(void)waitpid(fixture->processor, NULL, 0);
	}
	free(fixture);
	return 0;
}

static void run(struct fixture *fixture, enum mode mode, const char *script)
{
	struct err err = { 0 };

	if (start(fixture, mode, script, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 2000 && !fixture->has_ended; i++)
		assert_true(loop_step(fixture->loop, 5000) >= 0);
	assert_true(fixture->has_ended);
	assert_false(vmm_is_alive(fixture->vmm));
}

static void the_processor_tells_how_it_ended(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct fixture *fixture = *state;

	run(fixture, SOUND, "echo dying >&2; exit 9");
	assert_int_equal(fixture->status, 9);
	assert_int_equal(vmm_stderr_tail(fixture->vmm, 5, &text), 0);
	assert_int_equal(text.len, 6);
	assert_memory_equal(text.at, "dying\n", 6);
}

static void one_that_does_not_tell_holds_up_nothing(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, MUTE, "exit 9");
	assert_int_equal(fixture->status, VMM_STATUS_LOST);
}

static void one_that_goes_takes_qemu_along(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, GONE, "exec sleep 100");
	assert_int_equal(fixture->status, VMM_STATUS_LOST);
}

static void what_it_told_holds(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, EARLY, "sleep 0.2; exit 3");
	assert_int_equal(fixture->status, 9);
}

static void stop_ends_somebody_elses_child(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };

	if (start(fixture, SOUND, "exec sleep 100", &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(vmm_is_alive(fixture->vmm));
	vmm_stop(fixture->vmm);
	while (!fixture->has_ended)
		assert_true(loop_step(fixture->loop, 5000) > 0);
	assert_int_equal(fixture->status, 137);
}

static void free_kills_and_hangs_up(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };
	int status;
	pid_t pid;

	if (start(fixture, SOUND, "exec sleep 100", &err) < 0)
		fail_msg("%s", err.msg);
	pid = vmm_pid(fixture->vmm);
	assert_int_equal(kill(pid, 0), 0);
	fixture->vmm = vmm_free(fixture->vmm);
	assert_int_equal(waitpid(fixture->processor, &status, 0), fixture->processor);
	fixture->processor = 0;
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(loop_step(fixture->loop, 0), 0);
}

static void a_refused_launch_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };
	struct vmm_processor processor = { .target = TEE, .host_data = { host_data, 32 } };
	char program[] = "/bin/sh";
	char *argv[] = { program, NULL };
	const struct spawn_request request = { .argv = argv };
	const struct vmm_opts opts = { .spawn = &request,
				       .qmp_target = QMP,
				       .console_target = CONSOLE,
				       .processor = &processor,
				       .events = &events };
	int pair[2];

	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	processor.fd = pair[0];
	assert_int_equal(vmm_start(fixture->loop, &opts, &fixture->vmm, &err), -EPIPE);
	assert_null(fixture->vmm);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	assert_int_equal(close(pair[1]), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_all_that_is_wanted),
		cmocka_unit_test(a_refusal_has_its_own_words),
		cmocka_unit_test(an_answer_that_makes_no_sense_is_refused),
		cmocka_unit_test(one_that_hangs_up_is_told),
		cmocka_unit_test(one_that_refuses_and_goes_is_heard),
		cmocka_unit_test(the_end_is_a_status),
		cmocka_unit_test(connects_by_path),
		TEST(the_processor_tells_how_it_ended),
		TEST(one_that_does_not_tell_holds_up_nothing),
		TEST(one_that_goes_takes_qemu_along),
		TEST(what_it_told_holds),
		TEST(stop_ends_somebody_elses_child),
		TEST(free_kills_and_hangs_up),
		TEST(a_refused_launch_leaves_nothing),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
