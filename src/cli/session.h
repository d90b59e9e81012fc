/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - one process of a pod in the foreground of this terminal: its streams, signals and
 * window size, until it has ended and all it wrote has been written on.
 *
 * For `run` and `exec` alike:
 *
 *	session_open(&session, &client, id, exec_id, &opts, err)	FIFOs, before it is made
 *	... Create or Exec with session.in/out/err as its paths ...
 *	session_run(&session, &status, err)		Start, Wait, and all between
 *	session_done(&session)
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <termios.h>

#include "cli/client.h"
#include "cli/pump.h"

struct session_opts {
	bool interactive; /* -i: standard input goes in */
	bool terminal;	  /* -t */
	bool detach;	  /* no streams at all */
};

/* What a call came to; it may be answered when nobody waits any more. */
struct session_called {
	bool done;
	int num;
	char text[RPC_MESSAGE_MAX + 1];
};

struct session {
	struct client *client;
	const char *id, *exec_id;
	struct session_opts opts;
	char dir[40];					 /* in the pod's run directory; "": none */
	char in[160], out[160], err[160], progress[160]; /* paths of FIFOs; "": none */
	int in_fd, out_fd, err_fd, progress_fd;
	struct pump *pump_in, *pump_out, *pump_err;
	int signal_fd;
	struct loop_source *signals, *progress_source;
	struct termios old_termios;
	bool is_raw, is_started, has_ended;
	bool progress_shown;
	int interrupted; /* by a signal with no process to send it to, or SIGPIPE */
	int out_num;	 /* why our own output takes no more */
	bool was_asked;	 /* Start was called: what it says is of the program */
	uint32_t status;
	int start_num; /* what Start said: 0, or a negative errno */
	struct err *failure;
	struct session_called called;
};

int session_open(struct session *session, struct client *client, const char *id,
		 const char *exec_id, const struct session_opts *opts, struct err *err);

/*
 * Calls a method that may take long (Create, Exec): shows progress, and a signal ends it with
 * -EINTR.
 */
int session_call(struct session *session, const char *method, const ProtobufCMessage *request,
		 struct err *err);

/*
 * 0 and its exit status, or 128 and its signal; -ENOENT or -ENOEXEC: it could not be started
 * because the program is not there, or is none.
 */
int session_run(struct session *session, uint32_t *ret_status, struct err *err);

void session_done(struct session *session);

/*
 * What a failure of any of the above is to who called us: says it, and returns the exit status.
 * Nothing is said when our own output's reader has gone: that is SIGPIPE's end.
 */
int session_failed(const struct session *session, const char *command, int num,
		   const struct err *err);

#endif
