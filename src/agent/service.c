// SPDX-License-Identifier: Apache-2.0
#include "agent/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/process.h"
#include "agent/spec.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/guest.h"
#include "sys/host.h"

#define SERVICE_NAME "casemate.agent.v1.Agent"

enum {
	SIGNAL_MAX = 64,
	SHUTDOWN_MS = 5, /* for the answer to be on its way */
};

/*
 * The message of that type in payload; NULL once call was answered because there is none, or
 * because nobody has said Hello.
 */
static void *unpack(const struct service *service, struct rpc_call *call, struct bytes payload,
		    const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message;

	if (!service->is_greeted && type != &agent__hello_request__descriptor) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "the first call is Hello");
		return NULL;
	}
	message = protobuf_c_message_unpack(type, NULL, payload.len, payload.at);
	if (message && message->n_unknown_fields == 0)
		return message;
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
	rpc_call_fail(call, RPC_INVALID_ARGUMENT, "the request is not well-formed");
	return NULL;
}

/* NULL once call was answered: there is none of that name. */
static struct process *find(struct service *service, struct rpc_call *call, const char *id,
			    const char *exec_id)
{
	const struct container *c = container_find(&service->containers, id);
	struct process *p = c ? container_process(c, exec_id) : NULL;

	if (!p)
		rpc_call_fail(call, RPC_NOT_FOUND, c ? "no such process" : "no such container");
	return p;
}

static struct process *find_ref(struct service *service, struct rpc_call *call,
				struct bytes payload)
{
	Agent__ProcessRef *ref = unpack(service, call, payload, &agent__process_ref__descriptor);
	struct process *p;

	if (!ref)
		return NULL;
	p = find(service, call, ref->id, ref->exec_id);
	agent__process_ref__free_unpacked(ref, NULL);
	return p;
}

static int greet(struct service *service, const Agent__HelloRequest *hello, struct err *err)
{
	struct bytes entropy = { hello->entropy.data, hello->entropy.len };
	int r = 0;

	if (hello->version != SERVICE_VERSION)
		return err_set(err, -EBUSY, "hello: version %u is asked for, this is %d",
			       hello->version, SERVICE_VERSION);
	if (hello->time_ns < 0 || entropy.len > SERVICE_ENTROPY_MAX)
		return err_set(err, -EINVAL, "hello: a time before 1970, or too much entropy");
	if (hello->time_ns > 0)
		r = guest_clock_set(hello->time_ns, err);
	if (r == 0)
		r = guest_entropy_add(entropy, err);
	service->is_greeted = r == 0;
	return r;
}

static void on_hello(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__HelloResponse response = AGENT__HELLO_RESPONSE__INIT;
	struct service *service = data;
	Agent__HelloRequest *hello;
	struct err err = { 0 };
	char kernel[65];
	int r;

	hello = unpack(service, call, payload, &agent__hello_request__descriptor);
	if (!hello)
		return;
	r = greet(service, hello, &err);
	agent__hello_request__free_unpacked(hello, NULL);
	if (r < 0) {
		rpc_call_fail(call, rpc_errno_status(r), err.msg);
		return;
	}
	host_kernel(kernel, sizeof(kernel));
	response.version = SERVICE_VERSION;
	response.kernel = kernel;
	response.uptime_init_us = (int64_t)service->init_us;
	response.uptime_agent_us = (int64_t)service->agent_us;
	rpc_call_reply(call, &response.base);
}

static void on_create(void *data, struct rpc_call *call, struct bytes payload)
{
	struct service *service = data;
	Agent__CreateContainerRequest *request;

	request = unpack(service, call, payload, &agent__create_container_request__descriptor);
	if (request)
		container_create(&service->containers, call, request);
}

static void on_start(void *data, struct rpc_call *call, struct bytes payload)
{
	struct process *p = find_ref(data, call, payload);

	if (p)
		process_start(p, call);
}

static int check_exec(const struct container *c, const Agent__ExecRequest *request, struct err *err)
{
	if (!spec_id_is_valid(request->exec_id))
		return err_set(err, -EINVAL, "exec: its name has 1 to %d of [a-zA-Z0-9_.-]",
			       SPEC_ID_MAX);
	if (!request->process)
		return err_set(err, -EINVAL, "exec: no process");
	if (container_process(c, request->exec_id))
		return err_set(err, -EEXIST, "exec '%s': it exists", request->exec_id);
	if (c->table->exec_count == CONTAINER_EXECS_MAX)
		return err_set(err, -ENOBUFS, "exec '%s': there are %d", request->exec_id,
			       CONTAINER_EXECS_MAX);
	return spec_check_process(request->process, err);
}

static void on_exec(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ExecRequest *request;
	struct service *service = data;
	struct err err = { 0 };
	struct container *c;
	struct process *p;
	int r;

	request = unpack(service, call, payload, &agent__exec_request__descriptor);
	if (!request)
		return;
	c = container_find(&service->containers, request->id);
	r = c ? check_exec(c, request, &err) : err_set(&err, -ENOENT, "no such container");
	if (r < 0)
		agent__exec_request__free_unpacked(request, NULL);
	else
		r = process_new(c, request, &p, &err);
	if (r < 0) {
		rpc_call_fail(call, container_status(r), err.msg);
		return;
	}
	p->next = c->processes;
	c->processes = p;
	c->table->exec_count++;
	rpc_call_reply(call, NULL);
}

static void on_wait(void *data, struct rpc_call *call, struct bytes payload)
{
	struct process *p = find_ref(data, call, payload);

	if (p)
		process_wait(p, call);
}

