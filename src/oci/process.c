// SPDX-License-Identifier: Apache-2.0
#include "oci/process.h"

#include <errno.h>
#include <string.h>

bool oci_process_is_variable(const char *text)
{
	const char *equals = strchr(text, '=');

	return equals && equals != text;
}

bool oci_process_is_user(const char *text)
{
	const char *colon = strchr(text, ':');
	size_t len = strlen(text);

	if (len > OCI_USER_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
			return false;
	}
	return !colon || (colon != text && colon[1] && !strchr(colon + 1, ':'));
}

static int fail_memory(struct err *err)
{
	return err_num(err, -ENOMEM, "put the command together");
}

static int fail_limit(struct err *err, const char *what, long limit)
{
	return err_coded(err, ERR_IMAGE_LIMIT, -E2BIG, "put the command together: %s exceed %ld",
			 what, limit);
}

static int make_args(struct arena *arena, const struct oci_process_base *base,
		     const struct oci_process_request *request, struct oci_strings *ret_args,
		     struct err *err)
{
	struct oci_strings entrypoint = base->entrypoint, cmd = base->cmd;
	const char **args;
	size_t count;

	if (request->entrypoint_set) {
		entrypoint = request->entrypoint;
		cmd = (struct oci_strings){ 0 };
	}
	if (request->args.count > 0)
		cmd = request->args;
	/* each alone first: the sum must not overflow */
	if (entrypoint.count > OCI_ARGS_MAX || cmd.count > OCI_ARGS_MAX ||
	    entrypoint.count + cmd.count > OCI_ARGS_MAX)
		return fail_limit(err, "the arguments", OCI_ARGS_MAX);
	count = entrypoint.count + cmd.count;
	args = arena_array(arena, count + 1, sizeof(*args));
	if (!args)
		return fail_memory(err);
	if (entrypoint.count > 0)
		memcpy(args, entrypoint.at, entrypoint.count * sizeof(*args));
	if (cmd.count > 0)
		memcpy(args + entrypoint.count, cmd.at, cmd.count * sizeof(*args));
	if (count == 0 || !args[0][0])
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "put the command together: the image has none, and none was "
				 "given after '--'");
	*ret_args = (struct oci_strings){ args, count };
	return 0;
}

static bool is_same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Puts variable in the place of its namesake, or at the end. */
static void put_variable(const char **env, size_t *count, const char *variable)
{
	for (size_t i = 0; i < *count; i++) {
		if (is_same_name(env[i], variable)) {
			env[i] = variable;
			return;
		}
	}
	env[(*count)++] = variable;
}

static void put_default(const char **env, size_t *count, const char *variable)
{
	for (size_t i = 0; i < *count; i++) {
		if (is_same_name(env[i], variable))
			return;
	}
	env[(*count)++] = variable;
}

static int put_variables(const char **env, size_t *count, const struct oci_strings *add,
			 enum err_code code, struct err *err)
{
	for (size_t i = 0; i < add->count; i++) {
		if (!oci_process_is_variable(add->at[i]))
			return err_coded(err, code, -EINVAL,
					 "put the environment together: '%.200s' is not "
					 "NAME=VALUE",
					 add->at[i]);
		put_variable(env, count, add->at[i]);
	}
	return 0;
}

static int make_env(struct arena *arena, const struct oci_process_base *base,
		    const struct oci_process_request *request, struct oci_strings *ret_env,
		    struct err *err)
{
	const char **env;
	size_t count = 0;
	int r;

	if (base->env.count > OCI_ENV_MAX || request->env.count > OCI_ENV_MAX)
		return fail_limit(err, "the variables", OCI_ENV_MAX);
	env = arena_array(arena, base->env.count + request->env.count + 3, sizeof(*env));
	if (!env)
		return fail_memory(err);
	r = put_variables(env, &count, &base->env, ERR_IMAGE, err);
	if (r < 0)
		return r;
	r = put_variables(env, &count, &request->env, ERR_USAGE, err);
	if (r < 0)
		return r;
	put_default(env, &count, "PATH=" OCI_PROCESS_PATH);
	if (request->terminal)
		put_default(env, &count, "TERM=xterm");
	if (count > OCI_ENV_MAX)
		return fail_limit(err, "the variables", OCI_ENV_MAX);
	env[count] = NULL;
	*ret_env = (struct oci_strings){ env, count };
	return 0;
}

static int choose_cwd(const struct oci_process_base *base,
		      const struct oci_process_request *request, const char **ret_cwd,
		      struct err *err)
{
	bool asked = request->cwd && request->cwd[0];
	const char *cwd = asked ? request->cwd : base->cwd;

	if (!cwd || !cwd[0])
		cwd = "/";
	if (cwd[0] != '/' || strlen(cwd) > OCI_CWD_MAX)
		return err_coded(err, asked ? ERR_USAGE : ERR_IMAGE, -EINVAL,
				 "put the command together: the working directory '%.200s' is not "
				 "an absolute path of at most %d bytes",
				 cwd, OCI_CWD_MAX);
	*ret_cwd = cwd;
	return 0;
}

static int choose_user(const struct oci_process_base *base,
		       const struct oci_process_request *request, const char **ret_user,
		       struct err *err)
{
	bool asked = request->user && request->user[0];
	const char *user = asked ? request->user : base->user;

	if (!user)
		user = "";
	if (!oci_process_is_user(user))
		return err_coded(err, asked ? ERR_USAGE : ERR_IMAGE, -EINVAL,
				 "put the command together: '%.200s' is not USER or USER:GROUP",
				 user);
	*ret_user = user;
	return 0;
}

static int add_lengths(const struct oci_strings *strings, size_t *total)
{
	for (size_t i = 0; i < strings->count; i++) {
		size_t len = strlen(strings->at[i]);

		if (len > OCI_STRING_MAX)
			return -E2BIG;
		*total += len + 1;
	}
	return 0;
}

int oci_process_make(struct arena *arena, const struct oci_process_base *base,
		     const struct oci_process_request *request, struct oci_process *ret_process,
		     struct err *err)
{
	struct oci_process process = { .terminal = request->terminal };
	size_t total = 0;
	int r;

	r = make_args(arena, base, request, &process.args, err);
	if (r < 0)
		return r;
	r = make_env(arena, base, request, &process.env, err);
	if (r < 0)
		return r;
	r = choose_cwd(base, request, &process.cwd, err);
	if (r < 0)
		return r;
	r = choose_user(base, request, &process.user, err);
	if (r < 0)
		return r;
	if (add_lengths(&process.args, &total) < 0 || add_lengths(&process.env, &total) < 0)
		return fail_limit(err, "bytes in one argument or variable", OCI_STRING_MAX);
	if (total > OCI_PROCESS_BYTES_MAX)
		return fail_limit(err, "bytes in arguments and variables", OCI_PROCESS_BYTES_MAX);
	*ret_process = process;
	return 0;
}
