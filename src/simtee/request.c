// SPDX-License-Identifier: Apache-2.0
#include "simtee/request.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attest/launch.h"
#include "base/text.h"
#include "sys/spawn.h"

#define FD_PREFIX "/proc/self/fd/"

void request_done(struct request *request)
{
	if (request->message)
		tee__launch_request__free_unpacked(request->message, NULL);
	*request = (struct request){ 0 };
}

/* What is looked at in the arguments. */
struct values {
	const char *kernel, *bios, *append, *smp;
};

static int take(const char **value, const char *name, const char *text, struct err *err)
{
	if (*value)
		return err_set(err, -EINVAL, "read QEMU's arguments: -%s is there twice", name);
	if (!text)
		return err_set(err, -EINVAL, "read QEMU's arguments: -%s has no value", name);
	*value = text;
	return 0;
}

/* Options begin with one dash or two; all that is not looked at may be there as often as it is. */
static int take_option(struct values *values, const char *name, const char *text, struct err *err)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{ "kernel", &values->kernel },
		{ "bios", &values->bios },
		{ "append", &values->append },
		{ "smp", &values->smp },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return take(known[i].value, name, text, err);
	if (strcmp(name, "initrd") == 0)
		return err_set(err, -EINVAL, "read QEMU's arguments: -initrd is not measured");
	return 0;
}

static int read_args(const Tee__LaunchRequest *message, struct values *values, struct err *err)
{
	int r = 0;

	for (size_t i = 1; r == 0 && i < message->n_argv;) {
		const char *name = message->argv[i++];
		const char *text = NULL;

		if (name[0] != '-')
			return err_set(err, -EINVAL,
				       "read QEMU's arguments: number %zu is the value of none",
				       i - 1);
		if (i < message->n_argv && message->argv[i][0] != '-')
			text = message->argv[i++];
		r = take_option(values, name + (name[1] == '-' ? 2 : 1), text, err);
	}
	return r;
}

static int find_fd(const Tee__LaunchRequest *message, const char *name, const char *path,
		   size_t *ret, struct err *err)
{
	uint64_t number;

	if (!path || strncmp(path, FD_PREFIX, strlen(FD_PREFIX)) != 0 ||
	    text_parse_uint(path + strlen(FD_PREFIX), SPAWN_TARGET_MAX, &number) < 0)
		return err_set(err, -EINVAL, "read QEMU's arguments: -%s is not " FD_PREFIX "N",
			       name);
	for (size_t i = 0; i < message->n_targets; i++) {
		if (message->targets[i] == number) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "read QEMU's arguments: -%s: there is no descriptor %llu",
		       name, (unsigned long long)number);
}

static int read_vcpus(const char *text, unsigned *ret, struct err *err)
{
	static const char prefix[] = "cpus=";
	uint64_t number = 0;

	if (!text || strncmp(text, prefix, strlen(prefix)) != 0 ||
	    text_parse_uint(text + strlen(prefix), ATTEST_VCPUS_MAX, &number) < 0 || number == 0)
		return err_set(err, -EINVAL, "read QEMU's arguments: -smp is not cpus=N");
	*ret = (unsigned)number;
	return 0;
}

static int check_targets(const Tee__LaunchRequest *message, size_t fd_count, struct err *err)
{
	bool taken[SPAWN_TARGET_MAX + 1] = { false };

	if (message->n_targets != fd_count || fd_count > REQUEST_FDS_MAX)
		return err_set(err, -EINVAL, "read the launch: %zu descriptors for %zu", fd_count,
			       message->n_targets);
	if (message->tee_target > SPAWN_TARGET_MAX)
		return err_set(err, -EINVAL, "read the launch: there is no descriptor %u",
			       message->tee_target);
	taken[message->tee_target] = true;
	for (size_t i = 0; i < message->n_targets; i++) {
		uint32_t target = message->targets[i];

		if (target > SPAWN_TARGET_MAX || taken[target])
			return err_set(err, -EINVAL, "read the launch: descriptor %u is %s", target,
				       target > SPAWN_TARGET_MAX ? "none" : "there twice");
		taken[target] = true;
	}
	return 0;
}

