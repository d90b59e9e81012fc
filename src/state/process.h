/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - what may happen to a process of a container, as a table.
 *
 * A container is its first process; the others are exec'd into it. Host and guest keep the same
 * states, so that neither can be asked for a step that the other would not take.
 *
 *	NONE -> CREATING -> CREATED -> STARTING -> RUNNING -> STOPPED
 *	             |                     |
 *	             +-> NONE              +-> STOPPED   (it could not be made, or not be started)
 */
#ifndef STATE_PROCESS_H
#define STATE_PROCESS_H

enum process_state {
	PROCESS_NONE, /* not there, or deleted */
	PROCESS_CREATING,
	PROCESS_CREATED,
	PROCESS_STARTING,
	PROCESS_RUNNING,
	PROCESS_STOPPED,
};
enum { PROCESS_STATES = PROCESS_STOPPED + 1 };

enum process_event {
	PROCESS_CREATE, /* somebody asks for it */
	PROCESS_MADE,	/* its image, mounts and configuration are there */
	PROCESS_START,
	PROCESS_STARTED, /* it has a process ID */
	PROCESS_FAIL,	 /* the step under way did not succeed */
	PROCESS_EXIT,	 /* it ended, or its VM did */
	PROCESS_SIGNAL,
	PROCESS_DELETE,
};
enum { PROCESS_EVENTS = PROCESS_DELETE + 1 };

/*
 * The state after event: 0 and *ret_state; or why the event may not happen in that state:
 *
 *	-EEXIST  it is there already (create)
 *	-ENOENT  it is not there
 *	-EBUSY   a step is under way, or it runs (delete)
 *	-EALREADY  it was started before (start)
 *	-ESRCH   it has ended, or not begun (signal)
 *	-EPROTO  the other side reports a step that was not asked for
 */
int state_process_next(enum process_state state, enum process_event event,
		       enum process_state *ret_state);

/* "created", "running", ...: the words of the OCI runtime specification (runtime.md, State). */
const char *state_process_name(enum process_state state);

#endif
