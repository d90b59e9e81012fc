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

struct method {
	const ProtobufCMessageDescriptor *request;
	void (*fn)(struct service *service, struct rpc_call *call, void *request);
	bool keeps; /* the request is fn's to free */
};

/* Every call comes in here, whatever it asks for. */
static void serve(void *data, struct rpc_call *call, struct bytes payload)
{
	const struct method *method = rpc_call_method(call)->with;
	const struct service *service = data;
	ProtobufCMessage *request;

	if (!service->is_greeted && method->request != &agent__hello_request__descriptor) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "the first call is Hello");
		return;
	}
	request = protobuf_c_message_unpack(method->request, NULL, payload.len, payload.at);
	if (request && request->n_unknown_fields == 0) {
		method->fn(data, call, request);
		if (method->keeps)
			return;
	} else {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "the request is not well-formed");
	}
	if (request)
		protobuf_c_message_free_unpacked(request, NULL);
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

static struct process *find_ref(struct service *service, struct rpc_call *call, const void *request)
{
	const Agent__ProcessRef *ref = request;

	return find(service, call, ref->id, ref->exec_id);
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

static void hello(struct service *service, struct rpc_call *call, void *request)
{
	Agent__HelloResponse response = AGENT__HELLO_RESPONSE__INIT;
	struct err err = { 0 };
	char kernel[65];
	int r = greet(service, request, &err);

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

static void create(struct service *service, struct rpc_call *call, void *request)
{
	container_create(&service->containers, call, request);
}

static void start(struct service *service, struct rpc_call *call, void *request)
{
	struct process *p = find_ref(service, call, request);

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

static void exec(struct service *service, struct rpc_call *call, void *request)
{
	Agent__ExecRequest *asked = request;
	struct container *c = container_find(&service->containers, asked->id);
	struct err err = { 0 };
	struct process *p;
	int r = c ? check_exec(c, asked, &err) : err_set(&err, -ENOENT, "no such container");

	if (r < 0)
		agent__exec_request__free_unpacked(asked, NULL);
	else
		r = process_new(c, asked, &p, &err);
	if (r < 0) {
		rpc_call_fail(call, container_status(r), err.msg);
		return;
	}
	p->next = c->processes;
	c->processes = p;
	c->table->exec_count++;
	rpc_call_reply(call, NULL);
}

static void wait(struct service *service, struct rpc_call *call, void *request)
{
	struct process *p = find_ref(service, call, request);

	if (p)
		process_wait(p, call);
}

static void send_signal(struct service *service, struct rpc_call *call, void *request)
{
	const Agent__SignalRequest *asked = request;
	struct process *p = find(service, call, asked->id, asked->exec_id);
	struct err err = { 0 };
	int r;

	if (!p)
		return;
	if (asked->signal > SIGNAL_MAX)
		r = err_set(&err, -EINVAL, "signal: there is no signal %u", asked->signal);
	else if (asked->all)
		r = container_kill(p->container, (int)asked->signal, &err);
	else
		r = process_signal(p, (int)asked->signal);
	if (r < 0 && !err.num)
		err_num(&err, r, "signal");
	if (r == 0)
		rpc_call_reply(call, NULL);
	else
		rpc_call_fail(call, rpc_errno_status(r), err.msg);
}

static void resize(struct service *service, struct rpc_call *call, void *request)
{
	const Agent__ResizeRequest *asked = request;
	struct process *p = find(service, call, asked->id, asked->exec_id);

	if (!p)
		return;
	if (asked->width > UINT16_MAX || asked->height > UINT16_MAX)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "resize: no terminal is that large");
	else if (process_resize(p, (uint16_t)asked->width, (uint16_t)asked->height) < 0)
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "resize: it has no terminal");
	else
		rpc_call_reply(call, NULL);
}

static void read_output(struct service *service, struct rpc_call *call, void *request)
{
	const Agent__ReadRequest *asked = request;
	struct process *p = find(service, call, asked->id, asked->exec_id);

	if (!p)
		return;
	if (asked->stream == AGENT__STREAM__STDOUT || asked->stream == AGENT__STREAM__STDERR)
		output_ask(&p->outputs[asked->stream], call, asked->max);
	else
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "read output: no such stream");
}

static void write_input(struct service *service, struct rpc_call *call, void *request)
{
	Agent__WriteRequest *asked = request;
	struct process *p = find(service, call, asked->id, asked->exec_id);

	if (p)
		input_write(&p->input, call, asked);
	else
		agent__write_request__free_unpacked(asked, NULL);
}

static void close_input(struct service *service, struct rpc_call *call, void *request)
{
	struct process *p = find_ref(service, call, request);

	if (!p)
		return;
	input_finish(&p->input);
	rpc_call_reply(call, NULL);
}

static void delete (struct service *service, struct rpc_call *call, void *request)
{
	struct process *p = find_ref(service, call, request), **at;
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

static void list(struct service *service, struct rpc_call *call, void *request)
{
	const Agent__ContainerRef *ref = request;
	const struct container *c = container_find(&service->containers, ref->id);

	if (c)
		container_list(c, call);
	else
		rpc_call_fail(call, RPC_NOT_FOUND, "no such container");
}

static void on_time_to_go(void *data)
{
	const struct service *service = data;

	loop_stop(service->loop);
}

static void shutdown(struct service *service, struct rpc_call *call, void *request)
{
	(void)request;
	rpc_call_reply(call, NULL);
	if (!service->timer &&
	    loop_timer(service->loop, SHUTDOWN_MS, on_time_to_go, service, &service->timer) < 0)
		loop_stop(service->loop);
}

/* clang-format off */
#define METHOD(request, fn, keeps) \
	serve, &(const struct method){ &agent__##request##__descriptor, fn, keeps }

const struct rpc_method service_methods[] = {
	{ SERVICE_NAME, "Hello",           METHOD(hello_request, hello, false) },
	{ SERVICE_NAME, "CreateContainer", METHOD(create_container_request, create, true) },
	{ SERVICE_NAME, "StartProcess",    METHOD(process_ref, start, false) },
	{ SERVICE_NAME, "ExecProcess",     METHOD(exec_request, exec, true) },
	{ SERVICE_NAME, "WaitProcess",     METHOD(process_ref, wait, false) },
	{ SERVICE_NAME, "SignalProcess",   METHOD(signal_request, send_signal, false) },
	{ SERVICE_NAME, "ResizeTerminal",  METHOD(resize_request, resize, false) },
	{ SERVICE_NAME, "ReadOutput",      METHOD(read_request, read_output, false) },
	{ SERVICE_NAME, "WriteInput",      METHOD(write_request, write_input, true) },
	{ SERVICE_NAME, "CloseInput",      METHOD(process_ref, close_input, false) },
	{ SERVICE_NAME, "DeleteProcess",   METHOD(process_ref, delete, false) },
	{ SERVICE_NAME, "ListProcesses",   METHOD(container_ref, list, false) },
	{ SERVICE_NAME, "Shutdown",        METHOD(empty, shutdown, false) },
};
/* clang-format on */
const size_t service_method_count = ARRAY_SIZE(service_methods);
