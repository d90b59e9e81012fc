// SPDX-License-Identifier: Apache-2.0
#include "pci/resource.h"

#include <errno.h>
#include <string.h>

/* include/linux/ioport.h */
enum {
	FLAG_IO = 0x100,
	FLAG_MEMORY = 0x200,
	FLAG_PREFETCH = 0x2000,
	FLAG_UNSET = 0x20000000, /* no address assigned: start is 0, the size still right */
};

#define FLAG_64 UINT64_C(0x100000)

enum {
	LINE_ROM = PCI_BAR_COUNT,
	LINES_ENDPOINT = LINE_ROM + 1,
	LINES_IOV = LINES_ENDPOINT + PCI_BAR_COUNT,
	LINES_WINDOWS =
		4, /* of a bridge, more than of an endpoint; older kernels: and one unused */
};

struct line {
	uint64_t start, end, flags;
};

/* "0x" and 1 to 16 digits from *off; moves behind them. */
static int parse_hex(struct bytes text, size_t *off, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t begin = *off + 2;
	uint64_t value = 0;
	const char *digit;
	size_t i;

	if (!bytes_has(text, *off, 3) || memcmp(text.at + *off, "0x", 2) != 0)
		return -EINVAL;
	for (i = begin; i < text.len && text.at[i]; i++) {
		digit = strchr(digits, text.at[i]);
		if (!digit)
			break;
		value = value << 4 | (uint64_t)(digit - digits);
	}
	if (i == begin || i - begin > 16)
		return -EINVAL;
	*off = i;
	*ret = value;
	return 0;
}

static int parse_line(struct bytes text, size_t *off, struct line *ret)
{
	uint64_t *fields[] = { &ret->start, &ret->end, &ret->flags };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (i && (*off >= text.len || text.at[(*off)++] != ' '))
			return -EINVAL;
		if (parse_hex(text, off, fields[i]) < 0)
			return -EINVAL;
	}
	/* the last newline may have been trimmed */
	if (*off < text.len && text.at[(*off)++] != '\n')
		return -EINVAL;
	return 0;
}

static int64_t size_of(const struct line *line)
{
	if (!(line->flags & (FLAG_IO | FLAG_MEMORY)) || line->end < line->start ||
	    line->end - line->start >= INT64_MAX)
		return 0;
	return (int64_t)(line->end - line->start + 1);
}

static void set_bar(const struct line *line, int index, struct pci_bar *ret)
{
	int64_t size = size_of(line);

	*ret = (struct pci_bar){ .index = -1 };
	if (!size)
		return;
	*ret = (struct pci_bar){
		.index = (int8_t)index,
		.is_io = line->flags & FLAG_IO ? PCI_YES : PCI_NO,
		.bits = line->flags & FLAG_64 ? 64 : 32,
		.prefetchable = line->flags & FLAG_PREFETCH ? PCI_YES : PCI_NO,
		.start = line->start > INT64_MAX || line->flags & FLAG_UNSET ? PCI_UNKNOWN
									     : (int64_t)line->start,
		.size = size,
	};
}

static void set_window(const struct line *line, struct pci_window *ret)
{
	*ret = (struct pci_window){ .base = 1, .limit = 0 };
	if (size_of(line) && line->end <= INT64_MAX && !(line->flags & FLAG_UNSET))
		*ret = (struct pci_window){ (int64_t)line->start, (int64_t)line->end };
}

int pci_resource_decode(struct bytes text, struct pci_resources *ret)
{
	struct line lines[PCI_RESOURCE_LINES_MAX];
	struct pci_resources found = { 0 };
	size_t count = 0, off = 0, windows;
	bool has_iov;
	int i;

	while (off < text.len) {
		if (count == PCI_RESOURCE_LINES_MAX || parse_line(text, &off, &lines[count++]) < 0)
			return -EINVAL;
	}
	if (count < LINES_ENDPOINT)
		return -EINVAL;
	has_iov = count >= LINES_IOV;
	for (i = 0; i < PCI_BAR_COUNT; i++) {
		set_bar(&lines[i], i, &found.bars[i]);
		found.vf_bars[i] = (struct pci_bar){ .index = -1 };
		if (has_iov)
			set_bar(&lines[LINES_ENDPOINT + i], i, &found.vf_bars[i]);
	}
	found.rom_size = size_of(&lines[LINE_ROM]);
	found.windows = PCI_NO;
	windows = has_iov ? LINES_IOV : LINES_ENDPOINT;
	if (count >= windows + LINES_WINDOWS) {
		found.windows = PCI_YES;
		set_window(&lines[windows], &found.io);
		set_window(&lines[windows + 1], &found.memory);
		set_window(&lines[windows + 2], &found.prefetch);
	}
	*ret = found;
	return 0;
}
