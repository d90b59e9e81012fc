// SPDX-License-Identifier: Apache-2.0
#include "base/privilege.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/macro.h"

static const char *const capabilities[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};
_Static_assert(ARRAY_SIZE(capabilities) == PRIVILEGE_CAPABILITIES, "a name for each");

static const char *const limits[] = {
	"RLIMIT_CPU",	   "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
	"RLIMIT_CORE",	   "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK",  "RLIMIT_AS",	   "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
	"RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};
_Static_assert(ARRAY_SIZE(limits) == PRIVILEGE_LIMITS, "a name for each");

const char *privilege_capability_name(unsigned number)
{
	return number < ARRAY_SIZE(capabilities) ? capabilities[number] : NULL;
}

const char *privilege_limit_name(unsigned number)
{
	return number < ARRAY_SIZE(limits) ? limits[number] : NULL;
}

const char *privilege_set_name(enum privilege_set set)
{
	static const char *const names[] = { "bounding", "effective", "permitted", "inheritable",
					     "ambient" };

	return (unsigned)set < ARRAY_SIZE(names) ? names[set] : NULL;
}

static int find(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -ENOENT;
}

int privilege_capability_number(const char *name)
{
	return find(capabilities, ARRAY_SIZE(capabilities), name);
}

int privilege_limit_number(const char *name)
{
	return find(limits, ARRAY_SIZE(limits), name);
}

enum privilege_set privilege_set_within(enum privilege_set set)
{
	return set == PRIVILEGE_EFFECTIVE || set == PRIVILEGE_AMBIENT ? PRIVILEGE_PERMITTED
								      : PRIVILEGE_BOUNDING;
}

bool privilege_sets_are_possible(const struct privilege_sets *sets)
{
	const uint64_t *mask = sets->mask;

	for (unsigned i = 0; i < PRIVILEGE_SETS; i++)
		if (mask[i] & ~mask[privilege_set_within(i)])
			return false;
	return (mask[PRIVILEGE_BOUNDING] & ~PRIVILEGE_ALL) == 0 &&
	       (mask[PRIVILEGE_AMBIENT] & ~mask[PRIVILEGE_INHERITABLE]) == 0;
}
