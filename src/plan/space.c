// SPDX-License-Identifier: Apache-2.0
#include "plan/space.h"

#include <stdio.h>
#include <string.h>

enum {
	SPACE_HIGH,	/* 64 bits and prefetchable */
	SPACE_PREFETCH, /* prefetchable, 32 bits */
	SPACE_LOW,
	SPACE_IO,
	SPACE_WINDOWS,
	SPACE_BRIDGE_ALIGN = 1 << 20, /* a bridge's window, at least */
	SPACE_IO_ALIGN = 1 << 12,
	SPACE_TCG_BITS = 40,	 /* of QEMU's own processor, whatever the host's has */
	SPACE_BITS_MOST = 46,	 /* that SeaBIOS uses */
	SPACE_SLOT_SHIFT = 11,	 /* a slot's window is a multiple of the 2048th part of all */
	SPACE_SMALL = 256 << 20, /* what is not more, is at its place without our doing */
	SPACE_LOW_MIB = 2816,	 /* q35 has less than that below 4 GiB, all of it */
	SPACE_ABOVE_MIB = 16,
};

struct space_window {
	uint64_t size, align;
};

static uint64_t align_up(uint64_t size, uint64_t align)
{
	const uint64_t most = UINT64_MAX - align;

	return size > most ? UINT64_MAX : (size + align - 1) / align * align;
}

/* SeaBIOS puts the largest first, so that only the whole has to be rounded. */
static void add(struct space_window *window, uint64_t size, uint64_t align)
{
	window->size = window->size > UINT64_MAX - size ? UINT64_MAX : window->size + size;
	if (align > window->align)
		window->align = align;
}

static int window_of(const struct pci_bar *bar)
{
	if (bar->is_io == PCI_YES)
		return SPACE_IO;
	if (bar->prefetchable != PCI_YES)
		return SPACE_LOW;
	return bar->bits == 64 ? SPACE_HIGH : SPACE_PREFETCH;
}

static uint64_t add_bars(const struct machine_device *device, struct space_window *windows)
{
	uint64_t all = 0;

	for (size_t i = 0; i < PCI_BAR_COUNT; i++) {
		const struct pci_bar *bar = &device->bars[i];

		if (bar->index < 0 || bar->size <= 0)
			continue;
		all += bar->is_io == PCI_YES ? 0 : (uint64_t)bar->size;
		add(&windows[window_of(bar)], (uint64_t)bar->size, (uint64_t)bar->size);
	}
	return all;
}

/* One prefetchable BAR of 32 bits, and the bridge's whole prefetchable window is below 4 GiB. */
static void close_windows(struct space_window *windows)
{
	if (windows[SPACE_PREFETCH].size) {
		add(&windows[SPACE_PREFETCH], windows[SPACE_HIGH].size, windows[SPACE_HIGH].align);
		windows[SPACE_HIGH] = (struct space_window){ 0 };
	}
	if (!windows[SPACE_LOW].size)
		windows[SPACE_LOW].size = 1;
	for (int w = 0; w < SPACE_WINDOWS; w++) {
		struct space_window *window = &windows[w];
		const uint64_t least = w == SPACE_IO ? SPACE_IO_ALIGN : SPACE_BRIDGE_ALIGN;

		if (!window->size)
			continue;
		window->align = window->align > least ? window->align : least;
		window->size = align_up(window->size, window->align);
	}
}

/* A power of two: windows of such sizes, the largest first, are each at a multiple of their own. */
static uint64_t round_up(uint64_t size)
{
	uint64_t power = 1;

	while (power < size && power <= UINT64_MAX / 2)
		power *= 2;
	return power < size ? UINT64_MAX : power;
}

static int address_bits(const struct machine *machine, const struct layout *layout)
{
	return layout->accel == LAYOUT_TCG ? SPACE_TCG_BITS : machine->limits.phys_bits;
}

/* Of the addresses that SeaBIOS uses. */
static uint64_t top(int bits)
{
	return UINT64_C(1) << (bits > SPACE_BITS_MOST || bits < 0 ? SPACE_BITS_MOST : bits);
}

/* The window below 64 bits' prefetchable BARs that SeaBIOS gives a bridge when nothing is reserved. */
static uint64_t firmware_window(const struct layout_bridge *bridge, uint64_t below, uint64_t slot)
{
	if (bridge->kind != LAYOUT_ROOT_PORT && bridge->kind != LAYOUT_DOWNSTREAM)
		return below;
	return align_up(below > slot ? below : slot, slot);
}

/*
 * Sees to it that there is a place for large BARs: see the top. All root ports have a window of
 * their own then, a small one too: a size that is no power of two would displace the next.
 */
static void reserve(const struct machine *machine, const struct plan_choice *choice,
		    struct layout *layout, const struct space_window (*windows)[SPACE_WINDOWS],
		    struct plan_space *space)
{
	const uint64_t slot = top(address_bits(machine, layout)) >> SPACE_SLOT_SHIFT;
	uint64_t below[LAYOUT_BRIDGES_MAX + 1] = { 0 };
	const size_t len = strlen(layout->cmdline);

