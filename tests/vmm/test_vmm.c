// SPDX-License-Identifier: Apache-2.0
/* A shell stands in for QEMU: what it writes, how it ends, and that it doesn't stay. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/vmm.h"

enum { QMP = 8, CONSOLE = 9 };

struct fixture {
	struct loop *loop;
	struct vmm *vmm;
	char log[1024];
	bool has_ended;
	bool free_on_exit, free_on_event;
};

static void note(struct fixture *fixture, const char *what, int number, const char *text)
{
	size_t len = strlen(fixture->log);

	(void)snprintf(fixture->log + len, sizeof(fixture->log) - len, "%s %d %s;", what, number,
		       text);
}

static void on_event(void *data, const struct vmm_event *event)
{
	struct fixture *fixture = data;

	note(fixture, "event", (int)event->kind, event->detail);
	if (fixture->free_on_event) {
		fixture->vmm = vmm_free(fixture->vmm);
		fixture->has_ended = true;
	}
}

static void on_exit_of_qemu(void *data, int status)
{
	struct fixture *fixture = data;

	note(fixture, "exit", status, "");
	fixture->has_ended = true;
	if (fixture->free_on_exit)
		fixture->vmm = vmm_free(fixture->vmm);
}

static void on_reply(void *data, int num, const char *text)
{
	note(data, "reply", num, text);
}

static const struct vmm_events events = { on_event, on_exit_of_qemu };

static int start(struct fixture *fixture, const char *script, struct err *err)
{
	char program[] = "/bin/sh", option[] = "-c", text[512];
	char *argv[] = { program, option, text, NULL };
	const struct spawn_request request = { .argv = argv, .die_with_parent = true };
	const struct vmm_opts opts = {
		.spawn = &request,
		.qmp_target = QMP,
		.console_target = CONSOLE,
		.events = &events,
		.data = fixture,
	};

	(void)snprintf(text, sizeof(text), "%s", script);
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
	free(fixture);
	return 0;
}

static void run(struct fixture *fixture, const char *script)
{
	struct err err = { 0 };

	if (start(fixture, script, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 2000 && !fixture->has_ended; i++)
		assert_true(loop_step(fixture->loop, 5000) >= 0);
	assert_true(fixture->has_ended);
}

static void tail_is(int (*get)(const struct vmm *, size_t, struct buf *), struct vmm *vmm,
		    size_t lines, const char *expected)
{
	CLEANUP(buf_done) struct buf buf = { 0 };

	assert_int_equal(get(vmm, lines, &buf), 0);
	assert_int_equal(buf_add(&buf, "", 1), 0);
	assert_string_equal((const char *)buf.at, expected);
}

static void keeps_the_dying_words_and_the_status(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "echo one; echo two >&2; echo panic >&9; exit 3");
	assert_string_equal(fixture->log, "exit 3 ;");
	assert_false(vmm_is_alive(fixture->vmm));
	assert_true(vmm_pid(fixture->vmm) > 0);
	tail_is(vmm_stderr_tail, fixture->vmm, 2, "two\n");
	tail_is(vmm_console_tail, fixture->vmm, 2, "panic\n");
	assert_int_equal(vmm_remove_disk(fixture->vmm, 1, on_reply, fixture), -EPIPE);
}

static void keeps_what_was_said_last_of_much(void **state)
{
	struct fixture *fixture = *state;
	siginfo_t info;
	struct err err = { 0 };

	if (start(fixture, "head -c 60000 /dev/zero >&2; echo >&2; echo two >&2; echo p >&9",
		  &err) < 0)
		fail_msg("%s", err.msg);
	/* It has ended before anything of it is read. */
	assert_int_equal(waitid(P_PID, (id_t)vmm_pid(fixture->vmm), &info, WEXITED | WNOWAIT), 0);
	while (!fixture->has_ended)
		assert_true(loop_step(fixture->loop, 5000) > 0);
	tail_is(vmm_stderr_tail, fixture->vmm, 1, "two\n");
	tail_is(vmm_console_tail, fixture->vmm, 1, "p\n");
}

static void events_come_before_the_end(void **state)
{
	struct fixture *fixture = *state;

	run(fixture,
	    "echo '{\"QMP\":{}}' >&8; read -r line <&8; echo '{\"return\":{},\"id\":1}' >&8;"
	    "echo '{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"id\":\"port1\",\"open\":true}}' >&8;"
	    "echo '{\"event\":\"RTC_CHANGE\",\"data\":{}}' >&8;"
	    "echo '{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"id\":\"port1\",\"open\":false}}' >&8;"
	    "echo '{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest\\u0007\"}}' >&8");
	assert_string_equal(fixture->log,
			    "event 0 ;event 3 port1;event 4 port1;event 1 guest?;exit 0 ;");
}

