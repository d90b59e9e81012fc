/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource - the ranges that Linux has given a function: the file `resource` in sysfs.
 *
 * A line each of start, end and flags (Documentation/ABI/testing/sysfs-bus-pci; the flags are
 * those of include/linux/ioport.h): six BARs, the ROM, six BARs of SR-IOV where the kernel has
 * that, then a bridge's four windows (I/O, memory, prefetchable, the fourth for CardBus).
 */
#ifndef PCI_RESOURCE_H
#define PCI_RESOURCE_H

#include "base/bytes.h"
#include "pci/config.h"

enum { PCI_RESOURCE_LINES_MAX = 32 };

struct pci_resources {
	struct pci_bar bars[PCI_BAR_COUNT];    /* none: index -1 */
	struct pci_bar vf_bars[PCI_BAR_COUNT]; /* for all VFs together */
	int64_t rom_size;		       /* 0: none */
	int windows;			       /* PCI_YES: those below were in the file */
	struct pci_window io, memory, prefetch;
};

/*
 * Kernels without CONFIG_PCI_IOV leave its six lines out: 7 lines of an endpoint, 11 or 12 of a
 * bridge, where others have 13, and 17 or 18. 0, or -EINVAL for a file of another form.
 */
int pci_resource_decode(struct bytes text, struct pci_resources *ret);

#endif
