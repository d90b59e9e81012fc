// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a processor that runs as a service is connected to. Where nobody listens, root's
 * pod starts one of its own, on one end of a pair, which ends with that connection and dies with
 * this process.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pod/pod_priv.h"
#include "sys/sock.h"
#include "sys/spawn.h"

enum {
	CONNECTION_TARGET = 3, /* as the processor's arguments have it */
	PROCESSOR_END_MS = 3000,
};

static int start_own(struct pod *pod, int *ret_fd, struct err *err)
{
	const Casemate__Tee *tee = pod->vm->tee;
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct spawn_fd handed;
	int pair[2] = { -1, -1 }, r = 0;
	pid_t pid;

	/* the message's list has no NULL at its end */
	for (size_t i = 0; i < tee->n_processor_argv && r == 0; i++)
		r = strv_add(&argv, tee->processor_argv[i]);
	if (r == 0)
		r = sock_pair(SOCK_STREAM, pair);
	if (r < 0)
		return err_num(err, r, "start a processor");
	handed = (struct spawn_fd){ pair[1], CONNECTION_TARGET };
	r = spawn_start(&(struct spawn_request){ .argv = argv.at,
						 .fds = &handed,
						 .fd_count = 1,
						 .die_with_parent = true,
						 .keep_caps = true },
			&pid, &pod->processor_pidfd, err);
	(void)close(pair[1]);
	if (r < 0) {
		(void)close(pair[0]);
		return err_wrap(err, r, "--tee %s: start a processor", tee->kind);
	}
	*ret_fd = pair[0];
	return 0;
}

int pod_processor_connect(struct pod *pod, int *ret_fd, struct err *err)
{
	const Casemate__Tee *tee = pod->vm->tee;
	struct err why = { 0 };
	int r;

	r = processor_connect(tee->processor, ret_fd, &why);
	if (r == 0)
		return 0;
	if (r != -ENOENT && r != -ECONNREFUSED)
		return err_coded(err, ERR_HOST, r, "--tee %s: %s", tee->kind, why.msg);
	if (geteuid() != 0 || tee->n_processor_argv == 0)
		return err_coded(err, ERR_HOST, r,
				 "--tee %s: there is no processor at '%s': start casemate-simtee "
				 "(as root)",
				 tee->kind, tee->processor);
	return start_own(pod, ret_fd, err);
}

void pod_processor_end(struct pod *pod)
{
	if (pod->processor_pidfd < 0)
		return;
	if (spawn_wait(pod->processor_pidfd, PROCESSOR_END_MS, &(int){ 0 }, NULL) < 0) {
		(void)spawn_kill(pod->processor_pidfd, SIGKILL);
		(void)spawn_wait(pod->processor_pidfd, PROCESSOR_END_MS, &(int){ 0 }, NULL);
	}
	(void)close(pod->processor_pidfd);
	pod->processor_pidfd = -1;
}
