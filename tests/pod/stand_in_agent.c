// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: processes are entries of a list that make output when it is asked for. Reads that
 * can't be answered yet wait in the order asked; so do a process's waiters.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "stand_in.h"
#include "wire/proto/agent.pb-c.h"

#define AGENT "casemate.agent.v1.Agent"

enum {
	READS_MAX = 64, /* waiting for one stream; more is the host's fault */
	WAITS_MAX = 16,
	PIPE_BYTES = 64 << 10, /* what a process's pipe holds */
	LONG_BYTES = 33 << 10,
	LISTED_MAX = 64,
	TRAIL_MS = 500,
};

struct output {
	uint64_t left;	      /* of the pattern */
	uint64_t asked, sent; /* bytes, from the start */
	struct buf bytes;     /* said before the pattern */
	bool is_open;	      /* more may come */
	struct {
		struct rpc_call *call;
		uint32_t max;
	} reads[READS_MAX];
	size_t read_count;
};

struct process {
	struct process *next;
	char id[80], exec_id[80], name[32];
	uint64_t number; /* the argument */
	bool is_terminal, is_started, is_stopped, is_input_closed;
	uint32_t status, pid;
	struct output out[2];
	struct rpc_call *waits[WAITS_MAX];
	size_t wait_count;
	struct rpc_call *writing; /* answered when its bytes are in the pipe */
	struct stand_in *stand_in;
	struct loop_source *trail;
};

static struct process *processes;
static uint32_t last_pid;

static struct process *find(const char *id, const char *exec_id)
{
	struct process *process = processes;

	while (process && (strcmp(process->id, id) != 0 || strcmp(process->exec_id, exec_id) != 0))
		process = process->next;
	return process;
}

static void make(const char *id, const char *exec_id, const Agent__Process *asked)
{
	struct process *process = calloc(1, sizeof(*process));

	(void)snprintf(process->id, sizeof(process->id), "%s", id);
	(void)snprintf(process->exec_id, sizeof(process->exec_id), "%s", exec_id);
	(void)snprintf(process->name, sizeof(process->name), "%s",
		       asked->n_args ? asked->args[0] : "");
	if (asked->n_args > 1)
		process->number = strtoull(asked->args[1], NULL, 10);
	process->is_terminal = asked->terminal;
	process->out[0].is_open = process->out[1].is_open = true;
	process->next = processes;
	processes = process;
}

static bool is(const struct process *process, const char *name)
{
	return strcmp(process->name, name) == 0;
}

static void tell_end(struct process *process, struct rpc_call *call)
{
	Agent__WaitResponse response = AGENT__WAIT_RESPONSE__INIT;

	response.status = process->status;
	response.exited_at_ns = time(NULL) * INT64_C(1000000000);
	rpc_call_reply(call, &response.base);
}

static void stop(struct process *process, uint32_t status)
{
	if (process->is_stopped)
		return;
	process->is_stopped = true;
	process->status = status;
	process->out[0].is_open = process->out[1].is_open = false;
	for (size_t i = 0; i < process->wait_count; i++)
		tell_end(process, process->waits[i]);
	process->wait_count = 0;
}

/* Byte i of the pattern is i % 251: a prime, so that nothing of a power of two repeats. */
static size_t fill(struct output *output, uint8_t *at, size_t max)
{
	uint64_t pattern_at = output->sent;
	size_t len = output->left < max ? (size_t)output->left : max;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)((pattern_at + i) % 251);
	output->left -= len;
	return len;
}

static void answer_read(struct output *output, size_t max, struct rpc_call *call)
{
	Agent__ReadResponse response = AGENT__READ_RESPONSE__INIT;
	uint8_t *bytes = calloc(1, max);

	response.data.data = bytes;
	if (output->bytes.len) {
		response.data.len = output->bytes.len < max ? output->bytes.len : max;
		memcpy(bytes, output->bytes.at, response.data.len);
		buf_drop(&output->bytes, response.data.len);
	} else {
		response.data.len = fill(output, bytes, max);
	}
	output->sent += response.data.len;
	response.eof = !output->is_open && !output->left && !output->bytes.len;
	rpc_call_reply(call, &response.base);
	free(bytes);
}

