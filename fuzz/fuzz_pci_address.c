// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "pci/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is an address is still the same one when it has been written and read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pci_address address, again;
	char text[PCI_ADDRESS_TEXT];

	if (pci_address_parse((struct bytes){ data, size }, &address) < 0)
		return 0;
	if (address.dev > 31 || address.fn > 7 || strlen(pci_address_format(address, text)) > 16 ||
	    pci_address_parse_string(text, &again) < 0 || pci_address_cmp(address, again) != 0)
		abort();
	return 0;
}
