// SPDX-License-Identifier: Apache-2.0
#include "pci/cap.h"

#include <errno.h>

#include "pci/config.h"

enum {
	STATUS = 0x06,
	STATUS_CAP_LIST = 1 << 4,
	CAP_POINTER = 0x34,
	CAP_POINTER_CARDBUS = 0x14,
	CAP_FIRST = 0x40, /* the header's end */
	EXT_FIRST = 0x100,
};

/* Where the list of capabilities starts; 0: nowhere; -ENODATA. */
static int first(struct bytes space)
{
	size_t at = CAP_POINTER;

	if (!bytes_has(space, 0, CAP_FIRST))
		return -ENODATA;
	if (!(bytes_u8(space, STATUS) & STATUS_CAP_LIST))
		return 0;
	if ((bytes_u8(space, 0x0e) & 0x7f) == 2)
		at = CAP_POINTER_CARDBUS;
	return bytes_u8(space, at) & ~3;
}

int pci_cap_next(struct bytes space, struct pci_cap *cap)
{
	int at;

	at = cap->at ? bytes_u8(space, cap->at + 1U) & ~3 : first(space);
	if (at <= 0)
		return at;
	if (at < CAP_FIRST)
		return -EBADMSG;
	/* a list without a loop has no more than fit */
	if (cap->count >= PCI_CAPS_MAX)
		return -ELOOP;
	if (!bytes_has(space, (size_t)at, 2))
		return -ENODATA;
	cap->at = (uint16_t)at;
	cap->id = bytes_u8(space, (size_t)at);
	cap->version = 0;
	cap->count++;
	return 1;
}

int pci_cap_ext_next(struct bytes space, struct pci_cap *cap)
{
	uint32_t header;
	size_t at = EXT_FIRST;

	if (cap->at) {
		at = bytes_le32(space, cap->at) >> 20 & ~3U;
		if (!at)
			return 0;
		if (at < EXT_FIRST)
			return -EBADMSG;
	}
	if (cap->count >= PCI_EXT_CAPS_MAX)
		return -ELOOP;
	if (!bytes_has(space, at, 4))
		return -ENODATA;
	header = bytes_le32(space, at);
	/* no list at all: zeroes, or ones from a function that has conventional space only */
	if (!cap->at && (header == 0 || header == UINT32_MAX))
		return 0;
	cap->at = (uint16_t)at;
	cap->id = (uint16_t)header;
	cap->version = header >> 16 & 0xf;
	cap->count++;
	return 1;
}
