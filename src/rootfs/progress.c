// SPDX-License-Identifier: Apache-2.0
#include "rootfs/progress.h"

#include "sys/host.h"

void rootfs_progress_report(struct rootfs_progress *progress, enum rootfs_stage stage,
			    uint64_t done, uint64_t total)
{
	struct rootfs_report report = {
		.stage = stage,
		.layer = progress->layer,
		.layer_count = progress->layer_count,
		.done = done,
		.total = total,
	};
	uint64_t now_us;

	if (!progress->fn)
		return;
	now_us = host_boottime_us();
	if (progress->last_us != 0 && now_us - progress->last_us < ROOTFS_PROGRESS_MS * 1000)
		return;
	progress->last_us = now_us;
	progress->fn(progress->data, &report);
}
