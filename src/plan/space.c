// SPDX-License-Identifier: Apache-2.0
#include "plan/space.h"

enum {
	SPACE_HIGH,	/* 64 bits and prefetchable */
	SPACE_PREFETCH, /* prefetchable, 32 bits */
	SPACE_LOW,
	SPACE_IO,
	SPACE_WINDOWS,
	SPACE_BRIDGE_ALIGN = 1 << 20, /* a bridge's window, at least */
	SPACE_IO_ALIGN = 1 << 12,
	SPACE_TCG_BITS = 40, /* of QEMU's own processor, whatever the host's has */
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

static void check(const struct machine *machine, const struct layout *layout,
		  const struct plan_space *space, struct plan_reasons *reasons,
		  struct plan_reasons *unknown)
{
	const int bits = layout->accel == LAYOUT_TCG ? SPACE_TCG_BITS : machine->limits.phys_bits;
	const uint64_t memory = ((uint64_t)layout->memory_mib << 20) + (UINT64_C(4) << 30);
	const uint64_t base = align_up(memory, space->high_align ? space->high_align : 1);
	const uint64_t needed = space->high > UINT64_MAX - base ? UINT64_MAX : base + space->high;

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
	else if (space->high && needed > UINT64_C(1) << bits)
		plan_reasons_add(reasons, ERR_DEVICE_SPACE,
				 "BARs and memory need %llu GiB of addresses: %d bits are %llu GiB",
				 (unsigned long long)(needed >> 30), bits,
				 (unsigned long long)((UINT64_C(1) << bits) >> 30));
}

void plan_space(const struct machine *machine, const struct plan_choice *choice,
		const struct layout *layout, struct plan_space *ret, struct plan_reasons *reasons,
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
	ret->high_align = windows[LAYOUT_BRIDGES_MAX][SPACE_HIGH].align;
	ret->low = windows[LAYOUT_BRIDGES_MAX][SPACE_LOW].size;
	ret->low += windows[LAYOUT_BRIDGES_MAX][SPACE_PREFETCH].size;
	ret->io = windows[LAYOUT_BRIDGES_MAX][SPACE_IO].size;
	check(machine, layout, ret, reasons, unknown);
}
