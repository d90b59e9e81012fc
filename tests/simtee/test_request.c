// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simtee/request.h"

#define QEMU "/usr/bin/qemu"

static const struct request_rules rules = { .key_uid = 500, .uid_first = 1000, .uid_count = 10 };

/* What a test alters of a sound request. */
struct wish {
	const char *args[16]; /* NULL: the sound ones */
	uint32_t targets[3];
	size_t target_count; /* 0: the sound ones */
	uint32_t tee_target;
	size_t host_data_len;
	const char *node;
	size_t node_count;
	size_t fd_count;
	size_t more_args;
	uid_t uid;
	gid_t gid;
	uint64_t memlock;
};

static const char *const sound_args[] = {
	QEMU,	   "-append",	      "a b=c",	    "-bios", "/proc/self/fd/4",
	"-kernel", "/proc/self/fd/3", "-no-reboot", "-smp",  "cpus=2"
};
static const uint32_t sound_targets[] = { 4, 3, 2 };

static const struct wish sound = {
	.tee_target = 10, .host_data_len = 32, .fd_count = 3, .uid = 1000, .gid = 1000
};

static void fill(const struct wish *wish, Tee__LaunchRequest *message, char **argv, char **nodes)
{
	static uint8_t host_data[64];

	for (size_t i = 0; i < 16 && wish->args[i]; i++)
		argv[message->n_argv++] = strdup(wish->args[i]);
	for (size_t i = 0; !wish->args[0] && i < ARRAY_SIZE(sound_args); i++)
		argv[message->n_argv++] = strdup(sound_args[i]);
	for (size_t i = 0; i < wish->more_args; i++)
		argv[message->n_argv++] = strdup("-x");
	for (size_t i = 0; i < wish->node_count; i++)
		nodes[i] = strdup(wish->node);
	message->argv = argv;
	message->nodes = nodes;
	message->n_nodes = wish->node_count;
	message->tee_target = wish->tee_target;
	message->host_data = (ProtobufCBinaryData){ .data = host_data, .len = wish->host_data_len };
	message->uid = wish->uid;
	message->gid = wish->gid;
	message->memlock_bytes = wish->memlock;
}

static int open_wish(const struct wish *wish, struct request *ret, struct err *err)
{
	Tee__LaunchRequest message = TEE__LAUNCH_REQUEST__INIT;
	char **argv = calloc(REQUEST_ARGS_MAX + 32, sizeof(*argv));
	char **nodes = calloc(REQUEST_NODES_MAX + 2, sizeof(*nodes));
	uint32_t targets[3];
	uint8_t *packed;
	size_t len;
	int r;

	assert_non_null(argv);
	assert_non_null(nodes);
	fill(wish, &message, argv, nodes);
	memcpy(targets, wish->target_count ? wish->targets : sound_targets, sizeof(targets));
	message.targets = targets;
	message.n_targets = wish->target_count ? wish->target_count : ARRAY_SIZE(sound_targets);
	packed = malloc(tee__launch_request__get_packed_size(&message));
	assert_non_null(packed);
	len = tee__launch_request__pack(&message, packed);
	r = request_open((struct bytes){ packed, len }, wish->fd_count, QEMU, ret, err);
	for (size_t i = 0; i < message.n_argv; i++)
		free(argv[i]);
	for (size_t i = 0; i < message.n_nodes; i++)
		free(nodes[i]);
	free(packed);
	free(argv);
	free(nodes);
	return r;
}

static void is_refused(const struct wish *wish, const char *why)
{
	struct request request = { 0 };
	struct err err = { 0 };

	assert_int_equal(open_wish(wish, &request, &err), -EINVAL);
	assert_null(request.message);
	if (!strstr(err.msg, why))
		fail_msg("'%s' doesn't say '%s'", err.msg, why);
}

static void is_taken(const struct wish *wish)
{
	struct request request = { 0 };
	struct err err = { 0 };

	if (open_wish(wish, &request, &err) < 0)
		fail_msg("%s", err.msg);
	request_done(&request);
}

static void finds_what_is_measured(void **state)
{
	struct request request = { 0 };

	(void)state;
	assert_int_equal(open_wish(&sound, &request, NULL), 0);
	assert_int_equal(request.kernel, 1);
	assert_int_equal(request.firmware, 0);
	assert_string_equal(request.append, "a b=c");
	assert_int_equal(request.vcpus, 2);
	request_done(&request);
	assert_null(request.message);
}

