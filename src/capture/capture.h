/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture - reads a host, or what was kept of one, into a struct machine_capture.
 *
 * Only what src/machine reads is taken: files by name, each up to MACHINE_CAPTURE_FILE_MAX bytes.
 * What cannot be read (an ordinary user sees 64 bytes of a configuration space, and no file of a
 * device that has just gone) is left out.
 *
 * All captures are sealed. Errors: those of the kernel, with ERR_HOST; what machine_capture_add()
 * says. On failure *ret is as it was.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include "base/err.h"
#include "machine/capture.h"

/* The tree below root_fd, which holds "sys" and "proc": the host itself, if that is "/". */
int capture_read_host(int root_fd, struct machine_capture *ret, struct err *err);

/*
 * What --from names: a directory (a root with "sys" in it, a directory of which one holds that, or
 * a sysfs root: "bus" and "devices"), an archive of such a tree (tar, plain or compressed with
 * gzip, bzip2, xz or zstd), or a text. -EINVAL with ERR_USAGE for an archive that is broken or has
 * no "sys" in it; -E2BIG.
 */
int capture_read_path(int dir_fd, const char *path, struct machine_capture *ret, struct err *err);

/*
 * Writes a capture as a tar file, compressed by what its name ends in (.tar .gz .bz2 .xz .zst):
 * the same capture gives the same bytes. A text is written as it is. The file is put in place
 * whole or not at all.
 */
int capture_save(const struct machine_capture *capture, int dir_fd, const char *path,
		 struct err *err);

#endif