/* Answers the reads that can be, and lets the process go on where that makes room. */
static void pump(struct stand_in *stand_in, struct process *process)
{
	const bool is_long = strcmp(stand_in->mode, "long-output") == 0;

	for (int i = 0; i < 2; i++) {
		struct output *output = &process->out[i];
		size_t done = 0;

		while (done < output->read_count &&
		       (output->left || output->bytes.len || !output->is_open)) {
			answer_read(output, is_long ? LONG_BYTES : output->reads[done].max,
				    output->reads[done].call);
			done++;
		}
		output->read_count -= done;
		memmove(output->reads, output->reads + done,
			output->read_count * sizeof(output->reads[0]));
	}
	if (process->writing && process->out[0].bytes.len <= PIPE_BYTES) {
		rpc_call_reply(process->writing, NULL);
		process->writing = NULL;
	}
	if (is(process, "cat") && process->is_input_closed && !process->out[0].bytes.len &&
	    !process->is_stopped) {
		stop(process, 0);
		pump(stand_in, process);
	}
	if ((is(process, "write") || is(process, "err")) && process->is_started &&
	    process->out[is(process, "err")].left <= PIPE_BYTES && !process->is_stopped) {
		stop(process, 0);
		pump(stand_in, process);
	}
}

static void say_asked(const struct process *of, struct buf *to)
{
	(void)buf_addf(to, "asked=%llu sent=%llu\n",
		       (unsigned long long)(of ? of->out[0].asked : 0),
		       (unsigned long long)(of ? of->out[0].sent : 0));
}

static void on_trail(void *data)
{
	struct process *process = data;

	process->trail = loop_source_free(process->trail);
	process->out[0].left = process->number;
	process->out[0].is_open = false;
	pump(process->stand_in, process);
}

/* Ends at once; what it said comes later. */
static void begin_trail(struct stand_in *stand_in, struct process *process)
{
	process->stand_in = stand_in;
	stop(process, 0);
	process->out[0].is_open = true;
	(void)loop_timer(stand_in->loop, TRAIL_MS, on_trail, process, &process->trail);
}

static void begin(struct stand_in *stand_in, struct process *process)
{
	process->is_started = true;
	process->pid = ++last_pid;
	if (is(process, "exit"))
		stop(process, (uint32_t)process->number);
	else if (is(process, "trail"))
		begin_trail(stand_in, process);
	else if (is(process, "write"))
		process->out[0].left = process->number;
	else if (is(process, "err"))
		process->out[1].left = process->number;
	else if (is(process, "flood"))
		process->out[0].left = UINT64_MAX;
	else if (is(process, "asked"))
		say_asked(find(process->id, ""), &process->out[0].bytes);
	if (is(process, "asked"))
		stop(process, 0);
}

/* --- the methods ------------------------------------------------------------------------------ */

struct method {
	const ProtobufCMessageDescriptor *request;
	void (*fn)(struct stand_in *stand_in, struct rpc_call *call, const void *message);
};

static void no_message(struct rpc_call *call)
{
	rpc_call_fail(call, RPC_INVALID_ARGUMENT, "not a message of this method");
}

static void serve(void *data, struct rpc_call *call, struct bytes payload)
{
	const struct method *method = rpc_call_method(call)->with;
	ProtobufCMessage *message =
		protobuf_c_message_unpack(method->request, NULL, payload.len, payload.at);

	if (message)
		method->fn(data, call, message);
	else
		no_message(call);
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

/* NULL once call was answered: there is none of that name, or it has stopped and may not. */
static struct process *find_for(struct rpc_call *call, const char *id, const char *exec_id,
				bool may_be_stopped)
{
	struct process *process = find(id, exec_id);

	if (process && (may_be_stopped || !process->is_stopped))
		return process;
	rpc_call_fail(call, RPC_NOT_FOUND, "no such process");
	return NULL;
}

static struct process *find_ref(struct rpc_call *call, const void *message)
{
	const Agent__ProcessRef *ref = message;

	return find_for(call, ref->id, ref->exec_id, true);
}

static void hello(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	Agent__HelloResponse response = AGENT__HELLO_RESPONSE__INIT;

	(void)message;
	if (stand_in_hangs(stand_in, "hello"))
		return;
	response.version = strcmp(stand_in->mode, "old-hello") == 0 ? 0 : 1;
	memcpy(&response.kernel, &(const char *){ "0.0-stand-in" }, sizeof(response.kernel));
	rpc_call_reply(call, &response.base);
}

/* It checks nothing: what a policy allows is for the agent's own tests. */
static void set_policy(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__SetPolicyRequest *request = message;

	if (stand_in_hangs(stand_in, "policy"))
		return;
	if (request->document.len == 0)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "there is no policy");
	else
		rpc_call_reply(call, NULL);
}

