/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_launch - the digest that the simulated processor has of a guest: SNP's chain, over what a
 * guest with ordinary firmware (SeaBIOS, qboot) is launched with.
 *
 *	1. the firmware's pages, NORMAL, from 4 GiB less its size upward;
 *	2. one NORMAL page at ATTEST_SIM_HASH_GPA: QEMU's table of the hashes of kernel, initrd and
 *	   command line from 0 on; at ATTEST_SIM_TABLE_OFFSET a table of the same form with GUIDs of
 *	   our own: the SHA-256 of the arguments and that of the ROMs;
 *	3. for each vCPU a VMSA page as QEMU's with a signature of 0 and features of 1: all start at
 *	   the reset vector.
 *
 * Arguments: each with the NUL that ends it, in their order, the first (the program) too. ROMs: by
 * name in the order of bytes, each its name, a NUL, and the SHA-256 of its contents. No firmware
 * looks at the page: the processor that measured it has started QEMU with these very bytes.
 */
#ifndef ATTEST_SIM_LAUNCH_H
#define ATTEST_SIM_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "attest/launch.h"
#include "base/bytes.h"
#include "base/err.h"

#define ATTEST_SIM_HASH_GPA UINT64_C(0xfed90000)
enum {
	ATTEST_SIM_TABLE_OFFSET = 0x800,
	ATTEST_SIM_ROMS_MAX = 256,
	ATTEST_SIM_ARGS_MAX = 16384,
	ATTEST_SIM_FIRMWARE_MAX = 64 << 20,
};

struct attest_sim_rom {
	const char *name; /* in QEMU's data directory: "vgabios.bin", no '/' */
	uint8_t sha256[ATTEST_SHA256_SIZE];
};

/* Of a ROM with these contents; name is borrowed. 0 or -EIO. */
int attest_sim_rom_hash(const char *name, struct bytes contents, struct attest_sim_rom *ret);

struct attest_sim_launch {
	struct bytes firmware;
	struct attest_boot_hashes boot;
	const char *const *args;
	size_t arg_count;
	const struct attest_sim_rom *roms; /* in any order */
	size_t rom_count;
	unsigned vcpus; /* 1 to ATTEST_VCPUS_MAX */
};

/*
 * -EINVAL: firmware that is not of whole pages, no or too many vCPUs, a ROM twice; -E2BIG: more
 * than a limit above; -ENOMEM, -EIO.
 */
int attest_sim_launch_digest(const struct attest_sim_launch *launch,
			     uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err);

#endif
