/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privilege - what a process may do besides being its user: Linux's capabilities and resource
 * limits, by number and by name.
 *
 * A set of capabilities is a mask: bit N is capability N of linux/capability.h, of which there
 * are as many as Linux 5.9 and later have. A limit goes by its number in asm-generic/resource.h.
 * Names are the runtime-spec's: CAP_CHOWN, RLIMIT_NOFILE.
 */
#ifndef BASE_PRIVILEGE_H
#define BASE_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PRIVILEGE_CAPABILITIES = 41,
	PRIVILEGE_LIMITS = 16,
	PRIVILEGE_NOFILE = 7,		/* RLIMIT_NOFILE */
	PRIVILEGE_NOFILE_MAX = 1 << 20, /* descriptors: Linux's fs.nr_open as it starts */
};
#define PRIVILEGE_ALL ((UINT64_C(1) << PRIVILEGE_CAPABILITIES) - 1)
#define PRIVILEGE_UNLIMITED UINT64_MAX /* RLIM_INFINITY */

/*
 * What podman gives a container's root by default: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL,
 * SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT and SETFCAP.
 */
#define PRIVILEGE_DEFAULT UINT64_C(0x800405fb)

enum privilege_set {
	PRIVILEGE_BOUNDING,
	PRIVILEGE_EFFECTIVE,
	PRIVILEGE_PERMITTED,
	PRIVILEGE_INHERITABLE,
	PRIVILEGE_AMBIENT,
	PRIVILEGE_SETS,
};

struct privilege_sets {
	uint64_t mask[PRIVILEGE_SETS];
};

struct privilege_limit {
	bool is_set;
	uint64_t soft; /* up to INT64_MAX, or PRIVILEGE_UNLIMITED */
	uint64_t hard; /* likewise */
};

/* NULL: there is none of that number. */
const char *privilege_capability_name(unsigned number);
const char *privilege_limit_name(unsigned number);
const char *privilege_set_name(enum privilege_set set); /* "bounding"... */

/* The number; -ENOENT: there is none of that name. */
int privilege_capability_number(const char *name);
int privilege_limit_number(const char *name);

/*
 * The set that this one has to be within, as capabilities(7) has it or, for permitted, because
 * nothing is to be held that the bounding set says nobody gets; bounding for bounding itself.
 * Ambient ones have to be inheritable, too.
 */
enum privilege_set privilege_set_within(enum privilege_set set);

/* Known capabilities only, and each set within its own. */
bool privilege_sets_are_possible(const struct privilege_sets *sets);

#endif
