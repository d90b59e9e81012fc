// SPDX-License-Identifier: Apache-2.0
#include "sys/module.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/macro.h"

int module_load(int dir_fd, const char *name, struct err *err)
{
	cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	/* the C library has no name for this one */
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		return err_sys(err, "load module '%s'", name);
	return 0;
}
