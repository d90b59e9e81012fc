/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve - the addresses of a host, within a time.
 *
 * What the C library asks for a name (files, DNS, a directory service) may take minutes and cannot
 * be interrupted, so a child does it, which is killed when the time is up.
 */
#ifndef SYS_RESOLVE_H
#define SYS_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { RESOLVE_MAX = 16, RESOLVE_ADDRESS_MAX = 28 };

struct resolve_address {
	uint8_t at[RESOLVE_ADDRESS_MAX]; /* a struct sockaddr_in or sockaddr_in6 */
	uint8_t len;
};

/*
 * In the order in which they are to be tried, for a stream; more than RESOLVE_MAX are left out.
 * host may be an address, for which nobody is asked. -EHOSTUNREACH: there is no such name, or none
 * could be found; -ETIMEDOUT; or what making the child says.
 */
int resolve_host(const char *host, uint16_t port, int timeout_ms,
		 struct resolve_address ret[RESOLVE_MAX], size_t *ret_count, struct err *err);

#endif
