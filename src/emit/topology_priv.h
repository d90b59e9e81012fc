/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology - words that the text and the JSON of a machine share.
 */
#ifndef EMIT_TOPOLOGY_PRIV_H
#define EMIT_TOPOLOGY_PRIV_H

#include "machine/machine.h"

/* By bit of the ACS registers, NULL at the end: "SV", "TB", ... */
extern const char *const emit_acs_names[];

/* "root", "upstream", "downstream", "pcie-to-pci", "pci-to-pcie", "endpoint", ...; NULL */
const char *emit_port_name(const struct machine_device *device);

#endif