static void create(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__CreateContainerRequest *request = message;
	Agent__ContainerSpec *spec =
		agent__container_spec__unpack(NULL, request->spec.len, request->spec.data);

	if (!spec || !spec->process || request->n_serials != spec->n_layers) {
		no_message(call);
	} else if (strcmp(stand_in->mode, "refuse-create") == 0) {
		rpc_call_fail(call, RPC_INTERNAL, "layer 1: the root hash is another");
	} else if (!stand_in_hangs(stand_in, "create")) {
		make(request->id, "", spec->process);
		rpc_call_reply(call, NULL);
	}
	if (spec)
		agent__container_spec__free_unpacked(spec, NULL);
}

static void exec(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__ExecRequest *request = message;

	if (!request->process) {
		no_message(call);
	} else if (!stand_in_hangs(stand_in, "exec-process")) {
		make(request->id, request->exec_id, request->process);
		rpc_call_reply(call, NULL);
	}
}

static void start(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	Agent__StartResponse response = AGENT__START_RESPONSE__INIT;
	struct process *process;

	if (stand_in_hangs(stand_in, "start"))
		return;
	process = find_ref(call, message);
	if (!process)
		return;
	if (is(process, "last")) {
		/* the container ends before this has begun, and nobody hears of it again */
		stop(find(process->id, ""), 137);
		pump(stand_in, find(process->id, ""));
	} else if (is(process, "nonesuch")) {
		rpc_call_fail(call, RPC_NOT_FOUND, "executable file `nonesuch` not found");
	} else if (is(process, "noexec")) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "exec format error");
	} else if (process->is_started) {
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "it has been started");
	} else {
		begin(stand_in, process);
		response.pid = process->pid;
		rpc_call_reply(call, &response.base);
		stand_in_started(stand_in);
	}
}

static void wait(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	struct process *process = find_ref(call, message);

	(void)stand_in;
	if (!process)
		return;
	if (process->is_stopped)
		tell_end(process, call);
	else if (process->wait_count < WAITS_MAX)
		process->waits[process->wait_count++] = call;
	else
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "too many wait");
}

static void send_signal(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__SignalRequest *request = message;
	struct process *process;

	if (stand_in_hangs(stand_in, "kill"))
		return;
	process = find_for(call, request->id, request->exec_id, false);
	if (!process)
		return;
	rpc_call_reply(call, NULL);
	if (!is(process, "deaf") || request->signal == SIGKILL) {
		process->out[0].left = process->out[1].left = 0;
		stop(process, 128 + request->signal);
	}
	pump(stand_in, process);
}

static void resize(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	(void)stand_in;
	(void)message;
	rpc_call_reply(call, NULL);
}

static void read_output(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__ReadRequest *request = message;
	struct process *process = find_for(call, request->id, request->exec_id, true);
	struct output *output;

	if (!process)
		return;
	output = &process->out[request->stream == AGENT__STREAM__STDERR];
	if (output->read_count == READS_MAX) {
		rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "too many reads");
	} else {
		output->asked += request->max;
		output->reads[output->read_count].call = call;
		output->reads[output->read_count++].max = request->max;
		pump(stand_in, process);
	}
}