	space->high = 0;
	for (size_t i = 0; i < layout->passed_count; i++)
		for (size_t b = 0; b < PCI_BAR_COUNT; b++) {
			const struct pci_bar *bar =
				&machine->devices[choice->given[i].device].bars[b];

			if (bar->index >= 0 && bar->size > 0 && window_of(bar) == SPACE_HIGH)
				below[layout->passed[i].parent] += (uint64_t)bar->size;
		}
	for (size_t i = layout->bridge_count; i-- > 0;) {
		struct layout_bridge *bridge = &layout->bridges[i];
		const int parent = bridge->parent == LAYOUT_NONE ? LAYOUT_BRIDGES_MAX
								 : bridge->parent;
		uint64_t size = firmware_window(bridge, below[i], slot);

		if (bridge->kind == LAYOUT_ROOT_PORT && !windows[i][SPACE_PREFETCH].size) {
			if (size < windows[i][SPACE_HIGH].size)
				size = windows[i][SPACE_HIGH].size;
			size = bridge->reserve = round_up(size);
			space->high = size > UINT64_MAX - space->high ? UINT64_MAX
								      : space->high + size;
		}
		below[parent] = size > UINT64_MAX - below[parent] ? UINT64_MAX
								  : below[parent] + size;
	}
	if (layout->memory_mib < SPACE_LOW_MIB)
		layout->low_mib = layout->memory_mib - SPACE_ABOVE_MIB;
	if (layout->cmdline[0])
		(void)snprintf(layout->cmdline + len, sizeof(layout->cmdline) - len, " %s",
			       PLAN_SPACE_PARAMETER);
}

/* The addresses that memory and the windows take, in the steps in which SeaBIOS takes them. */
static uint64_t addresses(const struct layout *layout, const struct plan_space *space, int bits)
{
	const uint64_t memory = ((uint64_t)layout->memory_mib << 20) + (UINT64_C(4) << 30);
	uint64_t size = align_up(space->high, UINT64_C(1) << 30);

	if (space->is_large) {
		/* the functions of the guest's own have a few KiB there too */
		size = align_up(size > UINT64_MAX / 4 ? size : size + 1, top(bits) >> 3);
		/* AMD's processors have no memory in the last 12 GiB of these: it stays below */
		if (bits == SPACE_TCG_BITS && size <= UINT64_MAX / 2)
			size *= 2;
	}
	return size > UINT64_MAX - memory ? UINT64_MAX : memory + size;
}

static void check(const struct machine *machine, const struct layout *layout,
		  const struct plan_space *space, struct plan_reasons *reasons,
		  struct plan_reasons *unknown)
{
	const int bits = address_bits(machine, layout);
	const uint64_t needed = addresses(layout, space, bits);

	if (space->low > (uint64_t)PLAN_LOW_MMIO_MIB << 20)
		plan_reasons_add(reasons, ERR_DEVICE_SPACE,
				 "BARs that must be below 4 GiB need %llu MiB: the guest has %d",
				 (unsigned long long)(space->low >> 20), PLAN_LOW_MMIO_MIB);
	if (space->io > PLAN_IO_BYTES)
		plan_reasons_add(reasons, ERR_DEVICE_SPACE,
				 "I/O BARs need %llu bytes of windows: the guest has %d",
				 (unsigned long long)space->io, PLAN_IO_BYTES);
	if (bits < 0 || bits > 63)
		plan_reasons_add(unknown, ERR_UNKNOWN,
				 "the physical address bits of the CPU: the BARs need %llu GiB",
				 (unsigned long long)(space->high >> 30));
	else if (space->high && needed > top(bits))
		plan_reasons_add(reasons, ERR_DEVICE_SPACE,
				 "BARs and memory need %llu GiB of addresses: %d bits are %llu GiB",
				 (unsigned long long)(needed >> 30), bits,
				 (unsigned long long)(top(bits) >> 30));
}

void plan_space(const struct machine *machine, const struct plan_choice *choice,
		struct layout *layout, struct plan_space *ret, struct plan_reasons *reasons,
		struct plan_reasons *unknown)
{
	struct space_window windows[LAYOUT_BRIDGES_MAX + 1][SPACE_WINDOWS] = { 0 };

	*ret = (struct plan_space){ 0 };
	for (size_t i = 0; i < layout->passed_count; i++)
		ret->bars += add_bars(&machine->devices[choice->given[i].device],
				      windows[layout->passed[i].parent]);
	/* from the bottom up: a bridge comes after the one above it; a PXB is a root bus, no bridge */
	for (size_t i = layout->bridge_count; i-- > 0;) {
		const int parent = layout->bridges[i].parent;
		struct space_window *above =
			windows[parent == LAYOUT_NONE ? LAYOUT_BRIDGES_MAX : parent];

		if (layout->bridges[i].kind != LAYOUT_PXB)
			close_windows(windows[i]);
		for (int w = 0; w < SPACE_WINDOWS; w++)
			add(&above[w], windows[i][w].size, windows[i][w].align);
	}
	ret->high = windows[LAYOUT_BRIDGES_MAX][SPACE_HIGH].size;
	ret->is_large = ret->high > SPACE_SMALL;
	ret->low = windows[LAYOUT_BRIDGES_MAX][SPACE_LOW].size;
	ret->low += windows[LAYOUT_BRIDGES_MAX][SPACE_PREFETCH].size;
	ret->io = windows[LAYOUT_BRIDGES_MAX][SPACE_IO].size;
	if (ret->is_large)
		reserve(machine, choice, layout, windows, ret);
	check(machine, layout, ret, reasons, unknown);
}
