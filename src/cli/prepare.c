// SPDX-License-Identifier: Apache-2.0
#include "cli/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/request.h"
#include "oci/process.h"
#include "oci/ref.h"
#include "plan/plan.h"
#include "rootfs/image.h"
#include "sys/host.h"
#include "sys/pipe.h"
#include "sys/sock.h"

enum {
	SOCKET_FD = 3,
	REQUEST_MAX = 4 << 20,
	HOSTNAME_MAX = 63,
};

static char *unconst(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(same));
	return same;
}

static void say(struct prepare *prepare, const char *kind, const char *text)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "%s %s\n", kind, text);

	if (prepare->progress_fd >= 0 && len > 0 && (size_t)len < sizeof(line))
		(void)sock_write(prepare->progress_fd, line, (size_t)len);
}

void prepare_note(struct prepare *prepare, const char *text)
{
	say(prepare, "note", text);
}

static void on_progress(void *data, const struct rootfs_report *report)
{
	char text[160];

	if (report->stage == ROOTFS_STAGE_WAIT)
		(void)snprintf(text, sizeof(text), "layer %zu of %zu: another process makes it",
			       report->layer + 1, report->layer_count);
	else if (report->stage == ROOTFS_STAGE_WALK)
		(void)snprintf(text, sizeof(text), "looking through the directory");
	else
		(void)snprintf(text, sizeof(text), "layer %zu of %zu: %.1f of %.1f MiB",
			       report->layer + 1, report->layer_count,
			       (double)report->done / 1048576, (double)report->total / 1048576);
	say(data, "progress", text);
}

static void phase(struct prepare *prepare, const char *name)
{
	Casemate__PrepareResult *result = &prepare->result;
	Casemate__Phase *at = arena_alloc(&prepare->arena, sizeof(*at));
	uint64_t now = host_boottime_us();

	if (!at || result->n_phases >= 8)
		return;
	casemate__phase__init(at);
	at->name = unconst(name);
	at->us = now - prepare->phase_us;
	prepare->phase_us = now;
	if (!result->phases)
		result->phases = arena_array(&prepare->arena, 8, sizeof(*result->phases));
	if (result->phases)
		result->phases[result->n_phases++] = at;
}

static int open_image(struct prepare *prepare, struct err *err)
{
	const char *folder = config_text(&prepare->config, CONFIG_CACHE_DIR);
	cleanup_close int cache_fd = -1;
	struct oci_ref ref;
	int r;

	r = oci_ref_parse(&prepare->arena, prepare->request->request->image, &ref, err);
	if (r < 0)
		return r;
	r = folder[0] ? rootfs_cache_open_at(geteuid(), folder, &cache_fd, err)
		      : rootfs_cache_open(geteuid(), getenv("XDG_CACHE_HOME"), getenv("HOME"),
					  &cache_fd, err);
	if (r < 0)
		return r;
	return rootfs_image_open(
		&ref,
		&(struct rootfs_image_opts){
			.at_fd = AT_FDCWD,
			.cache_fd = cache_fd,
			.limits = { .image = { .max_stored_bytes = config_number(
						       &prepare->config, CONFIG_LAYER_MAX_SIZE),
					       .max_entries = (uint32_t)config_number(
						       &prepare->config, CONFIG_LAYER_MAX_ENTRIES) },
				    .max_tar_bytes = 2 * config_number(&prepare->config,
								       CONFIG_LAYER_MAX_SIZE) },
			.progress = on_progress,
			.progress_data = prepare,
			.map_ids = geteuid() != 0,
			.map_uid = geteuid(),
			.map_gid = getegid() },
		&prepare->image, err);
}