static void a_broken_monitor_ends_qemu(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "echo junk >&8; exec sleep 100");
	assert_string_equal(fixture->log, "event 5 QEMU said what is no QMP;exit 137 ;");
}

static void a_closed_monitor_ends_qemu_in_a_while(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "exec 8>&-; exec sleep 100");
	assert_string_equal(fixture->log, "exit 137 ;");
}

static void stop_is_final_and_answers_what_is_open(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };

	if (start(fixture, "exec sleep 100", &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(vmm_add_disk(fixture->vmm, 0, 1, "a", on_reply, fixture), 0);
	assert_true(vmm_is_alive(fixture->vmm));
	vmm_stop(fixture->vmm);
	vmm_stop(fixture->vmm);
	while (!fixture->has_ended)
		assert_true(loop_step(fixture->loop, 5000) > 0);
	/* Its end is seen by socket or pidfd, whichever comes first. */
	assert_non_null(strstr(fixture->log, "reply -32 QEMU "));
	assert_non_null(strstr(fixture->log, "exit 137 ;"));
}

static void free_leaves_no_process(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };
	pid_t pid;

	if (start(fixture, "exec sleep 100", &err) < 0)
		fail_msg("%s", err.msg);
	pid = vmm_pid(fixture->vmm);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(vmm_remove_disk(fixture->vmm, 1, on_reply, fixture), 0);
	fixture->vmm = vmm_free(fixture->vmm);
	assert_null(fixture->vmm);
	assert_int_equal(kill(pid, 0), -1);
	assert_string_equal(fixture->log, "reply -32 QEMU was stopped;");
	assert_int_equal(loop_step(fixture->loop, 0), 0);
}

static void may_be_freed_in_its_callbacks(void **state)
{
	struct fixture *fixture = *state;

	fixture->free_on_exit = true;
	run(fixture, "exit 0");
	assert_null(fixture->vmm);

	fixture->has_ended = false;
	fixture->free_on_exit = false;
	fixture->free_on_event = true;
	run(fixture,
	    "echo '{\"QMP\":{}}' >&8; read -r line <&8; echo '{\"return\":{},\"id\":1}' >&8;"
	    "exec sleep 100");
	assert_null(fixture->vmm);

	/* The event is found when QEMU has ended already. */
	fixture->has_ended = false;
	run(fixture, "echo '{\"QMP\":{}}{}' >&8");
	assert_null(fixture->vmm);
}

struct flood {
	struct fixture *fixture;
	bool has_fired;
};

static void on_timer(void *data)
{
	struct flood *flood = data;

	flood->has_fired = true;
}

static void a_flood_does_not_hold_up_the_loop(void **state)
{
	struct fixture *fixture = *state;
	struct flood flood = { .fixture = fixture };
	struct loop_source *timer = NULL;
	CLEANUP(buf_done) struct buf buf = { 0 };
	struct timespec before, after;
	struct err err = { 0 };

	if (start(fixture, "exec cat /dev/zero >&9", &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(loop_timer(fixture->loop, 200, on_timer, &flood, &timer), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	while (!flood.has_fired)
		assert_true(loop_step(fixture->loop, 1000) >= 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 3);
	assert_int_equal(vmm_console_tail(fixture->vmm, 1000, &buf), 0);
	assert_true(buf.len <= VMM_CONSOLE_KEPT + 1);
	(void)loop_source_free(timer);
}

static void start_says_what_exec_said(void **state)
{
	struct fixture *fixture = *state;
	char program[] = "/no/such/qemu";
	char *argv[] = { program, NULL };
	const struct spawn_request request = { .argv = argv };
	const struct vmm_opts opts = {
		.spawn = &request, .qmp_target = QMP, .console_target = CONSOLE, .events = &events
	};
	struct err err = { 0 };

	assert_int_equal(vmm_start(fixture->loop, &opts, &fixture->vmm, &err), -ENOENT);
	assert_string_equal(err.msg, "start '/no/such/qemu': exec: No such file or directory");
	assert_null(fixture->vmm);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_the_dying_words_and_the_status),
		TEST(keeps_what_was_said_last_of_much),
		TEST(events_come_before_the_end),
		TEST(a_broken_monitor_ends_qemu),
		TEST(a_closed_monitor_ends_qemu_in_a_while),
		TEST(stop_is_final_and_answers_what_is_open),
		TEST(free_leaves_no_process),
		TEST(may_be_freed_in_its_callbacks),
		TEST(a_flood_does_not_hold_up_the_loop),
		TEST(start_says_what_exec_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
