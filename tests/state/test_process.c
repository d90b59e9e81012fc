// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/process.h"

static void lives_from_create_to_delete(void **state)
{
	static const enum process_event events[] = { PROCESS_CREATE,  PROCESS_MADE,   PROCESS_START,
						     PROCESS_STARTED, PROCESS_SIGNAL, PROCESS_EXIT,
						     PROCESS_DELETE };
	static const enum process_state want[] = { PROCESS_CREATING, PROCESS_CREATED,
						   PROCESS_STARTING, PROCESS_RUNNING,
						   PROCESS_RUNNING,  PROCESS_STOPPED,
						   PROCESS_NONE };
	enum process_state at = PROCESS_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		assert_int_equal(state_process_next(at, events[i], &at), 0);
		assert_int_equal(at, want[i]);
	}
}

static void refuses_by_reason(void **state)
{
	static const struct {
		enum process_state at;
		enum process_event event;
		int want;
	} cases[] = {
		{ PROCESS_CREATED, PROCESS_CREATE, -EEXIST },
		{ PROCESS_NONE, PROCESS_START, -ENOENT },
		{ PROCESS_NONE, PROCESS_SIGNAL, -ENOENT },
		{ PROCESS_RUNNING, PROCESS_DELETE, -EBUSY },
		{ PROCESS_RUNNING, PROCESS_START, -EALREADY },
		{ PROCESS_STOPPED, PROCESS_SIGNAL, -ESRCH },
		{ PROCESS_RUNNING, PROCESS_STARTED, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum process_state at = cases[i].at;

		assert_int_equal(state_process_next(at, cases[i].event, &at), cases[i].want);
		assert_int_equal(at, cases[i].at);
	}
}

/* The VM may end at any time: every process that exists must then have an end. */
static void an_exit_ends_every_state_that_exists(void **state)
{
	(void)state;
	for (int at = PROCESS_CREATING; at < PROCESS_STATES; at++) {
		enum process_state next;

		assert_int_equal(state_process_next((enum process_state)at, PROCESS_EXIT, &next),
				 0);
		assert_true(next == PROCESS_STOPPED ||
			    (at == PROCESS_CREATING && next == PROCESS_NONE));
	}
}

static void no_step_leads_out_of_the_table(void **state)
{
	(void)state;
	for (int at = 0; at < PROCESS_STATES; at++) {
		assert_non_null(state_process_name((enum process_state)at));
		for (int event = 0; event < PROCESS_EVENTS; event++) {
			enum process_state next = PROCESS_NONE;
			int r = state_process_next((enum process_state)at,
						   (enum process_event)event, &next);

			assert_true(r <= 0);
			assert_true((int)next < PROCESS_STATES);
		}
	}
	assert_string_equal(state_process_name(PROCESS_STOPPED), "stopped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives_from_create_to_delete),
		cmocka_unit_test(refuses_by_reason),
		cmocka_unit_test(an_exit_ends_every_state_that_exists),
		cmocka_unit_test(no_step_leads_out_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
