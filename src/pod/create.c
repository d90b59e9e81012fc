// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: a container is created in steps, each begun by the end of the one before:
 *
 *	prepare  the child reads the image and, for the pod's first container, plans the VM
 *	boot     the pod's first container only
 *	attach   each layer that the VM does not have yet becomes a disk; while the guest boots,
 *	         if it is the first container's
 *	agent    CreateContainer: verity, overlay, configuration
 *
 * A failure at any of them takes back what this container brought, and the pod's VM with it if
 * no other container uses it. Nothing but the run directory exists before `prepare` has said yes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "pod/pod_priv.h"
#include "sys/host.h"

struct pod_creation {
	struct pod_container *container;
	struct pod_prepare *prepare;
	pod_done_fn *done;
	void *data;
	struct pod_io io; /* strings are copies */
	int fds[POD_MAX_LAYERS];
	size_t fd_count;
	unsigned int pending;	      /* the boot, the attaching, each disk under way */
	struct loop_source *deadline; /* for the disks */
	bool attached;
	bool failed;
	struct pod_result result; /* what to say once nothing is pending */
	char *text;
};

static void creation_free(struct pod_creation *creation)
{
	const char *const texts[] = { creation->io.in, creation->io.out, creation->io.err };

	(void)pod_prepare_free(creation->prepare);
	(void)loop_source_free(creation->deadline);
	for (size_t i = 0; i < creation->fd_count; i++)
		(void)close(creation->fds[i]);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *text;

		memcpy(&text, &texts[i], sizeof(text));
		free(text);
	}
	free(creation->text);
	free(creation);
}

static void lun_removed(void *data, int num, const char *text)
{
	(void)data;
	(void)num;
	(void)text;
}

/* What the container's layers hold; the agent has let go of them, or the VM is gone. */
void pod_release_luns(struct pod_container *container)
{
	struct pod *pod = container->pod;

	for (size_t i = 0; i < container->lun_count; i++) {
		struct pod_lun *lun = &pod->luns[container->luns[i]];

		if (--lun->refs > 0)
			continue;
		free(lun->key);
		lun->key = NULL;
		if (pod->vmm && pod->state == POD_READY)
			(void)vmm_remove_disk(pod->vmm, (uint16_t)container->luns[i], lun_removed,
					      NULL);
	}
	container->lun_count = 0;
}

static void creation_end(struct pod_creation *creation)
{
	struct pod_container *container = creation->container;
	struct pod *pod = container->pod;
	pod_done_fn *done = creation->done;
	void *data = creation->data;
	struct pod_result result = creation->result;
	char *text = steal_ptr(&creation->text);

	container->creation = NULL;
	creation_free(creation);
	if (result.num < 0) {
		pod_release_luns(container);
		pod_container_free(container);
		result.text = text;
	}
	done(data, &result);
	free(text);
	if (result.num < 0)
		pod_settle(pod);
	else if (container->first.abandoned)
		pod_abandon(&container->first);
}

void pod_creation_fail(struct pod_creation *creation, const struct pod_result *result)
{
	if (!creation->failed) {
		creation->failed = true;
		creation->result = *result;
		creation->text = strdup(result->text ? result->text : "");
	}
	if (creation->pending == 0)
		creation_end(creation);
}

static void fail(struct pod_creation *creation, const struct err *err)
{
	pod_creation_fail(creation, &(struct pod_result){ .num = err->num ? err->num : -EIO,
							  .code = err->code,
							  .text = err->msg });
}

static void agent_created(void *data, const struct rpc_reply *reply)
{
	struct pod_call *call = data;
	struct pod_process *process = pod_find_number(call->pod, call->number);
	struct pod_container *container;
	struct err err = { 0 };
	char step[POD_ID_MAX + 32];

	free(call);
	if (!process || !process->container->creation || reply->num == -EPIPE)
		return;
	container = process->container;
	if (reply->num < 0) {
		(void)snprintf(step, sizeof(step), "create container '%s'", container->id);
		if (reply->num == -ETIMEDOUT && container->pod->container_count == 1) {
			pod_late(container->pod, step, "create");
			return;
		}
		pod_reply_err(reply, step, &err);
		fail(container->creation, &err);
		return;
	}
	(void)state_process_next(process->state, PROCESS_MADE, &process->state);
	container->created_ns = host_realtime_ns();
	pod_phase(container->pod, "create");
	creation_end(container->creation);
}

