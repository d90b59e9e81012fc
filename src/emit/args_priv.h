/* SPDX-License-Identifier: Apache-2.0 */
/* args - arguments so far; nothing is added any more once something has gone wrong. */
#ifndef EMIT_ARGS_PRIV_H
#define EMIT_ARGS_PRIV_H

#include "base/buf.h"
#include "base/macro.h"
#include "plan/layout.h"

struct emit_args {
	struct strv argv;
	int num; /* 0, or what has gone wrong */
};

void emit_option(struct emit_args *args, const char *option);
void emit_value(struct emit_args *args, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define EMIT(args, option, ...)                \
	do {                                   \
		emit_option(args, option);     \
		emit_value(args, __VA_ARGS__); \
	} while (0)

/* pci.c: bridges and passed devices; NUMA nodes. -EINVAL for what no VM can have. */
int emit_pci_check(const struct layout *layout);
void emit_pci(struct emit_args *args, const struct layout *layout);
void emit_nodes(struct emit_args *args, const struct layout *layout);

#endif
