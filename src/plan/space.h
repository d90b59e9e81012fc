/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space - whether the guest's BARs fit into its address space, decided before it is built.
 *
 * SeaBIOS gives each bridge one window for 64-bit prefetchable BARs, above all memory, and one
 * below 4 GiB for the rest, in which a single prefetchable BAR of 32 bits takes all prefetchable ones
 * of that bridge along; I/O has windows of 4 KiB. Each is as large as what is below it, each part aligned to its own largest
 * BAR, rounded up to that. (src/fw/pciinit.c in its source.) So a BAR of 512 GiB and a small one
 * below one port take 1 TiB.
 */
#ifndef PLAN_SPACE_H
#define PLAN_SPACE_H

#include <stdint.h>

#include "machine/machine.h"
#include "plan/choose.h"
#include "plan/layout.h"
#include "plan/reasons.h"

enum {
	PLAN_LOW_MMIO_MIB = 750, /* below 4 GiB, of what q35 has, for passed devices */
	PLAN_IO_BYTES = 8 << 12, /* windows of 4 KiB, of what q35 has */
};

struct plan_space {
	uint64_t high;	     /* bytes of windows above memory, those of all buses */
	uint64_t high_align; /* their first begins at a multiple of it */
	uint64_t low;	     /* below 4 GiB */
	uint64_t io;
	uint64_t bars; /* of the devices alone: what is mapped for DMA besides memory */
};

/*
 * The guest's physical address bits are the host's with KVM, 40 with TCG; PCI_UNKNOWN is in unknown, and what does not
 * fit is in reasons.
 */
void plan_space(const struct machine *machine, const struct plan_choice *choice,
		const struct layout *layout, struct plan_space *ret, struct plan_reasons *reasons,
		struct plan_reasons *unknown);

#endif
