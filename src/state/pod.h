/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod - the life of a pod's VM, as a table.
 *
 *	NEW -> BOOTING -> READY -> ENDED
 *	 |        |
 *	 +--------+-------------> ENDED
 *
 * A pod whose VM has ended keeps its containers' exit statuses and output until it is deleted;
 * it never boots a second time.
 */
#ifndef STATE_POD_H
#define STATE_POD_H

enum pod_state {
	POD_NEW,     /* nothing has been changed on the host but the run directory */
	POD_BOOTING, /* QEMU runs, the agent has not answered */
	POD_READY,
	POD_ENDED, /* QEMU is gone */
};
enum { POD_STATES = POD_ENDED + 1 };

enum pod_event {
	POD_BOOT,  /* QEMU is about to be started */
	POD_HELLO, /* the agent answered */
	POD_GONE,  /* QEMU ended, for whatever reason */
};
enum { POD_EVENTS = POD_GONE + 1 };

/* 0 and *ret_state, or -EALREADY (booted before), -ESHUTDOWN (ended), -EPROTO (not asked for). */
int state_pod_next(enum pod_state state, enum pod_event event, enum pod_state *ret_state);

const char *state_pod_name(enum pod_state state);

#endif
