/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cap - walks the two lists of capabilities in a configuration space.
 *
 *	struct pci_cap cap = { 0 };
 *
 *	while ((r = pci_cap_next(space, &cap)) > 0)
 *		if (cap.id == 0x10) ...
 *
 * Start with a zeroed struct. Each call returns
 *
 *	1	and the next capability in *cap
 *	0	the list ends here
 *	-ENODATA	it goes on behind the end of what is there: the rest is unknown
 *	-ELOOP	it comes back to itself, or has more entries than there is room for
 *	-EBADMSG	a pointer leads where no capability can be
 *
 * and after anything but 1 the walk is over. PCI Local Bus 3.0, 6.7; PCI Express 6.0, 7.6.3.
 */
#ifndef PCI_CAP_H
#define PCI_CAP_H

#include <stdint.h>

#include "base/bytes.h"

struct pci_cap {
	uint16_t id;
	uint8_t version; /* of an extended one */
	uint16_t at;	 /* offset of its header */
	uint16_t count;	 /* how many came before this one, itself included */
};

int pci_cap_next(struct bytes space, struct pci_cap *cap);     /* below 256 */
int pci_cap_ext_next(struct bytes space, struct pci_cap *cap); /* from 256 on */

#endif
