// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: every call comes in through serve(), which unpacks what the table at the end says
 * is its request, and goes out through done(), when the pod has done what was asked. Between them
 * is one function for each method. Everything a client says is checked by the pod; here only its
 * form is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rpc/status.h"
#include "shim/shim.h"
#include "sys/host.h"
#include "wire/proto/agent.pb-c.h"
#include "wire/proto/task.pb-c.h"

#define TASK "containerd.task.v2.Task"
#define POD "casemate.v1.Pod"
#define REQUEST_TYPE "casemate.dev/Request"
#define PROCESS_TYPE "casemate.dev/Process"

struct method {
	const ProtobufCMessageDescriptor *request;
	/* Answers the call, or has the pod do something, with done() and the call. */
	void (*fn)(struct shim *shim, struct rpc_call *call, const void *request);
	/* Answers what the pod has done; NULL: with an empty message. */
	void (*reply)(struct rpc_call *call, const struct pod_result *result);
};

static enum rpc_status status_of(int num)
{
	switch (num) {
	case -ENOEXEC:
	case -ESRCH:
	case -EALREADY:
	case -ESHUTDOWN:
		return RPC_FAILED_PRECONDITION;
	case -EAGAIN:
	case -ECONNABORTED:
		return RPC_UNAVAILABLE;
	default:
		return rpc_errno_status(num);
	}
}

/* The code goes with the first line: those after it are the guest's. */
static void fail(struct rpc_call *call, const struct pod_result *result)
{
	const char *text = result->text ? result->text : "";
	int first = (int)strcspn(text, "\n");
	char *message = NULL;

	if (result->code == ERR_OTHER || asprintf(&message, "%.*s (%s)%s", first, text,
						  err_code_name(result->code), text + first) < 0)
		message = NULL;
	rpc_call_fail(call, status_of(result->num), message ? message : text);
	free(message);
}

static void serve(void *shim, struct rpc_call *call, struct bytes payload)
{
	const struct method *method = rpc_call_method(call)->with;
	ProtobufCMessage *request =
		protobuf_c_message_unpack(method->request, NULL, payload.len, payload.at);

	if (!request) {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "not a message of this method");
		return;
	}
	method->fn(shim, call, request);
	protobuf_c_message_free_unpacked(request, NULL);
}

/* The pod may have nothing left to do now. */
static void done(void *data, const struct pod_result *result)
{
	struct rpc_call *call = data;
	const struct method *method = rpc_call_method(call)->with;
	struct shim *shim = rpc_call_data(call);

	if (result->num < 0)
		fail(call, result);
	else if (method->reply)
		method->reply(call, result);
	else
		rpc_call_reply(call, NULL);
	shim_look(shim);
}

static bool is_any(const Task__Any *any, const char *type)
{
	return any && strcmp(any->type_url, type) == 0;
}

static void create(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__CreateTaskRequest *task = message;
	Casemate__Request *request = NULL;

	shim->was_asked = true;
	if (is_any(task->options, REQUEST_TYPE))
		request = casemate__request__unpack(NULL, task->options->value.len,
						    task->options->value.data);
	if (!request) {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT,
			      "create: options of type " REQUEST_TYPE " are needed");
		return;
	}
	pod_create(shim->pod,
		   &(struct pod_create){
			   .id = task->id,
			   .request = request,
			   .io = { task->stdin, task->stdout, task->stderr, task->terminal },
			   .owner = rpc_call_conn(call) },
		   done, call);
	casemate__request__free_unpacked(request, NULL);
}

static void exec(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__ExecProcessRequest *task = message;

	if (!is_any(task->spec, PROCESS_TYPE)) {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT,
			      "exec: a spec of type " PROCESS_TYPE " is needed");
		return;
	}
	pod_exec(shim->pod,
		 &(struct pod_exec){
			 .id = task->id,
			 .exec_id = task->exec_id,
			 .process = { task->spec->value.data, task->spec->value.len },
			 .io = { task->stdin, task->stdout, task->stderr, task->terminal },
			 .owner = rpc_call_conn(call) },
		 done, call);
}

static void start(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__StartRequest *task = message;

	pod_start(shim->pod, task->id, task->exec_id, done, call);
}

static void reply_started(struct rpc_call *call, const struct pod_result *result)
{
	Task__StartResponse response = TASK__START_RESPONSE__INIT;

	response.pid = result->pid;
	rpc_call_reply(call, &response.base);
}

