// SPDX-License-Identifier: Apache-2.0
#include "pci/config.h"

#include <errno.h>
#include <string.h>

#include "pci/cap.h"

/* Registers of the header, and of capabilities from their start. */
enum {
	VENDOR = 0x00,
	DEVICE = 0x02,
	COMMAND = 0x04,
	STATUS = 0x06,
	REVISION = 0x08,
	HEADER_TYPE = 0x0e,
	BARS = 0x10,
	BUSES = 0x18,
	IO_BASE = 0x1c,
	IO_LIMIT = 0x1d,
	MEMORY_BASE = 0x20,
	MEMORY_LIMIT = 0x22,
	PREFETCH_BASE = 0x24,
	PREFETCH_LIMIT = 0x26,
	PREFETCH_BASE_UPPER = 0x28,
	PREFETCH_LIMIT_UPPER = 0x2c,
	SUBSYSTEM = 0x2c,
	IO_BASE_UPPER = 0x30,
	IO_LIMIT_UPPER = 0x32,
	HEADER_SIZE = 0x40,

	CAP_VENDOR = 0x09,
	CAP_SUBSYSTEM = 0x0d,
	CAP_EXPRESS = 0x10,
	EXT_ACS = 0x0d,
	EXT_ATS = 0x0f,
	EXT_SRIOV = 0x10,
	EXT_PASID = 0x1b,

	VENDOR_NVIDIA = 0x10de,
	VENDOR_INTEL = 0x8086,
};

static uint16_t le16(struct bytes b, size_t off)
{
	return (uint16_t)(bytes_u8(b, off) | bytes_u8(b, off + 1) << 8);
}

/* What is beyond 63 bits is no address of anything, and would read as unknown. */
static int64_t address(uint64_t value)
{
	return value > INT64_MAX ? PCI_UNKNOWN : (int64_t)value;
}

void pci_config_init(struct pci_config *config)
{
	/* every signed field -1, then what is not signed, or says it otherwise */
	memset(config, 0xff, sizeof(*config));
	config->acs.is_dwords = false;
	config->is_broken = false;
}

/* Returns how many registers it takes. */
static int decode_bar(struct bytes space, int index, int count, struct pci_bar *ret)
{
	size_t off = BARS + 4 * (size_t)index;
	uint32_t low = bytes_le32(space, off);
	uint64_t start = low & ~15U;

	if (low == 0 || low == UINT32_MAX)
		return 1;
	*ret = (struct pci_bar){ .index = (int8_t)index, .bits = 32, .size = PCI_UNKNOWN };
	if (low & 1) {
		ret->is_io = PCI_YES;
		ret->start = low & ~3U;
		return 1;
	}
	ret->prefetchable = low & 8 ? PCI_YES : PCI_NO;
	if ((low & 6) == 4 && index + 1 < count) {
		ret->bits = 64;
		start |= (uint64_t)bytes_le32(space, off + 4) << 32;
	}
	ret->start = address(start);
	return ret->bits / 32;
}