/* Layers for the result and for the specification; their descriptors are the result's first. */
static int add_layers(struct prepare *prepare, struct rootfs_image *image,
		      Agent__ContainerSpec *spec, struct err *err)
{
	Casemate__PrepareResult *result = &prepare->result;
	size_t count = image->layer_count;

	if (count > PREPARE_LAYERS)
		return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG,
				 "the image has %zu layers, and %d can be stacked", count,
				 PREPARE_LAYERS);
	result->layers = arena_array(&prepare->arena, count, sizeof(*result->layers));
	spec->layers = arena_array(&prepare->arena, count, sizeof(*spec->layers));
	for (size_t i = 0; result->layers && spec->layers && i < count; i++) {
		struct rootfs_layer *layer = &image->layers[i];
		Casemate__LayerImage *told = arena_alloc(&prepare->arena, sizeof(*told));
		Agent__Layer *asked = arena_alloc(&prepare->arena, sizeof(*asked));
		uint8_t *root = arena_memdup(&prepare->arena, layer->root, sizeof(layer->root));

		if (!told || !asked || !root)
			break;
		casemate__layer_image__init(told);
		agent__layer__init(asked);
		told->diff_id = layer->id;
		told->root.data = root;
		told->root.len = sizeof(layer->root);
		told->size = layer->size;
		told->cached = layer->cached;
		asked->root = told->root;
		asked->data_blocks = layer->data_blocks;
		asked->hash_start = layer->hash_start;
		result->layers[result->n_layers++] = told;
		spec->layers[spec->n_layers++] = asked;
		prepare->fds[prepare->fd_count++] = steal_fd(&layer->fd);
	}
	return result->n_layers == count ? 0 : err_num(err, -ENOMEM, "prepare the image");
}

static struct oci_strings borrow(char *const *at, size_t count)
{
	struct oci_strings strings = { .count = count };

	memcpy(&strings.at, &at, sizeof(strings.at));
	return strings;
}

static void lend(const struct oci_strings *strings, char ***ret_at, size_t *ret_count)
{
	memcpy(ret_at, &strings->at, sizeof(*ret_at));
	*ret_count = strings->count;
}

static int make_process(struct prepare *prepare, const struct rootfs_image *image,
			Agent__Process *ret, struct err *err)
{
	const Casemate__Request *request = prepare->request->request;
	const struct oci_process_request asked = {
		.args = borrow(request->args, request->n_args),
		.entrypoint_set = request->entrypoint_set,
		.entrypoint = borrow(request->entrypoint, request->n_entrypoint),
		.env = borrow(request->env, request->n_env),
		.cwd = request->cwd,
		.user = request->user,
		.terminal = request->terminal,
	};
	struct oci_process process;
	int r;

	r = oci_process_make(&prepare->arena, &image->process, &asked, &process, err);
	if (r < 0)
		return r;
	lend(&process.args, &ret->args, &ret->n_args);
	lend(&process.env, &ret->env, &ret->n_env);
	ret->cwd = unconst(process.cwd);
	ret->user = unconst(process.user);
	ret->terminal = process.terminal;
	return 0;
}

static int check_hostname(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len > HOSTNAME_MAX || (len && strspn(name, "abcdefghijklmnopqrstuvwxyz"
						       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						       "0123456789.-") != len))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--hostname '%s': not a host name of letters, digits, '.' and "
				 "'-', at most %d",
				 name, HOSTNAME_MAX);
	return 0;
}

/*
 * For another user than the bundle's, what it says to be in effect was not meant: root gets what
 * the container may come to, and from others the kernel takes it when the command begins.
 */
static int fill_privileges(struct prepare *prepare, const struct oci_bundle *bundle,
			   Agent__ContainerSpec *spec, struct err *err)
{
	const char *user = prepare->request->request->user;
	const uint64_t *mask = bundle->capabilities.mask;
	bool is_other = user[0] && strcmp(user, bundle->process.user) != 0;
	Agent__Capabilities *sets = spec->capabilities =
		arena_alloc(&prepare->arena, sizeof(*spec->capabilities));

	spec->rlimits = arena_array(&prepare->arena, PRIVILEGE_LIMITS, sizeof(*spec->rlimits));
	if (!sets || !spec->rlimits)
		return err_num(err, -ENOMEM, "prepare the container");
	agent__capabilities__init(sets);
	sets->bounding = mask[PRIVILEGE_BOUNDING];
	sets->effective = mask[is_other ? PRIVILEGE_BOUNDING : PRIVILEGE_EFFECTIVE];
	sets->permitted = mask[is_other ? PRIVILEGE_BOUNDING : PRIVILEGE_PERMITTED];
	sets->inheritable = is_other ? 0 : mask[PRIVILEGE_INHERITABLE];
	sets->ambient = is_other ? 0 : mask[PRIVILEGE_AMBIENT];
	spec->no_new_privileges = bundle->no_new_privileges;
	for (unsigned i = 0; i < PRIVILEGE_LIMITS; i++) {
		Agent__Rlimit *limit;

		if (!bundle->limits[i].is_set)
			continue;
		limit = arena_alloc(&prepare->arena, sizeof(*limit));
		if (!limit)
			return err_num(err, -ENOMEM, "prepare the container");
		agent__rlimit__init(limit);
		limit->type = (Agent__RlimitType)i;
		limit->soft = bundle->limits[i].soft;
		limit->hard = bundle->limits[i].hard;
		spec->rlimits[spec->n_rlimits++] = limit;
	}
	return 0;
}

