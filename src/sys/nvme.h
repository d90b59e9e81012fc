/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme - queues and interrupts for the virtual functions of an NVMe controller.
 *
 * A controller with SR-IOV has a number of both that it lends to its VFs. Until a VF has some and is
 * switched on, it answers nothing. name is the controller's ("nvme0") in dev_fd, an open /dev.
 *
 * Source: NVM Express Base Specification 2.0, 5.26 (Virtualization Management), 5.17.2.11 and
 * 5.17.2.14 (Primary Controller Capabilities, Secondary Controller List), 8.26 (Virtualization
 * Enhancements).
 */
#ifndef SYS_NVME_H
#define SYS_NVME_H

#include "base/err.h"

enum {
	NVME_VFS_MAX = 127,  /* entries of a list of secondary controllers */
	NVME_QUEUES_MIN = 2, /* that a VF is of use with: one for commands, one for data */
};

/*
 * Gives the first count VFs, which are there, an equal share each, and switches them on.
 *
 *	-ENOSPC  there is not enough for so many
 *	-ENOTSUP the controller lends nothing
 *	-EIO     it refuses a command; the message has its status
 */
int nvme_vfs_provision(int dev_fd, const char *name, unsigned int count, struct err *err);

/* Switches them off and takes all back. */
int nvme_vfs_release(int dev_fd, const char *name, unsigned int count, struct err *err);

#endif
