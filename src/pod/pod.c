// SPDX-License-Identifier: Apache-2.0
#include "pod/pod.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "pod/pod_priv.h"
#include "sys/host.h"

int pod_new(const struct pod_opts *opts, struct pod **ret, struct err *err)
{
	struct pod *pod;

	if (!text_name_valid(opts->name))
		return err_coded(err, ERR_USAGE, -EINVAL, "name a pod '%s': not a name",
				 opts->name);
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return err_num(err, -ENOMEM, "make pod '%s'", opts->name);
	pod->opts = *opts;
	(void)snprintf(pod->name, sizeof(pod->name), "%s", opts->name);
	pod->phase_us = opts->began_us;
	pod->processor_pidfd = -1;
	*ret = pod;
	return 0;
}

static void free_lists(struct pod *pod)
{
	const struct pod_result over = { .num = -ESHUTDOWN, .text = "the pod is being removed" };
	struct pod_container *container, *next;

	for (container = pod->containers; container; container = next) {
		next = container->next;
		if (container->creation)
			pod_creation_fail(container->creation, &over);
	}
	while ((container = pod->containers))
		pod_container_free(container);
	for (size_t i = 0; i < POD_MAX_LUNS; i++)
		free(pod->luns[i].key);
}

struct pod *pod_free(struct pod *pod)
{
	if (!pod)
		return NULL;
	(void)loop_source_free(pod->deadline);
	(void)loop_source_free(pod->losing);
	(void)loop_source_free(pod->ending);
	(void)rpc_conn_free(pod->agent);
	pod_relay_end(pod);
	(void)vmm_free(pod->vmm);
	pod_processor_end(pod);
	free_lists(pod);
	if (pod->vm_owner)
		casemate__prepare_result__free_unpacked(pod->vm_owner, NULL);
	free(pod->why);
	free(pod);
	return NULL;
}

void pod_container_free(struct pod_container *container)
{
	struct pod *pod = container->pod;
	struct pod_process *exec, *next;
	struct pod_container **at;

	for (at = &pod->containers; *at && *at != container; at = &(*at)->next)
		;
	if (*at) {
		*at = container->next;
		pod->container_count--;
	}
	for (exec = container->execs; exec; exec = next) {
		next = exec->next;
		pod_process_done(exec);
		pod->exec_count--;
		free(exec);
	}
	pod_process_done(&container->first);
	(void)logfile_free(container->log);
	if (container->request)
		casemate__request__free_unpacked(container->request, NULL);
	/* the pod's VM goes on speaking of what its first container brought */
	if (container->prepared && container->prepared != pod->vm_owner)
		casemate__prepare_result__free_unpacked(container->prepared, NULL);
	free(container);
}

struct pod_container *pod_find(struct pod *pod, const char *id)
{
	struct pod_container *container = pod->containers;

	while (container && strcmp(container->id, id) != 0)
		container = container->next;
	return container;
}

struct pod_process *pod_find_process(struct pod *pod, const char *id, const char *exec_id)
{
	struct pod_container *container = pod_find(pod, id);
	struct pod_process *process;

	if (!container)
		return NULL;
	if (!exec_id[0])
		return &container->first;
	process = container->execs;
	while (process && strcmp(process->exec_id, exec_id) != 0)
		process = process->next;
	return process;
}

struct pod_process *pod_find_number(struct pod *pod, uint64_t number)
{
	struct pod_container *container;
	struct pod_process *process;

	for (container = pod->containers; container; container = container->next) {
		if (container->first.number == number)
			return &container->first;
		for (process = container->execs; process; process = process->next)
			if (process->number == number)
				return process;
	}
	return NULL;
}

void pod_done_ok(pod_done_fn *done, void *data)
{
	done(data, &(struct pod_result){ 0 });
}

void pod_done_err(pod_done_fn *done, void *data, const struct err *err)
{
	done(data, &(struct pod_result){ .num = err->num ? err->num : -EIO,
					 .code = err->code,
					 .text = err->msg });
}

void pod_phase(struct pod *pod, const char *name)
{
	uint64_t now = host_boottime_us();

	if (pod->phase_count < POD_MAX_PHASES)
		pod->phases[pod->phase_count++] = (struct pod_phase){ name, now - pod->phase_us };
	pod->phase_us = now;
}