/* Of the devices that the guest has, for its first container. Returns how many. */
static size_t guest_addresses(const struct pod_container *container,
			      char *ret[static LEASE_MAX_DEVICES])
{
	const Casemate__Vm *vm = container->pod->vm;
	size_t count = 0;

	if (container->prepared != container->pod->vm_owner)
		return 0;
	for (size_t i = 0; i < vm->n_leased && count < LEASE_MAX_DEVICES; i++)
		if (vm->leased[i]->guest[0])
			ret[count++] = vm->leased[i]->guest;
	return count;
}

static void fill_secrets(const Casemate__Request *request, Agent__Secret *secrets,
			 Agent__Secret **at)
{
	for (size_t i = 0; i < request->n_secrets; i++) {
		agent__secret__init(&secrets[i]);
		secrets[i].name = request->secrets[i]->name;
		secrets[i].uri = request->secrets[i]->uri;
		at[i] = &secrets[i];
	}
}

static void ask_agent(struct pod_creation *creation)
{
	Agent__Secret secrets[POD_MAX_SECRETS], *secrets_at[POD_MAX_SECRETS];
	Agent__CreateContainerRequest request = AGENT__CREATE_CONTAINER_REQUEST__INIT;
	struct pod_container *container = creation->container;
	char serials[POD_MAX_LAYERS][16], *at[POD_MAX_LAYERS], hostname[64];
	char *addresses[LEASE_MAX_DEVICES];

	for (size_t i = 0; i < container->lun_count; i++) {
		(void)snprintf(serials[i], sizeof(serials[i]), "layer%u", container->luns[i]);
		at[i] = serials[i];
	}
	pod_phase(container->pod, "disks");
	request.id = container->id;
	request.spec = container->prepared->spec;
	request.serials = at;
	request.n_serials = container->lun_count;
	/* the default host name, and Linux has no longer ones */
	(void)snprintf(hostname, sizeof(hostname), "%.63s", container->pod->name);
	request.pod = hostname;
	request.addresses = addresses;
	request.n_addresses = guest_addresses(container, addresses);
	fill_secrets(container->request, secrets, secrets_at);
	request.secrets = secrets_at;
	request.n_secrets = container->request->n_secrets;
	pod_call_agent(&container->first, "CreateContainer", &request.base, agent_created, NULL,
		       NULL);
}

static void attach_late(void *data)
{
	struct pod_creation *creation = data;

	pod_late(creation->container->pod, "give the layers to the VM", "disks");
}

/* One of what was pending: with the last of them, the next step, or the end. */
static void one_done(struct pod_creation *creation)
{
	if (--creation->pending > 0)
		return;
	creation->deadline = loop_source_free(creation->deadline);
	if (creation->failed)
		creation_end(creation);
	else
		ask_agent(creation);
}

static void lun_added(void *data, int num, const char *text)
{
	struct pod_creation *creation = data;
	struct err err = { 0 };

	if (num == -EPIPE && !creation->failed) {
		creation->pending--;
		return; /* the VM's end follows, and says why */
	}
	if (num < 0 && !creation->failed) {
		err_coded(&err, ERR_HOST, num, "give a layer to the VM: %s", text ? text : "");
		fail(creation, &err);
	}
	one_done(creation);
}

/* The disk that holds the layer, or a free number: *ret_new. -ENOSPC. */
static int find_lun(struct pod *pod, const char *key, unsigned int *ret, bool *ret_new)
{
	unsigned int empty = 0;

	for (unsigned int i = LAYOUT_LUN_FIRST; i < POD_MAX_LUNS; i++) {
		if (!pod->luns[i].key) {
			empty = empty ? empty : i;
		} else if (strcmp(pod->luns[i].key, key) == 0) {
			*ret = i;
			*ret_new = false;
			return 0;
		}
	}
	*ret = empty;
	*ret_new = true;
	return empty ? 0 : -ENOSPC;
}

