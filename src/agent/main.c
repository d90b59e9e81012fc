// SPDX-License-Identifier: Apache-2.0
/*
 * casemate-agent [INIT_US] - the host's only counterpart in the guest: opens the port, answers
 * calls until the host hangs up or asks for the end. init powers off when it is gone.
 *
 * INIT_US is CLOCK_BOOTTIME when init began, to be told to the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/crun.h"
#include "agent/reaper.h"
#include "agent/service.h"
#include "base/macro.h"
#include "rpc/conn.h"
#include "sys/child.h"
#include "sys/file.h"
#include "sys/guest.h"
#include "sys/host.h"
#include "sys/loop.h"

#define PORT "casemate.agent"

enum { KEPT_MEMORY = 4 << 20, CMDLINE_MAX = 64 << 10 };

static void on_close(void *data, struct rpc_conn *conn)
{
	const struct service *service = data;

	(void)conn;
	loop_stop(service->loop);
}

static int serve(struct service *service, struct rpc_conn **ret_conn, struct err *err)
{
	cleanup_close int port_fd = -1, dev_fd = -1;
	int r;

	r = file_open_dir(AT_FDCWD, "/dev", &dev_fd, err);
	if (r == 0)
		r = guest_port_open(service->containers.sysfs_fd, dev_fd, PORT, &port_fd, err);
	if (r < 0)
		return r;
	service->agent_us = host_boottime_us();
	r = rpc_conn_new(service->loop, steal_fd(&port_fd),
			 &(struct rpc_conn_opts){ .methods = service_methods,
						  .method_count = service_method_count,
						  .data = service,
						  .on_close = on_close,
						  .max_calls = SERVICE_CALLS_MAX },
			 ret_conn);
	return r < 0 ? err_num(err, r, "serve the host") : 0;
}

static void say_refusal(const struct gate_refusal *refusal)
{
	fprintf(stderr, "casemate-agent: refused: %s '%s': %s: %s\r\n", refusal->method,
		refusal->id, refusal->code, refusal->text);
}

/* With a TEE the command line is part of what was measured: its host cannot have taken this off. */
static int make_gate(struct service *service, struct err *err)
{
	CLEANUP(buf_done) struct buf cmdline = { 0 };
	int r = file_read(AT_FDCWD, "/proc/cmdline", CMDLINE_MAX, &cmdline, err);

	if (r == 0)
		r = buf_add(&cmdline, "", 1);
	if (r < 0 || !gate_is_wanted((const char *)cmdline.at))
		return r;
	service->containers.gate = gate_new();
	if (!service->containers.gate)
		return err_num(err, -ENOMEM, "make the policy's gate");
	service->containers.gate->say = say_refusal;
	return 0;
}

static int run(struct service *service, struct err *err)
{
	struct rpc_conn *conn = NULL;
	struct reaper *reaper = NULL;
	int r;

	r = loop_new(&service->loop);
	if (r < 0)
		return err_num(err, r, "make a loop");
	r = reaper_new(service->loop, &reaper, err);
	if (r == 0)
		r = container_table_init(&service->containers, service->loop, reaper, err);
	if (r == 0)
		r = make_gate(service, err);
	if (r == 0)
		r = serve(service, &conn, err);
	if (r < 0)
		return r;
	r = loop_run(service->loop);
	/* the guest ends now, and all that is open with it */
	(void)rpc_conn_free(conn);
	return r < 0 ? err_num(err, r, "turn the loop") : 0;
}

int main(int argc, char **argv)
{
	struct service service = { 0 };
	struct err err = { 0 };
	int r;

	if (argc > 1)
		service.init_us = strtoull(argv[1], NULL, 10);
	/* a chunk of output is not worth new pages from the kernel each time */
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	child_set_oom_score(CRUN_OOM_SELF);
	r = child_become_subreaper(&err);
	if (r == 0)
		r = run(&service, &err);
	if (r < 0)
		fprintf(stderr, "casemate-agent: %s\n", err.msg);
	return r < 0 ? 1 : 0;
}