static void refuses_arguments_it_cannot_be_sure_of(void **state)
{
	static const struct {
		const char *args[16];
		const char *why;
	} cases[] = {
		{ { "/bin/sh", "-c", "x" }, "no other program" },
		{ { QEMU, "-bios", "/proc/self/fd/4", "-append", "a", "-smp", "cpus=1" },
		  "-kernel is not" },
		{ { QEMU, "-kernel", "/proc/self/fd/3", "-append", "a", "-smp", "cpus=1" },
		  "-bios is not" },
		{ { QEMU, "-kernel", "/proc/self/fd/3", "-bios", "/proc/self/fd/4", "-smp",
		    "cpus=1" },
		  "no -append" },
		{ { QEMU, "-kernel", "/proc/self/fd/3", "-bios", "/proc/self/fd/4", "-append",
		    "a" },
		  "-smp is not" },
		{ { QEMU, "-kernel", "/proc/self/fd/3", "--kernel", "/proc/self/fd/3" },
		  "-kernel is there twice" },
		{ { QEMU, "-append", "a", "-append", "b" }, "-append is there twice" },
		{ { QEMU, "-smp", "cpus=1", "--smp", "cpus=1" }, "-smp is there twice" },
		{ { QEMU, "-bios", "/proc/self/fd/4", "-bios", "/proc/self/fd/4" },
		  "-bios is there twice" },
		{ { QEMU, "-kernel" }, "-kernel has no value" },
		{ { QEMU, "-append", "-kernel", "/proc/self/fd/3" }, "-append has no value" },
		{ { QEMU, "-initrd", "/proc/self/fd/3" }, "-initrd is not measured" },
		{ { QEMU, "--initrd", "x" }, "-initrd is not measured" },
		{ { QEMU, "-no-reboot", "x", "disk.img" }, "number 3 is the value of none" },
		{ { QEMU, "disk.img" }, "number 1 is the value of none" },
		{ { QEMU, "" }, "number 1 is the value of none" },
		{ { QEMU, "-kernel", "/boot/vmlinuz" }, "-kernel is not /proc/self/fd/N" },
		{ { QEMU, "-kernel", "/proc/self/fd/03x" }, "-kernel is not /proc/self/fd/N" },
		{ { QEMU, "-kernel", "/proc/self/fd/" }, "-kernel is not /proc/self/fd/N" },
		{ { QEMU, "-kernel", "/proc/self/fd/256" }, "-kernel is not /proc/self/fd/N" },
		{ { QEMU, "-kernel", "/proc/self/fd/5" }, "there is no descriptor 5" },
		{ { QEMU, "-kernel", "/proc/self/fd/10" }, "there is no descriptor 10" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wish wish = sound;

		memcpy(wish.args, cases[i].args, sizeof(wish.args));
		is_refused(&wish, cases[i].why);
	}
}

static void takes_one_form_of_smp(void **state)
{
	static const char *const bad[] = {
		"2",	   "cpus=",   "cpus=0", "cpus=4097", "cpus=2,sockets=2",
		"cpus=+2", "cpus= 2", "CPUS=2"
	};
	struct wish wish = sound;

	(void)state;
	memcpy(wish.args, sound_args, sizeof(sound_args));
	wish.args[9] = "cpus=4096";
	is_taken(&wish);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wish.args[9] = bad[i];
		is_refused(&wish, "-smp is not cpus=N");
	}
}

static void the_table_of_descriptors_is_without_doubt(void **state)
{
	struct wish wish = sound;

	(void)state;
	wish.fd_count = 2;
	is_refused(&wish, "2 descriptors for 3");
	wish = sound;
	wish.target_count = 3;
	memcpy(wish.targets, (const uint32_t[]){ 4, 3, 3 }, sizeof(wish.targets));
	is_refused(&wish, "descriptor 3 is there twice");
	memcpy(wish.targets, (const uint32_t[]){ 4, 3, 10 }, sizeof(wish.targets));
	is_refused(&wish, "descriptor 10 is there twice");
	memcpy(wish.targets, (const uint32_t[]){ 4, 3, 256 }, sizeof(wish.targets));
	is_refused(&wish, "descriptor 256 is none");
	memcpy(wish.targets, (const uint32_t[]){ 4, 3, 255 }, sizeof(wish.targets));
	is_taken(&wish);
	wish = sound;
	wish.tee_target = 256;
	is_refused(&wish, "no descriptor 256");
}

