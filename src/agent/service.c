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

enum when {
	FIRST,	 /* at any time */
	GREETED, /* after Hello */
	ALLOWED, /* with a TEE, after SetPolicy */
};

struct method {
	const ProtobufCMessageDescriptor *request;
	void (*fn)(struct service *service, struct rpc_call *call, void *request);
	enum when when;
	bool keeps; /* the request is fn's to free */
};

/* Every call comes in here, whatever it asks for. */
static void serve(void *data, struct rpc_call *call, struct bytes payload)
{
	const struct method *method = rpc_call_method(call)->with;
	const struct service *service = data;
	ProtobufCMessage *request;

	if (!service->is_greeted && method->when != FIRST) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "the first call is Hello");
		return;
	}
	if (method->when == ALLOWED && service->containers.gate &&
	    !service->containers.gate->is_open) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "with a TEE, its policy is first");
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
	if (hello->time_ns > 0 && !service->containers.gate)
		r = guest_clock_set(hello->time_ns, err);
	if (r == 0 && !service->containers.gate)
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

static int pass_gate(const struct container *c, const Agent__ExecRequest *request, struct err *err)
{
	const struct gate_ask ask = { "ExecProcess", c->id, (int64_t)host_boottime_us() };

	return c->table->gate
		       ? gate_check_exec(c->table->gate, &ask, c->allowed, request->process, err)
		       : 0;
}

static int make_exec(struct container *c, Agent__ExecRequest *take_request, struct err *err)
{
	struct process *p;
	int r = check_exec(c, take_request, err);

	if (r == 0)
		r = pass_gate(c, take_request, err);
	if (r < 0)
		agent__exec_request__free_unpacked(take_request, NULL);
	else
		r = process_new(c, take_request, &p, err);
	if (r < 0)
		return r;
	p->next = c->processes;
	c->processes = p;
	c->table->exec_count++;
	return 0;
}

static void exec(struct service *service, struct rpc_call *call, void *request)
{
	Agent__ExecRequest *asked = request;
	struct container *c = container_find(&service->containers, asked->id);
	struct err err = { 0 };
	int r;

	if (!c) {
		agent__exec_request__free_unpacked(asked, NULL);
		rpc_call_fail(call, RPC_NOT_FOUND, "no such container");
		return;
	}
	r = make_exec(c, asked, &err);
	if (r < 0)
		rpc_call_fail(call, container_status(r), err.msg);
	else
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

static void end_policy(struct service *service, int num, const char *message)
{
	struct rpc_call *call = service->policy_call;

	agent__set_policy_request__free_unpacked(service->policy, NULL);
	service->policy = NULL;
	service->policy_call = NULL;
	if (num == 0)
		rpc_call_reply(call, NULL);
	else
		rpc_call_fail(call, rpc_errno_status(num), message);
}

/* The policy is the one that the processor signs for, or it is nobody's. */
static void on_policy_proved(void *data, const Prover__Outcome *outcome)
{
	struct service *service = data;
	struct err err = { 0 };
	int r;

	service->prover = NULL;
	if (outcome->code[0])
		r = err_set(&err, -EACCES, "%s: %s", outcome->code, outcome->text);
	else
		r = gate_open(service->containers.gate,
			      (struct bytes){ service->policy->document.data,
					      service->policy->document.len },
			      &err);
	if (r < 0)
		fprintf(stderr, "casemate-agent: refused: SetPolicy: %s\r\n", err.msg);
	end_policy(service, r, err.msg);
}

static int prove_policy(struct service *service, struct err *err)
{
	Prover__Job job = PROVER__JOB__INIT;
	struct prover_request request = {
		.reaper = service->containers.reaper,
		.run_fd = service->containers.run_fd,
		.job = &job,
		.in_fd = -1,
		.out_fd = -1,
		.fn = on_policy_proved,
		.data = service,
	};

	job.document = service->policy->document;
	job.timeout_ms = PROVER_REPORT_MS;
	return prover_start(&request, &service->prover, err);
}

static void set_policy(struct service *service, struct rpc_call *call, void *request)
{
	Agent__SetPolicyRequest *asked = request;
	struct bytes document = { asked->document.data, asked->document.len };
	struct gate *gate = service->containers.gate;
	struct err err = { 0 };
	int r;

	if (!gate || service->policy) {
		agent__set_policy_request__free_unpacked(asked, NULL);
		rpc_call_fail(call, RPC_FAILED_PRECONDITION,
			      gate ? "set the policy: one is being looked at"
				   : "set the policy: the guest has no TEE");
		return;
	}
	service->policy = asked;
	service->policy_call = call;
	r = gate_check_document(gate, document, &err);
	if (r == 0)
		r = prove_policy(service, &err);
	if (r < 0)
		end_policy(service, r, err.msg);
}

static void list_refusals(struct service *service, struct rpc_call *call, void *request)
{
	Agent__Refused refused[GATE_REFUSALS_MAX], *at[GATE_REFUSALS_MAX];
	Agent__ListRefusalsResponse response = AGENT__LIST_REFUSALS_RESPONSE__INIT;

	(void)request;
	if (service->containers.gate)
		gate_list(service->containers.gate, refused, at, &response);
	rpc_call_reply(call, &response.base);
}

static void accept_relay(struct service *service, struct rpc_call *call, void *request)
{
	(void)request;
	if (service->containers.gate)
		relay_accept(&service->containers.relay, call);
	else
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "relay: the guest has no TEE");
}

