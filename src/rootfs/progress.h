/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress - what is being done and how far it is, for those who wait for it.
 */
#ifndef ROOTFS_PROGRESS_H
#define ROOTFS_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

enum { ROOTFS_PROGRESS_MS = 200 }; /* at most one report in that time */

enum rootfs_stage {
	ROOTFS_STAGE_WAIT,  /* another process is making this image */
	ROOTFS_STAGE_WALK,  /* a directory is looked through; done and total are of no use */
	ROOTFS_STAGE_BUILD, /* an image is made; done and total are bytes read */
};

struct rootfs_report {
	enum rootfs_stage stage;
	size_t layer; /* of so many, from 0 */
	size_t layer_count;
	uint64_t done;
	uint64_t total; /* 0: not known */
};

typedef void rootfs_progress_fn(void *data, const struct rootfs_report *report);

/* fn may be NULL. All else is private to progress.c but for the two that say where we are. */
struct rootfs_progress {
	rootfs_progress_fn *fn;
	void *data;
	size_t layer;
	size_t layer_count;
	uint64_t last_us; /* 0: nothing was reported yet */
};

/* Calls fn, unless it was called less than ROOTFS_PROGRESS_MS ago. */
void rootfs_progress_report(struct rootfs_progress *progress, enum rootfs_stage stage,
			    uint64_t done, uint64_t total);

#endif
