// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "pci/resource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct pci_bar *bar, int index)
{
	if (bar->index >= 0 && (bar->index != index || bar->size <= 0 || bar->start < PCI_UNKNOWN ||
				(bar->bits != 32 && bar->bits != 64)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pci_resources found;

	if (pci_resource_decode((struct bytes){ data, size }, &found) < 0)
		return 0;
	for (int i = 0; i < PCI_BAR_COUNT; i++) {
		check(&found.bars[i], i);
		check(&found.vf_bars[i], i);
	}
	if (found.rom_size < 0)
		abort();
	return 0;
}
