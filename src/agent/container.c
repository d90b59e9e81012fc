// SPDX-License-Identifier: Apache-2.0
#include "agent/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config.h"
#include "agent/process.h"
#include "agent/secrets.h"
#include "base/macro.h"
#include "rpc/status.h"
#include "sys/file.h"
#include "sys/guest.h"
#include "sys/host.h"
#include "sys/tree.h"
#include "sys/uevent.h"

#define MODULES_DIR "/usr/lib/casemate/modules"
#define CGROUP_DIR "/sys/fs/cgroup" CONFIG_CGROUP

static void try_create(struct container *c, bool is_last);

enum rpc_status container_status(int num)
{
	if (num == -ESRCH || num == -EBADMSG || num == -E2BIG)
		return RPC_INVALID_ARGUMENT;
	return rpc_errno_status(num);
}

static void on_uevent(void *data, uint32_t events)
{
	struct container_table *table = data;
	const char *subsystem = "block";
	struct container *next;

	(void)events;
	/* a driver may make anything of a device, a disk is always a disk */
	for (const struct container *c = table->containers; c; c = c->next)
		if (c->request && c->devices.count > 0)
			subsystem = NULL;
	if (!uevent_drain(table->uevent_fd, subsystem))
		return;
	for (struct container *c = table->containers; c; c = next) {
		next = c->next;
		if (c->request && c->root_fd < 0)
			try_create(c, false);
	}
}

int container_table_init(struct container_table *table, struct loop *loop, struct reaper *reaper,
			 struct err *err)
{
	int r;