int pod_reply_err(const struct rpc_reply *reply, const char *step, struct err *err)
{
	if (reply->num == -EREMOTEIO) {
		/* Not found and failed precondition are told apart by
		 * clients, as 127 and 126 are by shells. */
		int num = reply->code == RPC_NOT_FOUND		   ? -ENOENT
			  : reply->code == RPC_FAILED_PRECONDITION ? -ENOEXEC
			  : reply->code == RPC_PERMISSION_DENIED   ? -EACCES
								   : -EREMOTEIO;
		CLEANUP(buf_done) struct buf text = { 0 };
		const char *message = reply->message ? reply->message : "";

		(void)text_quote(&text,
				 (struct bytes){ (const uint8_t *)message, strlen(message) });
		return err_coded(err, num == -EACCES ? ERR_REFUSED : ERR_CONTAINER, num, "%s: %.*s",
				 step, (int)text.len, (const char *)text.at);
	}
	if (reply->num == -ETIMEDOUT)
		return err_coded(err, ERR_GUEST_GONE, -ETIMEDOUT,
				 "%s: the guest's agent did not answer in time", step);
	if (reply->num == -ENOBUFS)
		return err_coded(err, ERR_GUEST_GONE, -ENOBUFS,
				 "%s: the guest's agent takes nothing of what it is sent", step);
	return err_coded(err, ERR_GUEST_GONE, reply->num, "%s: the guest has ended", step);
}

/* These take as long as the process does; all others are answered at once, or never. */
static uint32_t call_timeout_ms(const struct pod *pod, const char *method)
{
	static const char *const patient[] = { "WaitProcess", "ReadOutput", "WriteInput" };

	for (size_t i = 0; i < ARRAY_SIZE(patient); i++)
		if (strcmp(method, patient[i]) == 0)
			return 0;
	if (pod->vm->tee && strcmp(method, "CreateContainer") == 0)
		return pod->vm->start_timeout_ms + POD_SECRETS_MS;
	return pod->vm->start_timeout_ms;
}

void pod_call_agent(struct pod_process *process, const char *method,
		    const ProtobufCMessage *request, rpc_reply_fn *answered, pod_done_fn *done,
		    void *data)
{
	struct pod *pod = process->container->pod;
	struct pod_call *call = calloc(1, sizeof(*call));
	struct rpc_reply gone = { .num = -EPIPE };
	int r;

	if (!call) {
		struct err err = { 0 };

		err_num(&err, -ENOMEM, "call the agent");
		if (done)
			pod_done_err(done, data, &err);
		return;
	}
	*call = (struct pod_call){ pod, process->number, done, data };
	if (!pod->agent) {
		answered(call, &gone);
		return;
	}
	r = rpc_conn_call(pod->agent, POD_AGENT, method, call_timeout_ms(pod, method), request,
			  answered, call);
	if (r < 0) {
		gone.num = r;
		answered(call, &gone);
	}
}

struct refusals_ask {
	pod_refusals_fn *done;
	void *data;
};

static void refusals_answered(void *data, const struct rpc_reply *reply)
{
	struct refusals_ask ask = *(struct refusals_ask *)data;
	Agent__ListRefusalsResponse *list = NULL;

	free(data);
	if (reply->num == 0)
		list = agent__list_refusals_response__unpack(NULL, reply->payload.len,
							     reply->payload.at);
	ask.done(ask.data, list);
	if (list)
		agent__list_refusals_response__free_unpacked(list, NULL);
}

void pod_refusals(struct pod *pod, pod_refusals_fn *done, void *data)
{
	struct refusals_ask *ask = NULL;
	int r = -EPIPE;

	if (pod->agent && pod->state == POD_READY && pod->vm->tee)
		ask = malloc(sizeof(*ask));
	if (ask) {
		*ask = (struct refusals_ask){ done, data };
		r = rpc_conn_call(pod->agent, POD_AGENT, "ListRefusals", POD_REFUSALS_TIMEOUT_MS,
				  NULL, refusals_answered, ask);
	}
	if (r == 0)
		return;
	free(ask);
	done(data, NULL);
}