static int attach_layer(struct pod_creation *creation, size_t layer, struct err *err)
{
	struct pod_container *container = creation->container;
	struct pod *pod = container->pod;
	const char *key = container->prepared->layers[layer]->diff_id;
	unsigned int lun;
	char serial[16];
	bool is_new;
	int r;

	r = find_lun(pod, key, &lun, &is_new);
	if (r < 0)
		return err_coded(err, ERR_HOST, r, "give layer '%s' to the VM: it has %d already",
				 key, LAYOUT_LUN_LAST);
	if (is_new) {
		(void)snprintf(serial, sizeof(serial), "layer%u", lun);
		pod->luns[lun].key = strdup(key);
		if (!pod->luns[lun].key)
			return err_num(err, -ENOMEM, "give a layer to the VM");
		r = vmm_add_disk(pod->vmm, creation->fds[layer], (uint16_t)lun, serial, lun_added,
				 creation);
		if (r < 0) {
			free(steal_ptr(&pod->luns[lun].key));
			return err_num(err, r, "give layer '%s' to the VM", key);
		}
		creation->pending++;
	}
	pod->luns[lun].refs++;
	container->luns[container->lun_count++] = lun;
	return 0;
}

static void attach(void *data)
{
	struct pod_creation *creation = data;
	struct pod *pod = creation->container->pod;
	struct err err = { 0 };
	int r;

	creation->attached = true;
	creation->pending++;
	r = loop_timer(pod->opts.loop, pod->vm->start_timeout_ms, attach_late, creation,
		       &creation->deadline);
	if (r < 0)
		err_num(&err, r, "set the deadline");
	for (size_t i = 0; r >= 0 && i < creation->container->prepared->n_layers; i++)
		r = attach_layer(creation, i, &err);
	if (r < 0)
		fail(creation, &err);
	one_done(creation);
}

static void booted(void *data, const struct pod_result *result)
{
	struct pod_creation *creation = data;

	if (result->num < 0)
		pod_creation_fail(creation, result);
	else if (!creation->attached)
		attach(creation);
	one_done(creation);
}

static int failure_err(const Casemate__Failure *failure, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	const char *said = failure->text ? failure->text : "";

	(void)text_quote(&text, (struct bytes){ (const uint8_t *)said, strlen(said) });
	return err_coded(err, (enum err_code)failure->code, failure->num < 0 ? failure->num : -EIO,
			 "%.*s", (int)text.len, (const char *)text.at);
}

static int open_log(struct pod_container *container, struct err *err)
{
	const Casemate__Vm *vm = container->prepared->vm ? container->prepared->vm
							 : container->pod->vm;

	if (!container->request->detach || !vm)
		return 0;
	return logfile_open(lease_dir(container->pod->opts.lease), container->id, vm->log_bytes,
			    &container->log, err);
}

static int take_result(struct pod_creation *creation, size_t fd_count, struct err *err)
{
	struct pod_container *container = creation->container;
	Casemate__PrepareResult *prepared = container->prepared;
	bool first = container->pod->state == POD_NEW;
	size_t vm_fds = first && prepared->vm ? prepared->vm->n_targets + prepared->vm->has_choice
					      : 0;
	int r;

	if (prepared->failure)
		return failure_err(prepared->failure, err);
	if (prepared->n_layers > POD_MAX_LAYERS || fd_count != prepared->n_layers + vm_fds ||
	    (first && !prepared->vm))
		return err_set(err, -EPROTO, "prepare the image: an answer of no use");
	r = open_log(container, err);
	if (r < 0)
		return r;
	return pod_stream_open(&container->first, &creation->io, container->log, err);
}

static void prepared(void *data, Casemate__PrepareResult *take_result_, const int *fds,
		     size_t fd_count, const struct err *why)
{
	struct pod_creation *creation = data;
	struct pod_container *container = creation->container;
	struct pod *pod = container->pod;
	struct err err = why ? *why : (struct err){ 0 };
	size_t layers = take_result_ ? take_result_->n_layers : 0;
	bool is_usable;

	creation->prepare = NULL;
	container->prepared = take_result_;
	if (layers > POD_MAX_LAYERS || layers > fd_count)
		layers = 0;
	for (size_t i = 0; i < layers; i++)
		creation->fds[creation->fd_count++] = fds[i];
	is_usable = take_result_ && take_result(creation, fd_count, &err) >= 0;
	pod_phase(pod, "prepare");
	if (!is_usable) {
		fail(creation, &err);
	} else if (pod->state == POD_NEW) {
		pod->vm_owner = container->prepared;
		creation->pending = 1;
		/* leases its devices: after it others may choose */
		pod_boot(pod, container->prepared->vm, fds + layers,
			 container->prepared->vm->n_targets,
			 &(struct pod_boot_calls){ attach, booted, creation });
	} else {
		attach(creation);
	}
	for (size_t i = layers; i < fd_count; i++)
		(void)close(fds[i]);
}