static void decode_windows(struct bytes space, struct pci_bridge *bridge)
{
	uint8_t io_base = bytes_u8(space, IO_BASE), io_limit = bytes_u8(space, IO_LIMIT);
	uint16_t base = le16(space, PREFETCH_BASE), limit = le16(space, PREFETCH_LIMIT);
	uint64_t from, to;

	bridge->io.base = (io_base & 0xf0) << 8;
	bridge->io.limit = (io_limit & 0xf0) << 8 | 0xfff;
	if ((io_base & 15) == 1) {
		bridge->io.base |= (int64_t)le16(space, IO_BASE_UPPER) << 16;
		bridge->io.limit |= (int64_t)le16(space, IO_LIMIT_UPPER) << 16;
	}
	bridge->memory.base = (int64_t)(le16(space, MEMORY_BASE) & 0xfff0) << 16;
	bridge->memory.limit = (int64_t)(le16(space, MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff;
	from = (uint64_t)(base & 0xfff0) << 16;
	to = (uint64_t)(limit & 0xfff0) << 16 | 0xfffff;
	if ((base & 15) == 1) {
		from |= (uint64_t)bytes_le32(space, PREFETCH_BASE_UPPER) << 32;
		to |= (uint64_t)bytes_le32(space, PREFETCH_LIMIT_UPPER) << 32;
	}
	bridge->prefetch.base = address(from);
	bridge->prefetch.limit = address(to);
}

/* space holds the header. */
static void decode_header(struct bytes space, struct pci_config *config)
{
	int bars = 0, i = 0;

	/* a VF's own say ffff: its PF's has them */
	if (le16(space, VENDOR) != 0xffff) {
		config->vendor = le16(space, VENDOR);
		config->device = le16(space, DEVICE);
	}
	config->command = le16(space, COMMAND);
	config->status = le16(space, STATUS);
	config->revision = bytes_u8(space, REVISION);
	config->class_code = (int32_t)(bytes_le32(space, REVISION) >> 8);
	config->header_type = bytes_u8(space, HEADER_TYPE) & 0x7f;
	config->is_multifunction = bytes_u8(space, HEADER_TYPE) >> 7;
	config->bridge.present = config->header_type == 1;
	if (config->header_type == 0) {
		bars = PCI_BAR_COUNT;
		config->subvendor = le16(space, SUBSYSTEM);
		config->subdevice = le16(space, SUBSYSTEM + 2);
	} else if (config->header_type == 1) {
		bars = 2;
		config->bridge.primary = bytes_u8(space, BUSES);
		config->bridge.secondary = bytes_u8(space, BUSES + 1);
		config->bridge.subordinate = bytes_u8(space, BUSES + 2);
		decode_windows(space, &config->bridge);
	}
	while (i < bars)
		i += decode_bar(space, i, bars, &config->bars[i]);
}

static int32_t speed(unsigned int code)
{
	static const int32_t mts[] = { PCI_UNKNOWN, 2500, 5000, 8000, 16000, 32000, 64000 };

	return code < sizeof(mts) / sizeof(mts[0]) ? mts[code] : PCI_UNKNOWN;
}

static void decode_express(struct bytes space, size_t at, struct pci_express *express)
{
	uint32_t cap;

	express->present = PCI_YES;
	if (!bytes_has(space, at, 4))
		return;
	express->type = le16(space, at + 2) >> 4 & 15;
	express->slot = le16(space, at + 2) >> 8 & 1;
	/* what is inside the root complex has no link */
	if (express->type == PCI_RC_ENDPOINT || express->type == PCI_RC_EVENT_COLLECTOR ||
	    !bytes_has(space, at, 0x14))
		return;
	cap = bytes_le32(space, at + 0x0c);
	express->port = (int16_t)(cap >> 24);
	express->link.max_speed = speed(cap & 15);
	express->link.max_width = cap >> 4 & 63;
	express->link.speed = speed(le16(space, at + 0x12) & 15);
	express->link.width = le16(space, at + 0x12) >> 4 & 63;
}

static void decode_vendor(struct bytes space, size_t at, struct pci_config *config)
{
	if (config->vendor != VENDOR_NVIDIA || !bytes_has(space, at, 8) ||
	    bytes_u8(space, at + 2) < 8 || memcmp(space.at + at + 3, "P2P", 3) != 0)
		return;
	config->p2p.present = PCI_YES;
	config->p2p.clique = bytes_u8(space, at + 6) >> 3 & 15;
	config->p2p.at = (int16_t)at;
}

static void set_absent(int8_t *present)
{
	if (*present == PCI_UNKNOWN)
		*present = PCI_NO;
}

static void decode_caps(struct bytes space, struct pci_config *config)
{
	struct pci_cap cap = { 0 };
	int r;

	while ((r = pci_cap_next(space, &cap)) > 0) {
		/* of two of a kind the first counts, as it does for Linux */
		if (cap.id == CAP_EXPRESS && config->express.present == PCI_UNKNOWN) {
			decode_express(space, cap.at, &config->express);
		} else if (cap.id == CAP_VENDOR && config->p2p.present == PCI_UNKNOWN) {
			decode_vendor(space, cap.at, config);
		} else if (cap.id == CAP_SUBSYSTEM && bytes_has(space, cap.at, 8)) {
			config->subvendor = le16(space, cap.at + 4U);
			config->subdevice = le16(space, cap.at + 6U);
		}
	}
	config->is_broken = r < 0 && r != -ENODATA;
	if (r == 0) {
		set_absent(&config->express.present);
		set_absent(&config->p2p.present);
	}
}

static void decode_acs(struct bytes space, size_t at, struct pci_config *config)
{
	struct pci_acs *acs = &config->acs;

	acs->present = PCI_YES;
	acs->is_dwords = pci_config_acs_is_dwords(config->vendor, config->device);
	if (!bytes_has(space, at, acs->is_dwords ? 12 : 8))
		return;
	acs->cap = le16(space, at + 4);
	acs->ctrl = le16(space, at + (acs->is_dwords ? 8 : 6));
}

static void decode_ats(struct bytes space, size_t at, struct pci_ats *ats)
{
	ats->present = PCI_YES;
	if (!bytes_has(space, at, 8))
		return;
	ats->queue_depth = bytes_u8(space, at + 4) & 31;
	if (!ats->queue_depth)
		ats->queue_depth = 32;
	ats->enabled = bytes_u8(space, at + 7) >> 7;
}

static void decode_pasid(struct bytes space, size_t at, struct pci_pasid *pasid)
{
	pasid->present = PCI_YES;
	if (!bytes_has(space, at, 8))
		return;
	pasid->width = bytes_u8(space, at + 5) & 31;
	pasid->enabled = bytes_u8(space, at + 6) & 1;
}

static void decode_sriov(struct bytes space, size_t at, struct pci_sriov *sriov)
{
	sriov->present = PCI_YES;
	if (!bytes_has(space, at, 0x1c))
		return;
	sriov->enabled = bytes_u8(space, at + 0x08) & 1;
	sriov->total = le16(space, at + 0x0e);
	sriov->num = le16(space, at + 0x10);
	sriov->offset = le16(space, at + 0x14);
	sriov->stride = le16(space, at + 0x16);
	sriov->vf_device = le16(space, at + 0x1a);
}

static void set_ext_absent(struct pci_config *config)
{
	set_absent(&config->acs.present);
	set_absent(&config->ats.present);
	set_absent(&config->pasid.present);
	set_absent(&config->sriov.present);
}

static void decode_ext_caps(struct bytes space, struct pci_config *config)
{
	struct pci_cap cap = { 0 };
	int r;

	while ((r = pci_cap_ext_next(space, &cap)) > 0) {
		if (cap.id == EXT_ACS && config->acs.present == PCI_UNKNOWN)
			decode_acs(space, cap.at, config);
		else if (cap.id == EXT_ATS && config->ats.present == PCI_UNKNOWN)
			decode_ats(space, cap.at, &config->ats);
		else if (cap.id == EXT_PASID && config->pasid.present == PCI_UNKNOWN)
			decode_pasid(space, cap.at, &config->pasid);
		else if (cap.id == EXT_SRIOV && config->sriov.present == PCI_UNKNOWN)
			decode_sriov(space, cap.at, &config->sriov);
	}
	if (r < 0 && r != -ENODATA)
		config->is_broken = true;
	if (r == 0)
		set_ext_absent(config);
}

static bool is_all_ones(struct bytes space)
{
	size_t i;

	for (i = 0; i < HEADER_SIZE; i++)
		if (space.at[i] != 0xff)
			return false;
	return true;
}

void pci_config_decode(struct bytes space, struct pci_config *ret)
{
	pci_config_init(ret);
	if (space.len > PCI_CONFIG_SIZE)
		space.len = PCI_CONFIG_SIZE;
	if (space.len < HEADER_SIZE || is_all_ones(space))
		return;
	decode_header(space, ret);
	decode_caps(space, ret);
	/* only PCI Express has the second list, or room for it */
	if (ret->express.present == PCI_YES)
		decode_ext_caps(space, ret);
	else if (ret->express.present == PCI_NO)
		set_ext_absent(ret);
}

bool pci_config_acs_is_dwords(int32_t vendor, int32_t device)
{
	/*
	 * Root ports of the 100 and 200 series chipsets and of the mobile 6th generation, by the
	 * specification updates 332690 and 335192, erratum "PCI Express ACS": Linux has the
	 * same ranges (drivers/pci/quirks.c, pci_quirk_intel_spt_pch_acs_match).
	 */
	static const struct {
		int32_t from, to;
	} ranges[] = {
		{ 0x9d10, 0x9d1b }, { 0xa110, 0xa11f }, { 0xa167, 0xa16a },
		{ 0xa290, 0xa29f }, { 0xa2e7, 0xa2ee },
	};
	size_t i;

	if (vendor != VENDOR_INTEL)
		return false;
	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (device >= ranges[i].from && device <= ranges[i].to)
			return true;
	return false;
}
