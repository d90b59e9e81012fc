// SPDX-License-Identifier: Apache-2.0
#include "pci/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The hexadecimal number of len digits at off; -1 if there is no such. */
static int64_t number(struct bytes text, size_t off, size_t len)
{
	uint64_t value = 0;
	size_t i;

	if (!bytes_has(text, off, len))
		return -1;
	for (i = off; i < off + len; i++) {
		int one = digit(text.at[i]);

		if (one < 0)
			return -1;
		value = value << 4 | (uint64_t)one;
	}
	return (int64_t)value;
}

int pci_address_parse(struct bytes text, struct pci_address *ret)
{
	enum { TAIL = 7 }; /* "3b:00.0" */
	int64_t domain = 0, bus, dev, fn;
	size_t at;

	if (text.len < TAIL)
		return -EINVAL;
	at = text.len - TAIL;
	if (at) {
		/* as the kernel prints it, "%04x": longer ones do not begin with 0 */
		if (at < 5 || at > 9 || text.at[at - 1] != ':' || (at > 5 && text.at[0] == '0'))
			return -EINVAL;
		domain = number(text, 0, at - 1);
	}
	bus = number(text, at, 2);
	dev = number(text, at + 3, 2);
	fn = number(text, at + 6, 1);
	if (domain < 0 || bus < 0 || dev < 0 || dev > 31 || fn < 0 || fn > 7 ||
	    text.at[at + 2] != ':' || text.at[at + 5] != '.')
		return -EINVAL;
	*ret = (struct pci_address){ (uint32_t)domain, (uint8_t)bus, (uint8_t)dev, (uint8_t)fn };
	return 0;
}

int pci_address_parse_string(const char *text, struct pci_address *ret)
{
	return pci_address_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, ret);
}

const char *pci_address_format(struct pci_address address, char *ret)
{
	(void)snprintf(ret, PCI_ADDRESS_TEXT, "%04x:%02x:%02x.%x", address.domain, address.bus,
		       address.dev & 31U, address.fn & 7U);
	return ret;
}

int pci_address_cmp(struct pci_address a, struct pci_address b)
{
	uint64_t x = (uint64_t)a.domain << 16 | (uint64_t)a.bus << 8 | pci_address_devfn(a);
	uint64_t y = (uint64_t)b.domain << 16 | (uint64_t)b.bus << 8 | pci_address_devfn(b);

	return (x > y) - (x < y);
}
