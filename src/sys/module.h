/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module - drivers of the running kernel that are not built in.
 */
#ifndef SYS_MODULE_H
#define SYS_MODULE_H

#include "base/err.h"

/*
 * Loads an uncompressed module from a file of dir_fd, and waits until it has bound what devices
 * it finds. What it needs must be loaded. 0 too if it is loaded, or built in; -errno of
 * finit_module(2): -ENOENT for a symbol that nothing has, -ENOEXEC for another kernel's.
 */
int module_load(int dir_fd, const char *name, struct err *err);

#endif
