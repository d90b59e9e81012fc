/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest - what the guest's manifest.json says about its kernel and its base image.
 *
 *	{"schema": 1, "version": "0.1.0-3f2a...",
 *	 "kernel": {"file": "vmlinux", "sha256": "..."},
 *	 "base": {"file": "base.img", "data_blocks": 9000, "hash_start": 9000, "root": "...",
 *	          "salt": "..."},
 *	 "packages": {...}, ...}
 *
 * data_blocks and hash_start count blocks of 4096 bytes; the hash tree (SHA-256) lies behind the
 * data in the same file. Without a salt there is none. Fields with other names are let pass.
 */
#ifndef PLAN_MANIFEST_H
#define PLAN_MANIFEST_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
	MANIFEST_MAX = 1 << 20,	 /* bytes of the file */
	MANIFEST_NAME_MAX = 127, /* bytes of a file's name, which has no '/' */
	MANIFEST_VERSION_MAX = 127,
	MANIFEST_SALT_MAX = 64,	       /* hex digits */
	MANIFEST_BLOCKS_MAX = 1 << 28, /* 1 TiB */
};

struct manifest {
	char version[MANIFEST_VERSION_MAX + 1];
	char kernel_file[MANIFEST_NAME_MAX + 1];
	char kernel_sha256[64 + 1]; /* lower-case hex */
	char base_file[MANIFEST_NAME_MAX + 1];
	uint64_t base_data_blocks;
	uint64_t base_hash_start;
	char base_root[64 + 1];
	char base_salt[MANIFEST_SALT_MAX + 1]; /* "": none */
};

/*
 * -EINVAL, with the field's name: not JSON, another schema, a field missing, of another type or
 * out of its bounds; -EFBIG: longer than MANIFEST_MAX; -ENOMEM.
 */
int manifest_parse(struct bytes text, struct manifest *ret, struct err *err);

#endif
