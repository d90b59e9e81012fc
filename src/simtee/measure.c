// SPDX-License-Identifier: Apache-2.0
#include "simtee/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "attest/sim_launch.h"
#include "vmm/roms.h"

struct mapping {
	void *at;
	size_t len;
};

static void mapping_done(struct mapping *mapping)
{
	if (mapping->at)
		(void)munmap(mapping->at, mapping->len);
}
CLEANUP_FUNC(struct mapping, mapping_done)

/* Sealed, so it neither changes nor shrinks below the mapping. */
static int map_sealed(int fd, const char *what, size_t max, struct mapping *ret, struct err *err)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || (seals & wanted) != wanted)
		return err_set(err, -EPERM, "measure the %s: it is not a sealed memory file", what);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "measure the %s", what);
	if (st.st_size <= 0 || (uint64_t)st.st_size > max)
		return err_set(err, -E2BIG, "measure the %s: %lld bytes, 1 to %zu can be", what,
			       (long long)st.st_size, max);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return err_sys(err, "measure the %s", what);
	*ret = (struct mapping){ at, (size_t)st.st_size };
	return 0;
}

static int hash_roms(const struct vmm_roms *roms, struct attest_sim_rom *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < roms->count; i++)
		r = attest_sim_rom_hash(roms->at[i].name, buf_bytes(&roms->at[i].contents),
					&ret[i]);
	return r;
}

static int measure_mapped(const struct request *request, const struct mapping *kernel,
			  struct attest_sim_launch *launch, uint8_t *ret_digest, struct err *err)
{
	const Tee__LaunchRequest *message = request->message;
	int r;

	r = attest_boot_hash((struct bytes){ kernel->at, kernel->len }, (struct bytes){ 0 },
			     request->append, &launch->boot);
	if (r < 0)
		return err_num(err, r, "measure the kernel");
	launch->args = (const char *const *)message->argv;
	launch->arg_count = message->n_argv;
	launch->vcpus = request->vcpus;
	return attest_sim_launch_digest(launch, ret_digest, err);
}

int measure_launch(const struct request *request, const int *fds, int root_fd,
		   uint8_t ret_digest[ATTEST_LAUNCH_DIGEST], struct err *err)
{
	CLEANUP(mapping_done) struct mapping firmware = { 0 };
	CLEANUP(mapping_done) struct mapping kernel = { 0 };
	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };
	struct attest_sim_rom hashed[VMM_ROMS_MAX];
	struct attest_sim_launch launch = { .roms = hashed };
	int r;

	r = map_sealed(fds[request->kernel], "kernel", MEASURE_KERNEL_MAX, &kernel, err);
	if (r == 0)
		r = map_sealed(fds[request->firmware], "firmware", ATTEST_SIM_FIRMWARE_MAX,
			       &firmware, err);
	if (r == 0)
		r = vmm_roms_read(root_fd, &roms, err);
	if (r < 0)
		return r;
	r = hash_roms(&roms, hashed);
	if (r < 0)
		return err_num(err, r, "measure QEMU's ROMs");
	launch.rom_count = roms.count;
	launch.firmware = (struct bytes){ firmware.at, firmware.len };
	return measure_mapped(request, &kernel, &launch, ret_digest, err);
}
