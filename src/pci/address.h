/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address - where a PCI function is: domain, bus, device, function.
 *
 * Written as Linux does: at least four hexadecimal digits of domain (VMD and Hyper-V make longer
 * ones), two of bus, two of device, one of function: "0000:3b:00.0".
 */
#ifndef PCI_ADDRESS_H
#define PCI_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { PCI_ADDRESS_TEXT = 20 }; /* bytes that pci_address_format() writes, at most */

struct pci_address {
	uint32_t domain;
	uint8_t bus;
	uint8_t dev; /* 0 to 31 */
	uint8_t fn;  /* 0 to 7 */
};

/*
 * All of the text or nothing; a domain may be left out ("3b:00.0" is in 0000). 0, or -EINVAL and
 * *ret untouched.
 */
int pci_address_parse(struct bytes text, struct pci_address *ret);
int pci_address_parse_string(const char *text, struct pci_address *ret);

/* Returns ret, which has room for PCI_ADDRESS_TEXT bytes. */
const char *pci_address_format(struct pci_address address, char *ret);

/* Below, at, above 0, as domain, bus, device, function are: the order of a machine's devices. */
int pci_address_cmp(struct pci_address a, struct pci_address b);

/* Functions of one device. */
static inline bool pci_address_is_slot(struct pci_address a, struct pci_address b)
{
	return a.domain == b.domain && a.bus == b.bus && a.dev == b.dev;
}

/* The eight bits that a requester's ID has behind the bus: device and function. */
static inline uint8_t pci_address_devfn(struct pci_address a)
{
	return (uint8_t)(a.dev << 3 | a.fn);
}

#endif
