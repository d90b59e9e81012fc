/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url - the one kind of URL that is connected to: https://HOST[:PORT][/PATH].
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets. There is no user, query or
 * fragment: what is not understood is refused, not skipped (RFC 3986, 3).
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>
#include <stdint.h>

enum { URL_HOST_MAX = 253, URL_PATH_MAX = 1023, URL_PORT = 443 };

struct url {
	char host[URL_HOST_MAX + 1]; /* without brackets */
	bool is_ipv6;
	uint16_t port;
	char path[URL_PATH_MAX + 1]; /* "" or from its '/' on, without those at its end */
};

/* -EINVAL: not of this form; -ENAMETOOLONG: a part over its limit. */
int url_parse(const char *text, struct url *ret);

#endif
