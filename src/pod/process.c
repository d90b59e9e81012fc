// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pod/pod_priv.h"
#include "sys/host.h"

void pod_process_init(struct pod_process *process, struct pod_container *container,
		      const char *exec_id)
{
	process->number = ++container->pod->numbers;
	process->container = container;
	(void)snprintf(process->exec_id, sizeof(process->exec_id), "%s", exec_id);
	for (int i = 0; i < POD_STREAMS; i++) {
		process->out[i].process = process;
		process->out[i].which = (Agent__Stream)i;
		process->out[i].fd = -1;
		process->out[i].eof = true;
	}
	process->in.process = process;
	process->in.fd = -1;
}

/* Tells everybody who waits; each may ask for anything, this process's deletion included. */
static void tell_waiters(struct pod_process *process, const struct pod_result *result)
{
	struct pod_waiter *waiter = process->waiters, *next;

	process->waiters = NULL;
	for (; waiter; waiter = next) {
		next = waiter->next;
		waiter->done(waiter->data, result);
		free(waiter);
	}
}

void pod_process_done(struct pod_process *process)
{
	const struct pod_result gone = { .num = -ENOENT, .text = "it was deleted" };

	pod_stream_close(process);
	tell_waiters(process, &gone);
}

/* What is said of its end, now and later: its own status, or what ended the VM under it. */
static struct pod_result end_of(const struct pod_process *process)
{
	struct pod_result result = { .status = process->status, .exited_ns = process->exited_ns };

	if (process->is_lost) {
		result.num = -ECONNABORTED;
		result.code = ERR_GUEST_GONE;
		result.text = process->container->pod->why;
	}
	return result;
}

void pod_process_ended(struct pod_process *process, uint32_t status, int64_t exited_ns)
{
	struct pod *pod = process->container->pod;
	struct pod_result result;

	if (process->state == PROCESS_STOPPED ||
	    state_process_next(process->state, PROCESS_EXIT, &process->state) < 0)
		return;
	process->status = status;
	process->exited_ns = exited_ns;
	process->is_lost = pod->state == POD_ENDED && pod->why;
	result = end_of(process);
	tell_waiters(process, &result);
}

static int not_there(const char *step, const char *id, const char *exec_id, struct err *err)
{
	return err_coded(err, ERR_NO_SUCH_POD, -ENOENT, "%s '%s%s%s': there is none of that name",
			 step, id, exec_id[0] ? "/" : "", exec_id);
}

/* Whether event may happen to it: the state it is in decides, not the guest. */
static int may(struct pod_process *process, enum process_event event, const char *step,
	       struct err *err)
{
	enum process_state next;
	int r = state_process_next(process->state, event, &next);

	if (r < 0)
		return err_set(err, r, "%s '%s%s%s': it is %s", step, process->container->id,
			       process->exec_id[0] ? "/" : "", process->exec_id,
			       state_process_name(process->state));
	return 0;
}

static void nobody_asked(void *data, const struct pod_result *result)
{
	(void)data;
	(void)result;
}

void pod_abandon(struct pod_process *process)
{
	struct pod_container *container = process->container;

	process->abandoned = true;
	process->owner = NULL;
	switch (process->state) {
	case PROCESS_RUNNING:
		pod_kill(container->pod, container->id, process->exec_id, SIGKILL,
			 !process->exec_id[0], NULL, NULL);
		break;
	case PROCESS_CREATED:
	case PROCESS_STOPPED:
		pod_delete(container->pod, container->id, process->exec_id, nobody_asked, NULL);
		break;
	case PROCESS_NONE:
	case PROCESS_CREATING:
	case PROCESS_STARTING:
		break;
	}
}

static int add_waiter(struct pod_process *process, pod_done_fn *done, void *data)
{
	struct pod_waiter *waiter = calloc(1, sizeof(*waiter)), **at;

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct pod_waiter){ NULL, done, data };
	for (at = &process->waiters; *at; at = &(*at)->next)
		;
	*at = waiter;
	return 0;
}