int pod_view(struct pod *pod, const char *id, const char *exec_id, struct pod_view *ret)
{
	struct pod_process *process = pod_find_process(pod, id, exec_id);

	if (!process)
		return -ENOENT;
	*ret = (struct pod_view){
		process->state,	    process->status,
		process->exited_ns, process->pid,
		process->terminal,  process->out[0].log && !pod_stream_is_drained(process)
	};
	return 0;
}

static int describe_container(struct pod_container *container, Casemate__DescribedContainer **ret)
{
	Casemate__DescribedContainer *told = malloc(sizeof(*told));
	Casemate__PrepareResult *prepared = container->prepared;

	if (!told)
		return -ENOMEM;
	casemate__described_container__init(told);
	told->name = container->id;
	/* borrowed; protobuf-c's strings are not const */
	memcpy(&told->status, &(const char *){ state_process_name(container->first.state) },
	       sizeof(told->status));
	told->exit_status = container->first.status;
	told->image = container->request->image;
	told->n_args = container->request->n_args;
	told->args = container->request->args;
	told->created_ns = container->created_ns;
	told->exited_ns = container->first.exited_ns;
	told->terminal = container->first.terminal;
	if (prepared) {
		told->image_digest = prepared->image_digest;
		told->n_layers = prepared->n_layers;
		told->layers = prepared->layers;
	}
	*ret = told;
	return 0;
}

static int describe_phases(struct pod *pod, Casemate__DescribeResponse *ret)
{
	ret->phases = calloc(POD_MAX_PHASES, sizeof(*ret->phases));
	for (size_t i = 0; ret->phases && i < pod->phase_count; i++) {
		Casemate__Phase *phase = malloc(sizeof(*phase));

		if (!phase)
			return -ENOMEM;
		casemate__phase__init(phase);
		memcpy(&phase->name, &pod->phases[i].name, sizeof(phase->name));
		phase->us = pod->phases[i].us;
		ret->phases[ret->n_phases++] = phase;
	}
	return ret->phases ? 0 : -ENOMEM;
}

int pod_describe(struct pod *pod, Casemate__DescribeResponse *ret)
{
	struct pod_container *container;
	int r;

	casemate__describe_response__init(ret);
	ret->pod = pod->name;
	ret->guest_kernel = pod->kernel;
	ret->shim_pid = getpid();
	ret->qemu_pid = pod->vmm ? vmm_pid(pod->vmm) : 0;
	ret->qemu_uid = pod->uid;
	if (pod->vm) {
		memcpy(&ret->accel, &(const char *){ pod->vm->kvm ? "kvm" : "tcg" },
		       sizeof(ret->accel));
		ret->guest = pod->vm->guest;
		if (pod->vm->tee)
			ret->tee = pod->vm->tee->kind;
		ret->vcpus = pod->vm->vcpus;
		ret->memory_mib = pod->vm->memory_mib;
	}
	r = describe_phases(pod, ret);
	if (r < 0)
		return r;
	ret->containers = calloc(POD_MAX_CONTAINERS, sizeof(*ret->containers));
	if (!ret->containers)
		return -ENOMEM;
	for (container = pod->containers; container; container = container->next) {
		r = describe_container(container, &ret->containers[ret->n_containers]);
		if (r < 0)
			return r;
		ret->n_containers++;
	}
	return 0;
}

void pod_describe_done(Casemate__DescribeResponse *ret)
{
	for (size_t i = 0; i < ret->n_containers; i++)
		free(ret->containers[i]);
	for (size_t i = 0; i < ret->n_phases; i++)
		free(ret->phases[i]);
	free(ret->containers);
	free(ret->phases);
	casemate__describe_response__init(ret);
}

bool pod_is_empty(const struct pod *pod)
{
	return !pod->containers;
}

static bool process_lives(const struct pod_process *process)
{
	return process->state != PROCESS_STOPPED || !pod_stream_is_drained(process);
}

void pod_settle(struct pod *pod)
{
	struct pod_container *container;

	for (container = pod->containers; container; container = container->next)
		if (process_lives(&container->first))
			return;
	pod_end(pod);
}
