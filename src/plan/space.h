/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space - whether the guest's BARs fit into its address space, decided before it is built.
 *
 * SeaBIOS gives each bridge one window for 64-bit prefetchable BARs, above all memory, and one
 * below 4 GiB for the rest, in which a single prefetchable BAR of 32 bits takes all prefetchable ones
 * of that bridge along; I/O has windows of 4 KiB. Each is as large as what is below it, each part
 * aligned to its own largest BAR, rounded up to that. (src/fw/pciinit.c in its source.) So a BAR of
 * 512 GiB and a small one below one port take 1 TiB.
 *
 * With large BARs that is not what 1.16.3, of Debian 12 and 13, does. Where the guest has no memory
 * above 4 GiB its windows end beyond the address space, unless their sum is a multiple of the
 * largest BAR. Where it has, they are aligned to a 2048th of the address space (32 GiB) and no
 * more: of two GPUs with 128 GiB and 32 MiB each, the second is out of place. So then
 *
 *	the guest has some of its memory above 4 GiB, and the windows begin at an eighth of the
 *	address space;
 *	the window of each root port is a power of two, by its reserve: so each is at its place;
 *	within them the guest's kernel puts right what is not (pci=realloc).
 */
#ifndef PLAN_SPACE_H
#define PLAN_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "plan/choose.h"
#include "plan/layout.h"
#include "plan/reasons.h"

/* For the guest's kernel (Documentation/admin-guide/kernel-parameters.txt). */
#define PLAN_SPACE_PARAMETER "pci=realloc"

enum {
	PLAN_LOW_MMIO_MIB = 750, /* below 4 GiB, of what q35 has, for passed devices */
	PLAN_IO_BYTES = 8 << 12, /* windows of 4 KiB, of what q35 has */
};

struct plan_space {
	uint64_t high; /* bytes of windows above memory, those of all buses */
	bool is_large; /* more than SeaBIOS finds a place for without help */
	uint64_t low;  /* below 4 GiB */
	uint64_t io;
	uint64_t bars; /* of the devices alone: what is mapped for DMA besides memory */
};

/*
 * Decides the layout's low_mib and its root ports' reserve, and adds to its command line. The guest's
 * physical address bits are the host's with KVM, 40 with TCG; PCI_UNKNOWN is in unknown, and what
 * does not fit is in reasons.
 */
void plan_space(const struct machine *machine, const struct plan_choice *choice,
		struct layout *layout, struct plan_space *ret, struct plan_reasons *reasons,
		struct plan_reasons *unknown);

#endif
