// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: pod_boot() leases what QEMU needs, starts it, connects the agent's port and
 * says hello; the first of these to happen ends the boot: the agent's answer, the deadline,
 * QEMU's end. From then on, and until pod_end(), the VM ending, or its agent breaking the
 * protocol, ends every process in it. on_end is always told from a turn of its own, when nobody
 * is in the middle of using the pod.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pod/pod_priv.h"
#include "sys/host.h"
#include "sys/sock.h"

enum {
	HELLO_VERSION = 1,
	ENTROPY_BYTES = 32,
	CONSOLE_LINES = 12,
	SPAWN_FDS = 16,
	LOCK_TARGET = 31, /* QEMU holds it open and knows nothing of it */
	LOSING_MS = 200,  /* between the ends of QEMU's port and of its monitor, or of QEMU */
	LEAVING_MS = VMM_LINGER_MS + LEASE_KILL_MS, /* from then to QEMU's end, if both are gone */
};

static void tell_end(void *data)
{
	struct pod *pod = data;

	pod->ending = loop_source_free(pod->ending);
	pod->opts.on_end(pod->opts.data);
}

/* Once QEMU is gone, and again for everybody who asks for the end after that. */
static void schedule_end(struct pod *pod)
{
	if (!pod->ending && (!pod->vmm || pod->qemu_gone))
		(void)loop_timer(pod->opts.loop, 0, tell_end, pod, &pod->ending);
}

static void boot_over(struct pod *pod, const struct pod_result *result)
{
	struct pod_boot_calls calls = pod->boot;

	pod->deadline = loop_source_free(pod->deadline);
	pod->boot = (struct pod_boot_calls){ 0 };
	if (calls.done)
		calls.done(calls.data, result);
}

/* One line that says what ended the VM, and the last ones of its console under it. */
static void set_why(struct pod *pod, const char *why)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	CLEANUP(buf_done) struct buf tail = { 0 };

	if (pod->why)
		return;
	if (pod->vmm && vmm_stderr_tail(pod->vmm, CONSOLE_LINES, &tail) == 0 && tail.len)
		(void)buf_addf(&text, "%s\nQEMU said last:\n%.*s", why, (int)tail.len, tail.at);
	tail.len = 0;
	if (pod->vmm && vmm_console_tail(pod->vmm, CONSOLE_LINES, &tail) == 0 && tail.len)
		(void)buf_addf(&text, "%s\nthe guest's console said last:\n%.*s",
			       text.len ? "" : why, (int)tail.len, tail.at);
	while (text.len && text.at[text.len - 1] == '\n')
		text.len--;
	pod->why = text.len ? strndup((const char *)text.at, text.len) : strdup(why);
}

void pod_vm_lost(struct pod *pod, const char *why)
{
	struct pod_result result = { .num = -ECONNABORTED, .code = ERR_GUEST_GONE };
	struct rpc_conn *agent = pod->agent;
	struct pod_container *container, *next;
	bool booting = pod->state == POD_BOOTING;
	struct pod_process *exec;

	if (pod->state == POD_ENDED)
		return;
	(void)state_pod_next(pod->state, POD_GONE, &pod->state);
	if (why)
		set_why(pod, why);
	pod->losing = loop_source_free(pod->losing);
	pod->agent = NULL;
	(void)rpc_conn_free(agent);
	pod_relay_end(pod);
	if (pod->vmm)
		vmm_stop(pod->vmm);
	result.code = booting ? ERR_GUEST_BOOT : ERR_GUEST_GONE;
	result.text = pod->why ? pod->why : "the pod was ended";
	boot_over(pod, &result);
	for (container = pod->containers; container; container = next) {
		next = container->next;
		if (container->creation) {
			pod_creation_fail(container->creation, &result);
			continue;
		}
		for (exec = container->execs; exec; exec = exec->next)
			pod_process_ended(exec, 137, host_realtime_ns());
		pod_process_ended(&container->first, 137, host_realtime_ns());
	}
	schedule_end(pod);
}

void pod_late(struct pod *pod, const char *step, const char *phase)
{
	char why[256];

	(void)snprintf(why, sizeof(why), "%s: no answer in %g s (phase: %s)", step,
		       pod->vm->start_timeout_ms / 1000.0, phase);
	pod_vm_lost(pod, why);
}

static void vm_exited(void *data, int status)
{
	struct pod *pod = data;
	char why[96];

	(void)snprintf(why, sizeof(why), "the VM ended by itself (QEMU's status is %d)", status);
	pod->qemu_gone = true;
	pod_vm_lost(pod, why);
	schedule_end(pod);
}

