// SPDX-License-Identifier: Apache-2.0
#include "cli/pods.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "lease/rundir.h"
#include "sys/file.h"

static int by_name(const void *a, const void *b)
{
	char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

int pods_names(const struct config *config, struct strv *ret, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int run_fd = -1;
	struct dirent *entry;
	int dir_fd, r;
	DIR *dir;

	r = lease_run_dir_open(config_text(config, CONFIG_RUN_DIR), &run_fd, &path, err);
	if (r < 0)
		return r;
	r = file_open_dir(run_fd, "pods", &dir_fd, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	dir = fdopendir(dir_fd);
	if (!dir) {
		(void)close(dir_fd);
		return err_num(err, -ENOMEM, "read '%s/pods'", path);
	}
	while (r >= 0 && (entry = readdir(dir)))
		if (text_name_valid(entry->d_name))
			r = strv_add(ret, entry->d_name);
	(void)closedir(dir);
	if (ret->len)
		qsort(ret->at, ret->len, sizeof(*ret->at), by_name);
	return r < 0 ? err_num(err, r, "list pods") : 0;
}

static json_t *layers_json(const Casemate__DescribedContainer *container)
{
	json_t *layers = json_array();
	char root[65];

	for (size_t i = 0; i < container->n_layers; i++) {
		const Casemate__LayerImage *layer = container->layers[i];

		if (layer->root.len != 32)
			continue;
		text_hex(layer->root.data, layer->root.len, root);
		(void)json_array_append_new(layers, json_pack("{s:s, s:s, s:I, s:b}", "id",
							      layer->diff_id, "root", root, "bytes",
							      (json_int_t)layer->size, "cached",
							      layer->cached));
	}
	return layers;
}

json_t *pods_container_json(const Casemate__DescribedContainer *container)
{
	json_t *args = json_array();

	for (size_t i = 0; i < container->n_args; i++)
		(void)json_array_append_new(args, json_string(container->args[i]));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:I, s:I, s:b}", "name",
			 container->name, "status", container->status, "exit_status",
			 (int)container->exit_status, "image", container->image, "image_digest",
			 container->image_digest, "layers", layers_json(container), "args", args,
			 "created_ns", (json_int_t)container->created_ns, "exited_ns",
			 (json_int_t)container->exited_ns, "terminal", container->terminal);
}

static json_t *refusals_json(const Casemate__DescribeResponse *pod)
{
	json_t *refusals = json_array();

	for (size_t i = 0; i < pod->n_refusals; i++) {
		const Casemate__DescribedRefusal *refusal = pod->refusals[i];

		(void)json_array_append_new(
			refusals, json_pack("{s:s, s:s, s:s, s:s}", "method", refusal->method,
					    "container", refusal->container, "code", refusal->code,
					    "text", refusal->text));
	}
	return refusals;
}

/* What only a confidential pod has. Refusals that its agent did not tell are not none. */
static void add_tee(const Casemate__DescribeResponse *pod, json_t *json)
{
	const bool is_known = pod->refusals_known;

	if (!json || !pod->tee[0])
		return;
	(void)json_object_set_new(json, "tee", json_string(pod->tee));
	(void)json_object_set_new(json, "refusals", is_known ? refusals_json(pod) : json_null());
	(void)json_object_set_new(json, "refusal_count",
				  is_known ? json_integer((json_int_t)pod->refusal_count)
					   : json_null());
}

json_t *pods_json(const Casemate__DescribeResponse *pod)
{
	json_t *containers = json_array(), *phases = json_object(), *json;

	/* the newest comes first from the shim; people expect the first one first */
	for (size_t i = pod->n_containers; i > 0; i--)
		(void)json_array_append_new(containers,
					    pods_container_json(pod->containers[i - 1]));
	for (size_t i = 0; i < pod->n_phases; i++)
		(void)json_object_set_new(phases, pod->phases[i]->name,
					  json_integer((json_int_t)pod->phases[i]->us));
	json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:o, s:o}",
			 "schema", 1, "pod", pod->pod, "accel", pod->accel, "host_kernel",
			 pod->host_kernel, "guest_kernel", pod->guest_kernel, "guest", pod->guest,
			 "vcpus", (int)pod->vcpus, "memory_mib", (int)pod->memory_mib, "shim_pid",
			 pod->shim_pid, "qemu_pid", pod->qemu_pid, "qemu_uid", (int)pod->qemu_uid,
			 "phases_us", phases, "containers", containers);
	add_tee(pod, json);
	return json;
}