static void has_limits(void **state)
{
	struct wish wish = sound;
	struct request request;

	(void)state;
	wish.more_args = REQUEST_ARGS_MAX - ARRAY_SIZE(sound_args);
	is_taken(&wish);
	wish.more_args++;
	is_refused(&wish, "4097 arguments");
	wish = sound;
	wish.host_data_len = 31;
	is_refused(&wish, "31 bytes");
	wish.host_data_len = 33;
	is_refused(&wish, "33 bytes");
	wish = sound;
	wish.node = "vfio/12";
	wish.node_count = REQUEST_NODES_MAX;
	is_taken(&wish);
	wish.node_count++;
	is_refused(&wish, "too many");
	assert_int_equal(request_open((struct bytes){ (const uint8_t *)"", REQUEST_SIZE_MAX + 1 },
				      0, QEMU, &request, NULL),
			 -EINVAL);
	assert_int_equal(request_open((struct bytes){ (const uint8_t *)"\xff\xff\xff", 3 }, 0, QEMU,
				      &request, NULL),
			 -EPROTO);
	assert_int_equal(request_open((struct bytes){ (const uint8_t *)"", 0 }, 0, QEMU, &request,
				      NULL),
			 -EINVAL);
}

static void nodes_are_of_dev(void **state)
{
	static const char *const bad[] = { "",	       "/kvm",
					   "vfio/",    "../mem",
					   "vfio/a/b", "a b",
					   "..",       "abcdefghijklmnopqrstuvwxyz012345" };
	struct wish wish = sound;

	(void)state;
	wish.node_count = 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wish.node = bad[i];
		is_refused(&wish, "of no such name");
	}
	wish.node = "abcdefghijklmnopqrstuvwxyz01234";
	is_taken(&wish);
}

static int allow(const struct wish *wish, uid_t uid, gid_t gid)
{
	struct request request = { 0 };
	int r;

	assert_int_equal(open_wish(wish, &request, NULL), 0);
	r = request_allow(&request, &rules, uid, gid, NULL);
	request_done(&request);
	return r;
}

static void a_user_launches_as_himself_only(void **state)
{
	struct wish wish = sound;

	(void)state;
	assert_int_equal(allow(&wish, 1000, 1000), 0);
	assert_int_equal(allow(&wish, 1001, 1000), -EPERM);
	assert_int_equal(allow(&wish, 1000, 1001), -EPERM);
	wish.memlock = 1;
	assert_int_equal(allow(&wish, 1000, 1000), -EPERM);
	wish = sound;
	wish.node = "kvm";
	wish.node_count = 1;
	assert_int_equal(allow(&wish, 1000, 1000), -EPERM);
	wish = sound;
	wish.uid = rules.key_uid;
	assert_int_equal(allow(&wish, rules.key_uid, 1000), -EPERM);
	wish.uid = 0;
	assert_int_equal(allow(&wish, 0, 0), -EPERM);
	wish.uid = 1000;
	wish.gid = 0;
	assert_int_equal(allow(&wish, 1000, 0), -EPERM);
}

static void root_launches_as_those_set_aside(void **state)
{
	struct wish wish = sound;

	(void)state;
	wish.memlock = 1;
	wish.node = "vfio/vfio";
	wish.node_count = 1;
	assert_int_equal(allow(&wish, 0, 0), 0);
	wish.uid = wish.gid = 1009;
	assert_int_equal(allow(&wish, 0, 0), 0);
	wish.uid = wish.gid = 1010;
	assert_int_equal(allow(&wish, 0, 0), -EPERM);
	wish.uid = wish.gid = 999;
	assert_int_equal(allow(&wish, 0, 0), -EPERM);
	wish.uid = 1000;
	wish.gid = 1001;
	assert_int_equal(allow(&wish, 0, 0), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_measured),
		cmocka_unit_test(refuses_arguments_it_cannot_be_sure_of),
		cmocka_unit_test(takes_one_form_of_smp),
		cmocka_unit_test(the_table_of_descriptors_is_without_doubt),
		cmocka_unit_test(has_limits),
		cmocka_unit_test(nodes_are_of_dev),
		cmocka_unit_test(a_user_launches_as_himself_only),
		cmocka_unit_test(root_launches_as_those_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
