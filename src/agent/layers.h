/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers - a container's root file system: its layers, each checked block by block by dm-verity
 * before anything else looks at it, stacked under a tmpfs that takes the writes.
 */
#ifndef AGENT_LAYERS_H
#define AGENT_LAYERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/spec.h"
#include "base/err.h"

#define LAYERS_ROOT "rootfs" /* the mount point, in the container's directory */

struct layers {
	unsigned number; /* the container's: its devices are called by it */
	int dir_fd;	 /* the container's directory, and its path */
	const char *dir;
	size_t opened; /* devices */
	bool is_mounted;
};

/*
 * Opens and stacks them; on failure all is undone. dm_fd is device-mapper's control device.
 * write_bytes limits what the container may write; 0: half of the guest's memory.
 */
int layers_mount(struct layers *layers, int dm_fd, const Agent__ContainerSpec *spec,
		 const dev_t *devices, struct err *err);

/* Nothing of it is left in use, unless somebody still has it mounted: then it goes with them. */
void layers_unmount(struct layers *layers, int dm_fd);

#endif