/* What the boot was waiting for. */
static const char *boot_phase(const struct pod *pod)
{
	const char *last = pod->phase_count ? pod->phases[pod->phase_count - 1].name : "";

	if (strcmp(last, "agent") == 0)
		return "policy";
	if (strcmp(last, "kernel") == 0)
		return "agent";
	return strcmp(last, "qemu") == 0 ? "kernel" : "qemu";
}

static void vm_ready(struct pod *pod)
{
	pod_phase(pod, "qemu");
	if (pod->boot.ready)
		pod->boot.ready(pod->boot.data);
}

/* A reset is how a guest of ours ends, too: only before its agent is there does that say something. */
static void vm_shut_down(struct pod *pod, const char *reason)
{
	if (strcmp(reason, "guest-shutdown") == 0)
		set_why(pod, "the guest shut down");
	else if (strcmp(reason, "guest-reset") == 0 && pod->state == POD_BOOTING)
		set_why(pod, "the guest reset itself while it started");
}

static void vm_event(void *data, const struct vmm_event *event)
{
	struct pod *pod = data;

	if (event->kind == VMM_READY)
		vm_ready(pod);
	else if (event->kind == VMM_PORT_OPENED && strcmp(boot_phase(pod), "kernel") == 0)
		/* the agent's: the processor's is opened each time a report is wanted */
		pod_phase(pod, "kernel");
	else if (event->kind == VMM_PANICKED)
		pod_vm_lost(pod, "the guest's kernel panicked");
	else if (event->kind == VMM_SHUTDOWN)
		vm_shut_down(pod, event->detail);
	else if (event->kind == VMM_BROKEN)
		set_why(pod, "QEMU's monitor broke off");
}

static const struct vmm_events events = { .on_event = vm_event, .on_exit = vm_exited };

static void qemu_stayed(void *data)
{
	pod_vm_lost(data, "QEMU hung up, and does not end");
}

/* Who has also lost its monitor is at its end, which may take the kernel long: it says more. */
static void agent_lost(void *data)
{
	struct pod *pod = data;

	pod->losing = loop_source_free(pod->losing);
	if (!vmm_is_leaving(pod->vmm))
		pod_vm_lost(pod, "the guest's agent broke the protocol, or ended");
	else if (loop_timer(pod->opts.loop, LEAVING_MS, qemu_stayed, pod, &pod->losing) < 0)
		qemu_stayed(pod);
}

/* If that is since QEMU has ended, then its end says more, and is here soon. */
static void agent_closed(void *data, struct rpc_conn *conn)
{
	struct pod *pod = data;

	(void)conn;
	if (pod->losing || loop_timer(pod->opts.loop, LOSING_MS, agent_lost, pod, &pod->losing) < 0)
		agent_lost(pod);
}

static void agent_has_room(void *data, struct rpc_conn *conn)
{
	(void)conn;
	pod_stream_go_on(data);
}

static void deadline_passed(void *data)
{
	struct pod *pod = data;
	char why[128];

	(void)snprintf(why, sizeof(why), "the guest did not come up in %g s (phase: %s)",
		       pod->vm->start_timeout_ms / 1000.0, boot_phase(pod));
	pod_vm_lost(pod, why);
}

/* Its agent serves: what the boot was for. */
static void agent_ready(struct pod *pod)
{
	(void)state_pod_next(pod->state, POD_HELLO, &pod->state);
	boot_over(pod, &(struct pod_result){ 0 });
}

static void policy_answered(void *data, const struct rpc_reply *reply)
{
	struct pod *pod = data;
	struct pod_result result = { 0 };
	struct err err = { 0 };

	if (pod->state != POD_BOOTING || reply->num == -EPIPE)
		return;
	pod_phase(pod, "policy");
	if (reply->num == 0) {
		agent_ready(pod);
		pod_relay_start(pod);
		return;
	}
	result.num = pod_reply_err(reply, "set the policy", &err);
	result.code = err.code;
	result.text = err.msg;
	boot_over(pod, &result);
}

/* With a TEE the agent does nothing before it has this, and holds it against its own report. */
static int set_policy(struct pod *pod)
{
	Agent__SetPolicyRequest request = AGENT__SET_POLICY_REQUEST__INIT;

	request.document = pod->vm->tee->policy;
	return rpc_conn_call(pod->agent, POD_AGENT, "SetPolicy", 0, &request.base, policy_answered,
			     pod);
}

static void hello_answered(void *data, const struct rpc_reply *reply)
{
	Agent__HelloResponse *response;
	struct pod *pod = data;

	if (pod->state != POD_BOOTING || reply->num == -EPIPE)
		return;
	response = reply->num == 0 ? agent__hello_response__unpack(NULL, reply->payload.len,
								   reply->payload.at)
				   : NULL;
	if (!response || response->version != HELLO_VERSION) {
		pod_vm_lost(pod, "the guest's agent did not answer as an agent does");
	} else {
		(void)snprintf(pod->kernel, sizeof(pod->kernel), "%s", response->kernel);
		pod_phase(pod, "agent");
		if (!pod->vm->tee)
			agent_ready(pod);
		else if (set_policy(pod) < 0)
			pod_vm_lost(pod, "the guest's agent could not be given its policy");
	}
	if (response)
		agent__hello_response__free_unpacked(response, NULL);
}

