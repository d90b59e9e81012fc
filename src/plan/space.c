// SPDX-License-Identifier: Apache-2.0
#include "plan/space.h"

enum {
	SPACE_HIGH,
	SPACE_LOW,
	SPACE_WINDOWS,
	SPACE_BRIDGE_ALIGN = 1 << 20, /* a bridge's window, at least */
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

static uint64_t add_bars(const struct machine_device *device, struct space_window *windows)
{
	uint64_t all = 0;

	for (size_t i = 0; i < PCI_BAR_COUNT; i++) {
		const struct pci_bar *bar = &device->bars[i];

		if (bar->index < 0 || bar->is_io == PCI_YES || bar->size <= 0)
			continue;
		all += (uint64_t)bar->size;
		add(&windows[bar->bits == 64 && bar->prefetchable == PCI_YES ? SPACE_HIGH
									     : SPACE_LOW],
		    (uint64_t)bar->size, (uint64_t)bar->size);
	}
	return all;
}

static void check(const struct machine *machine, const struct layout *layout,
		  const struct plan_space *space, struct plan_reasons *reasons,
		  struct plan_reasons *unknown)
{
	const int bits = machine->limits.phys_bits;
	const uint64_t memory = (uint64_t)layout->memory_mib << 20;
	const uint64_t needed = space->high + memory + (UINT64_C(4) << 30);

	if (space->low > (uint64_t)PLAN_LOW_MMIO_MIB << 20)
		plan_reasons_add(reasons, ERR_DEVICE_SPACE,
				 "BARs that must be below 4 GiB need %llu MiB: the guest has %d",
				 (unsigned long long)(space->low >> 20), PLAN_LOW_MMIO_MIB);
	if (bits < 0 || bits > 63) {
		plan_reasons_add(unknown, ERR_UNKNOWN,
				 "the physical address bits of the CPU: the BARs need %llu GiB",
				 (unsigned long long)(space->high >> 30));
		return;
	}
	if (space->high > UINT64_MAX / 2 || needed > UINT64_C(1) << bits)
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
	/* from the bottom up: a bridge comes after the one above it */
	for (size_t i = layout->bridge_count; i-- > 0;) {
		const int parent = layout->bridges[i].parent;
		struct space_window *above =
			windows[parent == LAYOUT_NONE ? LAYOUT_BRIDGES_MAX : parent];

		for (int w = 0; w < SPACE_WINDOWS; w++) {
			struct space_window *own = &windows[i][w];
			const uint64_t align = own->align > SPACE_BRIDGE_ALIGN ? own->align
									       : SPACE_BRIDGE_ALIGN;

			if (own->size || w == SPACE_LOW)
				add(&above[w], align_up(own->size ? own->size : 1, align), align);
		}
	}
	ret->high = windows[LAYOUT_BRIDGES_MAX][SPACE_HIGH].size;
	ret->low = windows[LAYOUT_BRIDGES_MAX][SPACE_LOW].size;
	check(machine, layout, ret, reasons, unknown);
}