static Task__Timestamp timestamp(int64_t ns)
{
	Task__Timestamp at = TASK__TIMESTAMP__INIT;

	at.seconds = ns / 1000000000;
	at.nanos = (int32_t)(ns % 1000000000);
	return at;
}

static void wait(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__WaitRequest *task = message;

	pod_wait(shim->pod, task->id, task->exec_id, done, call);
}

static void reply_waited(struct rpc_call *call, const struct pod_result *result)
{
	Task__WaitResponse response = TASK__WAIT_RESPONSE__INIT;
	Task__Timestamp at = timestamp(result->exited_ns);

	response.exit_status = result->status;
	response.exited_at = &at;
	rpc_call_reply(call, &response.base);
}

static void send_signal(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__KillRequest *task = message;

	pod_kill(shim->pod, task->id, task->exec_id, task->signal, task->all, done, call);
}

static void resize(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__ResizePtyRequest *task = message;

	pod_resize(shim->pod, task->id, task->exec_id, task->width, task->height, done, call);
}

static void close_input(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__CloseIORequest *task = message;

	if (task->stdin)
		pod_close_input(shim->pod, task->id, task->exec_id, done, call);
	else
		rpc_call_reply(call, NULL);
}

static void delete (struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__DeleteRequest *task = message;

	pod_delete(shim->pod, task->id, task->exec_id, done, call);
}

static void reply_deleted(struct rpc_call *call, const struct pod_result *result)
{
	Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
	Task__Timestamp at = timestamp(result->exited_ns);

	response.pid = result->pid;
	response.exit_status = result->status;
	response.exited_at = &at;
	rpc_call_reply(call, &response.base);
}

static Task__Status status_word(enum process_state state)
{
	switch (state) {
	case PROCESS_NONE:
	case PROCESS_CREATING:
		return TASK__STATUS__UNKNOWN;
	case PROCESS_CREATED:
	case PROCESS_STARTING:
		return TASK__STATUS__CREATED;
	case PROCESS_RUNNING:
		return TASK__STATUS__RUNNING;
	case PROCESS_STOPPED:
		return TASK__STATUS__STOPPED;
	}
	return TASK__STATUS__UNKNOWN;
}

static void state(struct shim *shim, struct rpc_call *call, const void *message)
{
	Task__StateResponse response = TASK__STATE_RESPONSE__INIT;
	const Task__StateRequest *task = message;
	struct pod_view view;
	Task__Timestamp at;

	if (pod_view(shim->pod, task->id, task->exec_id, &view) < 0) {
		rpc_call_fail(call, RPC_NOT_FOUND, "state: there is none of that name");
		return;
	}
	at = timestamp(view.exited_ns);
	response.id = task->id;
	response.exec_id = task->exec_id;
	response.pid = view.pid;
	/* who follows the log stops when this says so: all of it must be there */
	response.status = view.is_logging && view.state == PROCESS_STOPPED
				  ? TASK__STATUS__RUNNING
				  : status_word(view.state);
	response.terminal = view.terminal;
	response.exit_status = view.status;
	response.exited_at = &at;
	rpc_call_reply(call, &response.base);
}

static void reply_listed(void *data, const struct pod_result *result, struct bytes list)
{
	Task__PidsResponse response = TASK__PIDS_RESPONSE__INIT;
	Agent__ListResponse *listed = NULL;
	struct row {
		Task__ProcessInfo info;
		Task__Any any;
	} *rows = NULL;
	Task__ProcessInfo **at = NULL;

	if (result->num < 0) {
		fail(data, result);
		return;
	}
	listed = agent__list_response__unpack(NULL, list.len, list.at);
	if (listed && listed->n_processes) {
		rows = calloc(listed->n_processes, sizeof(*rows));
		at = calloc(listed->n_processes, sizeof(*at));
	}
	for (size_t i = 0; rows && at && i < listed->n_processes; i++) {
		const char *command = listed->processes[i]->command;
		struct row *row = &rows[i];

		task__process_info__init(&row->info);
		task__any__init(&row->any);
		memcpy(&row->any.type_url, &(const char *){ "casemate.dev/Command" },
		       sizeof(row->any.type_url));
		memcpy(&row->any.value.data, &command, sizeof(row->any.value.data));
		row->any.value.len = strlen(command);
		row->info.pid = listed->processes[i]->pid;
		row->info.info = &row->any;
		at[response.n_processes++] = &row->info;
	}
	response.processes = at;
	rpc_call_reply(data, &response.base);
	if (listed)
		agent__list_response__free_unpacked(listed, NULL);
	free(rows);
	free(at);
}