static void call_done(struct pod_call *call, const struct rpc_reply *reply, const char *step)
{
	struct err err = { 0 };

	if (call->done && reply->num < 0) {
		pod_reply_err(reply, step, &err);
		pod_done_err(call->done, call->data, &err);
	} else if (call->done) {
		pod_done_ok(call->done, call->data);
	}
	free(call);
}

static void wait_answered(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);
	struct pod *pod = call->pod;
	Agent__WaitResponse *response;

	free(call);
	if (!process || pod->state == POD_ENDED || reply->num == -EPIPE)
		return;
	response = reply->num == 0 ? agent__wait_response__unpack(NULL, reply->payload.len,
								  reply->payload.at)
				   : NULL;
	if (!response) {
		pod_vm_lost(pod, "the guest's agent lost a process");
		return;
	}
	pod_process_ended(process, response->status & 0xff, response->exited_at_ns);
	agent__wait_response__free_unpacked(response, NULL);
	/* an exec that was left behind goes by itself: nobody will ask for it */
	if (process->abandoned || (process->exec_id[0] && !process->owner))
		pod_abandon(process);
	pod_settle(pod);
}

static void start_failed(struct pod_call *call, struct pod_process *process,
			 const struct rpc_reply *reply)
{
	static const char step[] = "start the container's process";
	struct pod *pod = call->pod;

	/* The VM's end is told to all who wait, and says why. No output can come any more, and who
	 * asked waits for the end of that too. */
	if (reply->num == -EPIPE && add_waiter(process, call->done, call->data) == 0) {
		pod_stream_close(process);
		free(call);
		return;
	}
	if (reply->num == -ETIMEDOUT && pod->container_count == 1 && !process->exec_id[0] &&
	    add_waiter(process, call->done, call->data) == 0) {
		free(call);
		pod_late(pod, step, "start");
		return;
	}
	(void)state_process_next(process->state, PROCESS_FAIL, &process->state);
	process->status = reply->code == 5 ? 127 : 126;
	process->exited_ns = host_realtime_ns();
	pod_stream_close(process);
	call_done(call, reply, step);
	if (process->abandoned)
		pod_abandon(process);
}

/* From here on it does not need who asked for it, if it was to be so. */
static void detach(struct pod_process *process)
{
	struct pod *pod = process->container->pod;

	if (!process->detached)
		return;
	if (pod->first_owner == process->owner && !process->exec_id[0])
		pod->first_owner = NULL;
	process->owner = NULL;
}

static void start_answered(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);
	struct pod_result result = { 0 };
	Agent__ProcessRef request = AGENT__PROCESS_REF__INIT;
	Agent__StartResponse *response;

	if (!process || process->state != PROCESS_STARTING) {
		call_done(call, &(struct rpc_reply){ .num = -EPIPE },
			  "start the container's process");
		return;
	}
	if (reply->num < 0) {
		start_failed(call, process, reply);
		return;
	}
	response = agent__start_response__unpack(NULL, reply->payload.len, reply->payload.at);
	(void)state_process_next(process->state, PROCESS_STARTED, &process->state);
	process->pid = response ? response->pid : 0;
	result.pid = process->pid;
	if (response)
		agent__start_response__free_unpacked(response, NULL);
	pod_phase(call->pod, process->exec_id[0] ? "exec" : "start");
	pod_stream_start(process);
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	pod_call_agent(process, "WaitProcess", &request.base, wait_answered, NULL, NULL);
	if (process->abandoned)
		pod_abandon(process);
	else
		detach(process);
	call->done(call->data, &result);
	free(call);
}

void pod_start(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done, void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	Agent__ProcessRef request = AGENT__PROCESS_REF__INIT;
	struct err err = { 0 };
	int r;

	r = process ? may(process, PROCESS_START, "start", &err)
		    : not_there("start", id, exec_id, &err);
	if (r < 0) {
		pod_done_err(done, data, &err);
		return;
	}
	(void)state_process_next(process->state, PROCESS_START, &process->state);
	/* closed before the start it is /dev/null to the process, and not a pipe that ends */
	if (process->in.fd < 0)
		pod_stream_close_input(process);
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	pod_call_agent(process, "StartProcess", &request.base, start_answered, done, data);
}