static void read_relay(struct service *service, struct rpc_call *call, void *request)
{
	relay_read(&service->containers.relay, call, request);
}

static void write_relay(struct service *service, struct rpc_call *call, void *request)
{
	relay_write(&service->containers.relay, call, request);
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
#define METHOD(request, fn, when, keeps) \
	serve, &(const struct method){ &agent__##request##__descriptor, fn, when, keeps }

const struct rpc_method service_methods[] = {
	{ SERVICE_NAME, "Hello",           METHOD(hello_request, hello, FIRST, false) },
	{ SERVICE_NAME, "CreateContainer", METHOD(create_container_request, create, ALLOWED, true) },
	{ SERVICE_NAME, "StartProcess",    METHOD(process_ref, start, ALLOWED, false) },
	{ SERVICE_NAME, "ExecProcess",     METHOD(exec_request, exec, ALLOWED, true) },
	{ SERVICE_NAME, "WaitProcess",     METHOD(process_ref, wait, ALLOWED, false) },
	{ SERVICE_NAME, "SignalProcess",   METHOD(signal_request, send_signal, ALLOWED, false) },
	{ SERVICE_NAME, "ResizeTerminal",  METHOD(resize_request, resize, ALLOWED, false) },
	{ SERVICE_NAME, "ReadOutput",      METHOD(read_request, read_output, ALLOWED, false) },
	{ SERVICE_NAME, "WriteInput",      METHOD(write_request, write_input, ALLOWED, true) },
	{ SERVICE_NAME, "CloseInput",      METHOD(process_ref, close_input, ALLOWED, false) },
	{ SERVICE_NAME, "DeleteProcess",   METHOD(process_ref, delete, ALLOWED, false) },
	{ SERVICE_NAME, "ListProcesses",   METHOD(container_ref, list, ALLOWED, false) },
	{ SERVICE_NAME, "SetPolicy",       METHOD(set_policy_request, set_policy, GREETED, true) },
	{ SERVICE_NAME, "ListRefusals",    METHOD(empty, list_refusals, ALLOWED, false) },
	{ SERVICE_NAME, "AcceptRelay",     METHOD(empty, accept_relay, ALLOWED, false) },
	{ SERVICE_NAME, "ReadRelay",       METHOD(relay_read_request, read_relay, ALLOWED, false) },
	{ SERVICE_NAME, "WriteRelay",      METHOD(relay_write_request, write_relay, ALLOWED, false) },
	{ SERVICE_NAME, "Shutdown",        METHOD(empty, shutdown, GREETED, false) },
};
/* clang-format on */
const size_t service_method_count = ARRAY_SIZE(service_methods);
