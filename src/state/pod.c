// SPDX-License-Identifier: Apache-2.0
#include "state/pod.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/macro.h"

static const int table[POD_STATES][POD_EVENTS] = {
	[POD_NEW] = {
		[POD_BOOT] = POD_BOOTING, [POD_HELLO] = -EPROTO, [POD_GONE] = POD_ENDED,
	},
	[POD_BOOTING] = {
		[POD_BOOT] = -EALREADY, [POD_HELLO] = POD_READY, [POD_GONE] = POD_ENDED,
	},
	[POD_READY] = {
		[POD_BOOT] = -EALREADY, [POD_HELLO] = -EPROTO, [POD_GONE] = POD_ENDED,
	},
	[POD_ENDED] = {
		[POD_BOOT] = -ESHUTDOWN, [POD_HELLO] = -ESHUTDOWN, [POD_GONE] = POD_ENDED,
	},
};

int state_pod_next(enum pod_state state, enum pod_event event, enum pod_state *ret_state)
{
	int next;

	assert((unsigned int)state < POD_STATES && (unsigned int)event < POD_EVENTS);
	next = table[state][event];
	if (next < 0)
		return next;
	*ret_state = (enum pod_state)next;
	return 0;
}

const char *state_pod_name(enum pod_state state)
{
	static const char *const names[] = { "new", "booting", "ready", "ended" };

	static_assert(ARRAY_SIZE(names) == POD_STATES, "a name for each state");
	assert((unsigned int)state < POD_STATES);
	return names[state];
}