void pod_wait(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done, void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	struct pod_result result;
	struct err err = { 0 };

	if (process && process->state == PROCESS_STOPPED) {
		result = end_of(process);
		done(data, &result);
		return;
	}
	if (!process)
		not_there("wait for", id, exec_id, &err);
	else if (add_waiter(process, done, data) < 0)
		err_num(&err, -ENOMEM, "wait for '%s'", id);
	if (err.num < 0)
		pod_done_err(done, data, &err);
}

static void signal_answered(void *data, const struct rpc_reply *reply)
{
	call_done(data, reply, "signal the container");
}

void pod_kill(struct pod *pod, const char *id, const char *exec_id, uint32_t signal, bool all,
	      pod_done_fn *done, void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	Agent__SignalRequest request = AGENT__SIGNAL_REQUEST__INIT;
	struct err err = { 0 };
	int r;

	r = process ? may(process, PROCESS_SIGNAL, "signal", &err)
		    : not_there("signal", id, exec_id, &err);
	if (r >= 0 && (signal == 0 || signal > 64))
		r = err_coded(&err, ERR_USAGE, -EINVAL, "signal '%s': there is no signal %u", id,
			      signal);
	if (r < 0) {
		if (done)
			pod_done_err(done, data, &err);
		return;
	}
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	request.signal = signal;
	request.all = all;
	pod_call_agent(process, "SignalProcess", &request.base, signal_answered, done, data);
}

static void resize_answered(void *data, const struct rpc_reply *reply)
{
	call_done(data, reply, "resize the terminal");
}

void pod_resize(struct pod *pod, const char *id, const char *exec_id, uint32_t width,
		uint32_t height, pod_done_fn *done, void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	Agent__ResizeRequest request = AGENT__RESIZE_REQUEST__INIT;
	struct err err = { 0 };

	if (!process) {
		not_there("resize", id, exec_id, &err);
		pod_done_err(done, data, &err);
		return;
	}
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	request.width = width;
	request.height = height;
	pod_call_agent(process, "ResizeTerminal", &request.base, resize_answered, done, data);
}

void pod_close_input(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done,
		     void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	struct err err = { 0 };

	if (!process) {
		not_there("close the input of", id, exec_id, &err);
		pod_done_err(done, data, &err);
		return;
	}
	/* What a client wrote before it closed its end still goes in: the end of the FIFO says
	 * when. Without one there is nothing to wait for. */
	if (process->in.fd < 0)
		pod_stream_close_input(process);
	pod_done_ok(done, data);
}

static int check_exec(struct pod *pod, const struct pod_exec *exec, struct pod_container **ret,
		      struct err *err)
{
	struct pod_container *container = pod_find(pod, exec->id);

	if (!container)
		return not_there("exec in", exec->id, "", err);
	if (!text_name_valid(exec->exec_id))
		return err_coded(err, ERR_USAGE, -EINVAL, "exec '%s': not a name", exec->exec_id);
	if (pod_find_process(pod, exec->id, exec->exec_id))
		return err_coded(err, ERR_NAME_TAKEN, -EEXIST, "exec '%s': there is one",
				 exec->exec_id);
	if (pod->exec_count >= POD_MAX_EXECS)
		return err_coded(err, ERR_HOST, -ENOSPC, "exec in '%s': %d processes are there",
				 exec->id, POD_MAX_EXECS);
	*ret = container;
	return may(&container->first, PROCESS_SIGNAL, "exec in", err);
}

static bool is_given(const char *path)
{
	return path && path[0];
}

static void exec_free(struct pod_process *process)
{
	struct pod_process **at = &process->container->execs;

	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	process->container->pod->exec_count--;
	pod_process_done(process);
	free(process);
}

static void exec_answered(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);

	if (process && reply->num < 0)
		exec_free(process);
	else if (process)
		(void)state_process_next(process->state, PROCESS_MADE, &process->state);
	call_done(call, reply, "make the process");
	if (process && reply->num >= 0 && process->abandoned)
		pod_abandon(process);
}