static void pids(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__PidsRequest *task = message;

	pod_list(shim->pod, task->id, reply_listed, call);
}

static void connect(struct shim *shim, struct rpc_call *call, const void *message)
{
	Task__ConnectResponse response = TASK__CONNECT_RESPONSE__INIT;

	(void)shim;
	(void)message;
	response.shim_pid = (uint32_t)getpid();
	memcpy(&response.version, &(const char *){ CASEMATE_VERSION }, sizeof(response.version));
	rpc_call_reply(call, &response.base);
}

static void shutdown(struct shim *shim, struct rpc_call *call, const void *message)
{
	const Task__ShutdownRequest *task = message;

	rpc_call_reply(call, NULL);
	if (task->now || pod_is_empty(shim->pod))
		shim_end(shim);
}

/* What the guest says of it goes on as it is: who shows it makes it fit to be shown. */
static Casemate__DescribedRefusal *describe_refusals(const Agent__ListRefusalsResponse *list,
						     Casemate__DescribedRefusal **at)
{
	Casemate__DescribedRefusal *told = calloc(list->n_refusals, sizeof(*told));

	for (size_t i = 0; told && i < list->n_refusals; i++) {
		casemate__described_refusal__init(&told[i]);
		told[i].method = list->refusals[i]->method;
		told[i].container = list->refusals[i]->id;
		told[i].code = list->refusals[i]->code;
		told[i].text = list->refusals[i]->text;
		at[i] = &told[i];
	}
	return told;
}

static void reply_described(void *data, const Agent__ListRefusalsResponse *list)
{
	const struct shim *shim = rpc_call_data(data);
	Casemate__DescribedRefusal *refusals = NULL, *at[SHIM_REFUSALS];
	Casemate__DescribeResponse response;
	char kernel[65];

	if (pod_describe(shim->pod, &response) < 0) {
		rpc_call_fail(data, RPC_RESOURCE_EXHAUSTED, "out of memory");
		pod_describe_done(&response);
		return;
	}
	host_kernel(kernel, sizeof(kernel));
	response.host_kernel = kernel;
	if (list && list->n_refusals > 0 && list->n_refusals <= SHIM_REFUSALS)
		refusals = describe_refusals(list, at);
	if (refusals) {
		response.refusals = at;
		response.n_refusals = list->n_refusals;
	}
	response.refusals_known = list && (refusals || list->n_refusals == 0);
	response.refusal_count = response.refusals_known ? list->count : 0;
	rpc_call_reply(data, &response.base);
	free(refusals);
	pod_describe_done(&response);
}

static void describe(struct shim *shim, struct rpc_call *call, const void *message)
{
	(void)message;
	pod_refusals(shim->pod, reply_described, call);
}

/* clang-format off */
#define METHOD(request, fn, reply) \
	serve, &(const struct method){ &request##__descriptor, fn, reply }

const struct rpc_method shim_methods[] = {
	{ TASK, "Create",    METHOD(task__create_task_request, create, NULL) },
	{ TASK, "Start",     METHOD(task__start_request, start, reply_started) },
	{ TASK, "Exec",      METHOD(task__exec_process_request, exec, NULL) },
	{ TASK, "Wait",      METHOD(task__wait_request, wait, reply_waited) },
	{ TASK, "Kill",      METHOD(task__kill_request, send_signal, NULL) },
	{ TASK, "ResizePty", METHOD(task__resize_pty_request, resize, NULL) },
	{ TASK, "CloseIO",   METHOD(task__close_iorequest, close_input, NULL) },
	{ TASK, "Delete",    METHOD(task__delete_request, delete, reply_deleted) },
	{ TASK, "State",     METHOD(task__state_request, state, NULL) },
	{ TASK, "Pids",      METHOD(task__pids_request, pids, NULL) },
	{ TASK, "Connect",   METHOD(task__connect_request, connect, NULL) },
	{ TASK, "Shutdown",  METHOD(task__shutdown_request, shutdown, NULL) },
	{ POD,  "Describe",  METHOD(casemate__describe_request, describe, NULL) },
};
/* clang-format on */
const size_t shim_method_count = ARRAY_SIZE(shim_methods);