/* "vfio/vfio", "kvm": of /dev, one folder deep at most. */
static bool is_node(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t len = strlen(name);

	return len > 0 && len <= REQUEST_NODE_NAME_MAX && slash != name && name[len - 1] != '/' &&
	       (!slash || !strchr(slash + 1, '/')) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_/") == len;
}

static int check(const Tee__LaunchRequest *message, size_t fd_count, const char *qemu,
		 struct err *err)
{
	if (message->n_argv == 0 || message->n_argv > REQUEST_ARGS_MAX)
		return err_set(err, -EINVAL, "read the launch: %zu arguments, 1 to %d can be",
			       message->n_argv, REQUEST_ARGS_MAX);
	if (strcmp(message->argv[0], qemu) != 0)
		return err_coded(err, ERR_HOST, -EINVAL,
				 "read the launch: the processor starts '%s' and no other program",
				 qemu);
	if (message->host_data.len != REQUEST_HOST_DATA)
		return err_set(err, -EINVAL, "read the launch: host data of %zu bytes, not %d",
			       message->host_data.len, REQUEST_HOST_DATA);
	if (message->n_nodes > REQUEST_NODES_MAX)
		return err_set(err, -EINVAL, "read the launch: %zu nodes of /dev are too many",
			       message->n_nodes);
	for (size_t i = 0; i < message->n_nodes; i++)
		if (!is_node(message->nodes[i]))
			return err_set(err, -EINVAL, "read the launch: a node of no such name");
	return check_targets(message, fd_count, err);
}

int request_open(struct bytes text, size_t fd_count, const char *qemu, struct request *ret,
		 struct err *err)
{
	CLEANUP(request_done) struct request request = { 0 };
	struct values values = { 0 };
	int r;

	if (text.len > REQUEST_SIZE_MAX)
		return err_set(err, -EINVAL, "read the launch: %zu bytes, at most %d can be",
			       text.len, REQUEST_SIZE_MAX);
	request.message = tee__launch_request__unpack(NULL, text.len, text.at);
	if (!request.message)
		return err_set(err, -EPROTO, "read the launch: it is no request");
	r = check(request.message, fd_count, qemu, err);
	if (r == 0)
		r = read_args(request.message, &values, err);
	if (r == 0)
		r = find_fd(request.message, "kernel", values.kernel, &request.kernel, err);
	if (r == 0)
		r = find_fd(request.message, "bios", values.bios, &request.firmware, err);
	if (r == 0 && !values.append)
		r = err_set(err, -EINVAL, "read QEMU's arguments: there is no -append");
	if (r == 0)
		r = read_vcpus(values.smp, &request.vcpus, err);
	if (r < 0)
		return r;
	request.append = values.append;
	*ret = request;
	(void)steal_ptr(&request.message);
	return 0;
}

int request_allow(const struct request *request, const struct request_rules *rules, uid_t uid,
		  gid_t gid, struct err *err)
{
	const Tee__LaunchRequest *message = request->message;

	if (message->uid == 0 || message->gid == 0 || message->uid == rules->key_uid)
		return err_coded(err, ERR_HOST, -EPERM,
				 "launch as user %u: no VM runs as root, nor as the key's user",
				 message->uid);
	if (uid == 0) {
		if (message->uid < rules->uid_first ||
		    message->uid - rules->uid_first >= rules->uid_count ||
		    message->gid != message->uid)
			return err_coded(err, ERR_HOST, -EPERM,
					 "launch as user %u: not one of those set aside for VMs",
					 message->uid);
		return 0;
	}
	if (message->uid != uid || message->gid != gid)
		return err_set(err, -EPERM, "launch as user %u: user %u asked", message->uid, uid);
	if (message->memlock_bytes || message->n_nodes)
		return err_set(err, -EPERM,
			       "launch with locked memory or nodes of /dev: only root may ask");
	return 0;
}