void pod_exec(struct pod *pod, const struct pod_exec *exec, pod_done_fn *done, void *data)
{
	Agent__ExecRequest request = AGENT__EXEC_REQUEST__INIT;
	struct pod_container *container = NULL;
	struct pod_process *process;
	Agent__Process *asked;
	struct err err = { 0 };

	if (check_exec(pod, exec, &container, &err) < 0) {
		pod_done_err(done, data, &err);
		return;
	}
	asked = agent__process__unpack(NULL, exec->process.len, exec->process.at);
	process = asked ? calloc(1, sizeof(*process)) : NULL;
	if (!process) {
		err_coded(&err, ERR_USAGE, -EINVAL, "exec in '%s': not a process", exec->id);
		pod_done_err(done, data, &err);
		if (asked)
			agent__process__free_unpacked(asked, NULL);
		return;
	}
	pod_process_init(process, container, exec->exec_id);
	process->terminal = exec->io.terminal;
	process->owner = exec->owner;
	process->detached = !is_given(exec->io.in) && !is_given(exec->io.out);
	(void)state_process_next(PROCESS_NONE, PROCESS_CREATE, &process->state);
	process->next = container->execs;
	container->execs = process;
	pod->exec_count++;
	if (pod_stream_open(process, &exec->io, NULL, &err) < 0) {
		exec_free(process);
		pod_done_err(done, data, &err);
	} else {
		request.id = container->id;
		request.exec_id = process->exec_id;
		asked->terminal = exec->io.terminal;
		request.process = asked;
		pod_call_agent(process, "ExecProcess", &request.base, exec_answered, done, data);
	}
	agent__process__free_unpacked(asked, NULL);
}

static void report_deleted(struct pod_process *process, pod_done_fn *done, void *data)
{
	struct pod_container *container = process->container;
	struct pod *pod = container->pod;
	const struct pod_result result = { .status = process->status,
					   .exited_ns = process->exited_ns,
					   .pid = process->pid };

	if (process->exec_id[0]) {
		exec_free(process);
	} else {
		pod_release_luns(container);
		pod_container_free(container);
	}
	done(data, &result);
	pod_settle(pod);
}

static void delete_answered(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);

	/* With the VM gone there is nothing left in it to delete. */
	if (process && (reply->num >= 0 || reply->num == -EPIPE)) {
		report_deleted(process, call->done, call->data);
		free(call);
		return;
	}
	call_done(call, process ? reply : &(struct rpc_reply){ 0 }, "delete the container");
}

void pod_delete(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done, void *data)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);
	Agent__ProcessRef request = AGENT__PROCESS_REF__INIT;
	struct err err = { 0 };
	int r;

	r = process ? may(process, PROCESS_DELETE, "delete", &err)
		    : not_there("delete", id, exec_id, &err);
	if (r < 0) {
		pod_done_err(done, data, &err);
		return;
	}
	request.id = process->container->id;
	request.exec_id = process->exec_id;
	pod_call_agent(process, "DeleteProcess", &request.base, delete_answered, done, data);
}

static void list_answered(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_result result = { 0 };
	struct err err = { 0 };
	pod_list_fn *done;

	memcpy(&done, &call->done, sizeof(done));
	if (reply->num < 0) {
		result.num = pod_reply_err(reply, "list the processes", &err);
		result.code = err.code;
		result.text = err.msg;
	}
	done(call->data, &result, reply->num < 0 ? (struct bytes){ 0 } : reply->payload);
	free(call);
}

void pod_list(struct pod *pod, const char *id, pod_list_fn *done, void *data)
{
	struct pod_container *container = pod_find(pod, id);
	Agent__ContainerRef request = AGENT__CONTAINER_REF__INIT;
	struct pod_result result;
	struct err err = { 0 };
	pod_done_fn *carried;
	int r;

	r = container ? may(&container->first, PROCESS_SIGNAL, "list the processes of", &err)
		      : not_there("list the processes of", id, "", &err);
	if (r < 0) {
		result = (struct pod_result){ .num = r, .code = err.code };
		result.text = err.msg;
		done(data, &result, (struct bytes){ 0 });
		return;
	}
	request.id = container->id;
	memcpy(&carried, &done, sizeof(carried));
	pod_call_agent(&container->first, "ListProcesses", &request.base, list_answered, carried,
		       data);
}