static uint32_t limit_pids(const struct prepare *prepare, const struct oci_bundle *bundle)
{
	const Casemate__Request *request = prepare->request->request;

	if (request->pids_set)
		return request->pids;
	if (bundle && bundle->pids_set)
		return bundle->pids;
	return (uint32_t)config_number(&prepare->config, CONFIG_DEFAULT_PIDS);
}

/* What the bundle says holds where the command line says nothing. */
static int fill_spec(struct prepare *prepare, const struct oci_bundle *bundle,
		     Agent__ContainerSpec *spec, struct err *err)
{
	const Casemate__Request *request = prepare->request->request;
	const struct config *config = &prepare->config;
	Agent__Resources *resources = spec->resources;
	int r;

	spec->hostname = request->hostname;
	spec->read_only = request->read_only;
	resources->cpu_milli = request->cpu_milli;
	resources->memory_bytes = request->memory_bytes;
	resources->pids = limit_pids(prepare, bundle);
	if (bundle) {
		if (!spec->hostname[0] && bundle->hostname)
			spec->hostname = unconst(bundle->hostname);
		if (!resources->cpu_milli)
			resources->cpu_milli = bundle->cpu_milli;
		if (!resources->memory_bytes)
			resources->memory_bytes = bundle->memory_bytes;
		spec->read_only = spec->read_only || bundle->read_only;
		r = fill_privileges(prepare, bundle, spec, err);
		if (r < 0)
			return r;
	}
	/* never without one: what the guest itself needs comes on top of it */
	if (!resources->memory_bytes)
		resources->memory_bytes = config_number(config, CONFIG_DEFAULT_MEMORY);
	return check_hostname(spec->hostname, err);
}

/* A VM is built with its devices: a container that comes later gets none. */
static int check_devices(const struct prepare *prepare, struct err *err)
{
	const Casemate__DeviceRequest *devices = prepare->request->request->devices;

	if (devices && !prepare->request->with_vm &&
	    (devices->n_named || devices->gpus || devices->nics || devices->nvme))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "devices are the pod's first container's: '%s' is not it",
				 prepare->request->container);
	return 0;
}

/* The client has looked already; others than it may ask. */
static int check_tee(struct prepare *prepare, struct err *err)
{
	const Casemate__Request *request = prepare->request->request;

	if (prepare->is_dry)
		return plan_tee_choose(request->tee, &prepare->tee, err);
	return request_check_tee(request, prepare->request->with_vm, &prepare->tee, err);
}

static int pack_spec(struct prepare *prepare, const Agent__ContainerSpec *spec, struct err *err)
{
	size_t len = agent__container_spec__get_packed_size(spec);
	uint8_t *bytes = arena_alloc(&prepare->arena, len + 1);

	if (!bytes)
		return err_num(err, -ENOMEM, "prepare the container");
	prepare->result.spec.len = agent__container_spec__pack(spec, bytes);
	prepare->result.spec.data = bytes;
	return 0;
}

