// SPDX-License-Identifier: Apache-2.0
#include "state/process.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/macro.h"

/* What each pair leads to: a state, or a negative errno. */
static const int table[PROCESS_STATES][PROCESS_EVENTS] = {
	[PROCESS_NONE] = {
		[PROCESS_CREATE] = PROCESS_CREATING, [PROCESS_MADE] = -EPROTO,
		[PROCESS_START] = -ENOENT, [PROCESS_STARTED] = -EPROTO,
		[PROCESS_FAIL] = -EPROTO, [PROCESS_EXIT] = -EPROTO,
		[PROCESS_SIGNAL] = -ENOENT, [PROCESS_DELETE] = -ENOENT,
	},
	[PROCESS_CREATING] = {
		[PROCESS_CREATE] = -EEXIST, [PROCESS_MADE] = PROCESS_CREATED,
		[PROCESS_START] = -EBUSY, [PROCESS_STARTED] = -EPROTO,
		[PROCESS_FAIL] = PROCESS_NONE, [PROCESS_EXIT] = PROCESS_NONE,
		[PROCESS_SIGNAL] = -EBUSY, [PROCESS_DELETE] = -EBUSY,
	},
	[PROCESS_CREATED] = {
		[PROCESS_CREATE] = -EEXIST, [PROCESS_MADE] = -EPROTO,
		[PROCESS_START] = PROCESS_STARTING, [PROCESS_STARTED] = -EPROTO,
		[PROCESS_FAIL] = -EPROTO, [PROCESS_EXIT] = PROCESS_STOPPED,
		[PROCESS_SIGNAL] = -ESRCH, [PROCESS_DELETE] = PROCESS_NONE,
	},
	[PROCESS_STARTING] = {
		[PROCESS_CREATE] = -EEXIST, [PROCESS_MADE] = -EPROTO,
		[PROCESS_START] = -EALREADY, [PROCESS_STARTED] = PROCESS_RUNNING,
		[PROCESS_FAIL] = PROCESS_STOPPED, [PROCESS_EXIT] = PROCESS_STOPPED,
		[PROCESS_SIGNAL] = -EBUSY, [PROCESS_DELETE] = -EBUSY,
	},
	[PROCESS_RUNNING] = {
		[PROCESS_CREATE] = -EEXIST, [PROCESS_MADE] = -EPROTO,
		[PROCESS_START] = -EALREADY, [PROCESS_STARTED] = -EPROTO,
		[PROCESS_FAIL] = -EPROTO, [PROCESS_EXIT] = PROCESS_STOPPED,
		[PROCESS_SIGNAL] = PROCESS_RUNNING, [PROCESS_DELETE] = -EBUSY,
	},
	[PROCESS_STOPPED] = {
		[PROCESS_CREATE] = -EEXIST, [PROCESS_MADE] = -EPROTO,
		[PROCESS_START] = -EALREADY, [PROCESS_STARTED] = -EPROTO,
		[PROCESS_FAIL] = -EPROTO, [PROCESS_EXIT] = PROCESS_STOPPED,
		[PROCESS_SIGNAL] = -ESRCH, [PROCESS_DELETE] = PROCESS_NONE,
	},
};

int state_process_next(enum process_state state, enum process_event event,
		       enum process_state *ret_state)
{
	int next;

	assert((unsigned int)state < PROCESS_STATES && (unsigned int)event < PROCESS_EVENTS);
	next = table[state][event];
	if (next < 0)
		return next;
	*ret_state = (enum process_state)next;
	return 0;
}

const char *state_process_name(enum process_state state)
{
	static const char *const names[] = { "none",	 "creating", "created",
					     "starting", "running",  "stopped" };

	static_assert(ARRAY_SIZE(names) == PROCESS_STATES, "a name for each state");
	assert((unsigned int)state < PROCESS_STATES);
	return names[state];
}