static int say_hello(struct pod *pod, int take_fd, struct err *err)
{
	Agent__HelloRequest request = AGENT__HELLO_REQUEST__INIT;
	uint8_t entropy[ENTROPY_BYTES];
	int r;

	r = rpc_conn_new(pod->opts.loop, take_fd,
			 &(struct rpc_conn_opts){
				 .data = pod, .on_close = agent_closed, .on_room = agent_has_room },
			 &pod->agent);
	if (r < 0)
		return err_num(err, r, "connect the agent's port");
	r = host_random(entropy, sizeof(entropy));
	if (r < 0)
		return err_num(err, r, "get random bytes");
	request.version = HELLO_VERSION;
	/* a TEE's guest takes neither from its host */
	if (!pod->vm->tee) {
		request.time_ns = host_realtime_ns();
		request.entropy.data = entropy;
		request.entropy.len = sizeof(entropy);
	}
	r = rpc_conn_call(pod->agent, POD_AGENT, "Hello", 0, &request.base, hello_answered, pod);
	return r < 0 ? err_num(err, r, "call the agent") : 0;
}

/* What QEMU finds of /dev in its own root: VFIO's node, and those of the groups it was given. */
struct vm_nodes {
	char names[LEASE_MAX_DEVICES][24];
	const char *at[LEASE_MAX_DEVICES + 2];
	int groups[LEASE_MAX_DEVICES];
	size_t count;
};

static int give_group(struct pod *pod, int group, uid_t uid, struct vm_nodes *nodes,
		      struct err *err)
{
	int r;

	for (size_t i = 0; i < nodes->count; i++)
		if (nodes->groups[i] == group)
			return 0;
	r = lease_group(pod->opts.lease, group, uid, uid, err);
	if (r < 0)
		return r;
	(void)snprintf(nodes->names[nodes->count], sizeof(nodes->names[0]), "vfio/%d", group);
	nodes->at[1 + nodes->count] = nodes->names[nodes->count];
	nodes->groups[nodes->count++] = group;
	return 0;
}

/* After the user id, and before the process: devices are given back once it has ended. */
static int lease_host_devices(struct pod *pod, uid_t uid, struct vm_nodes *nodes, struct err *err)
{
	struct lease_device wants[LEASE_MAX_DEVICES];
	const Casemate__Vm *vm = pod->vm;
	int r;

	if (vm->n_leased > LEASE_MAX_DEVICES)
		return err_set(err, -E2BIG, "lease %zu devices: more than %d", vm->n_leased,
			       LEASE_MAX_DEVICES);
	if (geteuid() != 0)
		return err_coded(err, ERR_HOST, -EPERM,
				 "lease devices: only root may take them from the host");
	for (size_t i = 0; i < vm->n_leased; i++)
		wants[i] = (struct lease_device){ .address = vm->leased[i]->address,
						  .vendor = vm->leased[i]->vendor,
						  .device = vm->leased[i]->device,
						  .driver = vm->leased[i]->driver,
						  .group = vm->leased[i]->group };
	r = lease_devices(pod->opts.lease, wants, vm->n_leased, err);
	nodes->at[0] = "vfio/vfio";
	for (size_t i = 0; r == 0 && i < vm->n_leased; i++)
		if (vm->leased[i]->guest[0])
			r = give_group(pod, vm->leased[i]->group, uid, nodes, err);
	for (size_t i = 0; r == 0 && i < vm->n_acs; i++)
		r = lease_acs(pod->opts.lease, vm->acs[i]->port, (uint16_t)vm->acs[i]->set, 0, err);
	return r;
}

static int start_vmm(struct pod *pod, const struct spawn_request *spawn, struct err *err)
{
	struct vmm_opts opts = { .spawn = spawn,
				 .qmp_target = (int)pod->vm->qmp_target,
				 .console_target = (int)pod->vm->console_target,
				 .events = &events,
				 .data = pod };
	struct vmm_processor processor;
	int r;

	if (pod->vm->tee) {
		processor.target = (int)pod->vm->tee->target;
		processor.host_data =
			(struct bytes){ pod->vm->tee->host_data.data, pod->vm->tee->host_data.len };
		r = pod_processor_connect(pod, &processor.fd, err);
		if (r < 0)
			return r;
		opts.processor = &processor;
	}
	return vmm_start(pod->opts.loop, &opts, &pod->vmm, err);
}

