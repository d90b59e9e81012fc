// SPDX-License-Identifier: Apache-2.0
#include "sys/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

uint64_t host_boottime_us(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t host_realtime_ns(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void host_sleep_ms(unsigned int ms)
{
	const struct timespec nap = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&nap, NULL);
}

int host_random(void *at, size_t len)
{
	ssize_t n;

	do
		n = getrandom(at, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EINVAL;
}

void host_kernel(char *ret, size_t size)
{
	struct utsname uts;

	(void)snprintf(ret, size, "%s", uname(&uts) == 0 ? uts.release : "");
}

int host_program_dir(char *ret, size_t size, struct err *err)
{
	ssize_t len = readlink("/proc/self/exe", ret, size - 1);
	char *slash;

	if (len < 0)
		return err_sys(err, "read '/proc/self/exe'");
	ret[len] = '\0';
	slash = strrchr(ret, '/');
	if (!slash || (size_t)len == size - 1)
		return err_set(err, -ENAMETOOLONG, "find this program's folder: path too long");
	*(slash == ret ? slash + 1 : slash) = '\0';
	return 0;
}

void host_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
