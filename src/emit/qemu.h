/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu - a layout as QEMU's arguments, and the descriptors they speak of.
 *
 * The same layout gives the same bytes, always: with a TEE they are measured. Nothing of the host
 * is named by path but QEMU's own data: kernel and firmware are read through /proc/self/fd, since
 * QEMU takes them no other way, disks and /dev/kvm from descriptor sets, sockets as they are.
 */
#ifndef EMIT_QEMU_H
#define EMIT_QEMU_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "plan/layout.h"

/* The descriptor of each role has this number in QEMU; its stderr (2) is the spawner's. */
enum {
	EMIT_TARGET_FIRST = 3, /* of LAYOUT_ROLE_KERNEL; the others follow in their order */
};

struct emit_fd {
	enum layout_role role;
	int target;
};

struct emit_qemu {
	struct strv argv;		  /* argv[0] is the program that was given */
	struct emit_fd fds[LAYOUT_ROLES]; /* by rising target */
	size_t fd_count;
};

void emit_qemu_done(struct emit_qemu *emit);
CLEANUP_FUNC(struct emit_qemu, emit_qemu_done)

int emit_target(enum layout_role role);

/* program is QEMU's path. -EINVAL: a layout no VM can be made of; -ENOMEM. */
int emit_qemu(const struct layout *layout, const char *program, struct emit_qemu *ret,
	      struct err *err);

#endif