static void signal_one(struct service *service, struct rpc_call *call,
		       const Agent__SignalRequest *request)
{
	struct process *p = find(service, call, request->id, request->exec_id);
	struct err err = { 0 };
	int r;

	if (!p)
		return;
	if (request->signal > SIGNAL_MAX)
		r = err_set(&err, -EINVAL, "signal: there is no signal %u", request->signal);
	else if (request->all)
		r = container_kill(p->container, (int)request->signal, &err);
	else
		r = process_signal(p, (int)request->signal);
	if (r < 0 && !err.num)
		err_num(&err, r, "signal");
	if (r == 0)
		rpc_call_reply(call, NULL);
	else
		rpc_call_fail(call, rpc_errno_status(r), err.msg);
}

static void on_signal(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__SignalRequest *request;

	request = unpack(data, call, payload, &agent__signal_request__descriptor);
	if (!request)
		return;
	signal_one(data, call, request);
	agent__signal_request__free_unpacked(request, NULL);
}

static void on_resize(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ResizeRequest *request;
	struct process *p;
	int r;

	request = unpack(data, call, payload, &agent__resize_request__descriptor);
	if (!request)
		return;
	p = find(data, call, request->id, request->exec_id);
	if (p && (request->width > UINT16_MAX || request->height > UINT16_MAX)) {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "resize: no terminal is that large");
	} else if (p) {
		r = process_resize(p, (uint16_t)request->width, (uint16_t)request->height);
		if (r == 0)
			rpc_call_reply(call, NULL);
		else
			rpc_call_fail(call, RPC_FAILED_PRECONDITION, "resize: it has no terminal");
	}
	agent__resize_request__free_unpacked(request, NULL);
}

static void on_read(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__ReadRequest *request;
	struct process *p;

	request = unpack(data, call, payload, &agent__read_request__descriptor);
	if (!request)
		return;
	p = find(data, call, request->id, request->exec_id);
	if (p && request->stream != AGENT__STREAM__STDOUT &&
	    request->stream != AGENT__STREAM__STDERR)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "read output: no such stream");
	else if (p)
		output_ask(&p->outputs[request->stream], call, request->max);
	agent__read_request__free_unpacked(request, NULL);
}

static void on_write(void *data, struct rpc_call *call, struct bytes payload)
{
	Agent__WriteRequest *request;
	struct process *p;

	request = unpack(data, call, payload, &agent__write_request__descriptor);
	if (!request)
		return;
	p = find(data, call, request->id, request->exec_id);
	if (p)
		input_write(&p->input, call, request);
	else
		agent__write_request__free_unpacked(request, NULL);
}

static void on_close_input(void *data, struct rpc_call *call, struct bytes payload)
{
	struct process *p = find_ref(data, call, payload);

	if (!p)
		return;
	input_finish(&p->input);
	rpc_call_reply(call, NULL);
}

static void on_delete(void *data, struct rpc_call *call, struct bytes payload)
{
	struct process *p = find_ref(data, call, payload), **at;
	enum process_state next;
	struct container *c;

	if (!p)
		return;
	c = p->container;
	if (!p->exec_id[0]) {
		container_delete(c, call);
		return;
	}
	if (state_process_next(p->state, PROCESS_DELETE, &next) < 0) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "delete: it runs");
		return;
	}
	for (at = &c->processes; *at != p;)
		at = &(*at)->next;
	*at = p->next;
	c->table->exec_count--;
	(void)process_free(p);
	rpc_call_reply(call, NULL);
}

static void on_list(void *data, struct rpc_call *call, struct bytes payload)
{
	struct service *service = data;
	const struct container *c;
	Agent__ContainerRef *ref;

	ref = unpack(service, call, payload, &agent__container_ref__descriptor);
	if (!ref)
		return;
	c = container_find(&service->containers, ref->id);
	if (c)
		container_list(c, call);
	else
		rpc_call_fail(call, RPC_NOT_FOUND, "no such container");
	agent__container_ref__free_unpacked(ref, NULL);
}

static void on_time_to_go(void *data)
{
	const struct service *service = data;

	loop_stop(service->loop);
}

static void on_shutdown(void *data, struct rpc_call *call, struct bytes payload)
{
	struct service *service = data;
	Agent__Empty *empty = unpack(service, call, payload, &agent__empty__descriptor);

	if (!empty)
		return;
	agent__empty__free_unpacked(empty, NULL);
	rpc_call_reply(call, NULL);
	if (!service->timer &&
	    loop_timer(service->loop, SHUTDOWN_MS, on_time_to_go, service, &service->timer) < 0)
		loop_stop(service->loop);
}

const struct rpc_method service_methods[] = {
	{ SERVICE_NAME, "Hello", on_hello },
	{ SERVICE_NAME, "CreateContainer", on_create },
	{ SERVICE_NAME, "StartProcess", on_start },
	{ SERVICE_NAME, "ExecProcess", on_exec },
	{ SERVICE_NAME, "WaitProcess", on_wait },
	{ SERVICE_NAME, "SignalProcess", on_signal },
	{ SERVICE_NAME, "ResizeTerminal", on_resize },
	{ SERVICE_NAME, "ReadOutput", on_read },
	{ SERVICE_NAME, "WriteInput", on_write },
	{ SERVICE_NAME, "CloseInput", on_close_input },
	{ SERVICE_NAME, "DeleteProcess", on_delete },
	{ SERVICE_NAME, "ListProcesses", on_list },
	{ SERVICE_NAME, "Shutdown", on_shutdown },
};
const size_t service_method_count = ARRAY_SIZE(service_methods);
