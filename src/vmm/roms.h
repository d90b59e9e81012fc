/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roms - the ROMs that QEMU finds for itself in its data directories, with what they hold.
 *
 * They are code of a guest that no argument names: the one that starts a kernel given by -kernel
 * (pvh.bin, linuxboot*.bin, multiboot*.bin), the one that speeds up interrupts on x86
 * (kvmvapic.bin), and those of graphics and network cards. The firmware is not among them: it is
 * given by -bios.
 *
 *	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };
 *	r = vmm_roms_read(root_fd, &roms, err);
 *	for (size_t i = 0; i < roms.count; i++)
 *		... roms.at[i].name, roms.at[i].contents
 *
 * Which directories, and which comes first, is what `qemu-system-x86_64 -L help` prints on Debian
 * 12 and 13: /usr/share/qemu, /usr/share/seabios, /usr/lib/ipxe/qemu.
 */
#ifndef VMM_ROMS_H
#define VMM_ROMS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

enum {
	VMM_ROMS_MAX = 128,
	VMM_ROM_NAME_MAX = 63,
	VMM_ROM_SIZE_MAX = 4 << 20,
};

struct vmm_rom {
	char name[VMM_ROM_NAME_MAX + 1];
	struct buf contents;
};

struct vmm_roms {
	struct vmm_rom at[VMM_ROMS_MAX]; /* each name once, as QEMU takes the first of it */
	size_t count;
};

void vmm_roms_done(struct vmm_roms *roms);
CLEANUP_FUNC(struct vmm_roms, vmm_roms_done)

/*
 * root_fd is the root directory. A data directory that isn't there has no ROMs; *ret was empty and
 * is as it was on failure. -E2BIG: more than VMM_ROMS_MAX; -EFBIG: one above VMM_ROM_SIZE_MAX; what
 * else file_list() and file_read() say.
 */
int vmm_roms_read(int root_fd, struct vmm_roms *ret, struct err *err);

#endif