static void write_input(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	const Agent__WriteRequest *request = message;
	struct process *process = find_for(call, request->id, request->exec_id, false);

	if (!process)
		return;
	if (process->writing || process->is_input_closed || !process->is_started) {
		/* the host promised one at a time, to a process that runs, before the end */
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "not now");
		stop(process, 99);
	} else {
		if (is(process, "cat"))
			(void)buf_add(&process->out[0].bytes, request->data.data,
				      request->data.len);
		process->writing = call;
	}
	pump(stand_in, process);
}

static void close_input(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	struct process *process = find_ref(call, message);

	if (!process)
		return;
	if (process->writing) /* the host promised to wait for it */
		stop(process, 99);
	process->is_input_closed = true;
	rpc_call_reply(call, NULL);
	pump(stand_in, process);
}

static void delete (struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	struct process *process = find_ref(call, message), **at = &processes;

	(void)stand_in;
	if (!process)
		return;
	if (process->is_started && !process->is_stopped) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "it runs");
		return;
	}
	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	(void)loop_source_free(process->trail);
	for (int i = 0; i < 2; i++) {
		for (size_t j = 0; j < process->out[i].read_count; j++)
			rpc_call_fail(process->out[i].reads[j].call, RPC_NOT_FOUND, "deleted");
		buf_done(&process->out[i].bytes);
	}
	free(process);
	rpc_call_reply(call, NULL);
}

static void list(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	Agent__ListResponse response = AGENT__LIST_RESPONSE__INIT;
	Agent__ListedProcess listed[LISTED_MAX], *at[LISTED_MAX];
	const Agent__ContainerRef *request = message;

	(void)stand_in;
	for (struct process *process = processes; process; process = process->next) {
		Agent__ListedProcess *entry = &listed[response.n_processes];

		if (strcmp(process->id, request->id) != 0 || process->is_stopped ||
		    !process->is_started || response.n_processes == LISTED_MAX)
			continue;
		agent__listed_process__init(entry);
		entry->pid = process->pid;
		entry->exec_id = process->exec_id;
		entry->command = process->name;
		at[response.n_processes++] = entry;
	}
	response.processes = at;
	rpc_call_reply(call, &response.base);
}

static void list_refusals(struct stand_in *stand_in, struct rpc_call *call, const void *message)
{
	Agent__ListRefusalsResponse response = AGENT__LIST_REFUSALS_RESPONSE__INIT;
	Agent__Refused refused = AGENT__REFUSED__INIT, *at = &refused;

	(void)message;
	if (stand_in_hangs(stand_in, "refusals"))
		return;
	if (strcmp(stand_in->mode, "refused") == 0) {
		memcpy(&refused.code, &(const char *){ "policy-exec" }, sizeof(refused.code));
		response.refusals = &at;
		response.n_refusals = 1;
		response.count = 70;
	}
	rpc_call_reply(call, &response.base);
}

/* clang-format off */
#define METHOD(request, fn) serve, &(const struct method){ &agent__##request##__descriptor, fn }

const struct rpc_method stand_in_methods[] = {
	{ AGENT, "Hello",           METHOD(hello_request, hello) },
	{ AGENT, "SetPolicy",       METHOD(set_policy_request, set_policy) },
	{ AGENT, "CreateContainer", METHOD(create_container_request, create) },
	{ AGENT, "ExecProcess",     METHOD(exec_request, exec) },
	{ AGENT, "StartProcess",    METHOD(process_ref, start) },
	{ AGENT, "WaitProcess",     METHOD(process_ref, wait) },
	{ AGENT, "SignalProcess",   METHOD(signal_request, send_signal) },
	{ AGENT, "ResizeTerminal",  METHOD(resize_request, resize) },
	{ AGENT, "ReadOutput",      METHOD(read_request, read_output) },
	{ AGENT, "WriteInput",      METHOD(write_request, write_input) },
	{ AGENT, "CloseInput",      METHOD(process_ref, close_input) },
	{ AGENT, "DeleteProcess",   METHOD(process_ref, delete) },
	{ AGENT, "ListProcesses",   METHOD(container_ref, list) },
	{ AGENT, "ListRefusals",    METHOD(empty, list_refusals) },
};
/* clang-format on */
const size_t stand_in_method_count = ARRAY_SIZE(stand_in_methods);
