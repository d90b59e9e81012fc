// SPDX-License-Identifier: Apache-2.0
#include "sys/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"

static int open_fifo(const char *path, int flags, int *ret_fd, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at '%s'", path);
	if (!S_ISFIFO(st.st_mode))
		return err_set(err, -EINVAL, "open '%s': not a FIFO", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int pipe_open_read(const char *path, int *ret_fd, struct err *err)
{
	return open_fifo(path, O_RDONLY, ret_fd, err);
}

int pipe_open_write(const char *path, int *ret_fd, struct err *err)
{
	return open_fifo(path, O_WRONLY, ret_fd, err);
}