int prepare_work(struct prepare *prepare, struct err *err)
{
	const Casemate__Request *request = prepare->request->request;
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Resources resources = AGENT__RESOURCES__INIT;
	Agent__Process process = AGENT__PROCESS__INIT;
	struct rootfs_image *image;
	int r;

	r = cli_config_load(request->config, request->n_config, &prepare->config, err);
	if (r < 0)
		return r;
	r = check_tee(prepare, err);
	if (r >= 0 && prepare->tee != LAYOUT_TEE_NONE && !prepare->is_dry)
		r = prepare_tee(prepare, err);
	if (r >= 0)
		r = open_image(prepare, err);
	if (r < 0)
		return r;
	image = prepare->image;
	phase(prepare, "image");
	spec.process = &process;
	spec.resources = &resources;
	r = make_process(prepare, image, &process, err);
	if (r >= 0)
		r = fill_spec(prepare, image->bundle, &spec, err);
	if (r >= 0)
		r = add_layers(prepare, image, &spec, err);
	if (r >= 0)
		r = check_devices(prepare, err);
	if (r >= 0 && prepare->request->with_vm)
		r = prepare_vm(prepare, &spec, err);
	if (r >= 0)
		r = pack_spec(prepare, &spec, err);
	phase(prepare, "plan");
	prepare->result.image_digest = image->digest;
	return r;
}

void prepare_done(struct prepare *prepare)
{
	for (size_t i = 0; i < prepare->fd_count; i++)
		if (prepare->fds[i] >= 0)
			(void)close(prepare->fds[i]);
	prepare->fd_count = 0;
	prepare->image = rootfs_image_free(prepare->image);
	config_done(&prepare->config);
	arena_done(&prepare->arena);
}

int prepare_vm_alone(struct prepare *prepare, struct err *err)
{
	const Casemate__Request *request = prepare->request->request;
	Agent__ContainerSpec spec = AGENT__CONTAINER_SPEC__INIT;
	Agent__Resources resources = AGENT__RESOURCES__INIT;
	int r;

	r = cli_config_load(request->config, request->n_config, &prepare->config, err);
	if (r >= 0)
		r = check_tee(prepare, err);
	spec.resources = &resources;
	if (r >= 0)
		r = fill_spec(prepare, NULL, &spec, err);
	return r < 0 ? r : prepare_vm(prepare, &spec, err);
}

static int answer(struct prepare *prepare, struct err *err)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t len;

	len = casemate__prepare_result__get_packed_size(&prepare->result);
	bytes = malloc(len + 1);
	if (!bytes)
		return err_num(err, -ENOMEM, "answer");
	(void)casemate__prepare_result__pack(&prepare->result, bytes);
	return sock_send_msg(SOCKET_FD, (struct bytes){ bytes, len }, prepare->fds,
			     prepare->fd_count, err);
}

static int read_request(struct prepare *prepare, struct err *err)
{
	CLEANUP(buf_done) struct buf payload = { 0 };
	size_t fd_count = 0;
	int r;

	r = sock_recv_msg(SOCKET_FD, REQUEST_MAX, &payload, NULL, 0, &fd_count, err);
	if (r < 0)
		return r;
	prepare->request = casemate__prepare_request__unpack(NULL, payload.len, payload.at);
	if (!prepare->request || !prepare->request->request)
		return err_set(err, -EPROTO, "read the request: not one");
	if (prepare->request->request->progress[0])
		(void)pipe_open_write(prepare->request->request->progress, &prepare->progress_fd,
				      NULL);
	return 0;
}

static void fail(struct prepare *prepare, const struct err *err, Casemate__Failure *failure)
{
	casemate__prepare_result__init(&prepare->result);
	failure->num = err->num;
	failure->code = err->code;
	failure->text = unconst(err->msg);
	prepare->result.failure = failure;
	prepare->fd_count = 0;
}

int cli_prepare_main(int argc, char **argv)
{
	Casemate__Failure failure = CASEMATE__FAILURE__INIT;
	struct prepare prepare = { .progress_fd = -1, .phase_us = host_boottime_us() };
	struct err err = { 0 };
	int r;

	(void)argv;
	if (argc != 1 || fcntl(SOCKET_FD, F_GETFD) < 0)
		return cli_usage("prepare", "for the shim only");
	casemate__prepare_result__init(&prepare.result);
	r = read_request(&prepare, &err);
	if (r >= 0)
		r = prepare_work(&prepare, &err);
	if (r < 0)
		fail(&prepare, &err, &failure);
	r = answer(&prepare, &err);
	/* the process ends here: what it holds goes with it */
	return r < 0 ? CLI_HOST : CLI_OK;
}
