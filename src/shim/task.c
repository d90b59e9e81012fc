// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a handler unpacks its request, asks the pod, and answers when the pod does.
 * Everything a client says is checked by the pod; here only its form is.
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

/* A call that the pod is working on. */
struct asked {
	struct shim *shim;
	struct rpc_call *call;
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

static void malformed(struct rpc_call *call)
{
	rpc_call_fail(call, RPC_INVALID_ARGUMENT, "not a message of this method");
}

static struct asked *asked_new(void *shim, struct rpc_call *call)
{
	struct asked *asked = malloc(sizeof(*asked));

	if (asked)
		*asked = (struct asked){ shim, call };
	else
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	return asked;
}

/* Frees the asked; true if the result is a success that is still to be answered. */
static bool answered(struct asked *asked, const struct pod_result *result,
		     struct rpc_call **ret_call)
{
	*ret_call = asked->call;
	free(asked);
	if (result->num < 0)
		fail(*ret_call, result);
	return result->num >= 0;
}

static void reply_empty(void *data, const struct pod_result *result)
{
	struct rpc_call *call;

	if (answered(data, result, &call))
		rpc_call_reply(call, NULL);
}

static void reply_created(void *data, const struct pod_result *result)
{
	struct asked *asked = data;
	struct shim *shim = asked->shim;
	struct rpc_call *call;

	if (answered(asked, result, &call))
		rpc_call_reply(call, NULL);
	shim_look(shim);
}

static void reply_started(void *data, const struct pod_result *result)
{
	Task__StartResponse response = TASK__START_RESPONSE__INIT;
	struct rpc_call *call;

	response.pid = result->pid;
	if (answered(data, result, &call))
		rpc_call_reply(call, &response.base);
}

static Task__Timestamp timestamp(int64_t ns)
{
	Task__Timestamp at = TASK__TIMESTAMP__INIT;

	at.seconds = ns / 1000000000;
	at.nanos = (int32_t)(ns % 1000000000);
	return at;
}

static void reply_waited(void *data, const struct pod_result *result)
{
	Task__WaitResponse response = TASK__WAIT_RESPONSE__INIT;
	Task__Timestamp at = timestamp(result->exited_ns);
	struct rpc_call *call;

	response.exit_status = result->status;
	response.exited_at = &at;
	if (answered(data, result, &call))
		rpc_call_reply(call, &response.base);
}

static void reply_deleted(void *data, const struct pod_result *result)
{
	Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
	Task__Timestamp at = timestamp(result->exited_ns);
	struct asked *asked = data;
	struct shim *shim = asked->shim;
	struct rpc_call *call;

	response.pid = result->pid;
	response.exit_status = result->status;
	response.exited_at = &at;
	if (answered(asked, result, &call))
		rpc_call_reply(call, &response.base);
	shim_look(shim);
}

static Casemate__Request *unpack_request(const Task__CreateTaskRequest *task)
{
	if (!task->options || strcmp(task->options->type_url, REQUEST_TYPE) != 0)
		return NULL;
	return casemate__request__unpack(NULL, task->options->value.len, task->options->value.data);
}

static void on_create(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__CreateTaskRequest *task =
		task__create_task_request__unpack(NULL, payload.len, payload.at);
	Casemate__Request *request = task ? unpack_request(task) : NULL;
	struct asked *asked = NULL;
	struct shim *shim = data;

	shim->was_asked = true;
	if (!request)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT,
			      "create: options of type " REQUEST_TYPE " are needed");
	else
		asked = asked_new(shim, call);
	if (asked)
		pod_create(shim->pod,
			   &(struct pod_create){ .id = task->id,
						 .request = request,
						 .io = { task->stdin, task->stdout, task->stderr,
							 task->terminal },
						 .owner = rpc_call_conn(call) },
			   reply_created, asked);
	if (request)
		casemate__request__free_unpacked(request, NULL);
	if (task)
		task__create_task_request__free_unpacked(task, NULL);
}

static void on_exec(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__ExecProcessRequest *task =
		task__exec_process_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = NULL;
	struct shim *shim = data;

	if (!task || !task->spec || strcmp(task->spec->type_url, PROCESS_TYPE) != 0)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT,
			      "exec: a spec of type " PROCESS_TYPE " is needed");
	else
		asked = asked_new(shim, call);
	if (asked)
		pod_exec(shim->pod,
			 &(struct pod_exec){
				 .id = task->id,
				 .exec_id = task->exec_id,
				 .process = { task->spec->value.data, task->spec->value.len },
				 .io = { task->stdin, task->stdout, task->stderr, task->terminal },
				 .owner = rpc_call_conn(call) },
			 reply_empty, asked);
	if (task)
		task__exec_process_request__free_unpacked(task, NULL);
}

