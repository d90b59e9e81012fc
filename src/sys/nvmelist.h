/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmelist - the namespaces that an NVMe controller has, as only it knows them.
 */
#ifndef SYS_NVMELIST_H
#define SYS_NVMELIST_H

#include <stddef.h>

#include "base/err.h"

enum { NVMELIST_MAX = 1024 }; /* namespaces in one list */

/*
 * How many are attached to the controller whose node is name in dev_fd ("nvme0"): the active ones
 * of the Identify command (NVM Express 1.4, 5.15.2.3), up to NVMELIST_MAX. 1 if it is too old to
 * list them. -errno of the driver.
 */
int nvmelist_count(int dev_fd, const char *name, size_t *ret_count, struct err *err);

#endif