static int start_qemu(struct pod *pod, const int *fds, size_t fd_count, int agent_fd,
		      struct err *err)
{
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct spawn_fd table[SPAWN_FDS];
	struct spawn_request spawn = { .fds = table, .isolate = true, .die_with_parent = true };
	struct vm_nodes nodes = { 0 };
	int lock_fd, r = 0;

	/* the message's list has no NULL at its end */
	for (size_t i = 0; i < pod->vm->n_argv && r == 0; i++)
		r = strv_add(&argv, pod->vm->argv[i]);
	if (r < 0)
		return err_num(err, r, "start QEMU");
	spawn.argv = argv.at;
	if (fd_count != pod->vm->n_targets || fd_count + 2 > SPAWN_FDS)
		return err_set(err, -EPROTO, "start QEMU: %zu descriptors for %zu", fd_count,
			       pod->vm->n_targets);
	for (size_t i = 0; i < fd_count; i++)
		table[spawn.fd_count++] = (struct spawn_fd){ fds[i], (int)pod->vm->targets[i] };
	table[spawn.fd_count++] = (struct spawn_fd){ agent_fd, (int)pod->vm->agent_target };
	if (pod->vm->uid_count && geteuid() == 0) {
		r = lease_uid(pod->opts.lease, pod->vm->uid_first, pod->vm->uid_count, &pod->uid,
			      err);
		if (r < 0)
			return r;
		spawn.uid = pod->uid;
		spawn.gid = pod->uid;
		spawn.set_ids = true;
	}
	if (pod->vm->n_leased) {
		r = lease_host_devices(pod, spawn.set_ids ? pod->uid : geteuid(), &nodes, err);
		if (r < 0)
			return r;
		spawn.nodes = nodes.at;
		spawn.limits.memlock_bytes = pod->vm->memlock_bytes;
	}
	r = lease_process(pod->opts.lease, "qemu", &lock_fd, err);
	if (r < 0)
		return r;
	table[spawn.fd_count++] = (struct spawn_fd){ lock_fd, LOCK_TARGET };
	return start_vmm(pod, &spawn, err);
}

static int boot(struct pod *pod, const int *fds, size_t fd_count, struct err *err)
{
	int pair[2], r;

	r = sock_pair(SOCK_STREAM | SOCK_NONBLOCK, pair);
	if (r < 0)
		return err_num(err, r, "make the agent's socket");
	r = start_qemu(pod, fds, fd_count, pair[1], err);
	(void)close(pair[1]);
	if (r < 0) {
		(void)close(pair[0]);
		return r;
	}
	pod_phase(pod, "lease");
	r = say_hello(pod, pair[0], err);
	if (r < 0)
		return r;
	r = loop_timer(pod->opts.loop, pod->vm->start_timeout_ms, deadline_passed, pod,
		       &pod->deadline);
	return r < 0 ? err_num(err, r, "set the deadline") : 0;
}

void pod_boot(struct pod *pod, Casemate__Vm *vm, const int *fds, size_t fd_count,
	      const struct pod_boot_calls *calls)
{
	struct err err = { 0 };
	int r;

	r = state_pod_next(pod->state, POD_BOOT, &pod->state);
	if (r < 0) {
		err_set(&err, r, "start the VM of pod '%s': it has %s", pod->name,
			r == -ESHUTDOWN ? "ended" : "been started before");
		pod_done_err(calls->done, calls->data, &err);
		return;
	}
	pod->vm = vm;
	pod->boot = *calls;
	r = boot(pod, fds, fd_count, &err);
	if (r >= 0)
		return;
	err_wrap(&err, r, "start the VM of pod '%s'", pod->name);
	pod->boot = (struct pod_boot_calls){ 0 };
	(void)state_pod_next(pod->state, POD_GONE, &pod->state);
	if (pod->vmm)
		vmm_stop(pod->vmm);
	schedule_end(pod);
	pod_done_err(calls->done, calls->data, &err);
}

void pod_end(struct pod *pod)
{
	if (pod->state != POD_ENDED)
		pod_vm_lost(pod, NULL);
	else
		schedule_end(pod);
}

bool pod_owner_gone(struct pod *pod, const void *owner)
{
	struct pod_container *container, *next;
	struct pod_process *exec, *after;

	if (pod->first_owner == owner) {
		pod_end(pod);
		return true;
	}
	for (container = pod->containers; container; container = next) {
		next = container->next;
		for (exec = container->execs; exec; exec = after) {
			after = exec->next;
			if (exec->owner == owner)
				pod_abandon(exec);
		}
		if (container->first.owner == owner)
			pod_abandon(&container->first);
	}
	return false;
}

bool pod_is_removable(const struct pod *pod)
{
	return pod->removable;
}
