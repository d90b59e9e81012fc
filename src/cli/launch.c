// SPDX-License-Identifier: Apache-2.0
#include "cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/sim_launch.h"
#include "base/text.h"
#include "emit/qemu.h"
#include "sys/file.h"
#include "vmm/roms.h"

enum { KERNEL_MAX = 256 << 20 };

static_assert((int)VMM_ROMS_MAX <= (int)ATTEST_SIM_ROMS_MAX, "all of them can be measured");

/* By its name in /proc: from its start, whatever its position. */
static int read_fd(int fd, size_t max, struct buf *ret, struct err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return file_read(AT_FDCWD, path, max, ret, err);
}

/* The value of the one option of that name; NULL: none, or two. */
static const char *find_value(const struct launch *launch, const char *option)
{
	const char *found = NULL;

	for (size_t i = 1; i + 1 < launch->argc; i++) {
		if (strcmp(launch->argv[i], option) != 0)
			continue;
		if (found)
			return NULL;
		found = launch->argv[++i];
	}
	return found;
}

static int read_roms(struct vmm_roms *roms, struct attest_sim_rom *ret, struct err *err)
{
	cleanup_close int root_fd = -1;
	int r;

	r = file_open_dir(AT_FDCWD, "/", &root_fd, err);
	if (r >= 0)
		r = vmm_roms_read(root_fd, roms, err);
	for (size_t i = 0; r >= 0 && i < roms->count; i++)
		if (attest_sim_rom_hash(roms->at[i].name, buf_bytes(&roms->at[i].contents),
					&ret[i]) < 0)
			r = err_set(err, -EIO, "hash the ROM '%s'", roms->at[i].name);
	return r < 0 ? err_wrap(err, r, "measure QEMU's ROMs") : 0;
}

static int read_boot(const struct launch *launch, struct attest_sim_launch *ret, struct err *err)
{
	const char *append = find_value(launch, "-append"), *smp = find_value(launch, "-smp");
	CLEANUP(buf_done) struct buf kernel = { 0 };
	uint64_t vcpus = 0;
	int r;

	if (!append || !smp || strncmp(smp, "cpus=", strlen("cpus=")) != 0 ||
	    text_parse_uint(smp + strlen("cpus="), ATTEST_VCPUS_MAX, &vcpus) < 0)
		return err_coded(
			err, ERR_USAGE, -EINVAL,
			"measure the VM: its arguments are not a plan's: one -append and one "
			"-smp cpus=N are needed");
	ret->vcpus = (unsigned)vcpus;
	r = read_fd(launch->kernel_fd, KERNEL_MAX, &kernel, err);
	if (r < 0)
		return err_wrap(err, r, "measure the kernel");
	r = attest_boot_hash(buf_bytes(&kernel), (struct bytes){ 0 }, append, &ret->boot);
	return r < 0 ? err_num(err, r, "hash the kernel") : 0;
}

int launch_measure(const struct launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err)
{
	CLEANUP(buf_done) struct buf firmware = { 0 };
	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };
	struct attest_sim_rom hashed[VMM_ROMS_MAX];
	struct attest_sim_launch measured = { .roms = hashed, .arg_count = launch->argc };
	int r;

	memcpy(&measured.args, &launch->argv, sizeof(measured.args));
	r = read_boot(launch, &measured, err);
	if (r == 0)
		r = read_roms(&roms, hashed, err);
	measured.rom_count = roms.count;
	if (r == 0)
		r = read_fd(launch->firmware_fd, ATTEST_SIM_FIRMWARE_MAX, &firmware, err);
	measured.firmware = buf_bytes(&firmware);
	return r < 0 ? r : attest_sim_launch_digest(&measured, ret, err);
}

static int find_fd(const struct prepare *prepare, enum layout_role role)
{
	const Casemate__Vm *vm = prepare->result.vm;

	for (size_t i = 0; i < vm->n_targets; i++)
		if (vm->targets[i] == (uint32_t)emit_target(role))
			return prepare->fds[prepare->result.n_layers + i];
	return -1;
}

int launch_measure_prepared(const struct prepare *prepare, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			    struct err *err)
{
	const struct launch launch = {
		.kernel_fd = find_fd(prepare, LAYOUT_ROLE_KERNEL),
		.firmware_fd = find_fd(prepare, LAYOUT_ROLE_FIRMWARE),
		.argv = prepare->result.vm->argv,
		.argc = prepare->result.vm->n_argv,
	};

	return launch_measure(&launch, ret, err);
}