static int ask_child(struct pod_creation *creation, struct err *err)
{
	Casemate__PrepareRequest request = CASEMATE__PREPARE_REQUEST__INIT;
	struct pod_container *container = creation->container;
	struct pod *pod = container->pod;

	request.request = container->request;
	request.pod = pod->name;
	request.container = container->id;
	request.with_vm = pod->state == POD_NEW;
	return pod_prepare_start(pod->opts.loop, pod->opts.program, &request, prepared, creation,
				 &creation->prepare, err);
}

/* A message of its own: whoever asked keeps his. */
static Casemate__Request *copy_request(const Casemate__Request *request)
{
	size_t len = casemate__request__get_packed_size(request);
	cleanup_free uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return NULL;
	(void)casemate__request__pack(request, bytes);
	return casemate__request__unpack(NULL, len, bytes);
}

static int may_create(struct pod *pod, const struct pod_create *create, struct err *err)
{
	const char *id = create->id;

	if (!text_name_valid(id))
		return err_coded(err, ERR_USAGE, -EINVAL, "create container '%s': not a name", id);
	if (pod_find(pod, id))
		return err_coded(err, ERR_NAME_TAKEN, -EEXIST,
				 "create container '%s': pod '%s' has one of that name", id,
				 pod->name);
	if (pod->container_count >= POD_MAX_CONTAINERS)
		return err_coded(err, ERR_HOST, -ENOSPC, "create container '%s': pod '%s' has %d",
				 id, pod->name, POD_MAX_CONTAINERS);
	if (create->request->n_secrets > POD_MAX_SECRETS)
		return err_coded(err, ERR_USAGE, -E2BIG,
				 "create container '%s': more than %d secrets", id,
				 POD_MAX_SECRETS);
	if (pod->state == POD_ENDED)
		return err_coded(err, ERR_GUEST_GONE, -ESHUTDOWN,
				 "create container '%s': pod '%s' has ended", id, pod->name);
	if (pod->state == POD_BOOTING || (pod->state == POD_NEW && pod->containers))
		return err_coded(err, ERR_OTHER, -EAGAIN,
				 "create container '%s': pod '%s' is still starting: try again", id,
				 pod->name);
	return 0;
}

static struct pod_creation *creation_new(struct pod *pod, const struct pod_create *create)
{
	struct pod_container *container = calloc(1, sizeof(*container));
	struct pod_creation *creation = calloc(1, sizeof(*creation));

	if (!container || !creation) {
		free(container);
		free(creation);
		return NULL;
	}
	creation->container = container;
	creation->io.in = strdup(create->io.in ? create->io.in : "");
	creation->io.out = strdup(create->io.out ? create->io.out : "");
	creation->io.err = strdup(create->io.err ? create->io.err : "");
	creation->io.terminal = create->io.terminal;
	container->pod = pod;
	container->creation = creation;
	(void)snprintf(container->id, sizeof(container->id), "%s", create->id);
	pod_process_init(&container->first, container, "");
	container->first.terminal = create->io.terminal;
	container->first.owner = create->owner;
	container->first.detached = create->request->detach;
	(void)state_process_next(PROCESS_NONE, PROCESS_CREATE, &container->first.state);
	if (pod->state == POD_NEW) {
		pod->first_owner = container->first.owner;
		pod->removable = create->request->remove;
	}
	container->request = copy_request(create->request);
	container->next = pod->containers;
	pod->containers = container;
	pod->container_count++;
	return creation;
}

void pod_create(struct pod *pod, const struct pod_create *create, pod_done_fn *done, void *data)
{
	struct pod_creation *creation;
	struct err err = { 0 };

	if (may_create(pod, create, &err) < 0) {
		pod_done_err(done, data, &err);
		return;
	}
	creation = creation_new(pod, create);
	if (!creation) {
		err_num(&err, -ENOMEM, "create container '%s'", create->id);
		pod_done_err(done, data, &err);
		return;
	}
	creation->done = done;
	creation->data = data;
	if (!creation->container->request || !creation->io.in || !creation->io.out ||
	    !creation->io.err) {
		err_num(&err, -ENOMEM, "create container '%s'", create->id);
		fail(creation, &err);
	} else if (ask_child(creation, &err) < 0) {
		fail(creation, &err);
	}
}
