// SPDX-License-Identifier: Apache-2.0
#include "cli/request.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "plan/plan.h"

void request_done(struct request *request)
{
	arena_done(&request->arena);
}

static int no_memory(struct err *err)
{
	return err_num(err, -ENOMEM, "make the request");
}

static char *unconst(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(same));
	return same;
}

/* Of a path its absolute form; prefix stands before it, and is kept. */
static int absolute(struct request *request, const char *prefix, const char *path, char **ret,
		    struct err *err)
{
	char folder[PATH_MAX];

	if (path[0] == '/' || !path[0])
		*ret = arena_printf(&request->arena, "%s%s", prefix, path);
	else if (getcwd(folder, sizeof(folder)))
		*ret = arena_printf(&request->arena, "%s%s/%s", prefix, folder, path);
	else
		return err_sys(err, "find the working directory");
	return *ret ? 0 : no_memory(err);
}

/* "oci:DIR" becomes "oci:/abs/DIR"; what has no path after a ':' is left for the child to refuse. */
static int set_image(struct request *request, const char *image, struct err *err)
{
	const char *colon = strchr(image, ':');
	const char *prefix;

	if (!colon) {
		request->message.image = arena_strdup(&request->arena, image);
		return request->message.image ? 0 : no_memory(err);
	}
	prefix = arena_strndup(&request->arena, image, (size_t)(colon + 1 - image));
	if (!prefix)
		return no_memory(err);
	return absolute(request, prefix, colon + 1, &request->message.image, err);
}

int request_read_strings(struct arena *arena, const char *text, char ***ret, size_t *ret_count)
{
	json_t *array = json_loads(text, 0, NULL);
	size_t count = json_array_size(array);
	char **list = arena_array(arena, count + 1, sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	if (!json_is_array(array))
		r = -EINVAL;
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *item = json_string_value(json_array_get(array, i));

		if (item)
			list[i] = arena_strdup(arena, item);
		if (!list[i])
			r = item ? -ENOMEM : -EINVAL;
	}
	json_decref(array);
	if (r < 0)
		return r;
	*ret = list;
	*ret_count = count;
	return 0;
}

/* "PROGRAM", "" for none, or as podman has it a JSON array of program and arguments. */
static int set_entrypoint(struct request *request, const struct options *options, struct err *err)
{
	Casemate__Request *message = &request->message;
	const char *text = options->entrypoint;
	int r;

	message->entrypoint_set = options->entrypoint_set;
	if (!options->entrypoint_set || !text[0])
		return 0;
	if (text[0] != '[') {
		message->entrypoint = arena_alloc(&request->arena, sizeof(char *));
		if (!message->entrypoint)
			return no_memory(err);
		message->entrypoint[0] = unconst(text);
		message->n_entrypoint = 1;
		return 0;
	}
	r = request_read_strings(&request->arena, text, &message->entrypoint,
				 &message->n_entrypoint);
	if (r == -EINVAL)
		return err_coded(err, ERR_USAGE, r,
				 "--entrypoint '%s': not a JSON array of strings", text);
	return r < 0 ? no_memory(err) : 0;
}

/* options_parse() has seen that each is NAME=URI. */
static int set_secrets(struct request *request, const struct options *options, struct err *err)
{
	Casemate__Request *message = &request->message;

	message->secrets =
		arena_array(&request->arena, options->secrets.len + 1, sizeof(*message->secrets));
	if (!message->secrets)
		return no_memory(err);
	for (size_t i = 0; i < options->secrets.len; i++) {
		const char *text = options->secrets.at[i], *equals = strchr(text, '=');
		Casemate__SecretRequest *secret = arena_alloc(&request->arena, sizeof(*secret));

		if (!secret)
			return no_memory(err);
		casemate__secret_request__init(secret);
		secret->name = arena_strndup(&request->arena, text, (size_t)(equals - text));
		secret->uri = unconst(equals + 1);
		if (!secret->name)
			return no_memory(err);
		message->secrets[message->n_secrets++] = secret;
	}
	return 0;
}

static void set_process(const struct options *options, Casemate__Request *message)
{
	char *const *args = options->words + 1;

	if (args[0] && strcmp(args[0], "--") == 0)
		args++;
	memcpy(&message->args, &args, sizeof(message->args));
	message->n_args = (size_t)(options->words + options->word_count - args);
	message->env = options->env.at;
	message->n_env = options->env.len;
	message->cwd = unconst(options->workdir ? options->workdir : "");
	message->user = unconst(options->user ? options->user : "");
	message->terminal = options->terminal;
	message->hostname = unconst(options->hostname ? options->hostname : "");
	message->read_only = options->read_only;
	message->pids_set = options->pids_set;
	message->pids = options->pids;
}

int request_make_vm(const struct options *options, struct request *ret, struct err *err)
{
	Casemate__Request *message = &ret->message;

	casemate__request__init(message);
	message->devices = arena_alloc(&ret->arena, sizeof(*message->devices));
	if (!message->devices)
		return no_memory(err);
	casemate__device_request__init(message->devices);
	options_fill_devices(options, message->devices);
	message->cpu_milli = options->cpu_milli;
	message->memory_bytes = options->memory_bytes;
	message->accel = unconst(options->accel ? options->accel : "");
	message->config = options->config.at;
	message->n_config = options->config.len;
	message->tee = unconst(options->tee ? options->tee : "");
	return 0;
}

int request_make(const struct options *options, struct request *ret, struct err *err)
{
	Casemate__Request *message = &ret->message;
	int r;

	if (options->word_count < 1)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "an image is needed: oci:DIR[:TAG], oci-archive:FILE, "
				 "bundle:DIR or rootfs:DIR");
	r = request_make_vm(options, ret, err);
	if (r < 0)
		return r;
	set_process(options, message);
	message->detach = options->detach;
	message->remove = options->remove;
	r = set_image(ret, options->words[0], err);
	if (r == 0)
		r = set_entrypoint(ret, options, err);
	if (r == 0)
		r = set_secrets(ret, options, err);
	if (r == 0 && options->policy)
		r = absolute(ret, "", options->policy, &message->policy, err);
	return r;
}

static int refuse(struct err *err, const char *flag, const char *why)
{
	return err_coded(err, ERR_USAGE, -EINVAL, "%s: %s", flag, why);
}

int request_check_tee(const Casemate__Request *request, bool is_first, enum layout_tee *ret,
		      struct err *err)
{
	int r = plan_tee_choose(request->tee, ret, err);

	if (r < 0)
		return r;
	if (!is_first) {
		if (request->tee[0])
			return refuse(err, "--tee", "the pod is there, and is what it is");
		if (request->policy[0])
			return refuse(err, "--policy", "the pod is there, and has its own or none");
		return 0;
	}
	if (*ret == LAYOUT_TEE_NONE) {
		if (request->policy[0])
			return refuse(err, "--policy",
				      "there is nobody to enforce it without --tee");
		if (request->n_secrets)
			return refuse(err, "--secret", "a guest gets none without --tee");
		return 0;
	}
	if (!request->policy[0])
		return refuse(err, "--tee sim",
			      "--policy is needed: `casemate policy generate` makes one");
	return 0;
}
