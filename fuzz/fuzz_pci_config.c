// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "pci/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is not there has no fields, and what lies in the first half is known from the half. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pci_config all, half;

	pci_config_decode((struct bytes){ data, size }, &all);
	pci_config_decode((struct bytes){ data, size / 2 }, &half);
	if (all.acs.present != PCI_YES && (all.acs.cap >= 0 || all.acs.ctrl >= 0))
		abort();
	if (all.sriov.present != PCI_YES && all.sriov.total >= 0)
		abort();
	if (all.p2p.present == PCI_YES && (all.p2p.clique < 0 || all.p2p.clique > 15))
		abort();
	if (size < 64 && (all.vendor >= 0 || all.header_type >= 0 || all.is_broken))
		abort();
	if (half.acs.present != PCI_UNKNOWN && half.acs.present != all.acs.present)
		abort();
	if (half.ats.enabled != PCI_UNKNOWN && half.ats.enabled != all.ats.enabled)
		abort();
	return 0;
}