	*table = (struct container_table){ .loop = loop,
					   .reaper = reaper,
					   .relay = { .loop = loop } };
	if (mkdir(CONTAINER_DIR, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make '" CONTAINER_DIR "'");
	if (mkdir(CGROUP_DIR, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make '" CGROUP_DIR "'");
	r = file_open_dir(AT_FDCWD, CONTAINER_DIR, &table->run_fd, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, CGROUP_DIR, &table->cgroup_fd, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, "/sys", &table->sysfs_fd, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, "/dev", &table->dev_fd, err);
	if (r == 0)
		r = uevent_open(&table->uevent_fd, err);
	if (r < 0)
		return r;
	table->dm_fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (table->dm_fd < 0)
		return err_sys(err, "open '/dev/mapper/control'");
	r = loop_add(loop, table->uevent_fd, EPOLLIN, on_uevent, table, &table->uevent_source);
	return r < 0 ? err_num(err, r, "listen for device events") : 0;
}

static struct container *find_any(struct container_table *table, const char *id)
{
	struct container *c = table->containers;

	while (c && strcmp(c->id, id) != 0)
		c = c->next;
	return c;
}

struct container *container_find(struct container_table *table, const char *id)
{
	struct container *c = find_any(table, id);

	return c && !c->is_going && !c->request ? c : NULL;
}

struct process *container_process(const struct container *container, const char *exec_id)
{
	struct process *p = container->processes;

	while (p && strcmp(p->exec_id, exec_id) != 0)
		p = p->next;
	return p;
}

/* All that is there of it, made or half made. */
static void free_container(struct container *c)
{
	struct container **at = &c->table->containers;
	struct process *next;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		c->table->count--;
	}
	for (struct process *p = c->processes; p; p = next) {
		next = p->next;
		c->table->exec_count -= p->exec_id[0] != '\0';
		(void)process_free(p);
	}
	devices_take_back(&c->devices, c->table->sysfs_fd);
	(void)loop_source_free(c->timer);
	(void)crun_free(c->crun);
	(void)prover_free(c->prover);
	(void)relay_close(c->link);
	if (c->root_fd >= 0)
		(void)close(c->root_fd);
	if (c->dir_fd >= 0) {
		secrets_wipe(c->dir_fd);
		layers_unmount(&c->layers, c->table->dm_fd);
		(void)close(c->dir_fd);
		(void)file_remove_tree(c->table->run_fd, c->id, NULL);
	}
	if (c->spec)
		agent__container_spec__free_unpacked(c->spec, NULL);
	if (c->request)
		agent__create_container_request__free_unpacked(c->request, NULL);
	free(c);
}

/* A file every program looks at, whatever the image has; only its text is ours. */
static void write_names(const struct container *c)
{
	char text[2 * SPEC_HOSTNAME_MAX + 128];

	(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost %s\n::1\tlocalhost %s\n",
		       c->hostname, c->hostname);
	(void)tree_write(c->root_fd, "/etc/hosts", text, 0644, NULL);
	(void)snprintf(text, sizeof(text), "%s\n", c->hostname);
	(void)tree_write(c->root_fd, "/etc/hostname", text, 0644, NULL);
}

static int make_root(struct container *c, const dev_t *disks, struct err *err)
{
	const struct config_process first = { .spec = c->spec };
	int r;

	if (mkdirat(c->table->run_fd, c->id, 0700) < 0)
		return err_sys(err, "make '%s'", c->dir);
	r = file_open_dir(c->table->run_fd, c->id, &c->dir_fd, err);
	if (r < 0)
		return r;
	c->layers = (struct layers){ .number = c->table->next_number++,
				     .dir_fd = c->dir_fd,
				     .dir = c->dir };
	r = layers_mount(&c->layers, c->table->dm_fd, c->spec, disks, err);
	if (r < 0)
		return r;
	c->root_fd = openat(c->dir_fd, LAYERS_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return err_sys(err, "open the root file system");
	r = tree_make_dirs(c->root_fd, config_cwd(&first), 0755, err);
	if (r == 0)
		write_names(c);
	if (r == 0)
		r = process_new(c, NULL, &c->processes, err);
	return r < 0 ? r
		     : devices_give(&c->devices, c->table->sysfs_fd, c->processes->user.uid, err);
}

static void end_create(struct container *c, int num, const char *message)
{
	struct rpc_call *call = c->call;

	c->call = NULL;
	c->timer = loop_source_free(c->timer);
	if (num == 0) {
		agent__create_container_request__free_unpacked(c->request, NULL);
		c->request = NULL;
		rpc_call_reply(call, NULL);
	} else {
		free_container(c);
		rpc_call_fail(call, container_status(num), message);
	}
}

/* -EAGAIN: a disk or what a driver makes of a device is not there yet. */
static int find_all(struct container *c, dev_t *ret_disks, struct err *err)
{
	int r;

	r = guest_disks_find(c->table->sysfs_fd, c->request->serials, c->request->n_serials,
			     ret_disks, err);
	if (r == -ENOENT)
		return err_wrap(err, -EAGAIN, "wait for a layer's disk");
	if (r < 0)
		return r;
	r = devices_find(&c->devices, c->spec, c->table->sysfs_fd, c->table->dev_fd, err);
	return r == -EAGAIN ? err_wrap(err, r, "wait for a device") : r;
}

static int put_secrets(struct container *c, const Prover__Outcome *outcome, struct err *err)
{
	struct secrets_file files[SECRETS_MAX];
	const struct user *user = &c->processes->user;
	size_t count = c->request->n_secrets;
	int r;

	if (outcome->code[0])
		return err_set(err, -EACCES, "%s: %s", outcome->code, outcome->text);
	if (outcome->n_secrets != count || count > SECRETS_MAX)
		return err_set(err, -EPROTO, "give secrets: %zu came for %zu", outcome->n_secrets,
			       count);
	for (size_t i = 0; i < count; i++)
		files[i] = (struct secrets_file){
			c->request->secrets[i]->name,
			{ outcome->secrets[i].data, outcome->secrets[i].len },
		};
	r = secrets_mount(c->dir_fd, files, count, user->uid, user->gid, err);
	c->has_secrets = r == 0;
	return r;
}

static void on_proved(void *data, const Prover__Outcome *outcome)
{
	struct container *c = data;
	struct err err = { 0 };
	int r;

	c->prover = NULL;
	c->link = relay_close(c->link);
	r = put_secrets(c, outcome, &err);
	end_create(c, r, err.msg);
}

/* The container is there but for these, and nothing runs in it before it has them. */
static int ask_for_secrets(struct container *c, struct err *err)
{
	const struct gate *gate = c->table->gate;
	cleanup_close int in_fd = -1, out_fd = -1;
	Prover__Job job = PROVER__JOB__INIT;
	struct prover_request request = {
		.reaper = c->table->reaper,
		.run_fd = c->table->run_fd,
		.job = &job,
		.fn = on_proved,
		.data = c,
	};
	char *uris[SECRETS_MAX];
	int r = relay_open(&c->table->relay, &c->link, &in_fd, &out_fd, err);

	if (r < 0)
		return r;
	job.document.data = gate->document.at;
	job.document.len = gate->document.len;
	memcpy(&job.url, &gate->policy.broker_url, sizeof(job.url));
	memcpy(&job.key.data, &(const uint8_t *){ gate->policy.broker_key }, sizeof(job.key.data));
	job.key.len = sizeof(gate->policy.broker_key);
	job.timeout_ms = PROVER_SECRETS_MS;
	job.uris = uris;
	for (; job.n_uris < c->request->n_secrets; job.n_uris++)
		uris[job.n_uris] = c->request->secrets[job.n_uris]->uri;
	request.in_fd = in_fd;
	request.out_fd = out_fd;
	return prover_start(&request, &c->prover, err);
}

/* Unless it is the last time, what isn't there is waited for. */
static void try_create(struct container *c, bool is_last)
{
	dev_t disks[SPEC_LAYERS_MAX];
	struct err err = { 0 };
	int r;

	r = find_all(c, disks, &err);
	if (r == -EAGAIN && !is_last)
		return;
	if (r == -EAGAIN)
		r = -ETIMEDOUT;
	if (r == 0)
		r = make_root(c, disks, &err);
	if (r == 0 && c->request->n_secrets > 0) {
		c->timer = loop_source_free(c->timer);
		r = ask_for_secrets(c, &err);
		if (r == 0)
			return;
	}
	end_create(c, r, err.msg);
}

static void on_create_timeout(void *data)
{
	try_create(data, true);
}

/* A specification that says more than is known here is refused as one that says something else. */
static int open_spec(const struct container_table *table, const struct gate_ask *ask,
		     struct bytes text, Agent__ContainerSpec **ret_spec, struct err *err)
{
	struct attest_refusal refusal;
	int r = spec_open(text, ret_spec, err);

	if (r != -EBADMSG || !table->gate)
		return r;
	attest_refusal_set(&refusal, ATTEST_POLICY_FIELD, "%.200s", err->msg);
	return gate_refuse(table->gate, ask, &refusal, err);
}

/* The specification that is looked at here is the one that will be executed. */
static int pass_gate(const struct container_table *table, const struct gate_ask *ask,
		     const Agent__CreateContainerRequest *request, const Agent__ContainerSpec *spec,
		     size_t *ret_allowed, struct err *err)
{
	int r;

	*ret_allowed = 0;
	if (!table->gate && request->n_secrets > 0)
		return err_set(err, -EOPNOTSUPP, "create '%s': no secrets without a TEE",
			       request->id);
	if (!table->gate)
		return 0;
	r = gate_check_create(table->gate, ask, spec, ret_allowed, err);
	return r < 0 ? r
		     : gate_check_secrets(table->gate, ask, *ret_allowed, request->secrets,
					  request->n_secrets, err);
}

/* What the request alone can tell; ret_spec is the caller's. */
static int check_request(struct container_table *table,
			 const Agent__CreateContainerRequest *request,
			 Agent__ContainerSpec **ret_spec, size_t *ret_allowed, struct err *err)
{
	const struct gate_ask ask = { "CreateContainer", request->id, (int64_t)host_boottime_us() };
	struct bytes text = { request->spec.data, request->spec.len };
	Agent__ContainerSpec *spec;
	int r;

	if (!spec_id_is_valid(request->id))
		return err_set(err, -EINVAL,
			       "create: a container's name has 1 to %d of "
			       "[a-zA-Z0-9_.-]",
			       SPEC_ID_MAX);
	if (find_any(table, request->id))
		return err_set(err, -EEXIST, "create '%s': it exists", request->id);
	if (table->count == CONTAINER_MAX)
		return err_set(err, -ENOBUFS, "create '%s': there are %d containers", request->id,
			       CONTAINER_MAX);
	r = open_spec(table, &ask, text, &spec, err);
	if (r < 0)
		return r;
	r = pass_gate(table, &ask, request, spec, ret_allowed, err);
	if (r == 0 && request->n_serials != spec->n_layers)
		r = err_set(err, -EINVAL, "create '%s': %zu disks for %zu layers", request->id,
			    request->n_serials, spec->n_layers);
	else if (r == 0 &&
		 (!spec_id_is_valid(request->pod) || strlen(request->pod) > SPEC_HOSTNAME_MAX))
		r = err_set(err, -EINVAL,
			    "create '%s': a pod's name has 1 to %d of "
			    "[a-zA-Z0-9_.-]",
			    request->id, SPEC_HOSTNAME_MAX);
	if (r < 0) {
		agent__container_spec__free_unpacked(spec, NULL);
		return r;
	}
	*ret_spec = spec;
	return 0;
}

/* No device is two containers'; *ret_devices is the caller's, to be taken back. */
static int claim_devices(const struct container_table *table,
			 const Agent__CreateContainerRequest *request,
			 const Agent__ContainerSpec *spec, struct devices *ret_devices,
			 struct err *err)
{
	int r = devices_init(ret_devices, request, spec, err);

	for (const struct container *c = table->containers; c && r == 0; c = c->next)
		for (size_t i = 0; i < ret_devices->count && r == 0; i++)
			if (devices_has(&c->devices, ret_devices->at[i].address))
				r = err_set(err, -EBUSY,
					    "create '%s': device '%s' is container '%s''s",
					    request->id, ret_devices->at[i].address, c->id);
	return r;
}

/* What a container waits for from here on. The profile's drivers are for passed-through devices. */
static int look_for_hardware(struct container *c, struct err *err)
{
	struct container_table *table = c->table;
	int r;

	r = guest_disks_rescan(table->sysfs_fd, err);
	if (r < 0 || c->devices.count == 0 || table->has_modules)
		return r;
	r = devices_load_modules(MODULES_DIR, err);
	table->has_modules = r == 0;
	return r;
}

static uint64_t hardware_ms(const struct container *c)
{
	const uint64_t asked = rpc_call_timeout_ms(c->call);
	uint64_t kept = asked / 8 < CONTAINER_ANSWER_MS ? asked / 8 : CONTAINER_ANSWER_MS;

	if (c->request->n_secrets > 0)
		kept += PROVER_SECRETS_MS;
	if (!asked)
		return CONTAINER_HARDWARE_MS;
	return asked > kept ? asked - kept : 1;
}

void container_create(struct container_table *table, struct rpc_call *call,
		      Agent__CreateContainerRequest *take_request)
{
	struct devices devices = DEVICES_NONE;
	Agent__ContainerSpec *spec = NULL;
	struct err err = { 0 };
	struct container *c = NULL;
	size_t allowed = 0;
	int r, timed;

	r = check_request(table, take_request, &spec, &allowed, &err);
	if (spec)
		r = claim_devices(table, take_request, spec, &devices, &err);
	if (spec && r == 0) {
		c = calloc(1, sizeof(*c));
		r = c ? 0 : err_num(&err, -ENOMEM, "create '%s'", take_request->id);
	}
	if (!c) {
		devices_take_back(&devices, table->sysfs_fd);
		agent__create_container_request__free_unpacked(take_request, NULL);
		if (spec)
			agent__container_spec__free_unpacked(spec, NULL);
		rpc_call_fail(call, container_status(r), err.msg);
		return;
	}
	c->table = table;
	c->dir_fd = c->root_fd = -1;
	c->devices = devices;
	c->spec = spec;
	c->allowed = allowed;
	c->request = take_request;
	c->call = call;
	(void)snprintf(c->id, sizeof(c->id), "%s", take_request->id);
	(void)snprintf(c->dir, sizeof(c->dir), CONTAINER_DIR "/%s", c->id);
	(void)snprintf(c->hostname, sizeof(c->hostname), "%s",
		       spec->hostname[0] ? spec->hostname
		       : table->gate	 ? GATE_HOSTNAME
					 : take_request->pod);
	c->next = table->containers;
	table->containers = c;
	table->count++;
	/* loading modules takes its time, too */
	timed = loop_timer(table->loop, hardware_ms(c), on_create_timeout, c, &c->timer);
	r = look_for_hardware(c, &err);
	if (r < 0)
		end_create(c, r, err.msg);
	else
		try_create(c, timed < 0);
}

static void on_deleted(void *data, uint32_t status, const char *said)
{
	struct container *c = data;
	struct rpc_call *call = c->call;
	char message[640];

	c->crun = NULL;
	(void)snprintf(message, sizeof(message), "delete '%s': %s", c->id, said);
	free_container(c);
	if (status == 0)
		rpc_call_reply(call, NULL);
	else
		rpc_call_fail(call, RPC_INTERNAL, message);
}

void container_delete(struct container *c, struct rpc_call *call)
{
	const struct process *first = container_process(c, "");
	const char *const args[] = { "delete", "--force", c->id, NULL };
	struct crun_request request = {
		.reaper = c->table->reaper,
		.dir_fd = c->dir_fd,
		.dir = c->dir,
		.name = "delete",
		.args = args,
		.stdio_fds = { -1, -1, -1 },
		.fn = on_deleted,
		.data = c,
	};
	enum process_state next;
	struct err err = { 0 };

	if (state_process_next(first->state, PROCESS_DELETE, &next) < 0) {
		rpc_call_fail(call, RPC_FAILED_PRECONDITION, "delete: the container runs");
		return;
	}
	c->is_going = true;
	c->call = call;
	/* crun knows nothing of one that never ran, or has cleaned up itself */
	if (!first->was_run)
		on_deleted(c, 0, "");
	else if (crun_start(&request, &c->crun, &err) < 0)
		on_deleted(c, 1, err.msg);
}