static void on_start(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__StartRequest *task = task__start_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_start(shim->pod, task->id, task->exec_id, reply_started, asked);
	if (task)
		task__start_request__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_wait(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__WaitRequest *task = task__wait_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_wait(shim->pod, task->id, task->exec_id, reply_waited, asked);
	if (task)
		task__wait_request__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_kill(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__KillRequest *task = task__kill_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_kill(shim->pod, task->id, task->exec_id, task->signal, task->all, reply_empty,
			 asked);
	if (task)
		task__kill_request__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_resize(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__ResizePtyRequest *task =
		task__resize_pty_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_resize(shim->pod, task->id, task->exec_id, task->width, task->height,
			   reply_empty, asked);
	if (task)
		task__resize_pty_request__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_close_io(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__CloseIORequest *task = task__close_iorequest__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked && task->stdin)
		pod_close_input(shim->pod, task->id, task->exec_id, reply_empty, asked);
	else if (asked)
		reply_empty(asked, &(struct pod_result){ 0 });
	if (task)
		task__close_iorequest__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_delete(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__DeleteRequest *task = task__delete_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_delete(shim->pod, task->id, task->exec_id, reply_deleted, asked);
	if (task)
		task__delete_request__free_unpacked(task, NULL);
	else
		malformed(call);
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

static void on_state(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__StateRequest *task = task__state_request__unpack(NULL, payload.len, payload.at);
	Task__StateResponse response = TASK__STATE_RESPONSE__INIT;
	struct shim *shim = data;
	struct pod_view view;
	Task__Timestamp at;

	if (!task) {
		malformed(call);
		return;
	}
	if (pod_view(shim->pod, task->id, task->exec_id, &view) < 0) {
		rpc_call_fail(call, RPC_NOT_FOUND, "state: there is none of that name");
	} else {
		at = timestamp(view.exited_ns);
		response.id = task->id;
		response.exec_id = task->exec_id;
		response.pid = view.pid;
		response.status = status_word(view.state);
		response.terminal = view.terminal;
		response.exit_status = view.status;
		response.exited_at = &at;
		rpc_call_reply(call, &response.base);
	}
	task__state_request__free_unpacked(task, NULL);
}

static void reply_listed(void *data, const struct pod_result *result, struct bytes list)
{
	Task__PidsResponse response = TASK__PIDS_RESPONSE__INIT;
	Agent__ListResponse *listed = NULL;
	Task__ProcessInfo *infos = NULL, **at = NULL;
	Task__Any *anys = NULL;
	struct rpc_call *call;

	if (!answered(data, result, &call))
		return;
	listed = agent__list_response__unpack(NULL, list.len, list.at);
	if (listed && listed->n_processes) {
		infos = calloc(listed->n_processes, sizeof(*infos));
		at = calloc(listed->n_processes, sizeof(*at));
		anys = calloc(listed->n_processes, sizeof(*anys));
	}
	for (size_t i = 0; infos && at && anys && i < listed->n_processes; i++) {
		const char *command = listed->processes[i]->command;

		task__process_info__init(&infos[i]);
		task__any__init(&anys[i]);
		memcpy(&anys[i].type_url, &(const char *){ "casemate.dev/Command" },
		       sizeof(anys[i].type_url));
		memcpy(&anys[i].value.data, &command, sizeof(anys[i].value.data));
		anys[i].value.len = strlen(command);
		infos[i].pid = listed->processes[i]->pid;
		infos[i].info = &anys[i];
		at[response.n_processes++] = &infos[i];
	}
	response.processes = at;
	rpc_call_reply(call, &response.base);
	if (listed)
		agent__list_response__free_unpacked(listed, NULL);
	free(infos);
	free(anys);
	free(at);
}

static void on_pids(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__PidsRequest *task = task__pids_request__unpack(NULL, payload.len, payload.at);
	struct asked *asked = task ? asked_new(data, call) : NULL;
	struct shim *shim = data;

	if (asked)
		pod_list(shim->pod, task->id, reply_listed, asked);
	if (task)
		task__pids_request__free_unpacked(task, NULL);
	else
		malformed(call);
}

static void on_connect(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__ConnectResponse response = TASK__CONNECT_RESPONSE__INIT;

	(void)data;
	(void)payload;
	response.shim_pid = (uint32_t)getpid();
	memcpy(&response.version, &(const char *){ CASEMATE_VERSION }, sizeof(response.version));
	rpc_call_reply(call, &response.base);
}

static void on_shutdown(void *data, struct rpc_call *call, struct bytes payload)
{
	Task__ShutdownRequest *task = task__shutdown_request__unpack(NULL, payload.len, payload.at);
	struct shim *shim = data;

	if (!task) {
		malformed(call);
		return;
	}
	rpc_call_reply(call, NULL);
	if (task->now || pod_is_empty(shim->pod))
		shim_end(shim);
	task__shutdown_request__free_unpacked(task, NULL);
}

static void on_describe(void *data, struct rpc_call *call, struct bytes payload)
{
	Casemate__DescribeResponse response;
	struct shim *shim = data;
	char kernel[65];

	(void)payload;
	if (pod_describe(shim->pod, &response) < 0) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	} else {
		host_kernel(kernel, sizeof(kernel));
		response.host_kernel = kernel;
		rpc_call_reply(call, &response.base);
	}
	pod_describe_done(&response);
}

const struct rpc_method shim_methods[] = {
	{ TASK, "Create", on_create },	  { TASK, "Start", on_start },
	{ TASK, "Exec", on_exec },	  { TASK, "Wait", on_wait },
	{ TASK, "Kill", on_kill },	  { TASK, "ResizePty", on_resize },
	{ TASK, "CloseIO", on_close_io }, { TASK, "Delete", on_delete },
	{ TASK, "State", on_state },	  { TASK, "Pids", on_pids },
	{ TASK, "Connect", on_connect },  { TASK, "Shutdown", on_shutdown },
	{ POD, "Describe", on_describe },
};
const size_t shim_method_count = ARRAY_SIZE(shim_methods);
